//! The terminals: panes in a row or a column, tabs in each pane.

mod pane;
mod search;

use drydock_browser::listener::Listener;
use drydock_browser::window;
use drydock_model::workspace::Direction;
use leptos::prelude::*;

use crate::component::icon::{Glyph, Icon};
use crate::desk;
use pane::PaneView;

#[component]
pub fn Terminals() -> impl IntoView {
    let desk = desk::current();
    let panes = Memo::new(move |_| {
        desk.workspace.with(|workspace| workspace.panes.iter().map(|pane| pane.id).collect::<Vec<_>>())
    });
    let direction = Memo::new(move |_| desk.workspace.with(|workspace| workspace.direction));
    let is_empty = Memo::new(move |_| panes.with(Vec::is_empty));
    refuse_stray_drops();
    view! {
        <section
            class="terminals"
            class:terminals-column=move || direction.get() == Direction::Column
            aria-label="Terminals"
        >
            <For each=move || panes.get() key=|id| *id let:id>
                <PaneView id/>
            </For>
            <Show when=move || is_empty.get()>
                <Empty/>
            </Show>
            <Uploads/>
        </section>
    }
}

#[component]
fn Empty() -> impl IntoView {
    let desk = desk::current();
    let has_nodes = Memo::new(move |_| desk.model.with(|model| !model.nodes.is_empty()));
    let node = move || desk.model.with_untracked(|model| model.nodes.first().map(|node| node.name.clone()));
    view! {
        <div class="empty">
            <Icon glyph=Glyph::Terminal/>
            <Show
                when=move || has_nodes.get()
                fallback=move || view! {
                    <h2 class="empty-title">"No nodes yet"</h2>
                    <p class="empty-text">"A node is a machine with a Docker engine of its own."</p>
                    {(!desk.read_only).then(|| view! {
                        <button
                            class="button button-primary"
                            disabled=move || desk.adding.get()
                            on:click=move |_| desk.add_node()
                        >
                            "Add the first node"
                        </button>
                    })}
                }
            >
                <h2 class="empty-title">"No terminal is open"</h2>
                {(!desk.read_only).then(|| view! {
                    <button
                        class="button button-primary"
                        on:click=move |_| {
                            if let Some(node) = node() {
                                desk.open_terminal(node);
                            }
                        }
                    >
                        "Open a terminal"
                    </button>
                })}
            </Show>
        </div>
    }
}

#[component]
fn Uploads() -> impl IntoView {
    let desk = desk::current();
    view! {
        <div class="uploads" role="status" aria-label="Uploads">
            {move || desk.uploads.get().into_iter().map(|upload| view! {
                <div class="upload">
                    <span class="upload-name">{format!("{} → {}", upload.file, upload.node)}</span>
                    <progress max="100" value=upload.percent.to_string() aria-label=format!("Upload of {}", upload.file)></progress>
                </div>
            }).collect_view()}
        </div>
    }
}

/// A file dropped beside a terminal would replace the page.
fn refuse_stray_drops() {
    let listeners =
        ["dragover", "drop"].map(|event| Listener::on(&window(), event, |event| event.prevent_default()));
    let listeners = StoredValue::new_local(Some(listeners));
    on_cleanup(move || {
        listeners.try_update_value(Option::take);
    });
}
