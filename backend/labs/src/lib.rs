//! Labs: the format, what a student has reached, and the programs that carry a lab out.
//!
//! Three minds and two pairs of hands. [`parse`] reads a `lab.md` (text in, [`Lab`] with line numbers out),
//! [`present`] turns it into what the browser shows, [`progress`] decides which step is open and what is done.
//! [`attempt`] carries one student's lab out in real nodes (init scripts, checks), and [`rehearsal`] plays a student:
//! it types every block into a real terminal, so that no lab rots.
//!
//! This crate refuses to know HTTP, sessions and how a command reaches a node: those come in as the traits
//! [`attempt::Nodes`] and [`rehearsal::Playground`]. Begin with [`lab`], then `labs/README.md` (the format for authors).
#![forbid(unsafe_code)]

pub mod attempt;
pub mod import;
pub mod lab;
pub mod library;
pub mod lint;
pub mod parse;
pub mod present;
pub mod progress;
pub mod prompt;
pub mod rehearsal;

pub use lab::Lab;
pub use library::Library;
pub use parse::parse;
