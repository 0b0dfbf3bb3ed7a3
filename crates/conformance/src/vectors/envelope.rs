//! Takes a recorded payload apart and writes it again.

use std::collections::HashMap;

use ferry_core::dialect::Family;
use ferry_core::payload::{Envelope, Limits};
use serde_json::value::RawValue;

/// The payload that [`Envelope`] writes for `family` around the job and data text of `recorded`. `None` when it is no payload of a
/// job.
pub fn rebuilt(recorded: &str, family: Family) -> Option<Vec<u8>> {
    let fields: HashMap<&str, &RawValue> = serde_json::from_str(recorded).ok()?;
    let raw = |key: &str| fields.get(key).map(|value| value.get().as_bytes());
    let limits = raw("timeoutAt").map(|timeout_at| Limits {
        max_tries: raw("maxTries").unwrap_or(b"null"),
        timeout: raw("timeout").unwrap_or(b"null"),
        timeout_at,
    });
    let id: Option<&str> = fields.get("id").and_then(|id| serde_json::from_str(id.get()).ok());
    let attempts: Option<u32> = fields.get("attempts").and_then(|attempts| attempts.get().parse().ok());
    let counters = id.map(str::as_bytes).zip(attempts);
    Some(Envelope { job: raw("job")?, limits, data: raw("data")?, counters }.to_bytes(family))
}
