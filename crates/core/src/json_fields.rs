//! Some values of a JSON object, as the text they were written as.
//!
//! Every job comes by here, and programs write payloads without spaces between values and without escapes in keys: [`plain_fields`] reads
//! those in about half the time that the parser takes, and leaves all others to it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The values of `keys` in a body that is a JSON object, and nothing else; of repeated keys the last, as PHP reads them.
pub(crate) fn json_fields<'a, const N: usize>(body: &'a [u8], keys: [&str; N]) -> serde_json::Result<[Option<&'a str>; N]> {
    // Once for the whole body: the parser would check string by string, and much slower.
    let text = std::str::from_utf8(body).map_err(|error| serde_json::Error::custom(format_args!("not UTF-8: {error}")))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let values = reader.deserialize_map(FieldVisitor(keys))?;
    reader.end()?;
    Ok(values)
}

/// The same for a body without spaces between its values and without escapes in its keys. `None` for any other one, and for one that is no
/// object: then [`json_fields`] judges.
///
/// Short strings, whole numbers and words are most of a payload. Values of other kinds are followed by the parser.
pub(crate) fn plain_fields<'a, const N: usize>(body: &'a [u8], keys: [&str; N]) -> Option<[Option<&'a str>; N]> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.starts_with('{'))?;
    let mut values = [None; N];
    let mut at = 0;
    loop {
        // Behind the brace before the first key, or the comma before another one.
        at += 1;
        let colon = end_of_plain_string(body, at)?;
        if body.get(colon) != Some(&b':') {
            return None;
        }
        let (key, start) = (&text[at + 1..colon - 1], colon + 1);
        at = end_of_value(text, start)?;
        if let Some(index) = keys.iter().position(|known| *known == key) {
            values[index] = Some(&text[start..at]);
        }
        match body.get(at) {
            Some(b',') => {}
            Some(b'}') if at + 1 == body.len() => return Some(values),
            _ => return None,
        }
    }
}

/// Where the value that begins at `start` ends, behind its last byte. `None` for what is no value, or has a space before it.
fn end_of_value(text: &str, start: usize) -> Option<usize> {
    let value = &text.as_bytes()[start..];
    let plain = match value.first()? {
        0..=b' ' => return None,
        b'"' => end_of_plain_string(value, 0),
        b'{' | b'[' => None,
        _ => value.iter().position(|byte| matches!(byte, b',' | b'}')).filter(|end| is_integer_or_literal(&value[..*end])),
    };
    let parsed = || {
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        Some(values.byte_offset())
    };
    plain.or_else(parsed).map(|length| start + length)
}

/// Which bytes end a run inside a string: its quote, an escape, and what must not stand there. Strings are short, so this is faster than a
/// call of `memchr` for each.
const ENDS_RUN: [bool; 256] = {
    let mut table = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = true;
        control += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

/// Where the string that begins at `start` ends, behind its quote. `None` for one with escapes, and for what is no string.
fn end_of_plain_string(body: &[u8], start: usize) -> Option<usize> {
    if body.get(start) != Some(&b'"') {
        return None;
    }
    let end = start + 1 + body[start + 1..].iter().position(|byte| ENDS_RUN[usize::from(*byte)])?;
    (body[end] == b'"').then_some(end + 1)
}

fn is_integer_or_literal(value: &[u8]) -> bool {
    match value {
        b"null" | b"true" | b"false" | b"0" => true,
        [b'1'..=b'9', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// The text of a value that is a string without escapes.
pub(crate) fn plain_text(value: &str) -> Option<&str> {
    let end = end_of_plain_string(value.as_bytes(), 0)?;
    (end == value.len()).then(|| &value[1..end - 1])
}

/// Where a value stands in the body that it was read from.
pub(crate) fn range_in(body: &[u8], value: &str) -> Range<usize> {
    let start = value.as_ptr().addr() - body.as_ptr().addr();
    start..start + value.len()
}

/// A bare `Cow` would be read as an owned one.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct FieldVisitor<'k, const N: usize>([&'k str; N]);

impl<'de, const N: usize> Visitor<'de> for FieldVisitor<'_, N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some(Key(key)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            if let Some(index) = self.0.iter().position(|known| *known == key) {
                values[index] = Some(value.get());
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_as_they_were_written_and_of_repeated_keys_the_last() {
        let body = br#" {"a": 1.0,"b":{"a":2},"c":"\u0041","\u0064":[1, 2],"a":null} "#;
        let values = json_fields(body, ["a", "b", "d", "e"]).unwrap();
        assert_eq!(values, [Some("null"), Some(r#"{"a":2}"#), Some("[1, 2]"), None]);
        assert_eq!(range_in(body, values[1].unwrap()), 15..22);
    }

    #[test]
    fn what_is_no_object_or_not_all_of_the_body_is_an_error() {
        for body in [&b""[..], b"1", b"[]", b"{}{}", b"{\"a\":}", b"{\"a\":\"\xff\"}", b"{\"a\":\"\x01\"}"] {
            assert!(json_fields(body, ["a"]).is_err(), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a_plain_body_is_read_without_the_parser_and_says_the_same() {
        for body in [
            r#"{"job":"app\\job\\Job1@task","maxTries":null,"timeout":60,"data":{"a":[1,"]}\"",{}]},"id":"AbC","attempts":0}"#,
            r#"{"job":"J","data":"x\\","data":[],"more":{"job":1},"id":7}"#,
            r#"{"data":-1.5e3,"job":"","id":true}"#,
            r#"{"data":[ 1, 2 ],"job":"中","id":"\u0041"}"#,
        ] {
            let keys = ["job", "data", "id", "timeout"];
            let plain = plain_fields(body.as_bytes(), keys);
            assert_eq!(plain, Some(json_fields(body.as_bytes(), keys).unwrap()), "{body}");
        }
    }

    #[test]
    fn a_body_that_is_not_plain_is_left_to_the_parser() {
        for body in [
            "",
            "{",
            "{}",
            "[]",
            "[\"job\":1}",
            r#"{"job":"J"} "#,
            r#"{"job":"J"}}"#,
            r#"{"job":"J" }"#,
            r#"{"job": "J"}"#,
            r#"{"job":"J","data":1 ,"id":2}"#,
            r#"{"job":"J","data": {}}"#,
            r#"{"job":"J","#,
            r#"{"job":"J\"}"#,
            r#"{"job":"J","data":{"a":1}"#,
            r#"{"job":"J","data":{]}"#,
            r#"{"job":"J","data":,"id":2}"#,
            r#"{"job":xx,"job":"J"}"#,
            r#"{"j\u006fb":"J"}"#,
            r#"{"job":"J","id":tru}"#,
            r#"{"job":"J","id":01}"#,
            "{\"job\":\"J\",\"id\":\"\u{1}\"}",
        ] {
            assert_eq!(plain_fields(body.as_bytes(), ["job", "data", "id"]), None, "{body}");
        }
        assert_eq!(plain_fields(b"{\"job\":\"\xff\"}", ["job"]), None);
    }
}
