//! What `view!` (`drydock_view`) is made of: elements, attributes, children and reactive pieces, each of one type.
//!
//! Every closure is a type of its own, and a view is compiled once for each type that stands in it: written with bare
//! closures this page would be twice as large. Here a closure is boxed before it meets the view.

use std::pin::Pin;
use std::sync::Arc;

pub use drydock_view::view;
use leptos::ev::{Custom, MouseEvent};
use leptos::html::{self, ElementType};
use leptos::prelude::*;
use leptos::tachys::html::attribute::any_attribute::{AnyAttribute, IntoAnyAttribute};
use leptos::tachys::html::attribute::custom::custom_attribute;
use leptos::tachys::html::class::class;
use leptos::tachys::html::event;
use leptos::tachys::html::node_ref::node_ref;
use leptos::tachys::html::style;
use wasm_bindgen::JsCast;
use web_sys::Event;

use crate::component::icon::{Glyph, Icon};

/// An element being made. Nothing is inlined: what is at a place in the page is a list of short calls.
pub struct Element {
    tag: &'static str,
    attributes: Vec<AnyAttribute>,
    children: Vec<AnyView>,
}

impl Element {
    #[inline(never)]
    pub fn new(tag: &'static str) -> Self {
        Self { tag, attributes: Vec::new(), children: Vec::new() }
    }

    #[inline(never)]
    pub fn fixed(&mut self, name: &'static str, value: &'static str) {
        self.attribute(custom_attribute(name, value).into_any_attr());
    }

    #[inline(never)]
    pub fn owned(&mut self, name: &'static str, value: String) {
        self.attribute(custom_attribute(name, value).into_any_attr());
    }

    #[inline(never)]
    pub fn changing(&mut self, name: &'static str, value: Signal<String>) {
        self.attribute(custom_attribute(name, value).into_any_attr());
    }

    /// A boolean attribute, there while the value holds.
    #[inline(never)]
    pub fn attribute_while(&mut self, name: &'static str, value: Signal<bool>) {
        self.attribute(custom_attribute(name, value).into_any_attr());
    }

    #[inline(never)]
    pub fn class_while(&mut self, name: &'static str, value: Signal<bool>) {
        self.attribute(class((name, value)).into_any_attr());
    }

    #[inline(never)]
    pub fn style(&mut self, property: &'static str, value: Signal<String>) {
        self.attribute(style::style((property, value)).into_any_attr());
    }

    #[inline(never)]
    pub fn inner_html(&mut self, html: String) {
        self.attribute(leptos::tachys::html::element::inner_html(html).into_any_attr());
    }

    #[inline(never)]
    pub fn attribute(&mut self, attribute: AnyAttribute) {
        self.attributes.push(attribute);
    }

    #[inline(never)]
    pub fn words(&mut self, text: &'static str) {
        self.child(text.into_any());
    }

    #[inline(never)]
    pub fn child(&mut self, view: AnyView) {
        self.children.push(view);
    }

    #[inline(never)]
    pub fn done(self) -> AnyView {
        html::custom(self.tag).add_any_attr(self.attributes).child(self.children).into_any()
    }
}

#[inline(never)]
pub fn several(views: Vec<AnyView>) -> AnyView {
    views.into_any()
}

#[inline(never)]
pub fn words(text: &'static str) -> AnyView {
    text.into_any()
}

/// What an attribute can be set to.
pub trait Value {
    fn set(self, name: &'static str, element: &mut Element);
}

impl Value for &'static str {
    fn set(self, name: &'static str, element: &mut Element) {
        element.fixed(name, self);
    }
}

impl Value for String {
    fn set(self, name: &'static str, element: &mut Element) {
        element.owned(name, self);
    }
}

impl Value for Signal<String> {
    fn set(self, name: &'static str, element: &mut Element) {
        element.changing(name, self);
    }
}

/// Not set at all when `None`.
impl Value for Option<&'static str> {
    fn set(self, name: &'static str, element: &mut Element) {
        if let Some(value) = self {
            element.fixed(name, value);
        }
    }
}

#[inline(never)]
pub fn reference<E>(reference: NodeRef<E>) -> AnyAttribute
where
    E: ElementType + 'static,
    E::Output: JsCast + Clone + 'static,
{
    node_ref(reference).into_any_attr()
}

/// `E` is the interface that the named event has.
pub fn on<E: JsCast + 'static>(name: &'static str, mut act: impl FnMut(E) + 'static) -> AnyAttribute {
    #[inline(never)]
    fn erased(name: &'static str, act: Box<dyn FnMut(Event)>) -> AnyAttribute {
        event::on(Custom::<Event>::new(name), act).into_any_attr()
    }
    erased(name, Box::new(move |event| act(event.unchecked_into())))
}

/// A text or an attribute that changes.
pub fn text(read: impl Fn() -> String + Send + Sync + 'static) -> Signal<String> {
    #[inline(never)]
    fn erased(read: Box<dyn Fn() -> String + Send + Sync>) -> Signal<String> {
        Signal::derive(read)
    }
    erased(Box::new(read))
}

/// A class or a boolean attribute that changes.
pub fn flag(read: impl Fn() -> bool + Send + Sync + 'static) -> Signal<bool> {
    #[inline(never)]
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
    #[inline(never)]
    fn erased(keys: Memo<Vec<String>>, draw: Draw) -> AnyView {
        let draw = move |key| draw(key);
        view! { <For each=move || keys.get() key=Clone::clone children=draw/> }.into_any()
    }
    erased(memo(keys), Arc::new(draw))
}

/// A value that tells of a change only when it is another one.
pub fn memo<T: PartialEq + Send + Sync + 'static>(read: impl Fn() -> T + Send + Sync + 'static) -> Memo<T> {
    #[inline(never)]
    fn erased<T: PartialEq + Send + Sync + 'static>(read: Box<dyn Fn() -> T + Send + Sync>) -> Memo<T> {
        Memo::new(move |_| read())
    }
    erased(Box::new(read))
}

/// Runs to its end beside everything else.
pub fn spawn(work: impl Future<Output = ()> + 'static) {
    #[inline(never)]
    fn erased(work: Pin<Box<dyn Future<Output = ()>>>) {
        leptos::task::spawn_local(work);
    }
    erased(Box::pin(work));
}

/// A button that is an icon; `name` is what it is called, and shown where the pointer rests.
pub fn icon_button(name: &'static str, glyph: Glyph, act: impl FnMut() + 'static) -> AnyView {
    #[inline(never)]
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
