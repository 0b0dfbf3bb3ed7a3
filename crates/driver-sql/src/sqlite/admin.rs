//! Counting, showing and clearing.

use ferry_core::QueueName;
use ferry_core::broker::{Sizes, State};

use super::args::Args;
use super::session::{Fault, Session};
use super::statements::Tables;

/// Jobs of a queue by state. A reservation counts as reserved until somebody takes it over.
pub(super) fn size(session: &mut Session, tables: &Tables, queue: &QueueName, now: i64) -> Result<Sizes, Fault> {
    let rows = session.rows(tables.size(), Args::default().text(queue.as_str())?.int(now)?)?;
    let count = |column| rows.first().and_then(|row| row.int(column)).and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
    let (ready, delayed, reserved) = (count(0), count(1), count(2));
    Ok(Sizes { ready, delayed, reserved, failed: failed_size(session, tables, queue)? })
}

fn failed_size(session: &mut Session, tables: &Tables, queue: &QueueName) -> Result<u64, Fault> {
    let Some(sql) = tables.failed_size() else { return Ok(0) };
    let rows = session.rows(sql, Args::default().text(queue.as_str())?)?;
    Ok(rows.first().and_then(|row| row.int(0)).and_then(|n| u64::try_from(n).ok()).unwrap_or_default())
}

/// Payloads in a state, next first.
pub(super) fn peek(
    session: &mut Session,
    tables: &Tables,
    queue: &QueueName,
    state: State,
    now: i64,
    offset: u64,
    limit: u64,
) -> Result<Vec<Vec<u8>>, Fault> {
    let args = Args::default().text(queue.as_str())?.int(now)?.int(clamped(limit))?.int(clamped(offset))?;
    Ok(session.rows(tables.peek(state), args)?.iter().map(|row| row.bytes(0)).collect())
}

/// Removes every job of the queue and returns how many.
pub(super) fn clear(session: &mut Session, tables: &Tables, queue: &QueueName) -> Result<u64, Fault> {
    Ok(session.run(tables.clear(), Args::default().text(queue.as_str())?)?.rows)
}

fn clamped(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
