//! The tables of think-queue before 3.0.3, and the accounting of v1 and v2.

use std::path::Path;

use ferry_core::broker::{Broker, ExtendResult, SettleResult, Settlement, State};
use ferry_core::dialect::Family;
use ferry_core::{ErrorKind, NewJob, QueueName};
use ferry_driver_sql::{Settings, SqliteBroker};
use serde_json::{Value, json};

use crate::common::*;

/// The table of v1 and v2, as their README has it.
const V1: &str = "CREATE TABLE tp_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, queue VARCHAR(255) NOT NULL, payload LONGTEXT NOT NULL, \
                  attempts TINYINT NOT NULL, reserved TINYINT NOT NULL, reserved_at INT, available_at INT NOT NULL, \
                  created_at INT NOT NULL)";

/// That of v3.0.0 to v3.0.2.
const V3_0_0: &str = "CREATE TABLE tp_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, queue VARCHAR(255), payload LONGTEXT, \
                      attempts TINYINT, reserved_at INT, available_at INT, created_at INT); \
                      CREATE TABLE tp_failed_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, connection TEXT, queue TEXT, \
                      payload LONGTEXT, exception LONGTEXT, failed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)";

fn broker_of(family: Family, path: &Path, now: i64) -> SqliteBroker {
    SqliteBroker::new(config(path), Settings { family, now: Some(now), ..settings() })
}

fn think1(path: &Path, now: i64) -> SqliteBroker {
    broker_of(Family::Think1, path, now)
}

fn row(id: i64, attempts: i64, reserved: i64, reserved_at: Value, available_at: i64, created_at: i64) -> Value {
    json!({"id": id, "queue": "default", "payload": "p", "attempts": attempts, "reserved": reserved, "reserved_at": reserved_at,
           "available_at": available_at, "created_at": created_at})
}

#[test]
fn a_row_of_v1_is_reserved_without_being_counted_and_counted_when_it_comes_back() {
    let folder = Folder::new();
    sql(&folder.file(), V1);
    let broker = think1(&folder.file(), NOW);
    push(&broker, "p");
    assert_eq!(jobs_table(&folder.file()), json!([row(1, 0, 0, Value::Null, NOW, NOW)]));
    let job = reserve(&broker, 1).remove(0);
    assert_eq!((job.attempts, job.number), (Some(1), Some(1)));
    assert_eq!(jobs_table(&folder.file()), json!([row(1, 0, 1, NOW.into(), NOW, NOW)]));

    let later = think1(&folder.file(), NOW + 60);
    let job = reserve(&later, 1).remove(0);
    assert_eq!(job.attempts, Some(2));
    assert_eq!(jobs_table(&folder.file()), json!([row(1, 1, 1, (NOW + 60).into(), NOW, NOW)]));

    assert_eq!(settle(&later, &job, Settlement::Release { delay: 5 }), SettleResult::Applied);
    assert_eq!(jobs_table(&folder.file()), json!([row(1, 2, 0, Value::Null, NOW + 65, NOW)]));
    let last = think1(&folder.file(), NOW + 65);
    assert_eq!(reserve(&last, 1)[0].attempts, Some(3));
}

#[test]
fn giving_back_a_row_of_v1_burns_nothing() {
    let folder = Folder::new();
    sql(&folder.file(), V1);
    let broker = think1(&folder.file(), NOW);
    push(&broker, "p");
    let job = reserve(&broker, 1).remove(0);
    assert_eq!(settle(&broker, &job, Settlement::GiveBack), SettleResult::Applied);
    assert_eq!(jobs_table(&folder.file()), json!([row(1, 0, 0, Value::Null, NOW, NOW)]));
    assert_eq!(reserve(&broker, 1)[0].attempts, Some(1));
}

#[test]
fn a_claim_on_a_row_of_v1_that_somebody_took_over_settles_nothing() {
    for settlement in [
        Settlement::Delete,
        Settlement::Release { delay: 0 },
        Settlement::GiveBack,
        Settlement::Leave,
        Settlement::Bury(Box::new(failure("x"))),
    ] {
        let folder = Folder::new();
        sql(&folder.file(), V1);
        let slow = think1(&folder.file(), NOW);
        push(&slow, "p");
        let stale = reserve(&slow, 1).remove(0);
        let quick = think1(&folder.file(), NOW + 60);
        let held = reserve(&quick, 1).remove(0);
        assert_eq!(settle(&slow, &stale, settlement.clone()), SettleResult::Lost);
        assert_eq!(slow.extend(&[stale.claim]).unwrap(), [ExtendResult::Lost]);
        assert_eq!(jobs_table(&folder.file()), json!([row(1, 1, 1, (NOW + 60).into(), NOW, NOW)]));
        assert_eq!(settle(&quick, &held, settlement), SettleResult::Applied);
    }
}

#[test]
fn an_original_worker_of_v1_and_ours_take_each_others_expired_rows() {
    let folder = Folder::new();
    sql(&folder.file(), V1);
    let broker = think1(&folder.file(), NOW);
    push(&broker, "p");
    let stale = reserve(&broker, 1).remove(0);
    // What the original runs before it looks for a job (`mariadb/pop-reserved-expired`), then its reservation.
    sql(&folder.file(), "UPDATE tp_jobs SET reserved = 0, reserved_at = NULL, attempts = attempts + 1 WHERE reserved = 1");
    sql(&folder.file(), "UPDATE tp_jobs SET reserved = 1, reserved_at = 1700000060 WHERE id = 1");
    assert_eq!(settle(&broker, &stale, Settlement::Delete), SettleResult::Lost);
    let later = think1(&folder.file(), NOW + 120);
    assert_eq!(reserve(&later, 1)[0].attempts, Some(3));
}

#[test]
fn batches_of_v1_hold_no_row_that_was_tried_or_has_expired() {
    let folder = Folder::new();
    sql(&folder.file(), V1);
    let values = "('default', 'p', 0, 0, NULL, 1, 1), ('default', 'p', 0, 0, NULL, 1, 1), ('default', 'p', 0, 1, 1, 1, 1), \
                  ('default', 'p', 1, 0, NULL, 1, 1), ('default', 'p', 0, 0, NULL, 1, 1)";
    let columns = "queue, payload, attempts, reserved, reserved_at, available_at, created_at";
    sql(&folder.file(), &format!("INSERT INTO tp_jobs ({columns}) VALUES {values}"));
    let broker = think1(&folder.file(), NOW);
    let batches: Vec<Vec<_>> =
        (0..5).map(|_| reserve(&broker, 9).iter().map(|job| (job.number.unwrap(), job.attempts.unwrap())).collect()).collect();
    assert_eq!(batches, [vec![(1, 1), (2, 1)], vec![(3, 2)], vec![(4, 2)], vec![(5, 1)], vec![]]);
}

#[test]
fn sizes_pages_and_leases_read_the_columns_of_v1() {
    let folder = Folder::new();
    sql(&folder.file(), V1);
    let broker = think1(&folder.file(), NOW);
    for payload in ["held", "ready"] {
        push(&broker, payload);
    }
    later(&broker, "delayed", 60);
    let job = reserve(&broker, 1).remove(0);
    let sizes = broker.size(&QueueName::default()).unwrap();
    assert_eq!((sizes.ready, sizes.delayed, sizes.reserved, sizes.failed), (1, 1, 1, 0));
    for (state, payload) in [(State::Ready, "ready"), (State::Delayed, "delayed"), (State::Reserved, "held")] {
        assert_eq!(broker.admin().unwrap().peek(&QueueName::default(), state, 0, 9).unwrap(), [payload.as_bytes()]);
    }
    let extender = think1(&folder.file(), NOW + 30);
    assert_eq!(extender.extend(&[job.claim]).unwrap(), [ExtendResult::Kept]);
    let after = think1(&folder.file(), NOW + 60);
    assert_eq!(bodies(&reserve(&after, 1)), ["ready"], "the extended one has not expired");
}

#[test]
fn many_rows_of_v1_are_found_both_ways() {
    let folder = Folder::new();
    sql(&folder.file(), V1);
    let broker = think1(&folder.file(), NOW);
    let jobs: Vec<NewJob<'_>> = (0..1500).map(|n| NewJob::ready(n.to_string().into_bytes())).collect();
    broker.push_many(&QueueName::default(), &jobs).unwrap();
    let first = reserve(&broker, 1000);
    assert_eq!((first.len(), bodies(&first)[999]), (1000, "999"));
    assert_eq!(bodies(&reserve(&broker, 1000))[0], "1000");
}

#[test]
fn the_columns_before_3_0_3_are_used_where_they_are_found() {
    let folder = Folder::new();
    sql(&folder.file(), V3_0_0);
    let broker = broker_of(Family::Think3Legacy, &folder.file(), NOW);
    push(&broker, "p");
    let job = reserve(&broker, 1).remove(0);
    let row = json!([{"id": 1, "queue": "default", "payload": "p", "attempts": 1, "reserved_at": NOW, "available_at": NOW, "created_at": NOW}]);
    assert_eq!((job.attempts, jobs_table(&folder.file())), (Some(1), row));
    assert_eq!(settle(&broker, &job, Settlement::Bury(Box::new(failure("boom")))), SettleResult::Applied);
    assert_eq!(rows(&folder.file(), "SELECT failed_at FROM tp_failed_jobs")[0]["failed_at"], "2023-11-14 22:13:20");
    let failed = broker.admin().unwrap().failed(&QueueName::default(), 0, 9).unwrap();
    assert_eq!((failed[0].exception.as_str(), failed[0].failed_at), ("boom", NOW));
}

#[test]
fn a_table_that_is_migrated_to_the_columns_of_3_0_3_goes_on_with_them() {
    let folder = Folder::new();
    sql(&folder.file(), V3_0_0);
    let broker = broker_of(Family::Think3Legacy, &folder.file(), NOW);
    push(&broker, "p");
    broker.close();
    let renames = ["reserved_at TO reserve_time", "available_at TO available_time", "created_at TO create_time"];
    let renames = renames.map(|rename| format!("ALTER TABLE tp_jobs RENAME COLUMN {rename};"));
    sql(&folder.file(), &renames.concat());
    assert_eq!(reserve(&broker, 1)[0].attempts, Some(1));
}

#[test]
fn a_missing_table_is_created_as_the_family_has_it() {
    for (family, columns) in [
        (Family::Think1, "id,queue,payload,attempts,reserved,reserved_at,available_at,created_at"),
        (Family::Think3Legacy, "id,queue,payload,attempts,reserve_time,available_time,create_time"),
        (Family::Think3, "id,queue,payload,attempts,reserve_time,available_time,create_time"),
    ] {
        let folder = Folder::new();
        push(&broker_of(family, &folder.file(), NOW), "p");
        let names = rows(&folder.file(), "SELECT group_concat(name) AS names FROM pragma_table_info('tp_jobs')");
        assert_eq!(names[0]["names"], columns, "{}", family.name());
    }
}

#[test]
fn a_table_of_another_family_is_refused_with_the_name_of_the_one_that_fits() {
    let current =
        "CREATE TABLE tp_jobs (id INTEGER PRIMARY KEY, queue, payload, attempts, reserve_time, available_time, create_time)";
    for (table, family, fitting) in [
        (V1, Family::Think3, "think1"),
        (V1, Family::Think3Legacy, "think1"),
        (V3_0_0, Family::Think3, "think3-legacy"),
        (V3_0_0, Family::Think1, "think3-legacy"),
        (current, Family::Think1, "think3"),
    ] {
        let folder = Folder::new();
        sql(&folder.file(), table);
        let broker = broker_of(family, &folder.file(), NOW);
        let error = broker.push(&QueueName::default(), NewJob::ready(&b"x"[..])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(&format!("set `family` to `{fitting}`")), "{error}");
    }
}
