//! The envelope: what we read of a payload is what a JSON parser reads.

use ferry_core::clock::LONGEST;
use ferry_core::failed::class_of;
use ferry_core::payload::Payload;
use ferry_core::{Due, ErrorKind, redis_task};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::whole;

/// Any bytes can be decoded: into poison, or into an envelope that means the same to a JSON parser.
pub fn check(body: &[u8]) {
    let decoded = Payload::decode(body);
    match &decoded {
        Ok(payload) => {
            assert!(serde_json::from_slice::<IgnoredAny>(body).is_ok(), "no JSON");
            stands_in_its_body(payload, body);
            is_bounded(payload);
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Poison, "{error}"),
    }
    let task = redis_task::decode(body);
    assert!(decoded.is_err() || task.is_err(), "a job and a plain task");
    task.iter().for_each(is_bounded);
    assert_eq!(class_of(body).is_some(), decoded.is_ok() || task.is_ok(), "a job and a task have a class, poison has none");
    if let Some(fields) = whole(body) {
        agrees_with_the_parser(decoded.ok(), &fields, body);
    }
}

fn stands_in_its_body(payload: &Payload, body: &[u8]) {
    assert!(!payload.job.is_empty());
    let (class, method) = payload.target();
    let name = payload.job.trim_start_matches('\\');
    assert!(!class.starts_with('\\'), "a class name that PHP does not know");
    assert!(name == class && method == "fire" || name == format!("{class}@{method}"));
    if let Some(data) = payload.data.clone() {
        let data = body.get(data).expect("the data lies in the body");
        let data = std::str::from_utf8(data).expect("the data is text");
        assert_eq!(data.trim_matches([' ', '\t', '\n', '\r']), data, "the data has space around it");
    }
}

fn agrees_with_the_parser(decoded: Option<Payload>, fields: &Map<String, Value>, body: &[u8]) {
    let job = fields.get("job").and_then(Value::as_str).filter(|job| !job.is_empty());
    assert_eq!(decoded.as_ref().map(|payload| payload.job.as_str()), job, "another job");
    let Some(payload) = decoded else { return };
    let data = payload.data.map(|data| serde_json::from_slice::<Value>(&body[data]).expect("the data is JSON"));
    assert_eq!(data.as_ref(), fields.get("data"), "other data");
    if let Some(Value::String(id)) = fields.get("id") {
        assert_eq!(payload.id.as_ref(), Some(id), "another id");
    }
    let second = fields.get("timeoutAt").and_then(Value::as_i64).map(|second| second.clamp(0, Due::LATEST));
    assert!(second.is_none() || payload.timeout_at == second, "another deadline");
}

/// Whatever the numbers are, times can be added to now and to each other.
fn is_bounded(payload: &Payload) {
    assert!(payload.timeout.is_none_or(|timeout| timeout <= LONGEST), "a timeout of more than ten years");
    assert!(payload.timeout_at.is_none_or(|second| (0..=Due::LATEST).contains(&second)), "a deadline out of range");
}
