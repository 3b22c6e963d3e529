//! Cuts and heals a cable, for labs on failure.

use drydock_model::shapes::Chosen;
use leptos::prelude::*;

use crate::desk::{self, Desk};
use crate::reactive::memo;
use crate::view::{View, each, part, press, text, view};

/// The ends of the cable that is chosen: a node alone means its own.
fn ends(desk: Desk) -> Option<(String, Option<String>)> {
    match desk.chosen.get()? {
        Chosen::Node(node) => Some((node, None)),
        Chosen::Link { node, other } => Some((node, Some(other))),
        Chosen::Container { .. } | Chosen::Network { .. } => None,
    }
}

#[component]
pub fn Faults() -> View {
    let desk = desk::current();
    let is_there = memo(move || ends(desk).is_some());
    part(move || {
        is_there.get().then(|| {
            view! {
                <div class="details-faults" role="group" aria-label="Packets of this link">
                    {setting(desk, 0, "Whole")}
                    {setting(desk, 10, "Lose 10 %")}
                    {setting(desk, 30, "Lose 30 %")}
                    {setting(desk, 100, "Cut")}
                </div>
                <div class="details-ways">{each(move || ways(desk), move |key| way(desk, &key))}</div>
            }
        })
    })
}

/// Sets what is lost, in percent.
fn setting(desk: Desk, loss: u8, name: &'static str) -> View {
    let is_set = move || {
        ends(desk)
            .is_some_and(|(node, other)| desk.model.with(|model| model.loss(&node, other.as_deref())) == loss)
    };
    let set = move || {
        if let Some((node, other)) = ends(desk) {
            desk.set_loss(node, other, loss);
        }
    };
    view! {
        <button
            class="fault-setting"
            aria-pressed=text(move || is_set().to_string())
            data-loss=loss.to_string()
            on:click=press(set)
        >
            {name}
        </button>
    }
}

/// Instances that a way leads to from the chosen node: name and hostname.
fn ways(desk: Desk) -> Vec<String> {
    let Some((node, None)) = ends(desk) else { return Vec::new() };
    let mut ways = Vec::new();
    desk.model.with(|model| {
        for other in &model.nodes {
            if other.name != node {
                ways.push(format!("{} {}", other.name, other.hostname));
            }
        }
    });
    ways
}

/// Leads to the card of the way to another node.
fn way(desk: Desk, key: &str) -> View {
    let (other, hostname) = key.split_once(' ').unwrap_or_default();
    let (other, label) = (other.to_owned(), format!("Link to {hostname}"));
    let choose = move || {
        if let Some((node, _)) = ends(desk) {
            desk.chosen.set(Some(Chosen::Link { node, other: other.clone() }));
        }
    };
    view! { <button class="button button-small" on:click=press(choose)>{label}</button> }
}
