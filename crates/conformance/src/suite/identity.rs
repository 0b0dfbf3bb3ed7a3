//! Promise 10: one id. What a push returned is what the failed store knows.

use ferry_core::broker::{Admin, SettleResult};
use ferry_core::failed::{FailedJob, Filter};
use ferry_core::{Broker, NewJob, QueueName};

use super::Fixture;
use super::tools::*;

/// Pushes and buries a job. Returns what its push returned, where that is a number.
fn fail(worker: &dyn Broker, queue: &QueueName, body: &[u8]) -> Option<i64> {
    let number = worker.push(queue, NewJob::ready(body)).expect("push");
    let held = take_one(worker, queue);
    assert_eq!(settle(worker, &held, bury(&held)), SettleResult::Applied);
    number
}

fn admin(worker: &dyn Broker) -> &dyn Admin {
    worker.admin().expect("admin")
}

fn the_failed_one(worker: &dyn Broker, queue: &QueueName) -> FailedJob {
    let mut jobs = admin(worker).failed(queue, 0, 9).expect("failed");
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

fn retry(worker: &dyn Broker, queue: &QueueName, id: &str) -> u64 {
    admin(worker).retry(queue, &Filter::ids([id.to_owned()]), &mut |_| ()).expect("retry")
}

pub fn a_failed_job_is_known_by_the_id_in_its_payload(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, &job(7));
    let failed = the_failed_one(&*worker, &mail);
    assert_eq!(failed.job_id.as_deref(), Some("id-7"));
    assert_eq!(admin(&*worker).failed_job(&mail, "id-7").expect("failed_job"), Some(failed));
    assert_eq!(retry(&*worker, &mail, "id-7"), 1);
    assert_eq!(take_one(&*worker, &mail).body, job(7));
}

pub fn a_failed_job_is_forgotten_by_the_id_in_its_payload(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, &job(7));
    fail(&*worker, &mail, &job(8));
    assert_eq!(admin(&*worker).forget(&mail, &Filter::ids(["id-7".to_owned()])).expect("forget"), 1);
    assert_eq!(the_failed_one(&*worker, &mail).job_id.as_deref(), Some("id-8"));
}

pub fn a_failed_job_without_an_id_is_known_by_one_of_the_store(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    fail(&*worker, &mail, b"poison");
    let failed = the_failed_one(&*worker, &mail);
    assert!(!failed.id.is_empty());
    assert_eq!(admin(&*worker).failed_job(&mail, &failed.id).expect("failed_job"), Some(failed.clone()));
    assert_eq!(retry(&*worker, &mail, &failed.id), 1);
    assert_eq!(take_one(&*worker, &mail).body, b"poison");
}

pub fn what_a_push_returned_names_the_failed_job(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    // A table leaves ids to its rows: there a payload carries none.
    let body = if worker.capabilities().id_in_payload { job(7) } else { br#"{"job":"J","data":7}"#.to_vec() };
    let number = fail(&*worker, &mail, &body);
    let returned = number.map_or_else(|| "id-7".to_owned(), |number| number.to_string());
    assert_eq!(the_failed_one(&*worker, &mail).job_id, Some(returned.clone()));
    assert_eq!(retry(&*worker, &mail, &returned), 1);
}
