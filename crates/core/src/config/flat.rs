//! The flat array of think-queue v1 and v2: one connection, under other key names.

use super::Value;
use super::keys::{self, Group, Holds};

/// The array of a v1 or v2 application: `connector` at the top, no `connections`.
pub(super) fn is_flat(top: &[(String, Value)]) -> bool {
    let has = |name: &str| top.iter().any(|(key, _)| key == name);
    has("connector") && !has("connections")
}

/// The same array with the keys of v3, without those of the whole configuration. `family` becomes `think1` unless it is given.
pub(super) fn as_connection(top: &[(String, Value)]) -> Vec<(String, Value)> {
    let of_connection = |key: &str| keys::in_group(Group::Top, key).is_none_or(|key| key.holds != Holds::WorkerOption);
    let mut pairs: Vec<_> = top.iter().filter(|(key, _)| of_connection(key)).map(|(key, value)| as_v3(key, value)).collect();
    if !pairs.iter().any(|(key, _)| key == "family") {
        pairs.push(("family".to_owned(), "think1".into()));
    }
    pairs
}

fn as_v3(key: &str, value: &Value) -> (String, Value) {
    let (key, value) = match (key, value) {
        ("connector", value) => ("type", value.clone()),
        // Null kept reservations for ever there; in v3 it means 60 (`redis/pop-retry_after-null`).
        ("expire", Value::Null) => ("retry_after", "never".into()),
        ("expire", value) => ("retry_after", value.clone()),
        ("default", value) => ("queue", value.clone()),
        (other, value) => (other, value.clone()),
    };
    (key.to_owned(), value)
}
