//! Failed jobs: shown, made ready again, forgotten.

use ferry_core::failed::{FailedJob, Filter};
use ferry_core::payload::with_fresh_attempts;
use ferry_core::{Error, NewJob, QueueName};

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

/// Rows that are read, and handed on, at a time.
const PAGE: u64 = 200;

/// A page of failed jobs, oldest first, behind a row. Its place is never lost: ids only grow.
pub(super) fn oldest(
    session: &mut Session,
    tables: &Tables,
    queue: &QueueName,
    behind: i64,
    limit: u64,
) -> Result<Vec<FailedJob>, Fault> {
    let Some(sql) = tables.oldest_failed() else { return Ok(Vec::new()) };
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
    }
}

/// The failed job with this id.
pub(super) fn find(session: &mut Session, tables: &Tables, queue: &QueueName, id: &str) -> Result<Option<FailedJob>, Fault> {
    // What is no number is no id of a row.
    let Ok(number) = id.parse::<i64>() else { return Ok(None) };
    let next = oldest(session, tables, queue, number.saturating_sub(1), 1)?.pop();
    Ok(next.filter(|job| job.id == id))
}

/// Hands the failed jobs that match to `remove`, oldest first, and returns how many it removed.
///
/// `newest` is the newest one at the beginning: those that fail meanwhile are left alone. `page` reads behind an id.
pub(super) fn sweep(
    which: &Filter,
    newest: Option<&FailedJob>,
    mut page: impl FnMut(i64, u64) -> Result<Vec<FailedJob>, Error>,
    mut remove: impl FnMut(&[FailedJob]) -> Result<u64, Error>,
) -> Result<u64, Error> {
    let number = |job: &FailedJob| job.id.parse::<i64>().unwrap_or(i64::MAX);
    let Some(end) = newest.map(number) else { return Ok(0) };
    let (mut behind, mut removed) = (i64::MIN, 0);
    while which.most().is_none_or(|most| removed < most as u64) {
        let rows = page(behind, PAGE)?;
        let Some(last) = rows.last().map(number) else { break };
        let matching: Vec<FailedJob> = rows.into_iter().filter(|job| number(job) <= end && which.matches(job)).collect();
        if !matching.is_empty() {
            removed += remove(&matching).map_err(|error| counted(error, removed))?;
        }
        behind = last;
        if last >= end {
            break;
        }
    }
    Ok(removed)
}

fn counted(error: Error, removed: u64) -> Error {
    if removed == 0 { error } else { error.within(format!("{removed} jobs were done before this")) }
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
