//! Line icons on a 16 × 16 grid, in the colour of the text around them. Decoration: the control has the name.

use crate::view::{View, view};
use leptos::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glyph {
    Add,
    Bin,
    Book,
    Check,
    Clock,
    Close,
    Copy,
    Down,
    Link,
    Moon,
    Next,
    Play,
    Previous,
    Search,
    Server,
    SplitColumn,
    SplitRow,
    Sun,
    Terminal,
    Topology,
    Up,
}

impl Glyph {
    fn path(self) -> &'static str {
        match self {
            Self::Add => "M8 3v10M3 8h10",
            Self::Bin => "M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.5 9h6l.5-9",
            Self::Book => {
                "M2.5 3.5h4a1.5 1.5 0 0 1 1.5 1.5v8a1.5 1.5 0 0 0-1.5-1h-4zM13.5 3.5h-4A1.5 1.5 0 0 0 8 5v8a1.5 1.5 0 0 1 1.5-1h4z"
            }
            Self::Check => "M3 8.5l3.5 3.5L13 4.5",
            Self::Clock => "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM8 5v3.2l2.2 1.3",
            Self::Close => "M4 4l8 8M12 4l-8 8",
            Self::Copy => "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
            Self::Down => "M4 6l4 4 4-4",
            Self::Link => {
                "M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 0 1 4.5 4.5L11.5 9M9 11.5L7.5 13A3 3 0 0 1 3 8.5L4.5 7"
            }
            Self::Moon => "M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z",
            Self::Next => "M6 4l4 4-4 4",
            Self::Play => "M5 3.5v9l7-4.5z",
            Self::Previous => "M10 4L6 8l4 4",
            Self::Search => "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM10.3 10.3l3.2 3.2",
            Self::Server => "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01",
            Self::SplitColumn => "M2.5 2.5h11v11h-11zM2.5 8h11",
            Self::SplitRow => "M2.5 2.5h11v11h-11zM8 2.5v11",
            Self::Sun => {
                "M8 5.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5zM8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M12.6 3.4l-1 1M4.4 11.6l-1 1"
            }
            Self::Terminal => "M2.5 3h11v10h-11zM5 6l2 2-2 2M8.5 10H11",
            Self::Topology => "M6 2.5h4v3H6zM2 10.5h4v3H2zM10 10.5h4v3h-4zM8 5.5V8M4 10.5V8h8v2.5",
            Self::Up => "M4 10l4-4 4 4",
        }
    }
}

#[component]
pub fn Icon(glyph: Glyph) -> View {
    view! {
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
            <path d=glyph.path()></path>
        </svg>
    }
}
