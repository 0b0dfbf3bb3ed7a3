//! Waiting for jobs: it ends when one is there, it ends anyway, and it delays nobody.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::{Broker, NewJob, QueueName, Reservation};

use super::Fixture;
use super::tools::*;

const SECOND: Duration = Duration::from_secs(1);

pub fn a_waiting_worker_gets_what_another_pushes(fixture: &Fixture) {
    let queues = [queue("mail")];
    let (waiter, pusher) = (fixture.worker(), fixture.worker());
    // Who meets a store that does not exist yet is examined in `crowds`.
    assert_nothing_ready(&*waiter, &queues[0]);
    let mut late = Duration::ZERO;
    for number in 0..20 {
        let waited = waited_for(&*waiter, &queues, &*pusher, &queues[0], number);
        assert_eq!(numbers(&waited.jobs), [number]);
        late += waited.late;
        // Whoever asks for one at a time holds one at a time.
        delete(&*waiter, &waited.jobs[0]);
    }
    // Without an event most of these would sleep for their whole second.
    assert!(late < 5 * SECOND, "20 jobs came to a waiting worker {late:?} after their pushes");
}

pub fn a_worker_waits_for_all_its_queues(fixture: &Fixture) {
    let queues = ["high", "middle", "low"].map(queue);
    let (waiter, pusher) = (fixture.worker(), fixture.worker());
    queues.iter().for_each(|queue| assert_nothing_ready(&*waiter, queue));
    for (number, pushed) in (0..).zip(&queues) {
        let Waited { jobs, .. } = waited_for(&*waiter, &queues, &*pusher, pushed, number);
        assert_eq!(numbers(&jobs), [number], "pushed to {pushed:?}");
        delete(&*waiter, &jobs[0]);
    }
}

/// What came of a wait.
struct Waited {
    jobs: Vec<Reservation>,
    /// How long after the push it ended.
    late: Duration,
}

/// What `waiter` gets from one wait for `queues`, while job `number` is pushed to one of them. A wait that ends before the job has been there
/// for half a second tells nothing, and the next one counts.
fn waited_for(waiter: &dyn Broker, queues: &[QueueName], pusher: &dyn Broker, pushed: &QueueName, number: u32) -> Waited {
    let about_to_wait = Barrier::new(2);
    let pushed_at = OnceLock::new();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            about_to_wait.wait();
            loop {
                let jobs = waiter.reserve(queues, 1, SECOND).unwrap();
                let late = pushed_at.get().map_or(Duration::ZERO, Instant::elapsed);
                if !jobs.is_empty() || late > SECOND / 2 {
                    return Waited { jobs, late };
                }
            }
        });
        about_to_wait.wait();
        push(pusher, pushed, number);
        pushed_at.set(Instant::now()).expect("it is set once");
        waiting.join().expect("the waiter ran through")
    })
}

pub fn a_wait_for_nothing_ends_after_its_time(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let wait = Duration::from_millis(300);
    let started = Instant::now();
    assert!(worker.reserve(std::slice::from_ref(&mail), 1, wait).unwrap().is_empty());
    assert!(started.elapsed() >= wait / 2, "it did not wait: {:?}", started.elapsed());
    assert!(started.elapsed() < 10 * SECOND, "it waited for {:?}", started.elapsed());
}

pub fn no_wait_is_longer_than_a_second(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let started = Instant::now();
    assert!(worker.reserve(std::slice::from_ref(&mail), 1, 60 * SECOND).unwrap().is_empty());
    assert!(started.elapsed() < 20 * SECOND, "it waited for {:?}", started.elapsed());
}

pub fn a_job_that_is_there_is_not_waited_for(fixture: &Fixture) {
    let worker = fixture.worker();
    let [empty, mail] = ["empty", "mail"].map(queue);
    // To declare both may take the whole second of a wait.
    [&empty, &mail].iter().for_each(|queue| assert_nothing_ready(&*worker, queue));
    push_all(&*worker, &mail, 0..50);
    let queues = [empty, mail];
    let started = Instant::now();
    for number in 0..50 {
        let jobs = worker.reserve(&queues, 1, SECOND).unwrap();
        assert_eq!(numbers(&jobs), [number]);
        delete(&*worker, &jobs[0]);
    }
    assert!(started.elapsed() < 25 * SECOND, "each of 50 took half a second: {:?}", started.elapsed());
}

pub fn a_waiting_worker_delays_none_of_its_other_threads(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let stop = AtomicBool::new(false);
    let waits = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let empty = [queue("empty")];
            assert!(worker.reserve(&empty, 1, Duration::ZERO).unwrap().is_empty());
            waits.wait();
            while !stop.load(Ordering::SeqCst) {
                assert!(worker.reserve(&empty, 1, SECOND).unwrap().is_empty());
            }
        });
        let other = fixture.worker();
        waits.wait();
        let started = Instant::now();
        // One lock held while waiting would make each of these words take up to a second.
        for number in 0..25 {
            worker.push(&mail, NewJob::ready(job(number))).unwrap();
            let held = take_one(&*other, &mail);
            worker.extend(std::slice::from_ref(&held.claim)).unwrap();
            assert_total!(&*worker, &mail, 1);
            if other.capabilities().leases { delete(&*worker, &held) } else { delete(&*other, &held) }
        }
        let took = started.elapsed();
        stop.store(true, Ordering::SeqCst);
        assert!(took < 15 * SECOND, "100 words beside a waiting reserve took {took:?}");
    });
}
