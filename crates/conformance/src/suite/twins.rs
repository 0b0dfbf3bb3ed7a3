//! Identical bytes pushed twice are two jobs.

use ferry_core::NewJob;
use ferry_core::broker::{SettleResult, Settlement};

use super::tools::*;
use super::{Fixture, START};

const TWIN: &[u8] = br#"{"job":"J","maxTries":null,"timeout":null,"data":1,"id":"twin","attempts":0}"#;

fn push_twins(worker: &dyn ferry_core::Broker, queue: &ferry_core::QueueName, count: usize) {
    for _ in 0..count {
        worker.push(queue, NewJob::ready(TWIN)).unwrap();
    }
}

pub fn twins_are_both_done(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_twins(&*worker, &mail, 3);
    assert_total!(&*worker, &mail, 3);
    let first = take(&*worker, &mail, 10);
    assert!(!first.is_empty());
    assert_total!(&*worker, &mail, 3, "none is merged while another is reserved");
    let deleted: usize = settle_all(&*worker, first.iter().map(|job| (job, Settlement::Delete)))
        .into_iter()
        .filter(|settled| *settled == SettleResult::Applied)
        .count();
    assert_eq!(deleted, first.len());
    assert_eq!(drain(&*worker, &mail).len(), 3 - first.len());
    assert_total!(&*worker, &mail, 0);
}

pub fn a_twin_does_not_hide_the_jobs_behind_it_for_ever(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_twins(&*worker, &mail, 2);
    push(&*worker, &mail, 7);
    let held = take_one(&*worker, &mail);
    delete(&*worker, &held);
    let rest: Vec<Vec<u8>> = drain(&*worker, &mail).into_iter().map(|job| job.body).collect();
    assert_eq!(rest, [TWIN.to_vec(), job(7)]);
}

pub fn released_twins_do_not_merge(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_twins(&*worker, &mail, 2);
    let mut released = 0;
    while released < 2 {
        let fresh: Vec<_> = take(&*worker, &mail, 10).into_iter().filter(|job| job.attempts == Some(1)).collect();
        assert!(!fresh.is_empty(), "{released} of two twins came");
        for job in fresh {
            assert_eq!(settle(&*worker, &job, Settlement::Release { delay: 5 }), SettleResult::Applied);
            released += 1;
        }
    }
    assert_total!(&*worker, &mail, 2);
    assert_eq!(drain(&*fixture.at(START + 100), &mail).len(), 2);
}

pub fn twins_given_back_are_still_two(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_twins(&*worker, &mail, 2);
    let jobs = take(&*worker, &mail, 10);
    let settled = settle_all(&*worker, jobs.iter().map(|job| (job, Settlement::GiveBack)));
    assert!(settled.iter().all(|settled| *settled == SettleResult::Applied));
    assert_sizes!(&*worker, &mail, sizes(2, 0, 0, 0));
    assert_eq!(drain(&*worker, &mail).len(), 2);
}

pub fn twins_whose_worker_died_both_come_back(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_twins(&*worker, &mail, 2);
    let _dead = take(&*worker, &mail, 10);
    assert_eq!(drain(&*fixture.at(START + 60), &mail).len(), 2);
    assert_total!(&*worker, &mail, 0);
}

pub fn buried_twins_are_two_failed_jobs(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_twins(&*worker, &mail, 2);
    for buried in 1..=2 {
        let held = take_one(&*worker, &mail);
        assert_eq!(settle(&*worker, &held, bury(&held)), SettleResult::Applied);
        assert_eq!(size(&*worker, &mail).failed, buried);
    }
}

pub fn poison_twins_are_both_done(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for _ in 0..3 {
        worker.push(&mail, NewJob::ready(&b"zzz"[..])).unwrap();
    }
    assert_eq!(drain(&*worker, &mail).len(), 3);
    assert_total!(&*worker, &mail, 0);
}
