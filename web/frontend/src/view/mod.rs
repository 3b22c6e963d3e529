//! What `view!` (`drydock_view`) is made of: elements, attributes, children and parts that change.
//!
//! Components, signals and their ownership are Leptos's. Its elements are not: each of them is a type made of its
//! attributes and children, compiled for itself, and this page would be twice as large. Here a view is a node of the
//! DOM, made at once; what changes in it is an effect, which ends with the part of the page it belongs to.

mod live;
mod region;

use std::pin::Pin;

pub use drydock_view::view;
pub use live::{Live, flag, text};
pub use region::{each, part, when};

use drydock_browser::listener::Listener;
use drydock_browser::window;
use leptos::ev::MouseEvent;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlElement, Node};

use crate::component::icon::{Glyph, Icon};
use crate::reactive::{Kept, State, at_once};

/// A piece of the page: an element, a text, or several in a fragment, which is empty once it has been put somewhere.
pub struct View(Node);

impl View {
    pub fn nothing() -> Self {
        Self(document().create_document_fragment().into())
    }
}

impl FromIterator<View> for View {
    fn from_iter<I: IntoIterator<Item = View>>(views: I) -> Self {
        let all = Self::nothing();
        views.into_iter().for_each(|view| append(&all.0, view));
        all
    }
}

fn append(parent: &Node, child: View) {
    // Nodes are fresh, and `parent` takes children.
    _ = parent.append_child(&child.0);
}

/// The page, for as long as it is open.
pub fn mount(draw: impl FnOnce() -> View + 'static) {
    leptos::mount::mount_to_body(move || {
        if let Some(body) = document().body() {
            append(&body, draw());
        }
    });
}

/// What may stand between tags.
pub trait Child {
    fn into_view(self) -> View;
}

impl Child for View {
    fn into_view(self) -> View {
        self
    }
}

impl Child for &str {
    fn into_view(self) -> View {
        View(document().create_text_node(self).into())
    }
}

impl Child for String {
    fn into_view(self) -> View {
        self.as_str().into_view()
    }
}

impl Child for Live<String> {
    fn into_view(self) -> View {
        let node = document().create_text_node("");
        let written = node.clone();
        at_once(move || written.set_data(&self.get()));
        View(node.into())
    }
}

impl<C: Child> Child for Option<C> {
    fn into_view(self) -> View {
        self.map_or_else(View::nothing, C::into_view)
    }
}

/// An element being made. Nothing is inlined: what is at a place in the page is a list of short calls.
pub struct Element(web_sys::Element);

/// Drawings are of another namespace than the page.
const SVG: &str = "http://www.w3.org/2000/svg";

impl Element {
    #[inline(never)]
    pub fn new(tag: &'static str) -> Self {
        let document = document();
        let made = match tag {
            "svg" | "path" => document.create_element_ns(Some(SVG), tag),
            _ => document.create_element(tag),
        };
        Self(made.expect("a tag is a name"))
    }

    #[inline(never)]
    pub fn fixed(&mut self, name: &'static str, value: &str) {
        set_attribute(&self.0, name, value);
    }

    #[inline(never)]
    pub fn changing(&mut self, name: &'static str, value: Live<String>) {
        let element = self.0.clone();
        at_once(move || set_attribute(&element, name, &value.get()));
    }

    /// A boolean attribute, there while the value holds.
    #[inline(never)]
    pub fn attribute_while(&mut self, name: &'static str, value: Live<bool>) {
        let element = self.0.clone();
        at_once(move || {
            // Fails for malformed names only.
            _ = element.toggle_attribute_with_force(name, value.get());
        });
    }

    #[inline(never)]
    pub fn class_while(&mut self, name: &'static str, value: Live<bool>) {
        let classes = self.0.class_list();
        at_once(move || {
            // Fails for empty names and those with spaces only.
            _ = classes.toggle_with_force(name, value.get());
        });
    }

    #[inline(never)]
    pub fn style(&mut self, property: &'static str, value: Live<String>) {
        let style = self.0.unchecked_ref::<HtmlElement>().style();
        at_once(move || {
            // Fails for read-only styles only.
            _ = style.set_property(property, &value.get());
        });
    }

    #[inline(never)]
    pub fn inner_html(&mut self, html: &str) {
        self.0.set_inner_html(html);
    }

    #[inline(never)]
    pub fn listen(&mut self, event: &'static str, act: Box<dyn FnMut(Event)>) {
        Kept::new(Listener::on(&self.0, event, act));
    }

    /// Tells `place` which element it is.
    pub fn reference<E>(&mut self, place: Place<E>) {
        place.0.set(Some(self.0.clone()));
    }

    #[inline(never)]
    pub fn words(&mut self, text: &'static str) {
        append(&self.0, text.into_view());
    }

    #[inline(never)]
    pub fn child(&mut self, view: View) {
        append(&self.0, view);
    }

    #[inline(never)]
    pub fn done(self) -> View {
        View(self.0.into())
    }
}

fn set_attribute(element: &web_sys::Element, name: &str, value: &str) {
    // Fails for malformed names only.
    _ = element.set_attribute(name, value);
}

/// What an attribute can be set to.
pub trait Value {
    fn set(self, name: &'static str, element: &mut Element);
}

impl Value for &str {
    fn set(self, name: &'static str, element: &mut Element) {
        element.fixed(name, self);
    }
}

impl Value for String {
    fn set(self, name: &'static str, element: &mut Element) {
        element.fixed(name, &self);
    }
}

impl Value for Live<String> {
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

/// Where an element of the DOM's interface `E` is found once it is made: `node_ref` in a view.
pub struct Place<E>(State<Option<web_sys::Element>>, std::marker::PhantomData<fn() -> E>);

impl<E> Clone for Place<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Place<E> {}

impl<E: JsCast> Place<E> {
    pub fn new() -> Self {
        Self(State::default(), std::marker::PhantomData)
    }

    pub fn get(self) -> Option<E> {
        self.0.get().map(JsCast::unchecked_into)
    }

    pub fn get_untracked(self) -> Option<E> {
        self.0.get_untracked().map(JsCast::unchecked_into)
    }
}

/// What is done at an event; `E` is the interface that the event has.
pub fn on<E: JsCast + 'static>(mut act: impl FnMut(E) + 'static) -> Box<dyn FnMut(Event)> {
    Box::new(move |event| act(event.unchecked_into()))
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
pub fn icon_button(name: &'static str, glyph: Glyph, act: impl FnMut() + 'static) -> View {
    #[inline(never)]
    fn erased(name: &'static str, glyph: Glyph, act: Box<dyn FnMut(MouseEvent)>) -> View {
        view! {
            <button class="button-icon" type="button" aria-label=name title=name on:click=act>
                <Icon glyph/>
            </button>
        }
    }
    erased(name, glyph, press(act))
}

/// What a click does.
pub fn press(act: impl FnMut() + 'static) -> Box<dyn FnMut(MouseEvent)> {
    let mut act: Box<dyn FnMut()> = Box::new(act);
    Box::new(move |_| act())
}

fn document() -> web_sys::Document {
    window().document().expect("a page has a document")
}
