//! `Broker::reserve`: one script call a queue, and waiting in between without reserving.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferry_core::broker::{Broker, PendingReserve, Settle, Settlement};
use ferry_core::dialect::{Counting, RedisKeys};
use ferry_core::job::{Claim, Reservation};
use ferry_core::{QueueName, Result, batch};
use ferry_support::sync;
use redis::{Cmd, Value, cmd};

use crate::handover::{HandoverKeys, WaitRole};
use crate::link::Effect;
use crate::receipt::receipt;
use crate::reply::{bulks, integer};
use crate::script::{self, Call};
use crate::transport::RedisSocket;
use crate::wait::{EmptyLook, LookResult, ReserveStart, ServerClock, Waiter};
use crate::{RedisBroker, number_or_empty};

const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// So many queues behind the first are tried one by one.
const FEW_QUEUES: usize = 3;
/// So many are asked in one write whether they have something.
const PROBED_QUEUES: usize = 500;
const IN_DOUBT: &str = "jobs may have been reserved; they come back after `retry_after`";

/// The pause after many queues were asked in vain, in times of how long that took: an idle worker takes a twentieth of the server at most.
const REST: u32 = 19;
/// The longest such pause.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Until when many queues are not asked again by somebody who can wait.
#[derive(Default)]
pub struct ProbeRest(Mutex<Option<Instant>>);

impl ProbeRest {
    fn is_resting(&self) -> bool {
        sync::lock(&self.0).is_some_and(|until| Instant::now() < until)
    }

    /// Asking took `probing` and found nothing.
    fn begin(&self, probing: Duration) {
        *sync::lock(&self.0) = Some(Instant::now() + probing.saturating_mul(REST).min(LONGEST_REST));
    }
}

/// A batch of jobs holds about so many bytes, so that the script that moves them does not hold up the server.
const BATCH_BYTES: usize = 256 << 10;
/// So many are asked for whatever their size: the next ones may be smaller.
const FEW_JOBS: usize = 4;

/// How big the jobs of the last batch were on average.
#[derive(Default)]
pub struct JobSize(AtomicUsize);

impl JobSize {
    fn note(&self, sizes: impl ExactSizeIterator<Item = usize>) {
        let count = sizes.len();
        if let Some(average) = sizes.sum::<usize>().checked_div(count) {
            self.0.store(average, Ordering::Relaxed);
        }
    }

    /// How many jobs of that size to ask for at once, `max` at most.
    fn most(&self, max: usize) -> usize {
        max.min((BATCH_BYTES / self.0.load(Ordering::Relaxed).max(1)).max(FEW_JOBS))
    }
}

/// Of so many queues it is known when their due jobs were made ready.
const KNOWN_QUEUES: usize = 64;

/// Of which queues all jobs are ready that were due in which second of the server: a script need not look for any in the same second.
///
/// Only a job that another process stores with a delay of 0, or releases so, waits for the next second, and only for workers that wait.
#[derive(Default)]
pub struct ReadySeconds(Mutex<HashMap<QueueName, ReadySecond>>);

struct ReadySecond {
    second: i64,
    /// [`crate::wait::WaitLinks::changes`] before the call that found out.
    changes: u64,
}

impl ReadySeconds {
    fn of(&self, queue: &QueueName, changes: u64) -> Option<i64> {
        sync::lock(&self.0).get(queue).filter(|known| known.changes == changes).map(|known| known.second)
    }

    fn forget(&self) {
        sync::lock(&self.0).clear();
    }

    fn note(&self, queue: &QueueName, second: i64, changes: u64) {
        let mut known = sync::lock(&self.0);
        match known.get_mut(queue) {
            Some(known) => *known = ReadySecond { second, changes },
            None => {
                if known.len() >= KNOWN_QUEUES {
                    known.clear();
                }
                known.insert(queue.clone(), ReadySecond { second, changes });
            }
        }
    }
}

impl RedisBroker {
    /// How many jobs one call asks for where the caller wants `max`.
    fn most(&self, max: usize) -> usize {
        self.job_size.most(max.min(self.settings.max_batch))
    }
}

/// What one script call answered.
struct Reserved {
    jobs: Vec<Reservation>,
    /// The second in which this happened.
    second: i64,
    clock: ServerClock,
    /// The handover that the script named.
    handover: Vec<u8>,
    /// All that is due in this second is ready.
    all_due_ready: bool,
    /// There were fewer than asked for.
    is_short: bool,
}

/// Reserves jobs of the first of `queues` that has any.
pub fn reserve(broker: &RedisBroker, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
    if queues.is_empty() || max == 0 {
        return Ok(Vec::new());
    }
    let until = Instant::now() + wait.min(LONGEST_WAIT);
    let mut waiter = Waiter::new(broker, queues);
    let may_wait = !wait.is_zero();
    if !may_wait {
        // Who does not wait is given what is due now, whoever stored it, and leaves the store as think-queue's pop does (`redis/pop-delayed-due`).
        broker.ready_seconds.forget();
    }
    let mut start = if may_wait { broker.wait.start(queues) } else { ReserveStart::Look(None) };
    loop {
        let changes = broker.wait.changes();
        let look = match start {
            ReserveStart::Wait(look) => look,
            ReserveStart::Look(role) => {
                let reserved = reserve_now(broker, queues, max, may_wait, role)?;
                let look = EmptyLook { clock: reserved.clock, changes };
                note_look(broker, queues, &reserved, role, may_wait.then_some(look));
                if !reserved.jobs.is_empty() {
                    broker.family_check.settle();
                    return Ok(reserved.jobs);
                }
                broker.check_family(queues)?;
                look
            }
        };
        if Instant::now() >= until {
            if may_wait {
                broker.wait.note_emptied(queues, look);
            }
            return Ok(Vec::new());
        }
        waiter.pause(look, until);
        start = broker.wait.start(queues);
    }
}

/// Tells the wait what was found. `look` where the next call may wait.
fn note_look(broker: &RedisBroker, queues: &[QueueName], reserved: &Reserved, role: Option<WaitRole>, look: Option<EmptyLook>) {
    if role.is_some() {
        broker.wait.note_look(queues, &LookResult { jobs: !reserved.jobs.is_empty(), handover: &reserved.handover });
    }
    // Whoever got fewer jobs than asked for need not look once more before waiting: a wait for a list with jobs ends at once.
    if let Some(look) = look.filter(|_| reserved.is_short && !reserved.jobs.is_empty() && queues.len() == 1) {
        broker.wait.note_emptied(queues, look);
    }
}

/// Reserves from the first queue that has any. Never waits.
///
/// The first queue is simply tried. Of many others it is asked in a few writes which of them have something due, so that a worker
/// of thousands of queues does not need a round trip for each; and what was found out serves for a whole batch.
fn reserve_now(
    broker: &RedisBroker,
    queues: &[QueueName],
    max: usize,
    may_rest: bool,
    role: Option<WaitRole>,
) -> Result<Reserved> {
    let reserved = reserve_from(broker, &queues[0], max, role)?;
    let others = &queues[1..];
    if others.len() <= FEW_QUEUES {
        return reserve_first(broker, others, max, reserved);
    }
    if !reserved.jobs.is_empty() || (may_rest && broker.probe_rest.is_resting()) {
        return Ok(reserved);
    }
    let begun = Instant::now();
    let reserved = reserve_probed(broker, others, max, reserved)?;
    if reserved.jobs.is_empty() {
        broker.probe_rest.begin(begun.elapsed());
    }
    Ok(reserved)
}

/// `reserved`, or what the first of `queues` that has any gives.
fn reserve_first(broker: &RedisBroker, queues: &[QueueName], max: usize, mut reserved: Reserved) -> Result<Reserved> {
    for queue in queues {
        if !reserved.jobs.is_empty() {
            break;
        }
        reserved = reserve_from(broker, queue, max, None)?;
    }
    Ok(reserved)
}

/// A batch from those of `queues` that have any, in their order.
fn reserve_probed(broker: &RedisBroker, queues: &[QueueName], max: usize, mut reserved: Reserved) -> Result<Reserved> {
    for queues in queues.chunks(PROBED_QUEUES) {
        for queue in probe(broker, queues, reserved.second)? {
            let next = match reserve_from(broker, queue, max - reserved.jobs.len(), None) {
                Ok(next) => next,
                // What was taken before is ours; the next call meets the same error.
                Err(_) if !reserved.jobs.is_empty() => return Ok(reserved),
                Err(error) => return Err(error),
            };
            let stands_alone = next.jobs.iter().any(stands_alone);
            if stands_alone && !reserved.jobs.is_empty() {
                give_back(broker, next.jobs);
                return Ok(reserved);
            }
            reserved.jobs.extend(next.jobs);
            (reserved.second, reserved.clock) = (next.second, next.clock);
            if stands_alone || reserved.jobs.len() >= max {
                return Ok(reserved);
            }
        }
        if !reserved.jobs.is_empty() {
            break;
        }
    }
    Ok(reserved)
}

fn stands_alone(job: &Reservation) -> bool {
    job.attempts.is_none_or(|attempts| batch::stands_alone(attempts.saturating_sub(1), &job.body))
}

/// A job that was tried before is held beside no other: it goes back, and comes in its turn. When that fails it comes back by its lease.
fn give_back(broker: &RedisBroker, jobs: Vec<Reservation>) {
    let batch: Vec<Settle> = jobs.into_iter().map(|job| Settle { claim: job.claim, settlement: Settlement::GiveBack }).collect();
    let _ = broker.settle(&batch);
}

/// Those of `queues` that have a job that is ready, or due in this second of the server. Most have no key at all: that is one command each.
fn probe<'a>(broker: &RedisBroker, queues: &'a [QueueName], second: i64) -> Result<Vec<&'a QueueName>> {
    let exists = |queue: &QueueName| {
        let keys = broker.keys(queue);
        cmd("EXISTS").arg(&keys.ready).arg(&keys.delayed).arg(&keys.reserved).clone()
    };
    let counts = broker.reserve.read(&queues.iter().map(exists).collect::<Vec<Cmd>>())?;
    let used: Vec<&QueueName> =
        queues.iter().zip(&counts).filter(|(_, count)| **count != Value::Int(0)).map(|(queue, _)| queue).collect();
    if used.is_empty() {
        return Ok(used);
    }
    let commands: Vec<Cmd> = used
        .iter()
        .flat_map(|queue| {
            let keys = broker.keys(queue);
            let due = |key: &str| cmd("ZCOUNT").arg(key).arg("-inf").arg(second).clone();
            [cmd("LLEN").arg(&keys.ready).clone(), due(&keys.delayed), due(&keys.reserved)]
        })
        .collect();
    let counts = broker.reserve.read(&commands)?;
    let has_any = |counts: &[Value]| counts.iter().any(|count| *count != Value::Int(0));
    Ok(used.into_iter().zip(counts.chunks(3)).filter(|(_, counts)| has_any(counts)).map(|(queue, _)| queue).collect())
}

fn reserve_from(broker: &RedisBroker, queue: &QueueName, max: usize, role: Option<WaitRole>) -> Result<Reserved> {
    let keys = broker.keys(queue);
    let most = broker.most(max);
    let changes = broker.wait.changes();
    let mut call = call(broker, &keys, most, broker.ready_seconds.of(queue, changes));
    let handover = HandoverKeys::of(&keys.ready);
    if let Some(role) = role {
        call.keys.extend([handover.list.as_str(), &handover.last]);
        call.args.push(Cow::Borrowed(role.name()));
    }
    let begun = Instant::now();
    let mut values = script::run(&broker.reserve, vec![call], Effect::Once, IN_DOUBT)?;
    let trip = begun.elapsed();
    let reserved = values.pop().and_then(|answer| read_answer(broker, queue, answer, trip));
    let reserved = reserved.ok_or_else(|| broker.unexpected_answer())?;
    note_due(broker, queue, &reserved, changes);
    Ok(Reserved { is_short: reserved.jobs.len() < most, ..reserved })
}

/// Remembers in which second all was ready. `changes`: [`crate::wait::WaitLinks::changes`] before the call.
fn note_due(broker: &RedisBroker, queue: &QueueName, reserved: &Reserved, changes: u64) {
    // A fixed time does not say when it ends.
    if reserved.all_due_ready && broker.settings.now.is_none() {
        broker.ready_seconds.note(queue, reserved.second, changes);
    }
}

/// `known`: the second of which all that was due is ready.
fn call<'a>(broker: &RedisBroker, keys: &'a RedisKeys, most: usize, known: Option<i64>) -> Call<'a> {
    let rise: &[u8] = match broker.settings.family.counting() {
        Counting::AtReserve => b"reserve",
        Counting::AtReturn => b"return",
    };
    let max = Cow::Owned(most.to_string().into_bytes());
    let tries_key = format!("\"{}\"", broker.settings.family.tries_key()).into_bytes();
    let (end, tries_key) = (broker.next_job_argument(), Cow::Owned(tries_key));
    let known = number_or_empty(known);
    let args = vec![broker.now_argument(), broker.retry_after_argument(), max, Cow::Borrowed(rise), end, tries_key, known];
    Call { script: &script::RESERVE, keys: vec![&keys.ready, &keys.delayed, &keys.reserved], args }
}

/// A reserve call whose answer nobody waits for yet. It has the connection for itself.
struct SentReserve {
    broker: Arc<RedisBroker>,
    queue: QueueName,
    socket: RedisSocket,
    sent: Instant,
    /// [`crate::wait::WaitLinks::changes`] before it was sent.
    changes: u64,
}

/// Sends a reserve call without waiting for its answer.
pub fn reserve_ahead(broker: Arc<RedisBroker>, queue: &QueueName, max: usize) -> Option<Box<dyn PendingReserve>> {
    let keys = broker.keys(queue);
    let changes = broker.wait.changes();
    let mut call = call(&broker, &keys, broker.most(max), broker.ready_seconds.of(queue, changes));
    call.args.push(Cow::Borrowed(b"ahead"));
    let sent = Instant::now();
    let socket = broker.reserve.send(&call.packed())?;
    Some(Box::new(SentReserve { broker, queue: queue.clone(), socket, sent, changes }))
}

impl PendingReserve for SentReserve {
    fn receive(self: Box<Self>) -> Result<Vec<Reservation>> {
        let Self { broker, queue, socket, sent, changes } = *self;
        // Whoever waits for it renews leases too.
        let limit = broker.settings.retry_after.map_or(Duration::MAX, |seconds| Duration::from_secs(u64::from(seconds)) / 3);
        match broker.reserve.receive(socket, limit, IN_DOUBT)? {
            // A server that forgot the script, or that refuses us.
            Value::ServerError(_) => Ok(Vec::new()),
            answer => {
                let reserved = read_answer(&broker, &queue, answer, sent.elapsed()).ok_or_else(|| broker.unexpected_answer())?;
                note_due(&broker, &queue, &reserved, changes);
                Ok(reserved.jobs)
            }
        }
    }
}

fn read_answer(broker: &RedisBroker, queue: &QueueName, answer: Value, trip: Duration) -> Option<Reserved> {
    let Value::Array(fields) = answer else { return None };
    let mut fields = fields.into_iter();
    let seconds = integer(fields.next()?)?;
    let microseconds = integer(fields.next()?)?;
    let handover = match fields.next() {
        Some(Value::BulkString(handover)) => handover,
        Some(_) => return None,
        None => Vec::new(),
    };
    let all_due_ready = fields.next().and_then(integer) == Some(1);
    let clock = ServerClock::read(seconds, microseconds);
    if broker.settings.now.is_none() {
        broker.clock_skew.check(&broker.config.address, seconds, microseconds, trip);
    }
    let reserved_at = broker.settings.now.unwrap_or(seconds);
    let jobs = read_jobs(fields, |body, offset, attempts| {
        let raised = match broker.settings.family.counting() {
            Counting::AtReserve => offset.map(|offset| (offset, attempts)),
            Counting::AtReturn => None,
        };
        let claim = Claim { queue: queue.clone(), receipt: receipt(&body, raised)? };
        // The attempts in the reserved member are what the handler sees, in every family.
        Some(Reservation { claim, body, attempts: offset.map(|_| attempts), number: None, reserved_at })
    })?;
    broker.job_size.note(jobs.iter().map(|job| job.body.len()));
    Some(Reserved { jobs, second: reserved_at, clock, handover, all_due_ready, is_short: false })
}

/// The jobs of an answer: three fields each, or one list of bodies whose attempts were 0 and stand at the very end.
fn read_jobs(
    mut fields: impl ExactSizeIterator<Item = Value>,
    reservation: impl Fn(Vec<u8>, Option<usize>, u32) -> Option<Reservation>,
) -> Option<Vec<Reservation>> {
    let mut jobs = Vec::with_capacity(fields.len() / 3);
    while let Some(field) = fields.next() {
        match field {
            Value::Array(_) => {
                let fresh = |body: Vec<u8>| body.len().checked_sub(2).and_then(|offset| reservation(body, Some(offset), 1));
                return bulks(field)?.into_iter().map(fresh).collect();
            }
            Value::BulkString(body) => {
                let offset = usize::try_from(integer(fields.next()?)?).ok();
                jobs.push(reservation(body, offset, u32::try_from(integer(fields.next()?)?).ok()?)?);
            }
            _ => return None,
        }
    }
    Some(jobs)
}
