//! One connection to a database, with blocking calls.

use std::time::Duration;

use crate::error::SqlError;
use crate::values::SqlValues;

/// An open connection. After an error it is closed, which rolls back what was open; so no path needs a ROLLBACK of its own.
///
/// Statements number their parameters from `?1` and may repeat one. A session whose server wants them otherwise translates.
pub trait Session: Sized {
    /// A row of an answer.
    type Row: Row;

    /// Runs one statement that answers with rows.
    fn query(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<Vec<Self::Row>, SqlError>;

    /// Runs one statement that changes rows, and returns how many.
    fn execute(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<u64, SqlError>;

    /// Runs one statement that inserts rows, and returns the id of the last.
    fn insert(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<i64, SqlError>;

    /// Does `work` in one transaction. A server that rolls it back because of a conflict with another one (a deadlock, a failed
    /// serialisation) has it done again.
    fn transaction<T>(&mut self, work: impl FnMut(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError>;

    /// The same for choosing the rows of a reserve.
    fn reserve_transaction<T>(&mut self, work: impl FnMut(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.transaction(work)
    }

    /// Whether a transaction that reserves passes over rows that others have locked, and waits for nobody.
    fn skips_locked(&self) -> bool {
        true
    }

    /// Milliseconds since 1970 by the database's clock.
    fn now_ms(&mut self) -> Result<i64, SqlError>;

    /// From now on, commits of this connection do not wait for the disk. For what may be lost with the power: statuses, reports
    /// of workers. They must not hold up whoever renews a lease.
    fn relax_durability(&mut self) -> Result<(), SqlError>;

    /// From now on, this connection reserves jobs (`Reserve`) or settles them. Its statements find rows by an index, whatever
    /// size the planner takes the tables for. A reserve that would outlast the wait for its answer changes nothing.
    fn tune(&mut self, _work: JobWork) -> Result<(), SqlError> {
        Ok(())
    }

    /// Before each operation: whether the other side has kept the connection. One that it has closed is replaced.
    fn is_alive(&self) -> bool {
        true
    }

    /// Before each operation: whether the connection may still be used.
    fn check(&self) -> Result<(), SqlError> {
        Ok(())
    }

    /// Closes the connection and waits until it is closed.
    fn close(self);
}

/// What a connection does with jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobWork {
    /// It reserves them.
    Reserve,
    /// It settles them and renews their reservations.
    Settle,
}

/// One row of an answer. Columns are read as what they should be, whatever another program stored.
pub trait Row {
    /// The whole number in a column; `None` for NULL.
    fn int(&self, column: usize) -> Option<i64>;

    /// The bytes in a column; none for NULL.
    fn bytes(&self, column: usize) -> Vec<u8>;

    /// The text in a column; bytes that are no UTF-8 are replaced.
    fn text(&self, column: usize) -> String {
        String::from_utf8_lossy(&self.bytes(column)).into_owned()
    }
}

/// How often the database may roll back because of conflicts before the caller hears of it.
const CONFLICTS: u32 = 20;

/// Does `work` again when the database rolled it back because of a conflict with another transaction.
pub(crate) fn repeat_after_conflicts<S, T>(
    session: &mut S,
    mut work: impl FnMut(&mut S) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    for number in 1..CONFLICTS {
        match work(session) {
            Err(error) if error.is_conflict() => std::thread::sleep(Duration::from_millis(u64::from(number))),
            result => return result,
        }
    }
    work(session)
}
