//! From our errors to PHP exceptions.

use ext_php_rs::exception::PhpException;
use ferry_core::{Error, ErrorKind};

use crate::classes::exceptions::{self, Class};

/// The exception for an error, by what the caller can do about it.
pub fn exception(error: &Error) -> PhpException {
    let class = match error.kind() {
        ErrorKind::InvalidArgument => Class::InvalidArgument,
        ErrorKind::Config | ErrorKind::Unsupported => Class::Config,
        ErrorKind::Connection => Class::Connection,
        ErrorKind::Uncertain => Class::Uncertain,
        ErrorKind::Refused | ErrorKind::Denied => Class::Broker,
        ErrorKind::Lost => Class::LostReservation,
        ErrorKind::Poison => Class::Poison,
    };
    exceptions::make(class, error.to_string())
}

/// An error about an argument; nothing was sent.
pub fn invalid(message: impl Into<String>) -> PhpException {
    exceptions::make(Class::InvalidArgument, message.into())
}

/// What a method returns when a PHP exception is pending already: the engine keeps that one and ignores this.
pub fn pending() -> PhpException {
    exceptions::make(Class::Broker, "an exception was lost".to_owned())
}
