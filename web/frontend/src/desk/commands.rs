//! What the reader can do on the session page. Each says when it fails.

use drydock_browser::timer::Timeout;
use drydock_browser::{now, window};
use drydock_model::session::Change;
use drydock_model::workspace::{Action, Direction, Key};
use drydock_wire::session::Terminal;
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, FileList};

use crate::api::{self, Answer};
use crate::desk::{Desk, Upload};
use crate::remembered::{self, FONT_SIZES};
use crate::view::spawn;

/// A node that is still booting has no terminal yet: asked this often, a second apart.
const PATIENCE: u32 = 20;

pub async fn wait(milliseconds: u32) {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        // Kept by the browser until it has run, and this future is not cancelled.
        _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds as i32);
    });
    // A timer's promise is never rejected.
    _ = JsFuture::from(promise).await;
}

impl Desk {
    pub fn add_node(self) {
        if self.adding.get_untracked() {
            return;
        }
        self.adding.set(true);
        spawn(async move {
            let answer = api::add_node(&self.id()).await;
            self.adding.set(false);
            match answer {
                Ok(instance) => {
                    let name = instance.name.clone();
                    self.change(Change::NodeAdded {
                        name: instance.name,
                        ip: instance.ip,
                        hostname: instance.hostname,
                        proxy_host: instance.proxy_host,
                    });
                    self.open_terminal(name);
                }
                Err(trouble) => self.say.failure(trouble),
            }
        });
    }

    pub fn delete_node(self, node: String) {
        spawn(async move {
            match api::delete_node(&self.id(), &node).await {
                Ok(()) => self.change(Change::NodeRemoved(node)),
                Err(trouble) if trouble.is_missing() => self.change(Change::NodeRemoved(node)),
                Err(trouble) => self.say.failure(trouble),
            }
        });
    }

    /// Lets a node's cable, or the way from it to `other`, lose so many of a hundred packets.
    pub fn set_loss(self, node: String, other: Option<String>, loss: u8) {
        spawn(async move {
            if let Err(trouble) = api::set_loss(&self.id(), &node, other.as_deref(), loss).await {
                self.say.failure(trouble);
            }
        });
    }

    pub fn extend(self) {
        spawn(async move {
            match api::extend_session(&self.id()).await {
                Ok(()) => {
                    self.refresh().await;
                    self.say.plain("The session was extended.");
                }
                Err(trouble) => self.say.failure(trouble),
            }
        });
    }

    pub fn close_session(self) {
        spawn(async move {
            match api::close_session(&self.id()).await {
                Ok(()) => self.change(Change::End),
                Err(trouble) if trouble.is_missing() => self.change(Change::End),
                Err(trouble) => self.say.failure(trouble),
            }
        });
    }

    /// Shows a terminal of the node: one that is there, else a new one.
    pub fn open_terminal(self, node: String) {
        spawn(async move {
            match self.nth_terminal(&node, 1).await {
                Ok(key) => {
                    self.arrange(Action::Show(key.clone()));
                    self.focus(&key);
                }
                Err(trouble) => self.say.failure(trouble),
            }
        });
    }

    /// Makes a terminal, in the focused pane or in one beside it.
    pub fn new_terminal(self, node: String, split: Option<Direction>) {
        spawn(async move {
            match api::add_terminal(&self.id(), &node).await {
                Ok(terminal) => {
                    let key = Key { node, terminal: terminal.id.clone() };
                    self.add_known(&key.node, terminal);
                    self.arrange(match split {
                        Some(direction) => Action::Split(key.clone(), direction),
                        None => Action::Show(key.clone()),
                    });
                    self.focus(&key);
                }
                Err(trouble) => self.say.failure(trouble),
            }
        });
    }

    pub fn close_terminal(self, key: Key) {
        self.arrange(Action::Close(key.clone()));
        if let Some(next) = self.workspace.with_untracked(|workspace| workspace.current().cloned()) {
            self.focus(&next);
        }
        if self.read_only {
            return;
        }
        spawn(async move {
            match api::delete_terminal(&self.id(), &key.node, &key.terminal).await {
                Ok(()) => self.forget_known(&key),
                Err(trouble) if trouble.is_missing() => self.forget_known(&key),
                Err(trouble) => self.say.failure(trouble),
            }
        });
    }

    /// Types into the node's `terminal`th terminal (from 1), which is made when missing.
    pub fn run(self, hostname: String, terminal: usize, text: String) {
        let node =
            self.model.with_untracked(|model| model.by_hostname(&hostname).map(|node| node.name.clone()));
        let Some(node) = node else {
            return self.say.failure(format!("There is no {hostname} in this session. Add a node first."));
        };
        spawn(async move {
            match self.nth_terminal(&node, terminal.max(1)).await {
                Ok(key) => {
                    self.arrange(Action::Show(key.clone()));
                    self.type_into(&key, text);
                    self.focus(&key);
                }
                Err(trouble) => self.say.failure(trouble),
            }
        });
    }

    async fn nth_terminal(self, node: &str, nth: usize) -> Answer<Key> {
        let session = self.id();
        let mut attempts = 0;
        let mut terminals = loop {
            match api::terminals(&session, node).await {
                Ok(terminals) => break terminals,
                Err(trouble) if trouble.is_missing() || attempts >= PATIENCE => return Err(trouble),
                Err(_) => attempts += 1,
            }
            wait(1_000).await;
        };
        while terminals.len() < nth {
            terminals.push(api::add_terminal(&session, node).await?);
        }
        let key = Key { node: node.to_owned(), terminal: terminals[nth - 1].id.clone() };
        self.change(Change::Terminals { node: node.to_owned(), terminals });
        Ok(key)
    }

    /// Which terminals nodes have; an empty screen gets that of the first node.
    pub(super) async fn look_for_terminals(self, nodes: Vec<String>) {
        for node in nodes {
            let is_empty = self.workspace.with_untracked(|workspace| workspace.panes.is_empty());
            if (is_empty || self.may_greet_anew(&node)) && !self.read_only {
                if let Ok(key) = self.nth_terminal(&node, 1).await {
                    self.greet(key);
                }
            } else if let Ok(terminals) = api::terminals(&self.id(), &node).await {
                let first = terminals.first().map(|terminal| terminal.id.clone());
                self.change(Change::Terminals { node: node.clone(), terminals });
                if let (true, Some(terminal)) = (is_empty, first) {
                    self.arrange(Action::Show(Key { node, terminal }));
                }
            }
        }
    }

    fn greet(self, key: Key) {
        let greeted = self.greeted.with_value(Clone::clone);
        let is_empty = self.workspace.with_untracked(|workspace| workspace.panes.is_empty());
        let replaced = match greeted {
            _ if is_empty => {
                self.greeted.set_value(Some((key.clone(), now())));
                None
            }
            Some((shown, at)) if self.may_greet_anew(&key.node) => {
                self.greeted.set_value(Some((key.clone(), at)));
                Some(shown)
            }
            _ => return,
        };
        self.arrange(Action::Show(key.clone()));
        if let Some(shown) = replaced {
            self.arrange(Action::Close(shown));
        }
        self.focus(&key);
    }

    /// A session's first nodes come in any order, within moments: whether this one comes before the one that is shown, and nothing
    /// else is.
    fn may_greet_anew(self, node: &str) -> bool {
        const MOMENTS: i64 = 5_000;
        let is_first =
            self.model.with_untracked(|model| model.nodes.first().is_some_and(|first| first.name == node));
        let Some((shown, at)) = self.greeted.with_value(Clone::clone) else { return false };
        let is_alone = self.workspace.with_untracked(|workspace| workspace.keys().eq([&shown]));
        is_first && is_alone && shown.node != node && now() - at < MOMENTS
    }

    fn add_known(self, node: &str, terminal: Terminal) {
        let mut terminals = self.known(node);
        if !terminals.iter().any(|known| known.id == terminal.id) {
            terminals.push(terminal);
        }
        self.change(Change::Terminals { node: node.to_owned(), terminals });
    }

    fn forget_known(self, key: &Key) {
        let mut terminals = self.known(&key.node);
        terminals.retain(|known| known.id != key.terminal);
        self.change(Change::Terminals { node: key.node.clone(), terminals });
    }

    fn known(self, node: &str) -> Vec<Terminal> {
        self.model.with_untracked(|model| model.terminals.get(node).cloned().unwrap_or_default())
    }

    /// Writes a lab's file, or asks a check now; `done` hears whether that was possible.
    pub fn act_on_lab_block(self, block: String, done: impl FnOnce(bool) + 'static) {
        spawn(async move {
            let answer = api::act_on_lab_block(&self.id(), &block).await;
            done(answer.is_ok());
            if let Err(trouble) = answer {
                self.say.failure(trouble);
            }
        });
    }

    /// `done` hears whether the answer is right.
    pub fn answer_quiz(self, quiz: String, answer: Vec<String>, done: impl FnOnce(bool) + 'static) {
        spawn(async move {
            match api::answer_quiz(&self.id(), &quiz, &answer).await {
                Ok(correct) => done(correct),
                Err(trouble) => self.say.failure(trouble),
            }
        });
    }

    pub fn upload(self, node: String, files: &FileList) {
        (0..files.length()).filter_map(|at| files.get(at)).for_each(|file| self.upload_one(&node, &file));
    }

    fn upload_one(self, node: &str, file: &File) {
        let hostname = self
            .model
            .with_untracked(|model| model.node(node).map(|node| node.hostname.clone()))
            .unwrap_or_default();
        let id =
            self.uploads.with_untracked(|uploads| uploads.iter().map(|one| one.id + 1).max().unwrap_or(0));
        let name = file.name();
        let upload = Upload { id, file: name.clone(), node: hostname.clone(), percent: 0 };
        self.uploads.update(|uploads| uploads.push(upload));
        let progress = move |percent| {
            self.uploads.update(|uploads| {
                if let Some(upload) = uploads.iter_mut().find(|upload| upload.id == id) {
                    upload.percent = percent;
                }
            });
        };
        let done = move |answer: Answer<()>| {
            self.uploads.update(|uploads| uploads.retain(|upload| upload.id != id));
            match answer {
                Ok(()) => self.say.plain(format!("{name} is on {hostname}.")),
                Err(trouble) => self.say.failure(format!("{name} did not reach {hostname}: {trouble}")),
            }
        };
        api::upload(&self.id(), node, file, progress, done);
    }

    pub fn change_font_size(self, by: i32) {
        let size = self
            .font_size
            .get_untracked()
            .saturating_add_signed(by)
            .clamp(*FONT_SIZES.start(), *FONT_SIZES.end());
        remembered::set_font_size(size);
        self.font_size.set(size);
    }

    /// To the clipboard; where the page may not write there, the text is shown to be copied by hand.
    pub fn copy(self, text: String, said: &'static str) {
        spawn(async move {
            let clipboard = js_sys::Reflect::get(&window().navigator(), &"clipboard".into());
            let is_there = clipboard.is_ok_and(|clipboard| !clipboard.is_undefined());
            let wrote = is_there && {
                let promise = window().navigator().clipboard().write_text(&text);
                JsFuture::from(promise).await.is_ok()
            };
            if wrote { self.say.plain(said) } else { self.say.plain(text) }
        });
    }

    /// The address of a published port: an origin of its own.
    pub fn port_address(self, proxy_host: &str, port: u16) -> String {
        let location = window().location();
        let protocol = location.protocol().unwrap_or_default();
        format!("{protocol}//{proxy_host}-{port}.direct.{}/", location.host().unwrap_or_default())
    }

    /// Runs after the view has followed the state that was just set.
    pub(super) fn after_drawing(self, then: impl FnOnce() + 'static) {
        let timer = Timeout::after(30, then);
        self.seats.update_value(|seats| seats.hold(timer));
    }
}
