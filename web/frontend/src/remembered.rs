//! What this browser remembers between visits, as JSON in its storage.

use drydock_browser::storage;
use drydock_model::json;
use drydock_model::recent::{Event, Recent};
use drydock_model::workspace::Workspace;

const RECENT: &str = "drydock.recent";
const FONT_SIZE: &str = "drydock.font-size";

pub const DEFAULT_FONT_SIZE: u32 = 14;
pub const FONT_SIZES: std::ops::RangeInclusive<u32> = 9..=28;

pub fn recent() -> Recent {
    storage::read(RECENT).and_then(|text| json::read(&text)).unwrap_or_default()
}

pub fn change_recent(event: Event) {
    let mut recent = recent();
    recent.apply(event);
    if let Ok(text) = serde_json::to_string(&recent) {
        storage::write(RECENT, &text);
    }
}

/// How this tab had arranged the session's terminals.
pub fn workspace(session: &str) -> Option<Workspace> {
    json::read(&storage::read_tab(&format!("drydock.workspace.{session}"))?)
}

pub fn set_workspace(session: &str, workspace: &Workspace) {
    if let Ok(text) = serde_json::to_string(workspace) {
        storage::write_tab(&format!("drydock.workspace.{session}"), &text);
    }
}

pub fn font_size() -> u32 {
    let remembered = storage::read(FONT_SIZE).and_then(|text| text.parse().ok());
    remembered.filter(|size| FONT_SIZES.contains(size)).unwrap_or(DEFAULT_FONT_SIZE)
}

pub fn set_font_size(size: u32) {
    storage::write(FONT_SIZE, &size.to_string());
}

/// Whether a pane is open, when the reader has said.
pub fn pane(name: &str) -> Option<bool> {
    Some(storage::read(&format!("drydock.pane.{name}"))? == "open")
}

pub fn set_pane(name: &str, open: bool) {
    storage::write(&format!("drydock.pane.{name}"), if open { "open" } else { "closed" });
}
