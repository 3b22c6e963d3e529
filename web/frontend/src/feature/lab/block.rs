//! One block of a step, by its kind.

use drydock_wire::lab::{Block, CheckProgress, Progress};
use leptos::prelude::*;

use super::quiz::QuizView;
use crate::component::icon::{Glyph, Icon};
use crate::desk::{self, Desk};
use crate::reactive::{Kept, Memo, State, memo};
use crate::view::{Live, View, icon_button, part, press, text, view, when};

#[component]
pub fn BlockView(block: Block) -> View {
    match block {
        Block::Prose { html } => view! { <div class="prose" inner_html=html></div> },
        Block::Run { id: _, node, terminal, text, interrupt, enter } => {
            view! { <Run node terminal text interrupt enter/> }
        }
        Block::Code { language, text } => view! { <Code label=language text/> },
        Block::File { id, node, path, text } => {
            let name = format!("Write {path} on {node}");
            let act = Act { name, verb: "Write file", done: "written" };
            view! { <ActBlock id place=format!("{node}: {path}") act text/> }
        }
        Block::Link { id, text } => {
            let name = format!("Set links: {}", text.replace('\n', ", "));
            let act = Act { name, verb: "Set links", done: "set" };
            view! { <ActBlock id place="links".to_owned() act text/> }
        }
        Block::Port { node, port, label } => view! { <PortLink node port label/> },
        Block::Check { id, title, continuous } => view! { <Check id title continuous/> },
        Block::Hint { title, html } => view! {
            <details class="hint">
                <summary class="hint-title">{title}</summary>
                <div class="prose" inner_html=html></div>
            </details>
        },
        Block::Quiz { id, question_html, answer } => view! { <QuizView id question_html answer/> },
    }
}

/// Control characters of raw keys, as people write them: `^P^Q`.
fn readable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c.to_string(),
            '\u{0}'..='\u{1f}' => format!("^{}", char::from(c as u8 + 64)),
            c => c.to_string(),
        })
        .collect()
}

#[component]
fn Run(node: String, terminal: u32, text: String, interrupt: bool, enter: bool) -> View {
    let desk = desk::current();
    let times = State::new(0);
    // What an earlier block captured stands in place of its name.
    let template = Kept::new(text);
    let filled = move || {
        let fill = |progress: &Progress| template.with_value(|text| progress.fill(text));
        desk.lesson.with(|lesson| lesson.as_ref().map(|lesson| fill(&lesson.progress)).unwrap_or_default())
    };
    let place = if terminal > 1 { format!("{node} · {terminal}") } else { node.clone() };
    let first = match template.with_value(|text| readable(text.lines().next().unwrap_or_default())) {
        nothing if nothing.is_empty() && interrupt => "Ctrl-C".to_owned(),
        first => first,
    };
    let shown = move || format!("{}{}", if interrupt { "^C" } else { "" }, readable(&filled()));
    let run = move |_| {
        let mut typed = if interrupt { "\u{3}".to_owned() } else { String::new() };
        typed.push_str(filled().trim_end_matches('\n'));
        if enter {
            typed.push('\n');
        }
        times.update(|times| *times += 1);
        desk.run(node.clone(), terminal as usize, typed);
    };
    view! {
        <figure class="code code-run">
            <figcaption class="code-head">
                <Icon glyph=Glyph::Terminal/>
                <span class="code-place">{place}</span>
                {when(move || times.get() > 0, move || view! {
                    <span class="code-ran"><Icon glyph=Glyph::Check/>"typed"</span>
                })}
                <CopyButton text=Live::changing(filled)/>
                <button
                    class="button button-small button-primary"
                    aria-label=format!("Run {first}")
                    disabled=desk.read_only
                    on:click=run
                >
                    <Icon glyph=Glyph::Play/>
                    "Run"
                </button>
            </figcaption>
            <pre class="code-text" tabindex="0"><code>{Live::changing(shown)}</code></pre>
        </figure>
    }
}

#[component]
fn CopyButton(#[prop(into)] text: Live<String>) -> View {
    let desk = desk::current();
    view! {
        {icon_button("Copy", Glyph::Copy, move || desk.copy(text.get(), "Copied."))}
    }
}

#[component]
fn Code(label: String, text: String) -> View {
    view! {
        <figure class="code">
            <figcaption class="code-head">
                <span class="code-place">{label}</span>
                <CopyButton text=text.clone()/>
            </figcaption>
            <pre class="code-text" tabindex="0"><code>{text}</code></pre>
        </figure>
    }
}

/// What the server does on a click.
struct Act {
    /// For those who don't see where the button is.
    name: String,
    verb: &'static str,
    done: &'static str,
}

#[component]
fn ActBlock(id: String, place: String, act: Act, text: String) -> View {
    let desk = desk::current();
    let state = State::new(None::<bool>);
    let Act { name, verb, done } = act;
    let write = move |_| {
        state.set(None);
        desk.act_on_lab_block(id.clone(), move |written| state.set(Some(written)));
    };
    view! {
        <figure class="code code-run">
            <figcaption class="code-head">
                <span class="code-place">{place}</span>
                {when(move || state.get() == Some(true), move || view! {
                    <span class="code-ran"><Icon glyph=Glyph::Check/>{done}</span>
                })}
                <CopyButton text=text.clone()/>
                <button
                    class="button button-small button-primary"
                    aria-label=name
                    disabled=desk.read_only
                    on:click=write
                >
                    {verb}
                </button>
            </figcaption>
            <pre class="code-text" tabindex="0"><code>{text}</code></pre>
        </figure>
    }
}

#[component]
fn PortLink(node: String, port: u16, label: String) -> View {
    let desk: Desk = desk::current();
    let address = memo(move || {
        desk.model
            .with(|model| model.by_hostname(&node).map(|node| desk.port_address(&node.proxy_host, port)))
    });
    let said = if label.is_empty() { format!("Open port {port}") } else { label };
    view! {
        <a class="button port-link" href=text(move || address.get().unwrap_or_default()) target="_blank" rel="noopener">
            <Icon glyph=Glyph::Link/>
            {said}
        </a>
    }
}

#[component]
fn Check(id: String, title: String, continuous: bool) -> View {
    let desk = desk::current();
    let id = Kept::new(id);
    let check = memo(move || {
        let find = |id: &String| {
            desk.lesson.with(|lesson| lesson.as_ref().map(|lesson| lesson.check(id)).unwrap_or_default())
        };
        id.with_value(find)
    });
    let passed = memo(move || check.with(|check| check.state == "passed"));
    view! {
        <div class="check" data-state=text(move || check.with(|check| check.state.clone())) role="status">
            <CheckMark check/>
            <div class="check-words">
                <span class="check-title">{title.clone()}</span>
                <span class="visually-hidden">{text(move || check.with(|check| word(check).to_owned()))}</span>
                {when(move || !passed.get() && check.with(|check| !check.output.trim().is_empty()), move || view! {
                    <p class="check-output">{text(move || check.with(|check| check.output.trim().to_owned()))}</p>
                })}
            </div>
            {when(move || !continuous && !passed.get(), move || view! {
                <button
                    class="button button-small"
                    aria-label=format!("Check: {title}")
                    on:click=press(move || desk.act_on_lab_block(id.get_value(), |_| ()))
                >
                    "Check"
                </button>
            })}
        </div>
    }
}

fn word(check: &CheckProgress) -> &'static str {
    match check.state.as_str() {
        "passed" => "holds",
        "failed" => "does not hold yet",
        "checking" => "is being checked",
        _ => "waiting",
    }
}

#[component]
fn CheckMark(check: Memo<CheckProgress>) -> View {
    view! {
        <span class="check-mark" aria-hidden="true">
            {part(move || match check.with(|check| check.state.clone()).as_str() {
                "passed" => view! { <Icon glyph=Glyph::Check/> },
                "checking" => view! { <span class="spinner"></span> },
                _ => View::nothing(),
            })}
        </span>
    }
}
