//! One xterm.js terminal: what is drawn, selected, searched and typed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use drydock_model::keys::{self, Key, Meaning};
use js_sys::{Object, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{HtmlDocument, HtmlElement, KeyboardEvent};
use xterm_js_rs::addons::fit::FitAddon;
use xterm_js_rs::addons::search::SearchAddon;
use xterm_js_rs::addons::unicode11::Unicode11Addon;
use xterm_js_rs::addons::web_links::WebLinksAddon;
use xterm_js_rs::{Disposable, Terminal, TerminalOptions};

use crate::modern::{self, modern, modern_options, modern_unicode};
use crate::palette::Palette;
use crate::view::Options;

/// What the reader did at the screen.
#[derive(Debug)]
pub enum Gesture {
    Typed(Vec<u8>),
    Resized {
        cols: u16,
        rows: u16,
    },
    Titled(String),
    Search,
    Leave,
    /// Output up to this offset is on the screen.
    Drawn(u64),
}

/// Lines that can be scrolled back to.
const SCROLLBACK: u32 = 10_000;
/// Cells below which a hidden or tiny element is not worth a size of its own.
const SMALLEST: (u32, u32) = (8, 3);
/// Pixels: what the fit add-on leaves for the scroll bar, and letters below which nobody reads.
const SCROLL_BAR: i32 = 14;
const SMALLEST_LETTERS: f64 = 5.0;

pub struct Screen {
    terminal: Terminal,
    /// Height of letters that the reader wants, and that they have: another's larger terminal may need smaller ones.
    wanted: Cell<f64>,
    letters: Cell<f64>,
    fit: FitAddon,
    search: SearchAddon,
    /// Ends of what was handed to xterm.js and is not drawn yet; it draws in order.
    pending: Rc<RefCell<VecDeque<u64>>>,
    drawn: Closure<dyn FnMut()>,
    handlers: Vec<Disposable>,
    _closures: Closures,
}

/// Kept as long as xterm.js may call them.
struct Closures {
    _data: Closure<dyn FnMut(String)>,
    _binary: Closure<dyn FnMut(String)>,
    _title: Closure<dyn FnMut(String)>,
    _size: Closure<dyn FnMut(JsValue)>,
    _key: Closure<dyn FnMut(KeyboardEvent) -> bool>,
}

impl Screen {
    /// [`crate::load`] has resolved.
    pub fn open(host: &HtmlElement, options: &Options, on: Rc<dyn Fn(Gesture)>) -> Self {
        let terminal = Terminal::construct(Some(&terminal_options(options)));
        let fit = FitAddon::new();
        let search = SearchAddon::new();
        terminal.load_addon(same(&fit).unchecked_into());
        terminal.load_addon(same(&search).unchecked_into());
        terminal.load_addon(WebLinksAddon::new(None, None, None).unchecked_into());
        terminal.load_addon(Unicode11Addon::new().unchecked_into());
        modern_unicode(&terminal.get_unicode()).set_active_version("11");
        terminal.open(host.clone());
        modern::draw_with_webgl(&terminal);

        let data = text_handler(&on, |text| Gesture::Typed(text.into_bytes()));
        // Mouse reports: one byte per character.
        let binary = text_handler(&on, |text| Gesture::Typed(text.chars().map(|c| c as u8).collect()));
        let title = text_handler(&on, Gesture::Titled);
        let size = size_handler(&terminal, &on);
        let key = key_handler(&terminal, &on);
        let handlers = vec![
            terminal.on_data(data.as_ref().unchecked_ref()),
            terminal.on_binary(binary.as_ref().unchecked_ref()),
            terminal.on_title_change(title.as_ref().unchecked_ref()),
            terminal.on_resize(size.as_ref().unchecked_ref()),
        ];
        terminal.attach_custom_key_event_handler(key.as_ref().unchecked_ref());

        let pending = Rc::new(RefCell::new(VecDeque::new()));
        let drawn = drawn_handler(&pending, on);
        let closures = Closures { _data: data, _binary: binary, _title: title, _size: size, _key: key };
        let (wanted, letters) = (Cell::new(options.font_size), Cell::new(options.font_size));
        Self { terminal, wanted, letters, fit, search, pending, drawn, handlers, _closures: closures }
    }

    /// Draws output that ends at `end`.
    pub fn draw(&self, data: &[u8], end: u64) {
        self.pending.borrow_mut().push_back(end);
        // A copy: xterm.js draws later, when the Wasm memory behind `data` has other contents.
        modern(&self.terminal).write(&Uint8Array::from(data), self.drawn.as_ref().unchecked_ref());
    }

    /// A line of the page's own between the shell's lines.
    pub fn note(&self, text: &str) {
        modern(&self.terminal).write_text(&format!("\r\n\x1b[0;2m── {text} ──\x1b[0m\r\n"));
    }

    /// Takes as many cells as the element has room for; the new size comes as [`Gesture::Resized`].
    pub fn fit(&self) {
        let host = self.terminal.get_element();
        if host.client_width() > 0 && host.client_height() > 0 {
            self.set_letters(self.wanted.get());
            self.fit.fit();
        }
    }

    /// Takes another viewer's size, with letters so small that all of it is seen here.
    pub fn mirror(&self, cols: u16, rows: u16) {
        self.terminal.resize(u32::from(cols).max(SMALLEST.0), u32::from(rows).max(SMALLEST.1));
        let share = self.share();
        if share <= 0.0 {
            return;
        }
        let halves = (self.letters.get() * share * 2.0).floor() / 2.0;
        self.set_letters(halves.min(self.wanted.get()).max(SMALLEST_LETTERS));
        // Cells are whole pixels, so letters of half the height may take more than half the room.
        while self.share() < 1.0 && self.letters.get() > SMALLEST_LETTERS {
            self.set_letters(self.letters.get() - 0.5);
        }
    }

    /// How much of what is drawn there is room for: 1 and more when for all, 0 and less while nothing is shown.
    fn share(&self) -> f64 {
        let room = self.terminal.get_element();
        let Some(drawn) = room.query_selector(".xterm-screen").ok().flatten() else { return 0.0 };
        let share = |room: i32, drawn: i32| f64::from(room) / f64::from(drawn.max(1));
        share(room.client_width() - SCROLL_BAR, drawn.client_width())
            .min(share(room.client_height(), drawn.client_height()))
    }

    fn set_letters(&self, pixels: f64) {
        if self.letters.replace(pixels) != pixels {
            modern(&self.terminal).options().set_font_size(pixels);
        }
    }

    pub fn size(&self) -> (u16, u16) {
        (self.terminal.get_cols() as u16, self.terminal.get_rows() as u16)
    }

    pub fn focus(&self) {
        self.terminal.focus();
    }

    pub fn paste(&self, text: &str) {
        self.terminal.paste(text);
    }

    pub fn selection(&self) -> String {
        self.terminal.get_selection()
    }

    pub fn select_all(&self) {
        self.terminal.select_all();
    }

    pub fn clear(&self) {
        self.terminal.clear();
    }

    pub fn find(&self, text: &str, forwards: bool) -> bool {
        if forwards { self.search.find_next(text, None) } else { self.search.find_previous(text, None) }
    }

    pub fn stop_finding(&self) {
        self.terminal.clear_selection();
    }

    /// Seen at the next [`Screen::fit`] or [`Screen::mirror`].
    pub fn set_font_size(&self, pixels: f64) {
        self.wanted.set(pixels);
    }

    pub fn set_palette(&self, palette: &Palette) {
        modern(&self.terminal).options().set_theme(palette.theme());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.handlers.iter().for_each(Disposable::dispose);
        Terminal::dispose(&self.terminal);
    }
}

fn terminal_options(options: &Options) -> TerminalOptions {
    let made: TerminalOptions = Object::new().unchecked_into();
    made.set_cursor_blink(true);
    made.set_scrollback(SCROLLBACK);
    made.set_font_family(&options.font_family);
    made.set_disable_stdin(options.read_only);
    // Rows as text in the DOM, for screen readers (and for whoever else reads the page).
    made.set_screen_reader_mode(true);
    made.set_mac_option_is_meta(true);
    let modern = modern_options(&made);
    modern.set_font_size(options.font_size);
    modern.set_line_height(1.15);
    modern.set_theme(options.palette.theme());
    modern.set_minimum_contrast_ratio(4.5);
    // Unicode 11 widths are reached through it.
    modern.set_allow_proposed_api(true);
    made
}

/// Another handle of one object: the bindings' classes are not `Clone`.
fn same<T: JsCast>(object: &T) -> T {
    let value: &JsValue = object.as_ref();
    value.clone().unchecked_into()
}

fn text_handler(on: &Rc<dyn Fn(Gesture)>, gesture: fn(String) -> Gesture) -> Closure<dyn FnMut(String)> {
    let on = Rc::clone(on);
    Closure::new(move |text| on(gesture(text)))
}

fn size_handler(terminal: &Terminal, on: &Rc<dyn Fn(Gesture)>) -> Closure<dyn FnMut(JsValue)> {
    let (terminal, on) = (same(terminal), Rc::clone(on));
    Closure::new(move |_| {
        on(Gesture::Resized { cols: terminal.get_cols() as u16, rows: terminal.get_rows() as u16 });
    })
}

fn drawn_handler(pending: &Rc<RefCell<VecDeque<u64>>>, on: Rc<dyn Fn(Gesture)>) -> Closure<dyn FnMut()> {
    let pending = Rc::clone(pending);
    Closure::new(move || {
        let end = pending.borrow_mut().pop_front();
        if let Some(end) = end {
            on(Gesture::Drawn(end));
        }
    })
}

/// xterm.js asks it for each key event; `false` leaves the event to the browser.
fn key_handler(terminal: &Terminal, on: &Rc<dyn Fn(Gesture)>) -> Closure<dyn FnMut(KeyboardEvent) -> bool> {
    let (terminal, on) = (same(terminal), Rc::clone(on));
    Closure::new(move |event: KeyboardEvent| {
        if event.type_() != "keydown" {
            return true;
        }
        let name = event.key();
        let key = Key {
            key: &name,
            control: event.ctrl_key(),
            shift: event.shift_key(),
            alt: event.alt_key(),
            meta: event.meta_key(),
        };
        match keys::meaning(key, terminal.has_selection()) {
            Meaning::Shell => return true,
            // xterm.js answers the browser's own copy and paste events.
            Meaning::Copy | Meaning::Paste => return false,
            Meaning::CopyByCommand => copy(),
            Meaning::Search => on(Gesture::Search),
            Meaning::Leave => on(Gesture::Leave),
        }
        event.prevent_default();
        false
    })
}

/// Also works where the asynchronous clipboard does not: on a plain-HTTP address.
pub fn copy() {
    let document =
        drydock_browser::window().document().and_then(|document| document.dyn_into::<HtmlDocument>().ok());
    if let Some(document) = document {
        _ = document.exec_command("copy");
    }
}
