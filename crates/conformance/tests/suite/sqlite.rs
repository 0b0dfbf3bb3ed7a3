//! The SQLite driver, each behaviour with a file of its own; on the older tables too.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use ferry_conformance::servers::PATIENCE;
use ferry_conformance::suite::{Driver, Store, Terms};
use ferry_core::Broker;
use ferry_core::config::{FailedStore, SqliteConfig};
use ferry_core::dialect::Family;
use ferry_driver_sql::{Settings, SqliteBroker};
use ferry_testkit::TempDir;

/// v3.0.0 to v3.0.2.
const BEFORE_3_0_3: &str = "CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, queue VARCHAR(255), payload LONGTEXT, \
                            attempts TINYINT, reserved_at INT, available_at INT, created_at INT); \
                            CREATE TABLE failed_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, connection TEXT, queue TEXT, \
                            payload LONGTEXT, exception LONGTEXT, failed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)";

/// v1 and v2, as their README has it.
const BEFORE_3: &str = "CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, queue VARCHAR(255) NOT NULL, \
                        payload LONGTEXT NOT NULL, attempts TINYINT NOT NULL, reserved TINYINT NOT NULL, reserved_at INT, \
                        available_at INT NOT NULL, created_at INT NOT NULL)";

pub struct Sqlite(pub Family);

struct File {
    folder: TempDir,
    family: Family,
    /// All workers made so far: there is no server that could drop their connections.
    workers: Mutex<Vec<Arc<SqliteBroker>>>,
}

impl Driver for Sqlite {
    fn unconnected(&self) -> Arc<dyn Broker> {
        let settings = Settings { family: self.0, now: None, retry_after: None, failed: FailedStore::Keep };
        Arc::new(SqliteBroker::new(config(Path::new("never opened")), settings))
    }

    fn store(&self) -> Option<Box<dyn Store>> {
        let folder = TempDir::new();
        match self.0 {
            // Our driver creates the tables of today. Plain tasks have none.
            Family::Think3 | Family::RedisTask => {}
            Family::Think3Legacy => create(folder.path(), BEFORE_3_0_3),
            Family::Think1 => create(folder.path(), BEFORE_3),
        }
        Some(Box::new(File { folder, family: self.0, workers: Mutex::default() }))
    }
}

fn create(folder: &Path, tables: &str) {
    let created = Command::new("sqlite3").arg(folder.join("queue.db")).arg(tables).status();
    assert!(created.expect("these tests need the sqlite3 shell (apt-get install sqlite3)").success());
}

fn config(folder: &Path) -> SqliteConfig {
    SqliteConfig {
        path: folder.join("queue.db"),
        table: "jobs".into(),
        failed_table: "failed_jobs".into(),
        busy_timeout: PATIENCE,
    }
}

impl Store for File {
    fn worker_with(&self, terms: Terms) -> Arc<dyn Broker> {
        let Terms { now, retry_after, failed } = terms;
        let settings = Settings { family: self.family, now, retry_after, failed };
        let worker = Arc::new(SqliteBroker::new(config(self.folder.path()), settings));
        self.workers.lock().expect("no thread panicked").push(Arc::clone(&worker));
        worker
    }

    fn kill_connections(&self) {
        self.workers.lock().expect("no thread panicked").iter().for_each(|worker| worker.close());
    }
}
