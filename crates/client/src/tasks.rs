//! The tasks of a RabbitMQ connection. They have AMQP connections of their own, made when first used.

use std::sync::Arc;

use ferry_core::config::{AmqpConfig, ConnectionConfig, DriverConfig};
use ferry_core::{Error, ErrorKind, Result};

pub use ferry_driver_amqp::{HeldTask, Incoming, Options, StoredDeadLetter, TaskDeliveries, TaskToPublish, Tasks};

use crate::connection::Connection;

/// Random bytes for the id of a task.
pub fn random() -> Result<[u8; 8]> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Refused, "draw random bytes for an id").with_source(error.to_string()))?;
    Ok(bytes)
}

impl Connection {
    /// The tasks that lie there. [`ErrorKind::Config`] where there are none.
    pub fn tasks(&self) -> Result<Arc<Tasks>> {
        let server = server(self.config())?;
        let make = || Arc::new(Tasks::new(server.clone(), self.config().max_payload));
        Ok(Arc::clone(self.tasks.get_or_init(make)))
    }
}

/// The server of a connection that can carry tasks.
pub fn server(config: &ConnectionConfig) -> Result<&AmqpConfig> {
    match &config.driver {
        DriverConfig::Amqp(server) => Ok(server),
        driver => {
            let context = format!("connection `{}`: tasks lie on RabbitMQ, and this is {}", config.name, driver.name());
            Err(Error::new(ErrorKind::Config, context)
                .with_advice("name a connection of `type` amqp, or give a DSN: amqp://user:password@host/vhost"))
        }
    }
}

#[cfg(test)]
mod tests {
    use ferry_core::config::connection_from_dsn;

    use super::*;

    #[test]
    fn only_rabbitmq_carries_tasks() {
        assert!(server(&connection_from_dsn("x", "amqp://h").unwrap()).is_ok());
        let error = server(&connection_from_dsn("x", "redis://h").unwrap()).unwrap_err();
        assert!(error.to_string().contains("tasks lie on RabbitMQ, and this is redis"), "{error}");
    }
}
