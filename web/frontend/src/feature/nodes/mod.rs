//! The list of nodes: what each is, what it uses, which of its ports are open.

use drydock_browser::window;
use drydock_model::session::Node;
use drydock_model::units;
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use crate::component::dialog::Confirm;
use crate::component::icon::{Glyph, Icon};
use crate::component::meter::Meter;
use crate::desk;
use crate::reactive::{Kept, Memo, State, memo};
use crate::view::{Live, Place, View, each, flag, press, text, view, when};

#[component]
pub fn Nodes() -> View {
    let desk = desk::current();
    let has_room = memo(move || desk.model.with(|model| model.has_room()));
    let count = memo(move || desk.model.with(|model| (model.nodes.len(), model.max_nodes)));
    view! {
        <section class="nodes" aria-label="Nodes">
            <header class="pane-head">
                <h2 class="pane-title">"Nodes"</h2>
                <span class="pane-count">
                    {text(move || match count.get() {
                        (now, 0) => now.to_string(),
                        (now, most) => format!("{now} of {most}"),
                    })}
                </span>
            </header>
            <ul class="node-list">
                {each(
                    move || desk.model.with(|model| model.nodes.iter().map(|node| node.name.clone()).collect()),
                    |name| view! { <NodeItem name/> },
                )}
            </ul>
            {when(move || desk.adding.get(), move || view! {
                <div class="node node-skeleton" role="status">
                    <span class="spinner" aria-hidden="true"></span>
                    "A node boots…"
                </div>
            })}
            {(!desk.read_only).then(|| view! {
                <button
                    class="button button-wide"
                    disabled=flag(move || desk.adding.get() || !has_room.get())
                    on:click=press(move || desk.add_node())
                >
                    <Icon glyph=Glyph::Add/>
                    "Add node"
                </button>
                {when(move || !has_room.get(), move || view! {
                    <p class="pane-hint">"This session has all the nodes it may have. Delete one to make room."</p>
                })}
            })}
        </section>
    }
}

#[component]
fn NodeItem(name: String) -> View {
    let desk = desk::current();
    let name = Kept::new(name);
    let node = memo(move || desk.model.with(|model| name.with_value(|name| model.node(name).cloned())));
    let of = move |read: fn(&Node) -> String| {
        memo(move || node.with(|node| node.as_ref().map(read).unwrap_or_default()))
    };
    let hostname = of(|node| node.hostname.clone());
    let ip = of(|node| node.ip.clone());
    let role = of(|node| node.role.clone());
    let state = of(|node| node.state.clone());
    let is_current = memo(move || {
        desk.workspace.with(|workspace| {
            workspace.current().is_some_and(|key| name.with_value(|name| key.node == *name))
        })
    });
    let deleting = State::new(false);
    view! {
        <li class="node" class:node-current=flag(move || is_current.get()) aria-label=text(move || hostname.get())>
            <div class="node-head">
                <button
                    class="node-open"
                    aria-current=text(move || is_current.get().to_string())
                    title="Show a terminal of this node"
                    on:click=press(move || desk.open_terminal(name.get_value()))
                >
                    <span class="state-dot" data-state=text(move || state.get()) aria-hidden="true"></span>
                    <span class="node-hostname">{text(move || hostname.get())}</span>
                    <span class="visually-hidden">{text(move || state.get())}</span>
                </button>
                {(!desk.read_only).then(|| view! {
                    <button
                        class="button-icon node-action"
                        aria-label=text(move || format!("New terminal on {}", hostname.get()))
                        title="New terminal"
                        on:click=press(move || desk.new_terminal(name.get_value(), None))
                    >
                        <Icon glyph=Glyph::Terminal/>
                    </button>
                    <button
                        class="button-icon node-action"
                        aria-label=text(move || format!("Delete {}", hostname.get()))
                        title="Delete"
                        on:click=press(move || deleting.set(true))
                    >
                        <Icon glyph=Glyph::Bin/>
                    </button>
                })}
            </div>
            <div class="node-place">
                <button
                    class="node-ip"
                    title="Copy the address"
                    aria-label=text(move || format!("Copy the address {}", ip.get()))
                    on:click=press(move || desk.copy(ip.get_untracked(), "The address is copied."))
                >
                    {text(move || ip.get())}
                </button>
                {when(move || !role.get().is_empty(), move || view! {
                    <span class="badge" data-role=text(move || role.get())>{text(move || role.get())}</span>
                })}
            </div>
            <Use node/>
            <Ports node/>
            <Confirm
                open=deleting
                title=text(move || format!("Delete {}?", hostname.get()))
                body="Its containers, images and files are gone for good, and its terminals close."
                action="Delete node"
                on_confirm=Box::new(move || desk.delete_node(name.get_value()))
            />
        </li>
    }
}

/// Processor and memory.
#[component]
fn Use(node: Memo<Option<Node>>) -> View {
    let stats = memo(move || node.with(|node| node.as_ref().and_then(|node| node.stats)));
    let or_zero = move || stats.get().unwrap_or_default();
    let has_disk = memo(move || or_zero().disk_limit_bytes > 0);
    view! {
        <div class="node-use">
            <Meter
                label="CPU"
                percent=Live::changing(move || or_zero().cpu_percent.clamp(0.0, 100.0))
                amount=text(move || match stats.get() {
                    Some(stats) => format!("{} %", stats.cpu_percent.round() as i32),
                    None => "–".to_owned(),
                })
            />
            <Meter
                label="RAM"
                percent=Live::changing(move || {
                    let stats = or_zero();
                    units::percent(stats.memory_bytes, stats.memory_limit_bytes)
                })
                amount=text(move || match stats.get() {
                    Some(stats) => units::bytes(stats.memory_bytes),
                    None => "–".to_owned(),
                })
            />
            {when(move || has_disk.get(), move || view! {
                <Meter
                    label="Disk"
                    percent=Live::changing(move || {
                        let stats = or_zero();
                        units::percent(stats.disk_bytes, stats.disk_limit_bytes)
                    })
                    amount=text(move || units::bytes(or_zero().disk_bytes))
                />
            })}
        </div>
    }
}

#[component]
fn Ports(node: Memo<Option<Node>>) -> View {
    let desk = desk::current();
    let ports =
        memo(move || node.with(|node| node.as_ref().map(|node| node.ports.clone()).unwrap_or_default()));
    let proxy_host =
        memo(move || node.with(|node| node.as_ref().map(|node| node.proxy_host.clone()).unwrap_or_default()));
    let hostname =
        memo(move || node.with(|node| node.as_ref().map(|node| node.hostname.clone()).unwrap_or_default()));
    let asked = Place::<web_sys::HtmlInputElement>::new();
    let open = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(input) = asked.get_untracked() else { return };
        match input.value().trim().parse::<u16>() {
            Ok(port) if port > 0 => {
                let address = desk.port_address(&proxy_host.get_untracked(), port);
                // Null when the browser blocks it, which it then says itself.
                _ = window().open_with_url_and_target_and_features(&address, "_blank", "noopener");
                input.set_value("");
            }
            _ => desk.say.failure("A port is a number from 1 to 65535."),
        }
    };
    view! {
        <div class="node-ports">
            {each(
                move || ports.get().iter().map(u16::to_string).collect(),
                move |port| {
                    let number: u16 = port.parse().unwrap_or_default();
                    view! {
                        <a
                            class="port"
                            href=text(move || desk.port_address(&proxy_host.get(), number))
                            target="_blank"
                            rel="noopener"
                            aria-label=text(move || format!("Open port {number} of {}", hostname.get()))
                        >
                            {port}
                        </a>
                    }
                },
            )}
            <form class="port-form" on:submit=open>
                <input
                    class="port-input"
                    node_ref=asked
                    inputmode="numeric"
                    autocomplete="off"
                    size="5"
                    maxlength="5"
                    placeholder="Open port"
                    aria-label=text(move || format!("Open port on {}", hostname.get()))
                />
            </form>
        </div>
    }
}
