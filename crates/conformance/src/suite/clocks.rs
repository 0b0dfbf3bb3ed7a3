//! Due times: exactly at their second, not before.

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::{Due, NewJob};

use super::tools::*;
use super::{Fixture, START, Terms};

pub fn a_delayed_job_is_due_exactly_at_its_second(fixture: &Fixture) {
    let mail = queue("mail");
    fixture.worker().push(&mail, NewJob::due(job(1), Due::After(10))).unwrap();
    assert_sizes!(&*fixture.worker(), &mail, sizes(0, 1, 0, 0));
    assert_nothing_ready(&*fixture.worker(), &mail);
    assert_nothing_ready(&*fixture.at(START + 9), &mail);
    let job = take_one(&*fixture.at(START + 10), &mail);
    assert_eq!(job.attempts, Some(1), "waiting burns no attempt");
}

pub fn a_job_due_at_a_second_comes_at_that_second(fixture: &Fixture) {
    let mail = queue("mail");
    fixture.worker().push(&mail, NewJob::due(job(1), Due::At(START + 100))).unwrap();
    assert_nothing_ready(&*fixture.at(START + 99), &mail);
    assert_eq!(numbers(&take(&*fixture.at(START + 100), &mail, 10)), [1]);
}

pub fn delays_of_zero_or_less_and_past_seconds_are_due_at_once(fixture: &Fixture) {
    let worker = fixture.worker();
    for (number, due) in (0..).zip([Due::After(0), Due::After(-5), Due::At(START), Due::At(START - 1000), Due::At(0)]) {
        let mail = queue(&format!("mail-{number}"));
        worker.push(&mail, NewJob::due(job(number), due)).unwrap();
        assert_total!(&*worker, &mail, 1, "{due:?}");
        assert_eq!(numbers(&take(&*worker, &mail, 10)), [number], "{due:?}");
    }
}

pub fn delayed_jobs_come_in_the_order_of_their_seconds(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for number in 1..=5 {
        worker.push(&mail, NewJob::due(job(number), Due::After(i64::from(number)))).unwrap();
    }
    assert_eq!(numbers(&take(&*fixture.at(START + 3), &mail, 10)), [1, 2, 3]);
    assert_eq!(numbers(&take(&*fixture.at(START + 9), &mail, 10)), [4, 5]);
}

pub fn the_latest_second_there_is_can_be_waited_for(fixture: &Fixture) {
    let mail = queue("mail");
    fixture.worker().push(&mail, NewJob::due(job(1), Due::At(Due::LATEST))).unwrap();
    assert_nothing_ready(&*fixture.at(Due::LATEST - 1), &mail);
    assert_eq!(numbers(&take(&*fixture.at(Due::LATEST), &mail, 10)), [1]);
}

pub fn hundreds_of_jobs_due_at_once_all_come(fixture: &Fixture) {
    let mail = queue("mail");
    let jobs: Vec<NewJob<'_>> = (0..700).map(|number| NewJob::due(job(number), Due::After(1))).collect();
    assert_eq!(fixture.worker().push_many(&mail, &jobs).unwrap(), 700);
    let later = fixture.at(START + 1);
    let mut seen = numbers(&drain(&*later, &mail));
    seen.sort_unstable();
    assert_eq!(seen, (0..700).collect::<Vec<_>>());
    assert_total!(&*later, &mail, 0);
}

pub fn without_a_fixed_second_the_brokers_own_clock_counts(fixture: &Fixture) {
    let mail = queue("mail");
    let worker = fixture.worker_with(Terms { now: None, ..Terms::at(0) });
    let before = SystemClock.now();
    worker.push(&mail, NewJob::due(job(1), Due::After(0))).unwrap();
    worker.push(&mail, NewJob::due(job(2), Due::After(3600))).unwrap();
    worker.push(&mail, NewJob::due(job(3), Due::At(before + 3600))).unwrap();
    let jobs = take(&*worker, &mail, 10);
    assert_eq!(numbers(&jobs), [1]);
    let reserved_at = jobs[0].reserved_at;
    assert!((before - 1..=SystemClock.now() + 1).contains(&reserved_at), "servers of these tests run on this machine's clock");
    assert_sizes!(&*worker, &mail, sizes(0, 2, 1, 0));
}
