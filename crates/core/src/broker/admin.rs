//! What an operator may ask of a broker: failed jobs, payloads that wait, facts about the server.

use crate::error::Result;
use crate::failed::{FailedJob, FailedPosition};
use crate::queue::QueueName;

/// What an operator may ask of a broker.
pub trait Admin: Send + Sync {
    /// Failed jobs of `queue`, newest first, skipping `offset`.
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>>;

    /// Failed jobs of `queue`, oldest first, behind those that were `passed`. `None`: the place is lost, because others removed
    /// jobs that lay behind; the walk must begin anew.
    fn oldest_failed(&self, queue: &QueueName, passed: Option<&FailedPosition>, limit: u64) -> Result<Option<Vec<FailedJob>>>;

    /// Makes failed jobs of `queue` ready again, which were read a moment ago, and returns how many. Their attempts begin anew; no
    /// other byte changes.
    ///
    /// Each one leaves the failed store and joins the ready jobs, or neither. One that is gone is not counted; nor is one that
    /// lies far from where it was read, because many others were removed meanwhile: it stays failed, to be read again. After an
    /// error some may be done; those are not failed any more, so asking again is safe.
    fn retry(&self, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64>;

    /// Removes failed jobs of `queue` for good and returns how many; otherwise like [`Admin::retry`].
    fn forget(&self, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64>;

    /// Payloads of `queue` in `state`, next first, skipping `offset`. Changes nothing.
    fn peek(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>>;

    /// Removes every ready, delayed and reserved job of `queue` and returns how many. Failed jobs stay.
    fn clear(&self, queue: &QueueName) -> Result<u64>;

    /// What an operator should know of the server: version, limits, what it does when memory is full, how far its clock is off.
    /// A fact that the server does not tell is left out. `docs/api.md` lists the names.
    fn facts(&self) -> Result<Vec<(&'static str, Fact)>> {
        Ok(Vec::new())
    }

    /// The statements that make what this driver keeps its jobs in, for those who do not let it make them itself. Nothing for
    /// brokers that need nothing.
    fn schema(&self) -> Vec<String> {
        Vec::new()
    }
}

/// One fact about a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Words.
    Text(String),
    /// A count, or bytes.
    Number(i64),
    /// Seconds.
    Seconds(f64),
    /// Whether it is so.
    Flag(bool),
}

/// The states in which a job lies in the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for a worker.
    Ready,
    /// Waiting for its due time.
    Delayed,
    /// Held by a worker.
    Reserved,
}
