//! Which terminal is in which pane. A workspace is a row or a column of panes, a pane is a list of tabs.

use serde::Serialize;

use crate::json::{Flaws, Json, Read};
use crate::reads;

/// One terminal of one node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// The instance's name.
    pub node: String,
    /// The terminal's id in its node.
    pub terminal: String,
}

impl Key {
    /// `NODE/TERMINAL`.
    pub fn write(&self) -> String {
        format!("{}/{}", self.node, self.terminal)
    }

    pub fn read(text: &str) -> Option<Self> {
        let (node, terminal) = text.rsplit_once('/')?;
        Some(Self { node: node.to_owned(), terminal: terminal.to_owned() })
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Direction {
    /// Panes side by side.
    #[default]
    Row,
    /// Panes stacked.
    Column,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pane {
    pub id: u32,
    /// Never empty.
    pub tabs: Vec<Key>,
    pub active: Key,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Workspace {
    pub panes: Vec<Pane>,
    /// The focused pane's id; meaningless while there is none.
    pub focused: u32,
    pub direction: Direction,
    next_id: u32,
}

reads! {
    Key { node, terminal }
    Pane { id, tabs, active }
    Workspace { panes, focused, direction, next_id }
}

impl Read for Direction {
    fn read(json: &Json, flaws: &Flaws) -> Self {
        if String::read(json, flaws) == "Column" { Self::Column } else { Self::Row }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Shows a terminal, in the focused pane when it is in none yet.
    Show(Key),
    /// Puts a terminal into a pane of its own after the focused one.
    Split(Key, Direction),
    /// Turns a row into a column or back.
    Arrange(Direction),
    /// Takes a terminal off the screen.
    Close(Key),
    Focus(u32),
    /// Shows the tab that is `by` places further in its pane, around the ends.
    Step {
        pane: u32,
        by: isize,
    },
    /// A node now has these terminals: others of it are gone.
    Keep {
        node: String,
        terminals: Vec<String>,
    },
    /// All terminals of other nodes are gone.
    KeepNodes(Vec<String>),
}

impl Workspace {
    pub fn pane_of(&self, key: &Key) -> Option<&Pane> {
        self.panes.iter().find(|pane| pane.tabs.contains(key))
    }

    /// What the keyboard speaks to.
    pub fn current(&self) -> Option<&Key> {
        let focused = self.panes.iter().find(|pane| pane.id == self.focused);
        focused.or(self.panes.first()).map(|pane| &pane.active)
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.panes.iter().flat_map(|pane| &pane.tabs)
    }

    pub fn apply(&mut self, action: Action) {
        match action {
            Action::Show(key) => self.show(key),
            Action::Split(key, direction) => {
                self.take_out(&key);
                self.direction = direction;
                let after = self.panes.iter().position(|pane| pane.id == self.focused);
                self.insert_pane(after.map_or(self.panes.len(), |at| at + 1), key);
            }
            Action::Arrange(direction) => self.direction = direction,
            Action::Close(key) => self.take_out(&key),
            Action::Focus(pane) => self.focused = pane,
            Action::Step { pane, by } => self.step(pane, by),
            Action::Keep { node, terminals } => {
                self.retain(|key| key.node != node || terminals.contains(&key.terminal));
            }
            Action::KeepNodes(nodes) => self.retain(|key| nodes.contains(&key.node)),
        }
    }

    fn show(&mut self, key: Key) {
        let holder = self.panes.iter().position(|pane| pane.tabs.contains(&key));
        let focused = self.panes.iter().position(|pane| pane.id == self.focused);
        match holder.or(focused).or((!self.panes.is_empty()).then_some(0)) {
            None => self.insert_pane(0, key),
            Some(at) => {
                let pane = &mut self.panes[at];
                if !pane.tabs.contains(&key) {
                    let after = pane.tabs.iter().position(|tab| *tab == pane.active).unwrap_or_default();
                    pane.tabs.insert(after + 1, key.clone());
                }
                pane.active = key;
                self.focused = pane.id;
            }
        }
    }

    fn insert_pane(&mut self, at: usize, key: Key) {
        self.next_id += 1;
        self.focused = self.next_id;
        self.panes.insert(at, Pane { id: self.next_id, tabs: vec![key.clone()], active: key });
    }

    fn step(&mut self, pane: u32, by: isize) {
        if let Some(pane) = self.panes.iter_mut().find(|one| one.id == pane) {
            let at = pane.tabs.iter().position(|tab| *tab == pane.active).unwrap_or_default() as isize;
            let to = (at + by).rem_euclid(pane.tabs.len() as isize) as usize;
            pane.active = pane.tabs[to].clone();
            self.focused = pane.id;
        }
    }

    fn take_out(&mut self, key: &Key) {
        self.retain(|tab| tab != key);
    }

    /// The neighbour of a closed tab takes its place; an empty pane goes.
    fn retain(&mut self, keep: impl Fn(&Key) -> bool) {
        for pane in &mut self.panes {
            if !keep(&pane.active) {
                let at = pane.tabs.iter().position(|tab| *tab == pane.active).unwrap_or_default();
                let (before, after) = pane.tabs.split_at(at);
                let heir = after.iter().find(|key| keep(key)).or(before.iter().rev().find(|key| keep(key)));
                if let Some(heir) = heir {
                    pane.active = heir.clone();
                }
            }
            pane.tabs.retain(&keep);
        }
        self.panes.retain(|pane| !pane.tabs.is_empty());
        if !self.panes.iter().any(|pane| pane.id == self.focused) {
            self.focused = self.panes.first().map_or(0, |pane| pane.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        let (node, terminal) = text.split_once('.').unwrap();
        Key { node: node.into(), terminal: terminal.into() }
    }

    /// `a.1 *a.2 | *b.1`: panes, tabs, and what is active.
    fn picture(workspace: &Workspace) -> String {
        let tab = |pane: &Pane, key: &Key| {
            format!("{}{}.{}", if pane.active == *key { "*" } else { "" }, key.node, key.terminal)
        };
        let pane = |pane: &Pane| pane.tabs.iter().map(|key| tab(pane, key)).collect::<Vec<_>>().join(" ");
        workspace.panes.iter().map(pane).collect::<Vec<_>>().join(" | ")
    }

    fn after(actions: &[Action]) -> Workspace {
        let mut workspace = Workspace::default();
        actions.iter().for_each(|action| workspace.apply(action.clone()));
        workspace
    }

    #[test]
    fn terminals_are_shown_once_and_split_off() {
        let show = |text| Action::Show(key(text));
        let split = |text| Action::Split(key(text), Direction::Row);
        for (actions, expected) in [
            (vec![show("a.1"), show("a.2"), show("a.1")], "*a.1 a.2"),
            (vec![show("a.1"), split("b.1")], "*a.1 | *b.1"),
            (vec![show("a.1"), show("a.2"), split("a.1")], "*a.2 | *a.1"),
            (vec![show("a.1"), split("a.1")], "*a.1"),
            (
                vec![show("a.1"), split("b.1"), show("b.2"), show("a.1"), split("c.1")],
                "*a.1 | *c.1 | b.1 *b.2",
            ),
            (vec![show("a.1"), show("a.2"), Action::Close(key("a.2"))], "*a.1"),
            (vec![show("a.1"), split("a.2"), Action::Close(key("a.1"))], "*a.2"),
            (vec![show("a.1"), Action::Close(key("a.1"))], ""),
        ] {
            assert_eq!(picture(&after(&actions)), expected, "{actions:?}");
        }
    }

    #[test]
    fn what_the_server_no_longer_has_leaves_the_screen() {
        let mut workspace = after(&[
            Action::Show(key("a.1")),
            Action::Show(key("a.2")),
            Action::Split(key("b.1"), Direction::Column),
        ]);
        workspace.apply(Action::Keep { node: "a".into(), terminals: vec!["1".into()] });
        assert_eq!(picture(&workspace), "*a.1 | *b.1");
        workspace.apply(Action::KeepNodes(vec!["b".into()]));
        assert_eq!(picture(&workspace), "*b.1");
        assert_eq!(workspace.current(), Some(&key("b.1")));
    }

    #[test]
    fn stepping_goes_round() {
        let mut workspace = after(&[Action::Show(key("a.1")), Action::Show(key("a.2"))]);
        let pane = workspace.focused;
        workspace.apply(Action::Step { pane, by: 1 });
        assert_eq!(picture(&workspace), "*a.1 a.2");
        workspace.apply(Action::Step { pane, by: -1 });
        assert_eq!(picture(&workspace), "a.1 *a.2");
    }
}
