//! `/`: what this is, and the way into a session.

use drydock_browser::now;
use drydock_model::recent::Visit;
use drydock_model::{clock, recent};
use drydock_wire::lab::Summary;
use drydock_wire::session::{Playground, Template};
use leptos::prelude::*;

use crate::api::{self, Trouble};
use crate::component::icon::{Glyph, Icon};
use crate::feature::bar::{Brand, ThemeToggle};
use crate::reactive::{State, memo};
use crate::remembered;
use crate::route::Router;
use crate::view::{View, flag, part, press, spawn, text, view, when};

/// What a session is started for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Start {
    Plain,
    Template(String),
    Lab(String),
}

#[derive(Clone, Copy)]
struct Desk {
    playground: State<Option<Playground>>,
    labs: State<Option<Vec<Summary>>>,
    /// What is being started at the moment.
    starting: State<Option<Start>>,
    trouble: State<Option<Trouble>>,
}

#[component]
pub fn Landing() -> View {
    let desk = Desk {
        playground: State::default(),
        labs: State::default(),
        starting: State::default(),
        trouble: State::default(),
    };
    provide_context(desk);
    spawn(desk.look());
    view! {
        <div class="landing">
            <header class="landing-bar">
                <Brand/>
                <span class="bar-space"></span>
                <ThemeToggle/>
            </header>
            <main class="landing-main">
                <section class="hero">
                    <h1 class="hero-title">"Real Docker hosts in your browser"</h1>
                    <p class="hero-text">
                        "A session gives you machines with an engine each, terminals on all of them, and labs that check themselves. Nothing to install, nothing to break."
                    </p>
                    <StartButton/>
                    <Full/>
                    <TroubleNote/>
                </section>
                <RecentSessions/>
                <Templates/>
                <Labs/>
            </main>
        </div>
    }
}

impl Desk {
    async fn look(self) {
        let labs = api::labs().await;
        let playground = api::playground().await;
        // The page may be another one by now.
        self.labs.set(Some(labs.unwrap_or_default()));
        match playground {
            Ok(playground) => self.playground.set(Some(playground)),
            Err(trouble) => self.trouble.set(Some(trouble)),
        }
    }

    fn start(self, what: Start, title: String, router: Router) {
        if self.starting.get_untracked().is_some() {
            return;
        }
        self.trouble.set(None);
        self.starting.set(Some(what.clone()));
        spawn(async move {
            let fields = match &what {
                Start::Plain => vec![],
                Start::Template(name) => vec![("stack_name", name.as_str())],
                Start::Lab(id) => vec![("lab", id.as_str())],
            };
            let answer = api::start_session(&fields).await;
            self.starting.set(None);
            match answer {
                Ok(session) => {
                    let lasts = self.playground.with_untracked(|known| {
                        known.as_ref().map_or(0, |known| known.default_duration_seconds as i64 * 1_000)
                    });
                    remembered::change_recent(recent::Event::Opened(Visit {
                        session: session.session_id.clone(),
                        title,
                        opened_at: now(),
                        expires_at: now() + lasts,
                    }));
                    router.go(&format!("/p/{}", session.session_id));
                }
                Err(trouble) => self.trouble.set(Some(trouble)),
            }
        });
    }
}

/// A button that starts a session; busy while it does.
#[component]
fn Starter(
    start: Start,
    title: String,
    class: &'static str,
    #[prop(into)] name: String,
    children: View,
) -> View {
    let desk: Desk = expect_context();
    let router: Router = expect_context();
    let mine = start.clone();
    let is_busy = memo(move || desk.starting.with(|starting| starting.as_ref() == Some(&mine)));
    let is_full =
        memo(move || desk.playground.with(|known| known.as_ref().is_some_and(|known| known.full.is_some())));
    let any = memo(move || desk.starting.with(Option::is_some));
    view! {
        <button
            class=class
            aria-label=name
            aria-busy=text(move || is_busy.get().to_string())
            disabled=flag(move || any.get() || is_full.get())
            on:click=press(move || desk.start(start.clone(), title.clone(), router))
        >
            {when(move || is_busy.get(), move || view! {
                <span class="spinner" aria-hidden="true"></span>
            })}
            {children}
        </button>
    }
}

#[component]
fn StartButton() -> View {
    let desk: Desk = expect_context();
    let lasts = memo(move || {
        desk.playground.with(|known| {
            known.as_ref().map(|known| {
                format!(
                    "{}, up to {} nodes",
                    clock::duration(known.default_duration_seconds),
                    known.max_instances
                )
            })
        })
    });
    view! {
        <div class="hero-start">
            <Starter start=Start::Plain title="Session".to_owned() class="button button-primary button-large" name="Start a session">
                "Start a session"
            </Starter>
            <span class="hero-note">{text(move || lasts.get().unwrap_or_default())}</span>
        </div>
    }
}

#[component]
fn Full() -> View {
    let desk: Desk = expect_context();
    let reason =
        memo(move || desk.playground.with(|known| known.as_ref().and_then(|known| known.full.clone())));
    view! {
        <div role="status">
            {part(move || reason.get().map(|reason| view! {
                <div class="note note-warning">
                    <strong>"There is no room right now"</strong>
                    <p>{reason}</p>
                    <button class="button button-small" on:click=press(move || spawn(desk.look()))>"Look again"</button>
                </div>
            }))}
        </div>
    }
}

#[component]
fn TroubleNote() -> View {
    let desk: Desk = expect_context();
    view! {
        <div role="alert">
            {part(move || desk.trouble.get().map(|trouble| view! {
                <div class="note note-danger">
                    <strong>{if trouble.is_full() { "There is no room right now" } else { "That did not work" }}</strong>
                    <p>{trouble.to_string()}</p>
                </div>
            }))}
        </div>
    }
}

#[component]
fn RecentSessions() -> View {
    let recent = remembered::recent();
    let visits: Vec<Visit> = recent.alive(now()).cloned().collect();
    if visits.is_empty() {
        return View::nothing();
    }
    view! {
        <section class="landing-section" aria-labelledby="recent-title">
            <h2 class="section-title" id="recent-title">"Your open sessions"</h2>
            <ul class="recent-list">
                {visits.into_iter().map(|visit| view! {
                    <li>
                        <a class="recent" href=format!("/p/{}", visit.session)>
                            <span class="recent-title">
                                {if visit.title.is_empty() { "Session".to_owned() } else { visit.title }}
                            </span>
                            <span class="recent-id">{visit.session.chars().take(8).collect::<String>()}</span>
                            <span class="recent-time">
                                {format!("opened {}, {} left", clock::ago(now() - visit.opened_at), clock::countdown(visit.expires_at - now()))}
                            </span>
                        </a>
                    </li>
                }).collect::<View>()}
            </ul>
        </section>
    }
}

#[component]
fn Templates() -> View {
    let desk: Desk = expect_context();
    let is_in_trouble = memo(move || desk.trouble.with(Option::is_some));
    view! {
        <section class="landing-section" aria-labelledby="templates-title">
            <h2 class="section-title" id="templates-title">"Templates"</h2>
            <div class="cards">
                {part(move || match desk.playground.get() {
                    None if is_in_trouble.get() => View::nothing(),
                    None => view! { <Skeletons/> },
                    Some(known) => known.templates.into_iter().map(|template| view! { <TemplateCard template/> }).collect::<View>(),
                })}
            </div>
        </section>
    }
}

#[component]
fn TemplateCard(template: Template) -> View {
    let Template { name, title, summary, nodes } = template;
    view! {
        <Starter start=Start::Template(name) title=title.clone() class="card" name=format!("Start {title}")>
            <span class="card-picture" aria-hidden="true">
                {(0..nodes.max(1)).map(|_| view! { <span class="card-node" class:card-node-empty=nodes == 0></span> }).collect::<View>()}
            </span>
            <span class="card-title">{title}</span>
            <span class="card-text">{summary}</span>
        </Starter>
    }
}

#[component]
fn Labs() -> View {
    let desk: Desk = expect_context();
    let card = |lab: Summary| {
        let Summary { id, title, summary, level, minutes, tags, steps } = lab;
        view! {
            <Starter start=Start::Lab(id) title=title.clone() class="card card-lab" name=format!("Start the lab {title}")>
                <span class="card-kicker">
                    <Icon glyph=Glyph::Book/>
                    {format!("{level} · {minutes} min · {steps} steps")}
                </span>
                <span class="card-title">{title}</span>
                <span class="card-text">{summary}</span>
                <span class="card-tags">
                    {tags.into_iter().map(|tag| view! { <span class="tag">{tag}</span> }).collect::<View>()}
                </span>
            </Starter>
        }
    };
    view! {
        <section class="landing-section" aria-labelledby="labs-title">
            <h2 class="section-title" id="labs-title">"Labs"</h2>
            <div class="cards">
                {part(move || match desk.labs.get() {
                    None => view! { <Skeletons/> },
                    Some(labs) if labs.is_empty() => view! {
                        <p class="pane-hint">"This server has no labs."</p>
                    },
                    Some(labs) => labs.into_iter().map(card).collect::<View>(),
                })}
            </div>
        </section>
    }
}

#[component]
fn Skeletons() -> View {
    view! {
        <span class="card card-skeleton" aria-hidden="true"></span>
        <span class="card card-skeleton" aria-hidden="true"></span>
        <span class="card card-skeleton" aria-hidden="true"></span>
    }
}
