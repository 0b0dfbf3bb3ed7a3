//! One connection to the file. SQLite's calls run on the thread that asks: there is no server to wait for, and a hand-over to a
//! thread of the connection's own would cost more than most of them.

use std::time::{Duration, Instant};

use ferry_core::clock::{Clock, SystemClock};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags};

use super::error::is_busy;
use super::file::DatabaseFile;
use super::row::SqliteRow;
use crate::error::SqlError;
use crate::session::{Row, Session};
use crate::values::{SqlValue, SqlValues};

/// How soon the switch to WAL is tried again.
const WAL_RETRY: Duration = Duration::from_millis(2);

/// So many statements are kept prepared: all that one connection uses, lists of ids of every length included.
const STATEMENTS: usize = 100;

/// An open connection to a file.
pub struct SqliteSession {
    connection: Connection,
    file: DatabaseFile,
    identity: Option<(u64, u64)>,
}

impl SqliteSession {
    pub(super) fn open(file: &DatabaseFile) -> Result<Self, SqlError> {
        file.create_private();
        // No mutex of SQLite's: whoever uses the connection has it for itself.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file.path, flags)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.busy_timeout(file.busy_timeout)?;
        let mut session = Self { connection, file: file.clone(), identity: None };
        session.use_full_synchronous()?;
        session.use_wal()?;
        session.refuse_other_encodings()?;
        session.identity = file.identity();
        Ok(session)
    }

    /// FULL loses nothing when the power fails; NORMAL may lose the last commits. Measured with bare INSERTs of 120 bytes on an
    /// ordinary virtual disk: 167 to 189 us against 32 to 36 us. A queue that forgets jobs is no bargain at that price, and a
    /// batch shares the cost.
    fn use_full_synchronous(&mut self) -> Result<(), SqlError> {
        self.execute("PRAGMA synchronous = FULL", SqlValues::new()).map(|_| ())
    }

    /// A statement with its values, ready to run.
    fn bound(&self, sql: &str, values: SqlValues<'_>) -> Result<CachedStatement<'_>, SqlError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        for (index, value) in (1..).zip(values) {
            statement.raw_bind_parameter(index, to_sql(value))?;
        }
        Ok(statement)
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

    /// There is one lock for all.
    fn skips_locked(&self) -> bool {
        false
    }

    fn query(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<Vec<SqliteRow>, SqlError> {
        let mut statement = self.bound(&sql.into(), values)?;
        let (columns, mut found) = (statement.column_count(), Vec::new());
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            found.push(SqliteRow::read(row, columns)?);
        }
        Ok(found)
    }

    fn execute(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<u64, SqlError> {
        Ok(self.bound(&sql.into(), values)?.raw_execute()? as u64)
    }

    fn insert(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<i64, SqlError> {
        self.execute(sql, values)?;
        Ok(self.connection.last_insert_rowid())
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
        // There is nothing to do about a close that fails.
        let _ = self.connection.close();
    }
}

fn to_sql(value: SqlValue<'_>) -> ToSqlOutput<'_> {
    match value {
        SqlValue::Null => ToSqlOutput::Owned(Value::Null),
        SqlValue::Int(number) => ToSqlOutput::Owned(Value::Integer(number)),
        SqlValue::Now(later) => ToSqlOutput::Owned(Value::Integer(SystemClock.now().saturating_add(later))),
        SqlValue::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        SqlValue::Bytes(bytes) if std::str::from_utf8(bytes).is_ok() => ToSqlOutput::Borrowed(ValueRef::Text(bytes)),
        SqlValue::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
    }
}
