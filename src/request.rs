//! What one PHP request configured. It ends with the request; the connections live on in the process (`ferry_client::process`).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use ferry_client::{Handle, process};
use ferry_core::Result;
use ferry_core::config::{self, Config, ConnectionConfig, Value};

use crate::handler::HandlerOptions;
use crate::zend::{error_log, ini};

thread_local! {
    static REQUEST: RefCell<Request> = RefCell::default();
}

#[derive(Default)]
struct Request {
    config: Option<Rc<Config>>,
    handles: HashMap<String, Rc<Handle>>,
    /// The handle of the default connection, so that a push needs no look-up.
    default: Option<Rc<Handle>>,
    /// How handlers are found where no worker says otherwise.
    handlers: HandlerOptions,
}

/// Takes a configuration array for the rest of the request, with the options for handlers that stand in it.
pub fn configure(value: &Value, handlers: HandlerOptions) -> Result<()> {
    let config = match value {
        Value::Text(dsn) => config::config_from_dsn(&String::from_utf8_lossy(dsn))?,
        value => config::parse(value)?,
    };
    // What was there is dropped after the borrow: the destructors of a factory's objects are PHP code.
    drop(REQUEST.replace(Request { config: Some(Rc::new(config)), handlers, ..Request::default() }));
    Ok(())
}

/// How handlers are found where no worker says otherwise.
pub fn handlers() -> HandlerOptions {
    REQUEST.with_borrow(|request| request.handlers.clone())
}

/// What the configuration holds that is not read or cannot be used.
pub fn notices() -> Result<Vec<String>> {
    Ok(config()?.notices().map(str::to_owned).collect())
}

/// Stores the jobs that the request buffered, and warns of those that cannot be. Called when the request ends, before [`end`].
pub fn store_buffered() {
    process::end_request(ini::spool().as_deref()).iter().for_each(|warning| error_log::raise_warning(warning));
}

/// Forgets everything. Called when the request ends.
pub fn end() {
    drop(REQUEST.take());
}

/// The connection called `name`, or the default one.
pub fn connection(name: Option<&str>) -> Result<Rc<Handle>> {
    if let Some(handle) = known(name) {
        return Ok(handle);
    }
    let config = config()?;
    let wanted = name.unwrap_or(&config.default);
    let handle = Rc::new(Handle::new(Arc::new(config.find(wanted)?.clone())));
    REQUEST.with_borrow_mut(|request| {
        request.handles.insert(wanted.to_owned(), handle.clone());
        if wanted == config.default {
            request.default = Some(handle.clone());
        }
    });
    Ok(handle)
}

/// The other connections whose records may lie in the table of failed jobs of this one.
pub fn others_in_failed_table(connection: &ConnectionConfig) -> HashSet<String> {
    // Without a configuration there are none.
    config().map(|config| config.others_in_failed_table(connection)).unwrap_or_default()
}

fn known(name: Option<&str>) -> Option<Rc<Handle>> {
    REQUEST.with_borrow(|request| match name {
        None => request.default.clone(),
        Some(name) => request.handles.get(name).cloned(),
    })
}

fn config() -> Result<Rc<Config>> {
    if let Some(config) = REQUEST.with_borrow(|request| request.config.clone()) {
        return Ok(config);
    }
    let url = ini::url().ok_or_else(config::not_configured)?;
    let config = Rc::new(config::config_from_dsn(&url)?);
    REQUEST.with_borrow_mut(|request| request.config = Some(config.clone()));
    Ok(config)
}
