//! `StatusStore`: statuses of jobs, each a log under `{ferry}:status-log:*`: one slot, and no key that think-queue reads.
//!
//! An update is one `APPEND`, whatever is known: whoever reads the log decides which of them count (`ferry_core::status::log`). The logs have a
//! connection of their own, so that they delay neither a settlement nor a push.

use std::borrow::Cow;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ferry_core::broker::PushedWithStatus;
use ferry_core::status::log::{self, StatusLog};
use ferry_core::status::{Status, StatusChange, StatusUpdate};
use ferry_core::{NewJob, QueueName, Result, StatusStore};
use ferry_support::sync;
use redis::{Value, cmd};

use crate::RedisBroker;
use crate::link::{Effect, RedisLink, RedisRequest};
use crate::packing;
use crate::push;
use crate::reply::{bulks, count, number};
use crate::script::{self, Call, Operation};

const IN_DOUBT: &str = "the statuses may or may not be written";

/// The most updates in one write.
const WRITE_UPDATES: usize = 500;
/// A log is replaced by its summary each time that it grows past a multiple of so many bytes: a handler may report its progress a million times.
const SUMMARY_BYTES: u64 = 16 * 1024;

/// A write carries `TIME` when the last one was answered so long ago.
const CLOCK_FRESH: Duration = Duration::from_secs(1);
/// Before a write, `TIME` is asked for when the last one was answered so long ago.
const CLOCK_USABLE: Duration = Duration::from_secs(60);

/// The server's clock, as it was answered last and as this machine's monotonic clock has gone on since.
#[derive(Default)]
pub struct StatusClock(Mutex<Option<ClockReading>>);

#[derive(Clone, Copy)]
struct ClockReading {
    milliseconds: i64,
    at: Instant,
}

impl StatusClock {
    /// Notes the answer of a `TIME` that came just now.
    fn note(&self, time: Value) {
        let parts = bulks(time).unwrap_or_default();
        if let [seconds, microseconds] = &parts[..] {
            let milliseconds = number(seconds).saturating_mul(1000).saturating_add(number(microseconds) / 1000);
            *sync::lock(&self.0) = Some(ClockReading { milliseconds, at: Instant::now() });
        }
    }

    /// The present, if the clock was read within `age`.
    fn now(&self, age: Duration) -> Option<i64> {
        let reading = (*sync::lock(&self.0))?;
        let gone = reading.at.elapsed();
        (gone < age).then(|| reading.milliseconds.saturating_add(i64::try_from(gone.as_millis()).unwrap_or(i64::MAX)))
    }
}

fn status_key(id: &str) -> String {
    format!("{{ferry}}:status-log:{id}")
}

impl StatusStore for RedisBroker {
    fn update(&self, updates: &[StatusUpdate]) -> Result<()> {
        let (taken_back, others): (Vec<_>, Vec<_>) = updates.iter().partition(|update| update.change == StatusChange::TakenBack);
        others.chunks(WRITE_UPDATES).try_for_each(|chunk| self.append_updates(chunk))?;
        taken_back.chunks(WRITE_UPDATES).try_for_each(|chunk| self.shorten(chunk))
    }

    fn update_and_push(&self, updates: &[StatusUpdate], queue: &QueueName, jobs: &[NewJob<'_>]) -> Option<PushedWithStatus> {
        let are_new = updates.len() == jobs.len() && updates.iter().all(|update| update.change == StatusChange::Queued);
        are_new.then(|| push::push_with_status(self, updates, queue, jobs))
    }

    fn find(&self, id: &str) -> Result<Option<Status>> {
        let now = self.status_now(&self.status)?;
        let log = self.status_logs(&[status_key(id)])?.pop().flatten();
        let log = log.map(|log| StatusLog::read(&log)).filter(|log| log.expires() > now);
        Ok(log.and_then(|log| log.status(id)))
    }
}

impl RedisBroker {
    fn append_updates(&self, updates: &[&StatusUpdate]) -> Result<()> {
        let now = self.status_now(&self.status)?;
        let mut commands = Vec::with_capacity(updates.len() * 384);
        let mut line = Vec::with_capacity(256);
        let mut lines = Vec::with_capacity(updates.len());
        for update in updates {
            line.clear();
            log::append(update, now, &mut line);
            lines.push(line.len() as u64);
            let (key, ttl) = (status_key(&update.id), milliseconds(update.ttl));
            packing::command(&mut commands, &[b"APPEND", key.as_bytes(), &line]);
            packing::command(&mut commands, &[b"PEXPIRE", key.as_bytes(), ttl.as_bytes()]);
        }
        packing::command(&mut commands, &[b"TIME"]);
        let replies = 2 * updates.len() + 1;
        let request = RedisRequest { bytes: &commands, replies, effect: Effect::Repeatable, doubt: IN_DOUBT };
        let mut answers = self.status.query(&request)?;
        self.status_clock.note(answers.pop().unwrap_or(Value::Nil));
        let lengths = answers.into_iter().step_by(2).map(|length| count(length).unwrap_or_default());
        let grown = updates.iter().zip(lengths.zip(lines)).filter(|(_, (length, line))| has_grown(*length, *line));
        let grown: Vec<&StatusUpdate> = grown.map(|(update, _)| *update).collect();
        if grown.is_empty() { Ok(()) } else { self.shorten(&grown) }
    }

    /// Replaces the logs of these updates by their summaries, and removes those of jobs that were taken back. One that somebody appended to meanwhile
    /// stays as it is.
    fn shorten(&self, updates: &[&StatusUpdate]) -> Result<()> {
        let keys: Vec<String> = updates.iter().map(|update| status_key(&update.id)).collect();
        let logs = self.status_logs(&keys)?;
        let mut calls = Vec::with_capacity(keys.len());
        for ((update, key), log) in updates.iter().zip(&keys).zip(logs) {
            let Some(log) = log else { continue };
            let known = StatusLog::read(&log);
            let is_taken_back = update.change == StatusChange::TakenBack;
            if is_taken_back && !known.admits(update) {
                continue;
            }
            let summary = if is_taken_back { Vec::new() } else { known.summary() };
            let args = [log, summary, milliseconds(update.ttl).into_bytes()].map(Cow::Owned).into();
            calls.push(Call { script: &script::SUMMARIZE, keys: vec![key], args });
        }
        script::run(&self.status, calls, Effect::Repeatable, IN_DOUBT).map(drop)
    }

    /// The logs under these keys; `None` where there is none.
    fn status_logs(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        let commands: Vec<_> = keys.iter().map(|key| cmd("GET").arg(key).clone()).collect();
        let answers = self.status.read(&commands)?;
        Ok(answers.into_iter().map(|answer| if let Value::BulkString(log) = answer { Some(log) } else { None }).collect())
    }

    /// The first updates of new jobs, for the write that stores the jobs behind them. Their ids are new, so nothing is there to append to.
    pub fn queued_operation(&self, updates: &[StatusUpdate]) -> Result<Operation<'static>> {
        let now = self.status_now(&self.push)?;
        let mut commands = Vec::with_capacity(updates.len() * 256);
        let mut line = Vec::with_capacity(256);
        for update in updates {
            line.clear();
            log::append(update, now, &mut line);
            let (key, ttl) = (status_key(&update.id), milliseconds(update.ttl));
            packing::command(&mut commands, &[b"SET", key.as_bytes(), &line, b"PX", ttl.as_bytes()]);
        }
        let asks_time = self.settings.now.is_none() && self.status_clock.now(CLOCK_FRESH).is_none();
        if asks_time {
            packing::command(&mut commands, &[b"TIME"]);
        }
        Ok(Operation::Packed { commands, replies: updates.len() + usize::from(asks_time) })
    }

    /// Takes the answers to [`Self::queued_operation`].
    pub fn note_queued(&self, answers: Vec<Value>, updates: usize) -> Result<()> {
        let mut answers = self.status.accepted(answers)?;
        if answers.len() > updates {
            self.status_clock.note(answers.pop().unwrap_or(Value::Nil));
        }
        Ok(())
    }

    /// The present by the server's clock, in milliseconds since 1970. Asks for it over `link` when it was not heard of for long.
    fn status_now(&self, link: &RedisLink) -> Result<i64> {
        if let Some(now) = self.settings.now {
            return Ok(now * 1000);
        }
        if let Some(now) = self.status_clock.now(CLOCK_USABLE) {
            return Ok(now);
        }
        self.status_clock.note(link.read(&[cmd("TIME")])?.pop().unwrap_or(Value::Nil));
        self.status_clock.now(CLOCK_USABLE).ok_or_else(|| self.unexpected_answer())
    }
}

fn milliseconds(seconds: u32) -> String {
    (u64::from(seconds) * 1000).to_string()
}

/// Whether a log of this length is to be replaced by its summary, now that a line of that length was appended. A long line alone, which holds the
/// result of a job, would not become shorter.
fn has_grown(length: u64, line: u64) -> bool {
    let before = length.saturating_sub(line);
    length / SUMMARY_BYTES > before / SUMMARY_BYTES && before >= line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_shortened_when_it_grows_past_a_multiple_unless_its_last_line_is_most_of_it() {
        for (length, line, expected) in [
            (SUMMARY_BYTES - 1, 100, false),
            (SUMMARY_BYTES, 100, true),
            (SUMMARY_BYTES + 99, 100, true),
            (SUMMARY_BYTES + 100, 100, false),
            (2 * SUMMARY_BYTES + 5, 200, true),
            (SUMMARY_BYTES * 4, SUMMARY_BYTES * 4 - 300, false),
            (SUMMARY_BYTES * 4, SUMMARY_BYTES * 2, true),
            (0, 0, false),
        ] {
            assert_eq!(has_grown(length, line), expected, "{line} of {length}");
        }
    }
}
