//! Claims of work, in a table of our own. It is made when first written.

use ferry_core::idempotency::{ClaimOutcome, ClaimRecord, ClaimTtl};

use super::args::Args;
use super::session::{Fault, Session, exists};
use super::status::{make, sweep};

/// Claims by the key of the work.
const ONCE: &str = "CREATE TABLE IF NOT EXISTS ferry_once (name TEXT PRIMARY KEY, token TEXT NOT NULL, until INTEGER NOT NULL, \
                    done INTEGER NOT NULL, result TEXT, expires INTEGER NOT NULL)";
const ONCE_EXPIRES: &str = "CREATE INDEX IF NOT EXISTS ferry_once_expires ON ferry_once (expires)";

pub(super) fn claim(session: &mut Session, key: &str, token: &str, ttl: ClaimTtl, now: i64) -> Result<ClaimOutcome, Fault> {
    change(session, now, |session| {
        let answer = ClaimRecord::answer(known(session, key)?.as_ref(), token, now);
        if answer == ClaimOutcome::Yours {
            store(session, key, &ClaimRecord::claimed(token, ttl, now))?;
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
