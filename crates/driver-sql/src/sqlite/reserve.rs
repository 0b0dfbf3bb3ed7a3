//! Taking jobs: look without a lock, take under one, wait without taking.

use std::time::{Duration, Instant};

use ferry_core::{Claim, QueueName, Reservation, batch};

use super::args::Args;
use super::commit_watch::{CommitWatch, Paused};
use super::poll_interval::PollInterval;
use super::session::{Fault, Session};
use super::statements::{FEW, Tables, padded};
use crate::receipt::ReservedRow;
use crate::settings::Settings;

/// The longest that one call waits, as the contract says.
const LONGEST: Duration = Duration::from_secs(1);

/// Takes from the first queue that has any, or waits up to `wait` for one to have.
pub(super) fn take_or_wait(
    session: &mut Session,
    watch: &mut CommitWatch,
    tables: &Tables,
    settings: &Settings,
    queues: &[QueueName],
    max: usize,
    wait: Duration,
) -> Result<Vec<Reservation>, Fault> {
    let deadline = Instant::now() + wait.min(LONGEST);
    // An idle worker calls again and again; only a sound makes it look more often.
    let still = watch.still && !watch.forget();
    let mut pace = if still { PollInterval::resumed(watch.hears()) } else { PollInterval::new(watch.hears()) };
    loop {
        // Before the look, so that whatever is written from here on is heard.
        watch.forget();
        let jobs = take_first(session, tables, settings, queues, max)?;
        if !jobs.is_empty() || Instant::now() >= deadline {
            watch.still = jobs.is_empty() && pace.is_still();
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
    let found: Vec<Candidate> = rows.iter().filter_map(|row| Some(Candidate { id: row.int(0)?, tried: row.int(1)? })).collect();
    let untried = batch::take(max, found.iter().map(|row| batch::stands_alone(count(row.tried), b"")));
    let found = &found[..untried.min(found.len())];

    let bodies = payloads(session, tables, found)?;
    let alone = found.iter().zip(&bodies).map(|(row, body)| batch::stands_alone(count(row.tried), body));
    let taken = batch::take(max, alone);
    let ids: Vec<i64> = found[..taken].iter().map(|row| row.id).collect();
    for ids in padded(&ids) {
        session.run(tables.hold(ids.len()), Args::default().int(when.now)?.ints(&ids)?)?;
    }
    let reserve = |(row, body): (&Candidate, Vec<u8>)| {
        let held = ReservedRow { id: row.id, attempts: tables.attempts_held(row.tried) };
        Reservation {
            claim: Claim { queue: queue.clone(), receipt: held.to_receipt() },
            body,
            attempts: Some(count(row.tried + 1)),
            number: Some(row.id),
            reserved_at: when.now,
        }
    };
    Ok(found.iter().zip(bodies).take(taken).map(reserve).collect())
}

/// A row that can be taken, and how often it was tried.
struct Candidate {
    id: i64,
    tried: i64,
}

/// The payloads of `rows`, in their order, which is that of their ids.
fn payloads(session: &mut Session, tables: &Tables, rows: &[Candidate]) -> Result<Vec<Vec<u8>>, Fault> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut bodies = Vec::with_capacity(ids.len());
    for ids in padded(&ids) {
        let rows = session.rows(tables.payloads(ids.len()), Args::default().ints(&ids)?)?;
        bodies.extend(rows.iter().map(|row| row.bytes(1)));
    }
    Ok(bodies)
}

fn count(attempts: i64) -> u32 {
    u32::try_from(attempts.max(0)).unwrap_or(u32::MAX)
}
