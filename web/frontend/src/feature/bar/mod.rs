//! The bar above a session: how long it lasts, sharing, which panes are open, ending it.

use drydock_browser::listener::Listener;
use drydock_browser::window;
use drydock_model::clock::{self, SOON};
use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use crate::component::dialog::Confirm;
use crate::component::icon::{Glyph, Icon};
use crate::desk::{self, Desk};
use crate::feature::Panes;
use crate::reactive::{Kept, State, memo};
use crate::theme::{self, Theme};
use crate::view::{Place, View, flag, part, press, text, view, when};

#[component]
pub fn Bar(panes: Panes) -> View {
    let desk = desk::current();
    let ending = State::new(false);
    let has_lab = memo(move || desk.model.with(|model| model.lab.is_some()));
    view! {
        <header class="bar">
            <Brand/>
            <Countdown/>
            <span class="bar-space"></span>
            <nav class="bar-panes" aria-label="Panes">
                <Toggle label="Nodes" glyph=Glyph::Server open=panes.nodes/>
                {when(move || has_lab.get(), move || view! {
                    <Toggle label="Lab" glyph=Glyph::Book open=panes.lab/>
                })}
                <Toggle label="Topology" glyph=Glyph::Topology open=panes.topology/>
            </nav>
            <span class="bar-rule"></span>
            <FontSize/>
            <ThemeToggle/>
            <Share/>
            {(!desk.read_only).then(|| view! {
                <button class="button button-quiet bar-end" aria-label="End session" on:click=press(move || ending.set(true))>
                    "End"
                    <span class="bar-end-rest">"session"</span>
                </button>
                <Confirm
                    open=ending
                    title="End this session?"
                    body="All its nodes, containers and files are deleted at once, for everyone who has it open."
                    action="End session"
                    on_confirm=Box::new(move || desk.close_session())
                />
            })}
        </header>
    }
}

/// The name, which leads home.
#[component]
pub fn Brand() -> View {
    view! {
        <a class="brand" href="/" aria-label="Drydock, home">
            <svg class="brand-mark" viewBox="0 0 24 24" aria-hidden="true">
                <path class="brand-hull" d="M5 8h14l-2.4 6.2a2 2 0 0 1-1.9 1.3H9.3a2 2 0 0 1-1.9-1.3z"></path>
                <path class="brand-dock" d="M2 6v14h20V6M12 4v4M9 5.5h6"></path>
            </svg>
            <span class="brand-name">"Drydock"</span>
        </a>
    }
}

#[component]
pub fn ThemeToggle() -> View {
    let theme = theme::current();
    view! {
        <button
            class="button-icon"
            aria-label=text(move || match theme.get() {
                Theme::Dark => "Use the light theme".to_owned(),
                Theme::Light => "Use the dark theme".to_owned(),
            })
            on:click=press(move || theme::toggle(theme))
        >
            {part(move || match theme.get() {
                Theme::Dark => view! { <Icon glyph=Glyph::Sun/> },
                Theme::Light => view! { <Icon glyph=Glyph::Moon/> },
            })}
        </button>
    }
}

#[component]
fn Toggle(label: &'static str, glyph: Glyph, open: State<bool>) -> View {
    view! {
        <button
            class="button button-quiet bar-toggle"
            aria-label=label
            aria-pressed=text(move || open.get().to_string())
            on:click=press(move || open.update(|open| *open = !*open))
        >
            <Icon glyph/>
            <span class="bar-toggle-label">{label}</span>
        </button>
    }
}

#[component]
fn FontSize() -> View {
    let desk = desk::current();
    view! {
        <span class="bar-font" role="group" aria-label="Terminal text size">
            <button class="button-icon" aria-label="Smaller terminal text" on:click=press(move || desk.change_font_size(-1))>
                <span class="glyph-text-small" aria-hidden="true">"A"</span>
            </button>
            <button class="button-icon" aria-label="Larger terminal text" on:click=press(move || desk.change_font_size(1))>
                <span class="glyph-text-large" aria-hidden="true">"A"</span>
            </button>
        </span>
    }
}

#[component]
fn Countdown() -> View {
    let desk = desk::current();
    let remaining = memo(move || {
        let clock = desk.clock.get();
        desk.model.with(|model| model.expires_at.map(|at| at - clock))
    });
    let is_soon = memo(move || remaining.get().is_some_and(|left| left < SOON));
    view! {
        <div class="countdown" class:countdown-soon=flag(move || is_soon.get())>
            <Icon glyph=Glyph::Clock/>
            <span class="countdown-time" role="timer" aria-label="Time left">
                {text(move || remaining.get().map(clock::countdown).unwrap_or_default())}
            </span>
            {(!desk.read_only).then(|| view! {
                <button class="button button-small" on:click=press(move || desk.extend())>"Extend"</button>
            })}
            <span class="visually-hidden" role="alert">
                {text(move || if is_soon.get() { "Less than five minutes are left in this session.".to_owned() } else { String::new() })}
            </span>
        </div>
    }
}

#[component]
fn Share() -> View {
    let desk = desk::current();
    let menu = Place::<web_sys::Element>::new();
    let close = move || {
        // Taking away a plain attribute does not fail.
        _ = menu.get_untracked().map(|menu| menu.remove_attribute("open"));
    };
    // As long as the bar. Before the terminals see it, which keep it to themselves.
    Kept::new(Listener::capturing(&window(), "pointerdown", move |event| {
        let place = event.target().and_then(|target| target.dyn_into::<web_sys::Node>().ok());
        if menu.get_untracked().is_some_and(|menu| !menu.contains(place.as_ref())) {
            close();
        }
    }));
    let on_key = move |event: KeyboardEvent| {
        if event.key() == "Escape" {
            close();
        }
    };
    let copy = move |query: &str, said| {
        close();
        let origin = window().location().origin().unwrap_or_default();
        desk.copy(format!("{origin}/p/{}{query}", desk.id()), said);
    };
    view! {
        <details class="menu" name="share" node_ref=menu on:keydown=on_key>
            <summary class="button button-quiet" aria-label="Share">
                <Icon glyph=Glyph::Link/>
                <span class="bar-toggle-label">"Share"</span>
            </summary>
            <div class="menu-items" role="group" aria-label="Share">
                {(!desk.read_only).then(|| view! {
                    <button class="menu-item" on:click=press(move || copy("", "The link is copied. Whoever has it can type here."))>
                        <strong>"Copy link"</strong>
                        <span>"Whoever has it works in the same terminals"</span>
                    </button>
                })}
                <button class="menu-item" on:click=press(move || copy("?mode=ro", "The viewer's link is copied."))>
                    <strong>"Copy viewer’s link"</strong>
                    <span>"Opens the page for watching, with the keyboard off"</span>
                </button>
            </div>
        </details>
    }
}

/// What the desk is waiting for, said without being in the way.
#[component]
pub fn Connection() -> View {
    let desk: Desk = desk::current();
    let is_away = memo(move || desk.link.with(drydock_model::link::Link::is_noticeable));
    view! {
        <div class="connection" role="status">
            {when(move || is_away.get(), move || view! {
                <p class="connection-banner">
                    <span class="spinner" aria-hidden="true"></span>
                    "Reconnecting to the server. Your shells keep running; nothing you see is lost."
                </p>
            })}
        </div>
    }
}
