//! A terminal's colours, read from the page's own tokens, so that both change together.

use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;
use web_sys::HtmlElement;

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
    /// As the tokens stand at `element` now.
    ///
    /// A custom property's own value is text (`light-dark(…)`); what it means is the colour that an element painted
    /// with it has.
    pub fn at(element: &HtmlElement) -> Self {
        let theme = Object::new();
        if let Ok(Some(computed)) = drydock_browser::window().get_computed_style(element) {
            let style = element.style();
            for (name, token) in TOKENS {
                // Both only fail on an element without style, which an HTML element is not.
                _ = style.set_property("color", &format!("var({token})"));
                let colour = computed.get_property_value("color").unwrap_or_default();
                _ = Reflect::set(&theme, &JsValue::from_str(name), &JsValue::from_str(&colour));
            }
            _ = style.remove_property("color");
        }
        Self(theme)
    }

    pub(crate) fn theme(&self) -> &JsValue {
        &self.0
    }
}
