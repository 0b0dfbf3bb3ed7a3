//! Values on their way into a statement. Nothing here knows a database.

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A whole number.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// A payload: stored as text where it is UTF-8, so that PHP sees a string, and as bytes otherwise.
    Bytes(&'a [u8]),
}

/// The values of one statement, in the order of its parameters.
#[derive(Debug, Default)]
pub struct Values<'a>(Vec<Value<'a>>);

impl<'a> Values<'a> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn int(self, value: i64) -> Self {
        self.and(Value::Int(value))
    }

    pub(crate) fn ints(mut self, values: &[i64]) -> Self {
        self.0.extend(values.iter().map(|value| Value::Int(*value)));
        self
    }

    pub(crate) fn text(self, value: &'a str) -> Self {
        self.and(Value::Text(value))
    }

    pub(crate) fn optional_text(self, value: Option<&'a str>) -> Self {
        self.and(value.map_or(Value::Null, Value::Text))
    }

    pub(crate) fn bytes(self, value: &'a [u8]) -> Self {
        self.and(Value::Bytes(value))
    }

    fn and(mut self, value: Value<'a>) -> Self {
        self.0.push(value);
        self
    }
}

impl<'a> IntoIterator for Values<'a> {
    type Item = Value<'a>;
    type IntoIter = std::vec::IntoIter<Value<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
