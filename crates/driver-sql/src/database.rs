//! What a kind of database supplies to the broker.

use std::time::Instant;

use ferry_core::broker::Fact;
use ferry_core::{Error, QueueName};

use crate::dialect::Dialect;
use crate::error::SqlError;
use crate::session::Session;

/// A database as configured. It opens nothing before it is asked to.
pub trait Database: Send + Sync {
    /// Its connections.
    type Session: Session + Send;
    /// How a `reserve` waits.
    type Waiter: CommitWaiter + Send;

    /// Its spelling.
    fn dialect(&self) -> &'static dyn Dialect;

    /// Opens a connection.
    fn open(&self) -> Result<Self::Session, SqlError>;

    /// Made when the connection that reserves is open, and dropped with it.
    fn waiter(&self) -> Self::Waiter;

    /// The error for the caller: what failed, where, what to do.
    fn explain(&self, error: SqlError) -> Error;

    /// What an operator should know of the database.
    fn facts(&self, session: &mut Self::Session) -> Result<Vec<(&'static str, Fact)>, SqlError>;
}

/// Waits until there may be something to reserve. Waiting never reserves.
pub trait CommitWaiter {
    /// A call of `reserve` begins, for these queues.
    fn begin(&mut self, queues: &[QueueName]);

    /// Whether a call that may wait goes on with the wait of the last one before it queries. Workers wait in short calls; without this, each of
    /// them would cost a query.
    fn resumes(&self) -> bool {
        false
    }

    /// Before each query, so that whatever is committed from here on may end the next wait.
    fn before_query(&mut self);

    /// Waits until a query may find something new, until `deadline` at most.
    fn wait(&mut self, deadline: Instant) -> Wakeup;

    /// The call of `reserve` ends.
    fn end(&mut self, found_jobs: bool);
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakeup {
    /// It is time to query again.
    QueryAgain,
    /// The deadline has come, and no query is due yet.
    TimeOver,
    /// A signal arrived.
    Interrupted,
}
