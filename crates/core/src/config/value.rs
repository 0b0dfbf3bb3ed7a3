//! A configuration value as PHP gives it, without PHP.

use std::fmt;

/// What a PHP array can hold. Strings are bytes; map keys are text, integer keys are written out.
///
/// `Debug` shows no text: any of it may be a password.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Text(Vec<u8>),
    /// An array, with its keys in order. `[]` is an empty map.
    Map(Vec<(String, Value)>),
    /// Something that cannot be configuration: what it was (`object of class X`).
    Other(String),
}

impl Value {
    /// What it is, for an error: never what a string holds.
    pub fn described(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(_) | Value::Float(_) => "a number".to_owned(),
            Value::Text(_) => "text".to_owned(),
            Value::Map(_) => "an array".to_owned(),
            Value::Other(what) => what.clone(),
        }
    }

    /// Whether it counts as given.
    pub(super) fn is_set(&self) -> bool {
        match self {
            Value::Null | Value::Bool(false) => false,
            Value::Text(text) => !text.is_empty(),
            _ => true,
        }
    }
}

/// The value of a key.
pub(super) fn find<'a>(pairs: &'a [(String, Value)], key: &str) -> Option<&'a Value> {
    pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

impl Eq for Value {}

impl std::hash::Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Value::Null => {}
            Value::Bool(value) => value.hash(state),
            Value::Int(value) => value.hash(state),
            Value::Float(value) => value.to_bits().hash(state),
            Value::Text(value) => value.hash(state),
            Value::Map(value) => value.hash(state),
            Value::Other(value) => value.hash(state),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(_) | Value::Float(_) => f.write_str("number"),
            Value::Text(text) => write!(f, "text of {} bytes", text.len()),
            Value::Map(map) => f.debug_map().entries(map.iter().map(|(key, value)| (key, value))).finish(),
            other => f.write_str(&other.described()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.as_bytes().to_vec())
    }
}
