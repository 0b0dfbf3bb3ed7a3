//! From PHP arrays and DSNs to a [`Config`].

use super::{Config, ConnectionConfig, Value};
use crate::error::{Error, ErrorKind, Result};

/// Parses a configuration array.
pub fn parse(_value: &Value) -> Result<Config> {
    Err(Error::new(ErrorKind::Config, "not yet"))
}

/// Parses a DSN into a connection called `name`.
pub fn connection_from_dsn(_name: &str, _dsn: &str) -> Result<ConnectionConfig> {
    Err(Error::new(ErrorKind::Config, "not yet"))
}
