//! Counting, looking and clearing.

use ferry_core::broker::{SettleResult, Settlement, State};
use ferry_core::{Due, NewJob};

use super::tools::*;
use super::{Fixture, START};

pub fn sizes_follow_a_job_through_its_states(fixture: &Fixture) {
    let mail = queue("mail");
    let worker = fixture.worker();
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 0));
    push(&*worker, &mail, 1);
    assert_sizes!(&*worker, &mail, sizes(1, 0, 0, 0));
    let held = take_one(&*worker, &mail);
    assert_sizes!(&*worker, &mail, sizes(0, 0, 1, 0));
    release(&*worker, &held, 10);
    assert_sizes!(&*worker, &mail, sizes(0, 1, 0, 0));
    let later = fixture.at(START + 10);
    let held = take_one(&*later, &mail);
    assert_sizes!(&*later, &mail, sizes(0, 0, 1, 0));
    assert_eq!(settle(&*later, &held, Settlement::GiveBack), SettleResult::Applied);
    assert_sizes!(&*later, &mail, sizes(1, 0, 0, 0));
    let held = take_one(&*later, &mail);
    assert_eq!(settle(&*later, &held, bury(&held)), SettleResult::Applied);
    assert_sizes!(&*later, &mail, sizes(0, 0, 0, 1));
    assert_total!(&*later, &mail, 0, "failed jobs are no work");
}

pub fn clear_removes_all_but_the_failed_jobs(fixture: &Fixture) {
    let (worker, mail, other) = (fixture.worker(), queue("mail"), queue("other"));
    push_all(&*worker, &mail, 0..4);
    push(&*worker, &other, 9);
    let jobs = take(&*worker, &mail, 2);
    assert_eq!(settle(&*worker, &jobs[0], bury(&jobs[0])), SettleResult::Applied);
    worker.push(&mail, NewJob::due(job(5), Due::After(50))).unwrap();
    assert_sizes!(&*worker, &mail, sizes(2, 1, 1, 1));

    let admin = worker.admin().expect("admin");
    assert_eq!(admin.clear(&mail).unwrap(), 4);
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 1));
    assert_eq!(admin.clear(&mail).unwrap(), 0);
    assert_sizes!(&*worker, &other, sizes(1, 0, 0, 0), "other queues stay");
    assert_eq!(settle(&*worker, &jobs[1], Settlement::Release { delay: 0 }), SettleResult::Lost, "a cleared job is not revived");
    assert_nothing_ready(&*fixture.at(START + 3600), &mail);
}

pub fn peek_shows_each_state_next_first_and_changes_nothing(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..6);
    let _held = take(&*worker, &mail, 2);
    for (number, seconds) in [(10, 10), (11, 20)] {
        worker.push(&mail, NewJob::due(job(number), Due::After(seconds))).unwrap();
    }
    let peek = |state, offset, limit| -> Vec<u32> {
        let bodies = worker.admin().expect("admin").peek(&mail, state, offset, limit).unwrap();
        bodies.iter().map(|body| number(body)).collect()
    };
    for _ in 0..2 {
        assert_eq!(peek(State::Ready, 0, 100), [2, 3, 4, 5]);
        assert_eq!(peek(State::Ready, 1, 2), [3, 4]);
        assert_eq!(peek(State::Ready, 4, 2), [0; 0]);
        assert_eq!(peek(State::Ready, 0, 0), [0; 0]);
        assert_eq!(peek(State::Delayed, 0, 100), [10, 11]);
        assert_eq!(peek(State::Delayed, 1, 1), [11]);
        let mut reserved = peek(State::Reserved, 0, 100);
        reserved.sort_unstable();
        assert_eq!(reserved, [0, 1]);
        assert_sizes!(&*worker, &mail, sizes(4, 2, 2, 0));
    }
}

pub fn a_queue_nobody_used_is_empty(fixture: &Fixture) {
    let (worker, never) = (fixture.worker(), queue("never"));
    let admin = worker.admin().expect("admin");
    assert_sizes!(&*worker, &never, sizes(0, 0, 0, 0));
    assert_eq!(admin.clear(&never).unwrap(), 0);
    assert!(admin.failed(&never, 0, 10).unwrap().is_empty());
    for state in [State::Ready, State::Delayed, State::Reserved].into_iter().filter(|_| worker.capabilities().sees_all_states) {
        assert!(admin.peek(&never, state, 0, 10).unwrap().is_empty());
    }
}
