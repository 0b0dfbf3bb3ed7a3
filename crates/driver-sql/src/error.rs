//! What can go wrong with a database, before its folder puts it into words.

use ferry_core::dialect::Family;

/// An error of a database or of the tables in it.
#[derive(Debug)]
pub enum SqlError {
    /// The database or the library refused.
    Database(sqlx::Error),
    /// The runtime of the connection could not be made.
    Runtime(std::io::Error),
    /// The file was replaced after it was opened.
    Replaced,
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

impl From<sqlx::Error> for SqlError {
    fn from(error: sqlx::Error) -> Self {
        SqlError::Database(error)
    }
}
