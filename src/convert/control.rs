//! Which connection keeps the flags and reports of a fleet, the statuses of jobs and the claims of work.

use std::rc::Rc;
use std::sync::Arc;

use ext_php_rs::exception::PhpResult;
use ferry_client::{Connection, Handle};
use ferry_core::config::ConnectionConfig;
use ferry_core::{Broker, Error, ErrorKind, Result};

use crate::convert::errors::exception;
use crate::request;

/// The connection itself, or the one that its key `control` names.
pub struct Control(Option<Rc<Handle>>);

impl Control {
    /// Reads the key. A name that is not configured is an error, now and not when the first flag is looked for.
    pub fn of(config: &ConnectionConfig) -> PhpResult<Self> {
        Self::find(config).map_err(|error| exception(&error))
    }

    /// The same, with an error of ours.
    pub fn find(config: &ConnectionConfig) -> Result<Self> {
        let named = config.control.as_deref().filter(|name| *name != config.name);
        named.map(|name| request::connection(Some(name))).transpose().map(Self)
    }

    /// The broker that keeps them, if one does. `own` is the connection itself.
    pub fn broker(&self, own: &Connection) -> Result<Option<Arc<dyn Broker>>> {
        let broker = match &self.0 {
            Some(handle) => handle.get()?.broker().clone(),
            None => own.broker().clone(),
        };
        Ok(broker.control().is_some().then_some(broker))
    }

    /// The broker that keeps statuses and claims. `own` is the connection itself.
    pub fn status_broker(&self, own: &Connection) -> Result<Arc<dyn Broker>> {
        let broker = match &self.0 {
            Some(handle) => handle.get()?.broker().clone(),
            None => own.broker().clone(),
        };
        if broker.status().is_some() { Ok(broker) } else { Err(no_status_store(own.config())) }
    }

    /// The same, for a caller who needs it.
    pub fn required(&self, own: &Connection) -> Result<Arc<dyn Broker>> {
        self.broker(own)?.ok_or_else(|| nowhere(own.config()))
    }
}

/// There is no place for flags.
pub fn nowhere(config: &ConnectionConfig) -> Error {
    let context = format!("connection `{}`: {} has no place for flags of workers", config.name, config.driver.name());
    Error::new(ErrorKind::Unsupported, context)
        .with_advice("set `control` to the name of a redis or database connection, for workers and callers alike")
}

/// There is no place for statuses and claims.
fn no_status_store(config: &ConnectionConfig) -> Error {
    let context =
        format!("connection `{}`: {} has no place for the status of jobs and for guards", config.name, config.driver.name());
    Error::new(ErrorKind::Unsupported, context)
        .with_advice("set `control` to the name of a redis or database connection, for producers, workers and callers alike")
}
