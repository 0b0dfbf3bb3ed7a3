//! Many workers at once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::NewJob;
use ferry_core::broker::{SettleResult, Settlement};
use ferry_core::{Broker, QueueName};

use super::Fixture;
use super::tools::*;

const WAIT: Duration = Duration::from_millis(200);

pub fn five_thousand_jobs_reach_one_worker_each(fixture: &Fixture) {
    let mail = queue("mail");
    let crowd = Crowd::new(5_000);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| crowd.work(&*fixture.worker(), &mail));
        }
        for start in [0, 2_500] {
            let mail = &mail;
            scope.spawn(move || push_half(&*fixture.worker(), mail, start));
        }
    });
    crowd.assert_complete();
    assert_sizes!(&*fixture.worker(), &mail, sizes(0, 0, 0, 0));
}

pub fn all_who_meet_at_a_store_that_nobody_used_yet_get_in(fixture: &Fixture) {
    const WORKERS: u32 = 16;
    let (mail, door) = (queue("mail"), Barrier::new(WORKERS as usize));
    let enter = |number| {
        let worker = fixture.worker();
        door.wait();
        worker.push(&mail, NewJob::ready(job(number))).err().map(|error| error.to_string())
    };
    let refused: Vec<String> = thread::scope(|scope| {
        let enter = &enter;
        let threads: Vec<_> = (0..WORKERS).map(|number| scope.spawn(move || enter(number))).collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("the thread ran through")).collect()
    });
    assert!(refused.is_empty(), "{} of {WORKERS} were refused: {refused:#?}", refused.len());
    assert_sizes!(&*fixture.worker(), &mail, sizes(u64::from(WORKERS), 0, 0, 0));
}

pub fn one_broker_serves_many_threads(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let crowd = Crowd::new(1_000);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| crowd.work(&*worker, &mail));
        }
        for start in [0, 500] {
            let (worker, mail) = (&*worker, &mail);
            scope.spawn(move || (start..start + 500).for_each(|number| push(worker, mail, number)));
        }
    });
    crowd.assert_complete();
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 0));
}

/// One job by itself, then 49 at once, as applications do both.
fn push_half(worker: &dyn Broker, queue: &QueueName, start: u32) {
    for first in (start..start + 2_500).step_by(50) {
        push(worker, queue, first);
        let jobs: Vec<NewJob<'_>> = (first + 1..first + 50).map(|number| NewJob::ready(job(number))).collect();
        assert_eq!(worker.push_many(queue, &jobs).expect("push_many"), 49);
    }
}

struct Crowd {
    expected: usize,
    done: AtomicUsize,
    seen: Mutex<HashSet<u32>>,
}

impl Crowd {
    fn new(expected: usize) -> Self {
        Self { expected, done: AtomicUsize::new(0), seen: Mutex::default() }
    }

    fn work(&self, worker: &dyn Broker, queue: &QueueName) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.done.load(Ordering::SeqCst) < self.expected {
            assert!(Instant::now() < deadline, "only {:?} of {} jobs came", self.done, self.expected);
            let jobs = worker.reserve(std::slice::from_ref(queue), 16, WAIT).expect("reserve");
            {
                let mut seen = self.seen.lock().expect("no thread panicked");
                for job in &jobs {
                    assert_eq!(job.attempts, Some(1));
                    assert!(seen.insert(number(&job.body)), "job {} came twice", number(&job.body));
                }
            }
            let settled = settle_all(worker, jobs.iter().map(|job| (job, Settlement::Delete)));
            assert!(settled.iter().all(|settled| *settled == SettleResult::Applied));
            self.done.fetch_add(jobs.len(), Ordering::SeqCst);
        }
    }

    fn assert_complete(&self) {
        assert_eq!(self.seen.lock().expect("no thread panicked").len(), self.expected);
    }
}
