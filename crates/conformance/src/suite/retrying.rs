//! Failed jobs: made ready again, or forgotten.

use std::thread;

use ferry_core::broker::{Admin, SettleResult, Settlement};
use ferry_core::failed::{FailedJob, Filter};
use ferry_core::{Broker, Due, NewJob, QueueName};

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
    let mut jobs = admin(worker).failed(queue, 0, u64::MAX).expect("failed");
    jobs.reverse();
    jobs.truncate(usize::try_from(limit).expect("a small number"));
    jobs
}

/// Makes these jobs ready again and returns how many were.
fn retry(worker: &dyn Broker, queue: &QueueName, jobs: &[FailedJob]) -> u64 {
    admin(worker).retry(queue, &these(jobs), &mut |_| ()).expect("retry")
}

/// Removes these jobs for good and returns how many were.
fn forget(worker: &dyn Broker, queue: &QueueName, jobs: &[FailedJob]) -> u64 {
    admin(worker).forget(queue, &these(jobs)).expect("forget")
}

fn these(jobs: &[FailedJob]) -> Filter {
    Filter::ids(jobs.iter().map(|job| job.id.clone()))
}

fn ready(worker: &dyn Broker, queue: &QueueName) -> Vec<u32> {
    drain(worker, queue).iter().map(|job| number(&job.body)).collect()
}

pub fn a_retried_job_is_ready_again_and_was_never_tried(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, [job(1)]);
    assert_eq!(retry(&*worker, &mail, &oldest(&*worker, &mail, 9)), 1);
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
    assert_eq!(retry(&*worker, &mail, &oldest(&*worker, &mail, 1)), 1);
    let held = take_one(&*worker, &mail);
    assert_eq!((held.attempts, held.body.as_slice()), (Some(1), job(1).as_slice()));
}

pub fn retried_jobs_go_behind_the_ready_ones_in_the_order_in_which_they_failed(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (1..=5).map(job));
    // Where retried jobs get their ids back, the order within one second is that of ids: this one has been due for a second.
    let due = if worker.capabilities().id_in_payload { Due::Now } else { Due::After(-1) };
    worker.push(&mail, NewJob::due(job(9), due)).expect("push");
    assert_eq!(retry(&*worker, &mail, &oldest(&*worker, &mail, 9)), 5);
    assert_eq!(ready(&*worker, &mail), [9, 1, 2, 3, 4, 5]);
}

pub fn poison_is_retried_with_its_bytes(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for body in [&b"\xff\x00\r\n"[..], b"null", b""] {
        fail(&*worker, &mail, [body.to_vec()]);
        assert_eq!(retry(&*worker, &mail, &oldest(&*worker, &mail, 9)), 1);
        assert_eq!(drain(&*worker, &mail)[0].body, body);
    }
}

pub fn a_job_that_is_not_failed_any_more_is_neither_retried_nor_forgotten(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (1..=3).map(job));
    let jobs = oldest(&*worker, &mail, 9);
    assert_eq!(forget(&*worker, &mail, &jobs[1..2]), 1);
    assert_eq!(retry(&*worker, &mail, &jobs), 2);
    assert_eq!(retry(&*worker, &mail, &jobs), 0);
    assert_eq!(forget(&*worker, &mail, &jobs), 0);
    assert_eq!(retry(&*worker, &mail, &[]), 0);
    assert_eq!(ready(&*worker, &mail), [1, 3]);
}

pub fn a_job_named_twice_is_retried_once(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (1..=2).map(job));
    let first = oldest(&*worker, &mail, 1).remove(0);
    assert_eq!(retry(&*worker, &mail, &[first.clone(), first]), 1);
    assert_eq!(ready(&*worker, &mail), [1]);
    assert_eq!(size(&*worker, &mail).failed, 1);
}

pub fn a_forgotten_job_is_gone_and_the_others_stay(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (1..=3).map(job));
    let newest = admin(&*worker).failed(&mail, 0, 1).unwrap();
    assert_eq!(forget(&*worker, &mail, &newest), 1);
    let left: Vec<u32> = oldest(&*worker, &mail, 9).iter().map(|job| number(&job.payload)).collect();
    assert_eq!(left, [1, 2]);
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 2));
}

pub fn failed_jobs_of_another_queue_are_left_alone(fixture: &Fixture) {
    let (worker, mail, other) = (fixture.worker(), queue("mail"), queue("other"));
    fail(&*worker, &mail, [job(1)]);
    fail(&*worker, &other, [job(2)]);
    let jobs = oldest(&*worker, &mail, 9);
    assert_eq!(retry(&*worker, &other, &jobs), 0);
    assert_eq!(forget(&*worker, &other, &jobs), 0);
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 1));
    assert_sizes!(&*worker, &other, sizes(0, 0, 0, 1));
}

pub fn jobs_of_a_class_are_retried_and_forgotten_among_many_others(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let class = |number: u32| if number.is_multiple_of(3) { "K" } else { "J" };
    let body = |number| String::from_utf8(job(number)).expect("JSON").replacen("\"J\"", &format!("\"{}\"", class(number)), 1);
    fail(&*worker, &mail, (0..30).map(|number| body(number).into_bytes()));
    let of_class = |class: &str| Filter { class: Some(class.to_owned()), ..Filter::default() };
    let mut seen = 0;
    let retried = admin(&*worker).retry(&mail, &of_class("K"), &mut |jobs| seen += jobs.len()).expect("retry");
    assert_eq!((retried, seen), (10, 10));
    assert_eq!(ready(&*worker, &mail), (0..30).step_by(3).collect::<Vec<_>>());
    assert_eq!(admin(&*worker).forget(&mail, &of_class("J")).expect("forget"), 20);
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 0));
}

pub fn hundreds_of_failed_jobs_are_retried_in_one_call(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (0..600).map(job));
    assert_eq!(admin(&*worker).retry(&mail, &Filter::all(), &mut |_| ()).expect("retry"), 600);
    assert_eq!(ready(&*worker, &mail), (0..600).collect::<Vec<_>>());
}

pub fn a_failed_job_is_found_by_its_id(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (0..3).map(job));
    for failed in oldest(&*worker, &mail, 3) {
        assert_eq!(admin(&*worker).failed_job(&mail, &failed.id).expect("failed_job"), Some(failed));
    }
    assert_eq!(admin(&*worker).failed_job(&mail, "none").expect("failed_job"), None);
}

pub fn a_job_that_fails_again_while_others_are_retried_is_retried_once(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, (0..3).map(job));
    let mut added = false;
    let mut before = |_: &[FailedJob]| {
        if !std::mem::replace(&mut added, true) {
            fail(&*fixture.worker(), &mail, [job(9)]);
        }
    };
    assert_eq!(admin(&*worker).retry(&mail, &Filter::all(), &mut before).expect("retry"), 3);
    assert_sizes!(&*worker, &mail, sizes(3, 0, 0, 1));
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
    assert_eq!(retry(&*worker, &mail, &listed), 20);
    let rest = oldest(&*worker, &mail, 1000);
    assert_eq!(rest.len(), JOBS as usize - 20);
    assert_eq!(forget(&*worker, &mail, &rest), u64::from(JOBS) - 20);
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
        retried += retry(worker, queue, &jobs);
    }
}
