//! A record in `failed_queue:<queue>`: `task, error, failed_at, attempts`, as the original writes it and its scripts read it, and behind
//! them what only Ferry reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::date;
use crate::failed::{FailedJob, Failure};
use crate::payload::{find_attempts, id_in, with_attempts};
use crate::task::quoted_raw;
use crate::timezone::TimeZone;

/// What is written of a task that fails.
#[derive(Debug, Clone, Copy)]
pub struct FailedRecord<'a> {
    /// The task with its attempts raised, as the original writes it.
    pub task: &'a [u8],
    /// Why it failed.
    pub failure: &'a Failure,
    /// Unix second.
    pub now: i64,
}

impl FailedRecord<'_> {
    /// The record as one line of JSON (`work-throws-final-named-queue`). A task that is not UTF-8 goes as base64, with `task` empty.
    pub fn to_json(&self, zone: &TimeZone) -> Vec<u8> {
        let Failure { reason, exception, connection, attempts, .. } = self.failure;
        let task = std::str::from_utf8(self.task);
        let error = message(exception);
        let mut fields = vec![
            ("task", quoted_raw(task.unwrap_or_default())),
            ("error", quoted_raw(error)),
            ("failed_at", quoted_raw(&date::format(zone.to_local(self.now)))),
            ("attempts", attempts.to_string()),
            ("reason", quoted_raw(reason.as_str())),
            ("connection", quoted_raw(connection)),
        ];
        if error != exception {
            fields.push(("exception", quoted_raw(exception)));
        }
        if task.is_err() {
            fields.push(("task_base64", quoted_raw(&STANDARD.encode(self.task))));
        }
        let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(",")).into_bytes()
    }
}

/// Reads a record, whoever wrote it. One that cannot be read is a failed task with these bytes: it is listed and can be forgotten.
///
/// The id is that of the task, and empty where it has none.
pub fn read_failed(record: &[u8], queue: &str, zone: &TimeZone) -> FailedJob {
    let value: Value = serde_json::from_slice(record).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let encoded = text("task_base64").and_then(|encoded| STANDARD.decode(encoded).ok());
    let task = encoded.or_else(|| text("task").map(String::into_bytes));
    let is_record = task.is_some();
    let payload = task.map_or_else(|| record.to_vec(), |task| as_popped(&task));
    let job_id = id_in(&payload).map(|id| id.to_string());
    let error = if is_record { text("error").unwrap_or_default() } else { "this is no record of a failed task".to_owned() };
    FailedJob {
        id: job_id.clone().unwrap_or_default(),
        job_id,
        connection: text("connection").unwrap_or_default(),
        queue: queue.to_owned(),
        payload,
        reason: text("reason").unwrap_or_default(),
        exception: text("exception").unwrap_or(error),
        attempts: value.get("attempts").and_then(Value::as_u64).and_then(|attempts| u32::try_from(attempts).ok()),
        failed_at: text("failed_at").and_then(|time| date::parse(&time)).map_or(0, |local| zone.to_unix(local)),
    }
}

/// The task as it lay ready: in a record its attempts are raised.
fn as_popped(task: &[u8]) -> Vec<u8> {
    match find_attempts(task) {
        Some(at) if at.value > 0 => with_attempts(task, at, at.value - 1),
        _ => task.to_vec(),
    }
}

/// The message in the text that PHP prints of an exception, which is all that the original keeps; another text as it is.
///
/// `Class: message in file:line`, then the trace. Of a chain the last one was thrown.
fn message(exception: &str) -> &str {
    let Some((shown, _)) = exception.rsplit_once("\nStack trace:\n") else { return exception };
    let last = shown.rsplit_once("\n\nNext ").map_or(shown, |(_, last)| last);
    let is_class = |class: &str| !class.is_empty() && class.chars().all(|c| c.is_alphanumeric() || matches!(c, '\\' | '_'));
    match (last.split_once(": "), last.rsplit_once(" in ")) {
        (Some((class, rest)), Some((head, _))) if is_class(class) && head.len() >= last.len() - rest.len() => {
            &rest[..head.len() - (last.len() - rest.len())]
        }
        // An exception without a message: `Class in file:line`.
        (_, Some((class, _))) if is_class(class) => "",
        _ => exception,
    }
}
