//! Statuses of jobs, in a table of our own. It is made when first written, so a file without one costs a look into the schema and no
//! write.

use ferry_core::status::{self, Status, StatusFields, StatusUpdate};

use super::args::Args;
use super::session::{Fault, Session, exists, relax_durability};

/// Fields as a JSON object, by the id of the job. Times are milliseconds since 1970.
const STATUS: &str =
    "CREATE TABLE IF NOT EXISTS ferry_status (id TEXT PRIMARY KEY, expires INTEGER NOT NULL, fields TEXT NOT NULL)";
const STATUS_EXPIRES: &str = "CREATE INDEX IF NOT EXISTS ferry_status_expires ON ferry_status (expires)";

/// So many rows that are over go with every write: more than one write adds, so they never pile up.
const SWEPT: &str = "100";

/// Writes down what was said, in one transaction that does not wait for the disk: a status may be lost with the power.
pub(super) fn update(session: &mut Session, updates: &[StatusUpdate], now: i64) -> Result<(), Fault> {
    relax_durability(session)?;
    session.transaction(|session| {
        make(session, "ferry_status", [STATUS, STATUS_EXPIRES])?;
        sweep(session, "ferry_status", now)?;
        updates.iter().try_for_each(|update| update_one(session, update, now))
    })
}

fn update_one(session: &mut Session, update: &StatusUpdate, now: i64) -> Result<(), Fault> {
    let known = read(session, &update.id, now)?;
    let status = known.as_ref().and_then(|fields| Status::of(&update.id, fields));
    if !update.precondition().admits(status.map(|status| (status.state, status.attempts)), update.attempts()) {
        return Ok(());
    }
    let patch = update.patch();
    if patch.removes {
        let id = Args::default().text(&update.id)?;
        return session.run("DELETE FROM ferry_status WHERE id = ?", id).map(|_| ());
    }
    let mut fields = known.unwrap_or_default();
    patch.apply(&mut fields, now);
    let expires = now.saturating_add(i64::from(update.ttl) * 1000);
    let args = Args::default().text(&update.id)?.int(expires)?.text(&status::to_json(&fields))?;
    session.run("INSERT OR REPLACE INTO ferry_status (id, expires, fields) VALUES (?, ?, ?)", args).map(|_| ())
}

pub(super) fn find(session: &mut Session, id: &str, now: i64) -> Result<Option<Status>, Fault> {
    if !exists(session, "ferry_status")? {
        return Ok(None);
    }
    Ok(read(session, id, now)?.and_then(|fields| Status::of(id, &fields)))
}

fn read(session: &mut Session, id: &str, now: i64) -> Result<Option<StatusFields>, Fault> {
    let args = Args::default().text(id)?.int(now)?;
    let rows = session.rows("SELECT fields FROM ferry_status WHERE id = ? AND expires > ?", args)?;
    // What is no JSON object of texts was not written by us.
    Ok(rows.first().and_then(|row| status::from_json(&row.bytes(0))))
}

pub(super) fn make(session: &mut Session, table: &str, statements: [&'static str; 2]) -> Result<(), Fault> {
    if exists(session, table)? {
        return Ok(());
    }
    statements.into_iter().try_for_each(|sql| session.run(sql, Args::default()).map(|_| ()))
}

/// Removes rows that are over, the oldest first.
pub(super) fn sweep(session: &mut Session, table: &str, now: i64) -> Result<(), Fault> {
    let sql = format!(
        "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE expires <= ? ORDER BY expires LIMIT {SWEPT})"
    );
    session.run(sql, Args::default().int(now)?).map(|_| ())
}
