//! Where the statuses of jobs are kept.

use crate::error::Result;
use crate::job::NewJob;
use crate::queue::QueueName;
use crate::status::{Status, StatusUpdate};

/// What became of jobs and their statuses that were stored in one write.
pub struct PushedWithStatus {
    /// Whether the statuses are kept. The jobs are stored all the same.
    pub updated: Result<()>,
    /// How many jobs were stored.
    pub pushed: Result<u64>,
}

/// Statuses by the id of the job. Any thread may call any method; every method may be repeated after an error.
pub trait StatusStore: Send + Sync {
    /// Applies updates in order, each if it is later than what is known. One round trip and one atomic step for each update.
    fn update(&self, updates: &[StatusUpdate]) -> Result<()>;

    /// Applies updates and stores jobs of the same broker, the update of each before the job, in one round trip. There are as many updates
    /// as jobs. `None` from a store that cannot; then nothing was done.
    fn update_and_push(&self, _updates: &[StatusUpdate], _queue: &QueueName, _jobs: &[NewJob<'_>]) -> Option<PushedWithStatus> {
        None
    }

    /// What is known of a job. `None` when nothing is, or not any more.
    fn find(&self, id: &str) -> Result<Option<Status>>;
}
