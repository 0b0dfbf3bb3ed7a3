//! What can only be brought about from inside: limits that belong to one connection.

use std::path::PathBuf;
use std::time::Duration;

use ferry_core::config::{FailedStore, SqliteConfig};
use ferry_core::dialect::Family;

use ferry_core::broker::{Broker, Settle, SettleResult};
use ferry_core::{ErrorKind, NewJob, QueueName, Result};

use super::SqliteBroker;
use crate::broker::Role;
use crate::session::{Row, Session};
use crate::settings::Settings;
use crate::values::SqlValues;

fn config(path: PathBuf) -> SqliteConfig {
    SqliteConfig { path, table: "jobs".into(), failed_table: "failed_jobs".into(), busy_timeout: Duration::from_secs(10) }
}

fn settings() -> Settings {
    Settings { family: Family::Think3, retry_after: Some(60), failed: FailedStore::Keep, now: None }
}

fn broker(path: PathBuf) -> SqliteBroker {
    SqliteBroker::new(config(path), settings())
}

fn limit_pages(role: Role, broker: &SqliteBroker, pages: u32) {
    let pragma = format!("PRAGMA max_page_count = {pages}");
    broker.run(role, |session| session.query(pragma, SqlValues::new())).unwrap();
}

fn push(broker: &SqliteBroker, payload: &str) -> Result<Option<i64>> {
    broker.push(&QueueName::default(), NewJob::ready(payload.as_bytes()))
}

#[test]
fn a_full_disk_refuses_whole_operations_and_the_next_one_works_again() {
    let folder = std::env::temp_dir().join(format!("ferry-sql-full-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let broker = broker(folder.join("q.db"));
    push(&broker, "first").unwrap();
    limit_pages(Role::Push, &broker, 12);

    let jobs = vec![NewJob::ready(vec![b'x'; 4000]); 100];
    let error = broker.push_many(&QueueName::default(), &jobs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("0 of 100 jobs stored") && error.to_string().contains("is full"), "{error}");
    assert_eq!(broker.size(&QueueName::default()).unwrap().ready, 1, "none of the batch is left behind");

    // The limit went with its connection, as a full disk is emptied.
    push(&broker, "second").unwrap();
    broker.close();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_failed_store_that_refuses_leaves_the_job_and_holds_up_nothing_else() {
    use ferry_core::broker::Settlement;
    use ferry_core::failed::{Failure, Reason};
    let folder = std::env::temp_dir().join(format!("ferry-sql-bury-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let broker = broker(folder.join("q.db"));
    push(&broker, "one").unwrap();
    push(&broker, "two").unwrap();
    let jobs = broker.reserve(&[QueueName::default()], 2, Duration::ZERO).unwrap();
    limit_pages(Role::Settle, &broker, 12);

    let failure = Failure {
        connection: "sqlite".into(),
        payload: vec![b'x'; 400_000],
        reason: Reason::Exception,
        exception: "boom".into(),
        attempts: 1,
    };
    let batch = [
        Settle { claim: jobs[0].claim.clone(), settlement: Settlement::Bury(Box::new(failure)) },
        Settle { claim: jobs[1].claim.clone(), settlement: Settlement::Delete },
    ];
    assert_eq!(broker.settle(&batch).unwrap_err().kind(), ErrorKind::Refused);
    let sizes = broker.size(&QueueName::default()).unwrap();
    assert_eq!((sizes.reserved, sizes.failed), (1, 0), "the deleted one is gone, the other stays reserved");
    assert_eq!(broker.settle(&batch).unwrap(), [SettleResult::Applied, SettleResult::Lost], "repeating the batch is safe");
    broker.close();
    std::fs::remove_dir_all(folder).unwrap();
}

/// The plan of a statement, a step a line.
fn plan(broker: &SqliteBroker, sql: String, values: SqlValues<'_>) -> String {
    let rows = broker.run(Role::Query, |session| session.query(format!("EXPLAIN QUERY PLAN {sql}"), values)).unwrap();
    rows.iter().map(|row| row.text(3)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_reserve_walks_one_index_and_sorts_nothing() {
    let folder = std::env::temp_dir().join(format!("ferry-sql-plan-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for family in Family::THINK {
        let broker = SqliteBroker::new(config(folder.join(family.name())), Settings { family, ..settings() });
        push(&broker, "one").unwrap();
        let place = || SqlValues::new().ints(&[2000, 1000]).text("default").ints(&[1000, 5]);
        for (sql, values) in [(broker.tables.candidates(), place().int(64)), (broker.tables.any_due(1), place())] {
            let plan = plan(&broker, sql, values);
            let bounded = plan.contains("ferry_jobs_available (queue=? AND avail") && plan.contains(">? AND avail");
            assert!(bounded && !plan.contains("B-TREE"), "{}: {plan}", family.name());
        }
        broker.close();
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_index_of_an_earlier_version_is_replaced() {
    let folder = std::env::temp_dir().join(format!("ferry-sql-former-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("q.db");
    let former = broker(path.clone());
    push(&former, "one").unwrap();
    let older = [
        "DROP INDEX ferry_jobs_available",
        "CREATE INDEX ferry_jobs_due ON jobs (queue, reserve_time, available_time, attempts)",
    ];
    for sql in older {
        former.run(Role::Query, |session| session.execute(sql, SqlValues::new())).unwrap();
    }
    former.close();

    let broker = broker(path);
    assert_eq!(broker.reserve(&[QueueName::default()], 1, Duration::ZERO).unwrap().len(), 1);
    let indexes = "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'ferry_jobs_%'";
    let indexes = broker.run(Role::Query, |session| session.query(indexes, SqlValues::new())).unwrap();
    assert_eq!(indexes.iter().map(|row| row.text(0)).collect::<Vec<_>>(), ["ferry_jobs_available"]);
    broker.close();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_job_behind_the_position_of_the_scan_comes_when_there_are_no_others() {
    use ferry_core::Due;
    let folder = std::env::temp_dir().join(format!("ferry-sql-behind-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let broker = broker(folder.join("q.db"));
    let queue = QueueName::default();
    for second in [1000, 2000, 3000] {
        broker.push(&queue, NewJob::due(second.to_string().into_bytes(), Due::At(second))).unwrap();
    }
    let take = || -> Vec<u8> { broker.reserve(&[QueueName::default()], 1, Duration::ZERO).unwrap().remove(0).body };
    assert_eq!(take(), b"1000");
    // As if it had been committed late.
    broker.push(&queue, NewJob::due(&b"500"[..], Due::At(500))).unwrap();
    assert_eq!([take(), take(), take()], [&b"2000"[..], b"3000", b"500"]);
    broker.close();
    std::fs::remove_dir_all(folder).unwrap();
}
