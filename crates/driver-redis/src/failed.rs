//! Failed jobs: shown, made ready again, forgotten.
//!
//! A record is found by its bytes, which hold an id, so no two are alike; and near the place where it was read.

use std::borrow::Cow;

use ferry_core::failed::{FailedJob, FailedPosition};
use ferry_core::payload::with_fresh_attempts;
use ferry_core::{QueueName, Result};
use redis::{Value, cmd};

use crate::RedisBroker;
use crate::admin::{bulks, whole};
use crate::link::Effect;
use crate::script::{self, Call};

/// A script call holds at most so many jobs, and about so many bytes, and they lie no further apart, so that it keeps nobody
/// waiting.
const CHUNK_JOBS: usize = 200;
const CHUNK_BYTES: usize = 1 << 20;
const CHUNK_SPAN: u64 = 400;

const RETRY_IN_DOUBT: &str = "some of these jobs may be ready again; retry once more: none of them is retried twice";
const FORGET_IN_DOUBT: &str = "some of these jobs may be forgotten; forget once more what is still listed";

impl RedisBroker {
    /// Records go in at the head, so the list is newest first already.
    pub(crate) fn failed_page(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        let key = self.keys(queue).failed;
        let Some(last) = limit.checked_sub(1).map(|more| index(offset.saturating_add(more))) else { return Ok(Vec::new()) };
        let range = cmd("LRANGE").arg(&key).arg(index(offset)).arg(last).clone();
        let answers = <[Value; 2]>::try_from(self.read(&[cmd("LLEN").arg(&key).clone(), range])?);
        let Ok([length, records]) = answers else { return Err(self.odd_answer()) };
        let length = whole(length).ok_or_else(|| self.odd_answer())?;
        let records = bulks(records).ok_or_else(|| self.odd_answer())?;
        let older = |at: usize| length.saturating_sub(offset.saturating_add(at as u64 + 1));
        records.iter().enumerate().map(|(at, record)| read(record, older(at))).collect()
    }

    pub(crate) fn oldest_failed_page(
        &self,
        queue: &QueueName,
        passed: Option<&FailedPosition>,
        limit: u64,
    ) -> Result<Option<Vec<FailedJob>>> {
        let Some(passed) = passed else { return self.failed_behind(queue, 0, limit).map(Some) };
        // The last one that was passed shows whether the others still lie where they lay.
        let mut jobs = self.failed_behind(queue, passed.count.saturating_sub(1), limit.saturating_add(1))?;
        if jobs.first().is_none_or(|job| job.id != passed.last) {
            return Ok(None);
        }
        jobs.remove(0);
        Ok(Some(jobs))
    }

    fn failed_behind(&self, queue: &QueueName, older: u64, limit: u64) -> Result<Vec<FailedJob>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        // -1 is the oldest.
        let (first, last) = (-index(older.saturating_add(limit)), -index(older.saturating_add(1)));
        let range = cmd("LRANGE").arg(&self.keys(queue).failed).arg(first).arg(last).clone();
        let records = self.read(&[range])?.pop().and_then(bulks).ok_or_else(|| self.odd_answer())?;
        records.iter().rev().enumerate().map(|(at, record)| read(record, older + at as u64)).collect()
    }

    pub(crate) fn make_ready_again(&self, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64> {
        let fresh = self.settings.family.fresh_attempts();
        let payload = |job: &FailedJob| with_fresh_attempts(&job.payload, fresh);
        self.take_out(queue, jobs, b"retry", payload, RETRY_IN_DOUBT)
    }

    pub(crate) fn remove_failed(&self, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64> {
        self.take_out(queue, jobs, b"forget", |_| Vec::new(), FORGET_IN_DOUBT)
    }

    /// Runs the script on one chunk of jobs after the other, the oldest first, and counts those it found.
    fn take_out(
        &self,
        queue: &QueueName,
        jobs: &[FailedJob],
        how: &'static [u8],
        payload: impl Fn(&FailedJob) -> Vec<u8>,
        doubt: &str,
    ) -> Result<u64> {
        let keys = self.keys(queue);
        let mut jobs: Vec<&FailedJob> = jobs.iter().collect();
        jobs.sort_by_key(|job| job.older);
        let mut taken = 0;
        for chunk in chunks(&jobs) {
            // Those that we took out lay before these.
            let place = |job: Option<&&FailedJob>| number(job.map_or(0, |job| job.older.saturating_sub(taken)));
            let mut args = vec![Cow::Borrowed(how), place(chunk.first()), place(chunk.last())];
            args.extend(chunk.iter().flat_map(|job| [Cow::Borrowed(&job.record[..]), Cow::Owned(payload(job))]));
            let call = Call { script: &script::UNFAIL, keys: vec![&keys.failed, &keys.ready], args };
            match script::run(&self.settle, &self.config, &[call], Effect::Once, doubt)?.pop() {
                Some(Value::BulkString(marks)) if marks.len() == chunk.len() => {
                    taken += marks.iter().filter(|mark| **mark == b'1').count() as u64;
                }
                _ => return Err(self.odd_answer()),
            }
        }
        Ok(taken)
    }
}

fn read(record: &[u8], older: u64) -> Result<FailedJob> {
    FailedJob::from_json(record).map(|job| FailedJob { older, ..job })
}

fn index(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(number: u64) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}

/// Cuts jobs, in order, into pieces for one call.
fn chunks<'a, 'b>(mut jobs: &'a [&'b FailedJob]) -> impl Iterator<Item = &'a [&'b FailedJob]> {
    std::iter::from_fn(move || {
        let first = jobs.first()?.older;
        let mut bytes = 0;
        let fits = jobs.iter().take(CHUNK_JOBS).take_while(|job| {
            let alone = bytes == 0;
            bytes += job.record.len() + job.payload.len();
            alone || (bytes <= CHUNK_BYTES && job.older - first < CHUNK_SPAN)
        });
        let (chunk, rest) = jobs.split_at(fits.count());
        jobs = rest;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::failed::{Failure, Reason};

    fn job(size: usize, older: u64) -> FailedJob {
        let failure = Failure {
            connection: String::new(),
            payload: Vec::new(),
            reason: Reason::Asked,
            exception: String::new(),
            attempts: 1,
        };
        FailedJob { record: vec![b'x'; size], older, ..FailedJob::of(&failure, "1".into(), "q", 0) }
    }

    fn lengths(jobs: &[FailedJob]) -> Vec<usize> {
        chunks(&jobs.iter().collect::<Vec<_>>()).map(<[_]>::len).collect()
    }

    #[test]
    fn jobs_are_cut_by_number_by_bytes_and_by_distance() {
        assert_eq!(lengths(&vec![job(1, 0); 401]), [200, 200, 1]);
        assert_eq!(lengths(&[job(700_000, 0), job(700_000, 1), job(1, 2)]), [1, 2]);
        assert_eq!(lengths(&[job(3 << 20, 0), job(1, 1)]), [1, 1]);
        assert_eq!(lengths(&[job(1, 5), job(1, 404), job(1, 405), job(1, 9000)]), [2, 1, 1]);
        assert_eq!(lengths(&[]), [] as [usize; 0]);
    }
}
