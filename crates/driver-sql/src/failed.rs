//! Failed jobs: shown, made ready again, forgotten.

use ferry_core::failed::{FailedJob, Filter};
use ferry_core::payload::{id_in, with_fresh_attempts};
use ferry_core::timezone::TimeZone;
use ferry_core::{Error, NewJob, QueueName, Result};

use crate::admin::clamped;
use crate::broker::{Role, SqlBroker};
use crate::database::Database;
use crate::error::SqlError;
use crate::push::{insert_all, insert_as};
use crate::session::{Row, Session};
use crate::statements::{Tables, padded};
use crate::trailer;
use crate::values::SqlValues;

/// The count is a column here. A payload with one of its own came from elsewhere, and is reset as `queue:retry` does.
const NO_ATTEMPTS: u32 = 0;

/// Rows that are read, and handed on, at a time.
const PAGE: u64 = 200;

/// A page of failed jobs, newest first.
pub(crate) fn failed(broker: &SqlBroker<impl Database>, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
    let page = SqlValues::new().text(queue.as_str()).int(clamped(limit)).int(clamped(offset));
    read_page(broker, Tables::newest_failed, page)
}

/// The failed job with this id.
pub(crate) fn failed_job(broker: &SqlBroker<impl Database>, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
    if let Ok(number) = id.parse::<i64>()
        && let Some(job) = behind(broker, queue, number.saturating_sub(1), 1)?.pop().filter(|job| job.id == id)
    {
        return Ok(Some(job));
    }
    find_by_job_id(broker, queue, id)
}

fn find_by_job_id(broker: &SqlBroker<impl Database>, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
    let mut passed = i64::MIN;
    loop {
        let mut page = behind(broker, queue, passed, PAGE)?;
        let Some(last) = page.last() else { return Ok(None) };
        passed = last.id.parse().unwrap_or(i64::MAX);
        if let Some(at) = page.iter().position(|job| job.job_id.as_deref() == Some(id)) {
            return Ok(Some(page.swap_remove(at)));
        }
    }
}

/// A page of failed jobs behind an id, oldest first.
fn behind(broker: &SqlBroker<impl Database>, queue: &QueueName, id: i64, limit: u64) -> Result<Vec<FailedJob>> {
    let page = SqlValues::new().text(queue.as_str()).int(id).int(clamped(limit));
    read_page(broker, Tables::oldest_failed, page)
}

/// Hands the failed jobs that match to `remove`, oldest first, and returns how many it removed. Ids only grow, so no place is ever
/// lost, and those that fail meanwhile are behind the newest one of the beginning: they are left alone.
fn sweep(
    broker: &SqlBroker<impl Database>,
    queue: &QueueName,
    which: &Filter,
    mut remove: impl FnMut(&[FailedJob]) -> Result<u64>,
) -> Result<u64> {
    let number = |job: &FailedJob| job.id.parse::<i64>().unwrap_or(i64::MAX);
    let Some(newest) = failed(broker, queue, 0, 1)?.first().map(number) else { return Ok(0) };
    let (mut passed, mut removed) = (i64::MIN, 0);
    while passed < newest && which.most().is_none_or(|most| removed < most as u64) {
        let page = behind(broker, queue, passed, PAGE)?;
        let Some(last) = page.last().map(number) else { break };
        let matching: Vec<FailedJob> = page.into_iter().filter(|job| number(job) <= newest && which.matches(job)).collect();
        if !matching.is_empty() {
            removed += remove(&matching).map_err(|error| counted(error, removed))?;
        }
        passed = last;
    }
    Ok(removed)
}

fn counted(error: Error, removed: u64) -> Error {
    if removed == 0 { error } else { error.within(format!("{removed} jobs were done before this")) }
}

fn read_page(
    broker: &SqlBroker<impl Database>,
    statement: impl FnOnce(&Tables) -> Option<String>,
    page: SqlValues<'_>,
) -> Result<Vec<FailedJob>> {
    broker.run(Role::Query, |session| match statement(&broker.tables) {
        Some(sql) => {
            let zone = broker.zone.get();
            Ok(session.query(sql, page)?.iter().map(|row| read_row(row, &zone)).collect())
        }
        None => Ok(Vec::new()),
    })
}

fn read_row(row: &impl Row, zone: &TimeZone) -> FailedJob {
    let column = row.text(4);
    let recorded = trailer::split(&column);
    let payload = row.bytes(3);
    FailedJob {
        id: row.int(0).unwrap_or_default().to_string(),
        job_id: id_in(&payload).map(|id| id.to_string()).or_else(|| recorded.id.map(|id| id.to_string())),
        connection: row.text(1),
        queue: row.text(2),
        payload,
        reason: recorded.reason.to_owned(),
        exception: recorded.exception.to_owned(),
        attempts: recorded.attempts,
        failed_at: row.int(5).map(|local| zone.to_unix(local)).unwrap_or_default(),
    }
}

/// Makes failed jobs ready again.
pub(crate) fn retry(
    broker: &SqlBroker<impl Database>,
    queue: &QueueName,
    which: &Filter,
    before: &mut dyn FnMut(&[FailedJob]),
) -> Result<u64> {
    sweep(broker, queue, which, |jobs| {
        // No connection is held here: the caller may write statuses to this very database.
        before(jobs);
        make_ready(broker, queue, jobs)
    })
}

/// Makes those that are still there ready again, a chunk a transaction.
///
/// The row is read again inside: one that has changed meanwhile is retried as it is now.
fn make_ready(broker: &SqlBroker<impl Database>, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64> {
    let (settings, tables) = (&broker.settings, &broker.tables);
    in_chunks(broker, jobs, |session, ids| {
        let Some(sql) = tables.failed_rows(ids.len()) else { return Ok(0) };
        let rows = session.query(sql, SqlValues::new().text(queue.as_str()).ints(ids))?;
        let mut without_id = Vec::new();
        for row in &rows {
            let job = NewJob::ready(with_fresh_attempts(&row.bytes(0), NO_ATTEMPTS));
            match free_id(session, tables, &row.text(1))? {
                Some(id) => insert_as(session, tables, queue, id, &job, settings)?,
                None => without_id.push(job),
            }
        }
        insert_all(session, tables, queue, &without_id, settings)?;
        remove(session, tables, queue, ids)
    })
}

/// The id that a failed job had in the table of jobs, when no other job has it now.
fn free_id(session: &mut impl Session, tables: &Tables, exception: &str) -> Result<Option<i64>, SqlError> {
    let Some(id) = trailer::split(exception).id else { return Ok(None) };
    let taken = session.query(tables.payloads(1), SqlValues::new().int(id))?;
    Ok(taken.is_empty().then_some(id))
}

/// Removes failed jobs for good, a chunk a transaction.
pub(crate) fn forget(broker: &SqlBroker<impl Database>, queue: &QueueName, which: &Filter) -> Result<u64> {
    sweep(broker, queue, which, |jobs| in_chunks(broker, jobs, |session, ids| remove(session, &broker.tables, queue, ids)))
}

fn remove(session: &mut impl Session, tables: &Tables, queue: &QueueName, ids: &[i64]) -> Result<u64, SqlError> {
    let Some(sql) = tables.forget(ids.len()) else { return Ok(0) };
    session.execute(sql, SqlValues::new().text(queue.as_str()).ints(ids))
}

fn in_chunks<D: Database>(
    broker: &SqlBroker<D>,
    jobs: &[FailedJob],
    work: impl Fn(&mut D::Session, &[i64]) -> Result<u64, SqlError>,
) -> Result<u64> {
    if broker.tables.failed_name().is_none() {
        return Ok(0);
    }
    // What is no number is no id of a row.
    let ids: Vec<i64> = jobs.iter().filter_map(|job| job.id.parse().ok()).collect();
    broker.run(Role::Query, |session| padded(&ids).map(|ids| session.transaction(|session| work(session, &ids))).sum())
}
