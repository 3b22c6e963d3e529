//! The root: what every page has, and which page it is.

use leptos::prelude::*;

use crate::component::toast;
use crate::page::landing::Landing;
use crate::page::session::SessionPage;
use crate::page::unknown::Unknown;
use crate::route::{self, Route};
use crate::theme;
use crate::view::{View, part, view};

#[component]
pub fn App() -> View {
    theme::provide();
    toast::provide();
    let router = route::provide();
    view! {
        {part(move || match router.get() {
            Route::Landing => view! { <Landing/> },
            Route::Session { id, read_only } => view! { <SessionPage id read_only/> },
            Route::Unknown => view! { <Unknown/> },
        })}
        <toast::Toasts/>
    }
}
