//! Dark or light: as the system says until the reader says otherwise, which is remembered.

use crate::reactive::{State, effect};
use drydock_browser::{storage, window};
use leptos::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    Dark,
    Light,
}

const KEY: &str = "drydock.theme";

impl Theme {
    fn word(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Dark,
        }
    }

    fn remembered() -> Option<Self> {
        let word = storage::read(KEY)?;
        [Self::Dark, Self::Light].into_iter().find(|theme| theme.word() == word)
    }

    fn of_system() -> Self {
        let query = window().match_media("(prefers-color-scheme: light)").ok().flatten();
        if query.is_some_and(|query| query.matches()) { Self::Light } else { Self::Dark }
    }
}

/// For all below; `data-theme` on the root element, which the tokens read, follows it.
pub fn provide() {
    let theme = State::new(Theme::remembered().unwrap_or_else(Theme::of_system));
    effect(move || {
        if let Some(root) = document().document_element() {
            // Setting a plain attribute does not fail.
            _ = root.set_attribute("data-theme", theme.get().word());
        }
    });
    provide_context(theme);
}

pub fn current() -> State<Theme> {
    expect_context()
}

pub fn toggle(theme: State<Theme>) {
    let other = theme.get_untracked().other();
    storage::write(KEY, other.word());
    theme.set(other);
}
