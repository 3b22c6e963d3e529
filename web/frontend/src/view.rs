//! Reactive pieces of a view, each of one type.
//!
//! Every closure is a type of its own, and a view is compiled once for each type that stands in it: written with bare
//! closures this page would be twice as large. Here a closure is boxed before it meets the view.

use std::pin::Pin;
use std::sync::Arc;

use leptos::ev::MouseEvent;
use leptos::prelude::*;

use crate::component::icon::{Glyph, Icon};

/// A text or an attribute that changes.
pub fn text(read: impl Fn() -> String + Send + Sync + 'static) -> Signal<String> {
    fn erased(read: Box<dyn Fn() -> String + Send + Sync>) -> Signal<String> {
        Signal::derive(read)
    }
    erased(Box::new(read))
}

/// A class or a boolean attribute that changes.
pub fn flag(read: impl Fn() -> bool + Send + Sync + 'static) -> Signal<bool> {
    fn erased(read: Box<dyn Fn() -> bool + Send + Sync>) -> Signal<bool> {
        Signal::derive(read)
    }
    erased(Box::new(read))
}

/// A part of the view that is drawn anew when what it reads changes.
pub type Part = Box<dyn Fn() -> AnyView + Send + Sync>;

pub fn part(draw: impl Fn() -> AnyView + Send + Sync + 'static) -> Part {
    Box::new(draw)
}

/// Drawn while `condition` holds.
pub fn when(
    condition: impl Fn() -> bool + Send + Sync + 'static,
    draw: impl Fn() -> AnyView + Send + Sync + 'static,
) -> Part {
    let condition = memo(condition);
    part(move || if condition.get() { draw() } else { ().into_any() })
}

/// One view per key, kept as long as its key is in the list.
pub fn each(
    keys: impl Fn() -> Vec<String> + Send + Sync + 'static,
    draw: impl Fn(String) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    type Draw = Arc<dyn Fn(String) -> AnyView + Send + Sync>;
    fn erased(keys: Memo<Vec<String>>, draw: Draw) -> AnyView {
        let draw = move |key| draw(key);
        view! { <For each=move || keys.get() key=Clone::clone children=draw/> }.into_any()
    }
    erased(memo(keys), Arc::new(draw))
}

/// A value that tells of a change only when it is another one.
pub fn memo<T: PartialEq + Send + Sync + 'static>(read: impl Fn() -> T + Send + Sync + 'static) -> Memo<T> {
    fn erased<T: PartialEq + Send + Sync + 'static>(read: Box<dyn Fn() -> T + Send + Sync>) -> Memo<T> {
        Memo::new(move |_| read())
    }
    erased(Box::new(read))
}

/// Runs to its end beside everything else.
pub fn spawn(work: impl Future<Output = ()> + 'static) {
    fn erased(work: Pin<Box<dyn Future<Output = ()>>>) {
        leptos::task::spawn_local(work);
    }
    erased(Box::pin(work));
}

/// A button that is an icon; `name` is what it is called, and shown where the pointer rests.
pub fn icon_button(name: &'static str, glyph: Glyph, act: impl FnMut() + 'static) -> AnyView {
    fn erased(name: &'static str, glyph: Glyph, act: Box<dyn FnMut(MouseEvent)>) -> AnyView {
        view! {
            <button class="button-icon" type="button" aria-label=name title=name on:click=act>
                <Icon glyph/>
            </button>
        }
        .into_any()
    }
    erased(name, glyph, press(act))
}

/// What a click does.
pub fn press(act: impl FnMut() + 'static) -> Box<dyn FnMut(MouseEvent)> {
    let mut act: Box<dyn FnMut()> = Box::new(act);
    Box::new(move |_| act())
}
