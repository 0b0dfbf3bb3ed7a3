//! A password to plant in configuration, and the proof that nobody printed it.
//!
//! It has two halves with something of the fuzzer's between them: a `/`, `?` or `@` there must not make one half look like a
//! host, a path or a key that an error may name.

const FIRST: &str = "Xq7Zv";
const SECOND: &str = "Wk9Jp";

/// The password with `between` in its middle.
pub fn with(between: &str) -> String {
    format!("{FIRST}{between}{SECOND}")
}

/// Whether the fuzzer has guessed a half, so that a text may hold it for other reasons.
pub fn is_spoilt(input: &[u8]) -> bool {
    shows_a_half(&String::from_utf8_lossy(input))
}

/// Panics when `text` shows either half.
pub fn assert_hidden(text: &str) {
    assert!(!shows_a_half(text), "the secret is shown: {text}");
}

/// Hosts are shown in small letters.
fn shows_a_half(text: &str) -> bool {
    let text = text.to_lowercase();
    [FIRST, SECOND].iter().any(|half| text.contains(&half.to_lowercase()))
}
