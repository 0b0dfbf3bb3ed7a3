//! Keeps forks apart from operations in other threads: a fork waits until no operation is under way, and holds up those that follow.
//!
//! A child that is forked in the middle of an operation inherits the library's mutexes, SQLite's table of locks and the sockets of
//! servers as they are at that moment, without the thread that would release them.

use std::cell::Cell;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use ferry_support::sync;

static GATE: RwLock<()> = RwLock::new(());

thread_local! {
    static SHUT: Cell<Option<RwLockWriteGuard<'static, ()>>> = const { Cell::new(None) };
}

/// Held while an operation is under way.
pub(crate) fn operation() -> RwLockReadGuard<'static, ()> {
    sync::read(&GATE)
}

/// Waits for the operations under way and holds up the next. Never called from inside an operation.
pub fn shut() {
    // A thread that is ending has no place for it; then the fork goes ahead as if nothing were under way.
    let _ = SHUT.try_with(|shut| shut.set(Some(sync::write(&GATE))));
}

/// Lets operations go on, in the parent and in the child. On the thread that called [`shut`].
pub fn open() {
    let _ = SHUT.try_with(Cell::take);
}
