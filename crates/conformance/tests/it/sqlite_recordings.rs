//! Recorded cases of a table on our SQLite driver. Those of v1 and v2 were recorded on MariaDB; state is state.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ferry_conformance::vectors::{Case, Held, NOW, Stage};
use ferry_core::config::{FailedStore, SqliteConfig};
use ferry_core::dialect::{Counting, Family};
use ferry_core::{Broker, QueueName};
use ferry_driver_sql::{Settings, SqliteBroker};
use ferry_testkit::TempDir;
use rusqlite::{Connection, Row, params_from_iter};
use serde_json::{Map, Value, json};

/// A file with the tables of a family.
pub struct SqliteStage {
    folder: TempDir,
    family: Family,
    /// The prefix of the recorded tables.
    prefix: &'static str,
    /// Recorded column, our column: all that a family may name otherwise.
    columns: Vec<(&'static str, &'static str)>,
}

impl SqliteStage {
    /// A table with the columns of the recording, which our driver creates.
    pub fn of(family: Family, prefix: &'static str) -> Self {
        let names: Vec<&str> = family.job_columns()[0].names().collect();
        Self { folder: TempDir::new(), family, prefix, columns: names.into_iter().map(|name| (name, name)).collect() }
    }

    /// A table as v3.0.0 to v3.0.2 had it, which plays what was recorded with the names of v3.0.3.
    pub fn before_v3_0_3(prefix: &'static str) -> Self {
        let columns = Family::Think3.job_columns()[0].names().zip(["reserved_at", "available_at", "created_at"]).collect();
        let stage = Self { columns, ..Self::of(Family::Think3Legacy, prefix) };
        stage.with_connection(|connection| {
            let create = format!(
                "CREATE TABLE {prefix}jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, payload TEXT, attempts INTEGER, \
                 reserved_at INTEGER, available_at INTEGER, created_at INTEGER)"
            );
            connection.execute(&create, [])
        });
        stage
    }

    fn jobs(&self) -> String {
        format!("{}jobs", self.prefix)
    }

    fn failed(&self) -> String {
        format!("{}failed_jobs", self.prefix)
    }

    fn broker(&self, now: i64, retry_after: Option<u32>) -> SqliteBroker {
        let config = SqliteConfig {
            path: self.folder.path().join("queue.db"),
            table: self.jobs(),
            failed_table: self.failed(),
            busy_timeout: Duration::from_secs(10),
        };
        let settings = Settings { family: self.family, retry_after, failed: FailedStore::Keep, now: Some(now) };
        SqliteBroker::new(config, settings)
    }

    /// Runs statements behind the driver's back, over a connection of their own.
    fn with_connection<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> T {
        let connection = Connection::open(self.folder.path().join("queue.db")).expect("the folder is ours");
        connection.busy_timeout(Duration::from_secs(10)).expect("a connection that waits");
        work(&connection).expect("our own statements run")
    }

    /// All columns, ours, in order.
    fn names(&self) -> Vec<&'static str> {
        ["id", "queue", "payload", "attempts"].into_iter().chain(self.columns.iter().map(|(_, ours)| *ours)).collect()
    }

    fn recorded_name(&self, ours: &'static str) -> &'static str {
        let names: HashMap<_, _> = self.columns.iter().map(|(recorded, ours)| (*ours, *recorded)).collect();
        names.get(ours).copied().unwrap_or(ours)
    }

    fn insert(&self) -> String {
        let names = self.names();
        format!("INSERT INTO {} ({}) VALUES ({})", self.jobs(), names.join(", "), vec!["?"; names.len()].join(", "))
    }

    fn row_as_recorded(&self, row: &Row<'_>) -> rusqlite::Result<Value> {
        // As text, whatever the column: a payload that was stored as anything else would show.
        assert_eq!(row.get::<_, String>("kind")?, "text", "PHP reads payloads as strings");
        let value = |name: &str| match name {
            "queue" | "payload" => row.get::<_, String>(name).map(|text| json!(text)),
            _ => row.get::<_, Option<i64>>(name).map(|number| json!(number)),
        };
        let field = |name| Ok((self.recorded_name(name).to_owned(), value(name)?));
        Ok(Value::Object(self.names().into_iter().map(field).collect::<rusqlite::Result<_>>()?))
    }

    /// The row of a case as it lay ready, so that reserving it leaves the state of the case.
    fn before_it_was_reserved(&self, row: &mut Value, reservations: i64) {
        let counted = if self.family.counting() == Counting::AtReserve { reservations } else { 0 };
        row["attempts"] = json!(row["attempts"].as_i64().expect("a row has attempts") - counted);
        let recorded = self.family.job_columns()[0];
        row[recorded.reserved_at] = Value::Null;
        if let Some(reserved) = recorded.reserved {
            row[reserved] = json!(0);
        }
    }
}

fn sql_value(value: &Value) -> rusqlite::types::Value {
    match (value.as_str(), value.as_i64()) {
        (Some(text), _) => text.to_owned().into(),
        (None, number) => number.into(),
    }
}

impl Stage for SqliteStage {
    fn load(&self, state: &Value) {
        let failed = &state[self.failed()];
        assert!(failed.is_null() || *failed == json!([]), "no recorded case begins with failed jobs");
        self.with_connection(|connection| {
            for table in [self.jobs(), self.failed(), "sqlite_sequence".to_owned()] {
                connection.execute(&format!("DELETE FROM {table}"), [])?;
            }
            for row in state[self.jobs()].as_array().into_iter().flatten() {
                let values = self.names().into_iter().map(|name| sql_value(&row[self.recorded_name(name)]));
                connection.execute(&self.insert(), params_from_iter(values))?;
            }
            Ok(())
        });
    }

    fn state(&self) -> Value {
        self.with_connection(|connection| {
            let mut select =
                connection.prepare(&format!("SELECT *, typeof(payload) AS kind FROM {} ORDER BY id", self.jobs()))?;
            let jobs: Vec<Value> = select.query_map([], |row| self.row_as_recorded(row))?.collect::<rusqlite::Result<_>>()?;
            let mut select = connection.prepare(&format!("SELECT id FROM {}", self.failed()))?;
            let failed: Vec<i64> = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let mut state = Map::from_iter([(self.jobs(), json!(jobs))]);
            // v1 and v2 have no failed jobs, so their recordings have no such table.
            if !failed.is_empty() || self.family != Family::Think1 {
                state.insert(self.failed(), json!(failed));
            }
            Ok(Value::Object(state))
        })
    }

    fn worker(&self, now: i64, retry_after: Option<u32>) -> Arc<dyn Broker> {
        let broker = self.broker(now, retry_after);
        // Creates the tables, if this is the first worker.
        broker.size(&QueueName::default()).unwrap();
        Arc::new(broker)
    }

    fn run(&self, command: &Value) {
        panic!("no recorded case of a table has another client: {command}");
    }

    fn break_link(&self, case: Case<'_>) {
        assert!(case.fault().is_none(), "no recorded case of a table breaks a link");
    }

    fn is_link_armed(&self) -> bool {
        false
    }

    fn hold(&self, case: Case<'_>) -> Held {
        let stolen = case.name() == "sqlite/release-after-another-worker-took-it";
        // That case was recorded 101 seconds later, with a claim on the attempt before the one in the table.
        let (now, reservations) = if stolen { (NOW + 101, 2) } else { (NOW, 1) };
        let mut ready = case.before().clone();
        self.before_it_was_reserved(&mut ready[self.jobs()][0], reservations);

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
