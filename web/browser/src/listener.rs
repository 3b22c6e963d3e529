//! An event listener that is taken off when it is dropped.

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{AddEventListenerOptions, Event, EventTarget};

#[derive(Debug)]
pub struct Listener {
    target: EventTarget,
    event: &'static str,
    callback: Closure<dyn FnMut(Event)>,
    captures: bool,
}

impl Listener {
    pub fn on(target: &EventTarget, event: &'static str, callback: impl FnMut(Event) + 'static) -> Self {
        Self::add(target, event, false, callback)
    }

    /// Sees the event before the elements inside `target` do.
    pub fn capturing(
        target: &EventTarget,
        event: &'static str,
        callback: impl FnMut(Event) + 'static,
    ) -> Self {
        Self::add(target, event, true, callback)
    }

    fn add(
        target: &EventTarget,
        event: &'static str,
        captures: bool,
        callback: impl FnMut(Event) + 'static,
    ) -> Self {
        let callback = Closure::<dyn FnMut(Event)>::new(callback);
        let options = AddEventListenerOptions::new();
        options.set_capture(captures);
        options.set_passive(false);
        let function = callback.as_ref().unchecked_ref();
        // Fails for a null listener only.
        _ = target.add_event_listener_with_callback_and_add_event_listener_options(event, function, &options);
        Self { target: target.clone(), event, callback, captures }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let function = self.callback.as_ref().unchecked_ref();
        _ = self.target.remove_event_listener_with_callback_and_bool(self.event, function, self.captures);
    }
}
