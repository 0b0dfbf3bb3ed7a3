//! Keeps forks apart from words in other threads: a fork waits until no word is under way, and holds up those that follow.
//!
//! A child that is forked in the middle of a word inherits SQLite's mutexes and its table of locks as they are at that moment,
//! without the thread that would let go of them.

use std::cell::Cell;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static GATE: RwLock<()> = RwLock::new(());

thread_local! {
    static SHUT: Cell<Option<RwLockWriteGuard<'static, ()>>> = const { Cell::new(None) };
}

/// Held while a word is under way.
pub(super) fn operation() -> RwLockReadGuard<'static, ()> {
    GATE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the words under way and holds up the next. Never called beneath a word.
pub fn shut() {
    // A thread that is ending has no place for it; then the fork goes ahead as if nothing were under way.
    let _ = SHUT.try_with(|shut| shut.set(Some(GATE.write().unwrap_or_else(PoisonError::into_inner))));
}

/// Lets words go on, in the parent and in the child. On the thread that called [`shut`].
pub fn open() {
    let _ = SHUT.try_with(Cell::take);
}
