//! The bytes of a task: written in the one order that exists, read in any.

use std::ops::Range;

use super::level::{DEFAULT_PRIORITY, TaskLevel, clamp};
use super::text::quoted;
use crate::error::{Error, ErrorKind, Result};
use crate::json_fields::{json_fields, range_in};

/// What the property `content_type` says.
pub const CONTENT_TYPE: &str = "application/json";
/// Executions of a task that names no number.
pub const DEFAULT_MAX_RETRIES: i64 = 3;
/// Seconds a task lives that names no number.
pub const DEFAULT_TTL: i64 = 86_400;

/// The longest lifetime that the property `expiration` carries, in seconds: 32 bits of milliseconds.
pub const LONGEST_TTL: i64 = u32::MAX as i64 / 1000;

/// Longest id and type that are read, in bytes. An id is a property too, which AMQP ends at 255.
const LONGEST_WORD: usize = 255;

/// The id of a new task: `stamp` is `YmdHis` in PHP's time zone.
pub fn id(stamp: &str, random: [u8; 8]) -> String {
    format!("task_{stamp}_{:016x}", u64::from_be_bytes(random))
}

/// A task to be written. `payload` and `metadata` are JSON texts that PHP's own encoder wrote.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// Its id.
    pub id: &'a str,
    /// What it is to do.
    pub kind: &'a str,
    /// JSON text; an empty array is `[]`.
    pub payload: &'a [u8],
    /// 1 to 10; others are clamped.
    pub priority: i64,
    /// Executions at most; 0 means one, like 1.
    pub max_retries: i64,
    /// Executions that failed.
    pub current_retry: i64,
    /// Unix second.
    pub created_at: i64,
    /// Unix second.
    pub expire_at: i64,
    /// JSON text; an empty array is `[]`.
    pub metadata: &'a [u8],
}

impl Draft<'_> {
    /// The bytes (`publish email priority 8`).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() + self.metadata.len() + 256);
        out.extend_from_slice(
            format!("{{\"task_id\":{},\"task_type\":{},\"payload\":", quoted(self.id), quoted(self.kind)).as_bytes(),
        );
        out.extend_from_slice(self.payload);
        let numbers = format!(
            ",\"priority\":{},\"max_retries\":{},\"current_retry\":{},\"created_at\":{},\"expire_at\":{},\"metadata\":",
            clamp(self.priority),
            self.max_retries,
            self.current_retry,
            self.created_at,
            self.expire_at
        );
        out.extend_from_slice(numbers.as_bytes());
        out.extend_from_slice(self.metadata);
        out.push(b'}');
        out
    }
}

/// A task that was read. Ranges point into its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// What it is to do.
    pub kind: String,
    /// Where the payload stands; missing means an empty array.
    pub payload: Option<Range<usize>>,
    /// 1 to 10.
    pub priority: u8,
    /// Executions at most.
    pub max_retries: i64,
    /// Executions that failed.
    pub current_retry: i64,
    /// Unix second.
    pub created_at: i64,
    /// Unix second.
    pub expire_at: i64,
    /// Where the metadata stands; missing means an empty array (`missing metadata key`).
    pub metadata: Option<Range<usize>>,
    current_retry_at: Option<Range<usize>>,
    created_at_at: Option<Range<usize>>,
    expire_at_at: Option<Range<usize>>,
}

impl Task {
    /// Reads a body. `message_id` names the task when its body does not; `now` is its birth when it tells none.
    ///
    /// [`ErrorKind::Poison`] for what is no task: no JSON, no object, no type, a number that is none.
    pub fn decode(body: &[u8], message_id: Option<&str>, now: i64) -> Result<Self> {
        if body.is_empty() {
            return Err(poison("it is empty"));
        }
        let keys = [
            "task_id",
            "task_type",
            "payload",
            "priority",
            "max_retries",
            "current_retry",
            "created_at",
            "expire_at",
            "metadata",
        ];
        let [task_id, task_type, payload, priority, max_retries, current_retry, created, expire, metadata] =
            json_fields(body, keys).map_err(|error| poison(error.to_string()))?;
        let kind = match task_type {
            Some(raw) => word(raw, "task_type")?,
            None => return Err(poison("it has no `task_type`")),
        };
        let id = match (task_id, message_id) {
            (Some(raw), _) => word(raw, "task_id")?,
            (None, Some(id)) if !id.is_empty() => id.to_owned(),
            (None, _) => return Err(poison("it has neither a `task_id` nor a message id")),
        };
        let created_at = number(created, "created_at")?.unwrap_or(now);
        Ok(Self {
            id,
            kind,
            payload: collection(body, payload, "payload")?,
            priority: clamp(number(priority, "priority")?.unwrap_or(DEFAULT_PRIORITY)),
            max_retries: number(max_retries, "max_retries")?.unwrap_or(DEFAULT_MAX_RETRIES),
            current_retry: number(current_retry, "current_retry")?.unwrap_or(0).max(0),
            created_at,
            expire_at: number(expire, "expire_at")?.unwrap_or_else(|| created_at.saturating_add(DEFAULT_TTL)),
            metadata: collection(body, metadata, "metadata")?,
            current_retry_at: current_retry.map(|raw| range_in(body, raw)),
            created_at_at: created.map(|raw| range_in(body, raw)),
            expire_at_at: expire.map(|raw| range_in(body, raw)),
        })
    }

    /// Whether its time is over.
    pub fn has_expired(&self, now: i64) -> bool {
        self.expire_at < now
    }

    /// Its level.
    pub fn level(&self) -> TaskLevel {
        TaskLevel::of(self.priority.into())
    }

    /// The body with another count of failed executions; no other byte changes.
    pub fn with_retry(&self, body: &[u8], current_retry: i64) -> Vec<u8> {
        splice(body, &[(self.current_retry_at.clone(), "current_retry", current_retry)])
    }

    /// The body of a task that begins anew, and when it expires: no execution failed, and when it expired, as much time as it once had.
    /// Numbers that cannot be a lifetime (a `created_at` of 0) give it the default one.
    pub fn revived(&self, body: &[u8], now: i64) -> (Vec<u8>, i64) {
        let retry = (self.current_retry_at.clone(), "current_retry", 0);
        if self.expire_at > now {
            return (splice(body, &[retry]), self.expire_at);
        }
        let ttl = self.expire_at.saturating_sub(self.created_at);
        let ttl = if (1..=LONGEST_TTL).contains(&ttl) { ttl } else { DEFAULT_TTL };
        let expire_at = now.saturating_add(ttl);
        let born = (self.created_at_at.clone(), "created_at", now);
        let ends = (self.expire_at_at.clone(), "expire_at", expire_at);
        (splice(body, &[retry, born, ends]), expire_at)
    }
}

/// Puts numbers where they belong; one that is missing is added as the last key.
fn splice(body: &[u8], changes: &[(Option<Range<usize>>, &str, i64)]) -> Vec<u8> {
    let mut out = body.to_vec();
    let mut present: Vec<(&Range<usize>, i64)> =
        changes.iter().filter_map(|(at, _, value)| Some((at.as_ref()?, *value))).collect();
    // From the end, so that the places before stay where they are.
    present.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
    for (at, value) in present {
        out.splice(at.clone(), value.to_string().into_bytes());
    }
    for (_, key, value) in changes.iter().filter(|(at, ..)| at.is_none()) {
        // A task has at least a type, so there is a key to follow.
        if let Some(end) = out.iter().rposition(|byte| *byte == b'}') {
            out.splice(end..end, format!(",\"{key}\":{value}").into_bytes());
        }
    }
    out
}

fn poison(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Poison, format!("the body is no task: {}", what.into()))
}

fn word(raw: &str, key: &str) -> Result<String> {
    let text: String = serde_json::from_str(raw).map_err(|_| poison(format!("its `{key}` is no text")))?;
    if text.is_empty() || text.len() > LONGEST_WORD {
        return Err(poison(format!("its `{key}` has {} bytes; 1 to {LONGEST_WORD} are read", text.len())));
    }
    Ok(text)
}

/// A whole number; null and nothing are none. Floats without a fraction and numbers in quotes are what PHP makes of them.
fn number(raw: Option<&str>, key: &str) -> Result<Option<i64>> {
    let Some(raw) = raw else { return Ok(None) };
    let wrong = || poison(format!("its `{key}` is no whole number"));
    match serde_json::from_str::<serde_json::Value>(raw).map_err(|_| wrong())? {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::Number(number) => {
            let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9.0e15).map(|float| float as i64);
            number.as_i64().or(whole).map(Some).ok_or_else(wrong)
        }
        serde_json::Value::String(text) => text.trim().parse().map(Some).map_err(|_| wrong()),
        serde_json::Value::Bool(_) | serde_json::Value::Array(_) | serde_json::Value::Object(_) => Err(wrong()),
    }
}

fn collection(body: &[u8], raw: Option<&str>, key: &str) -> Result<Option<Range<usize>>> {
    match raw {
        Some(raw) if raw.starts_with(['[', '{']) => Ok(Some(range_in(body, raw))),
        Some(raw) if raw != "null" => Err(poison(format!("its `{key}` is neither an array nor an object"))),
        Some(_) | None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"task_id":"i","task_type":"t","payload":{"a":{}, "current_retry":7},"priority":9,"max_retries":7,"current_retry":2,"created_at":1700000000,"expire_at":1700000050,"metadata":{"k":1.0}}"#;

    fn decode(body: &str) -> Result<Task> {
        Task::decode(body.as_bytes(), None, 1_700_000_000)
    }

    /// The body of the recorded case, and what it was made of.
    fn recorded(name: &str) -> Vec<u8> {
        let file: serde_json::Value = serde_json::from_str(include_str!("../../../../fixtures/task-message.json")).unwrap();
        let case = file["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap().clone();
        let frame = case["frames"].as_array().unwrap().iter().find(|frame| frame["type"] == "body").unwrap().clone();
        let hex = frame["payload_hex"].as_str().unwrap();
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn what_is_written_is_what_was_recorded() {
        let id = id("20231114221320", [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        for (name, priority, ttl) in [
            ("publish priority 5 (default)", 5, DEFAULT_TTL),
            ("publish priority 11 (clamped to 10)", 11, DEFAULT_TTL),
            ("publish priority -5 (clamped to 1)", -5, DEFAULT_TTL),
            ("publish ttl 10", 5, 10),
        ] {
            let draft = Draft {
                id: &id,
                kind: "t",
                payload: b"[]",
                priority,
                max_retries: 3,
                current_retry: 0,
                created_at: 1_700_000_000,
                expire_at: 1_700_000_000 + ttl,
                metadata: b"[]",
            };
            assert_eq!(String::from_utf8(draft.to_bytes()).unwrap(), String::from_utf8(recorded(name)).unwrap(), "{name}");
        }
    }

    #[test]
    fn a_task_is_read_and_only_the_digits_of_its_count_change() {
        let task = decode(BODY).unwrap();
        assert_eq!(
            (task.id.as_str(), task.kind.as_str(), task.priority, task.max_retries, task.current_retry),
            ("i", "t", 9, 7, 2)
        );
        assert_eq!(&BODY[task.payload.clone().unwrap()], r#"{"a":{}, "current_retry":7}"#);
        let raised = String::from_utf8(task.with_retry(BODY.as_bytes(), 10)).unwrap();
        assert_eq!(raised, BODY.replace("\"current_retry\":2", "\"current_retry\":10"));
        let (revived, expire_at) = task.revived(BODY.as_bytes(), 1_700_000_100);
        let revived = String::from_utf8(revived).unwrap();
        assert_eq!(expire_at, 1_700_000_150);
        let expected =
            BODY.replace("_retry\":2", "_retry\":0").replace("1700000050", "1700000150").replace("1700000000", "1700000100");
        assert_eq!(revived, expected);
        let (alive, expire_at) = task.revived(BODY.as_bytes(), 1_700_000_049);
        assert_eq!((String::from_utf8(alive).unwrap().contains("1700000050"), expire_at), (true, 1_700_000_050));
    }

    #[test]
    fn a_task_whose_lifetime_cannot_be_told_is_revived_with_the_default_one() {
        for (created_at, ttl) in
            [(0, DEFAULT_TTL), (1_700_000_050, DEFAULT_TTL), (1_695_705_083, LONGEST_TTL), (1_695_705_082, DEFAULT_TTL)]
        {
            let body = BODY.replace("1700000000", &created_at.to_string());
            let (revived, expire_at) = decode(&body).unwrap().revived(body.as_bytes(), 1_800_000_000);
            assert_eq!(expire_at, 1_800_000_000 + ttl, "created at {created_at}");
            let read = Task::decode(&revived, None, 0).unwrap();
            assert_eq!((read.created_at, read.expire_at, read.current_retry), (1_800_000_000, expire_at, 0));
        }
    }

    #[test]
    fn what_is_missing_has_its_default() {
        let body = r#"{"task_id":"i","task_type":"t" }"#;
        let task = decode(body).unwrap();
        assert_eq!((task.priority, task.max_retries, task.current_retry), (5, 3, 0));
        assert_eq!((task.created_at, task.expire_at), (1_700_000_000, 1_700_086_400));
        assert_eq!((task.payload.clone(), task.metadata.clone()), (None, None));
        let raised = String::from_utf8(task.with_retry(body.as_bytes(), 1)).unwrap();
        assert_eq!(decode(&raised).unwrap().current_retry, 1, "{raised}");
        assert_eq!(Task::decode(br#"{"task_type":"t"}"#, Some("m"), 0).unwrap().id, "m");
    }

    #[test]
    fn what_is_no_task_says_why() {
        for (body, why) in [
            ("", "empty"),
            ("not json", "expected"),
            ("[]", "expected"),
            ("{}", "task_type"),
            (r#"{"task_type":"t"}"#, "task_id"),
            (r#"{"task_id":"i","task_type":7}"#, "no text"),
            (r#"{"task_id":"i","task_type":""}"#, "0 bytes"),
            (r#"{"task_id":"i","task_type":"t","payload":"x"}"#, "payload"),
            (r#"{"task_id":"i","task_type":"t","priority":"x"}"#, "priority"),
            (r#"{"task_id":"i","task_type":"t","max_retries":1.5}"#, "max_retries"),
            (r#"{"task_id":"i","task_type":"t"}x"#, "trailing"),
        ] {
            let error = decode(body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Poison, "{body}");
            assert!(error.to_string().contains(why), "{body}: {error}");
        }
        assert!(Task::decode(b"{\"task_type\":\"\xff\"}", None, 0).is_err());
    }
}
