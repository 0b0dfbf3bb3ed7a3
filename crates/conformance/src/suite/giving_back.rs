//! Jobs that were reserved and never started.

use ferry_core::NewJob;
use ferry_core::broker::{SettleResult, Settlement};

use super::tools::*;
use super::{Fixture, START};

pub fn giving_back_restores_bytes_order_and_attempts_at_the_head(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..6);
    let jobs = take(&*worker, &mail, 4);
    let settled = settle_all(
        &*worker,
        [
            (&jobs[0], Settlement::Delete),
            (&jobs[1], Settlement::GiveBack),
            (&jobs[2], Settlement::GiveBack),
            (&jobs[3], Settlement::GiveBack),
        ],
    );
    assert_eq!(settled, [SettleResult::Applied; 4]);
    assert_sizes!(&*worker, &mail, sizes(5, 0, 0, 0));
    let again = take(&*worker, &mail, 64);
    assert_eq!(numbers(&again), [1, 2, 3, 4, 5]);
    assert!(again.iter().all(|reserved| reserved.attempts == Some(1) && reserved.body == job(number(&reserved.body))));
}

pub fn giving_back_burns_no_attempt_of_a_job_that_was_tried(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push(&*worker, &mail, 1);
    release(&*worker, &take_one(&*worker, &mail), 0);
    for _ in 0..5 {
        let tried = take_one(&*worker, &mail);
        assert_eq!(tried.attempts, Some(2));
        assert_eq!(settle(&*worker, &tried, Settlement::GiveBack), SettleResult::Applied);
    }
}

pub fn giving_back_goes_ahead_of_jobs_pushed_meanwhile(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push(&*worker, &mail, 1);
    let first = take_one(&*worker, &mail);
    push(&*worker, &mail, 2);
    assert_eq!(settle(&*worker, &first, Settlement::GiveBack), SettleResult::Applied);
    assert_eq!(numbers(&take(&*worker, &mail, 64)), [1, 2]);
}

pub fn poison_is_given_back_with_its_bytes(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    worker.push(&mail, NewJob::ready(&b"\xff\x00 no job"[..])).unwrap();
    push(&*worker, &mail, 1);
    let poison = take_one(&*worker, &mail);
    assert_eq!(settle(&*worker, &poison, Settlement::GiveBack), SettleResult::Applied);
    assert_eq!(take_one(&*worker, &mail).body, b"\xff\x00 no job");
    assert_eq!(numbers(&take(&*worker, &mail, 64)), [1]);
}

pub fn giving_back_after_a_takeover_is_lost_and_changes_nothing(fixture: &Fixture) {
    let mail = queue("mail");
    let slow = fixture.worker();
    push(&*slow, &mail, 1);
    let stale = take_one(&*slow, &mail);
    let quick = fixture.at(START + 60);
    let held = take_one(&*quick, &mail);
    assert_eq!(settle(&*slow, &stale, Settlement::GiveBack), SettleResult::Lost);
    assert_sizes!(&*quick, &mail, sizes(0, 0, 1, 0));
    assert_nothing_ready(&*quick, &mail);
    delete(&*quick, &held);
}

pub fn of_a_batch_given_back_only_what_is_still_ours_returns(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..3);
    let jobs = take(&*worker, &mail, 3);
    delete(&*worker, &jobs[1]);
    let settled = settle_all(&*worker, jobs.iter().map(|job| (job, Settlement::GiveBack)));
    assert_eq!(settled, [SettleResult::Applied, SettleResult::Lost, SettleResult::Applied]);
    assert_eq!(numbers(&take(&*worker, &mail, 64)), [0, 2]);
}
