//! The drawing of what runs where, live. Geometry is [`drydock_model::drawing`]'s; this makes SVG of it.

mod card;

use drydock_browser::observer::SizeObserver;
use drydock_model::drawing::{self, CARD, ContainerBox, Drawing, HEADER, NodeBox, Rail};
use leptos::ev::KeyboardEvent;
use leptos::html::Div;
use leptos::prelude::*;

use crate::desk::{self, Chosen};
use card::Card;

#[component]
pub fn TopologyPane() -> impl IntoView {
    let desk = desk::current();
    let frame = NodeRef::<Div>::new();
    let width = RwSignal::new(400.0);
    let observer = StoredValue::new_local(None::<SizeObserver>);
    Effect::new(move |_| {
        if let Some(frame) = frame.get() {
            let element = frame.clone();
            let observed = SizeObserver::on(&frame, move || width.set(f64::from(element.client_width())));
            observer.set_value(Some(observed));
        }
    });
    let drawing = Memo::new(move |_| drawing::draw(&desk.model.with(|model| model.picture()), width.get()));
    let names = Memo::new(move |_| {
        drawing.with(|drawing| drawing.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>())
    });
    let summary = Memo::new(move |_| drawing.with(summary));
    view! {
        <section class="topology" aria-label="Topology">
            <header class="pane-head">
                <h2 class="pane-title">"Topology"</h2>
                <span class="pane-count">{move || summary.get()}</span>
            </header>
            <div class="topology-frame" node_ref=frame>
                <svg
                    class="drawing"
                    role="group"
                    aria-label=move || format!("Drawing: {}", summary.get())
                    width=move || drawing.with(|drawing| drawing.width)
                    height=move || drawing.with(|drawing| drawing.height)
                >
                    <Switch drawing/>
                    <For each=move || names.get() key=Clone::clone let:name>
                        <NodeGroup name drawing/>
                    </For>
                </svg>
                <Show when=move || names.with(Vec::is_empty)>
                    <p class="pane-hint topology-empty">"Add a node to see it here."</p>
                </Show>
            </div>
            <Card/>
        </section>
    }
}

fn summary(drawing: &Drawing) -> String {
    let nodes = drawing.nodes.len();
    let containers: usize = drawing.nodes.iter().map(|node| node.containers.len()).sum();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    format!("{}, {}", plural(nodes, "node"), plural(containers, "container"))
}

#[component]
fn Switch(drawing: Memo<Drawing>) -> impl IntoView {
    let switch = Memo::new(move |_| drawing.with(|drawing| drawing.switch));
    view! {
        <g class="switch">
            <rect
                class="switch-bar"
                rx="6"
                x=move || switch.get().x
                y=move || switch.get().y
                width=move || switch.get().width
                height=move || switch.get().height
            ></rect>
            <text
                class="switch-name"
                text-anchor="middle"
                x=move || switch.get().x + switch.get().width / 2.0
                y=move || switch.get().y + switch.get().height / 2.0 + 4.0
            >
                "session network"
            </text>
        </g>
    }
}

fn pixels(value: f64) -> String {
    format!("{value:.1}px")
}

fn shifted(x: f64, y: f64) -> String {
    format!("translate({x:.1}px, {y:.1}px)")
}

/// Enter and space press what is not a native button.
fn on_press(press: impl Fn() + 'static) -> impl Fn(KeyboardEvent) + 'static {
    move |event: KeyboardEvent| {
        if matches!(event.key().as_str(), "Enter" | " ") {
            event.prevent_default();
            press();
        }
    }
}

#[component]
fn NodeGroup(name: String, drawing: Memo<Drawing>) -> impl IntoView {
    let desk = desk::current();
    let name = StoredValue::new(name);
    // A node that has just gone keeps its last shape until it is taken down.
    let node = Memo::new(move |last: Option<&Option<NodeBox>>| {
        let now = drawing.with(|drawing| {
            name.with_value(|name| drawing.nodes.iter().find(|node| node.name == *name).cloned())
        });
        now.or_else(|| last.cloned().flatten())
    });
    let of = move |read: fn(&NodeBox) -> f64| {
        move || node.with(|node| node.as_ref().map(read).unwrap_or_default())
    };
    let text = move |read: fn(&NodeBox) -> String| {
        Memo::new(move |_| node.with(|node| node.as_ref().map(read).unwrap_or_default()))
    };
    let hostname = text(|node| node.hostname.clone());
    let ip = text(|node| node.ip.clone());
    let role = text(|node| node.role.clone());
    let state = text(|node| node.state.clone());
    let networks = Memo::new(move |_| {
        let ids = |node: &NodeBox| node.rails.iter().map(|rail| rail.network.clone()).collect::<Vec<_>>();
        node.with(|node| node.as_ref().map(ids).unwrap_or_default())
    });
    let containers = Memo::new(move |_| {
        let ids = |node: &NodeBox| node.containers.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        node.with(|node| node.as_ref().map(ids).unwrap_or_default())
    });
    let choose = move || desk.chosen.set(Some(Chosen::Node(name.get_value())));
    let place = move || node.with(|node| node.as_ref().map(|node| shifted(node.frame.x, node.frame.y)));
    let cable_top = of(|node| node.cable_top);
    let cable_x = of(|node| node.cable_x);
    let (width, height) = (of(|node| node.frame.width), of(|node| node.frame.height));
    let role_x = of(|node| node.frame.width - 14.0);
    view! {
        <g class="drawn-node" data-state=move || state.get() style:transform=place>
            <rect
                class="cable"
                width="2"
                x=cable_x
                style:y=move || pixels(cable_top())
                style:height=move || pixels(HEADER / 2.0 - cable_top())
            ></rect>
            <rect class="cable" height="2" x=cable_x y=HEADER / 2.0 - 1.0 width=move || -cable_x()></rect>
            <rect class="node-frame" rx="10" style:width=move || pixels(width()) style:height=move || pixels(height())></rect>
            <circle class="plug" r="4" cx="0" cy=HEADER / 2.0></circle>
            <g
                class="node-name-plate"
                role="button"
                tabindex="0"
                aria-label=move || format!("{}, {}, {}", hostname.get(), ip.get(), state.get())
                on:click=move |_| choose()
                on:keydown=on_press(choose)
            >
                <rect class="hit" rx="8" x="4" y="4" height=HEADER - 8.0 width=move || (width() - 8.0).max(0.0)></rect>
                <text class="drawn-title" x="16" y="22">{move || hostname.get()}</text>
                <text class="drawn-mono" x="16" y="39">{move || ip.get()}</text>
                <text class="drawn-role" text-anchor="end" x=role_x y="22">{move || role.get()}</text>
                <text class="drawn-soft" text-anchor="end" x=role_x y="39">
                    {move || Some(state.get()).filter(|state| state != "ready")}
                </text>
            </g>
            <For each=move || networks.get() key=Clone::clone let:id>
                <RailGroup id node of=name/>
            </For>
            <For each=move || containers.get() key=Clone::clone let:id>
                <ContainerGroup id node of=name/>
            </For>
            <Show when=move || containers.with(Vec::is_empty)>
                <text class="drawn-soft" x="16" y=move || height() - 14.0>"no containers"</text>
            </Show>
        </g>
    }
}

#[component]
fn RailGroup(id: String, node: Memo<Option<NodeBox>>, of: StoredValue<String>) -> impl IntoView {
    let desk = desk::current();
    let id = StoredValue::new(id);
    let rail = Memo::new(move |last: Option<&Option<Rail>>| {
        let find =
            |node: &NodeBox| id.with_value(|id| node.rails.iter().find(|rail| rail.network == *id).cloned());
        node.with(|node| node.as_ref().and_then(find)).or_else(|| last.cloned().flatten())
    });
    let get =
        move |read: fn(&Rail) -> f64| move || rail.with(|rail| rail.as_ref().map(read).unwrap_or_default());
    let words = move |read: fn(&Rail) -> String| {
        move || rail.with(|rail| rail.as_ref().map(read).unwrap_or_default())
    };
    let choose = move || {
        desk.chosen.set(Some(Chosen::Network { node: of.get_value(), id: id.get_value() }));
    };
    let (name, about) = (words(|rail| rail.name.clone()), words(|rail| rail.about.clone()));
    view! {
        <g class="rail" data-hue=get(|rail| rail.hue as f64)>
            <rect
                class="rail-line"
                width="3"
                rx="1.5"
                x=get(|rail| rail.x - 1.5)
                style:y=move || pixels(get(|rail| rail.top)())
                style:height=move || pixels(get(|rail| rail.bottom - rail.top)())
            ></rect>
            <g
                role="button"
                tabindex="0"
                aria-label=move || format!("Network {} {}", name(), about())
                on:click=move |_| choose()
                on:keydown=on_press(choose)
            >
                <rect
                    class="hit"
                    rx="5"
                    height="20"
                    x=get(|rail| rail.label_x - 8.0)
                    y=get(|rail| rail.top - 10.0)
                    width=move || node.with(|node| node.as_ref().map_or(0.0, |node| node.frame.width)) - get(|rail| rail.label_x + 4.0)()
                ></rect>
                <rect
                    class="rail-line"
                    height="3"
                    x=get(|rail| rail.x)
                    y=get(|rail| rail.top - 1.5)
                    width=move || (get(|rail| rail.label_x - rail.x - 6.0)()).max(0.0)
                ></rect>
                <circle class="rail-begin" r="5" cx=get(|rail| rail.x) cy=get(|rail| rail.top)></circle>
                <text class="rail-name" x=get(|rail| rail.label_x) y=get(|rail| rail.top + 4.0)>
                    {name}
                </text>
                <text
                    class="drawn-mono"
                    text-anchor="end"
                    x=move || node.with(|node| node.as_ref().map_or(0.0, |node| node.frame.width)) - 14.0
                    y=get(|rail| rail.top + 4.0)
                >
                    {about}
                </text>
            </g>
        </g>
    }
}

#[component]
fn ContainerGroup(id: String, node: Memo<Option<NodeBox>>, of: StoredValue<String>) -> impl IntoView {
    let desk = desk::current();
    let id = StoredValue::new(id);
    let container = Memo::new(move |last: Option<&Option<ContainerBox>>| {
        let find =
            |node: &NodeBox| id.with_value(|id| node.containers.iter().find(|one| one.id == *id).cloned());
        node.with(|node| node.as_ref().and_then(find)).or_else(|| last.cloned().flatten())
    });
    let text = move |read: fn(&ContainerBox) -> String| {
        Memo::new(move |_| container.with(|one| one.as_ref().map(read).unwrap_or_default()))
    };
    let get = move |read: fn(&ContainerBox) -> f64| {
        move || container.with(|one| one.as_ref().map(read).unwrap_or_default())
    };
    let name = text(|one| one.name.clone());
    let image = text(|one| one.image.clone());
    let state = text(|one| one.state.clone());
    let ip = text(|one| one.ip.clone());
    let ports = text(|one| one.ports.clone());
    let stations = Memo::new(move |_| {
        container.with(|one| one.as_ref().map(|one| one.stations.clone()).unwrap_or_default())
    });
    let left = get(|one| one.frame.x);
    let width = get(|one| one.frame.width);
    let end = move || left() + width() - 12.0;
    let edge = move || node.with(|node| node.as_ref().map_or(0.0, |node| node.frame.width));
    let is_chosen = Memo::new(move |_| {
        desk.chosen.with(|chosen| {
            matches!(chosen, Some(Chosen::Container { node, id: chosen })
                if id.with_value(|id| id == chosen) && of.with_value(|of| of == node))
        })
    });
    let choose = move || {
        desk.chosen.set(Some(Chosen::Container { node: of.get_value(), id: id.get_value() }));
    };
    view! {
        <g class="drawn-container" data-state=move || state.get() style:transform=move || shifted(0.0, get(|one| one.frame.y)())>
            {move || stations.get().into_iter().map(|(x, hue)| view! {
                <g class="rail" data-hue=hue.to_string()>
                    <rect class="rail-line" height="3" x=x y=CARD / 2.0 - 1.5 width=move || (left() - x).max(0.0)></rect>
                    <circle class="station" r="4.5" cx=x cy=CARD / 2.0></circle>
                </g>
            }).collect_view()}
            <Show when=move || !ports.with(String::is_empty)>
                <rect class="port-line" height="2" x=move || left() + width() y=CARD / 2.0 - 1.0 width=move || (edge() - left() - width()).max(0.0)></rect>
                <circle class="port-plug" r="4" cx=edge cy=CARD / 2.0></circle>
            </Show>
            <g
                class="container-card"
                class:container-chosen=move || is_chosen.get()
                role="button"
                tabindex="0"
                aria-label=move || format!("Container {}, {}, {}", name.get(), image.get(), state.get())
                on:click=move |_| choose()
                on:keydown=on_press(choose)
            >
                <rect class="card-frame" rx="7" x=left height=CARD width=width></rect>
                <circle class="card-state" r="3.5" cx=move || left() + 13.0 cy="15"></circle>
                <text class="card-name" x=move || left() + 23.0 y="19">{move || name.get()}</text>
                <text class="drawn-mono" text-anchor="end" x=end y="19">{move || ip.get()}</text>
                <text class="drawn-soft" x=move || left() + 12.0 y="36">{move || image.get()}</text>
                <text class="card-ports" text-anchor="end" x=end y="36">{move || ports.get()}</text>
            </g>
        </g>
    }
}
