//! One connection to the file, with blocking calls.
//!
//! sqlx serves a SQLite connection by a thread of its own and answers through futures; a small runtime here turns that into plain
//! calls. No sqlx type gets past this folder. After an error the session is closed, which rolls back what was open; so no path
//! needs a ROLLBACK of its own.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferry_core::dialect::Family;
use ferry_core::signals;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tokio::runtime::Runtime;

use super::args::Args;

/// What went wrong, before it is put into words by [`super::errors`].
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite or sqlx said no.
    Database(sqlx::Error),
    /// The runtime could not be made.
    Runtime(std::io::Error),
    /// The file is not the one that was opened.
    Moved,
    /// The file cannot hold jobs safely: what it is.
    Unfit(String),
    /// A table that is there lacks a column.
    MissingColumn {
        /// The table.
        table: String,
        /// The column.
        column: &'static str,
    },
    /// A table is that of another think-queue.
    OtherFamily {
        /// The table.
        table: String,
        /// The family of the connection.
        family: Family,
        /// The family whose columns it has.
        fitting: Family,
    },
}

/// How soon the switch to WAL is tried again.
const SWITCH_AGAIN: Duration = Duration::from_millis(2);

impl Fault {
    /// Whether another connection holds a lock.
    fn is_busy(&self) -> bool {
        // The low byte is the primary code: 5 is SQLITE_BUSY, whatever its extension.
        let code = |error: &dyn sqlx::error::DatabaseError| error.code().and_then(|code| code.parse::<i32>().ok());
        matches!(self, Fault::Database(sqlx::Error::Database(error)) if code(&**error).is_some_and(|code| code & 0xff == 5))
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Fault::Database(error)
    }
}

/// Where the database is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Absolute, so that a later `chdir` does not lead the next connection to another file.
    pub path: PathBuf,
    pub busy_timeout: Duration,
}

impl Place {
    pub(super) fn new(path: &Path, busy_timeout: Duration) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // SQLite takes milliseconds in an i32.
        let longest = Duration::from_millis(i32::MAX as u64);
        Self { path, busy_timeout: busy_timeout.min(longest) }
    }

    /// The file beside the database into which every commit is written.
    pub(super) fn wal(&self) -> PathBuf {
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        wal.into()
    }

    /// Device and inode. `None` when there is no such file.
    fn identity(&self) -> Option<(u64, u64)> {
        std::fs::metadata(&self.path).ok().map(|file| (file.dev(), file.ino()))
    }
}

/// An open connection.
pub(super) struct Session {
    runtime: Runtime,
    connection: SqliteConnection,
    place: Place,
    identity: Option<(u64, u64)>,
}

impl Session {
    pub(super) fn open(place: &Place) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Fault::Runtime)?;
        let options = options(place);
        // The connection's thread inherits the block.
        let connection = signals::blocked(|| runtime.block_on(options.connect()))?;
        let mut session = Self { runtime, connection, place: place.clone(), identity: None };
        session.use_wal()?;
        session.refuse_other_encodings()?;
        session.identity = place.identity();
        Ok(session)
    }

    /// Runs one statement that answers with rows.
    pub(super) fn rows(&mut self, sql: impl Into<String>, args: Args) -> Result<Vec<Fields>, Fault> {
        let query = sqlx::query_with(AssertSqlSafe(sql.into()), args.finish());
        let rows = self.runtime.block_on(query.fetch_all(&mut self.connection))?;
        Ok(rows.into_iter().map(Fields).collect())
    }

    /// Runs one statement that changes rows.
    pub(super) fn run(&mut self, sql: impl Into<String>, args: Args) -> Result<Change, Fault> {
        let query = sqlx::query_with(AssertSqlSafe(sql.into()), args.finish());
        let done = self.runtime.block_on(query.execute(&mut self.connection))?;
        Ok(Change { rows: done.rows_affected(), last_id: done.last_insert_rowid() })
    }

    /// Does `work` in one transaction that holds the write lock from its first step, so that it never has to be upgraded.
    pub(super) fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.run("BEGIN IMMEDIATE", Args::default())?;
        let result = work(self)?;
        self.run("COMMIT", Args::default())?;
        Ok(result)
    }

    /// SQLite would go on writing into a file that was deleted or replaced, and those jobs would be gone.
    pub(super) fn check_place(&self) -> Result<(), Fault> {
        if self.identity == self.place.identity() { Ok(()) } else { Err(Fault::Moved) }
    }

    /// Closes the connection and waits until it is closed.
    pub(super) fn close(self) {
        if self.check_place().is_err() {
            // The last close deletes the `-wal` beside the path, which may belong to another database by now.
            #[expect(clippy::mem_forget, reason = "a leaked handle is the lesser harm")]
            std::mem::forget(self);
            return;
        }
        // There is nothing to do about a close that fails: the thread and the handle are gone either way.
        let _ = self.runtime.block_on(self.connection.close());
    }

    /// In WAL mode a look at the queue needs no write lock and no writer waits for a reader.
    fn use_wal(&mut self) -> Result<(), Fault> {
        if self.word("PRAGMA journal_mode")? == "wal" {
            return Ok(());
        }
        match self.switch_to_wal()?.as_str() {
            "wal" => Ok(()),
            other => Err(Fault::Unfit(format!("its journal mode cannot be changed from {other} to WAL"))),
        }
    }

    /// Two processes that open a new file at once may both want to switch it. SQLite does not let either wait for the other, so
    /// we do.
    fn switch_to_wal(&mut self) -> Result<String, Fault> {
        let until = Instant::now() + self.place.busy_timeout;
        loop {
            match self.word("PRAGMA journal_mode = WAL") {
                Err(fault) if fault.is_busy() && Instant::now() < until => std::thread::sleep(SWITCH_AGAIN),
                result => return result,
            }
        }
    }

    /// A payload that is stored as UTF-16 is not the bytes that were pushed.
    fn refuse_other_encodings(&mut self) -> Result<(), Fault> {
        match self.word("PRAGMA encoding")?.as_str() {
            "UTF-8" => Ok(()),
            other => Err(Fault::Unfit(format!("its text encoding is {other}"))),
        }
    }

    fn word(&mut self, pragma: &'static str) -> Result<String, Fault> {
        let rows = self.rows(pragma, Args::default())?;
        Ok(rows.first().map_or_else(String::new, |row| row.text(0)))
    }
}

fn options(place: &Place) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&place.path)
        .create_if_missing(true)
        .busy_timeout(place.busy_timeout)
        .foreign_keys(false)
        // FULL loses nothing when the power fails; NORMAL may lose the last commits. Measured with bare INSERTs of 120 bytes on an
        // ordinary virtual disk: 167 to 189 us against 32 to 36 us. A queue that forgets jobs is no bargain at that price, and a
        // batch shares the cost.
        .synchronous(SqliteSynchronous::Full)
        .row_buffer_size(256)
        .thread_name(|number| format!("ferry-sqlite-{number}"))
        .disable_statement_logging()
}

/// What is said of workers and jobs may be lost with the power. So such commits do not wait for the disk, and nobody waits for them
/// who renews a lease. A connection that says so writes nothing else.
pub(super) fn relax_durability(session: &mut Session) -> Result<(), Fault> {
    session.run("PRAGMA synchronous = NORMAL", Args::default()).map(|_| ())
}

/// Whether there is such a table.
pub(super) fn exists(session: &mut Session, table: &str) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?";
    Ok(!session.rows(sql, Args::default().text(table)?)?.is_empty())
}

/// What a statement changed.
pub(super) struct Change {
    pub rows: u64,
    pub last_id: i64,
}

/// One row of an answer. Columns are read as what they should be, whatever another program stored.
pub(super) struct Fields(SqliteRow);

impl Fields {
    /// The whole number in a column; `None` for NULL.
    pub(super) fn int(&self, column: usize) -> Option<i64> {
        self.0.try_get_unchecked(column).ok().flatten()
    }

    /// The bytes in a column, TEXT or BLOB; none for NULL.
    pub(super) fn bytes(&self, column: usize) -> Vec<u8> {
        self.0.try_get_unchecked::<Option<Vec<u8>>, _>(column).ok().flatten().unwrap_or_default()
    }

    /// The text in a column; bytes that are no UTF-8 are replaced.
    pub(super) fn text(&self, column: usize) -> String {
        String::from_utf8_lossy(&self.bytes(column)).into_owned()
    }
}
