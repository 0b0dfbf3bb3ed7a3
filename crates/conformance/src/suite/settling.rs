//! The ways in which a reservation ends.

use ferry_core::broker::{SettleResult, Settlement};

use super::tools::*;
use super::{Fixture, START};

pub fn a_released_job_keeps_its_attempts_and_returns_after_its_delay(fixture: &Fixture) {
    let mail = queue("mail");
    let worker = fixture.worker();
    push(&*worker, &mail, 1);
    release(&*worker, &take_one(&*worker, &mail), 30);
    assert_sizes!(&*worker, &mail, sizes(0, 1, 0, 0));
    assert_nothing_ready(&*fixture.at(START + 29), &mail);
    let later = fixture.at(START + 30);
    let again = take_one(&*later, &mail);
    assert_eq!((number(&again.body), again.attempts), (1, Some(2)));
    release(&*later, &again, 5);
    assert_eq!(take_one(&*fixture.at(START + 35), &mail).attempts, Some(3));
}

pub fn a_job_released_without_delay_is_ready_at_once(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for (number, delay) in [(1, 0), (2, -1), (3, -100_000)] {
        push(&*worker, &mail, number);
        release(&*worker, &take_one(&*worker, &mail), delay);
        let again = take_one(&*worker, &mail);
        assert_eq!((numbers(std::slice::from_ref(&again)), again.attempts), (vec![number], Some(2)));
        delete(&*worker, &again);
    }
}

pub fn a_released_job_goes_behind_the_ready_ones(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..3);
    release(&*worker, &take_one(&*worker, &mail), 0);
    assert_eq!(numbers(&drain(&*worker, &mail)), [1, 2, 0]);
}

pub fn a_second_settle_of_a_claim_is_lost(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for first in [Settlement::Delete, Settlement::Release { delay: 9 }, Settlement::GiveBack] {
        push(&*worker, &mail, 1);
        let held = take_one(&*worker, &mail);
        assert_eq!(settle(&*worker, &held, first.clone()), SettleResult::Applied);
        let before = size(&*worker, &mail);
        for second in [Settlement::Delete, Settlement::Release { delay: 0 }, Settlement::GiveBack, Settlement::Leave, bury(&held)]
        {
            assert_eq!(settle(&*worker, &held, second.clone()), SettleResult::Lost, "{second:?} after {first:?}");
            assert_eq!(size(&*worker, &mail), before, "{second:?} after {first:?}");
        }
        worker.admin().expect("every driver here has admin words").clear(&mail).unwrap();
    }
}

pub fn a_claim_named_twice_in_a_batch_is_settled_once(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push(&*worker, &mail, 1);
    let held = take_one(&*worker, &mail);
    let settled = settle_all(&*worker, [(&held, Settlement::Release { delay: 5 }), (&held, Settlement::Release { delay: 5 })]);
    assert_eq!(settled.iter().filter(|settled| **settled == SettleResult::Applied).count(), 1, "{settled:?}");
    assert_sizes!(&*worker, &mail, sizes(0, 1, 0, 0));
}

pub fn a_repeated_batch_is_lost_as_a_whole(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..3);
    let jobs = take(&*worker, &mail, 3);
    let hows = [Settlement::Delete, Settlement::Release { delay: 9 }, bury(&jobs[2])];
    let batch = || jobs.iter().zip(hows.iter().cloned());
    assert_eq!(settle_all(&*worker, batch()), [SettleResult::Applied; 3]);
    let before = size(&*worker, &mail);
    assert_eq!(settle_all(&*worker, batch()), [SettleResult::Lost; 3]);
    assert_eq!(size(&*worker, &mail), before);
}

pub fn a_batch_over_several_queues_answers_in_order(fixture: &Fixture) {
    let worker = fixture.worker();
    let queues = ["a", "b", "c"].map(queue);
    for (number, queue) in (0..).zip(&queues) {
        push_all(&*worker, queue, number * 2..number * 2 + 2);
    }
    let jobs: Vec<_> = queues.iter().flat_map(|queue| take(&*worker, queue, 2)).collect();
    delete(&*worker, &jobs[1]);
    delete(&*worker, &jobs[4]);
    let settled = settle_all(
        &*worker,
        [
            (&jobs[0], Settlement::Delete),
            (&jobs[2], Settlement::Release { delay: 60 }),
            (&jobs[4], Settlement::Delete),
            (&jobs[5], Settlement::GiveBack),
            (&jobs[1], Settlement::GiveBack),
            (&jobs[3], bury(&jobs[3])),
        ],
    );
    let (done, lost) = (SettleResult::Applied, SettleResult::Lost);
    assert_eq!(settled, [done, done, lost, done, lost, done]);
    assert_sizes!(&*worker, &queues[0], sizes(0, 0, 0, 0));
    assert_sizes!(&*worker, &queues[1], sizes(0, 1, 0, 1));
    assert_sizes!(&*worker, &queues[2], sizes(1, 0, 0, 0));
}

pub fn settling_nothing_is_fine(fixture: &Fixture) {
    assert!(fixture.worker().settle(&[]).unwrap().is_empty());
}

pub fn a_thousand_jobs_are_settled_in_one_batch(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..1_000);
    let jobs = take(&*worker, &mail, 1_000);
    assert_eq!(jobs.len(), 1_000);
    let settled = settle_all(&*worker, jobs.iter().map(|job| (job, Settlement::Delete)));
    assert!(settled.iter().all(|settled| *settled == SettleResult::Applied));
    assert_total!(&*worker, &mail, 0);
}

pub fn one_job_may_be_settled_by_a_worker_other_than_its_reserver(fixture: &Fixture) {
    // The settle thread and PHP's thread have sockets of their own. A driver whose claims are bound to a connection has no leases.
    let mail = queue("mail");
    push(&*fixture.worker(), &mail, 1);
    let held = take_one(&*fixture.worker(), &mail);
    delete(&*fixture.worker(), &held);
    assert_total!(&*fixture.worker(), &mail, 0);
}
