//! What only SQLite has: the file, its connection, hearing commits of other processes, and keeping forks apart from operations.

pub(crate) mod commit_watch;
pub(crate) mod error;
pub(crate) mod facts;
pub(crate) mod file;
pub mod fork_gate;
mod poll_interval;
pub(crate) mod session;

#[cfg(test)]
mod tests;
