//! Failed jobs on a file: shown, made ready again, forgotten. Whatever is refused leaves them where they are.

use std::path::Path;
use std::thread;

use ferry_core::broker::{Admin, Broker, SettleResult, Settlement};
use ferry_core::config::FailedStore;
use ferry_core::failed::{FailedJob, Failure, Filter};
use ferry_core::timezone::{SharedTimeZone, TimeZone};
use ferry_core::{ErrorKind, NewJob, QueueName, Result};
use ferry_driver_sql::{Settings, SqliteBroker};

use crate::common::*;

fn q() -> QueueName {
    QueueName::default()
}

/// Pushes, reserves and buries one job after the other.
fn fail(broker: &SqliteBroker, payloads: &[&[u8]]) {
    for payload in payloads {
        broker.push(&q(), NewJob::ready(payload.to_vec())).unwrap();
        let job = reserve(broker, 1).remove(0);
        let failure = Failure { payload: job.body.clone(), ..failure("boom") };
        assert_eq!(settle(broker, &job, Settlement::Bury(Box::new(failure))), SettleResult::Applied);
    }
}

fn oldest(broker: &SqliteBroker, limit: u64) -> Vec<FailedJob> {
    let mut jobs = broker.failed(&q(), 0, u64::MAX).unwrap();
    jobs.reverse();
    jobs.truncate(usize::try_from(limit).unwrap());
    jobs
}

/// Makes these jobs ready again.
fn retry(broker: &SqliteBroker, jobs: &[FailedJob]) -> Result<u64> {
    broker.retry(&q(), &these(jobs), &mut |_| ())
}

/// Removes these jobs for good.
fn forget(broker: &SqliteBroker, jobs: &[FailedJob]) -> Result<u64> {
    broker.forget(&q(), &these(jobs))
}

fn these(jobs: &[FailedJob]) -> Filter {
    Filter::ids(jobs.iter().map(|job| job.id.clone()))
}

fn payloads(jobs: &[FailedJob]) -> Vec<&[u8]> {
    jobs.iter().map(|job| &job.payload[..]).collect()
}

fn failed_table(path: &Path) -> serde_json::Value {
    rows(path, "SELECT id, queue FROM tp_failed_jobs ORDER BY id")
}

#[test]
fn the_time_of_a_failed_job_is_written_and_read_in_the_zone_that_think_queue_writes() {
    let folder = Folder::new();
    let shanghai = SharedTimeZone::default();
    shanghai.set(TimeZone::sampled(NOW, NOW + 1, |_| 8 * 3600));
    let broker = broker_at(&folder.file(), NOW).in_zone(shanghai);
    fail(&broker, &[b"p"]);
    assert_eq!(rows(&folder.file(), "SELECT fail_time FROM tp_failed_jobs")[0]["fail_time"], "2023-11-15 06:13:20");
    // What `date('Y-m-d H:i:s')` wrote there an hour later.
    sql(
        &folder.file(),
        "INSERT INTO tp_failed_jobs (connection, queue, payload, exception, fail_time) VALUES \
         ('sqlite', 'default', 'p', 'e', '2023-11-15 07:13:20')",
    );
    assert_eq!(oldest(&broker, 9).iter().map(|job| job.failed_at).collect::<Vec<_>>(), [NOW, NOW + 3600]);
}

#[test]
fn failed_jobs_are_listed_in_pages_newest_first() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    fail(&broker, &[b"a", b"b", b"c", b"d", b"e"]);
    let newest = |offset, limit| payloads(&broker.failed(&q(), offset, limit).unwrap()).concat();
    assert_eq!((newest(0, 9), newest(1, 2), newest(4, 9)), (b"edcba".to_vec(), b"dc".to_vec(), b"a".to_vec()));
    assert_eq!((newest(5, 9), newest(0, 0)), (vec![], vec![]));
    assert_eq!((newest(0, 0), newest(u64::MAX, 1), newest(u64::MAX, u64::MAX)), (vec![], vec![], vec![]));
}

#[test]
fn a_retried_job_has_its_id_back_and_was_never_tried() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    fail(&broker, &[br#"{"job":"J","data":{"o":{}}}"#]);
    push(&broker, "ready");
    assert_eq!(retry(&broker, &oldest(&broker, 9)).unwrap(), 1);
    let expected = serde_json::json!([
        {"id": 1, "queue": "default", "payload": "{\"job\":\"J\",\"data\":{\"o\":{}}}", "attempts": 0, "reserve_time": null,
         "available_time": NOW, "create_time": NOW},
        {"id": 2, "queue": "default", "payload": "ready", "attempts": 0, "reserve_time": null, "available_time": NOW, "create_time": NOW},
    ]);
    assert_eq!(jobs_table(&folder.file()), expected);
    assert_eq!(failed_table(&folder.file()), serde_json::json!([]));
    assert_eq!(reserve(&broker, 9)[0].attempts, Some(1));
}

#[test]
fn a_number_names_its_row_and_the_job_of_that_number_only_where_there_is_no_such_row() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    // A delayed job has the id 1.
    later(&broker, "later", 600);
    fail(&broker, &[b"a", b"b", b"c"]);
    // Jobs 2, 3 and 4 are in the rows 1, 2 and 3.
    let rows_left = || payloads(&oldest(&broker, 9)).concat();
    let by_job = |id: &str| Filter { job: Some(id.to_owned()), ..Filter::default() };
    assert_eq!(broker.failed_job(&q(), "3").unwrap().unwrap().payload, b"c");
    assert_eq!(broker.failed_job(&q(), "4").unwrap().unwrap().payload, b"c", "no row has this number");
    assert_eq!(broker.forget(&q(), &Filter::ids(["2".to_owned()])).unwrap(), 1);
    assert_eq!(rows_left(), b"ac", "the row 2, and not the job 2 in row 1");
    assert_eq!(broker.retry(&q(), &by_job("1"), &mut |_| ()).unwrap(), 0, "the row 1 is another job");
    assert_eq!(broker.forget(&q(), &by_job("2")).unwrap(), 1);
    assert_eq!(rows_left(), b"c");
    assert_eq!(broker.retry(&q(), &Filter::ids(["4".to_owned(), "9".to_owned()]), &mut |_| ()).unwrap(), 1);
    assert_eq!(rows_left(), b"");
}

#[test]
fn a_retried_job_whose_id_another_one_has_is_a_new_row() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    fail(&broker, &[b"failed"]);
    // As a restored backup or another program leaves it; and a record without an id.
    sql(
        &folder.file(),
        "INSERT INTO tp_jobs (id, queue, payload, attempts, available_time) VALUES (1, 'default', 'other', 0, 1)",
    );
    sql(
        &folder.file(),
        "INSERT INTO tp_failed_jobs (connection, queue, payload, exception, fail_time) VALUES \
         ('sqlite', 'default', 'theirs', 'boom', '2023-11-14 22:13:20')",
    );
    assert_eq!(retry(&broker, &oldest(&broker, 9)).unwrap(), 2);
    // Another one: the scan of this one goes on behind the job that failed.
    let jobs = reserve(&broker_at(&folder.file(), NOW), 9);
    assert_eq!(jobs.iter().map(|job| job.number.unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(bodies(&jobs), ["other", "failed", "theirs"]);
}

#[test]
fn payloads_keep_their_bytes_and_only_a_count_in_them_begins_anew() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    fail(&broker, &[b"\xff\x00\r\n", b"", "订单".as_bytes(), br#"{"job":"J","data":1.0,"id":"x","attempts":12}"#]);
    assert_eq!(retry(&broker, &oldest(&broker, 9)).unwrap(), 4);
    let jobs = reserve(&broker, 9);
    let bodies: Vec<&[u8]> = jobs.iter().map(|job| &job.body[..]).collect();
    assert_eq!(bodies, [b"\xff\x00\r\n", &b""[..], "订单".as_bytes(), br#"{"job":"J","data":1.0,"id":"x","attempts":0}"#]);
}

#[test]
fn a_row_of_think_queue_is_retried_like_ours() {
    let folder = Folder::new();
    create_think_queue_tables(&folder.file());
    sql(
        &folder.file(),
        "INSERT INTO tp_failed_jobs (connection, queue, payload, exception, fail_time) \
         VALUES ('database', 'default', '{\"job\":\"J\",\"data\":1}', 'RuntimeException: boom', '2023-11-14 22:13:20')",
    );
    let broker = broker_at(&folder.file(), NOW);
    let jobs = oldest(&broker, 9);
    assert_eq!((jobs[0].reason.as_str(), jobs[0].attempts, jobs[0].failed_at), ("", None, NOW));
    assert_eq!(retry(&broker, &jobs).unwrap(), 1);
    assert_eq!(bodies(&reserve(&broker, 9)), [r#"{"job":"J","data":1}"#]);
}

#[test]
fn what_is_no_longer_there_or_in_another_queue_is_left_alone() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    fail(&broker, &[b"a", b"b", b"c"]);
    let jobs = oldest(&broker, 9);
    assert_eq!(
        (
            broker.retry(&queue("other"), &these(&jobs), &mut |_| ()).unwrap(),
            broker.forget(&queue("other"), &these(&jobs)).unwrap()
        ),
        (0, 0)
    );
    assert_eq!(forget(&broker, &jobs[1..2]).unwrap(), 1);
    assert_eq!(retry(&broker, &jobs).unwrap(), 2);
    assert_eq!((retry(&broker, &jobs).unwrap(), forget(&broker, &jobs).unwrap()), (0, 0));
    let foreign = FailedJob { id: "1 OR 1".into(), ..jobs[0].clone() };
    assert_eq!((retry(&broker, &[foreign]).unwrap(), forget(&broker, &[]).unwrap()), (0, 0));
    assert_eq!(bodies(&reserve(&broker, 9)), ["a", "c"]);
}

#[test]
fn a_refused_write_leaves_the_job_failed() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    fail(&broker, &[b"a", b"b"]);
    let jobs = oldest(&broker, 9);
    let forbid = "CREATE TRIGGER no BEFORE INSERT ON tp_jobs WHEN NEW.payload = 'b' BEGIN SELECT RAISE(ABORT, 'no'); END";
    sql(&folder.file(), forbid);
    let (failed, ready) = (failed_table(&folder.file()), jobs_table(&folder.file()));
    assert_eq!(retry(&broker, &jobs).unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!((failed_table(&folder.file()), jobs_table(&folder.file())), (failed, ready));
    sql(
        &folder.file(),
        "DROP TRIGGER no; CREATE TRIGGER no BEFORE DELETE ON tp_failed_jobs BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    assert_eq!(retry(&broker, &jobs).unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(jobs_table(&folder.file()), serde_json::json!([]), "nothing is both");
    sql(&folder.file(), "DROP TRIGGER no");
    assert_eq!(retry(&broker, &jobs).unwrap(), 2);
}

#[test]
fn where_failed_jobs_are_discarded_there_are_none() {
    let folder = Folder::new();
    let keeping = broker_at(&folder.file(), NOW);
    fail(&keeping, &[b"a"]);
    let jobs = oldest(&keeping, 9);
    let discarding = SqliteBroker::new(config(&folder.file()), Settings { failed: FailedStore::Discard, ..settings() });
    assert!(oldest(&discarding, 9).is_empty());
    assert_eq!((retry(&discarding, &jobs).unwrap(), forget(&discarding, &jobs).unwrap()), (0, 0));
}

#[test]
fn of_several_who_retry_at_once_one_gets_each_job() {
    const JOBS: usize = 600;
    let folder = Folder::new();
    let file = folder.file();
    let payloads: Vec<String> = (0..JOBS).map(|number| format!("{number:04}")).collect();
    fail(&broker(&file), &payloads.iter().map(String::as_bytes).collect::<Vec<_>>());
    let retried: u64 = thread::scope(|scope| {
        let retriers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let broker = broker(&file);
                    let jobs = oldest(&broker, JOBS as u64);
                    jobs.chunks(7).map(|jobs| retry(&broker, jobs).unwrap()).sum::<u64>()
                })
            })
            .collect();
        retriers.into_iter().map(|retrier| retrier.join().unwrap()).sum()
    });
    assert_eq!(retried, JOBS as u64);
    let jobs = reserve(&broker(&file), 2 * JOBS);
    let mut ready = bodies(&jobs);
    ready.sort_unstable();
    assert_eq!(ready, payloads);
    assert_intact(&file);
}

#[test]
fn thousands_are_retried_in_several_transactions() {
    let folder = Folder::new();
    let broker = broker_at(&folder.file(), NOW);
    push(&broker, "x");
    sql(
        &folder.file(),
        "DELETE FROM tp_jobs; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
         INSERT INTO tp_failed_jobs (connection, queue, payload, exception) SELECT 'c', 'default', i, '' FROM n",
    );
    assert_eq!(retry(&broker, &oldest(&broker, 5000)).unwrap(), 2000);
    let jobs = reserve(&broker, 5000);
    assert_eq!((jobs.len(), &jobs[0].body[..], &jobs[1999].body[..]), (2000, &b"1"[..], &b"2000"[..]));
}
