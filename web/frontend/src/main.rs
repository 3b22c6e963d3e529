//! The page. Pages assemble, features decide what to show, reducers ([`drydock_model`]) decide what is true.
//!
//! This crate refuses to know xterm.js (that is `drydock_terminal`) and Docker. Begin with [`app`], then
//! [`page::session`] and [`desk`], the state that its features share.
#![forbid(unsafe_code)]

mod api;
mod app;
mod component;
mod desk;
mod feature;
mod page;
mod reactive;
mod remembered;
mod route;
mod theme;
mod view;

fn main() {
    view::mount(app::App);
}
