//! One connection to the file, with blocking calls.
//!
//! sqlx serves a SQLite connection by a thread of its own and answers through futures; a small runtime here turns that into plain
//! calls.

use std::time::{Duration, Instant};

use ferry_core::clock::{Clock, SystemClock};
use ferry_support::threads::with_signals_blocked;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteQueryResult, SqliteSynchronous};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Row as _};
use tokio::runtime::Runtime;

use super::error::is_busy;
use super::file::DatabaseFile;
use crate::error::SqlError;
use crate::session::{Row, Session};
use crate::values::{SqlValue, SqlValues};

/// How soon the switch to WAL is tried again.
const WAL_RETRY: Duration = Duration::from_millis(2);

/// An open connection to a file.
pub struct SqliteSession {
    runtime: Runtime,
    connection: SqliteConnection,
    file: DatabaseFile,
    identity: Option<(u64, u64)>,
}

impl SqliteSession {
    pub(super) fn open(file: &DatabaseFile) -> Result<Self, SqlError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(SqlError::Runtime)?;
        file.create_private();
        let options = options(file);
        // The connection's thread inherits the block.
        let connection = with_signals_blocked(|| runtime.block_on(options.connect()))?;
        let mut session = Self { runtime, connection, file: file.clone(), identity: None };
        session.use_wal()?;
        session.refuse_other_encodings()?;
        session.identity = file.identity();
        Ok(session)
    }

    fn change(&mut self, sql: String, values: SqlValues<'_>) -> Result<SqliteQueryResult, SqlError> {
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments(values)?);
        Ok(self.runtime.block_on(query.execute(&mut self.connection))?)
    }

    /// In WAL mode, counting due jobs needs no write lock and no writer waits for a reader.
    fn use_wal(&mut self) -> Result<(), SqlError> {
        if self.pragma("PRAGMA journal_mode")? == "wal" {
            return Ok(());
        }
        match self.switch_to_wal()?.as_str() {
            "wal" => Ok(()),
            other => Err(SqlError::Unsuitable(format!("its journal mode cannot be changed from {other} to WAL"))),
        }
    }

    /// Two processes that open a new file at once may both want to switch it. SQLite does not let either wait for the other, so
    /// we do.
    fn switch_to_wal(&mut self) -> Result<String, SqlError> {
        let deadline = Instant::now() + self.file.busy_timeout;
        loop {
            match self.pragma("PRAGMA journal_mode = WAL") {
                Err(error) if is_busy(&error) && Instant::now() < deadline => std::thread::sleep(WAL_RETRY),
                result => return result,
            }
        }
    }

    /// A payload that is stored as UTF-16 is not the bytes that were pushed.
    fn refuse_other_encodings(&mut self) -> Result<(), SqlError> {
        match self.pragma("PRAGMA encoding")?.as_str() {
            "UTF-8" => Ok(()),
            other => Err(SqlError::Unsuitable(format!("its text encoding is {other}"))),
        }
    }

    fn pragma(&mut self, pragma: &'static str) -> Result<String, SqlError> {
        let rows = self.query(pragma, SqlValues::new())?;
        Ok(rows.first().map_or_else(String::new, |row| row.text(0)))
    }
}

impl Session for SqliteSession {
    type Row = SqliteRow;

    fn query(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<Vec<SqliteRow>, SqlError> {
        let query = sqlx::query_with(AssertSqlSafe(sql.into()), arguments(values)?);
        let rows = self.runtime.block_on(query.fetch_all(&mut self.connection))?;
        Ok(rows.into_iter().map(SqliteRow).collect())
    }

    fn execute(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<u64, SqlError> {
        self.change(sql.into(), values).map(|change| change.rows_affected())
    }

    fn insert(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<i64, SqlError> {
        self.change(sql.into(), values).map(|change| change.last_insert_rowid())
    }

    /// It holds the write lock from its first step, so that it never has to be upgraded.
    fn transaction<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.execute("BEGIN IMMEDIATE", SqlValues::new())?;
        let result = work(self)?;
        self.execute("COMMIT", SqlValues::new())?;
        Ok(result)
    }

    /// The clock of a local file is the machine's.
    fn now_ms(&mut self) -> Result<i64, SqlError> {
        Ok(SystemClock.now_ms())
    }

    fn relax_durability(&mut self) -> Result<(), SqlError> {
        self.execute("PRAGMA synchronous = NORMAL", SqlValues::new()).map(|_| ())
    }

    /// SQLite would go on writing into a file that was deleted or replaced, and those jobs would be gone.
    fn check(&self) -> Result<(), SqlError> {
        if self.identity == self.file.identity() { Ok(()) } else { Err(SqlError::Replaced) }
    }

    fn close(self) {
        if self.check().is_err() {
            // The last close deletes the `-wal` beside the path, which may belong to another database by now.
            #[expect(clippy::mem_forget, reason = "a leaked handle is the lesser harm")]
            std::mem::forget(self);
            return;
        }
        // There is nothing to do about a close that fails: the thread and the handle are gone either way.
        let _ = self.runtime.block_on(self.connection.close());
    }
}

fn options(file: &DatabaseFile) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&file.path)
        .create_if_missing(true)
        .busy_timeout(file.busy_timeout)
        .foreign_keys(false)
        // FULL loses nothing when the power fails; NORMAL may lose the last commits. Measured with bare INSERTs of 120 bytes on an
        // ordinary virtual disk: 167 to 189 us against 32 to 36 us. A queue that forgets jobs is no bargain at that price, and a
        // batch shares the cost.
        .synchronous(SqliteSynchronous::Full)
        .row_buffer_size(256)
        .thread_name(|number| format!("ferry-sqlite-{number}"))
        .disable_statement_logging()
}

fn arguments(values: SqlValues<'_>) -> Result<SqliteArguments, SqlError> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            SqlValue::Null => arguments.add(None::<i64>),
            SqlValue::Int(number) => arguments.add(number),
            SqlValue::Now(later) => arguments.add(SystemClock.now().saturating_add(later)),
            SqlValue::Text(text) => arguments.add(text),
            SqlValue::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => arguments.add(text),
                Err(_) => arguments.add(bytes),
            },
        };
        added.map_err(|error| SqlError::Database(sqlx::Error::Encode(error)))?;
    }
    Ok(arguments)
}

/// One row of an answer.
pub struct SqliteRow(sqlx::sqlite::SqliteRow);

impl Row for SqliteRow {
    fn int(&self, column: usize) -> Option<i64> {
        self.0.try_get_unchecked(column).ok().flatten()
    }

    /// TEXT or BLOB.
    fn bytes(&self, column: usize) -> Vec<u8> {
        self.0.try_get_unchecked::<Option<Vec<u8>>, _>(column).ok().flatten().unwrap_or_default()
    }
}
