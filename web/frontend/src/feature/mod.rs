//! The parts of the session page: each decides what to show of [`crate::desk::Desk`].

pub mod bar;
pub mod lab;
pub mod nodes;
pub mod terminals;
pub mod topology;

use leptos::prelude::*;

use crate::remembered;

/// Which panes are open.
#[derive(Debug, Clone, Copy)]
pub struct Panes {
    pub nodes: RwSignal<bool>,
    pub lab: RwSignal<bool>,
    pub topology: RwSignal<bool>,
}

impl Panes {
    /// As the reader left them.
    pub fn remembered(is_narrow: bool) -> Self {
        let pane = |name: &'static str, by_default: bool| {
            let open = RwSignal::new(remembered::pane(name).unwrap_or(by_default) && !is_narrow);
            Effect::new(move |was: Option<bool>| {
                let is = open.get();
                if was.is_some_and(|was| was != is) && !is_narrow {
                    remembered::set_pane(name, is);
                }
                is
            });
            open
        };
        Self { nodes: pane("nodes", true), lab: pane("lab", true), topology: pane("topology", false) }
    }
}
