//! The body of a task: `id, class, data, attempts, max_attempts, delay, created_at`.

use std::borrow::Cow;

use crate::clock::LONGEST_SECONDS;
use crate::error::{Error, ErrorKind, Result};
use crate::json_fields::{json_fields, range_in};
use crate::payload::{Payload, Scalar, find_number, scalar, with_attempts};
use crate::policy::Tries;
use crate::task::quoted_raw;

/// How often a task is tried that does not say.
pub const DEFAULT_MAX_ATTEMPTS: i64 = 3;

/// A task to be written, its fields in the order of the wire (`push`, `push-namespaced-class`).
#[derive(Debug, Clone, Copy)]
pub struct TaskBody<'a> {
    /// Its id.
    pub id: &'a str,
    /// The class whose `handle()` runs it.
    pub class: &'a str,
    /// JSON text, written with `JSON_UNESCAPED_UNICODE`.
    pub data: &'a [u8],
    /// Attempts made.
    pub attempts: i64,
    /// Attempts allowed.
    pub max_attempts: i64,
    /// Seconds it was delayed when it was pushed last.
    pub delay: i64,
    /// Unix second.
    pub created_at: i64,
}

impl TaskBody<'_> {
    /// The bytes for the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { attempts, max_attempts, delay, created_at, .. } = self;
        let head = format!("{{\"id\":{},\"class\":{},\"data\":", quoted_raw(self.id), quoted_raw(self.class));
        let tail =
            format!(",\"attempts\":{attempts},\"max_attempts\":{max_attempts},\"delay\":{delay},\"created_at\":{created_at}}}");
        [head.as_bytes(), self.data, tail.as_bytes()].concat()
    }
}

/// An id as `uniqid('task_', true)` makes it: the time in microseconds, then a random number from 0 to 10.
pub fn task_id(microseconds: u64, random: f64) -> String {
    let (second, rest) = ((microseconds / 1_000_000) & 0xffff_ffff, microseconds % 1_000_000);
    let random = (random.clamp(0.0, 1.0) * 999_999_999.0) as u64;
    format!("task_{second:08x}{rest:05x}{}.{:08}", random / 100_000_000, random % 100_000_000)
}

/// The body with another delay, where it has one; every other byte stays. What it says is for people: the due time is the score.
pub fn with_delay(body: &[u8], delay: i64) -> Cow<'_, [u8]> {
    let delay = u32::try_from(delay.clamp(0, LONGEST_SECONDS)).unwrap_or(u32::MAX);
    match find_number(body, b"\"delay\"") {
        Some(at) if at.value != delay => Cow::Owned(with_attempts(body, at, delay)),
        _ => Cow::Borrowed(body),
    }
}

/// Reads a body. An error is poison: it is no JSON object, names no class, or holds a field of the wrong type.
pub fn decode(body: &[u8]) -> Result<Payload> {
    let poison = |why: String| Error::new(ErrorKind::Poison, format!("the task {why}"));
    let [id, class, data, max_attempts, delay, created_at] =
        fields(body, ["id", "class", "data", "max_attempts", "delay", "created_at"])
            .map_err(|e| poison("is not a JSON object".to_owned()).with_source(e))?;

    let class: String = match class {
        None => return Err(poison("has no `class`".to_owned())),
        Some(class) => serde_json::from_str(class).map_err(|_| poison("has a `class` that is not a string".to_owned()))?,
    };
    if class.is_empty() {
        return Err(poison("has an empty `class`".to_owned()));
    }
    if data.is_some_and(|data| !data.starts_with(['[', '{'])) {
        return Err(poison("has `data` that is no array".to_owned()));
    }
    let number = |name: &str, value: Option<&str>| match value.map(|value| scalar(value).number()) {
        Some(None) => Err(poison(format!("has `{name}` that is not a number"))),
        known => Ok(known.flatten()),
    };
    number("delay", delay)?;
    number("created_at", created_at)?;
    let most = number("max_attempts", max_attempts)?.unwrap_or(DEFAULT_MAX_ATTEMPTS);
    let id = match id.map(scalar) {
        Some(Scalar::Other) => return Err(poison("has an `id` that is not a string".to_owned())),
        id => id.and_then(Scalar::text),
    };
    Ok(Payload {
        job: class,
        data: data.map(|data| range_in(body, data)),
        id,
        // The original runs a task once whatever it allows, and asks then.
        tries: Some(Tries::Limit(most.max(1))),
        ..Payload::default()
    })
}

/// The numbers of a task, as its object holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskCounters {
    /// Attempts made before.
    pub attempts: i64,
    /// Attempts allowed.
    pub max_attempts: i64,
    /// Seconds it was delayed when it was pushed last.
    pub delay: i64,
    /// Unix second; 0 when the body does not say.
    pub created_at: i64,
}

/// Reads the numbers of a body that [`decode`] accepts.
pub fn counters(body: &[u8]) -> Result<TaskCounters> {
    let poison = |e| Error::new(ErrorKind::Poison, "the task is not a JSON object").with_source(e);
    let [max_attempts, delay, created_at] = fields(body, ["max_attempts", "delay", "created_at"]).map_err(poison)?;
    let number = |value: Option<&str>| value.and_then(|value| scalar(value).number());
    Ok(TaskCounters {
        attempts: find_number(body, b"\"attempts\"").map_or(0, |at| i64::from(at.value)),
        max_attempts: number(max_attempts).unwrap_or(DEFAULT_MAX_ATTEMPTS),
        delay: number(delay).unwrap_or_default(),
        created_at: number(created_at).unwrap_or_default(),
    })
}

/// The values of the keys, null as if it was not there.
fn fields<'a, const N: usize>(body: &'a [u8], keys: [&str; N]) -> serde_json::Result<[Option<&'a str>; N]> {
    Ok(json_fields(body, keys)?.map(|value| value.filter(|value| *value != "null")))
}
