//! Callables waiting for the events of a worker.

use std::cell::{Cell, RefCell};

use ext_php_rs::types::Zval;

/// The events one can listen to (`docs/worker.md`).
pub const NAMES: [&str; 13] = [
    "ready",
    "looping",
    "processing",
    "processed",
    "exception",
    "failed",
    "released",
    "lost",
    "settle_lost",
    "timeout",
    "paused",
    "resumed",
    "stopping",
];

/// Those of a worker of plain tasks, whose `printStats()` takes the place of a summary in the log.
pub const PLAIN_TASK_NAMES: [&str; NAMES.len() + 1] = {
    let mut names = ["status"; NAMES.len() + 1];
    names.split_at_mut(NAMES.len()).0.copy_from_slice(&NAMES);
    names
};

/// Listeners by event, in the order in which they were added.
pub struct Listeners {
    /// Attempts that ended well.
    pub processed: Cell<u64>,
    names: &'static [&'static str],
    all: RefCell<Vec<(&'static str, Zval)>>,
}

impl Listeners {
    /// Nobody listens yet to the events of these names.
    pub fn new(names: &'static [&'static str]) -> Self {
        Self { processed: Cell::default(), names, all: RefCell::default() }
    }

    /// Adds one. `false` when there is no such event.
    pub fn add(&self, event: &str, listener: Zval) -> bool {
        let Some(name) = self.names.iter().find(|name| **name == event) else { return false };
        self.all.borrow_mut().push((name, listener));
        true
    }

    /// All of them, for the cycle collector.
    pub fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        if let Ok(all) = self.all.try_borrow() {
            all.iter().for_each(|(_, listener)| visit(listener));
        }
    }

    /// The listeners of an event, copied so that nothing is borrowed while they run. `None` when nobody listens.
    pub fn of(&self, event: &str) -> Option<Vec<Zval>> {
        let all = self.all.borrow();
        if all.is_empty() {
            return None;
        }
        let listeners: Vec<Zval> =
            all.iter().filter(|(name, _)| *name == event).map(|(_, listener)| listener.shallow_clone()).collect();
        (!listeners.is_empty()).then_some(listeners)
    }
}
