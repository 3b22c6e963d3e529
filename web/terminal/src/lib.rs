//! Terminals on the page: the only room that speaks to xterm.js, and the browser's end of the terminal socket.
//!
//! This crate refuses to know sessions, nodes and pages: it is given an element and an address.
//! Begin with [`view`].
//!
//! `xterm-js-rs` 0.1.2 was written for xterm.js 4. Its classes, their methods and its add-ons still hold for
//! `@xterm/xterm` 6 and are used here; what changed since (bytes are written by `write`, options are properties,
//! construction of the WebGL add-on may fail) is declared in [`modern`]. The module names it imports from are resolved
//! by the bundler (`web/terminal/js/lazy.js`), which also makes xterm.js load with the first terminal only.
#![forbid(unsafe_code)]

mod modern;
pub mod palette;
mod screen;
pub mod view;

pub use modern::load;
pub use palette::Palette;
pub use view::{Options, Report, TerminalView};
