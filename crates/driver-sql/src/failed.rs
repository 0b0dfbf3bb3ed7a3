//! Failed jobs: shown, made ready again, forgotten.

use ferry_core::failed::{FailedJob, FailedPosition};
use ferry_core::payload::with_fresh_attempts;
use ferry_core::{NewJob, QueueName, Result};

use crate::admin::clamped;
use crate::broker::{Role, SqlBroker};
use crate::database::Database;
use crate::error::SqlError;
use crate::push::insert_all;
use crate::session::{Row, Session};
use crate::statements::{Tables, padded};
use crate::trailer;
use crate::values::Values;

/// The count is a column here. A payload with one of its own came from elsewhere, and is reset as `queue:retry` does.
const NO_ATTEMPTS: u32 = 0;

/// A page of failed jobs, newest first.
pub(crate) fn failed(broker: &SqlBroker<impl Database>, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
    let page = Values::new().text(queue.as_str()).int(clamped(limit)).int(clamped(offset));
    read_page(broker, Tables::newest_failed, page)
}

/// A page of failed jobs, oldest first, behind those that were passed. The position is never lost: ids only grow.
pub(crate) fn oldest_failed(
    broker: &SqlBroker<impl Database>,
    queue: &QueueName,
    passed: Option<&FailedPosition>,
    limit: u64,
) -> Result<Vec<FailedJob>> {
    let last = passed.and_then(|passed| passed.last.parse().ok()).unwrap_or(i64::MIN);
    let page = Values::new().text(queue.as_str()).int(last).int(clamped(limit));
    read_page(broker, Tables::oldest_failed, page)
}

fn read_page(
    broker: &SqlBroker<impl Database>,
    statement: impl FnOnce(&Tables) -> Option<String>,
    page: Values<'_>,
) -> Result<Vec<FailedJob>> {
    broker.run(Role::Query, |session| {
        // Only with a connection are the columns of the table known.
        let Some(sql) = statement(&broker.tables) else { return Ok(Vec::new()) };
        Ok(session.query(sql, page)?.iter().map(failed_job).collect())
    })
}

fn failed_job(row: &impl Row) -> FailedJob {
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
pub(crate) fn retry(broker: &SqlBroker<impl Database>, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64> {
    let (now, tables) = (broker.settings.now(), &broker.tables);
    in_chunks(broker, jobs, |session, ids| {
        let Some(sql) = tables.failed_payloads(ids.len()) else { return Ok(0) };
        let rows = session.query(sql, Values::new().text(queue.as_str()).ints(ids))?;
        let back: Vec<NewJob<'_>> =
            rows.iter().map(|row| NewJob::ready(with_fresh_attempts(&row.bytes(0), NO_ATTEMPTS))).collect();
        insert_all(session, tables, queue, &back, now)?;
        remove(session, tables, queue, ids)
    })
}

/// Removes those that are still there, a chunk a transaction.
pub(crate) fn forget(broker: &SqlBroker<impl Database>, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64> {
    in_chunks(broker, jobs, |session, ids| remove(session, &broker.tables, queue, ids))
}

fn remove(session: &mut impl Session, tables: &Tables, queue: &QueueName, ids: &[i64]) -> Result<u64, SqlError> {
    let Some(sql) = tables.forget(ids.len()) else { return Ok(0) };
    session.execute(sql, Values::new().text(queue.as_str()).ints(ids))
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
