//! What the features of the session page share: its state as signals, and the socket that keeps it true.
//!
//! ```text
//! GET /sessions/{id} ─┐
//! session socket ─────┴▶ Change ─▶ model ─▶ workspace (terminals that are gone leave the screen)
//!                                      └──▶ lesson (progress)
//! ```
//! [`commands`] is what the reader can do, [`seats`] holds the terminals' screens.

pub mod commands;
pub mod seats;

use std::collections::HashMap;

use drydock_browser::socket::{Report, Socket};
use drydock_browser::timer::Interval;
use drydock_browser::{now, socket_origin};
use drydock_model::lesson::{self, Lesson};
use drydock_model::link::{self, Link};
use drydock_model::recent;
use drydock_model::session::{Change, Model, Phase};
use drydock_model::shapes::Chosen;
use drydock_model::workspace::{Action, Key, Workspace};
use drydock_wire::lab::Progress;
use leptos::prelude::*;

use crate::component::toast::{self, Say};
use crate::feature::topology::Target;
use crate::reactive::{Kept, State, effect};
use crate::view::spawn;
use crate::{api, remembered};

use seats::Seats;

#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    pub id: u32,
    pub file: String,
    pub node: String,
    pub percent: u32,
}

/// A handle: copies mean the same desk.
#[derive(Clone, Copy)]
pub struct Desk {
    session: Kept<String>,
    pub read_only: bool,
    pub model: State<Model>,
    pub workspace: State<Workspace>,
    pub lesson: State<Option<Lesson>>,
    /// The session socket's.
    pub link: State<Link>,
    /// Each terminal socket's.
    pub links: State<HashMap<Key, Link>>,
    pub titles: State<HashMap<Key, String>>,
    /// The terminal whose scrollback is being searched.
    pub searching: State<Option<Key>>,
    pub chosen: State<Option<Chosen>>,
    /// Where packets are caught.
    pub capturing: State<Option<Target>>,
    pub uploads: State<Vec<Upload>>,
    /// A node is being made.
    pub adding: State<bool>,
    pub font_size: State<u32>,
    /// Milliseconds since 1970, every second.
    pub clock: State<i64>,
    pub say: Say,
    /// The terminal that was shown to an empty screen, and when.
    greeted: Kept<Option<(Key, i64)>>,
    seats: Kept<Seats>,
    held: Kept<Vec<Held>>,
}

/// Kept as long as the page.
#[expect(dead_code, reason = "held for their Drop")]
enum Held {
    Socket(Socket),
    Clock(Interval),
}

pub fn provide(session: String, read_only: bool) -> Desk {
    let workspace = remembered::workspace(&session).unwrap_or_default();
    let desk = Desk {
        session: Kept::new(session),
        read_only,
        model: State::default(),
        workspace: State::new(workspace),
        lesson: State::default(),
        link: State::default(),
        links: State::default(),
        titles: State::default(),
        searching: State::default(),
        chosen: State::default(),
        capturing: State::default(),
        uploads: State::default(),
        adding: State::default(),
        font_size: State::new(remembered::font_size()),
        clock: State::new(now()),
        say: toast::say(),
        greeted: Kept::new(None),
        seats: Kept::new(Seats::default()),
        held: Kept::new(Vec::new()),
    };
    provide_context(desk);
    let clock = Interval::every(1_000, move || desk.clock.set(now()));
    desk.held.update_value(|held| held.push(Held::Clock(clock)));
    effect(move || remembered::set_workspace(&desk.id(), &desk.workspace.get()));
    desk.follow_appearance();
    spawn(desk.begin());
    desk
}

pub fn current() -> Desk {
    expect_context()
}

impl Desk {
    pub fn id(self) -> String {
        self.session.get_value()
    }

    /// The snapshot decides whether there is a session at all; then the socket keeps it true.
    async fn begin(self) {
        loop {
            self.refresh().await;
            if self.model.with_untracked(|model| model.phase) != Phase::Loading {
                break;
            }
            commands::wait(1_000).await;
        }
        if self.is_live() {
            self.listen();
        }
    }

    pub fn is_live(self) -> bool {
        self.model.try_with_untracked(|model| model.phase == Phase::Live).unwrap_or_default()
    }

    async fn refresh(self) {
        let comings_and_goings = || self.model.with_untracked(|model| model.comings_and_goings);
        let answer = loop {
            let asked = comings_and_goings();
            let answer = api::session(&self.id()).await;
            // An event may have overtaken the answer.
            if comings_and_goings() == asked {
                break answer;
            }
        };
        match answer {
            Ok(session) => {
                let is_first = self.model.with_untracked(|model| model.phase == Phase::Loading);
                self.change(Change::Snapshot(session));
                if is_first {
                    self.first_look();
                } else if self.model.with_untracked(|model| model.lab.is_some())
                    && let Ok(progress) = self.newest_progress().await
                {
                    self.change(Change::Progress(progress));
                }
            }
            Err(trouble) if trouble.is_missing() => {
                let was_live = self.is_live();
                self.change(if was_live { Change::End } else { Change::Missing });
            }
            // Tried again: by `begin`, or when the socket comes up.
            Err(_) => {}
        }
    }

    fn first_look(self) {
        let (lab, expires_at, nodes) = self.model.with_untracked(|model| {
            let names: Vec<String> = model.nodes.iter().map(|node| node.name.clone()).collect();
            (model.lab.clone(), model.expires_at, names)
        });
        remembered::change_recent(recent::Event::Opened(recent::Visit {
            session: self.id(),
            title: String::new(),
            opened_at: now(),
            expires_at: expires_at.unwrap_or_else(now),
        }));
        if let Some(lab) = lab {
            spawn(self.fetch_lesson(lab));
        }
        spawn(self.look_for_terminals(nodes));
    }

    async fn fetch_lesson(self, lab: String) {
        match (api::lab(&lab).await, self.newest_progress().await) {
            (Ok(lab), progress) => {
                let heard = self.model.with_untracked(|model| model.progress.clone());
                self.lesson.set(Some(Lesson::new(lab, progress.unwrap_or(heard))));
            }
            (Err(trouble), _) => self.say.failure(trouble),
        }
    }

    async fn newest_progress(self) -> Result<Progress, api::Trouble> {
        let heard = || self.model.with_untracked(|model| model.progress.clone());
        loop {
            let before = heard();
            let answer = api::lab_progress(&self.id()).await;
            // An event may have overtaken the answer.
            if heard() == before {
                return answer;
            }
        }
    }

    fn listen(self) {
        let address = format!("{}/sessions/{}/ws/", socket_origin(), self.id());
        let socket = Socket::open(
            move || address.clone(),
            move |report| match report {
                Report::Text(text) => {
                    if let Some(change) = Change::read(&text) {
                        self.change(change);
                    }
                }
                Report::Binary(_) => {}
                Report::Link(link) => self.relink(link),
            },
        );
        self.held.update_value(|held| held.push(Held::Socket(socket)));
    }

    fn relink(self, link: Link) {
        let waits = matches!(link.state(), link::State::Waiting { .. });
        // What was missed meanwhile; or, when it stays away, whether the session is still there at all.
        if link.state() == link::State::Up || (waits && link.failures().is_multiple_of(3)) {
            spawn(self.refresh());
        }
        self.link.set(link);
    }

    pub fn change(self, change: Change) {
        let follow_up = follow_up(&change);
        match &change {
            Change::Progress(progress) => self.learn(lesson::Event::Progress(progress.clone())),
            Change::Expires(at) => {
                remembered::change_recent(recent::Event::Expires { session: self.id(), at: *at });
            }
            Change::End | Change::Missing => {
                remembered::change_recent(recent::Event::Gone { session: self.id() });
                self.held.update_value(|held| held.retain(|held| matches!(held, Held::Clock(_))));
                self.seats.update_value(Seats::clear);
            }
            _ => {}
        }
        self.model.update(|model| model.apply(change));
        match follow_up {
            FollowUp::None => {}
            FollowUp::Arrange(action) => self.arrange(action),
            FollowUp::KeepNodes => {
                let names = self
                    .model
                    .with_untracked(|model| model.nodes.iter().map(|node| node.name.clone()).collect());
                self.arrange(Action::KeepNodes(names));
            }
            FollowUp::LookAt(node) => spawn(self.look_for_terminals(vec![node])),
        }
    }

    pub fn learn(self, event: lesson::Event) {
        self.lesson.update(|lesson| {
            if let Some(lesson) = lesson {
                lesson.apply(event);
            }
        });
    }

    pub fn arrange(self, action: Action) {
        let before = self.workspace.get_untracked();
        let mut after = before.clone();
        after.apply(action);
        if after != before {
            self.seats.update_value(|seats| seats.keep(|key| after.keys().any(|kept| kept == key)));
            self.workspace.set(after);
        }
    }
}

/// What else a change means, decided before the model takes it.
enum FollowUp {
    None,
    Arrange(Action),
    KeepNodes,
    LookAt(String),
}

fn follow_up(change: &Change) -> FollowUp {
    match change {
        Change::Terminals { node, terminals } => FollowUp::Arrange(Action::Keep {
            node: node.clone(),
            terminals: terminals.iter().map(|terminal| terminal.id.clone()).collect(),
        }),
        Change::Snapshot(_) | Change::NodeRemoved(_) => FollowUp::KeepNodes,
        Change::NodeAdded { name, .. } => FollowUp::LookAt(name.clone()),
        _ => FollowUp::None,
    }
}
