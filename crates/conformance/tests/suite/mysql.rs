//! The MySQL driver on one MariaDB server, each behaviour with a database of its own; on the older tables too, and without SKIP LOCKED.

use std::sync::Arc;

use ferry_conformance::servers::{local, mysql_config};
use ferry_conformance::suite::{Driver, Store, Terms};
use ferry_core::Broker;
use ferry_core::config::{FailedStore, SqlServerConfig};
use ferry_core::dialect::Family;
use ferry_driver_sql::{MysqlBroker, Settings};
use ferry_testkit::MariaDb;

/// v1 and v2, as their README has it, but for times, whose INT ends in 2106, and `payload`, which here holds any bytes.
const BEFORE_3: &str = "CREATE TABLE `jobs` (`id` int(11) NOT NULL AUTO_INCREMENT, `queue` varchar(255) COLLATE utf8mb4_bin NOT NULL, \
                        `payload` longblob NOT NULL, `attempts` tinyint(3) unsigned NOT NULL, `reserved` tinyint(3) unsigned NOT \
                        NULL, `reserved_at` bigint DEFAULT NULL, `available_at` bigint NOT NULL, `created_at` \
                        int(10) unsigned NOT NULL, PRIMARY KEY (`id`)) ENGINE=InnoDB";

pub struct Mysql {
    pub family: Family,
    pub skip_locked: bool,
}

struct OneDatabase {
    server: &'static MariaDb,
    config: SqlServerConfig,
    family: Family,
    skip_locked: bool,
}

impl Driver for Mysql {
    fn unconnected(&self) -> Arc<dyn Broker> {
        let settings = Settings { family: self.family, now: None, retry_after: None, failed: FailedStore::Keep };
        Arc::new(MysqlBroker::new(mysql_config(local(0), "nowhere"), settings))
    }

    /// A VARCHAR, which v1 and v2 have, takes `a` and `a ` for the same.
    fn names_can_collide(&self) -> bool {
        self.family == Family::Think1
    }

    fn store(&self) -> Option<Box<dyn Store>> {
        let server = MariaDb::shared()?;
        let config = mysql_config(local(server.port()), &server.database());
        let store = OneDatabase { server, config, family: self.family, skip_locked: self.skip_locked };
        store.create_tables();
        Some(Box::new(store))
    }
}

impl OneDatabase {
    fn create_tables(&self) {
        let worker = self.broker(Terms::at(0));
        let mut schema = worker.admin().expect("our drivers have words for operators").schema();
        if self.family == Family::Think1 {
            schema[0] = BEFORE_3.to_owned();
        }
        self.server.sql(&format!("USE {}; {}", self.config.database, schema.join("; ")));
    }

    fn broker(&self, terms: Terms) -> Arc<dyn Broker> {
        let Terms { now, retry_after, failed } = terms;
        let settings = Settings { family: self.family, now, retry_after, failed };
        let config = self.config.clone();
        Arc::new(if self.skip_locked {
            MysqlBroker::new(config, settings)
        } else {
            MysqlBroker::without_skip_locked(config, settings)
        })
    }
}

impl Store for OneDatabase {
    fn worker_with(&self, terms: Terms) -> Arc<dyn Broker> {
        self.broker(terms)
    }

    fn kill_connections(&self) {
        self.server.kill_connections(&self.config.database);
    }
}

impl Drop for OneDatabase {
    fn drop(&mut self) {
        self.server.sql(&format!("DROP DATABASE {}", self.config.database));
    }
}
