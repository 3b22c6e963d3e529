//! Parts of the page that are drawn anew when what they read changes.

use leptos::prelude::{Owner, untrack};
use web_sys::Node;

use super::{Child, View, append, document};
use crate::reactive::{Memo, at_once, memo};

/// What lies between two comments, which are its marks in the page.
#[derive(Clone)]
struct Region {
    begin: Node,
    end: Node,
}

impl Region {
    /// An empty one, and the view in which it lies.
    fn new() -> (Self, View) {
        let mark = || -> Node { document().create_comment("").into() };
        let region = Self { begin: mark(), end: mark() };
        let view = View::nothing();
        _ = view.0.append_child(&region.begin);
        _ = view.0.append_child(&region.end);
        (region, view)
    }

    fn clear(&self) {
        while let Some(next) = self.begin.next_sibling().filter(|next| *next != self.end) {
            remove(&next);
        }
    }

    fn add(&self, view: &Node) {
        if let Some(parent) = self.end.parent_node() {
            // `end` is a child of it.
            _ = parent.insert_before(view, Some(&self.end));
        }
    }

    /// All of it, its marks too, into a fragment.
    fn take(&self) -> View {
        let taken = View::nothing();
        while let Some(next) = self.begin.next_sibling().filter(|next| *next != self.end) {
            _ = taken.0.append_child(&next);
        }
        _ = taken.0.insert_before(&self.begin, taken.0.first_child().as_ref());
        append(&taken.0, View(self.end.clone()));
        taken
    }
}

fn remove(node: &Node) {
    if let Some(parent) = node.parent_node() {
        _ = parent.remove_child(node);
    }
}

/// Drawn anew when what `draw` reads changes.
pub fn part<C: Child>(draw: impl Fn() -> C + 'static) -> View {
    #[inline(never)]
    fn erased(draw: Box<dyn Fn() -> View>) -> View {
        let (region, view) = Region::new();
        at_once(move || {
            let drawn = draw();
            region.clear();
            region.add(&drawn.0);
        });
        view
    }
    erased(Box::new(move || draw().into_view()))
}

/// Drawn while `condition` holds.
pub fn when(condition: impl Fn() -> bool + Send + Sync + 'static, draw: impl Fn() -> View + 'static) -> View {
    #[inline(never)]
    fn erased(condition: Memo<bool>, draw: Box<dyn Fn() -> View>) -> View {
        part(move || if condition.get() { draw() } else { View::nothing() })
    }
    erased(memo(condition), Box::new(draw))
}

/// One of the views of [`each`]. What it owns ends with it.
struct Row {
    key: String,
    region: Region,
    _owner: Owner,
}

/// One view per key, kept as long as its key is in the list.
pub fn each<C: Child>(
    keys: impl Fn() -> Vec<String> + Send + Sync + 'static,
    draw: impl Fn(String) -> C + 'static,
) -> View {
    #[inline(never)]
    fn erased(keys: Memo<Vec<String>>, draw: Box<dyn Fn(String) -> View>) -> View {
        let (region, view) = Region::new();
        // Rows outlive a run of the effect below.
        let owner = Owner::current().unwrap_or_default();
        let mut rows: Vec<Row> = Vec::new();
        at_once(move || {
            let wanted = keys.get();
            rows.retain(|row| {
                let stays = wanted.contains(&row.key);
                if !stays {
                    row.region.take();
                }
                stays
            });
            let mut before = region.begin.clone();
            for (at, key) in wanted.iter().enumerate() {
                let moved = match rows[at..].iter().position(|row| row.key == *key) {
                    Some(further) => {
                        rows[at..=at + further].rotate_right(1);
                        let row = &rows[at].region;
                        // What stands where it should is not touched: it may have the focus.
                        let is_there = before.next_sibling().as_ref() == Some(&row.begin);
                        (!is_there).then(|| row.take())
                    }
                    None => {
                        let (region, view) = Region::new();
                        let owner = owner.child();
                        let drawn = owner.with(|| untrack(|| draw(key.clone())));
                        region.add(&drawn.0);
                        rows.insert(at, Row { key: key.clone(), region, _owner: owner });
                        Some(view)
                    }
                };
                if let (Some(view), Some(parent)) = (moved, before.parent_node()) {
                    // `before` is a child of it.
                    _ = parent.insert_before(&view.0, before.next_sibling().as_ref());
                }
                before = rows[at].region.end.clone();
            }
        });
        view
    }
    erased(memo(keys), Box::new(move |key| draw(key).into_view()))
}
