//! Promise 4: nothing vanishes.

use ferry_core::broker::{SettleResult, Settlement};
use ferry_core::config::FailedStore;
use ferry_core::failed::{Failure, Reason};

use super::tools::*;
use super::{Fixture, START, Terms};

pub fn a_buried_job_lies_whole_in_the_failed_store(fixture: &Fixture) {
    let mail = queue("mail");
    let worker = fixture.at(START + 5);
    push(&*worker, &mail, 1);
    release(&*worker, &take_one(&*worker, &mail), 0);
    let held = take_one(&*worker, &mail);
    let exception = "RuntimeException: 订单 \"7\" failed in /app/job.php:7\nStack trace:\n#0 {main}";
    assert_eq!(settle(&*worker, &held, Settlement::Bury(Box::new(failure_of(&held, exception)))), SettleResult::Applied);
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 1));
    assert_nothing_ready(&*fixture.at(START + 3600), &mail);

    let failed = worker.admin().expect("admin").failed(&mail, 0, 10).unwrap();
    assert_eq!(failed.len(), 1);
    let record = &failed[0];
    assert!(!record.id.is_empty());
    assert_eq!((record.connection.as_str(), record.queue.as_str()), ("exam", "mail"));
    assert_eq!(String::from_utf8_lossy(&record.payload), String::from_utf8_lossy(&held.body));
    assert_eq!((record.reason.as_str(), record.attempts), ("exception", Some(2)));
    assert_eq!(record.exception, exception);
    assert_eq!(record.failed_at, START + 5);
}

pub fn every_reason_is_kept(fixture: &Fixture) {
    use Reason::{Asked, Exception, Exited, MaxAttempts, NoHandler, Poison};
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for reason in [Exception, MaxAttempts, Poison, NoHandler, Exited, Asked] {
        push(&*worker, &mail, 1);
        let held = take_one(&*worker, &mail);
        let failure = Failure { reason, ..failure_of(&held, "") };
        assert_eq!(settle(&*worker, &held, Settlement::Bury(Box::new(failure))), SettleResult::Applied);
        let newest = worker.admin().expect("admin").failed(&mail, 0, 1).unwrap();
        assert_eq!((newest[0].reason.as_str(), newest[0].exception.as_str()), (reason.as_str(), ""));
    }
}

pub fn failed_jobs_come_newest_first_and_in_pages(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    for number in 0..5 {
        push(&*worker, &mail, number);
        let held = take_one(&*worker, &mail);
        assert_eq!(settle(&*worker, &held, bury(&held)), SettleResult::Applied);
    }
    let page = |offset, limit| -> Vec<u32> {
        let failed = worker.admin().expect("admin").failed(&mail, offset, limit).unwrap();
        failed.iter().map(|record| number(&record.payload)).collect()
    };
    assert_eq!(page(0, 100), [4, 3, 2, 1, 0]);
    assert_eq!(page(0, 2), [4, 3]);
    assert_eq!(page(2, 2), [2, 1]);
    assert_eq!(page(4, 2), [0]);
    assert_eq!(page(5, 2), [0; 0]);
    assert_eq!(page(0, 0), [0; 0]);
}

pub fn failed_jobs_of_a_batch_each_have_their_own_record(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push_all(&*worker, &mail, 0..3);
    let jobs = take(&*worker, &mail, 3);
    assert_eq!(settle_all(&*worker, jobs.iter().map(|job| (job, bury(job)))), [SettleResult::Applied; 3]);
    let failed = worker.admin().expect("admin").failed(&mail, 0, 10).unwrap();
    let mut ids: Vec<_> = failed.iter().map(|record| record.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

pub fn queues_have_failed_jobs_of_their_own(fixture: &Fixture) {
    let worker = fixture.worker();
    let queues = ["a", "b"].map(queue);
    push(&*worker, &queues[0], 1);
    let held = take_one(&*worker, &queues[0]);
    assert_eq!(settle(&*worker, &held, bury(&held)), SettleResult::Applied);
    let failed = |queue| worker.admin().expect("admin").failed(queue, 0, 10).unwrap().len();
    assert_eq!((failed(&queues[0]), failed(&queues[1])), (1, 0));
    assert_eq!((size(&*worker, &queues[0]).failed, size(&*worker, &queues[1]).failed), (1, 0));
}

pub fn a_broker_told_to_discard_keeps_no_failed_job(fixture: &Fixture) {
    let worker = fixture.worker_with(Terms { failed: FailedStore::Discard, ..Terms::at(START) });
    let mail = queue("mail");
    push(&*worker, &mail, 1);
    let held = take_one(&*worker, &mail);
    assert_eq!(settle(&*worker, &held, bury(&held)), SettleResult::Applied);
    assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 0));
    assert_eq!(settle(&*worker, &held, bury(&held)), SettleResult::Lost);
}
