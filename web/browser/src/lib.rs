//! The browser's own objects behind handles that let go on `Drop`: timers, listeners, observers, sockets, storage.
//!
//! This crate refuses to know what travels over a socket and what anything looks like.
//! Begin with [`socket`].
#![forbid(unsafe_code)]

pub mod listener;
pub mod observer;
pub mod socket;
pub mod storage;
pub mod timer;

/// The page's window; this code runs nowhere else.
pub fn window() -> web_sys::Window {
    web_sys::window().expect("a page has a window")
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    js_sys::Date::now() as i64
}

/// `ws://host` or `wss://host`, as the page was loaded.
pub fn socket_origin() -> String {
    let location = window().location();
    let scheme = if location.protocol().as_deref() == Ok("https:") { "wss" } else { "ws" };
    format!("{scheme}://{}", location.host().unwrap_or_default())
}
