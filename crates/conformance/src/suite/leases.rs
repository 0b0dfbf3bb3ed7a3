//! Reservations that end by themselves, and those that are kept alive.

use ferry_core::broker::{ExtendResult, SettleResult, Settlement};

use super::tools::*;
use super::{Fixture, START, Terms};

pub fn an_expired_reservation_comes_back_with_one_more_attempt(fixture: &Fixture) {
    let mail = queue("mail");
    push(&*fixture.worker(), &mail, 1);
    for attempt in 1..=4 {
        let job = take_one(&*fixture.at(START + 60 * i64::from(attempt)), &mail);
        assert_eq!((number(&job.body), job.attempts), (1, Some(attempt)));
    }
}

pub fn a_reservation_lasts_until_retry_after_and_no_longer(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push(&*worker, &mail, 1);
    let _held = take_one(&*worker, &mail);
    assert_nothing_ready(&*fixture.at(START + 59), &mail);
    assert_eq!(numbers(&take(&*fixture.at(START + 60), &mail, 10)), [1]);
}

pub fn without_retry_after_a_reservation_lasts_for_ever(fixture: &Fixture) {
    let mail = queue("mail");
    let at = |second| fixture.worker_with(Terms { retry_after: None, ..Terms::at(second) });
    let worker = at(START);
    push(&*worker, &mail, 1);
    let held = take_one(&*worker, &mail);
    assert_nothing_ready(&*at(START), &mail);
    assert_nothing_ready(&*at(START + 10 * 365 * 86_400), &mail);
    assert_eq!(worker.extend(std::slice::from_ref(&held.claim)).unwrap(), [ExtendResult::Kept]);
    delete(&*worker, &held);
    assert_total!(&*worker, &mail, 0);
}

pub fn extend_keeps_a_job_beyond_retry_after(fixture: &Fixture) {
    let mail = queue("mail");
    let worker = fixture.worker();
    push(&*worker, &mail, 1);
    let held = take_one(&*worker, &mail);
    for second in [50, 100, 150] {
        assert_eq!(fixture.at(START + second).extend(std::slice::from_ref(&held.claim)).unwrap(), [ExtendResult::Kept]);
        assert_nothing_ready(&*fixture.at(START + second + 49), &mail);
    }
    assert_nothing_ready(&*fixture.at(START + 209), &mail);
    assert_eq!(take_one(&*fixture.at(START + 210), &mail).attempts, Some(2));
}

pub fn an_extended_job_is_settled_by_the_same_claim(fixture: &Fixture) {
    let mail = queue("mail");
    push(&*fixture.worker(), &mail, 1);
    let held = take_one(&*fixture.worker(), &mail);
    let later = fixture.at(START + 50);
    assert_eq!(later.extend(std::slice::from_ref(&held.claim)).unwrap(), [ExtendResult::Kept]);
    delete(&*later, &held);
    assert_total!(&*later, &mail, 0);
}

pub fn extending_a_settled_job_is_lost(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for (number, how) in (0..).zip([Settlement::Delete, Settlement::Release { delay: 5 }, Settlement::GiveBack]) {
        push(&*worker, &mail, number);
        let held = take_one(&*worker, &mail);
        assert_eq!(settle(&*worker, &held, how.clone()), SettleResult::Applied);
        let before = size(&*worker, &mail);
        assert_eq!(worker.extend(std::slice::from_ref(&held.claim)).unwrap(), [ExtendResult::Lost], "{how:?}");
        assert_eq!(size(&*worker, &mail), before, "{how:?}");
    }
}

pub fn extending_after_a_takeover_is_lost_and_leaves_the_new_lease_alone(fixture: &Fixture) {
    let mail = queue("mail");
    push(&*fixture.worker(), &mail, 1);
    let slow = fixture.worker();
    let stale = take_one(&*slow, &mail);
    let held = take_one(&*fixture.at(START + 60), &mail);
    assert_eq!(fixture.at(START + 110).extend(std::slice::from_ref(&stale.claim)).unwrap(), [ExtendResult::Lost]);
    assert_nothing_ready(&*fixture.at(START + 119), &mail);
    let next = fixture.at(START + 120);
    assert_eq!(take_one(&*next, &mail).attempts, held.attempts.map(|attempts| attempts + 1));
}

pub fn extend_answers_each_claim_in_order(fixture: &Fixture) {
    let worker = fixture.worker();
    let queues = ["a", "b"].map(queue);
    push_all(&*worker, &queues[0], 0..2);
    push_all(&*worker, &queues[1], 2..4);
    let (a, b) = (take(&*worker, &queues[0], 2), take(&*worker, &queues[1], 2));
    delete(&*worker, &a[1]);
    delete(&*worker, &b[0]);
    let claims = [&a[0], &b[0], &a[1], &b[1]].map(|job| job.claim.clone());
    let expected = [ExtendResult::Kept, ExtendResult::Lost, ExtendResult::Lost, ExtendResult::Kept];
    assert_eq!(worker.extend(&claims).unwrap(), expected);
}

pub fn extending_nothing_is_fine(fixture: &Fixture) {
    assert!(fixture.worker().extend(&[]).unwrap().is_empty());
}

pub fn a_left_job_stays_reserved_and_comes_back_after_retry_after(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push(&*worker, &mail, 1);
    let held = take_one(&*worker, &mail);
    assert_eq!(settle(&*worker, &held, Settlement::Leave), SettleResult::Applied);
    assert_total!(&*worker, &mail, 1);
    assert_nothing_ready(&*fixture.at(START + 59), &mail);
    let back = take_one(&*fixture.at(START + 60), &mail);
    assert_eq!((number(&back.body), back.attempts), (1, Some(2)));
}

pub fn hundreds_of_reservations_that_expire_at_once_all_come_back(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..700);
    assert_eq!(take(&*worker, &mail, 700).len(), 700);
    let later = fixture.at(START + 60);
    let back = drain(&*later, &mail);
    assert!(back.iter().all(|job| job.attempts == Some(2)));
    let mut seen = numbers(&back);
    seen.sort_unstable();
    assert_eq!(seen, (0..700).collect::<Vec<_>>());
    assert_total!(&*later, &mail, 0);
}
