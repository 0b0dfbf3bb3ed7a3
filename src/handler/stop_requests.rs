//! What PHP code asked of a worker, where its clock's thread can see it too.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Wishes of PHP code, and the process for which the worker works.
#[derive(Default)]
pub struct StopRequests {
    stop: AtomicBool,
    pause: AtomicBool,
    /// The process that started this one and watches over it; 0 for none.
    parent: AtomicI32,
}

impl StopRequests {
    /// Leave at the end of the job, or not.
    pub fn stop(&self, wish: bool) {
        self.stop.store(wish, Ordering::Relaxed);
    }

    /// Whether to leave.
    pub fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether to leave, asked once.
    pub fn take_stop(&self) -> bool {
        self.stop.swap(false, Ordering::Relaxed)
    }

    /// Pause, or go on.
    pub fn pause(&self, wish: bool) {
        self.pause.store(wish, Ordering::Relaxed);
    }

    /// Whether to pause.
    pub fn pauses(&self) -> bool {
        self.pause.load(Ordering::Relaxed)
    }

    /// Leave when the parent is another process than this.
    pub fn work_for(&self, parent: i32) {
        self.parent.store(parent, Ordering::Relaxed);
    }

    /// Whether the process that was worked for is gone.
    pub fn is_orphan(&self) -> bool {
        let parent = self.parent.load(Ordering::Relaxed);
        // SAFETY: getppid(2) reads a number and cannot fail.
        parent != 0 && unsafe { libc::getppid() } != parent
    }
}
