//! The driver of a configuration. A new driver adds one arm and one feature here.

use std::sync::Arc;

use ferry_core::clock::SystemClock;
use ferry_core::config::{ConnectionConfig, DriverConfig};
use ferry_core::memory::MemoryBroker;
use ferry_core::sync::SyncBroker;
use ferry_core::{Broker, Error, ErrorKind, Result};

/// The drivers of this build, as `type` names them.
pub fn drivers() -> &'static [&'static str] {
    &[
        #[cfg(feature = "redis")]
        "redis",
        #[cfg(feature = "sqlite")]
        "sqlite",
        #[cfg(feature = "mysql")]
        "mysql",
        #[cfg(feature = "postgres")]
        "postgres",
        #[cfg(feature = "amqp")]
        "amqp",
        "sync",
        "memory",
    ]
}

/// Makes the broker of a connection. It opens nothing before its first operation.
pub(crate) fn broker_of(config: &ConnectionConfig) -> Result<Arc<dyn Broker>> {
    Ok(match &config.driver {
        DriverConfig::Sync => Arc::new(SyncBroker),
        DriverConfig::Memory => Arc::new(MemoryBroker::of_family(config.family, SystemClock, config.retry_after)),
        #[cfg(feature = "redis")]
        DriverConfig::Redis(server) => Arc::new(ferry_driver_redis::RedisBroker::new(
            server.clone(),
            ferry_driver_redis::Settings {
                family: config.family,
                family_is_a_guess: !config.family_given,
                retry_after: config.retry_after,
                failed: config.failed,
                zone: crate::process::timezone().clone(),
                ..ferry_driver_redis::Settings::default()
            },
        )),
        #[cfg(feature = "sqlite")]
        DriverConfig::Sqlite(file) => {
            let broker = ferry_driver_sql::SqliteBroker::new(file.clone(), sql_settings(config));
            Arc::new(broker.in_zone(crate::process::timezone().clone()))
        }
        #[cfg(feature = "amqp")]
        DriverConfig::Amqp(server) => Arc::new(ferry_driver_amqp::AmqpBroker::new(
            server.clone(),
            ferry_driver_amqp::Settings {
                retry_after: config.retry_after,
                failed: config.failed,
                ..ferry_driver_amqp::Settings::default()
            },
        )),
        #[cfg(not(feature = "amqp"))]
        DriverConfig::Amqp(_) => return Err(not_built_in(config)),
        #[cfg(not(feature = "redis"))]
        DriverConfig::Redis(_) => return Err(not_built_in(config)),
        #[cfg(not(feature = "sqlite"))]
        DriverConfig::Sqlite(_) => return Err(not_built_in(config)),
        #[cfg(feature = "mysql")]
        DriverConfig::Mysql(server) => {
            let broker = ferry_driver_sql::MysqlBroker::new(server.clone(), sql_settings(config));
            Arc::new(broker.in_zone(crate::process::timezone().clone()))
        }
        #[cfg(not(feature = "mysql"))]
        DriverConfig::Mysql(_) => return Err(not_built_in(config)),
        #[cfg(feature = "postgres")]
        DriverConfig::Postgres(server) => {
            let broker = ferry_driver_sql::PostgresBroker::new(server.clone(), sql_settings(config));
            Arc::new(broker.in_zone(crate::process::timezone().clone()))
        }
        #[cfg(not(feature = "postgres"))]
        DriverConfig::Postgres(_) => return Err(not_built_in(config)),
    })
}

#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
fn sql_settings(config: &ConnectionConfig) -> ferry_driver_sql::Settings {
    ferry_driver_sql::Settings { family: config.family, retry_after: config.retry_after, failed: config.failed, now: None }
}

/// Waits for operations under way in other threads, and holds new ones up until [`after_fork`].
pub(crate) fn before_fork() {
    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    ferry_driver_sql::fork_gate::shut();
}

/// Lets operations go on, in the parent and in the child.
pub(crate) fn after_fork() {
    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    ferry_driver_sql::fork_gate::open();
}

#[cfg_attr(
    all(feature = "redis", feature = "sqlite", feature = "mysql", feature = "postgres", feature = "amqp"),
    expect(dead_code, reason = "nothing is missing")
)]
fn not_built_in(config: &ConnectionConfig) -> Error {
    let context = format!("connection `{}`: the {} driver is not built in", config.name, config.driver.name());
    Error::new(ErrorKind::Unsupported, context).with_advice(format!("this build has {}", drivers().join(", ")))
}

#[cfg(test)]
mod tests {
    use ferry_core::config::connection_from_dsn;

    use super::*;

    #[test]
    fn drivers_that_are_not_built_in_say_so_and_what_is_there() {
        let all = [("mysql://h/d", "mysql"), ("postgres://h/d", "postgres"), ("redis://h", "redis"), ("amqp://h", "amqp")];
        for (dsn, driver) in all.into_iter().filter(|(_, driver)| !drivers().contains(driver)) {
            let error = broker_of(&connection_from_dsn("x", dsn).unwrap()).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            let expected = format!("connection `x`: the {driver} driver is not built in (this build has ");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn what_is_listed_is_made_without_a_server_and_what_is_not_is_refused() {
        for (dsn, driver) in [
            ("redis://h", "redis"),
            ("sqlite:/nowhere/x", "sqlite"),
            ("mysql://h/d", "mysql"),
            ("postgres://h/d", "postgres"),
            ("amqp://h", "amqp"),
            ("memory:", "memory"),
            ("sync:", "sync"),
        ] {
            let made = broker_of(&connection_from_dsn("x", dsn).unwrap());
            assert_eq!(made.is_ok(), drivers().contains(&driver), "{dsn}");
        }
    }
}
