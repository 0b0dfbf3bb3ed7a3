//! think-queue's recorded SQLite cases, replayed on our driver.

use std::sync::Arc;
use std::time::Duration;

use ferry_conformance::servers::TempDir;
use ferry_conformance::vectors::{Case, Held, NOW, Stage, replay_all};
use ferry_core::Broker;
use ferry_core::config::{FailedStore, SqliteConfig};
use ferry_core::dialect::Family;
use ferry_driver_sql::{Settings, SqliteBroker};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Row};

#[test]
fn every_recorded_sqlite_case_is_replayed_or_listed_as_a_deviation() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without sockets");
    replay_all(&SqliteStage { folder: TempDir::new(), runtime }, &["database:sqlite"]);
}

/// The cases are recorded with the table prefix `tp_`.
struct SqliteStage {
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

const INSERT: &str = "INSERT INTO tp_jobs (id, queue, payload, attempts, reserve_time, available_time, create_time) \
                      VALUES (?, ?, ?, ?, ?, ?, ?)";
/// As text, whatever the column: a payload that was stored as anything else would show.
const JOBS: &str = "SELECT id, queue, payload, attempts, reserve_time, available_time, create_time, typeof(payload) AS kind \
                    FROM tp_jobs ORDER BY id";

impl SqliteStage {
    fn broker(&self, now: i64, retry_after: Option<u32>) -> SqliteBroker {
        let config = SqliteConfig {
            path: self.folder.path().join("queue.db"),
            table: "tp_jobs".into(),
            failed_table: "tp_failed_jobs".into(),
            busy_timeout: Duration::from_secs(10),
        };
        let settings = Settings { family: Family::default(), retry_after, failed: FailedStore::Keep, now: Some(now) };
        SqliteBroker::new(config, settings)
    }

    /// Runs statements behind the driver's back, over a connection of their own.
    fn with_connection<T>(&self, work: impl AsyncFnOnce(&mut sqlx::SqliteConnection) -> sqlx::Result<T>) -> T {
        let options =
            SqliteConnectOptions::new().filename(self.folder.path().join("queue.db")).busy_timeout(Duration::from_secs(10));
        let done = self.runtime.block_on(async {
            let mut connection = options.connect().await?;
            work(&mut connection).await
        });
        done.expect("our own statements run")
    }
}

impl Stage for SqliteStage {
    fn load(&self, state: &Value) {
        assert_eq!(state["tp_failed_jobs"], json!([]), "no recorded case begins with failed jobs");
        self.with_connection(async |connection| {
            for emptying in ["DELETE FROM tp_jobs", "DELETE FROM tp_failed_jobs", "DELETE FROM sqlite_sequence"] {
                sqlx::query(emptying).execute(&mut *connection).await?;
            }
            for row in state["tp_jobs"].as_array().into_iter().flatten() {
                let insert = sqlx::query(INSERT)
                    .bind(row["id"].as_i64())
                    .bind(row["queue"].as_str())
                    .bind(row["payload"].as_str())
                    .bind(row["attempts"].as_i64())
                    .bind(row["reserve_time"].as_i64())
                    .bind(row["available_time"].as_i64())
                    .bind(row["create_time"].as_i64());
                insert.execute(&mut *connection).await?;
            }
            Ok(())
        });
    }

    fn state(&self) -> Value {
        self.with_connection(async |connection| {
            let jobs = sqlx::query(JOBS).fetch_all(&mut *connection).await?;
            let failed = sqlx::query("SELECT id FROM tp_failed_jobs").fetch_all(&mut *connection).await?;
            let failed: Vec<i64> = failed.iter().map(|row| row.get("id")).collect();
            Ok(json!({ "tp_jobs": jobs.iter().map(row_as_recorded).collect::<Vec<_>>(), "tp_failed_jobs": failed }))
        })
    }

    fn worker(&self, now: i64, retry_after: Option<u32>) -> Arc<dyn Broker> {
        let broker = self.broker(now, retry_after);
        // Creates the tables, if this is the first worker.
        broker.size(&ferry_core::QueueName::default()).unwrap();
        Arc::new(broker)
    }

    fn run(&self, command: &Value) {
        panic!("no recorded SQLite case has another client: {command}");
    }

    fn break_link(&self, case: Case<'_>) {
        assert!(case.fault().is_none(), "no recorded SQLite case breaks a link");
    }

    fn is_link_armed(&self) -> bool {
        false
    }

    fn hold(&self, case: Case<'_>) -> Held {
        let stolen = case.name() == "sqlite/release-after-another-worker-took-it";
        // That case was recorded 101 seconds later, with a claim on the attempt before the one in the table.
        let (now, attempts_before) = if stolen { (NOW + 101, 2) } else { (NOW, 1) };
        let mut ready = case.before().clone();
        let row = &mut ready["tp_jobs"][0];
        row["reserve_time"] = Value::Null;
        row["attempts"] = json!(row["attempts"].as_i64().expect("a row has attempts") - attempts_before);

        let holder = self.worker(NOW, case.retry_after());
        self.load(&ready);
        let job = holder.reserve(&[case.queue()], 1, Duration::ZERO).unwrap().remove(0);
        if stolen {
            self.load(case.before());
        }
        assert_eq!(self.state(), *case.before(), "{}: our reservation is the recorded one", case.name());
        Held { worker: self.worker(now, case.retry_after()), claim: job.claim }
    }
}

fn row_as_recorded(row: &SqliteRow) -> Value {
    assert_eq!(row.get::<&str, _>("kind"), "text", "PHP reads payloads as strings");
    json!({
        "id": row.get::<i64, _>("id"),
        "queue": row.get::<&str, _>("queue"),
        "payload": row.get::<&str, _>("payload"),
        "attempts": row.get::<i64, _>("attempts"),
        "reserve_time": row.get::<Option<i64>, _>("reserve_time"),
        "available_time": row.get::<i64, _>("available_time"),
        "create_time": row.get::<i64, _>("create_time"),
    })
}
