//! Short messages in the corner. Failures stay until they are put away, the rest goes by itself.

use drydock_browser::timer::Timeout;
use leptos::prelude::*;

use crate::component::icon::Glyph;
use crate::reactive::{Kept, State};
use crate::view::{View, each, icon_button, view};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Failure,
}

#[derive(Debug, Clone, PartialEq)]
struct Toast {
    id: u32,
    tone: Tone,
    text: String,
}

/// How to say something from anywhere below [`provide`].
#[derive(Debug, Clone, Copy)]
pub struct Say {
    toasts: State<Vec<Toast>>,
    next_id: State<u32>,
    timers: Kept<Vec<(u32, Timeout)>>,
}

const SHOWN: u32 = 4_000;
const MOST: usize = 4;

pub fn provide() {
    provide_context(Say {
        toasts: State::default(),
        next_id: State::default(),
        timers: Kept::new(Vec::new()),
    });
}

pub fn say() -> Say {
    expect_context()
}

impl Say {
    pub fn plain(self, text: impl Into<String>) {
        let id = self.put(Tone::Plain, text.into());
        let timer = Timeout::after(SHOWN, move || self.put_away(id));
        self.timers.update_value(|timers| timers.push((id, timer)));
    }

    pub fn failure(self, text: impl ToString) {
        self.put(Tone::Failure, text.to_string());
    }

    fn put(self, tone: Tone, text: String) -> u32 {
        let id = self.next_id.get_untracked();
        self.next_id.set(id + 1);
        self.toasts.update(|toasts| {
            toasts.retain(|toast| toast.text != text);
            toasts.push(Toast { id, tone, text });
            if toasts.len() > MOST {
                toasts.remove(0);
            }
        });
        id
    }

    fn put_away(self, id: u32) {
        self.toasts.update(|toasts| toasts.retain(|toast| toast.id != id));
        self.timers.update_value(|timers| timers.retain(|(timer, _)| *timer != id));
    }
}

#[component]
pub fn Toasts() -> View {
    let say = say();
    view! {
        <div class="toasts" role="status" aria-live="polite">
            {each(
                move || say.toasts.with(|toasts| toasts.iter().map(|toast| toast.id.to_string()).collect()),
                move |id| {
                    let toasts = say.toasts.get_untracked();
                    toasts.into_iter().find(|toast| toast.id.to_string() == id).map(|toast| view! {
                        <div class="toast" class:toast-failure=toast.tone == Tone::Failure>
                            <span class="toast-text">{toast.text}</span>
                            {icon_button("Dismiss", Glyph::Close, move || say.put_away(toast.id))}
                        </div>
                    })
                },
            )}
        </div>
    }
}
