//! A bar that is filled to a share, with its words beside it.

use leptos::prelude::*;

/// `percent` is between 0 and 100; `text` says the amount.
#[component]
pub fn Meter(
    label: &'static str,
    #[prop(into)] percent: Signal<f32>,
    #[prop(into)] text: Signal<String>,
) -> impl IntoView {
    view! {
        <div class="meter" class:meter-high=move || { percent.get() >= 90.0 }>
            <span class="meter-label" aria-hidden="true">{label}</span>
            <span
                class="meter-track"
                role="meter"
                aria-label=label
                aria-valuemin="0"
                aria-valuemax="100"
                aria-valuenow=move || format!("{:.0}", percent.get())
                aria-valuetext=move || text.get()
            >
                <span class="meter-fill" style:width=move || format!("{:.1}%", percent.get())></span>
            </span>
            <span class="meter-text" aria-hidden="true">{move || text.get()}</span>
        </div>
    }
}
