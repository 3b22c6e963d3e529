//! The parts of the session page: each decides what to show of [`crate::desk::Desk`].

pub mod bar;
pub mod lab;
pub mod nodes;
pub mod terminals;
pub mod topology;

use crate::reactive::{State, effect};
use crate::remembered;

/// Which panes are open.
#[derive(Debug, Clone, Copy)]
pub struct Panes {
    pub nodes: State<bool>,
    pub lab: State<bool>,
    pub topology: State<bool>,
}

impl Panes {
    /// As the reader left them.
    pub fn remembered(is_narrow: bool) -> Self {
        let pane = |name: &'static str, by_default: bool| {
            let open = State::new(remembered::pane(name).unwrap_or(by_default) && !is_narrow);
            let mut was = open.get_untracked();
            effect(move || {
                let is = open.get();
                if was != is && !is_narrow {
                    remembered::set_pane(name, is);
                }
                was = is;
            });
            open
        };
        Self { nodes: pane("nodes", true), lab: pane("lab", true), topology: pane("topology", false) }
    }
}
