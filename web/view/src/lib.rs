//! `view!` for this page: the same markup as Leptos's, compiled to calls.
//!
//! Leptos gives every element a type made of its tag, its attributes and its children, and compiles building,
//! updating and removing for each. This page has some three hundred elements, and weighed twice what it may. Here an
//! element is a `crate::view::Element` that is told its attributes and children. Components are Leptos's own. Closures
//! as attributes or children are wrapped by the helpers of `crate::view`, which give them one type each.
#![forbid(unsafe_code)]

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use rstml::node::{KeyedAttribute, Node, NodeAttribute, NodeBlock, NodeElement};

#[proc_macro]
pub fn view(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    match rstml::parse2(tokens.into()) {
        Ok(nodes) => root(&nodes).into(),
        Err(error) => error.to_compile_error().into(),
    }
}

fn root(nodes: &[Node]) -> TokenStream {
    match children(nodes).as_slice() {
        [only] => only.clone(),
        several => quote!([#(#several),*].into_iter().collect::<crate::view::View>()),
    }
}

fn children(nodes: &[Node]) -> Vec<TokenStream> {
    nodes.iter().filter_map(child).collect()
}

/// An expression of type `View`.
fn child(node: &Node) -> Option<TokenStream> {
    Some(match node {
        Node::Element(element) if is_component(element) => component(element),
        Node::Element(element) => self::element(element),
        Node::Text(text) => {
            let text = &text.value;
            quote!(crate::view::Child::into_view(#text))
        }
        Node::Block(NodeBlock::ValidBlock(block)) => {
            let statements = &block.stmts;
            quote!(crate::view::Child::into_view({ #(#statements)* }))
        }
        Node::Fragment(fragment) => root(&fragment.children),
        Node::Block(_) | Node::Comment(_) | Node::Doctype(_) | Node::RawText(_) | Node::Custom(_) => {
            return None;
        }
    })
}

/// Components begin with a capital, maybe behind a path.
fn is_component(element: &NodeElement<rstml::Infallible>) -> bool {
    let name = element.name().to_string();
    let last = name.rsplit("::").next().unwrap_or(&name).trim();
    last.starts_with(char::is_uppercase)
}

fn component(element: &NodeElement<rstml::Infallible>) -> TokenStream {
    let name = element.name();
    let properties = element.attributes().iter().map(|attribute| match attribute {
        NodeAttribute::Attribute(keyed) => {
            let key = &keyed.key;
            match keyed.value() {
                Some(value) => quote!(.#key(#value)),
                None => quote!(.#key(#key)),
            }
        }
        NodeAttribute::Block(block) => quote!(.block(compile_error!(stringify!(#block, "is no property")))),
    });
    let inside = (!element.children.is_empty()).then(|| {
        let view = root(&element.children);
        quote!(.children(#view))
    });
    quote!(::leptos::component::component_view(
        &#name,
        ::leptos::component::component_props_builder(&#name) #(#properties)* #inside .build(),
    ))
}

fn element(element: &NodeElement<rstml::Infallible>) -> TokenStream {
    let (tag, this) = (element.name().to_string(), this());
    let attributes = element.attributes().iter().map(|attribute| match attribute {
        NodeAttribute::Attribute(keyed) => self::attribute(keyed),
        NodeAttribute::Block(block) => quote!(compile_error!(stringify!(#block, "is no attribute"))),
    });
    let children = element.children.iter().filter_map(|node| match node {
        Node::Text(text) => {
            let text = &text.value;
            Some(quote!(#this.words(#text);))
        }
        node => child(node).map(|child| quote!(#this.child(#child);)),
    });
    quote!({
        let mut #this = crate::view::Element::new(#tag);
        #(#attributes)*
        #(#children)*
        #this.done()
    })
}

/// The element being made: a name that the markup's own expressions do not see.
fn this() -> Ident {
    Ident::new("element", Span::mixed_site())
}

/// A statement that tells `element` of it.
fn attribute(attribute: &KeyedAttribute) -> TokenStream {
    let (name, this) = (attribute.key.to_string(), this());
    let Some(value) = attribute.value() else {
        return quote!(#this.fixed(#name, ""););
    };
    if let Some(literal) = attribute.value_literal_string() {
        return quote!(#this.fixed(#name, #literal););
    }
    match name.split_once(':') {
        Some(("on", event)) => {
            let kind = event_type(event);
            quote!(#this.listen(#event, crate::view::on::<#kind>(#value));)
        }
        Some(("class", class)) => quote!(#this.class_while(#class, (#value).into());),
        Some(("style", property)) => quote!(#this.style(#property, (#value).into());),
        Some(_) => quote!(compile_error!(concat!(#name, " is not known to this page's view!"))),
        None => match name.as_str() {
            "node_ref" => quote!(#this.reference(#value);),
            "inner_html" => quote!(#this.inner_html(&#value);),
            "hidden" | "disabled" => quote!(#this.attribute_while(#name, (#value).into());),
            _ => quote!(crate::view::Value::set(#value, #name, &mut #this);),
        },
    }
}

/// The DOM's interface of an event, which a handler's argument has.
fn event_type(event: &str) -> TokenStream {
    match event {
        "click" => quote!(::leptos::ev::MouseEvent),
        "submit" => quote!(::leptos::ev::SubmitEvent),
        "keydown" | "keyup" => quote!(::leptos::ev::KeyboardEvent),
        "focusin" | "focusout" => quote!(::leptos::ev::FocusEvent),
        event if event.starts_with("drag") || event == "drop" => quote!(::leptos::ev::DragEvent),
        event if event.starts_with("pointer") => quote!(::leptos::ev::PointerEvent),
        _ => quote!(::web_sys::Event),
    }
}
