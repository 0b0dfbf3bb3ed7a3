//! What lies in the dead-letter queue: wrapped by a consumer, or raw when the broker put it there or nobody could read it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::Task;
use super::text::quoted;

/// The one format of a final failure. `task` is the body of the task with its count raised; `failed_at` is `Y-m-d H:i:s`.
pub fn dead_body(task: &[u8], message: &str, trace: &str, failed_at: &str) -> Vec<u8> {
    let mut out = b"{\"original_task\":".to_vec();
    out.extend_from_slice(task);
    let error = format!(
        ",\"error\":{{\"message\":{},\"trace\":{},\"failed_at\":{}}}}}",
        quoted(message),
        quoted(trace),
        quoted(failed_at)
    );
    out.extend_from_slice(error.as_bytes());
    out
}

/// A dead letter that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The bytes of its task.
    pub body: Vec<u8>,
    /// The task, when it is one.
    pub task: Option<Task>,
    /// What went wrong; empty in a raw one.
    pub message: String,
    /// Where it went wrong; empty in a raw one.
    pub trace: String,
    /// When, as `Y-m-d H:i:s`; empty in a raw one.
    pub failed_at: String,
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    original_task: &'a RawValue,
    error: Cause,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cause {
    message: Option<String>,
    trace: Option<String>,
    failed_at: Option<String>,
}

impl DeadLetter {
    /// Reads one. Nothing is an error here: what is no task is shown as it is.
    pub fn read(body: &[u8], message_id: Option<&str>, now: i64) -> Self {
        let (inner, error) = match serde_json::from_slice::<Wrapped<'_>>(body) {
            Ok(wrapped) => (wrapped.original_task.get().as_bytes(), wrapped.error),
            Err(_) => (body, Cause::default()),
        };
        Self {
            body: inner.to_vec(),
            task: Task::decode(inner, message_id, now).ok(),
            message: error.message.unwrap_or_default(),
            trace: error.trace.unwrap_or_default(),
            failed_at: error.failed_at.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_failure_has_the_recorded_format() {
        let file: serde_json::Value = serde_json::from_str(include_str!("../../../../fixtures/task-message.json")).unwrap();
        let case = file["cases"]
            .as_array()
            .unwrap()
            .iter()
            .find(|case| case["name"] == "handler returns failure, max_retries 3")
            .unwrap();
        let queue = case["queues_afterwards"]["task.dlq"].as_array().unwrap();
        let recorded = queue.iter().find_map(|message| message["body_with_trace_removed"].as_str()).unwrap();
        let letter = DeadLetter::read(recorded.as_bytes(), None, 0);
        assert_eq!((letter.task.as_ref().unwrap().current_retry, letter.message.as_str()), (3, "smtp down"));
        let written = dead_body(&letter.body, &letter.message, &letter.trace, &letter.failed_at);
        assert_eq!(String::from_utf8(written).unwrap(), recorded);
    }

    #[test]
    fn raw_letters_are_tasks_or_anything() {
        let raw = DeadLetter::read(br#"{"task_id":"i","task_type":"t"}"#, None, 0);
        assert_eq!((raw.task.unwrap().id.as_str(), raw.message.as_str()), ("i", ""));
        assert_eq!(DeadLetter::read(b"not json", None, 0).task, None);
        let odd = dead_body(b"{}", "a\u{fffd}/b", "", "");
        assert_eq!(DeadLetter::read(&odd, None, 0).message, "a\u{fffd}/b");
    }
}
