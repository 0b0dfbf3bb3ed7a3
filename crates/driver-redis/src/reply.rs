//! What Redis answers, as plain values.

use redis::Value;

/// The byte strings of a list.
pub fn bulks(value: Value) -> Option<Vec<Vec<u8>>> {
    let Value::Array(items) = value else { return None };
    items.into_iter().map(|item| if let Value::BulkString(bytes) = item { Some(bytes) } else { None }).collect()
}

/// A flat list of names and values as pairs.
pub fn pairs(value: Value) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut items = bulks(value)?.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let Some(name) = items.next() {
        pairs.push((name, items.next()?));
    }
    Some(pairs)
}

/// An integer.
pub fn integer(value: Value) -> Option<i64> {
    if let Value::Int(number) = value { Some(number) } else { None }
}

/// An integer that counts something.
pub fn count(value: Value) -> Option<u64> {
    integer(value).and_then(|number| u64::try_from(number).ok())
}

/// Text that is meant to be UTF-8.
pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A number in a byte string; 0 for what another program wrote there.
pub fn number(bytes: &[u8]) -> i64 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}
