//! The drawing of what runs where, live. [`drydock_model::drawing`] says where things are, [`drydock_model::shapes`]
//! what they look like, [`scene`] makes it so.

mod capture;
mod card;
mod faults;
mod scene;

use drydock_browser::observer::SizeObserver;
use drydock_model::drawing;
use drydock_model::shapes::{self, Chosen};
use drydock_wire::topology::Topology;
use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use web_sys::{Element, Event};

use crate::desk;
use crate::reactive::{Kept, State, effect, memo};
use crate::view::{Place, View, part, text, view};
use capture::CapturePlace;
pub use capture::Target;
use card::Card;
use scene::Scene;

#[component]
pub fn TopologyPane() -> View {
    let desk = desk::current();
    let frame = Place::<Element>::new();
    let canvas = Place::<Element>::new();
    let width = State::new(400);
    let observer = Kept::new(None::<SizeObserver>);
    let scene = Kept::new(Scene::default());
    effect(move || {
        if let Some(frame) = frame.get() {
            let element = frame.clone();
            let observed = SizeObserver::on(&frame, move || width.set(element.client_width()));
            observer.set_value(Some(observed));
        }
    });
    let picture = memo(move || desk.model.with(|model| model.picture()));
    let summary = memo(move || picture.with(summary));
    effect(move || {
        let Some(canvas) = canvas.get() else { return };
        let drawing = picture.with(|picture| drawing::draw(picture, f64::from(width.get())));
        for (name, value) in [("width", drawing.width), ("height", drawing.height)] {
            // A number is always a good length.
            _ = canvas.set_attribute(name, &(value as i32).to_string());
        }
        let shapes = desk.chosen.with(|chosen| shapes::shapes(&drawing, chosen.as_ref()));
        scene.update_value(|scene| scene.draw(&canvas, shapes));
    });
    let choose = move |event: &Event| {
        if let Some(chosen) = pressed(event) {
            desk.chosen.set(Some(chosen));
        }
    };
    let press = move |event: KeyboardEvent| {
        if matches!(event.key().as_str(), "Enter" | " ") {
            event.prevent_default();
            choose(&event);
        }
    };
    view! {
        <section class="topology" aria-label="Topology">
            <header class="pane-head">
                <h2 class="pane-title">"Topology"</h2>
                <span class="pane-count">{text(move || summary.get())}</span>
            </header>
            <div class="topology-frame" node_ref=frame>
                <svg
                    class="drawing"
                    node_ref=canvas
                    role="group"
                    aria-label=text(move || format!("Drawing: {}", summary.get()))
                    on:click=move |event| choose(&event)
                    on:keydown=press
                ></svg>
                {part(move || {
                    let is_empty = picture.with(|picture| picture.nodes.is_empty());
                    is_empty
                        .then(|| view! { <p class="pane-hint topology-empty">"Add a node to see it here."</p> })
                })}
            </div>
            <Card/>
            <CapturePlace/>
        </section>
    }
}

/// What the pressed place of the drawing stands for.
fn pressed(event: &Event) -> Option<Chosen> {
    let button = event_target::<Element>(event).closest("[data-key]").ok()??;
    Chosen::read(&button.get_attribute("data-key")?)
}

fn summary(picture: &Topology) -> String {
    let nodes = picture.nodes.len();
    let containers: usize = picture.nodes.iter().map(|node| node.containers.len()).sum();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    format!("{}, {}", plural(nodes, "node"), plural(containers, "container"))
}
