//! Every operation of the contract on a file.

use std::time::Duration;

use ferry_core::broker::{Broker, ExtendResult, Settle, SettleResult, Settlement, Sizes, State};
use ferry_core::config::FailedStore;
use ferry_core::failed::{Failure, Reason};
use ferry_core::{NewJob, QueueName};
use ferry_driver_sql::{Settings, SqliteBroker};

use crate::common::*;

#[test]
fn jobs_come_in_the_order_of_their_ids_and_once() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    let ids: Vec<i64> = ["a", "b", "c"].iter().map(|payload| push(&broker, payload)).collect();
    assert_eq!(ids, [1, 2, 3]);
    let jobs = reserve(&broker, 2);
    assert_eq!(bodies(&jobs), ["a", "b"]);
    assert_eq!((jobs[0].attempts, jobs[0].number, jobs[0].reserved_at), (Some(1), Some(1), NOW));
    assert_eq!(bodies(&reserve(&broker, 2)), ["c"]);
    assert!(reserve(&broker, 2).is_empty());
}

#[test]
fn many_jobs_keep_their_order_bytes_and_due_times() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    let payloads: Vec<String> = (0..1000).map(|n| format!("{{\"n\":{n}}}")).collect();
    let jobs: Vec<NewJob<'_>> = payloads.iter().map(|payload| NewJob::ready(payload.as_bytes())).collect();
    assert_eq!(broker.push_many(&QueueName::default(), &jobs).unwrap(), 1000);
    assert_eq!(broker.push_many(&QueueName::default(), &[]).unwrap(), 0);
    assert_eq!(bodies(&reserve(&broker, 2000)), payloads);
}

#[test]
fn any_bytes_pass_and_php_sees_text_where_it_is_text() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    let payloads: [&[u8]; 5] = [b"{}", "订单".as_bytes(), b"a\0b", b"\xff\x00", b""];
    for payload in payloads {
        broker.push(&QueueName::default(), NewJob::ready(payload)).unwrap();
    }
    let jobs = reserve(&broker, 9);
    assert_eq!(jobs.iter().map(|job| &job.body[..]).collect::<Vec<_>>(), payloads);
    let types = rows(&folder.file(), "SELECT group_concat(typeof(payload)) AS types FROM tp_jobs");
    assert_eq!(types[0]["types"], "text,text,text,blob,text");
}

#[test]
fn bytes_that_another_program_stored_as_text_come_as_they_are() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    push(&broker, "x");
    sql(&folder.file(), "UPDATE tp_jobs SET payload = CAST(x'FF27C3' AS TEXT), attempts = NULL");
    let jobs = reserve(&broker, 1);
    assert_eq!(jobs[0].body, b"\xff\x27\xc3");
    assert_eq!(jobs[0].attempts, Some(1), "no count is a count of nothing");
    assert_eq!(settle(&broker, &jobs[0], Settlement::Delete), SettleResult::Applied);
}

#[test]
fn a_batch_comes_from_the_first_queue_that_has_any() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    let (high, low) = (queue("high"), queue("low"));
    broker.push(&low, NewJob::ready(&b"l"[..])).unwrap();
    broker.push(&high, NewJob::ready(&b"h"[..])).unwrap();
    let take = || broker.reserve(&[high.clone(), low.clone()], 9, Duration::ZERO).unwrap();
    assert_eq!(bodies(&take()), ["h"]);
    let jobs = take();
    assert_eq!(bodies(&jobs), ["l"]);
    assert_eq!(jobs[0].claim.queue, low);
}

#[test]
fn a_job_that_stands_alone_comes_alone() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    for payload in ["a", "b", r#"{"maxTries":1}"#, "c"] {
        push(&broker, payload);
    }
    sql(&folder.file(), "UPDATE tp_jobs SET attempts = 1 WHERE payload = 'b'");
    // Those of one second come in the order in which they were pushed.
    for batch in [&["a"][..], &["b"], &[r#"{"maxTries":1}"#], &["c"]] {
        assert_eq!(bodies(&reserve(&broker, 9)), batch);
    }
}

#[test]
fn a_delayed_job_waits_for_its_second() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    later(&broker, "later", 10);
    assert!(reserve(&broker, 1).is_empty());
    assert!(reserve(&broker_at(&folder.file(), NOW + 9), 1).is_empty());
    assert_eq!(bodies(&reserve(&broker_at(&folder.file(), NOW + 10), 1)), ["later"]);
}

#[test]
fn a_reservation_expires_unless_it_is_extended() {
    let folder = Folder::new();
    let (start, middle, end) =
        (broker_at(&folder.file(), NOW), broker_at(&folder.file(), NOW + 30), broker_at(&folder.file(), NOW + 60));
    push(&start, "kept");
    push(&start, "dropped");
    let jobs = reserve(&start, 2);
    assert_eq!(middle.extend(&[jobs[0].claim.clone()]).unwrap(), [ExtendResult::Kept]);
    let again = reserve(&end, 2);
    assert_eq!(bodies(&again), ["dropped"]);
    assert_eq!(again[0].attempts, Some(2));
    let claims = [jobs[0].claim.clone(), jobs[1].claim.clone(), again[0].claim.clone()];
    assert_eq!(end.extend(&claims).unwrap(), [ExtendResult::Kept, ExtendResult::Lost, ExtendResult::Kept]);
    assert_eq!(settle(&end, &jobs[1], Settlement::Delete), SettleResult::Lost);
    assert_eq!(settle(&end, &again[0], Settlement::Delete), SettleResult::Applied);
}

#[test]
fn without_retry_after_a_reservation_never_expires() {
    let folder = Folder::new();
    let start = broker_at(&folder.file(), NOW);
    push(&start, "a");
    reserve(&start, 1);
    let settings = Settings { retry_after: None, now: Some(i64::from(u32::MAX)), ..settings() };
    assert!(reserve(&SqliteBroker::new(config(&folder.file()), settings), 1).is_empty());
}

#[test]
fn a_batch_is_settled_item_by_item() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    for payload in ["delete", "release", "bury", "give back", "leave"] {
        push(&broker, payload);
    }
    let jobs = reserve(&broker, 9);
    let hows = [
        Settlement::Delete,
        Settlement::Release { delay: 5 },
        Settlement::Bury(Box::new(failure("boom"))),
        Settlement::GiveBack,
        Settlement::Leave,
    ];
    let batch: Vec<Settle> =
        jobs.iter().zip(hows).map(|(job, settlement)| Settle { claim: job.claim.clone(), settlement }).collect();
    assert_eq!(broker.settle(&batch).unwrap(), [SettleResult::Applied; 5]);
    let state = rows(&folder.file(), "SELECT id, payload, attempts, reserve_time, available_time FROM tp_jobs ORDER BY id");
    assert_eq!(
        state,
        serde_json::json!([
            {"id": 2, "payload": "release", "attempts": 1, "reserve_time": null, "available_time": NOW + 5},
            {"id": 4, "payload": "give back", "attempts": 0, "reserve_time": null, "available_time": NOW},
            {"id": 5, "payload": "leave", "attempts": 1, "reserve_time": NOW, "available_time": NOW},
        ])
    );
    let repeated = broker.settle(&batch).unwrap();
    assert_eq!(
        repeated,
        [SettleResult::Lost, SettleResult::Lost, SettleResult::Lost, SettleResult::Lost, SettleResult::Applied],
        "only leave is still ours"
    );
    assert_eq!(broker.settle(&[]).unwrap(), []);
}

#[test]
fn a_claim_counts_once_in_a_batch() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    push(&broker, "a");
    let claim = reserve(&broker, 1).remove(0).claim;
    let twice = vec![Settle { claim, settlement: Settlement::Release { delay: 0 } }; 2];
    assert_eq!(broker.settle(&twice).unwrap(), [SettleResult::Applied, SettleResult::Lost]);
    assert_eq!(jobs_table(&folder.file()).as_array().unwrap().len(), 1);
}

#[test]
fn jobs_given_back_are_the_next_in_their_old_order() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    for payload in ["a", "b", "c", "d"] {
        push(&broker, payload);
    }
    let jobs = reserve(&broker, 3);
    let batch: Vec<Settle> =
        jobs[1..].iter().map(|job| Settle { claim: job.claim.clone(), settlement: Settlement::GiveBack }).collect();
    assert_eq!(broker.settle(&batch).unwrap(), [SettleResult::Applied; 2]);
    let again = reserve(&broker, 9);
    assert_eq!(bodies(&again), ["b", "c", "d"], "no attempt was burnt, so they may share a batch");
    assert!(again.iter().all(|job| job.attempts == Some(1)));
}

#[test]
fn a_row_that_was_reserved_at_second_zero_waits_for_its_due_second() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    later(&broker, "a", 100);
    sql(&folder.file(), "UPDATE tp_jobs SET reserve_time = 0");
    assert!(reserve(&broker, 1).is_empty());
    assert_eq!(bodies(&reserve(&broker_at(&folder.file(), NOW + 100), 1)), ["a"]);
}

#[test]
fn a_reserved_row_whose_due_second_is_ahead_is_ready_when_given_back() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    push(&broker, "a");
    let job = reserve(&broker, 1).remove(0);
    // As another program reserves it whose clock is ahead.
    sql(&folder.file(), &format!("UPDATE tp_jobs SET available_time = {}", NOW + 100));
    assert_eq!(settle(&broker, &job, Settlement::GiveBack), SettleResult::Applied);
    assert_eq!(bodies(&reserve(&broker, 1)), ["a"]);
}

#[test]
fn attempts_are_counted_beyond_255() {
    let folder = Folder::new();
    create_think_queue_tables(&folder.file());
    let broker = broker_at(&folder.file(), NOW);
    push(&broker, "a");
    sql(&folder.file(), "UPDATE tp_jobs SET attempts = 255");
    let job = reserve(&broker, 1).remove(0);
    assert_eq!(job.attempts, Some(256));
    assert_eq!(settle(&broker, &job, Settlement::Release { delay: 0 }), SettleResult::Applied);
    assert_eq!(reserve(&broker, 1)[0].attempts, Some(257));
}

/// What think-queue's worker does that held the row, was taken for dead and comes back late: it names no more than the id.
#[test]
fn a_late_original_worker_finds_a_job_that_was_released_because_it_keeps_its_id() {
    for (statements, left) in [
        ("DELETE FROM tp_jobs WHERE id = 1", &[][..]),
        (
            "DELETE FROM tp_jobs WHERE id = 1; INSERT INTO tp_jobs (queue, payload, attempts, reserve_time, available_time, create_time) \
             VALUES ('default', 'p', 1, NULL, 1700000000, 1700000000)",
            &["p"],
        ),
    ] {
        let folder = Folder::new();
        create_think_queue_tables(&folder.file());
        let id = push(&broker_at(&folder.file(), NOW - 61), "p");
        sql(&folder.file(), "UPDATE tp_jobs SET attempts = 1, reserve_time = 1699999939");
        let broker = broker_at(&folder.file(), NOW);
        let job = reserve(&broker, 1).remove(0);
        assert_eq!(settle(&broker, &job, Settlement::Release { delay: 0 }), SettleResult::Applied);
        assert_eq!(jobs_table(&folder.file())[0]["id"], id);
        sql(&folder.file(), statements);
        assert_eq!(bodies(&reserve(&broker, 9)), left, "{statements}");
    }
}

#[test]
fn a_buried_job_is_read_back_whole_from_either_table() {
    for think_queue_made_it in [false, true] {
        let folder = Folder::new();
        if think_queue_made_it {
            create_think_queue_tables(&folder.file());
        }
        let broker = broker_at(&folder.file(), NOW);
        push(&broker, "a");
        let job = reserve(&broker, 1).remove(0);
        let failure = Failure {
            connection: "sqlite".into(),
            payload: b"\xff\x00'".to_vec(),
            reason: Reason::Poison,
            exception: "RuntimeException: 订单\n#0 {main}".into(),
            attempts: 1,
        };
        assert_eq!(settle(&broker, &job, Settlement::Bury(Box::new(failure.clone()))), SettleResult::Applied);
        let failed = broker.admin().unwrap().failed(&QueueName::default(), 0, 9).unwrap();
        // The row that was pushed has this id too; the payload holds none.
        let expected = ferry_core::failed::FailedJob::of(&failure, "1".into(), "default", NOW);
        assert_eq!(failed, [ferry_core::failed::FailedJob { job_id: Some("1".into()), ..expected }]);
        assert_eq!(rows(&folder.file(), "SELECT fail_time FROM tp_failed_jobs")[0]["fail_time"], "2023-11-14 22:13:20");
        assert_eq!(jobs_table(&folder.file()).as_array().unwrap().len(), 0);
    }
}

#[test]
fn failed_jobs_of_other_programs_are_read_too_newest_first() {
    let folder = Folder::new();
    create_think_queue_tables(&folder.file());
    sql(
        &folder.file(),
        "INSERT INTO tp_failed_jobs (connection, queue, payload, exception, fail_time) VALUES \
         ('redis', 'order', 'garbage', 'RuntimeException: boom', '2023-11-14 22:13:20'), ('redis', 'order', NULL, NULL, NULL)",
    );
    let broker = broker_at(&folder.file(), NOW);
    let failed = broker.admin().unwrap().failed(&queue("order"), 0, 9).unwrap();
    assert_eq!(failed.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["2", "1"]);
    assert_eq!((failed[1].failed_at, failed[1].attempts, failed[1].reason.as_str()), (NOW, None, ""));
    assert_eq!(failed[1].exception, "RuntimeException: boom");
    assert_eq!(broker.admin().unwrap().failed(&queue("order"), 1, 1).unwrap()[0].id, "1");
}

#[test]
fn discarded_failures_leave_no_table_and_no_row() {
    let folder = Folder::new();
    let broker = SqliteBroker::new(config(&folder.file()), Settings { failed: FailedStore::Discard, ..settings() });
    push(&broker, "a");
    let job = reserve(&broker, 1).remove(0);
    assert_eq!(settle(&broker, &job, Settlement::Bury(Box::new(failure("boom")))), SettleResult::Applied);
    assert_eq!(broker.size(&QueueName::default()).unwrap(), Sizes::default());
    assert!(broker.admin().unwrap().failed(&QueueName::default(), 0, 9).unwrap().is_empty());
    assert_eq!(rows(&folder.file(), "SELECT count(*) AS n FROM sqlite_master WHERE name LIKE '%failed%'")[0]["n"], 0);
}

#[test]
fn jobs_are_counted_shown_and_cleared_by_state() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    for payload in ["r1", "r2", "r3"] {
        push(&broker, payload);
    }
    later(&broker, "d2", 9);
    later(&broker, "d1", 5);
    broker.push(&queue("other"), NewJob::ready(&b"o"[..])).unwrap();
    reserve(&broker, 1);
    let sizes = broker.size(&QueueName::default()).unwrap();
    assert_eq!(sizes, Sizes { ready: 2, delayed: 2, reserved: 1, failed: 0 });
    let admin = broker.admin().unwrap();
    let peek = |state, offset, limit| admin.peek(&QueueName::default(), state, offset, limit).unwrap();
    assert_eq!(peek(State::Ready, 0, 9), [b"r2", b"r3"]);
    assert_eq!(peek(State::Ready, 1, 9), [b"r3"]);
    assert_eq!(peek(State::Delayed, 0, 1), [b"d1"]);
    assert_eq!(peek(State::Reserved, 0, 9), [b"r1"]);
    assert_eq!(admin.clear(&QueueName::default()).unwrap(), 5);
    assert_eq!(broker.size(&QueueName::default()).unwrap().total(), 0);
    assert_eq!(broker.size(&queue("other")).unwrap().ready, 1);
}

#[test]
fn every_word_works_again_after_close() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    broker.close();
    push(&broker, "a");
    let job = reserve(&broker, 1).remove(0);
    broker.close();
    assert!(!folder.path().join("queue.db-wal").exists(), "the last one out folds the log away");
    assert_eq!(settle(&broker, &job, Settlement::Release { delay: 0 }), SettleResult::Applied);
    broker.close();
    assert_eq!(bodies(&reserve(&broker, 1)), ["a"]);
    assert_eq!(broker.size(&QueueName::default()).unwrap().reserved, 1);
    assert_intact(&folder.file());
}

#[test]
fn a_receipt_of_another_driver_is_lost() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    push(&broker, "a");
    let mut job = reserve(&broker, 1).remove(0);
    job.claim.receipt.0 = b"{\"job\":\"J\"}".to_vec();
    assert_eq!(settle(&broker, &job, Settlement::Delete), SettleResult::Lost);
    assert_eq!(broker.extend(&[job.claim]).unwrap(), [ExtendResult::Lost]);
    assert!(!broker.capabilities().counts_in_payload && broker.capabilities().leases);
}
