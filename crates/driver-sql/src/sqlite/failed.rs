//! Failed jobs: shown, made ready again, forgotten.

use ferry_core::failed::{FailedJob, FailedPosition};
use ferry_core::payload::with_fresh_attempts;
use ferry_core::{NewJob, QueueName};

use super::args::Args;
use super::push;
use super::session::{Fault, Fields, Session};
use super::statements::{Tables, padded};
use crate::trailer;

/// The count is a column here. A payload with one of its own came from elsewhere, and is reset as `queue:retry` does.
const NONE: u32 = 0;

/// A page of failed jobs, newest first.
pub(super) fn newest(
    session: &mut Session,
    tables: &Tables,
    queue: &QueueName,
    offset: u64,
    limit: u64,
) -> Result<Vec<FailedJob>, Fault> {
    let Some(sql) = tables.newest_failed() else { return Ok(Vec::new()) };
    let args = Args::default().text(queue.as_str())?.int(clamped(limit))?.int(clamped(offset))?;
    Ok(session.rows(sql, args)?.iter().map(failed_job).collect())
}

/// A page of failed jobs, oldest first, behind a row. Its place is never lost: ids only grow.
pub(super) fn oldest(
    session: &mut Session,
    tables: &Tables,
    queue: &QueueName,
    passed: Option<&FailedPosition>,
    limit: u64,
) -> Result<Vec<FailedJob>, Fault> {
    let Some(sql) = tables.oldest_failed() else { return Ok(Vec::new()) };
    let behind = passed.and_then(|passed| passed.last.parse().ok()).unwrap_or(i64::MIN);
    let args = Args::default().text(queue.as_str())?.int(behind)?.int(clamped(limit))?;
    Ok(session.rows(sql, args)?.iter().map(failed_job).collect())
}

fn clamped(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn failed_job(row: &Fields) -> FailedJob {
    let column = row.text(4);
    let (exception, reason, attempts) = trailer::split(&column);
    FailedJob {
        id: row.int(0).unwrap_or_default().to_string(),
        connection: row.text(1),
        queue: row.text(2),
        payload: row.bytes(3),
        reason: reason.to_owned(),
        exception: exception.to_owned(),
        attempts,
        failed_at: row.int(5).unwrap_or_default(),
        record: Vec::new(),
        older: 0,
    }
}

/// Makes those that are still there ready again, a chunk a transaction.
///
/// The payload is read again inside: a row that has changed meanwhile is retried as it is now.
pub(super) fn retry(
    session: &mut Session,
    tables: &Tables,
    queue: &QueueName,
    jobs: &[FailedJob],
    now: i64,
) -> Result<u64, Fault> {
    in_chunks(session, tables, jobs, |session, ids| {
        let Some(sql) = tables.failed_payloads(ids.len()) else { return Ok(0) };
        let rows = session.rows(sql, Args::default().text(queue.as_str())?.ints(ids)?)?;
        let back: Vec<NewJob<'_>> = rows.iter().map(|row| NewJob::ready(with_fresh_attempts(&row.bytes(0), NONE))).collect();
        push::insert_all(session, tables, queue, &back, now)?;
        forget_rows(session, tables, queue, ids)
    })
}

/// Removes those that are still there, a chunk a transaction.
pub(super) fn forget(session: &mut Session, tables: &Tables, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64, Fault> {
    in_chunks(session, tables, jobs, |session, ids| forget_rows(session, tables, queue, ids))
}

fn forget_rows(session: &mut Session, tables: &Tables, queue: &QueueName, ids: &[i64]) -> Result<u64, Fault> {
    let Some(sql) = tables.forget(ids.len()) else { return Ok(0) };
    Ok(session.run(sql, Args::default().text(queue.as_str())?.ints(ids)?)?.rows)
}

fn in_chunks(
    session: &mut Session,
    tables: &Tables,
    jobs: &[FailedJob],
    work: impl Fn(&mut Session, &[i64]) -> Result<u64, Fault>,
) -> Result<u64, Fault> {
    if tables.failed_name().is_none() {
        return Ok(0);
    }
    // What is no number is no id of a row.
    let ids: Vec<i64> = jobs.iter().filter_map(|job| job.id.parse().ok()).collect();
    padded(&ids).map(|ids| session.transaction(|session| work(session, &ids))).sum()
}
