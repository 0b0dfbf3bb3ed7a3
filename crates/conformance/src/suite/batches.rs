//! Promise 5: innocent neighbours keep their tries.

use ferry_core::NewJob;
use ferry_core::broker::{SettleResult, Settlement};

use super::tools::*;
use super::{Fixture, START};

pub fn fresh_jobs_share_a_batch(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for (number, tries) in (0..).zip(["null", "0", "10", "\"12\"", "2"]) {
        worker.push(&mail, NewJob::ready(job_with_tries(number, tries))).unwrap();
    }
    assert_eq!(numbers(&take(&*worker, &mail, 64)), [0, 1, 2, 3, 4]);
}

pub fn a_job_with_one_try_is_reserved_alone(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for (number, tries) in (0..).zip(["1", "1", "\"1\"", " 1 "]) {
        worker.push(&mail, NewJob::ready(job_with_tries(number, tries))).unwrap();
    }
    for number in 0..4 {
        assert_eq!(numbers(&take(&*worker, &mail, 64)), [number]);
    }
}

pub fn a_batch_ends_before_a_job_that_stands_alone(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..2);
    worker.push(&mail, NewJob::ready(job_with_tries(2, "1"))).unwrap();
    push_all(&*worker, &mail, 3..5);
    let batches: Vec<Vec<u32>> = (0..3).map(|_| numbers(&take(&*worker, &mail, 64))).collect();
    if fixture.lone_jobs_keep_their_place() {
        assert_eq!(batches, [vec![0, 1], vec![2], vec![3, 4]]);
    } else {
        assert_eq!(batches, [vec![0, 1, 3, 4], vec![2], vec![]]);
    }
}

pub fn a_released_job_is_reserved_alone(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..2);
    let jobs = take(&*worker, &mail, 2);
    let settled = settle_all(&*worker, [(&jobs[0], Settlement::GiveBack), (&jobs[1], Settlement::Release { delay: 0 })]);
    assert_eq!(settled, [SettleResult::Applied; 2]);
    let first = take(&*worker, &mail, 64);
    assert_eq!((numbers(&first), first[0].attempts), (vec![0], Some(1)));
    let second = take(&*worker, &mail, 64);
    assert_eq!((numbers(&second), second[0].attempts), (vec![1], Some(2)));
}

pub fn an_expired_batch_comes_back_one_by_one(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..4);
    assert_eq!(take(&*worker, &mail, 64).len(), 4);
    let later = fixture.at(START + 60);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let jobs = take(&*later, &mail, 64);
        assert_eq!((jobs.len(), jobs[0].attempts), (1, Some(2)), "a dead worker costs its neighbours one attempt at most");
        seen.extend(numbers(&jobs));
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3]);
}
