//! The recorded `sqlite/*` cases of think-queue, replayed: the same tables must be left behind.

use std::path::Path;
use std::time::Duration;

use ferry_core::broker::{Broker, SettleResult, Settlement};
use ferry_core::{Due, NewJob, QueueName, Reservation};
use ferry_driver_sql::SqliteBroker;
use serde_json::Value;

use crate::common::*;

/// What we do on purpose where a vector records a bug, or what is not this crate's to do.
const DEVIATIONS: &[(&str, &str)] = &[
    ("sqlite/push-invalid-utf8", "refused by the encoder in front of the driver; nothing reaches it"),
    ("sqlite/pop-order-by-id-not-available-time", "the job that became due first comes first"),
    ("sqlite/release-after-another-worker-took-it", "fenced: the claim is lost and the row stays the other worker's"),
];

fn cases() -> Vec<Value> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/think-queue-v3.json")).unwrap();
    let mut fixture: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(cases) = fixture["cases"].take() else { panic!("the fixture holds a list of cases") };
    cases.into_iter().filter(|case| case["name"].as_str().unwrap().starts_with("sqlite/")).collect()
}

/// A file in the state before a case, with changes to its row.
fn prepare(path: &Path, case: &Value) {
    create_think_queue_tables(path);
    for row in case["before"]["tp_jobs"].as_array().unwrap() {
        insert(path, row);
    }
}

fn insert(path: &Path, row: &Value) {
    let text = |key: &str| format!("'{}'", row[key].as_str().unwrap().replace('\'', "''"));
    let values =
        [row["id"].to_string(), text("queue"), text("payload"), row["attempts"].to_string(), row["reserve_time"].to_string()];
    let times = [row["available_time"].to_string(), row["create_time"].to_string()];
    sql(path, &format!("INSERT INTO tp_jobs VALUES ({},{})", values.join(","), times.join(",")));
}

/// The queue a push means; the client turns falsy names into the default before it calls a driver.
fn queue_of(args: &Value) -> QueueName {
    QueueName::or_default(args["queue"].as_str().map(str::as_bytes), &QueueName::default()).unwrap()
}

fn payloads_after(case: &Value) -> Vec<String> {
    let rows = case["after"]["tp_jobs"].as_array().unwrap();
    rows.iter().map(|row| row["payload"].as_str().unwrap().to_owned()).collect()
}

/// Reserves the row of a case as it was before it was reserved, which leaves the state the case begins with.
fn reserve_again(broker: &SqliteBroker, path: &Path, attempts: i64) -> Reservation {
    sql(path, &format!("UPDATE tp_jobs SET reserve_time = NULL, attempts = {}", attempts - 1));
    reserve(broker, 1).remove(0)
}

fn assert_popped(jobs: &[Reservation], returns: &Value) {
    let Some(job) = jobs.first() else { return assert!(returns.is_null()) };
    assert_eq!(std::str::from_utf8(&job.body).unwrap(), returns["getRawBody"]);
    assert_eq!(Value::from(job.attempts.unwrap()), returns["attempts"]);
    assert_eq!(Value::from(job.number.unwrap()), returns["getJobId"]);
    assert_eq!(job.reserved_at, NOW);
}

/// The recorded rows; but a job that is released keeps its row, where the original inserts another.
fn jobs_after(case: &Value) -> Value {
    let mut rows = case["after"]["tp_jobs"].clone();
    if case["operation"].as_str().unwrap().starts_with("job.release") {
        rows[0]["id"] = case["before"]["tp_jobs"][0]["id"].clone();
    }
    rows
}

fn replay(case: &Value, broker: &SqliteBroker, path: &Path) {
    let args = &case["args"];
    let queue = queue_of(args);
    match case["operation"].as_str().unwrap() {
        "push" | "pushRaw" => {
            let id = broker.push(&queue, NewJob::ready(payloads_after(case)[0].as_bytes())).unwrap();
            assert_eq!(Value::from(id), case["returns"]);
        }
        "later" => {
            let due = Due::After(args["delay"].as_i64().unwrap());
            let id = broker.push(&queue, NewJob::due(payloads_after(case)[0].as_bytes(), due)).unwrap();
            assert_eq!(Value::from(id), case["returns"]);
        }
        "bulk" => {
            let payloads = payloads_after(case);
            let jobs: Vec<_> = payloads.iter().map(|payload| NewJob::ready(payload.as_bytes())).collect();
            assert_eq!(Value::from(broker.push_many(&queue, &jobs).unwrap()), case["returns"]);
        }
        "pop" => assert_popped(&broker.reserve(&[queue], 1, Duration::ZERO).unwrap(), &case["returns"]),
        "job.delete" => {
            assert_eq!(settle(broker, &reserve_again(broker, path, 1), Settlement::Delete), SettleResult::Applied);
        }
        "job.release" => {
            let job = reserve_again(broker, path, 1);
            assert_eq!(jobs_table(path), case["before"]["tp_jobs"]);
            assert_eq!(
                settle(broker, &job, Settlement::Release { delay: args["delay"].as_i64().unwrap() }),
                SettleResult::Applied
            );
        }
        "job.release+pop" => {
            let job = reserve_again(broker, path, 1);
            assert_eq!(settle(broker, &job, Settlement::Release { delay: 0 }), SettleResult::Applied);
            let mut returns = case["returns"].clone();
            returns["getJobId"] = case["before"]["tp_jobs"][0]["id"].clone();
            assert_popped(&reserve(broker, 1), &returns);
        }
        other => panic!("no replay for {other}"),
    }
}

#[test]
fn every_case_leaves_the_recorded_state_behind() {
    let mut replayed = 0;
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        if DEVIATIONS.iter().any(|(deviation, _)| *deviation == name) {
            continue;
        }
        let folder = Folder::new();
        prepare(&folder.file(), &case);
        let broker = broker_at(&folder.file(), NOW);
        replay(&case, &broker, &folder.file());
        assert_eq!(jobs_table(&folder.file()), jobs_after(&case), "{name}");
        assert_eq!(rows(&folder.file(), "SELECT * FROM tp_failed_jobs"), case["after"]["tp_failed_jobs"], "{name}");
        replayed += 1;
    }
    assert!(replayed >= 20, "{replayed}");
}

#[test]
fn the_job_that_became_due_first_is_reserved_first() {
    let all = cases();
    let case = all.iter().find(|case| case["name"] == DEVIATIONS[1].0).unwrap();
    let folder = Folder::new();
    prepare(&folder.file(), case);
    let numbers: Vec<_> = reserve(&broker_at(&folder.file(), NOW), 9).iter().map(|job| job.number.unwrap()).collect();
    assert_eq!(numbers, [2, 1]);
}

#[test]
fn a_row_that_another_worker_took_is_not_touched() {
    let all = cases();
    let case = all.iter().find(|case| case["name"] == DEVIATIONS[2].0).unwrap();
    let folder = Folder::new();
    prepare(&folder.file(), case);
    let broker = broker_at(&folder.file(), NOW);
    let job = reserve_again(&broker, &folder.file(), 2);
    sql(&folder.file(), "UPDATE tp_jobs SET attempts = 3, reserve_time = 1700000100");
    for how in [
        Settlement::Release { delay: 0 },
        Settlement::Delete,
        Settlement::GiveBack,
        Settlement::Leave,
        Settlement::Bury(Box::new(failure("x"))),
    ] {
        assert_eq!(settle(&broker, &job, how), SettleResult::Lost);
    }
    assert_eq!(jobs_table(&folder.file()), case["before"]["tp_jobs"]);
}
