//! Parts that know nothing of sessions. A folder is a component with its CSS beside it.

pub mod dialog;
pub mod icon;
pub mod meter;
pub mod splitter;
pub mod toast;
