//! Taking jobs: one script call a queue, and waiting in between without taking.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use ferry_core::dialect::Counting;
use ferry_core::job::{Claim, Reservation};
use ferry_core::{Error, ErrorKind, QueueName, Result};
use redis::Value;

use crate::RedisBroker;
use crate::link::Effect;
use crate::receipt::receipt;
use crate::script::{self, Call};
use crate::wait::{ServerClock, Waiter};

const LONGEST_WAIT: Duration = Duration::from_secs(1);
const IN_DOUBT: &str = "jobs may have been reserved; they come back after `retry_after`";

/// What one look at the queues gave.
struct Looked {
    jobs: Vec<Reservation>,
    clock: ServerClock,
}

impl RedisBroker {
    pub(crate) fn take(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
        if queues.is_empty() || max == 0 {
            return Ok(Vec::new());
        }
        let until = Instant::now() + wait.min(LONGEST_WAIT);
        let mut waiter = Waiter::new(self, queues);
        loop {
            let looked = self.look(queues, max)?;
            if !looked.jobs.is_empty() {
                self.guess.settle();
                return Ok(looked.jobs);
            }
            self.doubt_family(queues)?;
            if Instant::now() >= until {
                return Ok(Vec::new());
            }
            waiter.pause(&looked.clock, until);
        }
    }

    /// Takes from the first queue that has any. Never waits.
    fn look(&self, queues: &[QueueName], max: usize) -> Result<Looked> {
        let mut looked = self.take_from(&queues[0], max)?;
        for queue in &queues[1..] {
            if !looked.jobs.is_empty() {
                break;
            }
            looked = self.take_from(queue, max)?;
        }
        Ok(looked)
    }

    fn take_from(&self, queue: &QueueName, max: usize) -> Result<Looked> {
        let keys = self.keys(queue);
        let max = max.min(self.settings.max_batch);
        let rise: &[u8] = match self.settings.family.counting() {
            Counting::AtReserve => b"reserve",
            Counting::AtReturn => b"return",
        };
        let max = Cow::Owned(max.to_string().into_bytes());
        let args = vec![self.now_argument(), self.retry_after_argument(), max, Cow::Borrowed(rise)];
        let call = Call { script: &script::RESERVE, keys: vec![&keys.ready, &keys.delayed, &keys.reserved], args };
        let mut values = script::run(&self.take, &self.config, &[call], Effect::Once, IN_DOUBT)?;
        values.pop().and_then(|answer| self.read_answer(queue, answer)).ok_or_else(|| self.odd_answer())
    }

    fn read_answer(&self, queue: &QueueName, answer: Value) -> Option<Looked> {
        let Value::Array(fields) = answer else { return None };
        let mut fields = fields.into_iter();
        let seconds = integer(fields.next()?)?;
        let clock = ServerClock::read(integer(fields.next()?)?);
        let reserved_at = self.settings.now.unwrap_or(seconds);
        let mut jobs = Vec::with_capacity(fields.len() / 3);
        while let Some(body) = fields.next() {
            let Value::BulkString(body) = body else { return None };
            let offset = usize::try_from(integer(fields.next()?)?).ok();
            let attempts = u32::try_from(integer(fields.next()?)?).ok()?;
            let raised = match self.settings.family.counting() {
                Counting::AtReserve => offset.map(|offset| (offset, attempts)),
                Counting::AtReturn => None,
            };
            let claim = Claim { queue: queue.clone(), receipt: receipt(&body, raised)? };
            // What the member says is what the handler sees, in every family.
            jobs.push(Reservation { claim, body, attempts: offset.map(|_| attempts), number: None, reserved_at });
        }
        Some(Looked { jobs, clock })
    }

    pub(crate) fn odd_answer(&self) -> Error {
        Error::new(ErrorKind::Refused, format!("Redis at {} gave an answer that its script cannot give", self.config.address))
            .with_advice("is there a proxy in between that changes answers?")
    }
}

fn integer(value: Value) -> Option<i64> {
    if let Value::Int(number) = value { Some(number) } else { None }
}
