//! The line between two panes: dragged, or moved with the arrow keys.

use crate::reactive::{State, memo};
use crate::view::{Live, View, flag, text, view};
use leptos::ev;
use leptos::prelude::*;
use web_sys::{HtmlElement, PointerEvent};

/// `size` is of the pane on the side that `grows` says, in pixels.
#[component]
pub fn Splitter(
    label: &'static str,
    size: State<f64>,
    /// 1 when the sized pane is before the line, -1 when it is after.
    grows: f64,
    #[prop(into)] vertical: Live<bool>,
) -> View {
    let vertical = memo(move || vertical.get());
    let dragged_from = State::new(None::<(f64, f64)>);
    let place = move |event: &PointerEvent| {
        f64::from(if vertical.get_untracked() { event.client_y() } else { event.client_x() })
    };
    let resize = move |to: f64| size.set(to.clamp(220.0, 1_200.0));
    let begin = move |event: PointerEvent| {
        let line: HtmlElement = event_target(&event);
        // The pointer is there: it has just been pressed.
        _ = line.set_pointer_capture(event.pointer_id());
        dragged_from.set(Some((place(&event), size.get_untracked())));
        event.prevent_default();
    };
    let drag = move |event: PointerEvent| {
        if let Some((from, before)) = dragged_from.get_untracked() {
            resize(before + (place(&event) - from) * grows);
        }
    };
    let key = move |event: ev::KeyboardEvent| {
        let by = match event.key().as_str() {
            "ArrowLeft" | "ArrowUp" => -24.0,
            "ArrowRight" | "ArrowDown" => 24.0,
            _ => return,
        };
        event.prevent_default();
        resize(size.get_untracked() + by * grows);
    };
    view! {
        <div
            class="splitter"
            class:splitter-vertical=flag(move || vertical.get())
            role="separator"
            tabindex="0"
            aria-label=label
            aria-orientation=text(move || if vertical.get() { "horizontal".to_owned() } else { "vertical".to_owned() })
            aria-valuenow=text(move || (size.get() as i32).to_string())
            on:pointerdown=begin
            on:pointermove=drag
            on:pointerup=move |_| dragged_from.set(None)
            on:pointercancel=move |_| dragged_from.set(None)
            on:keydown=key
        ></div>
    }
}
