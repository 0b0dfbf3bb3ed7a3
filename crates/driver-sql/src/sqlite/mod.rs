//! What only SQLite has: the file, its connection, waiting for commits of other processes, and keeping forks apart from operations.

mod commit_watch;
mod dialect;
mod error;
mod facts;
mod file;
mod poll_interval;
mod row;
mod session;

use ferry_core::Error;
use ferry_core::broker::Fact;
use ferry_core::config::SqliteConfig;

use crate::broker::SqlBroker;
use crate::database::Database;
use crate::dialect::Dialect;
use crate::error::SqlError;
use crate::settings::Settings;
use commit_watch::CommitWatch;
use dialect::SqliteDialect;
use file::DatabaseFile;
use session::SqliteSession;

/// Jobs in a SQLite file.
pub type SqliteBroker = SqlBroker<DatabaseFile>;

impl SqliteBroker {
    /// A broker on the file of `config`. Neither reads nor writes anything.
    pub fn new(config: SqliteConfig, settings: Settings) -> Self {
        let file = DatabaseFile::new(&config.path, config.busy_timeout);
        Self::on(file, &config.table, &config.failed_table, settings)
    }
}

impl Database for DatabaseFile {
    type Session = SqliteSession;
    type Waiter = CommitWatch;

    fn dialect(&self) -> &'static dyn Dialect {
        &SqliteDialect
    }

    fn open(&self) -> Result<SqliteSession, SqlError> {
        SqliteSession::open(self)
    }

    fn waiter(&self) -> CommitWatch {
        CommitWatch::new(self)
    }

    fn explain(&self, error: SqlError) -> Error {
        error::explain(error, self)
    }

    fn facts(&self, session: &mut SqliteSession) -> Result<Vec<(&'static str, Fact)>, SqlError> {
        facts::facts(session, self)
    }
}

#[cfg(test)]
mod tests;
