//! Where terminals' screens live. A screen is made when its tab is first shown, and keeps its element when the tab
//! moves to another pane, so nothing is drawn twice.

use std::collections::HashMap;

use drydock_browser::socket_origin;
use drydock_browser::timer::Timeout;
use drydock_model::workspace::Key;
use drydock_terminal::{Options, Palette, Report, TerminalView};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Element, HtmlElement};

use crate::desk::Desk;
use crate::reactive::effect;
use crate::view::spawn;
use crate::{api, theme};

#[derive(Default)]
pub struct Seats {
    seats: HashMap<Key, Seat>,
    timers: Vec<Timeout>,
}

struct Seat {
    host: HtmlElement,
    view: Option<TerminalView>,
    /// Typed before the screen was there.
    waiting: Vec<String>,
}

/// The page's monospaced fonts by name: xterm.js measures them itself and reads no CSS variable.
const FONT: &str = "ui-monospace, 'SF Mono', 'JetBrains Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace";
const TIMERS: usize = 8;

impl Seats {
    pub fn clear(&mut self) {
        self.seats.clear();
    }

    pub fn keep(&mut self, wanted: impl Fn(&Key) -> bool) {
        self.seats.retain(|key, _| wanted(key));
    }

    pub fn hold(&mut self, timer: Timeout) {
        if self.timers.len() >= TIMERS {
            self.timers.remove(0);
        }
        self.timers.push(timer);
    }

    fn seat(&mut self, key: &Key) -> &mut Seat {
        self.seats.entry(key.clone()).or_insert_with(|| {
            let host = document().create_element("div").expect("a div can be made");
            host.set_class_name("terminal-host");
            Seat { host: host.unchecked_into(), view: None, waiting: Vec::new() }
        })
    }

    fn views(&self) -> impl Iterator<Item = (&HtmlElement, &TerminalView)> {
        self.seats.values().filter_map(|seat| Some((&seat.host, seat.view.as_ref()?)))
    }
}

impl Desk {
    /// Puts the terminal's screen into `panel`, which is visible.
    pub fn seat(self, key: &Key, panel: &Element) {
        let mut is_new = false;
        self.seats.update_value(|seats| {
            let seat = seats.seat(key);
            is_new = seat.view.is_none();
            if seat.host.parent_element().as_ref() != Some(panel) {
                // Appending an element that is elsewhere moves it.
                _ = panel.append_child(&seat.host);
            }
        });
        if is_new {
            let key = key.clone();
            spawn(async move {
                if JsFuture::from(drydock_terminal::load()).await.is_err() {
                    return self.say.failure("The terminal could not be loaded. Reload the page.");
                }
                self.open_view(&key);
            });
        }
    }

    fn open_view(self, key: &Key) {
        if !self.is_live() {
            return;
        }
        let is_focused =
            self.workspace.with_untracked(|workspace| workspace.current().is_some_and(|now| now == key));
        let reported = key.clone();
        self.seats.update_value(|seats| {
            let Some(seat) = seats.seats.get_mut(key).filter(|seat| seat.view.is_none()) else { return };
            let options = Options {
                address: format!(
                    "{}{}/ws",
                    socket_origin(),
                    api::terminal_path(&self.id(), &key.node, &key.terminal)
                ),
                read_only: self.read_only,
                font_size: f64::from(self.font_size.get_untracked()),
                font_family: FONT.to_owned(),
                palette: Palette::at(&seat.host),
            };
            let view = TerminalView::open(&seat.host, options, move |report| self.hear(&reported, report));
            seat.waiting.drain(..).for_each(|text| view.type_text(&text));
            if is_focused {
                view.focus();
            }
            seat.view = Some(view);
        });
    }

    fn hear(self, key: &Key, report: Report) {
        match report {
            Report::Link(link) => self.links.update(|links| {
                links.insert(key.clone(), link);
            }),
            Report::Title(title) => self.titles.update(|titles| {
                titles.insert(key.clone(), title);
            }),
            Report::ShellExited(_) | Report::Closed(_) => {}
            Report::Search => self.searching.set(Some(key.clone())),
            Report::Leave => leave_terminal(),
        }
    }

    /// The keyboard speaks to this terminal from now on.
    pub fn focus(self, key: &Key) {
        let key = key.clone();
        self.after_drawing(move || self.with_view(&key, TerminalView::focus));
    }

    pub fn type_into(self, key: &Key, text: String) {
        self.seats.update_value(|seats| {
            let seat = seats.seat(key);
            match &seat.view {
                Some(view) => view.type_text(&text),
                None => seat.waiting.push(text),
            }
        });
    }

    pub fn with_view(self, key: &Key, then: impl FnOnce(&TerminalView)) {
        self.seats.with_value(|seats| {
            if let Some(view) = seats.seats.get(key).and_then(|seat| seat.view.as_ref()) {
                then(view);
            }
        });
    }

    /// Screens follow theme and font size.
    pub(super) fn follow_appearance(self) {
        let theme = theme::current();
        effect(move || {
            theme.track();
            // After the root's attribute, which the colours follow.
            self.after_drawing(move || {
                self.seats.with_value(|seats| {
                    seats.views().for_each(|(host, view)| view.set_palette(&Palette::at(host)));
                });
            });
        });
        effect(move || {
            let size = f64::from(self.font_size.get());
            self.seats.with_value(|seats| seats.views().for_each(|(_, view)| view.set_font_size(size)));
        });
    }
}

/// Tab belongs to the shell: the way out for the keyboard is the terminal's own tab.
fn leave_terminal() {
    let tab = document().query_selector(".pane-focused [role=tab][aria-selected=true]").ok().flatten();
    if let Some(tab) = tab.and_then(|tab| tab.dyn_into::<HtmlElement>().ok()) {
        // Focusing an element that has just gone is no loss.
        _ = tab.focus();
    }
}
