//! Connections that break without a word.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use ferry_core::broker::{ExtendResult, Settle, SettleResult, Settlement, State};
use ferry_core::{Broker, ErrorKind, NewJob, QueueName, Reservation, Result};

use super::tools::*;
use super::{Fixture, START};

pub fn every_word_works_after_its_connection_was_killed(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for round in 0..3 {
        fixture.kill_connections();
        push(&*worker, &mail, 1);
        fixture.kill_connections();
        push_all(&*worker, &mail, 2..4);
        fixture.kill_connections();
        assert_sizes!(&*worker, &mail, sizes(3, 0, 0, round));
        fixture.kill_connections();
        let jobs = take(&*worker, &mail, 10);
        assert_eq!(numbers(&jobs), [1, 2, 3]);
        fixture.kill_connections();
        let claims: Vec<_> = jobs.iter().map(|job| job.claim.clone()).collect();
        if fixture.has_leases() {
            assert_eq!(worker.extend(&claims).unwrap(), [ExtendResult::Kept; 3]);
            fixture.kill_connections();
            let settled = settle_all(
                &*worker,
                [(&jobs[0], Settlement::Delete), (&jobs[1], bury(&jobs[1])), (&jobs[2], Settlement::GiveBack)],
            );
            assert_eq!(settled, [SettleResult::Applied; 3]);
        } else {
            // They go back with the connection, at a time of the broker's choosing.
            return;
        }
        let admin = worker.admin().expect("admin");
        fixture.kill_connections();
        assert_eq!(admin.peek(&mail, State::Ready, 0, 10).unwrap().len(), 1);
        fixture.kill_connections();
        assert_eq!(admin.failed(&mail, 0, 100).unwrap().len() as u64, round + 1);
        fixture.kill_connections();
        assert_eq!(admin.clear(&mail).unwrap(), 1);
    }
}

pub fn a_closed_broker_opens_again_at_the_next_word(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    worker.close();
    push(&*worker, &mail, 1);
    worker.close();
    worker.close();
    let held = take_one(&*worker, &mail);
    if fixture.has_leases() {
        worker.close();
        delete(&*worker, &held);
        assert_total!(&*worker, &mail, 0);
    }
}

/// What the threads of the storm saw.
#[derive(Default)]
struct Log {
    /// Pushes that were confirmed.
    stored: HashSet<u32>,
    /// Pushes of which nobody knows.
    uncertain: HashSet<u32>,
    /// How often each job was deleted for sure.
    deleted: HashMap<u32, u32>,
    /// Jobs whose delete was answered `Lost`.
    perhaps_deleted: HashSet<u32>,
    /// First attempts by job.
    first_attempts: HashMap<u32, u32>,
}

pub fn a_storm_of_killed_connections_loses_and_doubles_nothing(fixture: &Fixture) {
    const JOBS: u32 = 400;
    let (mail, log) = (queue("mail"), Mutex::new(Log::default()));
    let (pushed, pushed_all) = (AtomicU32::new(0), AtomicBool::new(false));
    let (pusher, taker) = (fixture.worker(), fixture.worker());
    thread::scope(|scope| {
        scope.spawn(|| {
            let _over = SetWhenDropped(&pushed_all);
            for number in 0..JOBS {
                push_in_storm(&*pusher, &mail, number, &log);
                pushed.store(number, Ordering::SeqCst);
            }
        });
        scope.spawn(|| {
            let mut idle = 0;
            while idle < 3 {
                let last_look = pushed_all.load(Ordering::SeqCst);
                let took_some = take_in_storm(&*taker, &mail, &log);
                idle = if last_look && !took_some { idle + 1 } else { 0 };
            }
        });
        while !pushed_all.load(Ordering::SeqCst) {
            let before = pushed.load(Ordering::SeqCst);
            fixture.kill_connections();
            // A storm without a pause would let nobody connect.
            while pushed.load(Ordering::SeqCst) == before && !pushed_all.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        }
    });

    // Reservations whose answer broke are rescued by their lease.
    let later = fixture.at(START + 60);
    while take_in_storm(&*later, &mail, &log) {}
    assert_total!(&*later, &mail, 0);

    let log = log.into_inner().expect("no thread panicked");
    for number in &log.stored {
        let surely = log.deleted.get(number).copied().unwrap_or(0);
        assert!(surely == 1 || log.perhaps_deleted.contains(number), "job {number} was deleted {surely} times");
    }
    for (number, times) in &log.deleted {
        assert!(*times == 1, "job {number} was done {times} times");
        assert!(log.stored.contains(number) || log.uncertain.contains(number));
    }
    for (number, times) in &log.first_attempts {
        assert!(*times == 1, "job {number} was handed out {times} times as fresh");
    }
    assert_eq!(log.stored.len() + log.uncertain.len(), JOBS as usize);
}

/// Ends the storm also when the pusher panics.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn push_in_storm(worker: &dyn Broker, queue: &QueueName, number: u32, log: &Mutex<Log>) {
    loop {
        let pushed = worker.push(queue, NewJob::ready(job(number)));
        let mut log = log.lock().expect("no thread panicked");
        match pushed {
            Ok(_) => log.stored.insert(number),
            Err(error) if error.kind() == ErrorKind::Uncertain => log.uncertain.insert(number),
            // Nothing was stored, says the contract: so this is no double.
            Err(error) if error.kind() == ErrorKind::Connection => continue,
            Err(error) => panic!("{error}"),
        };
        return;
    }
}

/// Reserves some jobs and deletes them. Whether there were any, or it is unknown.
fn take_in_storm(worker: &dyn Broker, queue: &QueueName, log: &Mutex<Log>) -> bool {
    let Some(jobs) = broken_or(worker.reserve(std::slice::from_ref(queue), 8, NO_WAIT)) else { return true };
    for job in &jobs {
        if job.attempts == Some(1) {
            *log.lock().expect("no thread panicked").first_attempts.entry(number(&job.body)).or_default() += 1;
        }
        delete_in_storm(worker, job, log);
    }
    !jobs.is_empty()
}

fn delete_in_storm(worker: &dyn Broker, job: &Reservation, log: &Mutex<Log>) {
    let batch = [Settle { claim: job.claim.clone(), settlement: Settlement::Delete }];
    let settled = loop {
        if let Some(settled) = broken_or(worker.settle(&batch)) {
            break settled[0];
        }
    };
    let mut log = log.lock().expect("no thread panicked");
    match settled {
        SettleResult::Applied => *log.deleted.entry(number(&job.body)).or_default() += 1,
        // Carried out before its answer broke, and repeated since.
        SettleResult::Lost => drop(log.perhaps_deleted.insert(number(&job.body))),
    }
}

/// `None` for the errors that a broken connection may cause.
fn broken_or<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if matches!(error.kind(), ErrorKind::Connection | ErrorKind::Uncertain) => None,
        Err(error) => panic!("{error}"),
    }
}
