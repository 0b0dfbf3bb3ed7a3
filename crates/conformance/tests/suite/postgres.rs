//! The PostgreSQL driver, each behaviour on a database of its own; on the older tables too.

use std::sync::Arc;
use std::time::Duration;

use ferry_conformance::servers::{PATIENCE, local};
use ferry_conformance::suite::{Driver, Store, Terms};
use ferry_core::Broker;
use ferry_core::config::{Address, FailedStore, SqlServerConfig};
use ferry_core::dialect::Family;
use ferry_driver_sql::{PostgresBroker, Settings};
use ferry_testkit::{PostgresDatabase, PostgresServer};

pub struct Postgres(pub Family);

struct Tables {
    database: PostgresDatabase<'static>,
    family: Family,
}

impl Driver for Postgres {
    fn unconnected(&self) -> Arc<dyn Broker> {
        let settings = Settings { family: self.0, now: None, retry_after: None, failed: FailedStore::Keep };
        Arc::new(PostgresBroker::new(config(local(0), "never"), settings))
    }

    /// The tables are those that `ferry schema` prints.
    fn store(&self) -> Option<Box<dyn Store>> {
        let database = PostgresServer::shared()?.database();
        let statements = self.unconnected().admin().expect("it has one").schema();
        database.sql(&statements.join(";\n"));
        Some(Box::new(Tables { database, family: self.0 }))
    }

    /// `text` is UTF-8 without NUL.
    fn stores_any_bytes(&self) -> bool {
        false
    }
}

fn config(address: Address, database: &str) -> SqlServerConfig {
    SqlServerConfig {
        address,
        tls: None,
        username: Some("postgres".into()),
        password: None,
        database: database.into(),
        table: "jobs".into(),
        failed_table: "failed_jobs".into(),
        connect_timeout: PATIENCE,
        io_timeout: PATIENCE,
        poll_interval: Duration::from_millis(250),
    }
}

impl Store for Tables {
    fn worker_with(&self, terms: Terms) -> Arc<dyn Broker> {
        let Terms { now, retry_after, failed } = terms;
        let settings = Settings { family: self.family, now, retry_after, failed };
        Arc::new(PostgresBroker::new(config(local(self.database.server().port()), self.database.name()), settings))
    }

    fn kill_connections(&self) {
        self.database.kill_connections();
    }
}
