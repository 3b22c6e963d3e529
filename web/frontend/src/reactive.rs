//! Leptos's signals, with one type behind all of them.
//!
//! Leptos compiles each kind of signal once for every type that is held in one, and this page holds some fifty: its
//! reactive graph would be a third of the page's weight. Here the graph sees one type, and what is held is told apart
//! where it is read.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use leptos::prelude::{Effect, Get, GetValue, LocalStorage, Notify, StoredValue, Track, Trigger};
use leptos::reactive::effect::RenderEffect;

/// A value that lives as long as the part of the page that made it; copies mean the same value.
pub struct Kept<T> {
    slot: StoredValue<Rc<dyn Any>, LocalStorage>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Kept<T> {}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

#[inline(never)]
fn slot(value: Rc<dyn Any>) -> StoredValue<Rc<dyn Any>, LocalStorage> {
    StoredValue::new_local(value)
}

#[inline(never)]
fn look(slot: StoredValue<Rc<dyn Any>, LocalStorage>) -> Option<Rc<dyn Any>> {
    slot.try_get_value()
}

impl<T: 'static> Kept<T> {
    pub fn new(value: T) -> Self {
        Self { slot: slot(Rc::new(RefCell::new(value))), kind: PhantomData }
    }

    /// `None` when the part of the page that made it is gone.
    fn try_look<U>(self, then: impl FnOnce(&RefCell<T>) -> U) -> Option<U> {
        let held = look(self.slot)?;
        held.downcast_ref().map(then)
    }

    pub fn with_value<U>(self, read: impl FnOnce(&T) -> U) -> U {
        self.try_look(|value| read(&value.borrow())).expect("read after its part of the page is gone")
    }

    pub fn get_value(self) -> T
    where
        T: Clone,
    {
        self.with_value(T::clone)
    }

    /// Does nothing when the part of the page that made it is gone.
    pub fn update_value(self, change: impl FnOnce(&mut T)) {
        _ = self.try_look(|value| change(&mut value.borrow_mut()));
    }

    pub fn set_value(self, value: T) {
        // The old value is dropped when nothing is borrowed any more: its end may look here.
        drop(self.try_look(|held| held.replace(value)));
    }
}

/// A value that tells whoever has read it when it changes.
pub struct State<T> {
    value: Kept<T>,
    changed: Trigger,
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for State<T> {}

impl<T> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

impl<T: Default + 'static> Default for State<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: 'static> State<T> {
    pub fn new(value: T) -> Self {
        Self { value: Kept::new(value), changed: Trigger::new() }
    }

    pub fn track(self) {
        self.changed.track();
    }

    pub fn with<U>(self, read: impl FnOnce(&T) -> U) -> U {
        self.track();
        self.value.with_value(read)
    }

    pub fn with_untracked<U>(self, read: impl FnOnce(&T) -> U) -> U {
        self.value.with_value(read)
    }

    pub fn try_with_untracked<U>(self, read: impl FnOnce(&T) -> U) -> Option<U> {
        self.value.try_look(|value| read(&value.borrow()))
    }

    pub fn get(self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    pub fn get_untracked(self) -> T
    where
        T: Clone,
    {
        self.value.get_value()
    }

    pub fn set(self, value: T) {
        self.value.set_value(value);
        self.changed.notify();
    }

    pub fn update(self, change: impl FnOnce(&mut T)) {
        self.value.update_value(change);
        self.changed.notify();
    }
}

/// Computed from others; tells of a change only when it is another value.
pub struct Memo<T> {
    memo: leptos::prelude::Memo<Computed>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Memo<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Memo<T> {}

trait Comparable: Any + Send + Sync {
    fn equals(&self, other: &dyn Any) -> bool;
}

impl<T: PartialEq + Send + Sync + 'static> Comparable for T {
    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>() == Some(self)
    }
}

#[derive(Clone)]
struct Computed(Arc<dyn Comparable>);

impl PartialEq for Computed {
    fn eq(&self, other: &Self) -> bool {
        let other: &dyn Any = &*other.0;
        self.0.equals(other)
    }
}

pub fn memo<T: PartialEq + Send + Sync + 'static>(read: impl Fn() -> T + Send + Sync + 'static) -> Memo<T> {
    #[inline(never)]
    fn erased(read: Box<dyn Fn() -> Computed + Send + Sync>) -> leptos::prelude::Memo<Computed> {
        leptos::prelude::Memo::new(move |_| read())
    }
    Memo { memo: erased(Box::new(move || Computed(Arc::new(read())))), kind: PhantomData }
}

#[inline(never)]
fn computed(memo: leptos::prelude::Memo<Computed>) -> Computed {
    memo.get()
}

impl<T: Clone + 'static> Memo<T> {
    pub fn get(self) -> T {
        self.with(T::clone)
    }

    pub fn get_untracked(self) -> T {
        leptos::prelude::untrack(|| self.get())
    }
}

impl<T: 'static> Memo<T> {
    pub fn track(self) {
        self.memo.track();
    }

    pub fn with<U>(self, read: impl FnOnce(&T) -> U) -> U {
        let held = computed(self.memo);
        let value: &dyn Any = &*held.0;
        read(value.downcast_ref().expect("a memo holds what its closure gives"))
    }
}

/// Runs after what is being drawn is on the page, and again whenever something that it read changes.
pub fn effect(work: impl FnMut() + 'static) {
    #[inline(never)]
    fn erased(mut work: Box<dyn FnMut()>) {
        Effect::new(move |_: Option<()>| work());
    }
    erased(Box::new(work));
}

/// Runs at once, and again whenever something that it read changes.
pub fn at_once(work: impl FnMut() + 'static) {
    #[inline(never)]
    fn erased(mut work: Box<dyn FnMut()>) {
        // Ends with the part of the page that it is of.
        StoredValue::new_local(RenderEffect::new(move |_: Option<()>| work()));
    }
    erased(Box::new(work));
}
