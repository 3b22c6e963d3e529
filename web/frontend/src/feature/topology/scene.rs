//! Keeps SVG elements equal to a list of shapes, touching only what changed.

use std::collections::{HashMap, HashSet};

use drydock_model::shapes::Shape;
use leptos::prelude::document;
use wasm_bindgen::JsCast;
use web_sys::{Element, SvgElement};

const SVG: &str = "http://www.w3.org/2000/svg";

/// What is in the drawing at the moment, by key.
#[derive(Debug, Default)]
pub struct Scene {
    drawn: HashMap<String, (Shape, SvgElement)>,
}

impl Scene {
    pub fn draw(&mut self, root: &Element, shapes: Vec<Shape>) {
        let kept: HashSet<&str> = shapes.iter().map(|shape| shape.key.as_str()).collect();
        self.drawn.retain(|key, (_, element)| {
            let stays = kept.contains(key.as_str());
            if !stays {
                element.remove();
            }
            stays
        });
        for shape in shapes {
            self.put(root, shape);
        }
    }

    fn put(&mut self, root: &Element, shape: Shape) {
        if let Some((before, element)) = self.drawn.get_mut(&shape.key) {
            if *before != shape {
                update(element, before, &shape);
                *before = shape;
            }
            return;
        }
        let Ok(element) = document().create_element_ns(Some(SVG), shape.tag) else { return };
        let element: SvgElement = element.unchecked_into();
        let blank = Shape { attributes: Vec::new(), text: String::new(), ..shape.clone() };
        update(&element, &blank, &shape);
        let parent = self.drawn.get(&shape.inside).map_or(root, |(_, parent)| parent);
        // Appending a fresh element to one that takes children does not fail.
        _ = parent.append_child(&element);
        self.drawn.insert(shape.key.clone(), (shape, element));
    }
}

fn update(element: &SvgElement, before: &Shape, now: &Shape) {
    for attribute @ (name, value) in &now.attributes {
        if before.attributes.contains(attribute) {
            continue;
        }
        // Names and values are our own, and well-formed.
        _ = match name.strip_prefix("style:") {
            Some(property) => element.style().set_property(property, value),
            None => element.set_attribute(name, value),
        };
    }
    if before.text != now.text {
        element.set_text_content(Some(&now.text));
    }
}
