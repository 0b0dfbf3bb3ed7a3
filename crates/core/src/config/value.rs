//! A configuration value as PHP gives it, without PHP.

/// What a PHP array can hold. Strings are bytes; map keys are text, integer keys are written out.
#[derive(Debug, Clone, PartialEq)]
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
