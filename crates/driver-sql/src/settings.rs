//! What a driver must know beside where its database is.

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::config::FailedStore;
use ferry_core::dialect::Family;
use ferry_core::job::Due;

use crate::error::SqlError;
use crate::session::Session;
use crate::values::SqlValue;

/// No reservation is older than the least number, so none has expired.
const NEVER: i64 = i64::MIN;

/// How jobs are kept, for every kind of database.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which think-queue the other side speaks.
    pub family: Family,
    /// Seconds a reservation lasts; `None` for ever.
    pub retry_after: Option<u32>,
    /// Whether failed jobs are kept. When discarded, no table of failed jobs is created or read.
    pub failed: FailedStore,
    /// A fixed unix second for tests. `None` is the database's clock.
    pub now: Option<i64>,
}

impl Settings {
    /// The unix second by which due times and leases are judged: that of the database when the statement runs.
    pub(crate) fn now(&self) -> SqlValue<'static> {
        self.later(0)
    }

    /// So many seconds later.
    pub(crate) fn later(&self, seconds: i64) -> SqlValue<'static> {
        self.now.map_or(SqlValue::Now(seconds), |now| SqlValue::Int(now.saturating_add(seconds)))
    }

    /// The second in which a new job is due.
    pub(crate) fn due(&self, due: Due) -> SqlValue<'static> {
        match due {
            Due::Now => self.now(),
            Due::After(seconds) => self.later(seconds),
            Due::At(second) => SqlValue::Int(second),
        }
    }

    /// A reservation made at this second or before has expired.
    pub(crate) fn expired(&self) -> SqlValue<'static> {
        self.retry_after.map_or(SqlValue::Int(NEVER), |seconds| self.later(-i64::from(seconds)))
    }

    /// What the database's clock shows, in milliseconds.
    pub(crate) fn now_ms(&self, session: &mut impl Session) -> Result<i64, SqlError> {
        self.now.map_or_else(|| session.now_ms(), |now| Ok(now * 1000))
    }

    /// The second of a failure, by the clock of this machine, as think-queue writes it.
    pub(crate) fn failed_at(&self) -> i64 {
        self.now.unwrap_or_else(|| SystemClock.now())
    }

    pub(crate) fn keeps_failed(&self) -> bool {
        match self.failed {
            FailedStore::Keep => true,
            FailedStore::Discard => false,
        }
    }
}
