//! Operations for operators and monitoring: failed jobs, waiting payloads, facts about the server.

use crate::error::{Error, ErrorKind, Result};
use crate::failed::{FailedJob, Failure, Filter};
use crate::job::NewJob;
use crate::queue::QueueName;

/// Operations for operators and monitoring.
pub trait Admin: Send + Sync {
    /// Failed jobs of `queue`, newest first, skipping `offset`.
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>>;

    /// The failed job of `queue` with this id; of several the oldest.
    fn failed_job(&self, queue: &QueueName, id: &str) -> Result<Option<FailedJob>>;

    /// Makes the failed jobs of `queue` that match `which` ready again, oldest first, and returns how many. Their attempts are
    /// reset; no other byte changes.
    ///
    /// `before` gets each batch just before it becomes ready. A job leaves the failed store and joins the ready jobs, or neither.
    /// Jobs that fail after the call began are left alone, so that one that fails again at once is not retried for ever. When
    /// several callers retry at the same time, each job is retried once. After an error some jobs may be ready; they are not
    /// failed any more, so calling again is safe.
    fn retry(&self, queue: &QueueName, which: &Filter, before: &mut dyn FnMut(&[FailedJob])) -> Result<u64>;

    /// Removes the failed jobs of `queue` that match `which` for good and returns how many; otherwise like [`Admin::retry`].
    fn forget(&self, queue: &QueueName, which: &Filter) -> Result<u64>;

    /// Adds a job to the failed store that is in no queue: its program took it off and gives it up. Only where programs do that.
    fn add_failed(&self, _queue: &QueueName, _failure: &Failure) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "jobs of this broker fail where they are reserved"))
    }

    /// Payloads of `queue` in `state`, next first, skipping `offset`. Changes nothing.
    fn peek(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>>;

    /// Removes every ready, delayed and reserved job of `queue` and returns how many. Failed jobs stay.
    fn clear(&self, queue: &QueueName) -> Result<u64>;

    /// Facts about the server: version, limits, what it does when memory is full, its clock skew. A fact that the server does not
    /// disclose is left out. `docs/api.md` lists the names.
    fn facts(&self) -> Result<Vec<(&'static str, Fact)>> {
        Ok(Vec::new())
    }

    /// The statements that create the tables of this driver, for users who do not let it create them. Empty for brokers without
    /// tables.
    fn schema(&self) -> Vec<String> {
        Vec::new()
    }

    /// The row that a push of `job` to `queue` would insert, for a caller who inserts it in a transaction of its own. Stores
    /// nothing. `None` where jobs are not rows.
    fn row(&self, _queue: &QueueName, _job: &NewJob<'_>) -> Result<Option<JobRow>> {
        Ok(None)
    }
}

/// A row of a table of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// The table, with its prefix.
    pub table: String,
    /// Columns and values; `id` is left to the database.
    pub values: Vec<(&'static str, RowValue)>,
}

/// A value of such a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowValue {
    /// NULL.
    Null,
    /// A whole number.
    Int(i64),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// One fact about a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Text.
    Text(String),
    /// A count, or bytes.
    Number(i64),
    /// Seconds.
    Seconds(f64),
    /// Yes or no.
    Flag(bool),
}

/// The states of a job that is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for a worker.
    Ready,
    /// Waiting for its due time.
    Delayed,
    /// Held by a worker.
    Reserved,
}
