//! What `@xterm/xterm` 6 has and the bindings have not.

use js_sys::{Function, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use xterm_js_rs::{Terminal, TerminalOptions, UnicodeHandling};

#[wasm_bindgen(module = "drydock-xterm")]
extern "C" {
    #[wasm_bindgen(js_name = load)]
    fn load_xterm() -> Promise;

    #[wasm_bindgen(js_name = drawWithWebgl)]
    pub fn draw_with_webgl(terminal: &Terminal) -> bool;
}

#[wasm_bindgen]
extern "C" {
    /// A [`Terminal`], with the methods it got since xterm.js 4.
    pub type ModernTerminal;

    #[wasm_bindgen(method)]
    pub fn write(this: &ModernTerminal, data: &Uint8Array, drawn: &Function);

    #[wasm_bindgen(method, js_name = write)]
    pub fn write_text(this: &ModernTerminal, data: &str);

    #[wasm_bindgen(method, getter)]
    pub fn options(this: &ModernTerminal) -> ModernOptions;

    /// [`TerminalOptions`], with those it got since.
    pub type ModernOptions;

    #[wasm_bindgen(method, setter, js_name = allowProposedApi)]
    pub fn set_allow_proposed_api(this: &ModernOptions, value: bool);

    #[wasm_bindgen(method, setter, js_name = fontSize)]
    pub fn set_font_size(this: &ModernOptions, value: f64);

    #[wasm_bindgen(method, setter, js_name = lineHeight)]
    pub fn set_line_height(this: &ModernOptions, value: f64);

    #[wasm_bindgen(method, setter, js_name = theme)]
    pub fn set_theme(this: &ModernOptions, value: &JsValue);

    #[wasm_bindgen(method, setter, js_name = minimumContrastRatio)]
    pub fn set_minimum_contrast_ratio(this: &ModernOptions, value: f64);

    pub type ModernUnicode;

    #[wasm_bindgen(method, setter, js_name = activeVersion)]
    pub fn set_active_version(this: &ModernUnicode, value: &str);
}

/// Fetches xterm.js; afterwards terminals can be made. Rejected when the network fails; may be tried again.
pub fn load() -> Promise {
    load_xterm()
}

pub fn modern(terminal: &Terminal) -> &ModernTerminal {
    terminal.unchecked_ref()
}

pub fn modern_options(options: &TerminalOptions) -> &ModernOptions {
    options.unchecked_ref()
}

pub fn modern_unicode(unicode: &UnicodeHandling) -> &ModernUnicode {
    unicode.unchecked_ref()
}
