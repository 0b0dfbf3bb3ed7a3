//! The id of a job: what a push returns, and what its payload carries (`redis/pushRaw-*`).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

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
    let mut json = serde_json::Deserializer::from_slice(payload);
    let id = json.deserialize_map(OnlyId).ok()?;
    json.end().ok()?;
    match id? {
        Value::String(id) => Some(JobId::Text(id)),
        Value::Number(id) => id.as_i64().map(JobId::Number),
        _ => None,
    }
}

/// Skips everything but `id`. Skipping does not recurse, so depth is no matter.
struct OnlyId;

impl<'de> Visitor<'de> for OnlyId {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut id = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "id" {
                id = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(id)
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
        let deep = format!(r#"{{"data":{}{},"id":"A"}}"#, "[".repeat(500), "]".repeat(500));
        assert_eq!(id_in(deep.as_bytes()), text("A"));
    }
}
