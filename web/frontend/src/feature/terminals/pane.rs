//! One pane: its tabs, and the terminal of the tab that is chosen.

use drydock_model::workspace::{Action, Direction, Key};
use leptos::ev::{DragEvent, KeyboardEvent};
use leptos::prelude::*;
use web_sys::HtmlElement;

use super::search::Search;
use crate::component::icon::{Glyph, Icon};
use crate::desk::{self, Desk};
use crate::reactive::{Kept, Memo, State, effect, memo};
use crate::view::{Place, View, each, flag, icon_button, press, text, view, when};

#[component]
pub fn PaneView(id: u32) -> View {
    let desk = desk::current();
    let tabs = memo(move || {
        desk.workspace.with(|workspace| {
            workspace
                .panes
                .iter()
                .find(|pane| pane.id == id)
                .map(|pane| pane.tabs.iter().map(Key::write).collect::<Vec<_>>())
                .unwrap_or_default()
        })
    });
    let active = memo(move || {
        desk.workspace.with(|workspace| {
            workspace.panes.iter().find(|pane| pane.id == id).map(|pane| pane.active.clone())
        })
    });
    let is_focused = memo(move || desk.workspace.with(|workspace| workspace.focused == id));
    let step = move |event: KeyboardEvent| {
        let by = match event.key().as_str() {
            "ArrowRight" => 1,
            "ArrowLeft" => -1,
            "Enter" | " " | "ArrowDown" => {
                event.prevent_default();
                if let Some(key) = active.get_untracked() {
                    desk.focus(&key);
                }
                return;
            }
            _ => return,
        };
        event.prevent_default();
        desk.arrange(Action::Step { pane: id, by });
        focus_chosen_tab(&event);
    };
    view! {
        <div
            class="pane"
            class:pane-focused=flag(move || is_focused.get())
            on:focusin=move |_| desk.arrange(Action::Focus(id))
        >
            <div class="pane-bar">
                <div class="tabs" role="tablist" aria-label="Terminals" on:keydown=step>
                    {each(
                        move || tabs.get(),
                        move |key| Key::read(&key).map(|key| view! { <Tab key active/> }),
                    )}
                </div>
                <PaneActions active/>
            </div>
            {each(
                move || tabs.get(),
                move |key| Key::read(&key).map(|key| view! { <Panel key active/> }),
            )}
        </div>
    }
}

#[component]
fn PaneActions(active: Memo<Option<Key>>) -> View {
    let desk = desk::current();
    if desk.read_only {
        return View::nothing();
    }
    let make = move |split: Option<Direction>| {
        if let Some(key) = active.get_untracked() {
            desk.new_terminal(key.node, split);
        }
    };
    view! {
        <div class="pane-actions">
            {icon_button("New terminal", Glyph::Add, move || make(None))}
            {icon_button("Split side by side", Glyph::SplitRow, move || make(Some(Direction::Row)))}
            {icon_button("Split stacked", Glyph::SplitColumn, move || make(Some(Direction::Column)))}
            {icon_button("Search the output", Glyph::Search, move || desk.searching.set(active.get_untracked()))}
        </div>
    }
}

/// `node1 · 1`.
fn label(desk: Desk, key: &Key) -> String {
    let hostname =
        desk.model.with(|model| model.node(&key.node).map(|node| node.hostname.clone()).unwrap_or_default());
    format!("{hostname} · {}", key.terminal)
}

fn tab_id(key: &Key) -> String {
    format!("tab-{}-{}", key.node, key.terminal)
}

fn panel_id(key: &Key) -> String {
    format!("panel-{}-{}", key.node, key.terminal)
}

#[component]
fn Tab(key: Key, active: Memo<Option<Key>>) -> View {
    let desk = desk::current();
    let key = Kept::new(key);
    let is_active = memo(move || key.with_value(|key| active.get().as_ref() == Some(key)));
    let name = memo(move || key.with_value(|key| label(desk, key)));
    let title = memo(move || {
        desk.titles.with(|titles| key.with_value(|key| titles.get(key).cloned().unwrap_or_default()))
    });
    let is_away = memo(move || {
        desk.links.with(|links| key.with_value(|key| links.get(key).is_some_and(|link| link.is_noticeable())))
    });
    let place = Place::<HtmlElement>::new();
    effect(move || {
        if let (true, Some(tab)) = (is_active.get(), place.get())
            && let Some(tabs) = tab.parent_element()
        {
            // With the edge of the tab before it, which says that there are more.
            tabs.set_scroll_left(tab.offset_left() - 32);
        }
    });
    let choose = move |_| {
        let key = key.get_value();
        desk.arrange(Action::Show(key.clone()));
        desk.focus(&key);
    };
    view! {
        <div class="tab" class:tab-active=flag(move || is_active.get()) node_ref=place>
            <button
                class="tab-name"
                role="tab"
                id=key.with_value(tab_id)
                aria-controls=key.with_value(panel_id)
                aria-selected=text(move || is_active.get().to_string())
                tabindex=text(move || if is_active.get() { "0".to_owned() } else { "-1".to_owned() })
                title=text(move || title.get())
                on:click=choose
            >
                {when(move || is_away.get(), move || view! {
                    <span class="spinner" aria-label="reconnecting"></span>
                })}
                {text(move || name.get())}
            </button>
            <button
                class="tab-close"
                aria-label=text(move || format!("Close {}", name.get()))
                tabindex="-1"
                on:click=press(move || desk.close_terminal(key.get_value()))
            >
                <Icon glyph=Glyph::Close/>
            </button>
        </div>
    }
}

#[component]
fn Panel(key: Key, active: Memo<Option<Key>>) -> View {
    let desk = desk::current();
    let key = Kept::new(key);
    let is_active = memo(move || key.with_value(|key| active.get().as_ref() == Some(key)));
    let element = Place::<web_sys::Element>::new();
    effect(move || {
        if let (true, Some(panel)) = (is_active.get(), element.get()) {
            key.with_value(|key| desk.seat(key, &panel));
        }
    });
    let is_target = State::new(false);
    let over = move |event: DragEvent| {
        event.prevent_default();
        is_target.set(true);
    };
    let drop = move |event: DragEvent| {
        event.prevent_default();
        is_target.set(false);
        let files = event.data_transfer().and_then(|transfer| transfer.files());
        if let (false, Some(files)) = (desk.read_only, files) {
            desk.upload(key.with_value(|key| key.node.clone()), &files);
        }
    };
    let is_searching =
        memo(move || key.with_value(|key| desk.searching.get().as_ref() == Some(key)) && is_active.get());
    let is_away = memo(move || {
        desk.links.with(|links| key.with_value(|key| links.get(key).is_some_and(|link| link.is_noticeable())))
    });
    view! {
        <div
            class="panel"
            class:panel-target=flag(move || is_target.get())
            role="tabpanel"
            id=key.with_value(panel_id)
            aria-labelledby=key.with_value(tab_id)
            hidden=flag(move || !is_active.get())
            on:dragover=over
            on:dragleave=move |_| is_target.set(false)
            on:drop=drop
        >
            {when(move || is_searching.get(), move || view! {
                <Search key=key.get_value()/>
            })}
            {when(move || is_away.get(), move || view! {
                <p class="panel-notice" role="status">"Reconnecting…"</p>
            })}
            <div class="panel-screen" node_ref=element></div>
            {when(move || is_target.get(), move || view! {
                <p class="panel-drop">"Drop to upload to this node’s home folder"</p>
            })}
        </div>
    }
}

fn focus_chosen_tab(event: &KeyboardEvent) {
    let list: HtmlElement = event_target::<web_sys::Element>(event)
        .closest("[role=tablist]")
        .ok()
        .flatten()
        .map(wasm_bindgen::JsCast::unchecked_into)
        .unwrap_or_else(|| event_target(event));
    request_animation_frame(move || {
        let tab = list.query_selector("[role=tab][aria-selected=true]").ok().flatten();
        if let Some(tab) = tab {
            _ = wasm_bindgen::JsCast::unchecked_into::<HtmlElement>(tab).focus();
        }
    });
}
