//! Exit codes of a worker (`docs/worker.md`).

/// Asked to stop: a signal, `stop()`, once, max_jobs, max_time or an empty queue.
pub const STOPPED: u8 = 0;
/// Could not start: the broker was not reached or refused; or it denied a right meanwhile.
pub const NOT_STARTED: u8 = 1;
/// The memory limit was reached, as in think-queue.
pub const MEMORY: u8 = 12;
/// A handler ended the process.
pub const HANDLER_EXITED: u8 = 13;
/// A job did not exit when its time was over.
pub const TIMED_OUT: u8 = 14;
/// A thread of the worker panicked.
pub const PANICKED: u8 = 16;
/// The broker was not reached for too long.
pub const UNREACHABLE: u8 = 15;
