//! `WorkerControl`: flags and reports of the workers, under `{ferry}:*`: one slot, and no key that think-queue reads.

use std::borrow::Cow;
use std::collections::HashMap;

use ferry_core::control::{ControlCommand, FleetFlags, GONE_AFTER, WorkerControl, WorkerReport};
use ferry_core::{QueueName, Result};
use redis::{Cmd, Value, cmd};

use crate::RedisBroker;
use crate::link::{Effect, RedisRequest};
use crate::reply::{bulks, number, pairs, text};
use crate::script::{self, Call};

/// Hash: `restart` and `stop` are counters, `paused:<queue>` is the second since when.
const FLAGS: &str = "{ferry}:flags";
/// Sorted set: the id of a worker, by the second of its last report.
const WORKERS: &str = "{ferry}:workers";
/// Hash: the report of each worker, by its id.
const REPORTS: &str = "{ferry}:reports";

const IN_DOUBT: &str = "the flag may or may not be set; check with `flags`";

impl WorkerControl for RedisBroker {
    fn flags(&self) -> Result<FleetFlags> {
        let pairs = self.settle.read(&[cmd("HGETALL").arg(FLAGS).clone()])?.pop().and_then(pairs);
        let pairs = pairs.ok_or_else(|| self.unexpected_answer())?;
        Ok(FleetFlags::from_pairs(pairs.into_iter().map(|(name, value)| (text(name), number(&value)))))
    }

    fn pause(&self, queue: &QueueName) -> Result<()> {
        let now = self.settings.now.map_or_else(|| self.server_second(), Ok)?;
        self.change(cmd("HSETNX").arg(FLAGS).arg(FleetFlags::name_of_pause(queue)).arg(now), Effect::Repeatable)
    }

    fn resume(&self, queue: &QueueName) -> Result<()> {
        self.change(cmd("HDEL").arg(FLAGS).arg(FleetFlags::name_of_pause(queue)), Effect::Repeatable)
    }

    fn command(&self, command: ControlCommand) -> Result<()> {
        // Counted twice it is still one command: each worker compares with what it saw when it started.
        self.change(cmd("HINCRBY").arg(FLAGS).arg(command.name()).arg(1), Effect::Repeatable)
    }

    fn report(&self, report: &WorkerReport) -> Result<()> {
        let args: Vec<Cow<'_, [u8]>> = vec![
            self.now_argument(),
            GONE_AFTER.to_string().into_bytes().into(),
            report.id.as_bytes().into(),
            report.to_json().into_bytes().into(),
        ];
        let call = Call { script: &script::REPORT, keys: vec![WORKERS, REPORTS], args };
        script::run(&self.settle, vec![call], Effect::Repeatable, "").map(|_| ())
    }

    fn deregister(&self, id: &str) -> Result<()> {
        self.change(cmd("ZREM").arg(WORKERS).arg(id), Effect::Repeatable)?;
        self.change(cmd("HDEL").arg(REPORTS).arg(id), Effect::Repeatable)
    }

    fn workers(&self) -> Result<Vec<WorkerReport>> {
        let since = self.settings.now.map_or_else(|| self.server_second(), Ok)? - GONE_AFTER;
        let seen = cmd("ZRANGEBYSCORE").arg(WORKERS).arg(format!("({since}")).arg("+inf").arg("WITHSCORES").clone();
        let answers = <[Value; 2]>::try_from(self.settle.read(&[seen, cmd("HGETALL").arg(REPORTS).clone()])?);
        let Ok([seen, reports]) = answers else { return Err(self.unexpected_answer()) };
        let (seen, reports) = pairs(seen).zip(pairs(reports)).ok_or_else(|| self.unexpected_answer())?;
        let reports: HashMap<Vec<u8>, Vec<u8>> = reports.into_iter().collect();
        let read = |(id, second): (Vec<u8>, Vec<u8>)| WorkerReport::from_json(reports.get(&id)?, number(&second));
        let mut workers: Vec<WorkerReport> = seen.into_iter().filter_map(read).collect();
        workers.sort_by_key(|report| report.started);
        Ok(workers)
    }
}

impl RedisBroker {
    fn change(&self, command: &Cmd, effect: Effect) -> Result<()> {
        let request = RedisRequest { bytes: &command.get_packed_command(), replies: 1, effect, doubt: IN_DOUBT };
        self.settle.query(&request).map(drop)
    }

    /// The clock of the server, in whole seconds.
    pub(crate) fn server_second(&self) -> Result<i64> {
        let time = self.settle.read(&[cmd("TIME")])?.pop().and_then(bulks);
        time.and_then(|time| time.first().map(|second| number(second))).ok_or_else(|| self.unexpected_answer())
    }
}
