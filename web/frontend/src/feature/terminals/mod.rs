//! The terminals: panes in a row or a column, tabs in each pane.

mod pane;
mod search;

use drydock_browser::listener::Listener;
use drydock_browser::window;
use drydock_model::workspace::Direction;
use leptos::prelude::*;

use crate::component::icon::{Glyph, Icon};
use crate::desk::{self, Upload};
use crate::reactive::{Kept, memo};
use crate::view::{View, each, flag, part, press, text, view, when};
use pane::PaneView;

#[component]
pub fn Terminals() -> View {
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
                |id| view! { <PaneView id=id.parse().unwrap_or_default()/> },
            )}
            {when(move || is_empty.get(), move || view! {
                <Empty/>
            })}
            <Uploads/>
        </section>
    }
}

#[component]
fn Empty() -> View {
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
                },
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
                },
            })}
        </div>
    }
}

#[component]
fn Uploads() -> View {
    let desk = desk::current();
    view! {
        <div class="uploads" role="status" aria-label="Uploads">
            {each(
                move || desk.uploads.with(|uploads| uploads.iter().map(|upload| upload.id.to_string()).collect()),
                move |id| {
                    let uploads = desk.uploads.get_untracked();
                    uploads.into_iter().find(|upload| upload.id.to_string() == id).map(|upload| view! { <UploadItem upload/> })
                },
            )}
        </div>
    }
}

#[component]
fn UploadItem(upload: Upload) -> View {
    let desk = desk::current();
    let Upload { id, file, node, .. } = upload;
    let percent = memo(move || {
        desk.uploads.with(|uploads| uploads.iter().find(|one| one.id == id).map_or(100, |one| one.percent))
    });
    view! {
        <div class="upload">
            <span class="upload-name">{format!("{file} → {node}")}</span>
            <progress max="100" value=text(move || percent.get().to_string()) aria-label=format!("Upload of {file}")></progress>
        </div>
    }
}

/// A file dropped beside a terminal would replace the page.
fn refuse_stray_drops() {
    let listeners =
        ["dragover", "drop"].map(|event| Listener::on(&window(), event, |event| event.prevent_default()));
    // As long as the session's page.
    Kept::new(listeners);
}
