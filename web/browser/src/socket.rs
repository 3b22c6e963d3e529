//! A WebSocket that comes back by itself; [`drydock_model::link`] decides when.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

use drydock_model::link::{Event, Link, State};
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::JsCast;
use web_sys::{BinaryType, MessageEvent, WebSocket};

use crate::listener::Listener;
use crate::timer::Timeout;
use crate::window;

#[derive(Debug)]
pub enum Report {
    /// The link's state is another one now.
    Link(Link),
    Text(String),
    Binary(Vec<u8>),
}

/// Dropping it closes the connection.
pub struct Socket(Rc<Inner>);

struct Inner {
    /// Asked before each attempt, since where to resume is part of it.
    address: Box<dyn Fn() -> String>,
    report: Box<dyn Fn(Report)>,
    link: RefCell<Link>,
    connection: RefCell<Option<Connection>>,
    timer: RefCell<Option<Timeout>>,
    online: RefCell<Option<Listener>>,
    generation: Cell<u32>,
}

struct Connection {
    socket: WebSocket,
    _listeners: [Listener; 3],
}

/// A silent connection attempt is given up after this, milliseconds: a proxy may hold it open for ever.
const PATIENCE: u32 = 10_000;

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("link", &self.0.link).finish_non_exhaustive()
    }
}

impl Socket {
    pub fn open(address: impl Fn() -> String + 'static, report: impl Fn(Report) + 'static) -> Self {
        let inner = Rc::new(Inner {
            address: Box::new(address),
            report: Box::new(report),
            link: RefCell::default(),
            connection: RefCell::default(),
            timer: RefCell::default(),
            online: RefCell::default(),
            generation: Cell::default(),
        });
        let weak = Rc::downgrade(&inner);
        *inner.online.borrow_mut() = Some(Listener::on(&window(), "online", move |_| retry(&weak)));
        inner.connect();
        Self(inner)
    }

    pub fn is_up(&self) -> bool {
        self.0.link.borrow().state() == State::Up
    }

    /// Whether it went out; a closed connection takes nothing.
    pub fn send(&self, message: &[u8]) -> bool {
        let connection = self.0.connection.borrow();
        self.is_up()
            && connection.as_ref().is_some_and(|open| open.socket.send_with_u8_array(message).is_ok())
    }

    /// No more attempts: the other side said that there is nothing left to connect to.
    pub fn end(&self) {
        self.0.turn(Event::Ended);
        self.0.hang_up();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.generation.set(u32::MAX);
        self.0.hang_up();
        self.0.online.take();
        self.0.timer.take();
    }
}

fn retry(weak: &Weak<Inner>) {
    if let Some(inner) = weak.upgrade()
        && matches!(inner.link.borrow().state(), State::Waiting { .. })
    {
        inner.connect();
    }
}

impl Inner {
    fn connect(self: &Rc<Self>) {
        self.hang_up();
        self.turn(Event::TimerFired);
        let Ok(socket) = WebSocket::new(&(self.address)()) else {
            return self.closed(self.generation.get());
        };
        socket.set_binary_type(BinaryType::Arraybuffer);
        let generation = self.generation.get().wrapping_add(1);
        self.generation.set(generation);
        let on = |event, handle: fn(&Rc<Self>, u32, web_sys::Event)| {
            let weak = Rc::downgrade(self);
            Listener::on(&socket, event, move |event| {
                if let Some(inner) = weak.upgrade()
                    && inner.generation.get() == generation
                {
                    handle(&inner, generation, event);
                }
            })
        };
        let listeners = [
            on("open", |inner, _, _| inner.turn(Event::Opened)),
            on("message", |inner, _, event| inner.message(event.unchecked_ref())),
            on("close", |inner, generation, _| inner.closed(generation)),
        ];
        *self.connection.borrow_mut() = Some(Connection { socket, _listeners: listeners });
        self.later(PATIENCE, move |inner| {
            if inner.link.borrow().state() == State::Connecting {
                inner.closed(generation);
            }
        });
    }

    fn message(&self, event: &MessageEvent) {
        let data = event.data();
        if let Some(text) = data.as_string() {
            (self.report)(Report::Text(text));
        } else if let Ok(buffer) = data.dyn_into::<ArrayBuffer>() {
            (self.report)(Report::Binary(Uint8Array::new(&buffer).to_vec()));
        }
    }

    fn closed(self: &Rc<Self>, generation: u32) {
        if self.generation.get() != generation {
            return;
        }
        self.hang_up();
        self.turn(Event::Closed { jitter: js_sys::Math::random() });
        let state = self.link.borrow().state();
        if let State::Waiting { delay } = state {
            self.later(delay, |inner| inner.connect());
        }
    }

    /// The callback outlives this timer's slot being filled again, so a timer may set the next one.
    fn later(self: &Rc<Self>, delay: u32, then: impl FnOnce(&Rc<Self>) + 'static) {
        let weak = Rc::downgrade(self);
        let timer = Timeout::after(delay, move || {
            if let Some(inner) = weak.upgrade() {
                then(&inner);
            }
        });
        *self.timer.borrow_mut() = Some(timer);
    }

    fn turn(&self, event: Event) {
        let (before, after) = {
            let mut link = self.link.borrow_mut();
            let before = link.clone();
            link.apply(event);
            (before, link.clone())
        };
        if before != after {
            (self.report)(Report::Link(after));
        }
    }

    fn hang_up(&self) {
        // Bound first: closing may call back into this socket.
        let connection = self.connection.borrow_mut().take();
        if let Some(connection) = connection {
            // Fails only for a bad close code, and this has none.
            _ = connection.socket.close();
        }
    }
}
