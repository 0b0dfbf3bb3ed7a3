//! `Ferry\Task\Schema`: what the tasks need on the broker, for people and scripts.

use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ferry_core::task;

use crate::convert::arguments::{Mixed, OptionalText};
use crate::convert::errors::exception;
use crate::convert::task::connection;

/// Declarations and policies.
#[php_class]
#[php(name = "Ferry\\Task\\Schema")]
pub struct Schema;

#[php_impl]
impl Schema {
    /// Exchanges, queues and bindings, one a line.
    pub fn declarations() -> Vec<String> {
        task::declarations()
    }

    /// Commands for `rabbitmqctl`, one a line.
    pub fn policies(vhost: OptionalText) -> Vec<String> {
        task::policies(&vhost.text().unwrap_or_else(|| "/".to_owned()))
    }

    /// Declares all of it now, the queue for kept dead letters too.
    pub fn declare(connection: Mixed<'_>) -> PhpResult<()> {
        let handle = self::connection(connection.0, "Schema")?;
        handle.get().and_then(|client| client.tasks()).and_then(|tasks| tasks.declare()).map_err(|error| exception(&error))
    }
}
