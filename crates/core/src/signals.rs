//! The one rule that every native thread obeys: signals belong to PHP's thread.

use nix::sys::signal::{SigSet, SigmaskHow};

/// Runs `start` with all signals blocked, so that the threads it starts inherit the block, and restores the mask after.
///
/// Otherwise pcntl's C handler could run on a thread that PHP does not know.
pub fn blocked<T>(start: impl FnOnce() -> T) -> T {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let result = start();
    if let Ok(before) = before {
        // Setting a mask that the kernel just handed out cannot fail.
        let _ = before.thread_set_mask();
    }
    result
}
