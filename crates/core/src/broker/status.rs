//! Where the statuses of jobs are kept.

use crate::error::Result;
use crate::status::{Status, StatusUpdate};

/// Statuses by the id of the job. Any thread may call any method; every method may be repeated after an error.
pub trait StatusStore: Send + Sync {
    /// Applies updates in order, each if it is later than what is known. One round trip and one atomic step for each update.
    fn update(&self, updates: &[StatusUpdate]) -> Result<()>;

    /// What is known of a job. `None` when nothing is, or not any more.
    fn find(&self, id: &str) -> Result<Option<Status>>;
}
