//! Which page an address means, and going there without a reload.

use crate::reactive::{Kept, State};
use drydock_browser::listener::Listener;
use drydock_browser::window;
use leptos::prelude::*;
use wasm_bindgen::JsValue;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Landing,
    Session { id: String, read_only: bool },
    Unknown,
}

impl Route {
    /// `path` begins with `/`, `query` is empty or begins with `?`.
    pub fn read(path: &str, query: &str) -> Self {
        match path.trim_end_matches('/') {
            "" => Self::Landing,
            path => match path.strip_prefix("/p/") {
                Some(id) if !id.is_empty() && !id.contains('/') => {
                    Self::Session { id: id.to_owned(), read_only: query.contains("mode=ro") }
                }
                _ => Self::Unknown,
            },
        }
    }

    fn here() -> Self {
        let location = window().location();
        Self::read(&location.pathname().unwrap_or_default(), &location.search().unwrap_or_default())
    }
}

/// The current route, for all below [`provide`].
#[derive(Debug, Clone, Copy)]
pub struct Router(State<Route>);

pub fn provide() -> Router {
    let router = Router(State::new(Route::here()));
    // What a page has asked the server for may arrive when that page is gone: going back begins anew.
    let back_and_forth = Listener::on(&window(), "popstate", |_| _ = window().location().reload());
    // As long as the page.
    Kept::new(back_and_forth);
    provide_context(router);
    router
}

impl Router {
    pub fn get(self) -> Route {
        self.0.get()
    }

    pub fn go(self, path: &str) {
        let history = window().history();
        if history.is_ok_and(|history| history.push_state_with_url(&JsValue::NULL, "", Some(path)).is_ok()) {
            window().scroll_to_with_x_and_y(0.0, 0.0);
            self.0.set(Route::here());
        }
    }
}
