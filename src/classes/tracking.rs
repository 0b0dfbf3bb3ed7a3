//! Connections that keep the status of their jobs: pushing with an id, and what is said of jobs outside a worker.

use std::sync::Arc;

use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::Zval;
use ferry_client::{Connection, JobSpec, Tracked};
use ferry_core::failed::Filter;
use ferry_core::status::StatusUpdate;
use ferry_core::{Broker, Due, Error, QueueName};
use ferry_worker::{StatusReporter, StatusWriter};

use crate::classes::connection::{ConnectionHandle, PhpConnection};
use crate::classes::status::PhpStatus;
use crate::convert::control::Control;
use crate::convert::errors::{exception, invalid};
use crate::request;
use crate::zend::error_log;
use crate::zend::objects::text;

impl ConnectionHandle {
    /// The connection that a caller names: by its name or itself; the default one without.
    pub fn named(connection: Option<&Zval>) -> PhpResult<Self> {
        let name = match connection.filter(|value| !value.is_null()) {
            None => None,
            Some(value) => match value.extract::<&PhpConnection>() {
                Some(connection) => return Ok(Self(connection.handle())),
                None if value.is_string() => value.string(),
                None => return Err(invalid("a connection is named by its name, or is a Ferry\\Connection")),
            },
        };
        request::connection(name.as_deref()).map(Self).map_err(|error| exception(&error))
    }

    /// Whether the status of its jobs is kept.
    pub fn is_tracked(&self) -> bool {
        self.0.config().track
    }

    /// The broker that keeps statuses and claims for this connection.
    pub fn status_broker(&self) -> PhpResult<Arc<dyn Broker>> {
        self.find_status_broker().map_err(|error| exception(&error))
    }

    /// The same, with an error of ours.
    pub fn find_status_broker(&self) -> Result<Arc<dyn Broker>, Error> {
        Control::find(self.0.config())?.status_broker(&*self.0.get()?)
    }

    /// What is known of a job.
    pub fn status(&self, id: &[u8]) -> PhpResult<Option<PhpStatus>> {
        PhpStatus::look(self.clone(), id)
    }

    /// Pushes a job and answers its id.
    pub fn push_tracked(&self, queue: &QueueName, spec: &JobSpec<'_>, due: Due) -> PhpResult<Zval> {
        let statuses = self.status_broker()?;
        let pushed = self.client()?.push_tracked(queue, spec, due, &*statuses);
        Ok(text(told(pushed)?.as_bytes()))
    }

    /// Pushes jobs and answers their ids.
    pub fn bulk_tracked(&self, queue: &QueueName, specs: &[JobSpec<'_>]) -> PhpResult<Zval> {
        let statuses = self.status_broker()?;
        let ids = told(self.client()?.push_many_tracked(queue, specs, &*statuses))?;
        let mut list = Zval::new();
        list.set_array(ids)?;
        Ok(list)
    }

    /// Makes failed jobs ready again, which are queued again then.
    pub fn retry_tracked(&self, queue: &QueueName, which: &Filter) -> PhpResult<u64> {
        let statuses = self.status_broker()?;
        told(self.client()?.retry_failed_tracked(queue, which, &*statuses))
    }

    /// Where it is written down what becomes of a job outside a worker; nowhere unless that is asked for.
    pub fn status_reporter(&self) -> PhpResult<Option<StatusReporter>> {
        if !self.is_tracked() {
            return Ok(None);
        }
        let config = self.0.config();
        let writer = LoggingStatusWriter { client: self.client()?, statuses: self.status_broker()? };
        Ok(Some(StatusReporter::new(Arc::new(writer), Arc::from(config.name.as_str()), config.status_ttl)))
    }
}

/// The answer; trouble with the status store is told and fails nothing.
fn told<T>(tracked: Result<Tracked<T>, Error>) -> PhpResult<T> {
    let Tracked { answer, trouble } = tracked.map_err(|error| exception(&error))?;
    tell(trouble);
    Ok(answer)
}

/// Warns of a status store that does not answer.
pub fn tell(trouble: Option<Error>) {
    if let Some(error) = trouble {
        error_log::warn(&format!("{error}; jobs go on without"));
    }
}

/// Writes each word at once.
struct LoggingStatusWriter {
    client: Arc<Connection>,
    statuses: Arc<dyn Broker>,
}

impl StatusWriter for LoggingStatusWriter {
    fn write(&self, update: StatusUpdate) {
        tell(self.client.update_statuses(&*self.statuses, &[update]));
    }
}
