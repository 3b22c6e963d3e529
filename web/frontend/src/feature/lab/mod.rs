//! The lab beside the terminals: one step at a time, with what to run, what is checked and how far the reader is.

mod block;
mod quiz;

use drydock_model::lesson::{Event, Lesson};
use leptos::prelude::*;

use crate::component::icon::{Glyph, Icon};
use crate::desk;
use crate::reactive::{Memo, effect, memo};
use crate::view::{Place, View, each, flag, part, press, text, view, when};
use block::BlockView;

#[component]
pub fn LabPane() -> View {
    let desk = desk::current();
    let is_loaded = memo(move || desk.lesson.with(Option::is_some));
    view! {
        <section class="lab" aria-label="Lab">
            {part(move || match is_loaded.get() {
                true => view! {
                    <Head/>
                    <StepView/>
                },
                false => view! {
                    <div class="lab-skeleton" aria-busy="true" aria-label="The lab is loading">
                        <span class="skeleton skeleton-title"></span>
                        <span class="skeleton"></span>
                        <span class="skeleton"></span>
                        <span class="skeleton skeleton-short"></span>
                    </div>
                },
            })}
        </section>
    }
}

/// Reads the lesson, which is there: this pane is drawn only then.
fn lesson<T>(read: impl Fn(&Lesson) -> T + Send + Sync + 'static) -> Memo<T>
where
    T: Default + PartialEq + Send + Sync + 'static,
{
    let desk = desk::current();
    memo(move || desk.lesson.with(|lesson| lesson.as_ref().map(&read).unwrap_or_default()))
}

#[component]
fn Head() -> View {
    let title = lesson(|lesson| lesson.lab.summary.title.clone());
    let done = lesson(|lesson| (lesson.done(), lesson.lab.contents.len()));
    let percent = lesson(Lesson::percent);
    let state = lesson(|lesson| lesson.progress.state.clone());
    let message = lesson(|lesson| lesson.progress.message.clone());
    view! {
        <header class="lab-head">
            <h2 class="lab-title">{text(move || title.get())}</h2>
            <div class="lab-progress">
                <span
                    class="lab-progress-track"
                    role="progressbar"
                    aria-label="Progress of the lab"
                    aria-valuenow=text(move || percent.get().to_string())
                    aria-valuemin="0"
                    aria-valuemax="100"
                >
                    <span class="lab-progress-fill" style:width=text(move || format!("{}%", percent.get()))></span>
                </span>
                <span class="lab-progress-text">
                    {text(move || { let (done, all) = done.get(); format!("{done} of {all} steps done") })}
                </span>
            </div>
            <div role="status">
                {part(move || match state.get().as_str() {
                    "preparing" => view! {
                        <p class="lab-state"><span class="spinner" aria-hidden="true"></span>"The nodes are being prepared…"</p>
                    },
                    "failed" => view! {
                        <p class="lab-state lab-state-failed">{message.get()}</p>
                    },
                    "completed" => view! {
                        <p class="lab-state lab-state-done"><Icon glyph=Glyph::Check/>"Lab completed"</p>
                    },
                    _ => View::nothing(),
                })}
            </div>
        </header>
    }
}

#[component]
fn StepView() -> View {
    let desk = desk::current();
    let shown = lesson(|lesson| lesson.shown);
    let place = Place::<web_sys::Element>::new();
    effect(move || {
        shown.track();
        if let Some(place) = place.get_untracked() {
            place.set_scroll_top(0);
        }
    });
    let step = move || {
        shown.track();
        desk.lesson.with_untracked(|lesson| lesson.as_ref().and_then(|lesson| lesson.step().cloned()))
    };
    view! {
        <Steps/>
        <div class="lab-step" node_ref=place tabindex="0" role="region" aria-label="Step">
            {part(move || step().map(|step| view! {
                <h3 class="lab-step-title">{format!("{}. {}", shown.get_untracked() + 1, step.title)}</h3>
                {step.blocks.into_iter().map(|block| view! { <BlockView block/> }).collect::<View>()}
            }))}
        </div>
        <Foot/>
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Dot {
    title: String,
    is_open: bool,
    is_done: bool,
    is_shown: bool,
}

#[component]
fn StepDot(at: usize, steps: Memo<Vec<Dot>>) -> View {
    let desk = desk::current();
    let dot = memo(move || steps.with(|steps| steps.get(at).cloned().unwrap_or_default()));
    let is_done = memo(move || dot.with(|dot| dot.is_done));
    let is_shown = memo(move || dot.with(|dot| dot.is_shown));
    let title = move || dot.with(|dot| dot.title.clone());
    view! {
        <button
            class="lab-dot"
            class:lab-dot-done=is_done
            class:lab-dot-shown=is_shown
            disabled=flag(move || !dot.with(|dot| dot.is_open))
            aria-current=text(move || if is_shown.get() { "step" } else { "false" }.to_owned())
            aria-label=text(move || format!("Step {}: {}{}", at + 1, title(), if is_done.get() { ", done" } else { "" }))
            title=text(title)
            on:click=press(move || desk.learn(Event::Show(at)))
        >
            {part(move || match is_done.get() {
                true => view! { <Icon glyph=Glyph::Check/> },
                false => view! { {(at + 1).to_string()} },
            })}
        </button>
    }
}

/// Which steps there are: done, open, closed.
#[component]
fn Steps() -> View {
    let steps = lesson(|lesson| {
        let step = |at: usize| Dot {
            title: lesson.lab.contents[at].title.clone(),
            is_open: lesson.is_open(at),
            is_done: lesson.is_done(at),
            is_shown: lesson.shown == at,
        };
        (0..lesson.lab.contents.len()).map(step).collect::<Vec<_>>()
    });
    view! {
        <nav class="lab-steps" aria-label="Steps">
            {each(
                move || (0..steps.with(Vec::len)).map(|at| at.to_string()).collect(),
                move |at| view! { <StepDot at=at.parse().unwrap_or_default() steps/> },
            )}
        </nav>
    }
}

#[component]
fn Foot() -> View {
    let desk = desk::current();
    let shown = lesson(|lesson| lesson.shown);
    let is_last = lesson(|lesson| lesson.shown + 1 >= lesson.lab.contents.len());
    let next_is_open = lesson(|lesson| lesson.is_open(lesson.shown + 1));
    let is_done = lesson(|lesson| lesson.is_done(lesson.shown));
    view! {
        <footer class="lab-foot">
            <button
                class="button"
                disabled=flag(move || shown.get() == 0)
                on:click=press(move || desk.learn(Event::Show(shown.get_untracked().saturating_sub(1))))
            >
                <Icon glyph=Glyph::Previous/>
                "Previous"
            </button>
            <span class="lab-gate" role="status">
                {text(move || match is_last.get() || next_is_open.get() {
                    true => String::new(),
                    false => "The next step opens when all checks hold".to_owned(),
                })}
            </span>
            {when(move || !is_last.get(), move || view! {
                <button
                    class="button"
                    class:button-primary=flag(move || is_done.get())
                    disabled=flag(move || !next_is_open.get())
                    on:click=press(move || desk.learn(Event::Show(shown.get_untracked() + 1)))
                >
                    "Next"
                    <Icon glyph=Glyph::Next/>
                </button>
            })}
        </footer>
    }
}
