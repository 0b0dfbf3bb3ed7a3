//! The SQLite driver sits the exam on the older tables too.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferry_conformance::servers::TempDir;
use ferry_conformance::suite::{Exam, Terms};
use ferry_core::Broker;
use ferry_core::config::SqliteConfig;
use ferry_core::dialect::Family;
use ferry_driver_sql::{Settings, SqliteBroker};

/// v3.0.0 to v3.0.2.
const BEFORE_3_0_3: &str = "CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, queue VARCHAR(255), payload LONGTEXT, \
                            attempts TINYINT, reserved_at INT, available_at INT, created_at INT); \
                            CREATE TABLE failed_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, connection TEXT, queue TEXT, \
                            payload LONGTEXT, exception LONGTEXT, failed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)";

/// v1 and v2, as their README has it.
const BEFORE_3: &str = "CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, queue VARCHAR(255) NOT NULL, \
                        payload LONGTEXT NOT NULL, attempts TINYINT NOT NULL, reserved TINYINT NOT NULL, reserved_at INT, \
                        available_at INT NOT NULL, created_at INT NOT NULL)";

mod think3_legacy {
    use super::{BEFORE_3_0_3, Family, Sqlite};

    ferry_conformance::exam!(Some(Sqlite::new(Family::Think3Legacy, BEFORE_3_0_3)));
}

mod think1 {
    use super::{BEFORE_3, Family, Sqlite};

    ferry_conformance::exam!(Some(Sqlite::new(Family::Think1, BEFORE_3)));
}

struct Sqlite {
    folder: TempDir,
    family: Family,
    /// All workers made so far: there is no server that could drop their connections.
    workers: Mutex<Vec<Arc<SqliteBroker>>>,
}

impl Sqlite {
    fn new(family: Family, tables: &str) -> Self {
        let folder = TempDir::new();
        let created = Command::new("sqlite3").arg(folder.path().join("queue.db")).arg(tables).status();
        assert!(created.expect("these tests need the sqlite3 shell (apt-get install sqlite3)").success());
        Self { folder, family, workers: Mutex::default() }
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
        let settings = Settings { family: self.family, now, retry_after, failed };
        let worker = Arc::new(SqliteBroker::new(self.config(), settings));
        self.workers.lock().expect("no thread panicked").push(Arc::clone(&worker));
        Some(worker)
    }

    fn kill_connections(&self) {
        self.workers.lock().expect("no thread panicked").iter().for_each(|worker| worker.close());
    }
}
