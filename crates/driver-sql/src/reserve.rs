//! Reserving jobs: look without a lock, reserve under one, wait without reserving.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ferry_core::{Claim, QueueName, Reservation, Result, batch};

use crate::broker::SqlBroker;
use crate::database::{CommitWaiter, Database, Wakeup};
use crate::error::SqlError;
use crate::receipt::ReservedRow;
use crate::session::{Row, Session};
use crate::settings::Settings;
use crate::statements::{Tables, padded};
use crate::values::SqlValues;

/// The longest wait of one call, as the contract says.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Reserves from the first queue that has any job, or waits up to `wait` for one to have.
pub(crate) fn reserve(
    broker: &SqlBroker<impl Database>,
    queues: &[QueueName],
    max: usize,
    wait: Duration,
) -> Result<Vec<Reservation>> {
    let deadline = Instant::now() + wait.min(LONGEST_WAIT);
    broker.run_waiting(|session, waiter| reserve_before(deadline, session, waiter, broker, queues, max))
}

fn reserve_before(
    deadline: Instant,
    session: &mut impl Session,
    waiter: &mut impl CommitWaiter,
    broker: &SqlBroker<impl Database>,
    queues: &[QueueName],
    max: usize,
) -> Result<Vec<Reservation>, SqlError> {
    waiter.begin(queues);
    loop {
        waiter.before_query();
        let jobs = reserve_first(session, broker, queues, max)?;
        if !jobs.is_empty() || Instant::now() >= deadline {
            waiter.end(!jobs.is_empty());
            return Ok(jobs);
        }
        match waiter.wait(deadline) {
            Wakeup::QueryAgain => {}
            // The caller has to look at the signal.
            Wakeup::Interrupted => return Ok(Vec::new()),
        }
    }
}

fn reserve_first(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queues: &[QueueName],
    max: usize,
) -> Result<Vec<Reservation>, SqlError> {
    for queue in queues {
        let jobs = reserve_one_queue(session, broker, queue, max)?;
        if !jobs.is_empty() {
            return Ok(jobs);
        }
    }
    Ok(Vec::new())
}

fn reserve_one_queue(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queue: &QueueName,
    max: usize,
) -> Result<Vec<Reservation>, SqlError> {
    if let Some(sql) = broker.tables.reserve_at_once(max) {
        return reserve_at_once(session, broker, queue, sql);
    }
    let due = any_due(session, &broker.tables, queue, &broker.settings)?;
    if !due.ready && !due.expired {
        return Ok(Vec::new());
    }
    session.transaction(|session| reserve_from(session, broker, queue, max, due))
}

/// Reserves in a single statement, which is a transaction of its own.
fn reserve_at_once(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queue: &QueueName,
    sql: String,
) -> Result<Vec<Reservation>, SqlError> {
    let settings = &broker.settings;
    let values = SqlValues::new().text(queue.as_str()).second(settings.now()).second(settings.expired());
    let rows = session.query(sql, values)?;
    let reserved = |row: &_| {
        let candidate = candidate(row)?;
        let reservation = reservation(&broker.tables, queue, &candidate, Row::bytes(row, 3), Row::int(row, 4)?);
        Some((candidate, reservation))
    };
    let mut jobs: Vec<(Candidate, Reservation)> = rows.iter().filter_map(reserved).collect();
    // Changed rows come in any order.
    jobs.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(jobs.into_iter().map(|(_, job)| job).collect())
}

/// What a queue had a moment ago.
#[derive(Clone, Copy, Default)]
struct AnyDue {
    ready: bool,
    expired: bool,
    /// The second of the database's clock, by which the rest is judged.
    now: i64,
}

fn any_due(session: &mut impl Session, tables: &Tables, queue: &QueueName, settings: &Settings) -> Result<AnyDue, SqlError> {
    let values = SqlValues::new().text(queue.as_str()).second(settings.now()).second(settings.expired());
    let rows = session.query(tables.any_due(), values)?;
    let any_due = |row: &_| {
        let is_set = |column| Row::int(row, column) == Some(1);
        AnyDue { ready: is_set(0), expired: is_set(1), now: Row::int(row, 2).unwrap_or_default() }
    };
    Ok(rows.first().map_or_else(AnyDue::default, any_due))
}

/// Reserves what is there now; another worker may have been quicker.
///
/// Attempts are read before payloads: a queue of large jobs that are all retried one by one would otherwise be read whole each time.
fn reserve_from(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queue: &QueueName,
    max: usize,
    due: AnyDue,
) -> Result<Vec<Reservation>, SqlError> {
    let tables = &broker.tables;
    let found = candidates(session, broker, queue, max, due)?;
    let untried = batch::take(max, found.iter().map(|row| batch::stands_alone(count(row.tried), b"")));
    let found = &found[..untried.min(found.len())];

    let bodies = payloads(session, tables, found)?;
    let alone = found.iter().zip(&bodies).map(|(row, body)| batch::stands_alone(count(row.tried), body));
    let taken = batch::take(max, alone);
    let ids: Vec<i64> = found[..taken].iter().map(|row| row.id).collect();
    for ids in padded(&ids) {
        session.execute(tables.mark_reserved(ids.len()), SqlValues::new().int(due.now).ints(&ids))?;
    }
    let reservation = |(row, body)| reservation(tables, queue, row, body, due.now);
    Ok(found.iter().zip(bodies).take(taken).map(reservation).collect())
}

fn reservation(tables: &Tables, queue: &QueueName, row: &Candidate, body: Vec<u8>, now: i64) -> Reservation {
    let held = ReservedRow { id: row.id, attempts: tables.attempts_held(row.tried) };
    Reservation {
        claim: Claim { queue: queue.clone(), receipt: held.to_receipt() },
        body,
        attempts: Some(count(row.tried + 1)),
        number: Some(row.id),
        reserved_at: now,
    }
}

/// A row that can be reserved. Sorts in the order in which jobs are reserved.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    available_at: i64,
    /// How often it was tried.
    tried: i64,
    id: i64,
}

fn candidates(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queue: &QueueName,
    max: usize,
    due: AnyDue,
) -> Result<Vec<Candidate>, SqlError> {
    let limit = i64::try_from(max).unwrap_or(i64::MAX);
    let expired = broker.settings.expired_before(due.now);
    let mut found = Vec::new();
    for (any, sql, second) in [(due.ready, broker.tables.ready(), due.now), (due.expired, broker.tables.expired(), expired)] {
        if any {
            let rows = session.query(sql, SqlValues::new().text(queue.as_str()).int(second).int(limit))?;
            found.extend(rows.iter().filter_map(candidate));
        }
    }
    found.sort();
    found.truncate(max);
    Ok(found)
}

fn candidate(row: &impl Row) -> Option<Candidate> {
    // A reserved row that another program wrote may have no due second.
    Some(Candidate { id: row.int(0)?, tried: row.int(1)?, available_at: row.int(2).unwrap_or_default() })
}

/// The payloads of `rows`, in their order.
fn payloads(session: &mut impl Session, tables: &Tables, rows: &[Candidate]) -> Result<Vec<Vec<u8>>, SqlError> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut bodies = HashMap::with_capacity(ids.len());
    for ids in padded(&ids) {
        let rows = session.query(tables.payloads(ids.len()), SqlValues::new().ints(&ids))?;
        bodies.extend(rows.iter().filter_map(|row| Some((row.int(0)?, row.bytes(1)))));
    }
    Ok(ids.iter().map(|id| bodies.remove(id).unwrap_or_default()).collect())
}

fn count(attempts: i64) -> u32 {
    u32::try_from(attempts.max(0)).unwrap_or(u32::MAX)
}
