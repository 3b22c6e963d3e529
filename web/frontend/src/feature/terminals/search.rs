//! Searching one terminal's scrollback.

use drydock_model::workspace::Key;
use leptos::ev::KeyboardEvent;
use leptos::prelude::*;

use crate::component::icon::Glyph;
use crate::desk;
use crate::reactive::{Kept, State, effect};
use crate::view::{Place, View, flag, icon_button, text, view};

#[component]
pub fn Search(key: Key) -> View {
    let desk = desk::current();
    let key = Kept::new(key);
    let input = Place::<web_sys::HtmlInputElement>::new();
    let is_missing = State::new(false);
    effect(move || {
        if let Some(input) = input.get() {
            // It has just been drawn, so it can be focused.
            _ = input.focus();
        }
    });
    let find = move |forwards: bool| {
        let text = input.get_untracked().map(|input| input.value()).unwrap_or_default();
        key.with_value(|key| {
            desk.with_view(key, |view| {
                if text.is_empty() {
                    view.stop_finding();
                }
                is_missing.set(!text.is_empty() && !view.find(&text, forwards));
            });
        });
    };
    let close = move || {
        desk.searching.set(None);
        key.with_value(|key| desk.focus(key));
    };
    let on_key = move |event: KeyboardEvent| match event.key().as_str() {
        "Enter" => {
            event.prevent_default();
            find(event.shift_key());
        }
        "Escape" => close(),
        _ => {}
    };
    view! {
        <div class="search" role="search" aria-label="Search the output">
            <input
                class="search-input"
                class:search-missing=flag(move || is_missing.get())
                node_ref=input
                type="text"
                placeholder="Search the output"
                aria-label="Search the output"
                aria-invalid=text(move || is_missing.get().to_string())
                autocomplete="off"
                spellcheck="false"
                on:input=move |_| find(false)
                on:keydown=on_key
            />
            {icon_button("Previous match", Glyph::Up, move || find(false))}
            {icon_button("Next match", Glyph::Down, move || find(true))}
            {icon_button("Close the search", Glyph::Close, close)}
        </div>
    }
}
