//! Counting, looking and clearing: words for operators and monitoring.

use ferry_core::broker::{Sizes, State};
use ferry_core::{QueueName, Result};
use redis::{Cmd, Value, cmd};

use crate::RedisBroker;
use crate::link::{Effect, RedisRequest, accepted};
use crate::script::{self, Call};

impl RedisBroker {
    pub(crate) fn count(&self, queue: &QueueName) -> Result<Sizes> {
        let keys = self.keys(queue);
        let commands = [
            cmd("LLEN").arg(&keys.ready).clone(),
            cmd("ZCARD").arg(&keys.delayed).clone(),
            cmd("ZCARD").arg(&keys.reserved).clone(),
            cmd("LLEN").arg(&keys.failed).clone(),
        ];
        let counts: Option<Vec<u64>> = self.read(&commands)?.into_iter().map(whole).collect();
        match counts.as_deref() {
            Some(&[ready, delayed, reserved, failed]) => Ok(Sizes { ready, delayed, reserved, failed }),
            _ => Err(self.odd_answer()),
        }
    }

    pub(crate) fn peek_page(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>> {
        let keys = self.keys(queue);
        match state {
            State::Ready => self.page("LRANGE", &keys.ready, offset, limit),
            State::Delayed => self.page("ZRANGE", &keys.delayed, offset, limit),
            State::Reserved => self.page("ZRANGE", &keys.reserved, offset, limit),
        }
    }

    pub(crate) fn remove_all(&self, queue: &QueueName) -> Result<u64> {
        let keys = self.keys(queue);
        let call = Call { script: &script::CLEAR, keys: vec![&keys.ready, &keys.delayed, &keys.reserved], args: Vec::new() };
        let doubt = "the queue may or may not be cleared";
        let mut values = script::run(&self.settle, &self.config, &[call], Effect::Once, doubt)?;
        values.pop().and_then(whole).ok_or_else(|| self.odd_answer())
    }

    /// `LRANGE` and `ZRANGE` count alike: first and last index, both included.
    fn page(&self, range: &str, key: &str, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let last = i64::try_from(offset.saturating_add(limit - 1)).unwrap_or(i64::MAX);
        let first = i64::try_from(offset).unwrap_or(i64::MAX);
        let mut values = self.read(&[cmd(range).arg(key).arg(first).arg(last).clone()])?;
        values.pop().and_then(bulks).ok_or_else(|| self.odd_answer())
    }

    /// Reads share the settle link: `take` may be busy with a batch, and `push` is kept quick.
    pub(crate) fn read(&self, commands: &[Cmd]) -> Result<Vec<Value>> {
        let bytes: Vec<u8> = commands.iter().flat_map(Cmd::get_packed_command).collect();
        let request = RedisRequest { bytes: &bytes, replies: commands.len(), effect: Effect::Reads, doubt: "" };
        accepted(self.settle.exchange(&self.config, &request)?, &self.config)
    }
}

/// The byte strings of a list.
pub(crate) fn bulks(value: Value) -> Option<Vec<Vec<u8>>> {
    let Value::Array(items) = value else { return None };
    items.into_iter().map(|item| if let Value::BulkString(bytes) = item { Some(bytes) } else { None }).collect()
}

pub(crate) fn whole(value: Value) -> Option<u64> {
    if let Value::Int(number) = value { u64::try_from(number).ok() } else { None }
}
