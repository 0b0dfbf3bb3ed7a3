//! `Broker::reserve`: one script call a queue, and waiting in between without reserving.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use ferry_core::dialect::Counting;
use ferry_core::job::{Claim, Reservation};
use ferry_core::{QueueName, Result};
use redis::{Cmd, Value, cmd};

use crate::RedisBroker;
use crate::link::Effect;
use crate::receipt::receipt;
use crate::reply::integer;
use crate::script::{self, Call};
use crate::wait::{ServerClock, Waiter};

const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// So many queues behind the first are tried one by one.
const FEW_QUEUES: usize = 3;
/// So many are asked in one write whether they have something.
const PROBED_QUEUES: usize = 500;
const IN_DOUBT: &str = "jobs may have been reserved; they come back after `retry_after`";

/// What one script call answered.
struct Reserved {
    jobs: Vec<Reservation>,
    /// The second in which this happened.
    second: i64,
    clock: ServerClock,
    /// How long it took to ask many queues whether they have something.
    probing: Duration,
}

/// Reserves jobs of the first of `queues` that has any.
pub fn reserve(broker: &RedisBroker, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
    if queues.is_empty() || max == 0 {
        return Ok(Vec::new());
    }
    let until = Instant::now() + wait.min(LONGEST_WAIT);
    let mut waiter = Waiter::new(broker, queues);
    loop {
        let reserved = reserve_now(broker, queues, max)?;
        if !reserved.jobs.is_empty() {
            broker.family_check.settle();
            return Ok(reserved.jobs);
        }
        broker.check_family(queues)?;
        if Instant::now() >= until {
            return Ok(Vec::new());
        }
        waiter.pause(&reserved.clock, reserved.probing, until);
    }
}

/// Reserves from the first queue that has any. Never waits.
///
/// The first queue is simply tried. Of many others it is asked in a few writes which of them have something due, so that a worker
/// of thousands of queues does not need a round trip for each.
fn reserve_now(broker: &RedisBroker, queues: &[QueueName], max: usize) -> Result<Reserved> {
    let mut reserved = reserve_from(broker, &queues[0], max)?;
    let others = &queues[1..];
    if others.len() <= FEW_QUEUES {
        return reserve_first(broker, others, max, reserved);
    }
    let begun = Instant::now();
    for queues in others.chunks(PROBED_QUEUES) {
        if !reserved.jobs.is_empty() {
            break;
        }
        let due = probe(broker, queues, reserved.second)?;
        reserved = reserve_first(broker, due, max, reserved)?;
    }
    Ok(Reserved { probing: begun.elapsed(), ..reserved })
}

/// `reserved`, or what the first of `queues` that has any gives.
fn reserve_first<'a>(
    broker: &RedisBroker,
    queues: impl IntoIterator<Item = &'a QueueName>,
    max: usize,
    mut reserved: Reserved,
) -> Result<Reserved> {
    for queue in queues {
        if !reserved.jobs.is_empty() {
            break;
        }
        reserved = reserve_from(broker, queue, max)?;
    }
    Ok(reserved)
}

/// Those of `queues` that have a job that is ready, or due in this second of the server.
fn probe<'a>(broker: &RedisBroker, queues: &'a [QueueName], second: i64) -> Result<Vec<&'a QueueName>> {
    let commands: Vec<Cmd> = queues
        .iter()
        .flat_map(|queue| {
            let keys = broker.keys(queue);
            let due = |key: &str| cmd("ZCOUNT").arg(key).arg("-inf").arg(second).clone();
            [cmd("LLEN").arg(&keys.ready).clone(), due(&keys.delayed), due(&keys.reserved)]
        })
        .collect();
    let counts = broker.reserve.read(&commands)?;
    let has_any = |counts: &[Value]| counts.iter().any(|count| *count != Value::Int(0));
    Ok(queues.iter().zip(counts.chunks(3)).filter(|(_, counts)| has_any(counts)).map(|(queue, _)| queue).collect())
}

fn reserve_from(broker: &RedisBroker, queue: &QueueName, max: usize) -> Result<Reserved> {
    let keys = broker.keys(queue);
    let max = max.min(broker.settings.max_batch);
    let rise: &[u8] = match broker.settings.family.counting() {
        Counting::AtReserve => b"reserve",
        Counting::AtReturn => b"return",
    };
    let max = Cow::Owned(max.to_string().into_bytes());
    let tries_key = format!("\"{}\"", broker.settings.family.tries_key()).into_bytes();
    let (end, tries_key) = (broker.next_job_argument(), Cow::Owned(tries_key));
    let args = vec![broker.now_argument(), broker.retry_after_argument(), max, Cow::Borrowed(rise), end, tries_key];
    let call = Call { script: &script::RESERVE, keys: vec![&keys.ready, &keys.delayed, &keys.reserved], args };
    let begun = Instant::now();
    let mut values = script::run(&broker.reserve, vec![call], Effect::Once, IN_DOUBT)?;
    let trip = begun.elapsed();
    values.pop().and_then(|answer| read_answer(broker, queue, answer, trip)).ok_or_else(|| broker.unexpected_answer())
}

fn read_answer(broker: &RedisBroker, queue: &QueueName, answer: Value, trip: Duration) -> Option<Reserved> {
    let Value::Array(fields) = answer else { return None };
    let mut fields = fields.into_iter();
    let seconds = integer(fields.next()?)?;
    let microseconds = integer(fields.next()?)?;
    let clock = ServerClock::read(microseconds);
    if broker.settings.now.is_none() {
        broker.clock_skew.check(&broker.config.address, seconds, microseconds, trip);
    }
    let reserved_at = broker.settings.now.unwrap_or(seconds);
    let mut jobs = Vec::with_capacity(fields.len() / 3);
    while let Some(body) = fields.next() {
        let Value::BulkString(body) = body else { return None };
        let offset = usize::try_from(integer(fields.next()?)?).ok();
        let attempts = u32::try_from(integer(fields.next()?)?).ok()?;
        let raised = match broker.settings.family.counting() {
            Counting::AtReserve => offset.map(|offset| (offset, attempts)),
            Counting::AtReturn => None,
        };
        let claim = Claim { queue: queue.clone(), receipt: receipt(&body, raised)? };
        // The attempts in the reserved member are what the handler sees, in every family.
        jobs.push(Reservation { claim, body, attempts: offset.map(|_| attempts), number: None, reserved_at });
    }
    Some(Reserved { jobs, second: reserved_at, clock, probing: Duration::ZERO })
}
