//! `/p/{id}`: a session with its nodes, terminals, drawing and lab.

use drydock_browser::window;
use drydock_model::session::Phase;
use leptos::prelude::*;

use super::unknown::Sorry;
use crate::component::splitter::Splitter;
use crate::desk;
use crate::feature::Panes;
use crate::feature::bar::{Bar, Connection};
use crate::feature::lab::LabPane;
use crate::feature::nodes::Nodes;
use crate::feature::terminals::Terminals;
use crate::feature::topology::TopologyPane;
use crate::reactive::{State, memo};
use crate::view::{Live, View, flag, part, text, view, when};

/// Below this there is room for one pane at a time.
const NARROW: &str = "(max-width: 800px)";
/// Below this the drawing goes under the terminals when there is a lab as well.
const MEDIUM: &str = "(max-width: 1560px)";

#[component]
pub fn SessionPage(id: String, read_only: bool) -> View {
    let desk = desk::provide(id, read_only);
    let phase = memo(move || desk.model.with(|model| model.phase));
    part(move || match phase.get() {
        Phase::Loading => view! {
            <main class="sorry" aria-busy="true">
                <span class="spinner spinner-large" aria-hidden="true"></span>
                <p class="sorry-text" role="status">"Opening the session…"</p>
            </main>
        },
        Phase::Live => view! { <Workbench/> },
        Phase::Ended => view! {
            <Sorry
                title="This session has ended"
                text="Its time was up or someone ended it. Its nodes and everything on them are gone."
            />
        },
        Phase::Missing => view! {
            <Sorry
                title="There is no such session"
                text="It may have expired, or the link is incomplete. Nodes of expired sessions are deleted."
            />
        },
    })
}

fn matches(query: &str) -> bool {
    window().match_media(query).ok().flatten().is_some_and(|query| query.matches())
}

#[component]
fn Workbench() -> View {
    let desk = desk::current();
    let panes = Panes::remembered(matches(NARROW));
    let has_lab = memo(move || desk.model.with(|model| model.lab.is_some()));
    let shows_lab = memo(move || has_lab.get() && panes.lab.get());
    let is_stacked = memo(move || shows_lab.get() && matches(MEDIUM));
    let lab_width = State::new(430.0);
    let topology_size = State::new(400.0);
    view! {
        <div class="session" class:session-read-only=desk.read_only>
            <Bar panes/>
            <Connection/>
            {desk.read_only.then(|| view! { <p class="watching" role="status">"You are watching: the keyboard is off."</p> })}
            <main class="workbench" class:workbench-stacked=flag(move || is_stacked.get())>
                {when(move || panes.nodes.get(), move || view! {
                    <Nodes/>
                })}
                {when(move || shows_lab.get(), move || view! {
                    <div class="lab-place" style:width=text(move || format!("{}px", lab_width.get() as i32))>
                        <LabPane/>
                    </div>
                    <Splitter label="Width of the lab" size=lab_width grows=1.0 vertical=false/>
                })}
                <div class="workbench-middle">
                    <Terminals/>
                    {when(move || panes.topology.get(), move || view! {
                        <Splitter
                            label="Size of the topology"
                            size=topology_size
                            grows=-1.0
                            vertical=Live::changing(move || is_stacked.get())
                        />
                        <div
                            class="topology-place"
                            style:flex-basis=text(move || format!("{}px", topology_size.get() as i32))
                        >
                            <TopologyPane/>
                        </div>
                    })}
                </div>
            </main>
        </div>
    }
}
