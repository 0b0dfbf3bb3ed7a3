//! The id of a job: what a push returns, and what its payload carries (`redis/pushRaw-*`).

use std::fmt;

use serde_json::Value;

use crate::json_fields::json_fields;

/// The id of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobId {
    /// Text, in a payload.
    Text(String),
    /// A number: in a payload, or given by the broker; 0 when it gave none.
    Number(i64),
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobId::Text(id) => f.write_str(id),
            JobId::Number(id) => id.fmt(f),
        }
    }
}

/// The top-level `id`, when there is a string or a whole number; of several the last, as PHP reads them.
///
/// [`Payload`](super::Payload) is stricter: it wants a `job` too, and a raw payload may have none.
pub fn id_in(payload: &[u8]) -> Option<JobId> {
    let [id] = json_fields(payload, ["id"]).ok()?;
    match serde_json::from_str(id?).ok()? {
        Value::String(id) => Some(JobId::Text(id)),
        Value::Number(id) => id.as_i64().map(JobId::Number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_only_where_php_would_find_it() {
        let text = |id: &str| Some(JobId::Text(id.to_owned()));
        for (payload, id) in [
            (r#"{"x":1}"#, None),
            ("zzz", None),
            ("", None),
            ("[]", None),
            (r#"{"id":"A"}"#, text("A")),
            (r#"{"job":"J","data":{"id":"B"},"id":"A","attempts":0}"#, text("A")),
            (r#"{"data":{"id":"B"}}"#, None),
            (r#"{"id":"A","id":"C"}"#, text("C")),
            (r#"{"\u0069d":"A"}"#, text("A")),
            (r#"{"id":7}"#, Some(JobId::Number(7))),
            (r#"{"id":null}"#, None),
            (r#"{"id":{}}"#, None),
            (r#"{"id":"A"} x"#, None),
        ] {
            assert_eq!(id_in(payload.as_bytes()), id, "{payload}");
        }
        assert_eq!(id_in(b"{\"id\":\"A\",\"x\":\"\xff\"}"), None, "PHP decodes no such payload");
        let deep = format!(r#"{{"data":{}{},"id":"A"}}"#, "[".repeat(500), "]".repeat(500));
        assert_eq!(id_in(deep.as_bytes()), text("A"));
    }
}
