//! Failed jobs: made ready again, or forgotten.

use std::thread;

use ferry_core::broker::{Admin, SettleResult, Settlement};
use ferry_core::failed::{FailedJob, FailedPosition};
use ferry_core::{Broker, NewJob, QueueName};

use super::Fixture;
use super::tools::*;

/// Pushes, reserves and buries one job after the other.
fn fail(worker: &dyn Broker, queue: &QueueName, bodies: impl IntoIterator<Item = Vec<u8>>) {
    for body in bodies {
        worker.push(queue, NewJob::ready(body)).expect("push");
        let held = take_one(worker, queue);
        assert_eq!(settle(worker, &held, bury(&held)), SettleResult::Applied);
    }
}

fn admin(worker: &dyn Broker) -> &dyn Admin {
    worker.admin().expect("admin")
}

fn oldest(worker: &dyn Broker, queue: &QueueName, limit: u64) -> Vec<FailedJob> {
    let page = admin(worker).oldest_failed(queue, None, limit).expect("oldest_failed");
    page.expect("a walk that begins has lost no place")
}

fn ready(worker: &dyn Broker, queue: &QueueName) -> Vec<u32> {
    drain(worker, queue).iter().map(|job| number(&job.body)).collect()
}

pub fn a_retried_job_is_ready_again_and_was_never_tried(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, [job(1)]);
    assert_eq!(admin(&*worker).retry(&mail, &oldest(&*worker, &mail, 9)).unwrap(), 1);
    assert_sizes!(&*worker, &mail, sizes(1, 0, 0, 0));
    let held = take_one(&*worker, &mail);
    assert_eq!((held.attempts, held.body.as_slice()), (Some(1), job(1).as_slice()));
    assert_eq!(settle(&*worker, &held, Settlement::Delete), SettleResult::Applied);
}

pub fn a_job_that_was_tried_often_begins_anew(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push(&*worker, &mail, 1);
    let mut second = super::START;
    for _ in 0..3 {
        let worker = fixture.at(second);
        release(&*worker, &take_one(&*worker, &mail), 1);
        second += 1;
    }
    let worker = fixture.at(second);
    let held = take_one(&*worker, &mail);
    assert_eq!(held.attempts, Some(4));
    assert_eq!(settle(&*worker, &held, bury(&held)), SettleResult::Applied);
    assert_eq!(admin(&*worker).retry(&mail, &oldest(&*worker, &mail, 1)).unwrap(), 1);
    let held = take_one(&*worker, &mail);
    assert_eq!((held.attempts, held.body.as_slice()), (Some(1), job(1).as_slice()));
}

pub fn retried_jobs_go_behind_the_ready_ones_in_the_order_in_which_they_failed(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (1..=5).map(job));
    push(&*worker, &mail, 9);
    assert_eq!(admin(&*worker).retry(&mail, &oldest(&*worker, &mail, 9)).unwrap(), 5);
    assert_eq!(ready(&*worker, &mail), [9, 1, 2, 3, 4, 5]);
}

pub fn poison_is_retried_with_its_bytes(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for body in [&b"\xff\x00\r\n"[..], b"null", b""] {
        fail(&*worker, &mail, [body.to_vec()]);
        assert_eq!(admin(&*worker).retry(&mail, &oldest(&*worker, &mail, 9)).unwrap(), 1);
        assert_eq!(drain(&*worker, &mail)[0].body, body);
    }
}

pub fn a_job_that_is_not_failed_any_more_is_neither_retried_nor_forgotten(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (1..=3).map(job));
    let jobs = oldest(&*worker, &mail, 9);
    assert_eq!(admin(&*worker).forget(&mail, &jobs[1..2]).unwrap(), 1);
    assert_eq!(admin(&*worker).retry(&mail, &jobs).unwrap(), 2);
    assert_eq!(admin(&*worker).retry(&mail, &jobs).unwrap(), 0);
    assert_eq!(admin(&*worker).forget(&mail, &jobs).unwrap(), 0);
    assert_eq!(admin(&*worker).retry(&mail, &[]).unwrap(), 0);
    assert_eq!(ready(&*worker, &mail), [1, 3]);
}

pub fn a_job_named_twice_is_retried_once(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (1..=2).map(job));
    let first = oldest(&*worker, &mail, 1).remove(0);
    assert_eq!(admin(&*worker).retry(&mail, &[first.clone(), first]).unwrap(), 1);
    assert_eq!(ready(&*worker, &mail), [1]);
    assert_eq!(size(&*worker, &mail).failed, 1);
}

pub fn a_forgotten_job_is_gone_and_the_others_stay(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (1..=3).map(job));
    let newest = admin(&*worker).failed(&mail, 0, 1).unwrap();
    assert_eq!(admin(&*worker).forget(&mail, &newest).unwrap(), 1);
    let left: Vec<u32> = oldest(&*worker, &mail, 9).iter().map(|job| number(&job.payload)).collect();
    assert_eq!(left, [1, 2]);
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 2));
}

pub fn failed_jobs_of_another_queue_are_left_alone(fixture: &Fixture) {
    let (worker, mail, other) = (fixture.worker(), queue("mail"), queue("other"));
    fail(&*worker, &mail, [job(1)]);
    fail(&*worker, &other, [job(2)]);
    let jobs = oldest(&*worker, &mail, 9);
    assert_eq!(admin(&*worker).retry(&other, &jobs).unwrap(), 0);
    assert_eq!(admin(&*worker).forget(&other, &jobs).unwrap(), 0);
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 1));
    assert_sizes!(&*worker, &other, sizes(0, 0, 0, 1));
}

pub fn a_walk_from_the_oldest_meets_every_job_once(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (0..10).map(job));
    let (mut met, mut passed): (Vec<u32>, Option<FailedPosition>) = (Vec::new(), None);
    loop {
        let page = admin(&*worker).oldest_failed(&mail, passed.as_ref(), 3).unwrap().expect("nobody else is here");
        let Some(last) = page.last() else { break };
        met.extend(page.iter().map(|job| number(&job.payload)));
        passed = Some(FailedPosition { count: met.len() as u64, last: last.id.clone() });
    }
    assert_eq!(met, (0..10).collect::<Vec<_>>());
}

pub fn looks_in_a_row_and_at_once_see_every_failed_job(fixture: &Fixture) {
    const JOBS: u32 = 150;
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (0..JOBS).map(job));
    let all: Vec<u32> = (0..JOBS).rev().collect();
    let look = || {
        let failed = admin(&*worker).failed(&mail, 0, 1000).unwrap();
        assert_eq!(failed.iter().map(|job| number(&job.payload)).collect::<Vec<u32>>(), all);
    };
    for _ in 0..10 {
        look();
    }
    thread::scope(|scope| {
        for _ in 0..3 {
            let other = fixture.worker();
            let (mail, all) = (&mail, &all);
            scope.spawn(move || {
                let failed = admin(&*other).failed(mail, 0, 1000).unwrap();
                assert_eq!(failed.iter().map(|job| number(&job.payload)).collect::<Vec<u32>>(), *all);
            });
        }
    });
    let listed = oldest(&*worker, &mail, 20);
    look();
    assert_eq!(admin(&*worker).retry(&mail, &listed).unwrap(), 20);
    let rest = oldest(&*worker, &mail, 1000);
    assert_eq!(rest.len(), JOBS as usize - 20);
    assert_eq!(admin(&*worker).forget(&mail, &rest).unwrap(), u64::from(JOBS) - 20);
    assert_sizes!(&*worker, &mail, sizes(20, 0, 0, 0));
}

pub fn of_several_who_retry_at_once_one_gets_each_job(fixture: &Fixture) {
    let mail = queue("mail");
    fail(&*fixture.worker(), &mail, (0..200).map(job));
    let retried: u64 = thread::scope(|scope| {
        let retriers: Vec<_> = (0..4).map(|_| scope.spawn(|| retry_all(&*fixture.worker(), &mail))).collect();
        retriers.into_iter().map(|retrier| retrier.join().expect("no retrier panics")).sum()
    });
    let worker = fixture.worker();
    let mut all = ready(&*worker, &mail);
    all.sort_unstable();
    assert_eq!((retried, all), (200, (0..200).collect::<Vec<_>>()));
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 0));
}

fn retry_all(worker: &dyn Broker, queue: &QueueName) -> u64 {
    let mut retried = 0;
    loop {
        let jobs = oldest(worker, queue, 7);
        if jobs.is_empty() {
            return retried;
        }
        retried += admin(worker).retry(queue, &jobs).expect("retry");
    }
}
