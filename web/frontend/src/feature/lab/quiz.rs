//! A question to the reader: one choice, several, or a typed answer.

use drydock_wire::lab::QuizAnswer;
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use crate::component::icon::{Glyph, Icon};
use crate::desk;
use crate::reactive::{Kept, State, memo};
use crate::view::{View, flag, part, view};

#[component]
pub fn QuizView(id: String, question_html: String, answer: QuizAnswer) -> View {
    let desk = desk::current();
    let chosen = State::new(Vec::<String>::new());
    // What this page was told last; a reload knows from the progress alone.
    let verdict = State::new(None::<bool>);
    let id = Kept::new(id);
    let passed = memo(move || {
        let find = |id: &String| {
            desk.lesson
                .with(|lesson| lesson.as_ref().is_some_and(|lesson| lesson.check(id).state == "passed"))
        };
        id.with_value(find)
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        desk.answer_quiz(id.get_value(), chosen.get_untracked(), move |right| verdict.set(Some(right)));
    };
    let inputs = match answer {
        QuizAnswer::Text => view! { <Typed chosen verdict/> },
        QuizAnswer::Single { choices_html } => {
            view! { <Choices choices_html kind="radio" group=id.get_value() chosen verdict/> }
        }
        QuizAnswer::Multiple { choices_html } => {
            view! { <Choices choices_html kind="checkbox" group=id.get_value() chosen verdict/> }
        }
    };
    view! {
        <form class="quiz" class:quiz-passed=flag(move || passed.get()) on:submit=submit>
            <fieldset class="quiz-fields" disabled=flag(move || passed.get() || desk.read_only)>
                <legend class="quiz-question prose" inner_html=question_html></legend>
                {inputs}
                <div class="quiz-foot">
                    <button class="button button-small" disabled=flag(move || chosen.with(Vec::is_empty))>"Answer"</button>
                    <span class="quiz-verdict" role="status">
                        {part(move || match (passed.get(), verdict.get()) {
                            (true, _) => view! { <Icon glyph=Glyph::Check/>"Right" },
                            (false, Some(false)) => view! { "Not quite. Try again." },
                            _ => View::nothing(),
                        })}
                    </span>
                </div>
            </fieldset>
        </form>
    }
}

/// The answer is the chosen ones' indices.
#[component]
fn Choices(
    choices_html: Vec<String>,
    kind: &'static str,
    group: String,
    chosen: State<Vec<String>>,
    verdict: State<Option<bool>>,
) -> View {
    let choose = move |index: String, is_on: bool| {
        verdict.set(None);
        chosen.update(|chosen| {
            if kind == "radio" {
                chosen.clear();
            }
            chosen.retain(|other| *other != index);
            if is_on {
                chosen.push(index);
            }
        });
    };
    choices_html
        .into_iter()
        .enumerate()
        .map(|(index, html)| {
            view! {
                <label class="quiz-choice">
                    <input
                        type=kind
                        name=group.clone()
                        on:change=move |event| choose(index.to_string(), event_target_checked(&event))
                    />
                    <span class="prose" inner_html=html></span>
                </label>
            }
        })
        .collect::<View>()
}

#[component]
fn Typed(chosen: State<Vec<String>>, verdict: State<Option<bool>>) -> View {
    let typed = move |event| {
        verdict.set(None);
        let text = event_target_value(&event).trim().to_owned();
        chosen.set(if text.is_empty() { Vec::new() } else { vec![text] });
    };
    view! {
        <input class="quiz-text" type="text" aria-label="Your answer" autocomplete="off" spellcheck="false" on:input=typed/>
    }
}
