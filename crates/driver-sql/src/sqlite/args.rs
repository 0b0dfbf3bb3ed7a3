//! Values on their way into a statement.

use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;

use super::session::Fault;

/// Collects the values of one statement, in the order of its question marks.
#[derive(Default)]
pub(super) struct Args(SqliteArguments);

impl Args {
    pub(super) fn int(self, value: i64) -> Result<Self, Fault> {
        self.add(value)
    }

    pub(super) fn ints(self, values: &[i64]) -> Result<Self, Fault> {
        values.iter().try_fold(self, |args, value| args.int(*value))
    }

    pub(super) fn text(self, value: &str) -> Result<Self, Fault> {
        self.add(value)
    }

    /// TEXT when it is UTF-8, so that PHP sees a string; BLOB otherwise.
    pub(super) fn bytes(self, value: &[u8]) -> Result<Self, Fault> {
        match std::str::from_utf8(value) {
            Ok(text) => self.add(text),
            Err(_) => self.add(value),
        }
    }

    pub(super) fn finish(self) -> SqliteArguments {
        self.0
    }

    fn add<'v>(mut self, value: impl sqlx::Encode<'v, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>) -> Result<Self, Fault> {
        Arguments::add(&mut self.0, value).map_err(|e| Fault::Database(sqlx::Error::Encode(e)))?;
        Ok(self)
    }
}
