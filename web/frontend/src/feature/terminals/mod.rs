//! The terminals: panes in a row or a column, tabs in each pane.

mod pane;
mod search;

use drydock_browser::listener::Listener;
use drydock_browser::window;
use drydock_model::workspace::Direction;
use leptos::prelude::*;

use crate::component::icon::{Glyph, Icon};
use crate::desk;
use crate::view::{each, flag, memo, part, press, view, when};
use pane::PaneView;

#[component]
pub fn Terminals() -> impl IntoView {
    let desk = desk::current();
    let panes = memo(move || {
        desk.workspace
            .with(|workspace| workspace.panes.iter().map(|pane| pane.id.to_string()).collect::<Vec<_>>())
    });
    let direction = memo(move || desk.workspace.with(|workspace| workspace.direction));
    let is_empty = memo(move || panes.with(Vec::is_empty));
    refuse_stray_drops();
    view! {
        <section
            class="terminals"
            class:terminals-column=flag(move || direction.get() == Direction::Column)
            aria-label="Terminals"
        >
            {each(
                move || panes.get(),
                |id| view! { <PaneView id=id.parse().unwrap_or_default()/> }.into_any(),
            )}
            {when(move || is_empty.get(), move || view! {
                <Empty/>
            }.into_any())}
            <Uploads/>
        </section>
    }
}

#[component]
fn Empty() -> impl IntoView {
    let desk = desk::current();
    let has_nodes = memo(move || desk.model.with(|model| !model.nodes.is_empty()));
    let node = move || desk.model.with_untracked(|model| model.nodes.first().map(|node| node.name.clone()));
    view! {
        <div class="empty">
            <Icon glyph=Glyph::Terminal/>
            {part(move || match has_nodes.get() {
                false => view! {
                    <h2 class="empty-title">"No nodes yet"</h2>
                    <p class="empty-text">"A node is a machine with a Docker engine of its own."</p>
                    {(!desk.read_only).then(|| view! {
                        <button
                            class="button button-primary"
                            disabled=desk.adding
                            on:click=press(move || desk.add_node())
                        >
                            "Add the first node"
                        </button>
                    })}
                }
                .into_any(),
                true => view! {
                <h2 class="empty-title">"No terminal is open"</h2>
                {(!desk.read_only).then(|| view! {
                    <button
                        class="button button-primary"
                        on:click=press(move || {
                            if let Some(node) = node() {
                                desk.open_terminal(node);
                            }
                        })
                    >
                        "Open a terminal"
                    </button>
                })}
                }
                .into_any(),
            })}
        </div>
    }
}

#[component]
fn Uploads() -> impl IntoView {
    let desk = desk::current();
    view! {
        <div class="uploads" role="status" aria-label="Uploads">
            {part(move || desk.uploads.get().into_iter().map(|upload| view! {
                <div class="upload">
                    <span class="upload-name">{format!("{} → {}", upload.file, upload.node)}</span>
                    <progress max="100" value=upload.percent.to_string() aria-label=format!("Upload of {}", upload.file)></progress>
                </div>
            }).collect_view().into_any())}
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
