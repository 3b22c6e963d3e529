//! Small memories of this browser. They may be forbidden or full; then nothing is remembered, and nothing else breaks.

use crate::window;

pub fn read(key: &str) -> Option<String> {
    window().local_storage().ok()??.get_item(key).ok()?
}

pub fn write(key: &str, value: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        // Full or forbidden: see above.
        _ = storage.set_item(key, value);
    }
}

/// Of this tab alone.
pub fn read_tab(key: &str) -> Option<String> {
    window().session_storage().ok()??.get_item(key).ok()?
}

pub fn write_tab(key: &str, value: &str) {
    if let Ok(Some(storage)) = window().session_storage() {
        _ = storage.set_item(key, value);
    }
}
