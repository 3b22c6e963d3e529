//! A question that must be answered before anything else: the browser's own modal dialog, which keeps the focus
//! inside and gives it back afterwards.

use crate::view::{press, text, view};
use leptos::html::Dialog as DialogElement;
use leptos::prelude::*;

/// Open while `open` is; Escape and the dialog's own buttons close it.
#[component]
pub fn Confirm(
    open: RwSignal<bool>,
    #[prop(into)] title: Signal<String>,
    #[prop(into)] body: Signal<String>,
    action: &'static str,
    on_confirm: Callback<()>,
) -> impl IntoView {
    let element = NodeRef::<DialogElement>::new();
    Effect::new(move |_| {
        let Some(dialog) = element.get() else { return };
        if open.get() {
            // Fails only when it is open already.
            _ = dialog.show_modal();
        } else {
            dialog.close();
        }
    });
    view! {
        <dialog
            class="dialog"
            node_ref=element
            aria-label=text(move || title.get())
            on:close=move |_| open.set(false)
        >
            <h2 class="dialog-title">{text(move || title.get())}</h2>
            <p class="dialog-body">{text(move || body.get())}</p>
            <div class="dialog-actions">
                <button class="button" autofocus on:click=press(move || open.set(false))>"Cancel"</button>
                <button
                    class="button button-danger"
                    on:click=press(move || {
                        open.set(false);
                        on_confirm.run(());
                    })
                >
                    {action}
                </button>
            </div>
        </dialog>
    }
}
