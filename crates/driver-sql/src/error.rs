//! What can go wrong with a database, before its folder puts it into words.

use ferry_core::dialect::Family;

/// An error of a database or of the tables in it.
#[derive(Debug)]
pub enum SqlError {
    /// The server or the library refused.
    Database(sqlx::Error),
    /// SQLite refused.
    Sqlite(rusqlite::Error),
    /// The runtime of the connection could not be made.
    Runtime(std::io::Error),
    /// The file was replaced after it was opened.
    Replaced,
    /// The connection broke when a change may have been carried out.
    Uncertain(sqlx::Error),
    /// A table is missing, and creating it is not ours to do.
    MissingTable(String),
    /// A value is larger than what is to hold it.
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size.
        limit: u64,
        /// What limits it.
        holder: &'static str,
    },
    /// A payload is not UTF-8, and its column is a text.
    NotText,
    /// The database cannot hold jobs safely: why.
    Unsuitable(String),
    /// A table lacks a column.
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

impl SqlError {
    /// Whether the database rolled back because of a conflict with another transaction, so that doing it again may succeed.
    /// SQLSTATE: 40001 is a deadlock of MySQL and a failed serialisation of PostgreSQL, 40P01 a deadlock of PostgreSQL.
    pub(crate) fn is_conflict(&self) -> bool {
        match self {
            SqlError::Database(sqlx::Error::Database(error)) => matches!(error.code().as_deref(), Some("40001" | "40P01")),
            _ => false,
        }
    }

    /// The same error of a statement behind one that was carried out: of the whole, nobody knows what became.
    pub(crate) fn behind_a_change(self) -> Self {
        match self {
            SqlError::Database(error) => SqlError::Uncertain(error),
            error => error,
        }
    }

    /// Whether the connection is gone or cannot be trusted any more.
    pub(crate) fn is_disconnection(&self) -> bool {
        match self {
            SqlError::Database(error) | SqlError::Uncertain(error) => {
                matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed)
            }
            _ => false,
        }
    }
}

impl From<sqlx::Error> for SqlError {
    fn from(error: sqlx::Error) -> Self {
        SqlError::Database(error)
    }
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        SqlError::Sqlite(error)
    }
}

/// Also what comes up while the socket is read: a certificate that is refused.
pub(crate) fn is_of_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}
