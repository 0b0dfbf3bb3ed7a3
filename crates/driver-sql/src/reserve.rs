//! Reserving jobs: look without a lock, reserve under one, wait without reserving.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ferry_core::{Claim, QueueName, Reservation, Result, batch};
use ferry_support::sync;

use crate::broker::SqlBroker;
use crate::database::{CommitWaiter, Database, Wakeup};
use crate::error::SqlError;
use crate::receipt::ReservedRow;
use crate::session::{JobWork, Row, Session};
use crate::statements::{Tables, padded};
use crate::values::SqlValues;

/// The longest wait of one call, as the contract says.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// So many queues are asked about in one statement.
const QUEUES_PER_LOOK: usize = 32;

/// Reserves from the first queue that has any job, or waits up to `wait` for one to have.
pub(crate) fn reserve(
    broker: &SqlBroker<impl Database>,
    queues: &[QueueName],
    max: usize,
    wait: Duration,
) -> Result<Vec<Reservation>> {
    let deadline = Instant::now() + wait.min(LONGEST_WAIT);
    broker.run_waiting(|session, waiter| {
        session.tune(JobWork::Reserve)?;
        reserve_before(deadline, session, waiter, broker, queues, max)
    })
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
    let mut resumes = waiter.resumes() && Instant::now() < deadline;
    loop {
        if !std::mem::take(&mut resumes) {
            waiter.before_query();
            let jobs = reserve_first(session, broker, queues, max)?;
            if !jobs.is_empty() || Instant::now() >= deadline {
                waiter.end(!jobs.is_empty());
                return Ok(jobs);
            }
        }
        match waiter.wait(deadline) {
            Wakeup::QueryAgain => {}
            Wakeup::TimeOver => {
                waiter.end(false);
                return Ok(Vec::new());
            }
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
    // For a single queue a look is as much as a statement that reserves.
    if let ([queue], Some(sql)) = (queues, broker.tables.reserve_at_once(max)) {
        return reserve_at_once(session, broker, queue, sql);
    }
    for queues in queues.chunks(QUEUES_PER_LOOK) {
        for (queue, due) in any_due(session, broker, queues)? {
            let jobs = match broker.tables.reserve_at_once(max) {
                Some(sql) => reserve_at_once(session, broker, queue, sql)?,
                None => session.reserve_transaction(|session| reserve_from(session, broker, queue, max, due))?,
            };
            if !jobs.is_empty() {
                return Ok(jobs);
            }
        }
    }
    Ok(Vec::new())
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
    note_at_limit(broker, jobs.iter().map(|(row, job)| (row, job.reserved_at)));
    // Changed rows come in any order.
    jobs.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(jobs.into_iter().map(|(_, job)| job).collect())
}

/// What a queue had a moment ago.
#[derive(Clone, Copy)]
struct AnyDue {
    ready: bool,
    expired: bool,
    /// The second of the database's clock, by which the rest is judged.
    now: i64,
}

/// The queues that have anything, in their order. One statement looks into all.
fn any_due<'a>(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queues: &'a [QueueName],
) -> Result<Vec<(&'a QueueName, AnyDue)>, SqlError> {
    let head = SqlValues::new().second(broker.settings.now()).second(broker.settings.expired());
    let values = queues.iter().fold(head, |values, queue| values.text(queue.as_str()));
    let rows = session.query(broker.tables.any_due(queues.len()), values)?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let is_set = |column| row.int(column) == Some(1);
    let now = row.int(0).unwrap_or_default();
    let found = queues
        .iter()
        .zip((1..).step_by(2))
        .map(|(queue, column)| (queue, AnyDue { ready: is_set(column), expired: is_set(column + 1), now }));
    Ok(found.filter(|(_, due)| due.ready || due.expired).collect())
}

/// Reserves what is there now; another worker may have been quicker.
///
/// The payloads of jobs that were tried before are read behind their attempts: a queue of large jobs that are all retried one by one
/// would otherwise be read whole each time.
fn reserve_from(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queue: &QueueName,
    max: usize,
    due: AnyDue,
) -> Result<Vec<Reservation>, SqlError> {
    let tables = &broker.tables;
    let mut found = candidates(session, broker, queue, max, due)?;
    let alone = |row: &Candidate| batch::stands_alone(count(row.tried), row.body.as_deref().unwrap_or_default());
    found.truncate(batch::take(max, found.iter().map(alone)));
    read_bodies(session, tables, &mut found)?;
    let ids: Vec<i64> = found.iter().map(|row| row.id).collect();
    for ids in padded(&ids) {
        session.execute(tables.mark_reserved(ids.len()), SqlValues::new().int(due.now).ints(&ids))?;
    }
    note_at_limit(broker, found.iter().map(|row| (row, due.now)));
    let reservation = |mut row: Candidate| {
        let body = row.body.take().unwrap_or_default();
        reservation(tables, queue, &row, body, due.now)
    };
    Ok(found.into_iter().map(reservation).collect())
}

/// Remembers when rows were reserved whose attempts cannot rise any more.
fn note_at_limit<'a>(broker: &SqlBroker<impl Database>, reserved: impl Iterator<Item = (&'a Candidate, i64)>) {
    let tables = &broker.tables;
    let at_limit = reserved.filter(|(row, _)| tables.is_at_limit(tables.attempts_held(row.tried)));
    sync::lock(&broker.at_limit).extend(at_limit.map(|(row, second)| (row.id, second)));
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
    /// The payload, once it was read.
    body: Option<Vec<u8>>,
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
            found.extend(rows.iter().filter_map(candidate_with_body));
        }
    }
    found.sort();
    found.truncate(max);
    Ok(found)
}

fn candidate(row: &impl Row) -> Option<Candidate> {
    // A reserved row that another program wrote may have no due second.
    Some(Candidate { id: row.int(0)?, tried: row.int(1)?, available_at: row.int(2).unwrap_or_default(), body: None })
}

/// The payload stands behind it if it was never tried.
fn candidate_with_body(row: &impl Row) -> Option<Candidate> {
    let found = candidate(row)?;
    Some(Candidate { body: (found.tried == 0).then(|| row.bytes(3)), ..found })
}

/// Reads the payloads that are still missing.
fn read_bodies(session: &mut impl Session, tables: &Tables, rows: &mut [Candidate]) -> Result<(), SqlError> {
    let ids: Vec<i64> = rows.iter().filter(|row| row.body.is_none()).map(|row| row.id).collect();
    let mut bodies = HashMap::with_capacity(ids.len());
    for ids in padded(&ids) {
        let rows = session.query(tables.payloads(ids.len()), SqlValues::new().ints(&ids))?;
        bodies.extend(rows.iter().filter_map(|row| Some((row.int(0)?, row.bytes(1)))));
    }
    for row in rows.iter_mut().filter(|row| row.body.is_none()) {
        row.body = bodies.remove(&row.id);
    }
    Ok(())
}

fn count(attempts: i64) -> u32 {
    u32::try_from(attempts.max(0)).unwrap_or(u32::MAX)
}
