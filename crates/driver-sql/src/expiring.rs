//! Tables of our own whose rows expire.

use crate::dialect::{Dialect, OwnTable};
use crate::error::SqlError;
use crate::schema;
use crate::session::Session;
use crate::values::SqlValues;

/// So many expired rows are removed with every write: more than one write adds, so they never pile up.
const REMOVED_PER_WRITE: &str = "100";

/// Before a write to a table with a column `expires`, inside its transaction: makes the table where it is missing and removes rows
/// that expired before `now`, the oldest first.
pub(crate) fn prepare(session: &mut impl Session, dialect: &dyn Dialect, table: &OwnTable, now: i64) -> Result<(), SqlError> {
    let (name, key) = (table.name, table.key());
    schema::ensure_own(session, dialect, table)?;
    let expired = format!("SELECT {key} FROM {name} WHERE expires <= ?1 ORDER BY expires LIMIT {REMOVED_PER_WRITE}");
    let sql = format!("DELETE FROM {name} WHERE {key} IN (SELECT {key} FROM ({expired}) AS expired)");
    session.execute(sql, SqlValues::new().int(now)).map(|_| ())
}
