//! A folder that goes away, a broker on a file in it, and the file seen by other programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ferry_core::broker::{Broker, Settle, SettleResult, Settlement};
use ferry_core::config::{FailedStore, SqliteConfig};
use ferry_core::dialect::Family;
use ferry_core::failed::{Failure, Reason};
use ferry_core::{Due, NewJob, QueueName, Reservation};
use ferry_driver_sql::{Settings, SqliteBroker};
use ferry_testkit::TempDir;
use serde_json::Value;

/// The second at which the vectors were recorded.
pub const NOW: i64 = 1_700_000_000;

/// A folder of its own, removed when dropped.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(TempDir::new())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self) -> PathBuf {
        self.path().join("queue.db")
    }
}

pub fn config(path: &Path) -> SqliteConfig {
    SqliteConfig {
        path: path.to_owned(),
        table: "tp_jobs".into(),
        failed_table: "tp_failed_jobs".into(),
        busy_timeout: Duration::from_secs(10),
    }
}

pub fn settings() -> Settings {
    Settings { family: Family::Think3, retry_after: Some(60), failed: FailedStore::Keep, now: None }
}

/// A broker by the machine's clock.
pub fn broker(path: &Path) -> SqliteBroker {
    SqliteBroker::new(config(path), settings())
}

/// A broker whose clock stands still.
pub fn broker_at(path: &Path, now: i64) -> SqliteBroker {
    SqliteBroker::new(config(path), Settings { now: Some(now), ..settings() })
}

pub fn queue(name: &str) -> QueueName {
    QueueName::new(name.as_bytes()).unwrap()
}

pub fn push(broker: &SqliteBroker, payload: &str) -> i64 {
    broker.push(&QueueName::default(), NewJob::ready(payload.as_bytes())).unwrap().unwrap()
}

pub fn later(broker: &SqliteBroker, payload: &str, seconds: i64) -> i64 {
    broker.push(&QueueName::default(), NewJob::due(payload.as_bytes(), Due::After(seconds))).unwrap().unwrap()
}

pub fn reserve(broker: &SqliteBroker, max: usize) -> Vec<Reservation> {
    broker.reserve(&[QueueName::default()], max, Duration::ZERO).unwrap()
}

pub fn settle(broker: &SqliteBroker, job: &Reservation, settlement: Settlement) -> SettleResult {
    broker.settle(&[Settle { claim: job.claim.clone(), settlement }]).unwrap()[0]
}

pub fn bodies(jobs: &[Reservation]) -> Vec<&str> {
    jobs.iter().map(|job| std::str::from_utf8(&job.body).unwrap()).collect()
}

pub fn failure(exception: &str) -> Failure {
    Failure {
        connection: "sqlite".into(),
        payload: b"{\"job\":\"J\"}".to_vec(),
        reason: Reason::Exception,
        exception: exception.into(),
        attempts: 1,
    }
}

/// Runs SQL in the sqlite3 shell, another process, and returns what it prints.
pub fn sql(path: &Path, text: &str) -> String {
    let output = Command::new("sqlite3").arg("-cmd").arg(".timeout 10000").arg("-json").arg(path).arg(text).output();
    let output = output.expect("these tests need the sqlite3 shell (apt-get install sqlite3)");
    assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The rows of a query in the sqlite3 shell.
pub fn rows(path: &Path, query: &str) -> Value {
    match sql(path, query).trim() {
        "" => Value::Array(Vec::new()),
        text => serde_json::from_str(text).unwrap(),
    }
}

pub fn jobs_table(path: &Path) -> Value {
    rows(path, "SELECT * FROM tp_jobs ORDER BY id")
}

pub fn assert_intact(path: &Path) {
    assert_eq!(rows(path, "PRAGMA integrity_check")[0]["integrity_check"], "ok");
}

/// The tables as think-queue's own migration makes them: every column but `id` nullable.
pub fn create_think_queue_tables(path: &Path) {
    sql(
        path,
        "CREATE TABLE tp_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, queue VARCHAR(255), payload LONGTEXT, \
         attempts TINYINT UNSIGNED, reserve_time INT UNSIGNED, available_time INT UNSIGNED, create_time INT UNSIGNED); \
         CREATE INDEX tp_jobs_queue ON tp_jobs (queue); \
         CREATE TABLE tp_failed_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, connection TEXT, queue TEXT, payload LONGTEXT, \
         exception LONGTEXT, fail_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP);",
    );
}
