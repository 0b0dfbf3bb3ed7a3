//! Statements as PostgreSQL reads them: our `?1` becomes `$1`, or the value itself where nothing can be prepared.

use crate::placeholders::translate;
use crate::values::SqlValue;

/// The unix second by the server's clock. It stands still within a statement, so an index on the second can be used. `extract` would
/// be a `numeric` since PostgreSQL 14, which takes a microsecond more.
const NOW: &str = "CAST(floor(date_part('epoch', statement_timestamp())) AS bigint)";

/// With parameters that are sent beside the text.
pub(super) fn numbered(sql: &str, values: &[SqlValue<'_>]) -> String {
    translate(sql, |text, number| match value_of(values, number) {
        SqlValue::Now(_) => text.push_str(&format!("({NOW} + ${number})")),
        _ => text.push_str(&format!("${number}")),
    })
}

/// With the values in the text. `None` when one is no UTF-8.
pub(super) fn inlined(sql: &str, values: &[SqlValue<'_>]) -> Option<String> {
    let mut readable = true;
    let text = translate(sql, |text, number| match value_of(values, number) {
        SqlValue::Null => text.push_str("NULL"),
        SqlValue::Int(number) => text.push_str(&format!("({number})")),
        SqlValue::Now(later) => text.push_str(&format!("({NOW} + ({later}))")),
        SqlValue::Text(value) => literal(text, value),
        SqlValue::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(value) => literal(text, value),
            Err(_) => readable = false,
        },
    });
    readable.then_some(text)
}

fn value_of<'a>(values: &[SqlValue<'a>], number: usize) -> SqlValue<'a> {
    number.checked_sub(1).and_then(|index| values.get(index)).copied().unwrap_or(SqlValue::Null)
}

/// A string as a literal.
pub(super) fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 3);
    literal(&mut text, value);
    text
}

/// A string in which a backslash means the same whatever the server's settings are.
fn literal(text: &mut String, value: &str) {
    text.push_str("E'");
    for character in value.chars() {
        if matches!(character, '\'' | '\\') {
            text.push(character);
        }
        text.push(character);
    }
    text.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_and_may_repeat() {
        let values = [SqlValue::Text("q"), SqlValue::Int(1)];
        assert_eq!(numbered("SELECT ?1, ?2 WHERE ?1 = ?2)", &values), "SELECT $1, $2 WHERE $1 = $2)");
    }

    #[test]
    fn now_is_asked_of_the_server() {
        assert_eq!(numbered("SELECT ?1", &[SqlValue::Now(5)]), format!("SELECT ({NOW} + $1)"));
        assert_eq!(inlined("SELECT ?1", &[SqlValue::Now(-5)]).unwrap(), format!("SELECT ({NOW} + (-5))"));
    }

    #[test]
    fn a_value_in_the_text_stays_a_value() {
        let nasty = r"'; DROP TABLE jobs; -- \' ?1";
        let text = inlined("SELECT ?1, ?2, ?3", &[SqlValue::Text(nasty), SqlValue::Null, SqlValue::Int(-1)]).unwrap();
        assert_eq!(text, r"SELECT E'''; DROP TABLE jobs; -- \\'' ?1', NULL, (-1)");
        assert_eq!(inlined("SELECT ?1", &[SqlValue::Bytes(b"\xff")]), None);
    }
}
