//! JSON strings as PHP's encoder writes them.

use std::fmt::Write;

/// With its default flags: slashes escaped and everything outside ASCII as `\u`, which is why it is always ASCII.
pub fn quoted(text: &str) -> String {
    escaped(text, |letter| letter.is_ascii())
}

/// With `JSON_UNESCAPED_UNICODE`: slashes escaped, UTF-8 raw but for U+2028 and U+2029, which end a line in JavaScript.
pub fn quoted_raw(text: &str) -> String {
    escaped(text, |letter| !matches!(letter, '\u{2028}' | '\u{2029}'))
}

fn escaped(text: &str, stays: fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter if letter >= ' ' && stays(letter) => out.push(letter),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_php_does() {
        assert_eq!(quoted("a/b\\\"\n\u{1}\u{7f}"), "\"a\\/b\\\\\\\"\\n\\u0001\u{7f}\"");
        assert_eq!(quoted("张😀"), "\"\\u5f20\\ud83d\\ude00\"");
        assert_eq!(quoted_raw("a/b\\\"\n\u{1}\u{7f}"), quoted("a/b\\\"\n\u{1}\u{7f}"));
        assert_eq!(quoted_raw("张😀\u{2028}\u{2029}"), "\"张😀\\u2028\\u2029\"");
    }
}
