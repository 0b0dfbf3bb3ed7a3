//! Errors that tell the caller what to do, the operator where, the developer why.

use std::fmt;

/// A result whose error is ours.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// An argument cannot be carried (queue name, delay, data, payload size). Nothing was sent.
    InvalidArgument,
    /// The configuration is wrong. Nothing was sent.
    Config,
    /// The broker was not reached, or refused the login. Nothing was stored; repeating is safe.
    Connection,
    /// The link broke after the request was written: it may or may not have been carried out.
    Uncertain,
    /// The broker answered no (read only, out of memory, wrong key type, disk full). Nothing was stored.
    Refused,
    /// The broker does not permit this user to do it. Nothing was stored, and repeating it does not help until an operator grants the right.
    Denied,
    /// The reservation is no longer ours; nothing was changed.
    Lost,
    /// The bytes of a job cannot be understood.
    Poison,
    /// This build or this driver cannot do it.
    Unsupported,
}

/// An error: `kind` for the caller, `context` for the operator, `source` for the developer.
///
/// No secret is ever part of one; configuration holds secrets in [`crate::config::Secret`].
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    context: String,
    advice: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`, with what was attempted and where, for example ``push to `mail` on `redis` ``.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), advice: None, source: None }
    }

    /// Adds the cause. Only its text is shown; the type stays inside the driver that met it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what the reader should do now.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Puts `place` in front of the context: the caller knows the queue and the connection, the driver the detail.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.context = if self.context.is_empty() { place.to_string() } else { format!("{place}: {}", self.context) };
        self
    }

    /// The same error under another kind, for a caller that knows better what it means.
    #[must_use]
    pub fn into_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        if let Some(advice) = &self.advice {
            write!(f, " ({advice})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_place_cause_and_advice() {
        let error = Error::new(ErrorKind::Connection, "connect to 127.0.0.1:1")
            .with_source("Connection refused")
            .with_advice("is the server running?")
            .within("push to `mail` on `redis`");
        assert_eq!(
            error.to_string(),
            "push to `mail` on `redis`: connect to 127.0.0.1:1: Connection refused (is the server running?)"
        );
    }
}
