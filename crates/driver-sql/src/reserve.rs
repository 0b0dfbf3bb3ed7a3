//! Reserving jobs: look without a lock, reserve under one, wait without reserving.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ferry_core::{Claim, QueueName, Reservation, Result, batch};
use ferry_support::sync;

use crate::broker::SqlBroker;
use crate::database::{CommitWaiter, Database, Wakeup};
use crate::error::SqlError;
use crate::receipt::ReservedRow;
use crate::scan_position::ScanPosition;
use crate::session::{JobWork, Row, Session};
use crate::statements::{Tables, padded};
use crate::values::SqlValues;

/// The longest wait of one call, as the contract says.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// So many queues are asked about in one statement.
const QUEUES_PER_LOOK: usize = 32;

/// Milliseconds to wait for rows that others have locked before each further try.
const LOCKED_PAUSES: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

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
    // One that waits looks again anyway.
    let retries = Instant::now() >= deadline;
    let mut resumes = waiter.resumes() && Instant::now() < deadline;
    loop {
        if !std::mem::take(&mut resumes) {
            waiter.before_query();
            let jobs = reserve_first(session, broker, queues, max, retries)?;
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

/// Goes on where the last reserve ended, and from the head of all queues when there is nothing. `retries`: what others have locked is asked
/// for again.
fn reserve_first(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queues: &[QueueName],
    max: usize,
    retries: bool,
) -> Result<Vec<Reservation>, SqlError> {
    let mut pauses = LOCKED_PAUSES.into_iter().filter(|_| retries);
    loop {
        // Asked before: another thread may give jobs back meanwhile, and they lie at the head.
        let from_heads = broker.scan_positions.are_heads();
        let found = reserve_behind_positions(session, broker, queues, max)?;
        if let Found::Jobs(jobs) = found {
            return Ok(jobs);
        }
        broker.scan_positions.forget();
        match (found, pauses.next()) {
            (Found::Locked, Some(pause)) => std::thread::sleep(Duration::from_millis(pause)),
            (Found::Nothing, _) if !from_heads => {}
            _ => return Ok(Vec::new()),
        }
    }
}

/// What one pass over the queues found.
enum Found {
    Jobs(Vec<Reservation>),
    Nothing,
    /// There was something, but another session has reserved it or has it locked. InnoDB locks rows that a statement only passes, and the one
    /// behind the end of a range: a worker that takes the queue for empty then may leave a job behind.
    Locked,
}

fn reserve_behind_positions(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queues: &[QueueName],
    max: usize,
) -> Result<Found, SqlError> {
    if let [queue] = queues
        && (broker.tables.reserves_at_once() || expects_jobs(session, broker, queue))
    {
        let jobs = reserve_from(session, broker, queue, max)?;
        return Ok(if jobs.is_empty() { Found::Nothing } else { Found::Jobs(jobs) });
    }
    let mut nothing = Found::Nothing;
    for queues in queues.chunks(QUEUES_PER_LOOK) {
        for queue in any_due(session, broker, queues)? {
            let jobs = reserve_from(session, broker, queue, max)?;
            if !jobs.is_empty() {
                return Ok(Found::Jobs(jobs));
            }
            nothing = Found::Locked;
        }
    }
    Ok(nothing)
}

/// Whether there were jobs a moment ago, so that there will be more, and a reserve that finds none waits for nobody's lock.
fn expects_jobs(session: &impl Session, broker: &SqlBroker<impl Database>, queue: &QueueName) -> bool {
    session.skips_locked() && broker.scan_positions.of(queue, Instant::now()) != ScanPosition::HEAD
}

/// The queues that had anything a moment ago, in their order. One statement looks into all.
fn any_due<'a>(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queues: &'a [QueueName],
) -> Result<Vec<&'a QueueName>, SqlError> {
    let now = Instant::now();
    let values = queues.iter().fold(now_and_expired(broker), |values, queue| {
        let ScanPosition { available_at, id } = broker.scan_positions.of(queue, now);
        values.text(queue.as_str()).int(available_at).int(id)
    });
    let rows = session.query(broker.tables.any_due(queues.len()), values)?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    Ok(queues.iter().enumerate().filter(|(column, _)| row.int(*column) == Some(1)).map(|(_, queue)| queue).collect())
}

/// Reserves what is there now; another worker may have been quicker.
fn reserve_from(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queue: &QueueName,
    max: usize,
) -> Result<Vec<Reservation>, SqlError> {
    let tables = &broker.tables;
    let now = Instant::now();
    let from = broker.scan_positions.of(queue, now);
    let rows = match tables.reserve_at_once(max) {
        Some(sql) => reserve_at_once(session, broker, queue, from, sql)?,
        None => session.reserve_transaction(|session| reserve_in_steps(session, broker, queue, from, max))?,
    };
    if let Some(last) = rows.last() {
        broker.scan_positions.advance(queue, from, ScanPosition { available_at: last.available_at, id: last.id }, now);
    }
    note_at_limit(broker, &rows);
    Ok(rows.into_iter().map(|row| reservation(tables, queue, row)).collect())
}

/// Reserves in a single statement, which is a transaction of its own.
fn reserve_at_once(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queue: &QueueName,
    from: ScanPosition,
    sql: String,
) -> Result<Vec<Candidate>, SqlError> {
    let values = now_and_expired(broker).text(queue.as_str()).int(from.available_at).int(from.id);
    let rows = session.query(sql, values)?;
    let reserved = |row: &_| Some(Candidate { body: Some(Row::bytes(row, 3)), ..candidate(row)? });
    let mut rows: Vec<Candidate> = rows.iter().filter_map(reserved).collect();
    // Changed rows come in any order.
    rows.sort();
    Ok(rows)
}

/// Reserves inside a transaction.
///
/// The payloads of jobs that were tried before are read behind their attempts: a queue of large jobs that are all retried one by one
/// would otherwise be read whole each time.
fn reserve_in_steps(
    session: &mut impl Session,
    broker: &SqlBroker<impl Database>,
    queue: &QueueName,
    from: ScanPosition,
    max: usize,
) -> Result<Vec<Candidate>, SqlError> {
    let tables = &broker.tables;
    let limit = i64::try_from(max).unwrap_or(i64::MAX);
    let values = now_and_expired(broker).text(queue.as_str()).int(from.available_at).int(from.id).int(limit);
    let rows = session.query(tables.candidates(), values)?;
    let mut found: Vec<Candidate> = rows.iter().filter_map(candidate_with_body).collect();
    let alone = |row: &Candidate| batch::stands_alone(count(row.tried), row.body.as_deref().unwrap_or_default());
    found.truncate(batch::take(max, found.iter().map(alone)));
    read_bodies(session, tables, &mut found)?;
    let ids: Vec<i64> = found.iter().map(|row| row.id).collect();
    let reserved_at = found.first().map_or(0, |row| row.reserved_at);
    for ids in padded(&ids) {
        session.execute(tables.mark_reserved(ids.len()), SqlValues::new().int(reserved_at).ints(&ids))?;
    }
    Ok(found)
}

fn now_and_expired<'a>(broker: &SqlBroker<impl Database>) -> SqlValues<'a> {
    SqlValues::new().second(broker.settings.now()).second(broker.settings.expired())
}

/// Remembers when rows were reserved whose attempts cannot rise any more.
fn note_at_limit(broker: &SqlBroker<impl Database>, reserved: &[Candidate]) {
    let tables = &broker.tables;
    let at_limit = reserved.iter().filter(|row| tables.is_at_limit(tables.attempts_held(row.tried)));
    sync::lock(&broker.at_limit).extend(at_limit.map(|row| (row.id, row.reserved_at)));
}

fn reservation(tables: &Tables, queue: &QueueName, row: Candidate) -> Reservation {
    let held = ReservedRow { id: row.id, attempts: tables.attempts_held(row.tried) };
    Reservation {
        claim: Claim { queue: queue.clone(), receipt: held.to_receipt() },
        body: row.body.unwrap_or_default(),
        attempts: Some(count(row.tried + 1)),
        number: Some(row.id),
        reserved_at: row.reserved_at,
    }
}

/// A row that can be reserved. Sorts in the order in which jobs are reserved.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    available_at: i64,
    id: i64,
    /// How often it was tried.
    tried: i64,
    /// The second of the database's clock in which it is reserved.
    reserved_at: i64,
    /// The payload, once it was read.
    body: Option<Vec<u8>>,
}

fn candidate(row: &impl Row) -> Option<Candidate> {
    Some(Candidate { id: row.int(0)?, tried: row.int(1)?, available_at: row.int(2)?, body: None, reserved_at: row.int(4)? })
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
