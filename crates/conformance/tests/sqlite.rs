//! The SQLite driver sits the exam, each behaviour with a file of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferry_conformance::servers::TempDir;
use ferry_conformance::suite::{Exam, Terms};
use ferry_core::Broker;
use ferry_core::config::SqliteConfig;
use ferry_core::dialect::Family;
use ferry_driver_sql::{Settings, SqliteBroker};

ferry_conformance::exam!(Some(Sqlite::new()));

struct Sqlite {
    folder: TempDir,
    /// All workers made so far: there is no server that could drop their connections.
    workers: Mutex<Vec<Arc<SqliteBroker>>>,
}

impl Sqlite {
    fn new() -> Self {
        Self { folder: TempDir::new(), workers: Mutex::default() }
    }

    fn config(&self) -> SqliteConfig {
        SqliteConfig {
            path: self.folder.path().join("queue.db"),
            table: "jobs".into(),
            failed_table: "failed_jobs".into(),
            busy_timeout: Duration::from_secs(10),
        }
    }
}

impl Exam for Sqlite {
    fn worker_with(&self, terms: Terms) -> Option<Arc<dyn Broker>> {
        let Terms { now, retry_after, failed } = terms;
        let settings = Settings { family: Family::default(), now, retry_after, failed };
        let worker = Arc::new(SqliteBroker::new(self.config(), settings));
        self.workers.lock().expect("no thread panicked").push(Arc::clone(&worker));
        Some(worker)
    }

    fn kill_connections(&self) {
        self.workers.lock().expect("no thread panicked").iter().for_each(|worker| worker.close());
    }
}
