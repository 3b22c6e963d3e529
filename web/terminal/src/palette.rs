//! A terminal's colours, read from the page's own tokens, so that both change together.

use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;
use web_sys::Element;

/// xterm.js's name of a colour, and the CSS custom property that holds it.
const TOKENS: &[(&str, &str)] = &[
    ("background", "--terminal-background"),
    ("foreground", "--terminal-foreground"),
    ("cursor", "--terminal-cursor"),
    ("cursorAccent", "--terminal-background"),
    ("selectionBackground", "--terminal-selection"),
    ("scrollbarSliderBackground", "--terminal-scrollbar"),
    ("scrollbarSliderHoverBackground", "--terminal-scrollbar-hover"),
    ("scrollbarSliderActiveBackground", "--terminal-scrollbar-hover"),
    ("black", "--terminal-black"),
    ("red", "--terminal-red"),
    ("green", "--terminal-green"),
    ("yellow", "--terminal-yellow"),
    ("blue", "--terminal-blue"),
    ("magenta", "--terminal-magenta"),
    ("cyan", "--terminal-cyan"),
    ("white", "--terminal-white"),
    ("brightBlack", "--terminal-bright-black"),
    ("brightRed", "--terminal-bright-red"),
    ("brightGreen", "--terminal-bright-green"),
    ("brightYellow", "--terminal-bright-yellow"),
    ("brightBlue", "--terminal-bright-blue"),
    ("brightMagenta", "--terminal-bright-magenta"),
    ("brightCyan", "--terminal-bright-cyan"),
    ("brightWhite", "--terminal-bright-white"),
];

#[derive(Debug, Clone)]
pub struct Palette(Object);

impl Palette {
    /// As the tokens stand at `element` now; a token that is not set leaves xterm.js's own colour.
    pub fn at(element: &Element) -> Self {
        let theme = Object::new();
        if let Ok(Some(style)) = drydock_browser::window().get_computed_style(element) {
            for (name, token) in TOKENS {
                let value = style.get_property_value(token).unwrap_or_default();
                if !value.trim().is_empty() {
                    // Setting a property of a fresh, plain object does not fail.
                    _ = Reflect::set(&theme, &JsValue::from_str(name), &JsValue::from_str(value.trim()));
                }
            }
        }
        Self(theme)
    }

    pub(crate) fn theme(&self) -> &JsValue {
        &self.0
    }
}
