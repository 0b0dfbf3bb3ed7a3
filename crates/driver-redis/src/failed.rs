//! Failed jobs: listed, found, made ready again, forgotten.
//!
//! A record is found by its bytes, near the place where it was read.

mod cursor;

use std::borrow::Cow;

use ferry_core::dialect::{Family, ListEnd};
use ferry_core::failed::{FailedJob, Failure, Filter};
use ferry_core::payload::with_fresh_attempts;
use ferry_core::redis_task::{FailedRecord, read_failed, with_delay};
use ferry_core::{Error, ErrorKind, QueueName, Result};
use redis::{Value, cmd};

use self::cursor::ListedRecord;
use crate::RedisBroker;
use crate::link::{Effect, RedisRequest};
use crate::reply::{self, bulks};
use crate::script::{self, Call};

/// A script call holds at most so many jobs, and about so many bytes, and they lie no further apart, so that it keeps nobody
/// waiting.
const CHUNK_JOBS: usize = 200;
const CHUNK_BYTES: usize = 1 << 20;
const CHUNK_SPAN: u64 = 400;

const RETRY_IN_DOUBT: &str = "some of these jobs may be ready again; retry once more: none of them is retried twice";
const FORGET_IN_DOUBT: &str = "some of these jobs may be forgotten; forget once more what is still listed";

/// Records go in at the head, so the list is newest first already.
pub fn failed(broker: &RedisBroker, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
    let Some(last) = limit.checked_sub(1).map(|more| index(offset.saturating_add(more))) else { return Ok(Vec::new()) };
    let range = cmd("LRANGE").arg(&broker.keys(queue).failed).arg(index(offset)).arg(last).clone();
    let records = broker.settle.read(&[range])?.pop().and_then(bulks).ok_or_else(|| broker.unexpected_answer())?;
    records.iter().map(|record| read_record(broker, queue, record)).collect()
}

/// The failure record of a plain task. Its time is text, which a script cannot write, so the server is asked for it.
pub fn task_record(broker: &RedisBroker, failure: &Failure, task: &[u8]) -> Result<Vec<u8>> {
    let now = broker.settings.now.map_or_else(|| broker.server_second(), Ok)?;
    Ok(FailedRecord { task, failure, now }.to_json(&broker.settings.zone.get()))
}

/// Adds a task that its program took off the queue.
pub fn add_failed(broker: &RedisBroker, queue: &QueueName, failure: &Failure) -> Result<()> {
    if broker.settings.family != Family::RedisTask {
        return Err(Error::new(ErrorKind::Unsupported, "only plain Redis tasks are marked as failed by their program"));
    }
    let record = task_record(broker, failure, &failure.payload)?;
    let command = cmd("LPUSH").arg(&broker.keys(queue).failed).arg(record).get_packed_command();
    let doubt = "the task may or may not be among the failed ones";
    broker.settle.query(&RedisRequest { bytes: &command, replies: 1, effect: Effect::Once, doubt }).map(drop)
}

pub fn failed_job(broker: &RedisBroker, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
    cursor::find(failed_length(broker, queue)?, id, |older, limit| failed_records(broker, queue, older, limit))
}

pub fn retry(broker: &RedisBroker, queue: &QueueName, which: &Filter, before: &mut dyn FnMut(&[FailedJob])) -> Result<u64> {
    let family = broker.settings.family;
    let how: &[u8] = match family.next_job() {
        ListEnd::Left => b"retry",
        ListEnd::Right => b"retry_left",
    };
    let payload = |job: &FailedJob| {
        let fresh = with_fresh_attempts(&job.payload, family.fresh_attempts());
        if family.writes_delay() { with_delay(&fresh, 0).into_owned() } else { fresh }
    };
    sweep(broker, queue, which, |records| {
        let jobs: Vec<FailedJob> = records.iter().map(|record| record.job.clone()).collect();
        before(&jobs);
        remove(broker, queue, records, how, payload, RETRY_IN_DOUBT)
    })
}

pub fn forget(broker: &RedisBroker, queue: &QueueName, which: &Filter) -> Result<u64> {
    sweep(broker, queue, which, |records| remove(broker, queue, records, b"forget", |_| Vec::new(), FORGET_IN_DOUBT))
}

fn sweep(
    broker: &RedisBroker,
    queue: &QueueName,
    which: &Filter,
    remove: impl FnMut(&[ListedRecord]) -> Result<u64>,
) -> Result<u64> {
    cursor::sweep(failed_length(broker, queue)?, which, |older, limit| failed_records(broker, queue, older, limit), remove)
}

fn failed_length(broker: &RedisBroker, queue: &QueueName) -> Result<u64> {
    let length = broker.settle.read(&[cmd("LLEN").arg(&broker.keys(queue).failed).clone()])?.pop();
    length.and_then(reply::count).ok_or_else(|| broker.unexpected_answer())
}

/// Records in front of which there are `older` older ones, oldest first.
fn failed_records(broker: &RedisBroker, queue: &QueueName, older: u64, limit: u64) -> Result<Vec<ListedRecord>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    // -1 is the oldest.
    let (first, last) = (-index(older.saturating_add(limit)), -index(older.saturating_add(1)));
    let range = cmd("LRANGE").arg(&broker.keys(queue).failed).arg(first).arg(last).clone();
    let records = broker.settle.read(&[range])?.pop().and_then(bulks).ok_or_else(|| broker.unexpected_answer())?;
    let places = older..;
    let record = |(bytes, older): (Vec<u8>, u64)| Ok(ListedRecord { job: read_record(broker, queue, &bytes)?, bytes, older });
    records.into_iter().rev().zip(places).map(record).collect()
}

/// Runs the script on one chunk of records after the other, oldest first, and counts those it found.
fn remove(
    broker: &RedisBroker,
    queue: &QueueName,
    records: &[ListedRecord],
    how: &'static [u8],
    payload: impl Fn(&FailedJob) -> Vec<u8>,
    doubt: &str,
) -> Result<u64> {
    let keys = broker.keys(queue);
    let mut removed = 0;
    for chunk in chunks(records) {
        // Those that we removed were older.
        let place = |record: Option<&ListedRecord>| number(record.map_or(0, |record| record.older.saturating_sub(removed)));
        let mut args = vec![Cow::Borrowed(how), place(chunk.first()), place(chunk.last())];
        args.extend(chunk.iter().flat_map(|record| [Cow::Borrowed(&record.bytes[..]), Cow::Owned(payload(&record.job))]));
        let call = Call { script: &script::UNFAIL, keys: vec![&keys.failed, &keys.ready], args };
        match script::run(&broker.settle, vec![call], Effect::Once, doubt)?.pop() {
            Some(Value::BulkString(marks)) if marks.len() == chunk.len() => {
                removed += marks.iter().filter(|mark| **mark == b'1').count() as u64;
            }
            _ => return Err(broker.unexpected_answer()),
        }
    }
    Ok(removed)
}

/// The id in a record of ours only keeps two records from being alike: a user knows the job by its own. A task without an id is known by
/// the hash of its record.
fn read_record(broker: &RedisBroker, queue: &QueueName, record: &[u8]) -> Result<FailedJob> {
    if broker.settings.family != Family::RedisTask {
        return FailedJob::from_json(record).map(FailedJob::named_by_job);
    }
    let mut job = read_failed(record, queue.as_str(), &broker.settings.zone.get());
    if job.id.is_empty() {
        job.id = sha1_smol::Sha1::from(record).digest().to_string();
    }
    Ok(job)
}

fn index(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(number: u64) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}

/// Cuts records, in order, into pieces for one call.
fn chunks(mut records: &[ListedRecord]) -> impl Iterator<Item = &[ListedRecord]> {
    std::iter::from_fn(move || {
        let first = records.first()?.older;
        let mut bytes = 0;
        let fits = records.iter().take(CHUNK_JOBS).take_while(|record| {
            let alone = bytes == 0;
            bytes += record.bytes.len() + record.job.payload.len();
            alone || (bytes <= CHUNK_BYTES && record.older - first < CHUNK_SPAN)
        });
        let (chunk, rest) = records.split_at(fits.count());
        records = rest;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::failed::Reason;

    fn record(size: usize, older: u64) -> ListedRecord {
        let failure = Failure {
            connection: String::new(),
            payload: Vec::new(),
            reason: Reason::Asked,
            exception: String::new(),
            attempts: 1,
        };
        ListedRecord { job: FailedJob::of(&failure, "1".into(), "q", 0), bytes: vec![b'x'; size], older }
    }

    fn lengths(records: &[ListedRecord]) -> Vec<usize> {
        chunks(records).map(<[_]>::len).collect()
    }

    #[test]
    fn records_are_cut_by_number_by_bytes_and_by_distance() {
        assert_eq!(lengths(&vec![record(1, 0); 401]), [200, 200, 1]);
        assert_eq!(lengths(&[record(700_000, 0), record(700_000, 1), record(1, 2)]), [1, 2]);
        assert_eq!(lengths(&[record(3 << 20, 0), record(1, 1)]), [1, 1]);
        assert_eq!(lengths(&[record(1, 5), record(1, 404), record(1, 405), record(1, 9000)]), [2, 1, 1]);
        assert_eq!(lengths(&[]), [] as [usize; 0]);
    }
}
