//! `Broker::reserve`: one script call a queue, and waiting in between without reserving.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use ferry_core::dialect::Counting;
use ferry_core::job::{Claim, Reservation};
use ferry_core::{QueueName, Result};
use redis::Value;

use crate::RedisBroker;
use crate::link::Effect;
use crate::receipt::receipt;
use crate::reply::integer;
use crate::script::{self, Call};
use crate::wait::{ServerClock, Waiter};

const LONGEST_WAIT: Duration = Duration::from_secs(1);
const IN_DOUBT: &str = "jobs may have been reserved; they come back after `retry_after`";

/// What one script call answered.
struct Reserved {
    jobs: Vec<Reservation>,
    clock: ServerClock,
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
        waiter.pause(&reserved.clock, until);
    }
}

/// Reserves from the first queue that has any. Never waits.
fn reserve_now(broker: &RedisBroker, queues: &[QueueName], max: usize) -> Result<Reserved> {
    let mut reserved = reserve_from(broker, &queues[0], max)?;
    for queue in &queues[1..] {
        if !reserved.jobs.is_empty() {
            break;
        }
        reserved = reserve_from(broker, queue, max)?;
    }
    Ok(reserved)
}

fn reserve_from(broker: &RedisBroker, queue: &QueueName, max: usize) -> Result<Reserved> {
    let keys = broker.keys(queue);
    let max = max.min(broker.settings.max_batch);
    let rise: &[u8] = match broker.settings.family.counting() {
        Counting::AtReserve => b"reserve",
        Counting::AtReturn => b"return",
    };
    let max = Cow::Owned(max.to_string().into_bytes());
    let args = vec![broker.now_argument(), broker.retry_after_argument(), max, Cow::Borrowed(rise)];
    let call = Call { script: &script::RESERVE, keys: vec![&keys.ready, &keys.delayed, &keys.reserved], args };
    let mut values = script::run(&broker.reserve, &[call], Effect::Once, IN_DOUBT)?;
    values.pop().and_then(|answer| read_answer(broker, queue, answer)).ok_or_else(|| broker.unexpected_answer())
}

fn read_answer(broker: &RedisBroker, queue: &QueueName, answer: Value) -> Option<Reserved> {
    let Value::Array(fields) = answer else { return None };
    let mut fields = fields.into_iter();
    let seconds = integer(fields.next()?)?;
    let clock = ServerClock::read(integer(fields.next()?)?);
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
    Some(Reserved { jobs, clock })
}
