//! Taking jobs: look without a lock, take under one, wait without taking.

use std::time::{Duration, Instant};

use ferry_core::{Claim, QueueName, Reservation, batch};

use super::args::Args;
use super::pace::Pace;
use super::session::{Fault, Session};
use super::statements::{FEW, Tables, padded};
use super::watch::{Paused, Watch};
use crate::receipt::Held;
use crate::settings::Settings;

/// The longest that one call waits, as the contract says.
const LONGEST: Duration = Duration::from_secs(1);

/// Takes from the first queue that has any, or waits up to `wait` for one to have.
pub(super) fn take_or_wait(
    session: &mut Session,
    watch: &mut Watch,
    tables: &Tables,
    settings: &Settings,
    queues: &[QueueName],
    max: usize,
    wait: Duration,
) -> Result<Vec<Reservation>, Fault> {
    let deadline = Instant::now() + wait.min(LONGEST);
    let mut pace = Pace::new(watch.hears());
    loop {
        // Before the look, so that whatever is written from here on is heard.
        watch.forget();
        let jobs = take_first(session, tables, settings, queues, max)?;
        if !jobs.is_empty() || Instant::now() >= deadline {
            return Ok(jobs);
        }
        match watch.pause(&mut pace, deadline) {
            Paused::Over => {}
            // A signal: whoever called us wants to know.
            Paused::Interrupted => return Ok(Vec::new()),
        }
    }
}

fn take_first(
    session: &mut Session,
    tables: &Tables,
    settings: &Settings,
    queues: &[QueueName],
    max: usize,
) -> Result<Vec<Reservation>, Fault> {
    for queue in queues {
        let when = When::of(settings);
        let sight = look(session, tables, queue, when)?;
        if sight.is_empty() {
            continue;
        }
        let jobs = session.transaction(|session| take(session, tables, queue, max, when, sight))?;
        if !jobs.is_empty() {
            return Ok(jobs);
        }
    }
    Ok(Vec::new())
}

/// The seconds that decide what is due and what has expired.
#[derive(Clone, Copy)]
struct When {
    now: i64,
    expired: Option<i64>,
}

impl When {
    fn of(settings: &Settings) -> Self {
        let now = settings.now();
        Self { now, expired: settings.expired_before(now) }
    }

    fn args(self, queue: &QueueName) -> Result<Args, Fault> {
        // No reservation is older than that, so none has expired.
        Args::default().text(queue.as_str())?.int(self.now)?.int(self.expired.unwrap_or(i64::MIN))
    }
}

/// What a queue looked like a moment ago.
#[derive(Clone, Copy)]
struct Sight {
    due: i64,
    expired: bool,
}

impl Sight {
    fn is_empty(self) -> bool {
        self.due == 0 && !self.expired
    }
}

fn look(session: &mut Session, tables: &Tables, queue: &QueueName, when: When) -> Result<Sight, Fault> {
    let rows = session.rows(tables.look(), when.args(queue)?)?;
    Ok(rows.first().map_or(Sight { due: 0, expired: false }, |row| Sight {
        due: row.int(0).unwrap_or_default(),
        expired: row.int(1) == Some(1),
    }))
}

/// Reserves what is there now; somebody else may have been quicker.
///
/// Attempts are read before payloads: a queue of large jobs that are all retried one by one would otherwise be read whole each time.
fn take(
    session: &mut Session,
    tables: &Tables,
    queue: &QueueName,
    max: usize,
    when: When,
    sight: Sight,
) -> Result<Vec<Reservation>, Fault> {
    let limit = i64::try_from(max).unwrap_or(i64::MAX);
    let rows = session.rows(tables.candidates(sight.due > FEW), when.args(queue)?.int(limit)?)?;
    let found: Vec<Held> = rows.iter().filter_map(|row| held_of(row.int(0)?, row.int(1))).collect();
    let untried = batch::take(max, found.iter().map(|held| batch::stands_alone(count(held.attempts), b"")));
    let found = &found[..untried.min(found.len())];

    let bodies = payloads(session, tables, found)?;
    let alone = found.iter().zip(&bodies).map(|(held, body)| batch::stands_alone(count(held.attempts), body));
    let taken = batch::take(max, alone);
    let ids: Vec<i64> = found[..taken].iter().map(|held| held.id).collect();
    for ids in padded(&ids) {
        session.run(tables.hold(ids.len()), Args::default().int(when.now)?.ints(&ids)?)?;
    }
    Ok(found.iter().zip(bodies).take(taken).map(|(held, body)| reservation(queue, *held, body, when.now)).collect())
}

fn held_of(id: i64, attempts: Option<i64>) -> Option<Held> {
    Some(Held { id, attempts: attempts.unwrap_or_default() })
}

/// The payloads of `rows`, in their order, which is that of their ids.
fn payloads(session: &mut Session, tables: &Tables, rows: &[Held]) -> Result<Vec<Vec<u8>>, Fault> {
    let ids: Vec<i64> = rows.iter().map(|held| held.id).collect();
    let mut bodies = Vec::with_capacity(ids.len());
    for ids in padded(&ids) {
        let rows = session.rows(tables.payloads(ids.len()), Args::default().ints(&ids)?)?;
        bodies.extend(rows.iter().map(|row| row.bytes(1)));
    }
    Ok(bodies)
}

fn reservation(queue: &QueueName, before: Held, body: Vec<u8>, now: i64) -> Reservation {
    let held = Held { id: before.id, attempts: before.attempts + 1 };
    Reservation {
        claim: Claim { queue: queue.clone(), receipt: held.to_receipt() },
        body,
        attempts: Some(count(held.attempts)),
        number: Some(held.id),
        reserved_at: now,
    }
}

fn count(attempts: i64) -> u32 {
    u32::try_from(attempts.max(0)).unwrap_or(u32::MAX)
}
