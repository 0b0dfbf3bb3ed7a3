//! Some values of a JSON object, as the text they were written as.
//!
//! Every job comes by here, and nearly every body is written by a program that knows no spaces and no escapes in keys: [`plain_fields`] reads
//! those in a fifth of the time that the parser takes, and leaves all others to it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The values of `keys` in a body that is a JSON object, and nothing else; of repeated keys the last, as PHP reads them.
pub(crate) fn json_fields<'a, const N: usize>(body: &'a [u8], keys: [&str; N]) -> serde_json::Result<[Option<&'a str>; N]> {
    // Once for the whole body: the parser would check string by string, and much slower.
    let text = std::str::from_utf8(body).map_err(|error| serde_json::Error::custom(format_args!("not UTF-8: {error}")))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let values = reader.deserialize_map(Fields(keys))?;
    reader.end()?;
    Ok(values)
}

/// The same for a body without spaces between its values. `None` for one that is written in any other way, or that is none.
///
/// The values of the first `unread` keys are followed to their end only: whoever decodes them says what is wrong inside. All others are
/// whole numbers, words, or strings without escapes.
pub(crate) fn plain_fields<'a, const N: usize>(body: &'a [u8], keys: [&str; N], unread: usize) -> Option<[Option<&'a str>; N]> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.starts_with('{'))?;
    let mut values = [None; N];
    let mut at = 0;
    loop {
        // Behind the brace before the first key, or the comma before another one.
        at += 1;
        let (colon, is_plain_key) = end_of_string(body, at)?;
        if !is_plain_key || body.get(colon) != Some(&b':') {
            return None;
        }
        let (key, start) = (&text[at + 1..colon - 1], colon + 1);
        let (end, is_plain) = end_of_value(body, start)?;
        // Spaces around it are not part of a value.
        if body[start] <= b' ' || body[end - 1] <= b' ' {
            return None;
        }
        let known = keys.iter().position(|known| *known == key);
        if !is_plain && known.is_none_or(|known| known >= unread) {
            return None;
        }
        if let Some(known) = known {
            values[known] = Some(&text[start..end]);
        }
        at = end;
        match body.get(at) {
            Some(b',') => {}
            Some(b'}') if at + 1 == body.len() => return Some(values),
            _ => return None,
        }
    }
}

/// Which bytes end a run inside a string: its quote, an escape, and what must not stand there.
const IN_STRING: [bool; 256] = table(b"\"\\", 0x20);

/// Which bytes outside of strings say where a value ends.
const IN_VALUE: [bool; 256] = table(b"\"{}[],", 0);

/// A table of the given bytes, and of those below a bound.
const fn table(bytes: &[u8], bound: usize) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    at = 0;
    while at < bound {
        table[at] = true;
        at += 1;
    }
    table
}

/// The first byte from `at` on that is in the table, and where it is. Strings are short: faster than a call of `memchr` for each.
fn next_of(table: &[bool; 256], body: &[u8], at: usize) -> Option<(u8, usize)> {
    let rest = body.get(at..)?;
    let found = rest.iter().position(|byte| table[usize::from(*byte)])?;
    Some((rest[found], at + found))
}

/// Where the string that begins at `start` ends, behind its quote; and whether it has no escapes.
fn end_of_string(body: &[u8], start: usize) -> Option<(usize, bool)> {
    if body.get(start) != Some(&b'"') {
        return None;
    }
    let (mut at, mut is_plain) = (start + 1, true);
    loop {
        match next_of(&IN_STRING, body, at)? {
            (b'"', quote) => return Some((quote + 1, is_plain)),
            (b'\\', escape) => (at, is_plain) = (escape + 2, false),
            _ => return None,
        }
    }
}

/// Where the value that begins at `start` ends, behind its last byte; and whether it is plain.
fn end_of_value(body: &[u8], start: usize) -> Option<(usize, bool)> {
    if body.get(start) == Some(&b'"') {
        return end_of_string(body, start);
    }
    let (mut at, mut depth) = (start, 0_usize);
    loop {
        let (byte, found) = next_of(&IN_VALUE, body, at)?;
        at = found + 1;
        match byte {
            b'"' => at = end_of_string(body, found)?.0,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return Some((at, false)),
            b'}' | b']' if depth > 1 => depth -= 1,
            _ if depth == 0 => return Some((found, is_word(&body[start..found]))),
            _ => {}
        }
    }
}

/// Whether this is a whole number, or a word of JSON.
fn is_word(value: &[u8]) -> bool {
    match value {
        b"null" | b"true" | b"false" | b"0" => true,
        [b'1'..=b'9', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// The text of a value that is a string without escapes.
pub(crate) fn plain_text(value: &str) -> Option<&str> {
    match end_of_string(value.as_bytes(), 0)? {
        (end, true) if end == value.len() => Some(&value[1..end - 1]),
        _ => None,
    }
}

/// Where a value stands in the body that it was read from.
pub(crate) fn range_in(body: &[u8], value: &str) -> Range<usize> {
    let start = value.as_ptr().addr() - body.as_ptr().addr();
    start..start + value.len()
}

/// A bare `Cow` would be read as an owned one.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct Fields<'k, const N: usize>([&'k str; N]);

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
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
            r#"{"job":"J","data":"x\\","data":[],"more":true,"id":7}"#,
            r#"{"data":1.5e3,"job":""}"#,
        ] {
            let keys = ["job", "data", "id", "timeout"];
            let plain = plain_fields(body.as_bytes(), keys, 2);
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
            r#"{"job":"J","data": 1}"#,
            r#"{"job":"J","data":1 ,"id":2}"#,
            r#"{"job":"J","data": {}}"#,
            r#"{"job":"J","#,
            r#"{"job":"J\"}"#,
            r#"{"job":"J","data":{"a":1}"#,
            r#"{"j\u006fb":"J"}"#,
            r#"{"job":"J","id":"\u0041"}"#,
            r#"{"job":"J","id":tru}"#,
            r#"{"job":"J","id":01}"#,
            r#"{"job":"J","id":1.0}"#,
            r#"{"job":"J","more":{}}"#,
            "{\"job\":\"J\",\"id\":\"\u{1}\"}",
        ] {
            assert_eq!(plain_fields(body.as_bytes(), ["job", "data", "id"], 2), None, "{body}");
        }
        assert_eq!(plain_fields(b"{\"job\":\"\xff\"}", ["job"], 1), None);
    }
}
