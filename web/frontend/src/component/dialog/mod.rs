//! A question that must be answered before anything else: the browser's own modal dialog, which keeps the focus
//! inside and gives it back afterwards.

use crate::reactive::{State, effect};
use crate::view::{Live, Place, View, press, view};
use leptos::prelude::*;

/// Open while `open` is; Escape and the dialog's own buttons close it.
#[component]
pub fn Confirm(
    open: State<bool>,
    #[prop(into)] title: Live<String>,
    #[prop(into)] body: Live<String>,
    action: &'static str,
    on_confirm: Box<dyn Fn()>,
) -> View {
    let element = Place::<web_sys::HtmlDialogElement>::new();
    effect(move || {
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
            aria-label=title.clone()
            on:close=move |_| open.set(false)
        >
            <h2 class="dialog-title">{title}</h2>
            <p class="dialog-body">{body}</p>
            <div class="dialog-actions">
                <button class="button" autofocus on:click=press(move || open.set(false))>"Cancel"</button>
                <button
                    class="button button-danger"
                    on:click=press(move || {
                        open.set(false);
                        on_confirm();
                    })
                >
                    {action}
                </button>
            </div>
        </dialog>
    }
}
