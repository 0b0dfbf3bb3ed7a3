//! Tables of our own whose rows expire.

use crate::error::SqlError;
use crate::session::Session;
use crate::values::Values;

/// So many expired rows are removed with every write: more than one write adds, so they never pile up.
const REMOVED_PER_WRITE: &str = "100";

/// A table with a column `expires` in milliseconds since 1970, made when it is first written.
pub(crate) struct ExpiringTable {
    pub name: &'static str,
    pub key: &'static str,
    pub columns: &'static str,
}

impl ExpiringTable {
    /// Before a write, inside its transaction: makes the table where it is missing and removes rows that expired, the oldest first.
    pub(crate) fn prepare(&self, session: &mut impl Session, now: i64) -> Result<(), SqlError> {
        if !session.has_table(self.name)? {
            self.create(session)?;
        }
        let Self { name, key, .. } = self;
        let expired = format!("SELECT {key} FROM {name} WHERE expires <= ?1 ORDER BY expires LIMIT {REMOVED_PER_WRITE}");
        let sql = format!("DELETE FROM {name} WHERE {key} IN (SELECT {key} FROM ({expired}) AS expired)");
        session.execute(sql, Values::new().int(now)).map(|_| ())
    }

    fn create(&self, session: &mut impl Session) -> Result<(), SqlError> {
        let Self { name, columns, .. } = self;
        session.execute(format!("CREATE TABLE IF NOT EXISTS {name} ({columns})"), Values::new())?;
        session.execute(format!("CREATE INDEX IF NOT EXISTS {name}_expires ON {name} (expires)"), Values::new()).map(|_| ())
    }
}
