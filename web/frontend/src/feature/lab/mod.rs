//! The lab beside the terminals: one step at a time, with what to run, what is checked and how far the reader is.

mod block;
mod quiz;

use drydock_model::lesson::{Event, Lesson};
use leptos::html::Div;
use leptos::prelude::*;

use crate::component::icon::{Glyph, Icon};
use crate::desk;
use crate::view::{flag, memo, part, press, text, view, when};
use block::BlockView;

#[component]
pub fn LabPane() -> impl IntoView {
    let desk = desk::current();
    let is_loaded = memo(move || desk.lesson.with(Option::is_some));
    view! {
        <section class="lab" aria-label="Lab">
            {part(move || match is_loaded.get() {
                true => view! {
                    <Head/>
                    <StepView/>
                }
                .into_any(),
                false => view! {
                    <div class="lab-skeleton" aria-busy="true" aria-label="The lab is loading">
                        <span class="skeleton skeleton-title"></span>
                        <span class="skeleton"></span>
                        <span class="skeleton"></span>
                        <span class="skeleton skeleton-short"></span>
                    </div>
                }
                .into_any(),
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
fn Head() -> impl IntoView {
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
                    }.into_any(),
                    "failed" => view! {
                        <p class="lab-state lab-state-failed">{message.get()}</p>
                    }.into_any(),
                    "completed" => view! {
                        <p class="lab-state lab-state-done"><Icon glyph=Glyph::Check/>"Lab completed"</p>
                    }.into_any(),
                    _ => ().into_any(),
                })}
            </div>
        </header>
    }
}

#[component]
fn StepView() -> impl IntoView {
    let desk = desk::current();
    let shown = lesson(|lesson| lesson.shown);
    let place = NodeRef::<Div>::new();
    Effect::new(move |_| {
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
                {step.blocks.into_iter().map(|block| view! { <BlockView block/> }).collect_view()}
            }).into_any())}
        </div>
        <Foot/>
    }
}

/// Which steps there are: done, open, closed.
#[component]
fn Steps() -> impl IntoView {
    let desk = desk::current();
    let steps = lesson(|lesson| {
        let step = |at: usize| {
            let title = lesson.lab.contents[at].title.clone();
            (title, lesson.is_open(at), lesson.is_done(at), lesson.shown == at)
        };
        (0..lesson.lab.contents.len()).map(step).collect::<Vec<_>>()
    });
    view! {
        <nav class="lab-steps" aria-label="Steps">
            {part(move || steps.get().into_iter().enumerate().map(|(at, (title, open, done, shown))| view! {
                <button
                    class="lab-dot"
                    class:lab-dot-done=done
                    class:lab-dot-shown=shown
                    disabled=!open
                    aria-current=shown.then_some("step")
                    aria-label=format!("Step {}: {title}{}", at + 1, if done { ", done" } else { "" })
                    title=title.clone()
                    on:click=press(move || desk.learn(Event::Show(at)))
                >
                    {if done { view! { <Icon glyph=Glyph::Check/> }.into_any() } else { (at + 1).into_any() }}
                </button>
            }).collect_view().into_any())}
        </nav>
    }
}

#[component]
fn Foot() -> impl IntoView {
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
            }.into_any())}
        </footer>
    }
}
