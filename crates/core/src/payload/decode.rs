//! What a worker must know of a payload before PHP sees it.

use std::ops::Range;
use std::time::Duration;

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Due;
use crate::json_fields::{json_fields, plain_fields, plain_text, range_in};
use crate::policy::Tries;

/// The envelope of a job. `data` is not decoded here: the engine does that, from the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payload {
    /// `Class`, `Class@method` or a short name.
    pub job: String,
    /// Where the JSON text of `data` stands in the body; `None` when there is none, which handlers see as null.
    pub data: Option<Range<usize>>,
    /// `id`, when it is a string or a number.
    pub id: Option<String>,
    /// `maxTries`; `None` when null or missing, so that the worker's option counts.
    pub tries: Option<Tries>,
    /// `timeout`, parts of a second included; `None` when null or missing, zero for no limit, [`clock::LONGEST`] at most.
    pub timeout: Option<Duration>,
    /// `timeoutAt`, a unix second from 0 to [`Due::LATEST`].
    pub timeout_at: Option<i64>,
}

impl Payload {
    /// Reads the envelope of a body. An error is poison: the bytes are no JSON object, or name no job.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let poison = |why: &str| Error::new(ErrorKind::Poison, format!("the payload {why}"));
        let keys = ["job", "data", "id", "maxTries", "timeout", "timeoutAt"];
        let fields = plain_fields(body, keys).map_or_else(|| json_fields(body, keys), Ok);
        let [job, data, id, tries, timeout, timeout_at] = fields.map_err(|e| poison("is not a JSON object").with_source(e))?;
        let job: String = match job {
            None => return Err(poison("has no `job`")),
            Some(job) => match plain_text(job) {
                Some(job) => job.to_owned(),
                None => serde_json::from_str(job).map_err(|_| poison("has a `job` that is not a string"))?,
            },
        };
        if job.is_empty() {
            return Err(poison("has an empty `job`"));
        }
        Ok(Self {
            job,
            data: data.map(|data| range_in(body, data)),
            id: id.and_then(|id| scalar(id).text()),
            tries: tries.and_then(|tries| match scalar(tries) {
                Scalar::Whole(number) => Some(Tries::from_number(number)),
                Scalar::Number(number) => Some(Tries::from_number(number as i64)),
                Scalar::Text(text) => numeric(&text).map(|number| Tries::Limit(number as i64)),
                Scalar::Other => None,
            }),
            timeout: timeout.and_then(|timeout| scalar(timeout).duration()),
            timeout_at: timeout_at.and_then(|second| scalar(second).number()).map(|second| second.clamp(0, Due::LATEST)),
        })
    }

    /// Class and method: `Class@method`, or `fire`. The class is normalised ([`class_name`]).
    pub fn target(&self) -> (&str, &str) {
        let (class, method) = self.job.split_once('@').unwrap_or((&self.job, "fire"));
        (class_name(class), method)
    }
}

/// The name of a class as the engine knows it: without backslashes in front. Every comparison of names starts from this one.
pub fn class_name(name: &str) -> &str {
    name.trim_start_matches('\\')
}

/// Whether a class is the handler of object jobs, under think-queue's name or ours. PHP does not mind case.
pub fn is_object_handler(class: &str) -> bool {
    let class = class_name(class);
    OBJECT_HANDLERS.iter().any(|handler| class.eq_ignore_ascii_case(handler))
}

const OBJECT_HANDLERS: [&str; 2] = ["think\\queue\\CallQueuedHandler", "Ferry\\CallQueuedHandler"];

/// A value that PHP reads as a number or a string.
pub(crate) enum Scalar {
    Number(f64),
    Whole(i64),
    Text(String),
    Other,
}

impl Scalar {
    pub(crate) fn text(self) -> Option<String> {
        match self {
            Scalar::Whole(number) => Some(number.to_string()),
            Scalar::Number(number) => Some(number.to_string()),
            Scalar::Text(text) => Some(text),
            Scalar::Other => None,
        }
    }

    fn float(&self) -> Option<f64> {
        match self {
            Scalar::Whole(number) => Some(*number as f64),
            Scalar::Number(number) => Some(*number),
            Scalar::Text(text) => numeric(text),
            Scalar::Other => None,
        }
    }

    pub(crate) fn number(self) -> Option<i64> {
        match self {
            Scalar::Whole(number) => Some(number),
            other => other.float().map(|number| number as i64),
        }
    }

    fn duration(self) -> Option<Duration> {
        self.float().and_then(|seconds| clock::duration(seconds.max(0.0)))
    }
}

/// Text that PHP calls numeric. Rust would also read `inf` and `nan`.
fn numeric(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_numeric = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if is_numeric { text.parse().ok() } else { None }
}

pub(crate) fn scalar(text: &str) -> Scalar {
    match plain_text(text) {
        Some(text) => return Scalar::Text(text.to_owned()),
        None if text == "null" => return Scalar::Other,
        None => {}
    }
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::String(text)) => Scalar::Text(text),
        Ok(serde_json::Value::Number(number)) => {
            let float = || number.as_f64().map_or(Scalar::Other, Scalar::Number);
            number.as_i64().map_or_else(float, Scalar::Whole)
        }
        _ => Scalar::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &str) -> Payload {
        Payload::decode(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_recorded_payload_is_read_and_its_data_left_alone() {
        let body = r#"{"job":"app\\job\\Job1@task1","maxTries":7,"timeout":9,"data":{"a":1.0,"b":{}},"id":"IDID","attempts":3,"timeoutAt":1700000999}"#;
        let payload = decode(body);
        assert_eq!(payload.target(), ("app\\job\\Job1", "task1"));
        assert_eq!(&body[payload.data.clone().unwrap()], r#"{"a":1.0,"b":{}}"#);
        assert_eq!(payload.id.as_deref(), Some("IDID"));
        assert_eq!(payload.tries, Some(Tries::Limit(7)));
        assert_eq!((payload.timeout, payload.timeout_at), (Some(Duration::from_secs(9)), Some(1_700_000_999)));
    }

    #[test]
    fn the_handler_of_object_jobs_is_known_however_its_name_is_written() {
        for job in [
            r"think\\queue\\CallQueuedHandler@call",
            r"\\think\\queue\\CallQueuedHandler@call",
            r"\\\\\\THINK\\Queue\\callqueuedhandler@CALL",
            r"Ferry\\CallQueuedHandler@call",
            r"\\\\ferry\\callQueuedHandler",
        ] {
            let payload = decode(&format!(r#"{{"job":"{job}"}}"#));
            assert!(is_object_handler(payload.target().0), "{job}");
            assert!(!payload.target().0.starts_with('\\'), "{job}");
        }
        assert!(!is_object_handler("CallQueuedHandler"));
        assert!(!is_object_handler("app\\think\\queue\\CallQueuedHandler"));
    }

    #[test]
    fn a_timeout_may_be_a_part_of_a_second_and_is_never_negative() {
        for (timeout, meaning) in
            [("0.05", Some(50)), ("\"1.5\"", Some(1500)), ("-3", Some(0)), ("0", Some(0)), ("null", None), ("[]", None)]
        {
            let payload = decode(&format!(r#"{{"job":"J","timeout":{timeout}}}"#));
            assert_eq!(payload.timeout, meaning.map(Duration::from_millis), "{timeout}");
        }
    }

    #[test]
    fn numbers_at_the_edge_are_bounded_and_words_are_none() {
        for (number, timeout, timeout_at) in [
            ("9223372036854775807", Some(clock::LONGEST), Some(Due::LATEST)),
            ("1e308", Some(clock::LONGEST), Some(Due::LATEST)),
            ("18446744073709551616", Some(clock::LONGEST), Some(Due::LATEST)),
            ("\"9223372036854775807\"", Some(clock::LONGEST), Some(Due::LATEST)),
            ("-9223372036854775808", Some(Duration::ZERO), Some(0)),
            ("-1e308", Some(Duration::ZERO), Some(0)),
            ("1e-320", Some(Duration::ZERO), Some(0)),
            ("\"nan\"", None, None),
            ("\"inf\"", None, None),
            ("\"soon\"", None, None),
        ] {
            let payload = decode(&format!(r#"{{"job":"J","timeout":{number},"timeoutAt":{number},"maxTries":{number}}}"#));
            assert_eq!((payload.timeout, payload.timeout_at), (timeout, timeout_at), "{number}");
            assert_eq!(payload.tries.is_none(), timeout.is_none(), "{number}");
        }
    }

    #[test]
    fn tries_mean_what_they_mean_in_think_queue() {
        for (tries, meaning) in [
            ("null", None),
            ("0", Some(Tries::Unlimited)),
            ("\"0\"", Some(Tries::Limit(0))),
            ("3", Some(Tries::Limit(3))),
            ("\"3\"", Some(Tries::Limit(3))),
            ("[]", None),
        ] {
            assert_eq!(decode(&format!(r#"{{"job":"J","maxTries":{tries}}}"#)).tries, meaning, "{tries}");
        }
    }

    #[test]
    fn of_repeated_keys_the_last_counts() {
        assert_eq!(decode(r#"{"job":"A","job":"B"}"#).job, "B");
    }

    #[test]
    fn what_is_no_job_is_poison() {
        for body in
            ["", "zzz", "0", "null", "[]", "{}", r#"{"job":1}"#, r#"{"job":""}"#, r#"{"job":"J"}x"#, "{\"job\":\"\u{1}\"}"]
        {
            assert_eq!(Payload::decode(body.as_bytes()).unwrap_err().kind(), ErrorKind::Poison, "{body}");
        }
        assert_eq!(Payload::decode(b"{\"job\":\"\xff\"}").unwrap_err().kind(), ErrorKind::Poison);
    }
}
