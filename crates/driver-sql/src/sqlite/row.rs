//! One row of an answer, with SQLite's conversions: any column may hold a value of any type, whatever the table declares.

use rusqlite::types::ValueRef;

use crate::error::SqlError;
use crate::session::Row;

/// One row of an answer.
pub struct SqliteRow(Vec<Column>);

/// What stands in one column. A text may hold any bytes.
enum Column {
    Null,
    Int(i64),
    Real(f64),
    Bytes(Vec<u8>),
}

impl SqliteRow {
    /// Copies a row, which SQLite keeps until the next only.
    pub(super) fn read(row: &rusqlite::Row<'_>, columns: usize) -> Result<Self, SqlError> {
        let column = |index| row.get_ref(index).map(Column::of);
        Ok(Self((0..columns).map(column).collect::<Result<_, _>>()?))
    }
}

impl Column {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Column::Null,
            ValueRef::Integer(number) => Column::Int(number),
            ValueRef::Real(number) => Column::Real(number),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Column::Bytes(bytes.to_vec()),
        }
    }
}

impl Row for SqliteRow {
    fn int(&self, column: usize) -> Option<i64> {
        match self.0.get(column)? {
            Column::Null => None,
            Column::Int(number) => Some(*number),
            Column::Real(number) => Some(*number as i64),
            Column::Bytes(bytes) => Some(leading_number(bytes)),
        }
    }

    /// TEXT or BLOB; a number as its text.
    fn bytes(&self, column: usize) -> Vec<u8> {
        match self.0.get(column) {
            None | Some(Column::Null) => Vec::new(),
            Some(Column::Int(number)) => number.to_string().into_bytes(),
            Some(Column::Real(number)) => format!("{number:?}").into_bytes(),
            Some(Column::Bytes(bytes)) => bytes.clone(),
        }
    }
}

/// The whole number with which a text begins, as `CAST(... AS INTEGER)` reads it: 0 where there is none.
fn leading_number(bytes: &[u8]) -> i64 {
    let bytes = bytes.trim_ascii_start();
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let digits = bytes[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = std::str::from_utf8(&bytes[..sign + digits]).unwrap_or_default();
    let past_the_end = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    if digits == 0 { 0 } else { text.parse().unwrap_or(past_the_end) }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn columns_are_converted_as_sqlite_converts_them() {
        let sqlite = Connection::open_in_memory().unwrap();
        for value in ["12", "'12'", "' -7x'", "'x'", "''", "'+'", "3.9", "-2.0", "x'3132'", "'99999999999999999999'", "NULL"] {
            let sql = format!("SELECT {value}, CAST({value} AS INTEGER), CAST(CAST({value} AS TEXT) AS BLOB)");
            let row = sqlite.query_row(&sql, [], |row| Ok(SqliteRow::read(row, 3))).unwrap().unwrap();
            assert_eq!(row.int(0), row.int(1), "{value} as a number");
            assert_eq!(row.bytes(0), row.bytes(2), "{value} as bytes");
            assert_eq!((row.int(3), row.bytes(3)), (None, Vec::new()), "there is no such column");
        }
    }
}
