//! Text of strangers on its way to a terminal or a line of a log.

use std::borrow::Cow;
use std::fmt::Write;

/// The text on one line and without commands for a terminal: control characters, line separators and marks that change the direction of
/// writing are written as `\n`, `\x1b` or `\u{202e}`. Everything else is as it was.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        // Writing into a string cannot fail.
        let _ = match letter {
            '\n' => shown.write_str("\\n"),
            '\r' => shown.write_str("\\r"),
            '\t' => shown.write_str("\\t"),
            letter if letter.is_ascii() && is_unsafe(letter) => write!(shown, "\\x{:02x}", u32::from(letter)),
            letter if is_unsafe(letter) => write!(shown, "\\u{{{:x}}}", u32::from(letter)),
            letter => shown.write_char(letter),
        };
    }
    Cow::Owned(shown)
}

/// Text of several lines, each of them safe like [`one_line`] and indented but for the first, so that none looks like a line of the log.
pub fn indented(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.lines().map(one_line).collect();
    lines.join("\n    ")
}

fn is_unsafe(letter: char) -> bool {
    let turns_direction = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || turns_direction || matches!(letter, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_a_line_or_command_a_terminal() {
        for (text, shown) in [
            ("app\\job\\Mail@fire", "app\\job\\Mail@fire"),
            ("a\n[2026-01-01] Processed: b", "a\\n[2026-01-01] Processed: b"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{1b}[31mred\u{1b}]0;title\u{7}", "\\x1b[31mred\\x1b]0;title\\x07"),
            ("\u{9b}31m\u{7f}\0", "\\u{9b}31m\\x7f\\x00"),
            ("\u{202e}txt.exe\u{2028}next", "\\u{202e}txt.exe\\u{2028}next"),
            ("任务 é 🦀", "任务 é 🦀"),
        ] {
            assert_eq!(one_line(text), shown);
        }
        assert!(matches!(one_line("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn lines_of_a_longer_text_do_not_look_like_lines_of_the_log() {
        assert_eq!(indented("E: a\r\n[2026] Processed:\n#0 \u{1b}x"), "E: a\n    [2026] Processed:\n    #0 \\x1bx");
        assert_eq!(indented(""), "");
    }
}
