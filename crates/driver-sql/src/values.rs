//! Values on their way into a statement. Nothing here knows a database.

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlValue<'a> {
    /// No value.
    Null,
    /// A whole number.
    Int(i64),
    /// The unix second by the database's clock when the statement runs, and so many seconds later.
    Now(i64),
    /// A text.
    Text(&'a str),
    /// A payload: stored as text where it is UTF-8, so that PHP sees a string, and as bytes otherwise.
    Bytes(&'a [u8]),
}

/// The values of one statement, in the order of its parameters.
#[derive(Debug, Clone, Default)]
pub struct SqlValues<'a>(Vec<SqlValue<'a>>);

impl<'a> SqlValues<'a> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn int(self, value: i64) -> Self {
        self.and(SqlValue::Int(value))
    }

    /// A second of the broker's clock.
    pub(crate) fn second(self, second: SqlValue<'a>) -> Self {
        self.and(second)
    }

    pub(crate) fn ints(mut self, values: &[i64]) -> Self {
        self.0.extend(values.iter().map(|value| SqlValue::Int(*value)));
        self
    }

    pub(crate) fn text(self, value: &'a str) -> Self {
        self.and(SqlValue::Text(value))
    }

    pub(crate) fn optional_text(self, value: Option<&'a str>) -> Self {
        self.and(value.map_or(SqlValue::Null, SqlValue::Text))
    }

    pub(crate) fn bytes(self, value: &'a [u8]) -> Self {
        self.and(SqlValue::Bytes(value))
    }

    fn and(mut self, value: SqlValue<'a>) -> Self {
        self.0.push(value);
        self
    }
}

impl<'a> IntoIterator for SqlValues<'a> {
    type Item = SqlValue<'a>;
    type IntoIter = std::vec::IntoIter<SqlValue<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
