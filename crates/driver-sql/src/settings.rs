//! What a driver must know beside where its database is.

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::config::FailedStore;
use ferry_core::dialect::Family;

/// How jobs are kept, for every kind of database.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which think-queue the other side speaks.
    pub family: Family,
    /// Seconds a reservation lasts; `None` for ever.
    pub retry_after: Option<u32>,
    /// Whether failed jobs are kept. When discarded, no table of failed jobs is created or read.
    pub failed: FailedStore,
    /// A fixed unix second for tests. `None` is the machine's clock, which for a local file is the database's clock.
    pub now: Option<i64>,
}

impl Settings {
    /// The unix second by which due times and leases are judged.
    pub(crate) fn now(&self) -> i64 {
        self.now.unwrap_or_else(|| SystemClock.now())
    }

    /// The same in milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now.map_or_else(|| SystemClock.now_ms(), |now| now * 1000)
    }

    /// A reservation made at this second or before has expired. `None`: none ever does.
    pub(crate) fn expired_before(&self, now: i64) -> Option<i64> {
        self.retry_after.map(|seconds| now - i64::from(seconds))
    }

    pub(crate) fn keeps_failed(&self) -> bool {
        match self.failed {
            FailedStore::Keep => true,
            FailedStore::Discard => false,
        }
    }
}
