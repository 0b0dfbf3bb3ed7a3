//! Statuses of jobs and claims of work, in two tables of our own. They are made when first written, so a file that has neither costs
//! a look into the schema and no write.

use ferry_core::ledger::{self, ClaimOutcome, ClaimRecord, ClaimTtl, Status, StatusFields, StatusUpdate};

use super::args::Args;
use super::session::{Fault, Session, exists, relax_durability};

/// Fields as a JSON object, by the id of the job. Times are milliseconds since 1970.
const STATUS: &str =
    "CREATE TABLE IF NOT EXISTS ferry_status (id TEXT PRIMARY KEY, expires INTEGER NOT NULL, fields TEXT NOT NULL)";
const STATUS_EXPIRES: &str = "CREATE INDEX IF NOT EXISTS ferry_status_expires ON ferry_status (expires)";
/// Claims by the key of the work.
const ONCE: &str = "CREATE TABLE IF NOT EXISTS ferry_once (name TEXT PRIMARY KEY, token TEXT NOT NULL, until INTEGER NOT NULL, \
                    done INTEGER NOT NULL, result TEXT, expires INTEGER NOT NULL)";
const ONCE_EXPIRES: &str = "CREATE INDEX IF NOT EXISTS ferry_once_expires ON ferry_once (expires)";

/// So many rows that are over go with every write: more than one write adds, so they never pile up.
const SWEPT: &str = "100";

/// Writes down what was said, in one transaction that does not wait for the disk: a status may be lost with the power.
pub(super) fn note(session: &mut Session, notes: &[StatusUpdate], now: i64) -> Result<(), Fault> {
    relax_durability(session)?;
    session.transaction(|session| {
        make(session, "ferry_status", [STATUS, STATUS_EXPIRES])?;
        sweep(session, "ferry_status", now)?;
        notes.iter().try_for_each(|note| note_one(session, note, now))
    })
}

fn note_one(session: &mut Session, note: &StatusUpdate, now: i64) -> Result<(), Fault> {
    let known = read(session, &note.id, now)?;
    let status = known.as_ref().and_then(|fields| Status::of(&note.id, fields));
    if !note.rule().admits(status.map(|status| (status.state, status.attempts)), note.attempts()) {
        return Ok(());
    }
    let edit = note.edit();
    if edit.removes {
        let id = Args::default().text(&note.id)?;
        return session.run("DELETE FROM ferry_status WHERE id = ?", id).map(|_| ());
    }
    let mut fields = known.unwrap_or_default();
    edit.apply(&mut fields, now);
    let expires = now.saturating_add(i64::from(note.ttl) * 1000);
    let args = Args::default().text(&note.id)?.int(expires)?.text(&ledger::to_json(&fields))?;
    session.run("INSERT OR REPLACE INTO ferry_status (id, expires, fields) VALUES (?, ?, ?)", args).map(|_| ())
}

pub(super) fn status(session: &mut Session, id: &str, now: i64) -> Result<Option<Status>, Fault> {
    if !exists(session, "ferry_status")? {
        return Ok(None);
    }
    Ok(read(session, id, now)?.and_then(|fields| Status::of(id, &fields)))
}

fn read(session: &mut Session, id: &str, now: i64) -> Result<Option<StatusFields>, Fault> {
    let args = Args::default().text(id)?.int(now)?;
    let rows = session.rows("SELECT fields FROM ferry_status WHERE id = ? AND expires > ?", args)?;
    // What is no JSON object of texts was not written by us.
    Ok(rows.first().and_then(|row| ledger::from_json(&row.bytes(0))))
}

pub(super) fn claim(session: &mut Session, key: &str, token: &str, terms: ClaimTtl, now: i64) -> Result<ClaimOutcome, Fault> {
    change(session, now, |session| {
        let answer = ClaimRecord::answer(known(session, key)?.as_ref(), token, now);
        if answer == ClaimOutcome::Yours {
            store(session, key, &ClaimRecord::claimed(token, terms, now))?;
        }
        Ok(answer)
    })
}

pub(super) fn complete(
    session: &mut Session,
    key: &str,
    token: &str,
    result: Option<&str>,
    ttl: u32,
    now: i64,
) -> Result<bool, Fault> {
    change(session, now, |session| {
        let may = ClaimRecord::may_complete(known(session, key)?.as_ref(), token, now);
        if may {
            store(session, key, &ClaimRecord::completed(token, result, ttl, now))?;
        }
        Ok(may)
    })
}

pub(super) fn release(session: &mut Session, key: &str, token: &str, now: i64) -> Result<bool, Fault> {
    change(session, now, |session| {
        let may = ClaimRecord::may_release(known(session, key)?.as_ref(), token, now);
        if may {
            remove(session, key)?;
        }
        Ok(may)
    })
}

pub(super) fn is_done(session: &mut Session, key: &str, now: i64) -> Result<bool, Fault> {
    if !exists(session, "ferry_once")? {
        return Ok(false);
    }
    Ok(ClaimRecord::is_done(known(session, key)?.as_ref(), now))
}

pub(super) fn forget(session: &mut Session, key: &str, now: i64) -> Result<bool, Fault> {
    change(session, now, |session| {
        let known = known(session, key)?.is_some_and(|once| once.expires > now);
        remove(session, key)?;
        Ok(known)
    })
}

/// One change of claims, and the table for it.
fn change<T>(session: &mut Session, now: i64, work: impl FnOnce(&mut Session) -> Result<T, Fault>) -> Result<T, Fault> {
    session.transaction(|session| {
        make(session, "ferry_once", [ONCE, ONCE_EXPIRES])?;
        sweep(session, "ferry_once", now)?;
        work(session)
    })
}

fn known(session: &mut Session, key: &str) -> Result<Option<ClaimRecord>, Fault> {
    let sql = "SELECT token, until, done, result IS NOT NULL, result, expires FROM ferry_once WHERE name = ?";
    let rows = session.rows(sql, Args::default().text(key)?)?;
    Ok(rows.first().map(|row| ClaimRecord {
        token: row.text(0),
        until: row.int(1).unwrap_or_default(),
        done: row.int(2) == Some(1),
        result: (row.int(3) == Some(1)).then(|| row.text(4)),
        expires: row.int(5).unwrap_or_default(),
    }))
}

fn store(session: &mut Session, key: &str, once: &ClaimRecord) -> Result<(), Fault> {
    let value = if once.result.is_some() { "?" } else { "NULL" };
    let sql =
        format!("INSERT OR REPLACE INTO ferry_once (name, token, until, done, expires, result) VALUES (?, ?, ?, ?, ?, {value})");
    let args = Args::default().text(key)?.text(&once.token)?.int(once.until)?.int(i64::from(once.done))?.int(once.expires)?;
    let args = match &once.result {
        Some(result) => args.text(result)?,
        None => args,
    };
    session.run(sql, args).map(|_| ())
}

fn remove(session: &mut Session, key: &str) -> Result<(), Fault> {
    session.run("DELETE FROM ferry_once WHERE name = ?", Args::default().text(key)?).map(|_| ())
}

fn make(session: &mut Session, table: &str, statements: [&'static str; 2]) -> Result<(), Fault> {
    if exists(session, table)? {
        return Ok(());
    }
    statements.into_iter().try_for_each(|sql| session.run(sql, Args::default()).map(|_| ()))
}

/// Removes rows that are over, the oldest first.
fn sweep(session: &mut Session, table: &str, now: i64) -> Result<(), Fault> {
    let sql = format!(
        "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE expires <= ? ORDER BY expires LIMIT {SWEPT})"
    );
    session.run(sql, Args::default().int(now)?).map(|_| ())
}
