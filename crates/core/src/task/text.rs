//! JSON strings as PHP's encoder writes them with its default flags.

use std::fmt::Write;

/// The string in quotes, slashes escaped and everything outside ASCII as `\u`, which is why it is always ASCII.
pub fn quoted(text: &str) -> String {
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
            ' '..='\u{7f}' => out.push(letter),
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
    }
}
