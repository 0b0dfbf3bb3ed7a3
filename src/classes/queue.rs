//! `Ferry\Queue`: the default connection, as static methods, in the manner of think-queue's facade.

use std::rc::Rc;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendHashTable, Zval};
use ferry_core::Due;
use ferry_core::config::Value;

use crate::classes::connection::{ConnectionHandle, PhpConnection};
use crate::classes::job::PhpJob;
use crate::convert::arguments::{Data, Maybe, Mixed, OptionalText, Text};
use crate::convert::config;
use crate::convert::errors::{exception, invalid};
use crate::convert::which::Which;
use crate::request;

/// Static words for the default connection.
#[php_class]
#[php(name = "Ferry\\Queue")]
pub struct PhpQueue;

fn default() -> PhpResult<ConnectionHandle> {
    request::connection(None).map(ConnectionHandle).map_err(|error| exception(&error))
}

#[php_impl]
impl PhpQueue {
    /// Sets the connections for the rest of the request.
    pub fn configure(config: Mixed<'_>) -> PhpResult<()> {
        let value = config::value(config.0);
        if !matches!(value, Value::Map(_) | Value::Text(_)) {
            return Err(invalid("configure() takes a configuration array or a DSN"));
        }
        request::configure(&value).map_err(|error| exception(&error))
    }

    /// What the configuration holds that is not read or cannot be used.
    pub fn notices() -> PhpResult<Vec<String>> {
        request::notices().map_err(|error| exception(&error))
    }

    /// A connection by name, the default one without.
    pub fn connection(name: OptionalText) -> PhpResult<PhpConnection> {
        let handle: Rc<ferry_client::Handle> = request::connection(name.text().as_deref()).map_err(|error| exception(&error))?;
        Ok(PhpConnection::of(handle))
    }

    /// Pushes a job that is ready at once.
    #[php(defaults(data = Data(None)))]
    pub fn push(job: Mixed<'_>, data: Data<'_>, queue: OptionalText) -> PhpResult<Zval> {
        default()?.push(job.0, data.0, queue.bytes(), Due::Now)
    }

    /// Pushes a job that is ready after a delay.
    #[php(defaults(data = Data(None)))]
    pub fn later(delay: Mixed<'_>, job: Mixed<'_>, data: Data<'_>, queue: OptionalText) -> PhpResult<Zval> {
        default()?.later(delay.0, job.0, data.0, queue.bytes())
    }

    /// Pushes many jobs with the same data.
    #[php(defaults(data = Data(None)))]
    pub fn bulk(jobs: Mixed<'_>, data: Data<'_>, queue: OptionalText) -> PhpResult<Zval> {
        default()?.bulk(jobs.0, data.0, queue.bytes())
    }

    /// `push` with the queue first.
    #[php(defaults(data = Data(None)))]
    pub fn push_on(queue: OptionalText, job: Mixed<'_>, data: Data<'_>) -> PhpResult<Zval> {
        default()?.push(job.0, data.0, queue.bytes(), Due::Now)
    }

    /// `later` with the queue first.
    #[php(defaults(data = Data(None)))]
    pub fn later_on(queue: OptionalText, delay: Mixed<'_>, job: Mixed<'_>, data: Data<'_>) -> PhpResult<Zval> {
        default()?.later(delay.0, job.0, data.0, queue.bytes())
    }

    /// Pushes a payload as it is.
    pub fn push_raw(payload: Text, queue: OptionalText, options: Maybe<'_>) -> PhpResult<Zval> {
        // think-queue takes options and reads none.
        let _ = options;
        default()?.push_raw(&payload.0, queue.bytes())
    }

    /// Reserves the next job.
    pub fn pop(queue: OptionalText) -> PhpResult<Option<PhpJob>> {
        default()?.pop(queue.bytes())
    }

    /// Jobs that still have to be worked.
    pub fn size(queue: OptionalText) -> PhpResult<i64> {
        default()?.size(queue.bytes())
    }

    /// Jobs by state.
    pub fn stats(queue: OptionalText) -> PhpResult<ZBox<ZendHashTable>> {
        default()?.stats(queue.bytes())
    }

    /// Failed jobs, newest first.
    #[php(defaults(limit = 100, offset = 0))]
    pub fn failed(queue: OptionalText, limit: i64, offset: i64) -> PhpResult<Vec<ZBox<ZendHashTable>>> {
        default()?.failed(queue.bytes(), limit, offset)
    }

    /// The failed job with this id, null when there is none.
    pub fn failed_job(id: Mixed<'_>, queue: OptionalText) -> PhpResult<Option<ZBox<ZendHashTable>>> {
        default()?.failed_job(id.0, queue.bytes())
    }

    /// Makes failed jobs ready again.
    #[php(defaults(which = Which(None)))]
    pub fn retry_failed(which: Which<'_>, queue: OptionalText) -> PhpResult<i64> {
        default()?.retry_failed(&which, queue.bytes())
    }

    /// Removes failed jobs for good.
    pub fn forget_failed(which: Mixed<'_>, queue: OptionalText) -> PhpResult<i64> {
        default()?.forget_failed(&Which(Some(which.0)), queue.bytes())
    }
}
