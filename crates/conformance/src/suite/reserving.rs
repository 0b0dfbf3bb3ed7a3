//! Who gets which job, and when nobody does.

use super::tools::*;
use super::{Fixture, START};

pub fn ready_jobs_come_first_in_first_out(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    (0..5).for_each(|number| push(&*worker, &mail, number));
    for number in 0..5 {
        assert_eq!(numbers(&take(&*worker, &mail, 1)), [number]);
    }
}

pub fn the_first_queue_that_has_a_job_is_served(fixture: &Fixture) {
    let worker = fixture.worker();
    let queues = ["high", "middle", "low"].map(queue);
    push(&*worker, &queues[2], 3);
    push(&*worker, &queues[1], 2);
    push(&*worker, &queues[0], 1);
    for number in 1..=3 {
        assert_eq!(numbers(&worker.reserve(&queues, 1, NO_WAIT).unwrap()), [number]);
    }
    push(&*worker, &queues[2], 4);
    assert_eq!(numbers(&worker.reserve(&queues, 1, NO_WAIT).unwrap()), [4], "empty queues in front do not hide it");
}

pub fn one_call_serves_one_queue(fixture: &Fixture) {
    let worker = fixture.worker();
    let queues = ["high", "low"].map(queue);
    push_all(&*worker, &queues[0], 0..2);
    push_all(&*worker, &queues[1], 2..4);
    let first = worker.reserve(&queues, 10, NO_WAIT).unwrap();
    assert_eq!(numbers(&first), [0, 1]);
    assert!(first.iter().all(|job| job.claim.queue == queues[0]));
    let second = worker.reserve(&queues, 10, NO_WAIT).unwrap();
    assert_eq!(numbers(&second), [2, 3]);
    assert!(second.iter().all(|job| job.claim.queue == queues[1]));
}

pub fn no_more_than_asked_for_is_taken(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..10);
    assert_eq!(take(&*worker, &mail, 0).len(), 0);
    assert_eq!(take(&*worker, &mail, 3).len(), 3);
    assert_sizes!(&*worker, &mail, sizes(7, 0, 3, 0));
    assert_eq!(take(&*worker, &mail, 100).len(), 7);
}

pub fn no_queues_and_unknown_queues_give_nothing(fixture: &Fixture) {
    let worker = fixture.worker();
    assert!(worker.reserve(&[], 10, NO_WAIT).unwrap().is_empty());
    assert!(worker.reserve(&[queue("never used"), queue("nor this")], 10, NO_WAIT).unwrap().is_empty());
}

pub fn a_reserved_job_is_not_handed_out_again(fixture: &Fixture) {
    let mail = queue("mail");
    push(&*fixture.worker(), &mail, 1);
    let holder = fixture.worker();
    let _held = take_one(&*holder, &mail);
    assert_nothing_ready(&*holder, &mail);
    assert_nothing_ready(&*fixture.worker(), &mail);
}

pub fn a_reservation_tells_its_queue_attempt_and_second(fixture: &Fixture) {
    let (worker, mail) = (fixture.at(START + 7), queue("mail"));
    push_all(&*worker, &mail, 0..2);
    for job in take(&*worker, &mail, 2) {
        assert_eq!((job.claim.queue, job.attempts, job.reserved_at), (mail.clone(), Some(1), START + 7));
    }
}

pub fn a_pushed_number_is_the_number_of_the_reservation(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let numbered = worker.push(&mail, ferry_core::NewJob::ready(job(1))).unwrap();
    let reserved = take_one(&*worker, &mail);
    assert_eq!(numbered, reserved.number);
    assert_eq!(numbered.is_none(), worker.capabilities().id_in_payload, "a table numbers its rows, a payload its id");
}
