//! A value that is fixed, or read anew whenever what it is made of changes.

use std::sync::Arc;

use crate::reactive::{Memo, State};

#[derive(Clone)]
pub enum Live<T> {
    Fixed(T),
    Changing(Arc<dyn Fn() -> T + Send + Sync>),
}

impl<T> Live<T> {
    pub fn changing(read: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self::Changing(Arc::new(read))
    }
}

impl<T: Clone> Live<T> {
    pub fn get(&self) -> T {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Changing(read) => read(),
        }
    }
}

/// A text, or an attribute, that changes.
pub fn text(read: impl Fn() -> String + Send + Sync + 'static) -> Live<String> {
    Live::changing(read)
}

/// A class, or a boolean attribute, that changes.
pub fn flag(read: impl Fn() -> bool + Send + Sync + 'static) -> Live<bool> {
    Live::changing(read)
}

impl From<bool> for Live<bool> {
    fn from(value: bool) -> Self {
        Self::Fixed(value)
    }
}

impl From<String> for Live<String> {
    fn from(value: String) -> Self {
        Self::Fixed(value)
    }
}

impl From<&str> for Live<String> {
    fn from(value: &str) -> Self {
        Self::Fixed(value.to_owned())
    }
}

impl<T: Clone + 'static> From<State<T>> for Live<T> {
    fn from(state: State<T>) -> Self {
        Self::Changing(Arc::new(move || state.get()))
    }
}

impl<T: Clone + 'static> From<Memo<T>> for Live<T> {
    fn from(memo: Memo<T>) -> Self {
        Self::Changing(Arc::new(move || memo.get()))
    }
}
