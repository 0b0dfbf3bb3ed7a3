//! Short words for what every behaviour does.

use std::time::Duration;

use ferry_core::broker::{Settle, SettleResult, Settlement, Sizes};
use ferry_core::failed::{Failure, Reason};
use ferry_core::payload::Payload;
use ferry_core::{Broker, NewJob, QueueName, Reservation};

pub const NO_WAIT: Duration = Duration::ZERO;

pub fn queue(name: &str) -> QueueName {
    QueueName::new(name.as_bytes()).expect("the behaviours use names that can be carried")
}

/// The payload of job number `number`.
pub fn job(number: u32) -> Vec<u8> {
    job_with_tries(number, "null")
}

pub fn job_with_tries(number: u32, tries: &str) -> Vec<u8> {
    format!(r#"{{"job":"J","maxTries":{tries},"timeout":null,"data":{number},"id":"id-{number}","attempts":0}}"#).into_bytes()
}

/// The number of a job made by [`job`].
pub fn number(body: &[u8]) -> u32 {
    let data = Payload::decode(body).expect("the body is one of ours").data.expect("our jobs have data");
    std::str::from_utf8(&body[data]).expect("a number is text").parse().expect("our data is a number")
}

pub fn numbers(jobs: &[Reservation]) -> Vec<u32> {
    jobs.iter().map(|job| number(&job.body)).collect()
}

pub fn push(worker: &dyn Broker, queue: &QueueName, number: u32) {
    worker.push(queue, NewJob::ready(job(number))).expect("push");
}

pub fn push_all(worker: &dyn Broker, queue: &QueueName, numbers: impl IntoIterator<Item = u32>) {
    let jobs: Vec<NewJob<'_>> = numbers.into_iter().map(|number| NewJob::ready(job(number))).collect();
    assert_eq!(worker.push_many(queue, &jobs).expect("push_many"), jobs.len() as u64);
}

/// Reserves up to `max` jobs from one queue, without waiting.
pub fn take(worker: &dyn Broker, queue: &QueueName, max: usize) -> Vec<Reservation> {
    worker.reserve(std::slice::from_ref(queue), max, NO_WAIT).expect("reserve")
}

/// Reserves the one job that there must be.
pub fn take_one(worker: &dyn Broker, queue: &QueueName) -> Reservation {
    let mut jobs = take(worker, queue, 1);
    assert_eq!(jobs.len(), 1, "a job of {queue:?} can be reserved");
    jobs.remove(0)
}

pub fn assert_nothing_ready(worker: &dyn Broker, queue: &QueueName) {
    let jobs = take(worker, queue, 10);
    assert!(jobs.is_empty(), "nothing of {queue:?} can be reserved, but got {:?}", shown(&jobs));
}

/// Reserves one job after the other and deletes it, until there is none.
pub fn drain(worker: &dyn Broker, queue: &QueueName) -> Vec<Reservation> {
    let mut all = Vec::new();
    loop {
        let jobs = take(worker, queue, 64);
        if jobs.is_empty() {
            return all;
        }
        for job in jobs {
            assert_eq!(settle(worker, &job, Settlement::Delete), SettleResult::Applied);
            all.push(job);
        }
    }
}

pub fn settle(worker: &dyn Broker, job: &Reservation, settlement: Settlement) -> SettleResult {
    settle_all(worker, [(job, settlement)])[0]
}

pub fn settle_all<'a>(worker: &dyn Broker, items: impl IntoIterator<Item = (&'a Reservation, Settlement)>) -> Vec<SettleResult> {
    let batch: Vec<Settle> = items.into_iter().map(|(job, settlement)| Settle { claim: job.claim.clone(), settlement }).collect();
    let settled = worker.settle(&batch).expect("settle");
    assert_eq!(settled.len(), batch.len(), "one answer per item");
    settled
}

pub fn delete(worker: &dyn Broker, job: &Reservation) {
    assert_eq!(settle(worker, job, Settlement::Delete), SettleResult::Applied);
}

pub fn release(worker: &dyn Broker, job: &Reservation, delay: i64) {
    assert_eq!(settle(worker, job, Settlement::Release { delay }), SettleResult::Applied);
}

/// Burial of `job` for an ordinary reason.
pub fn bury(job: &Reservation) -> Settlement {
    Settlement::Bury(Box::new(failure_of(job, "Exception: it broke in /app/job.php:7")))
}

pub fn failure_of(job: &Reservation, exception: &str) -> Failure {
    Failure {
        connection: "exam".into(),
        payload: job.body.clone(),
        reason: Reason::Exception,
        exception: exception.into(),
        attempts: job.attempts.unwrap_or(1),
    }
}

pub fn size(worker: &dyn Broker, queue: &QueueName) -> Sizes {
    worker.size(queue).expect("size")
}

/// `assert_sizes!(worker, queue, sizes(..))`: a queue holds exactly these jobs. Of a broker that does not see delayed and reserved jobs the
/// failed ones are compared, and of the others [`assert_size_at_most`].
macro_rules! assert_sizes {
    ($worker:expr, $queue:expr, $expected:expr $(, $($why:tt)+)?) => {
        $crate::suite::tools::compare_sizes($worker, $queue, $expected, &[$(format!($($why)+))?])
    };
}

/// `assert_total!(worker, queue, number)`: so many jobs of a queue still have to be worked. Of a broker that does not see delayed and
/// reserved jobs: [`assert_size_at_most`].
macro_rules! assert_total {
    ($worker:expr, $queue:expr, $expected:expr $(, $($why:tt)+)?) => {
        $crate::suite::tools::compare_total($worker, $queue, $expected, &[$(format!($($why)+))?])
    };
}

pub(crate) use {assert_sizes, assert_total};

#[track_caller]
pub fn compare_sizes(worker: &dyn Broker, queue: &QueueName, expected: Sizes, why: &[String]) {
    if worker.capabilities().sees_all_states {
        assert_eq!(size(worker, queue), expected, "{queue:?} {why:?}");
    } else {
        assert_eq!(size(worker, queue).failed, expected.failed, "failed jobs of {queue:?} {why:?}");
        assert_size_at_most(worker, queue, expected.total(), why);
    }
}

#[track_caller]
pub fn compare_total(worker: &dyn Broker, queue: &QueueName, expected: u64, why: &[String]) {
    if worker.capabilities().sees_all_states {
        assert_eq!(size(worker, queue).total(), expected, "{queue:?} {why:?}");
    } else {
        assert_size_at_most(worker, queue, expected, why);
    }
}

/// What a broker that sees ready jobs only can be held to: it shows no more of them than there are jobs.
#[track_caller]
pub fn assert_size_at_most(worker: &dyn Broker, queue: &QueueName, most: u64, why: &[String]) {
    let seen = size(worker, queue).total();
    assert!(seen <= most, "{queue:?} shows {seen} jobs, at most {most} are there {why:?}");
}

pub fn sizes(ready: u64, delayed: u64, reserved: u64, failed: u64) -> Sizes {
    Sizes { ready, delayed, reserved, failed }
}

/// Jobs as a failing test shows them.
pub fn shown(jobs: &[Reservation]) -> Vec<(String, Option<u32>)> {
    jobs.iter().map(|job| (String::from_utf8_lossy(&job.body[..job.body.len().min(200)]).into_owned(), job.attempts)).collect()
}
