//! A bar that is filled to a share, with its words beside it.

use crate::reactive::memo;
use crate::view::{Live, View, flag, text, view};
use leptos::prelude::*;

/// `percent` is between 0 and 100.
#[component]
pub fn Meter(
    label: &'static str,
    #[prop(into)] percent: Live<f32>,
    #[prop(into)] amount: Live<String>,
) -> View {
    let percent = memo(move || percent.get() as i32);
    view! {
        <div class="meter" class:meter-high=flag(move || percent.get() >= 90)>
            <span class="meter-label" aria-hidden="true">{label}</span>
            <span
                class="meter-track"
                role="meter"
                aria-label=label
                aria-valuemin="0"
                aria-valuemax="100"
                aria-valuenow=text(move || percent.get().to_string())
                aria-valuetext=amount.clone()
            >
                <span class="meter-fill" style:width=text(move || format!("{}%", percent.get()))></span>
            </span>
            <span class="meter-text" aria-hidden="true">{amount}</span>
        </div>
    }
}
