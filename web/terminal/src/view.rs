//! A terminal on the page: a screen and the socket that feeds it.
//!
//! ```text
//! socket ─▶ Stream (each byte once) ─▶ Screen ─ drawn ─▶ Stream ─ Ack ─▶ socket
//!                                      Screen ─ typed ─▶ socket, or kept until it is up again
//! ```

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

use drydock_browser::observer::SizeObserver;
use drydock_browser::socket::{self, Socket};
use drydock_model::link::{Link, State};
use drydock_model::stream::{Effect, Stream};
use drydock_wire::terminal::{ClientFrame, MAX_INPUT, ServerFrame};
use web_sys::HtmlElement;

use crate::palette::Palette;
use crate::screen::{self, Gesture, Screen};

#[derive(Debug, Clone)]
pub struct Options {
    /// The terminal socket's address, without a query.
    pub address: String,
    pub read_only: bool,
    pub font_size: f64,
    pub font_family: String,
    pub palette: Palette,
}

#[derive(Debug, Clone)]
pub enum Report {
    Link(Link),
    Title(String),
    /// The shell ended and a new one follows.
    ShellExited(i32),
    /// The terminal is gone.
    Closed(String),
    /// The reader pressed the key for searching.
    Search,
    /// The reader wants the focus out of the terminal.
    Leave,
}

/// Dropping it closes the socket and takes the screen down.
pub struct TerminalView(Rc<Inner>);

struct Inner {
    read_only: bool,
    stream: RefCell<Stream>,
    screen: Screen,
    socket: RefCell<Option<Socket>>,
    /// Typed while the socket was not up.
    kept: RefCell<Vec<u8>>,
    /// Another viewer's size is the terminal's at the moment.
    mirrors: Cell<bool>,
    /// The size change in progress is not this viewer's wish.
    following: Rc<Cell<bool>>,
    report: Box<dyn Fn(Report)>,
    observer: RefCell<Option<SizeObserver>>,
}

impl fmt::Debug for TerminalView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TerminalView").field("stream", &self.0.stream).finish_non_exhaustive()
    }
}

impl TerminalView {
    /// Opens a screen in `host` and connects it. [`crate::load`] has resolved.
    pub fn open(host: &HtmlElement, options: Options, report: impl Fn(Report) + 'static) -> Self {
        let inner = Rc::new_cyclic(|weak: &Weak<Inner>| {
            let gestures = weak.clone();
            let on = Rc::new(move |gesture| {
                if let Some(inner) = gestures.upgrade() {
                    inner.gesture(gesture);
                }
            });
            Inner {
                read_only: options.read_only,
                stream: RefCell::default(),
                screen: Screen::open(host, &options, on),
                socket: RefCell::default(),
                kept: RefCell::default(),
                mirrors: Cell::new(options.read_only),
                following: Rc::default(),
                report: Box::new(report),
                observer: RefCell::default(),
            }
        });
        inner.screen.fit();
        let weak = Rc::downgrade(&inner);
        let observer = SizeObserver::on(host, move || {
            if let Some(inner) = weak.upgrade() {
                inner.take_room();
            }
        });
        *inner.observer.borrow_mut() = Some(observer);
        let socket = connect(&inner, options.address);
        *inner.socket.borrow_mut() = Some(socket);
        Self(inner)
    }

    pub fn focus(&self) {
        self.0.screen.focus();
    }

    /// Types `text` as if at the keyboard; line feeds become Enter.
    pub fn type_text(&self, text: &str) {
        self.0.typed(text.replace('\n', "\r").as_bytes());
    }

    /// As a paste: bracketed where the shell asked for that.
    pub fn paste(&self, text: &str) {
        self.0.screen.paste(text);
    }

    pub fn selection(&self) -> String {
        self.0.screen.selection()
    }

    /// The selection, to the clipboard.
    pub fn copy(&self) {
        self.focus();
        screen::copy();
    }

    pub fn select_all(&self) {
        self.0.screen.select_all();
    }

    /// Forgets what scrolled by.
    pub fn clear(&self) {
        self.0.screen.clear();
    }

    /// Selects the next place of `text`, or the one before; whether there is one.
    pub fn find(&self, text: &str, forwards: bool) -> bool {
        self.0.screen.find(text, forwards)
    }

    pub fn stop_finding(&self) {
        self.0.screen.stop_finding();
    }

    pub fn set_font_size(&self, pixels: f64) {
        self.0.screen.set_font_size(pixels);
        self.0.take_room();
    }

    pub fn set_palette(&self, palette: &Palette) {
        self.0.screen.set_palette(palette);
    }

    /// Takes the room that the element has now.
    pub fn fit(&self) {
        self.0.take_room();
    }
}

fn connect(inner: &Rc<Inner>, address: String) -> Socket {
    let mode = if inner.read_only { "ro" } else { "rw" };
    let (asked, heard) = (Rc::downgrade(inner), Rc::downgrade(inner));
    Socket::open(
        move || {
            let from = asked.upgrade().map_or(0, |inner| {
                let mut stream = inner.stream.borrow_mut();
                stream.reconnecting();
                stream.resume_from()
            });
            format!("{address}?from={from}&mode={mode}")
        },
        move |report| {
            if let Some(inner) = heard.upgrade() {
                inner.heard(report);
            }
        },
    )
}

impl Inner {
    fn heard(&self, report: socket::Report) {
        match report {
            socket::Report::Binary(message) => {
                // A frame this page does not know is a newer server's: the rest still works.
                if let Ok(frame) = ServerFrame::decode(&message) {
                    self.frame(frame);
                }
            }
            socket::Report::Text(_) => {}
            socket::Report::Link(link) => {
                if link.state() == State::Up {
                    self.came_up();
                }
                (self.report)(Report::Link(link));
            }
        }
    }

    fn came_up(&self) {
        if !self.mirrors.get() {
            let (cols, rows) = self.screen.size();
            self.send(&ClientFrame::Resize { cols, rows });
        }
        let kept = std::mem::take(&mut *self.kept.borrow_mut());
        if !kept.is_empty() {
            self.typed(&kept);
        }
    }

    fn frame(&self, frame: ServerFrame) {
        let is_hello = matches!(frame, ServerFrame::Hello { .. });
        let effect = self.stream.borrow_mut().apply(frame);
        match effect {
            None => {}
            Some(Effect::Draw { data, end }) => self.screen.draw(data, end),
            // At the beginning the size is about to become this viewer's own.
            Some(Effect::Size { .. }) if is_hello && !self.read_only => {}
            Some(Effect::Size { cols, rows }) => self.follow(cols, rows),
            Some(Effect::Lost { bytes }) => {
                self.screen.note(&format!("{bytes} bytes of output are no longer kept"))
            }
            Some(Effect::ShellExited { code }) => {
                self.screen.note(&format!("shell ended with {code}, a new one follows"));
                (self.report)(Report::ShellExited(code));
            }
            Some(Effect::Closed { reason }) => {
                let reason = reason.to_owned();
                self.screen.note(&reason);
                if let Some(socket) = self.socket.borrow().as_ref() {
                    socket.end();
                }
                (self.report)(Report::Closed(reason));
            }
        }
    }

    fn follow(&self, cols: u16, rows: u16) {
        if (cols, rows) != self.screen.size() {
            self.mirrors.set(true);
        }
        if self.mirrors.get() {
            self.mirror(cols, rows);
        }
    }

    fn mirror(&self, cols: u16, rows: u16) {
        self.following.set(true);
        self.screen.mirror(cols, rows);
        self.following.set(false);
    }

    /// The element's size is another, or the letters': as many cells as fit, or the same cells to fit.
    fn take_room(&self) {
        if self.mirrors.get() {
            let (cols, rows) = self.screen.size();
            self.mirror(cols, rows);
        } else {
            self.screen.fit();
        }
    }

    fn gesture(&self, gesture: Gesture) {
        match gesture {
            Gesture::Typed(data) => {
                if !self.stream.borrow().lets_through(&data) {
                    return;
                }
                // The terminal takes the size of whoever typed last.
                if self.mirrors.get() && !self.read_only {
                    self.mirrors.set(false);
                    self.screen.fit();
                }
                self.typed(&data);
            }
            Gesture::Resized { cols, rows } => {
                if !self.following.get() && !self.read_only {
                    self.send(&ClientFrame::Resize { cols, rows });
                }
            }
            Gesture::Drawn(end) => {
                let due = self.stream.borrow_mut().drawn(end);
                if let Some(offset) = due {
                    self.send(&ClientFrame::Ack { offset });
                }
            }
            Gesture::Titled(title) => (self.report)(Report::Title(title)),
            Gesture::Search => (self.report)(Report::Search),
            Gesture::Leave => (self.report)(Report::Leave),
        }
    }

    fn typed(&self, data: &[u8]) {
        if self.read_only {
            return;
        }
        for part in data.chunks(MAX_INPUT) {
            if !self.send(&ClientFrame::Input(part)) {
                let mut kept = self.kept.borrow_mut();
                if kept.len() + part.len() <= MAX_INPUT {
                    kept.extend_from_slice(part);
                }
            }
        }
    }

    fn send(&self, frame: &ClientFrame) -> bool {
        self.socket.borrow().as_ref().is_some_and(|socket| socket.send(&frame.encode()))
    }
}
