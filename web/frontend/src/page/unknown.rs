//! An address that is no page.

use leptos::prelude::*;

use crate::feature::bar::Brand;
use crate::view::{View, view};

#[component]
pub fn Unknown() -> View {
    view! { <Sorry title="There is no such page" text="The address may be mistyped."/> }
}

/// A whole page with one thing to say and the way home.
#[component]
pub fn Sorry(title: &'static str, #[prop(into)] text: String) -> View {
    view! {
        <main class="sorry">
            <Brand/>
            <h1 class="sorry-title">{title}</h1>
            <p class="sorry-text">{text}</p>
            <a class="button button-primary" href="/">"Start a new session"</a>
        </main>
    }
}
