//! `Broker::push`, `push_many` and `push_batch`: `RPUSH` for ready ones (`LPUSH` for plain tasks), one script for delayed ones.

use std::borrow::Cow;

use ferry_core::broker::{BatchPush, JobGroup, PushedWithStatus, QueuedJob, groups};
use ferry_core::dialect::{ListEnd, RedisKeys};
use ferry_core::job::{Due, NewJob};
use ferry_core::status::StatusUpdate;
use ferry_core::{Error, QueueName, Result};

use crate::RedisBroker;
use crate::link::{Effect, RedisRequest};
use crate::packing;
use crate::script::{self, Call, Operation};
use crate::wrong_type;

/// A request holds at most so many jobs, and about so many bytes; the next waits for the answer to the one before. Pipelining
/// them would gain little and could store later jobs although earlier ones were refused.
const CHUNK_JOBS: usize = 1000;
const CHUNK_BYTES: usize = 1 << 20;

const ONE_IN_DOUBT: &str = "the job may or may not be stored";

/// Stores one job.
pub fn push(broker: &RedisBroker, queue: &QueueName, job: &NewJob<'_>) -> Result<Option<i64>> {
    push_run(broker, queue, std::slice::from_ref(job), ONE_IN_DOUBT).map(|()| None)
}

/// Stores jobs in order.
pub fn push_many(broker: &RedisBroker, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
    let mut stored = 0;
    for run in runs(jobs) {
        push_run(broker, queue, run, &many_in_doubt(run)).map_err(|error| counted(error, stored, jobs.len()))?;
        stored += run.len();
    }
    Ok(stored as u64)
}

/// A group of a batch on its way.
struct GroupPush<'a> {
    group: JobGroup,
    keys: RedisKeys,
    jobs: Vec<NewJob<'a>>,
    stored: usize,
}

impl GroupPush<'_> {
    /// What one command stores next; empty at the end.
    fn next_run(&self) -> &[NewJob<'_>] {
        runs(&self.jobs[self.stored..]).next().unwrap_or_default()
    }

    fn missing(&self) -> impl Iterator<Item = usize> {
        self.group.positions[self.stored..].iter().copied()
    }
}

/// Stores jobs of several queues. One write takes a run of each group; the next run of a group waits for the answer, so a refusal leaves no gap.
pub fn push_batch(broker: &RedisBroker, batch: &[QueuedJob<'_>]) -> BatchPush {
    let mut report = BatchPush::default();
    let of_group = |group: JobGroup| {
        let (keys, jobs) = (broker.keys(&group.queue), group.jobs(batch));
        GroupPush { group, keys, jobs, stored: 0 }
    };
    let mut left: Vec<GroupPush<'_>> = groups(batch).into_iter().map(of_group).collect();
    while !left.is_empty() {
        let operations: Vec<_> = left.iter().map(|push| push_operation(broker, &push.keys, push.next_run())).collect();
        let doubt = "they may or may not be stored";
        let answers = match script::exchange(&broker.push, &operations, Effect::Once, doubt) {
            Ok(answers) => answers,
            Err(error) => {
                report.fail(left.iter().flat_map(GroupPush::missing), error);
                return report;
            }
        };
        drop(operations);
        for (push, answer) in left.iter_mut().zip(answers) {
            note_delayed(broker, push.next_run());
            match broker.push.accepted(vec![answer]) {
                Ok(_) => push.stored += push.next_run().len(),
                Err(error) => {
                    let error = wrong_type::named(broker, &[&push.group.queue], error);
                    report.fail(push.missing(), error.within(format!("push to `{}`", push.group.queue)));
                    push.stored = push.jobs.len();
                }
            }
        }
        left.retain(|push| push.stored < push.jobs.len());
    }
    report
}

/// Stores jobs in order, the status of each before it, both in one write.
pub fn push_with_status(
    broker: &RedisBroker,
    updates: &[StatusUpdate],
    queue: &QueueName,
    jobs: &[NewJob<'_>],
) -> PushedWithStatus {
    let (mut updated, mut stored) = (Ok(()), 0);
    let keys = broker.keys(queue);
    for run in runs(jobs) {
        let (queued, failed) = match broker.queued_operation(&updates[stored..stored + run.len()]) {
            Ok(queued) => (Some(queued), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let operations: Vec<_> = queued.into_iter().chain([push_operation(broker, &keys, run)]).collect();
        let doubt = if jobs.len() == 1 { ONE_IN_DOUBT.to_owned() } else { many_in_doubt(run) };
        let answered = script::exchange(&broker.push, &operations, Effect::Once, &doubt).and_then(|mut answers| {
            let of_push = answers.split_off(answers.len() - 1);
            let noted = failed.and_then(|()| broker.note_queued(answers, run.len()));
            updated = std::mem::replace(&mut updated, Ok(())).and(noted);
            broker.push.accepted(of_push)
        });
        note_delayed(broker, run);
        if let Err(error) = answered {
            let error = if jobs.len() == 1 { error } else { counted(error, stored, jobs.len()) };
            return PushedWithStatus { updated, pushed: Err(error) };
        }
        stored += run.len();
    }
    PushedWithStatus { updated, pushed: Ok(stored as u64) }
}

/// Stores jobs that are all ready or all delayed.
fn push_run(broker: &RedisBroker, queue: &QueueName, run: &[NewJob<'_>], doubt: &str) -> Result<()> {
    if are_ready(run) {
        let bytes = pack_ready(broker, &broker.settings.family.redis_ready_key(queue), run);
        return broker.push.query(&RedisRequest { bytes: &bytes, replies: 1, effect: Effect::Once, doubt }).map(drop);
    }
    let keys = broker.keys(queue);
    let stored = script::run_operations(&broker.push, &[push_operation(broker, &keys, run)], Effect::Once, doubt).map(drop);
    note_delayed(broker, run);
    stored
}

/// The command that stores ready jobs: the hot path, packed here, because redis-rs's `Cmd` would copy every payload once more.
fn pack_ready(broker: &RedisBroker, ready: &str, run: &[NewJob<'_>]) -> Vec<u8> {
    let command: &[u8] = match broker.settings.family.next_job() {
        ListEnd::Left => b"RPUSH",
        ListEnd::Right => b"LPUSH",
    };
    pack_push(command, ready.as_bytes(), run.iter().map(|job| &*job.payload))
}

fn are_ready(run: &[NewJob<'_>]) -> bool {
    run.first().is_none_or(|job| job.due == Due::Now)
}

/// Nobody is woken for a delayed job, which may be due at once.
fn note_delayed(broker: &RedisBroker, run: &[NewJob<'_>]) {
    if !are_ready(run) {
        broker.wait.note_change();
    }
}

fn push_operation<'a>(broker: &RedisBroker, keys: &'a RedisKeys, run: &'a [NewJob<'_>]) -> Operation<'a> {
    if are_ready(run) {
        return Operation::Packed { commands: pack_ready(broker, &keys.ready, run), replies: 1 };
    }
    let mut args = vec![broker.now_argument()];
    for job in run {
        args.push(Cow::Owned(due_argument(job.due).into_bytes()));
        args.push(Cow::Borrowed(&*job.payload));
    }
    Operation::Call(Call { script: &script::LATER, keys: vec![&keys.delayed], args })
}

fn many_in_doubt(run: &[NewJob<'_>]) -> String {
    format!("the next {} may or may not be stored", run.len())
}

fn due_argument(due: Due) -> String {
    match due {
        Due::Now => "+0".to_owned(),
        Due::After(seconds) => format!("+{seconds}"),
        Due::At(second) => format!("={second}"),
    }
}

/// Cuts jobs, in order, into pieces that one command can store.
fn runs<'a, 'b>(mut jobs: &'a [NewJob<'b>]) -> impl Iterator<Item = &'a [NewJob<'b>]> {
    std::iter::from_fn(move || {
        let ready = jobs.first()?.due == Due::Now;
        let mut bytes = 0;
        let fits = jobs.iter().take(CHUNK_JOBS).take_while(|job| {
            let first = bytes == 0;
            bytes += job.payload.len() + 1;
            (job.due == Due::Now) == ready && (first || bytes <= CHUNK_BYTES)
        });
        let (run, rest) = jobs.split_at(fits.count());
        jobs = rest;
        Some(run)
    })
}

fn counted(error: Error, stored: usize, all: usize) -> Error {
    error.within(format!("{stored} of {all} jobs were stored before this"))
}

fn pack_push<'a>(command: &[u8], key: &[u8], payloads: impl ExactSizeIterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
    let bytes: usize = payloads.clone().map(|payload| payload.len() + 16).sum();
    let mut out = Vec::with_capacity(bytes + key.len() + 48);
    packing::begin(&mut out, payloads.len() + 2);
    packing::word(&mut out, command);
    packing::word(&mut out, key);
    payloads.for_each(|payload| packing::word(&mut out, payload));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_packing_is_the_packing_of_redis_rs() {
        let long = vec![b'x'; 12_345];
        for payloads in [vec![&b""[..]], vec![b"a\r\nb\0", &long], vec![b"x"; 1000]] {
            let mut cmd = redis::cmd("RPUSH");
            cmd.arg("{queues:q}");
            for payload in &payloads {
                cmd.arg(*payload);
            }
            assert_eq!(pack_push(b"RPUSH", b"{queues:q}", payloads.iter().copied()), cmd.get_packed_command());
        }
    }

    fn lengths(jobs: &[NewJob<'_>]) -> Vec<usize> {
        runs(jobs).map(<[_]>::len).collect()
    }

    #[test]
    fn jobs_are_cut_by_number_by_bytes_and_by_kind() {
        let small = || NewJob::ready(&b"x"[..]);
        let late = || NewJob::due(&b"x"[..], Due::After(1));
        let big = || NewJob::ready(vec![b'x'; 700_000]);
        assert_eq!(lengths(&vec![small(); 2001]), [1000, 1000, 1]);
        assert_eq!(lengths(&[big(), big(), small()]), [1, 2]);
        assert_eq!(lengths(&[small(), late(), late(), small()]), [1, 2, 1]);
        assert_eq!(lengths(&[NewJob::ready(vec![0; 3 << 20]), NewJob::ready(&b""[..])]), [1, 1]);
        assert_eq!(lengths(&[]), [] as [usize; 0]);
    }
}
