//! What must hold for every input, whoever wrote it. `targets/` hands these checks to libFuzzer, `README.md` says how to run them.
//!
//! A check panics when a promise is broken. Nothing here mutates inputs or decides which to try: that is the fuzzer's work.

pub mod attempts;
pub mod config;
pub mod dsn;
pub mod failed;
pub mod payload;

mod reader;
mod secret;

use serde_json::Value;

/// A payload as serde_json understands it: the other opinion that ours is compared with. `None` when it is no JSON object.
///
/// serde_json refuses more than our decoder: numbers beyond a float's range and more than 128 levels.
fn whole(body: &[u8]) -> Option<serde_json::Map<String, Value>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}
