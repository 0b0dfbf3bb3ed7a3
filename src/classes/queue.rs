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
use crate::classes::queue_methods::queue_methods;
use crate::convert::arguments::{Data, Maybe, Mixed, OptionalText, Text};
use crate::convert::config;
use crate::convert::errors::{exception, invalid};
use crate::convert::which::Which;
use crate::convert::worker::Given;
use crate::request;

/// The default connection, as static methods.
#[php_class]
#[php(name = "Ferry\\Queue")]
pub struct PhpQueue;

fn default() -> PhpResult<ConnectionHandle> {
    request::connection(None).map(ConnectionHandle).map_err(|error| exception(&error))
}

queue_methods!(PhpQueue, [], default()?, {
    /// Sets the connections for the rest of the request.
    pub fn configure(config: Mixed<'_>) -> PhpResult<()> {
        let value = config::value(config.0);
        if !matches!(value, Value::Map(_) | Value::Text(_)) {
            return Err(invalid("configure() takes a configuration array or a DSN"));
        }
        request::configure(&value, Given::of_configuration(config.0).handlers()?).map_err(|error| exception(&error))
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
});
