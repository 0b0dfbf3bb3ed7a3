//! `Admin`: failed jobs, peeking, clearing, facts. Also `Broker::size`.

use ferry_core::broker::{Admin, Fact, Sizes, State};
use ferry_core::dialect::ListEnd;
use ferry_core::failed::{FailedJob, Failure, Filter};
use ferry_core::{QueueName, Result};
use redis::cmd;

use crate::link::Effect;
use crate::reply::{bulks, count};
use crate::script::{self, Call};
use crate::{RedisBroker, facts, failed, wrong_type};

impl Admin for RedisBroker {
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        failed::failed(self, queue, offset, limit).map_err(|error| wrong_type::named(self, &[queue], error))
    }

    fn failed_job(&self, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
        failed::failed_job(self, queue, id).map_err(|error| wrong_type::named(self, &[queue], error))
    }

    fn retry(&self, queue: &QueueName, which: &Filter, before: &mut dyn FnMut(&[FailedJob])) -> Result<u64> {
        failed::retry(self, queue, which, before).map_err(|error| wrong_type::named(self, &[queue], error))
    }

    fn forget(&self, queue: &QueueName, which: &Filter) -> Result<u64> {
        failed::forget(self, queue, which).map_err(|error| wrong_type::named(self, &[queue], error))
    }

    fn add_failed(&self, queue: &QueueName, failure: &Failure) -> Result<()> {
        failed::add_failed(self, queue, failure).map_err(|error| wrong_type::named(self, &[queue], error))
    }

    /// `LRANGE` and `ZRANGE` count alike: first and last index, both included. From the right the last index is -1.
    fn peek(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let keys = self.keys(queue);
        let (range, key) = match state {
            State::Ready => ("LRANGE", &keys.ready),
            State::Delayed => ("ZRANGE", &keys.delayed),
            State::Reserved => ("ZRANGE", &keys.reserved),
        };
        let last = i64::try_from(offset.saturating_add(limit - 1)).unwrap_or(i64::MAX);
        let first = i64::try_from(offset).unwrap_or(i64::MAX);
        let from_right = state == State::Ready && self.settings.family.next_job() == ListEnd::Right;
        let (from, to) = if from_right { (-1 - last.min(i64::MAX - 1), -1 - first.min(i64::MAX - 1)) } else { (first, last) };
        let read = self.settle.read(&[cmd(range).arg(key).arg(from).arg(to).clone()]);
        let mut values = read.map_err(|error| wrong_type::named(self, &[queue], error))?;
        let mut bodies = values.pop().and_then(bulks).ok_or_else(|| self.unexpected_answer())?;
        if from_right {
            bodies.reverse();
        }
        Ok(bodies)
    }

    fn clear(&self, queue: &QueueName) -> Result<u64> {
        let keys = self.keys(queue);
        let call = Call { script: &script::CLEAR, keys: vec![&keys.ready, &keys.delayed, &keys.reserved], args: Vec::new() };
        let doubt = "the queue may or may not be cleared";
        let cleared = script::run(&self.settle, vec![call], Effect::Once, doubt);
        let mut values = cleared.map_err(|error| wrong_type::named(self, &[queue], error))?;
        values.pop().and_then(count).ok_or_else(|| self.unexpected_answer())
    }

    fn facts(&self) -> Result<Vec<(&'static str, Fact)>> {
        facts::facts(self)
    }
}

/// Counts the jobs of a queue by state. Like all reads it shares the settle link: `reserve` may be busy with a batch, and `push`
/// is kept fast.
pub fn size(broker: &RedisBroker, queue: &QueueName) -> Result<Sizes> {
    let keys = broker.keys(queue);
    let commands = [
        cmd("LLEN").arg(&keys.ready).clone(),
        cmd("ZCARD").arg(&keys.delayed).clone(),
        cmd("ZCARD").arg(&keys.reserved).clone(),
        cmd("LLEN").arg(&keys.failed).clone(),
    ];
    let counts: Option<Vec<u64>> = broker.settle.read(&commands)?.into_iter().map(count).collect();
    match counts.as_deref() {
        Some(&[ready, delayed, reserved, failed]) => Ok(Sizes { ready, delayed, reserved, failed }),
        _ => Err(broker.unexpected_answer()),
    }
}
