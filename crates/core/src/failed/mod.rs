//! What the failed store keeps of a job.

mod filter;
mod hint;

pub use filter::{Filter, RecordedConnection, class_of};
pub use hint::with_hint;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::payload::id_in;

/// Why a job is buried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its handler threw in its last attempt.
    Exception,
    /// It was taken more often than its tries allow, or after its deadline.
    MaxAttempts,
    /// Its bytes cannot be understood.
    Poison,
    /// Its handler class or method does not exist.
    NoHandler,
    /// It ran longer than its timeout in the last attempt.
    Timeout,
    /// Its handler ended the process in the last attempt.
    Exited,
    /// Its handler asked for it.
    Asked,
}

impl Reason {
    /// The word in the failed store.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Exception => "exception",
            Reason::MaxAttempts => "max_attempts",
            Reason::Poison => "poison",
            Reason::NoHandler => "no_handler",
            Reason::Timeout => "timeout",
            Reason::Exited => "exited",
            Reason::Asked => "asked",
        }
    }
}

/// What is written when a job is buried. The driver adds the time, by its own clock.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The name of the connection, as configured.
    pub connection: String,
    /// The payload as popped, byte for byte.
    pub payload: Vec<u8>,
    /// Why.
    pub reason: Reason,
    /// The exception with class, message, place and trace, as PHP prints it.
    pub exception: String,
    /// Attempts made, this one included.
    pub attempts: u32,
}

/// A job in the failed store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedJob {
    /// What names it in the store: the number of its row in a table; elsewhere the id of the job, or one of the store where the job
    /// has none.
    pub id: String,
    /// What its push returned, where that is known.
    pub job_id: Option<String>,
    /// The connection it failed on.
    pub connection: String,
    /// The queue it failed on.
    pub queue: String,
    /// The payload as popped, byte for byte.
    pub payload: Vec<u8>,
    /// Why, as [`Reason::as_str`]; empty when another program wrote the record.
    pub reason: String,
    /// The exception text.
    pub exception: String,
    /// Attempts made; `None` when another program wrote the record.
    pub attempts: Option<u32>,
    /// Unix second.
    pub failed_at: i64,
}

impl FailedJob {
    /// The record of a job that fails now, under an id of the store.
    pub fn of(failure: &Failure, id: String, queue: &str, now: i64) -> Self {
        Self {
            id,
            job_id: id_in(&failure.payload).map(|id| id.to_string()),
            connection: failure.connection.clone(),
            queue: queue.to_owned(),
            payload: failure.payload.clone(),
            reason: failure.reason.as_str().to_owned(),
            exception: failure.exception.clone(),
            attempts: Some(failure.attempts),
            failed_at: now,
        }
    }

    /// The same record, named by the id of its job where that has one: for stores whose own ids mean nothing to anybody.
    #[must_use]
    pub fn named_by_job(self) -> Self {
        Self { id: self.job_id.clone().unwrap_or(self.id), ..self }
    }

    /// The record as one line of JSON, for stores that are lists. A payload that is not UTF-8 goes as base64.
    pub fn to_json(&self) -> Vec<u8> {
        let mut map = Map::new();
        map.insert("id".into(), self.id.clone().into());
        map.insert("connection".into(), self.connection.clone().into());
        map.insert("queue".into(), self.queue.clone().into());
        match std::str::from_utf8(&self.payload) {
            Ok(text) => map.insert("payload".into(), text.into()),
            Err(_) => map.insert("payload_base64".into(), STANDARD.encode(&self.payload).into()),
        };
        map.insert("reason".into(), self.reason.clone().into());
        map.insert("exception".into(), self.exception.clone().into());
        map.insert("attempts".into(), self.attempts.into());
        map.insert("failed_at".into(), self.failed_at.into());
        Value::Object(map).to_string().into_bytes()
    }

    /// Reads what [`FailedJob::to_json`] wrote.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let bad = || Error::new(ErrorKind::Poison, "a record in the failed store is not one of ours");
        let value: Value = serde_json::from_slice(bytes).map_err(|e| bad().with_source(e))?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let payload = match (text("payload"), text("payload_base64")) {
            (Some(payload), _) => payload.into_bytes(),
            (None, Some(encoded)) => STANDARD.decode(encoded).map_err(|e| bad().with_source(e))?,
            (None, None) => return Err(bad()),
        };
        Ok(Self {
            id: text("id").ok_or_else(bad)?,
            job_id: id_in(&payload).map(|id| id.to_string()),
            connection: text("connection").unwrap_or_default(),
            queue: text("queue").unwrap_or_default(),
            payload,
            reason: text("reason").unwrap_or_default(),
            exception: text("exception").unwrap_or_default(),
            attempts: value.get("attempts").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()),
            failed_at: value.get("failed_at").and_then(Value::as_i64).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_json_byte_for_byte() {
        for payload in [&b"{\"job\":\"J\"}"[..], b"\xff\x00 not text", b""] {
            let failure = Failure {
                connection: "redis".into(),
                payload: payload.to_vec(),
                reason: Reason::Poison,
                exception: "订单\n#0 {main}".into(),
                attempts: 3,
            };
            let job = FailedJob::of(&failure, "x".into(), "mail", 1_700_000_000);
            let json = job.to_json();
            assert_eq!(FailedJob::from_json(&json).unwrap(), job);
        }
    }

    #[test]
    fn a_record_is_named_by_its_job_where_that_has_an_id() {
        for (payload, job_id, id) in [
            (&br#"{"job":"J","id":"A"}"#[..], Some("A"), "A"),
            (br#"{"id":7}"#, Some("7"), "7"),
            (br#"{"job":"J"}"#, None, "x"),
            (b"poison", None, "x"),
        ] {
            let failure = Failure {
                connection: "redis".into(),
                payload: payload.to_vec(),
                reason: Reason::Asked,
                exception: String::new(),
                attempts: 1,
            };
            let job = FailedJob::of(&failure, "x".into(), "mail", 0).named_by_job();
            assert_eq!((job.job_id.as_deref(), job.id.as_str()), (job_id, id));
        }
    }
}
