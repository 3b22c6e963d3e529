//! "Capture here": packets of a link as tcpdump tells them, while this is open.

use drydock_browser::socket::{Report, Socket};
use drydock_browser::socket_origin;
use drydock_model::capture::Catch;
use drydock_model::{json, link};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use web_sys::{Element, HtmlInputElement};

use crate::api;
use crate::component::icon::Glyph;
use crate::desk;
use crate::reactive::{Kept, State, effect, memo};
use crate::view::{Place, View, flag, icon_button, part, press, text, view};

/// Where packets are caught.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The instance's name.
    pub node: String,
    pub interface: String,
}

#[component]
pub fn CapturePlace() -> View {
    let desk = desk::current();
    part(move || desk.capturing.get().map(|target| view! { <Capture target/> }))
}

#[component]
fn Capture(target: Target) -> View {
    let desk = desk::current();
    let hostname =
        desk.model.with_untracked(|model| model.node(&target.node).map(|node| node.hostname.clone()));
    let title = format!("Packets on {} {}", hostname.unwrap_or_default(), target.interface);
    let target = Kept::new(target);
    let catch = State::new(Catch::default());
    let filter = State::new(String::new());
    let socket = Kept::new(None::<Socket>);
    let (typed, screen) = (Place::<HtmlInputElement>::new(), Place::<Element>::new());
    let stop = move || {
        socket.set_value(None);
        catch.update(Catch::stop);
    };
    let path = move |kind: &str| {
        target.with_value(|target| {
            api::capture_path(&desk.id(), &target.node, kind, &target.interface, &filter.get())
        })
    };
    let start = move || {
        filter.set(typed.get_untracked().map(|input| input.value()).unwrap_or_default());
        catch.set(Catch::begun());
        let address = format!("{}{}", socket_origin(), path("/ws"));
        let hear = move |report| match report {
            Report::Text(text) => {
                if let Some(caught) = json::read(&text) {
                    catch.update(|catch| catch.take(caught));
                    // It would come back by itself, and catch again.
                    if !catch.with_untracked(|catch| catch.runs) {
                        socket.set_value(None);
                    }
                }
            }
            Report::Link(link) if matches!(link.state(), link::State::Waiting { .. }) => stop(),
            Report::Link(_) | Report::Binary(_) => {}
        };
        socket.set_value(Some(Socket::open(move || address.clone(), hear)));
    };
    effect(move || {
        catch.track();
        if let Some(screen) = screen.get() {
            screen.set_scroll_top(screen.scroll_height());
        }
    });
    let runs = memo(move || catch.with(|catch| catch.runs));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        start();
    };
    start();
    view! {
        <section class="capture" aria-label=title.clone()>
            <header class="details-head">
                <h3 class="details-title">{title}</h3>
                <span class="capture-count">{text(move || catch.with(Catch::summary))}</span>
                {icon_button("Close the capture", Glyph::Close, move || desk.capturing.set(None))}
            </header>
            <form class="capture-bar" on:submit=submit>
                <input
                    class="capture-filter"
                    node_ref=typed
                    aria-label="Filter"
                    placeholder="icmp or port 80"
                    maxlength="256"
                    autocomplete="off"
                    spellcheck="false"
                />
                <button class="button button-small" type="submit">
                    {text(move || if runs.get() { "Apply".to_owned() } else { "Start".to_owned() })}
                </button>
                <button
                    class="button button-small"
                    type="button"
                    disabled=flag(move || !runs.get())
                    on:click=press(stop)
                >
                    "Stop"
                </button>
                <a
                    class="button button-small"
                    href=text(move || format!("{}&seconds=15", path("")))
                    download=""
                >
                    "Save 15 s as pcap"
                </a>
            </form>
            <pre class="capture-screen" node_ref=screen tabindex="0" role="log" aria-label="Packets">
                {text(move || catch.with(Catch::text))}
            </pre>
        </section>
    }
}
