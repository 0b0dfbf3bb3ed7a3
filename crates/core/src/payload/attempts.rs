//! Raising `attempts` without touching any other byte.
//!
//! `crates/driver-redis/src/lua/reserve.lua` does the same where the job lies; both follow the cases of
//! `fixtures/attempts.json`.

/// Where the digits of the top-level `attempts` stand, and what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptsAt {
    /// Index of the first digit.
    pub offset: usize,
    /// Number of digits.
    pub length: usize,
    /// Their value.
    pub value: u32,
}

/// The most digits that are read as a count. Longer ones, signs, fractions other than zero and exponents are poison.
const MAX_DIGITS: usize = 9;

/// Finds the top-level `attempts` of a payload; of several the last, as PHP reads them. `None` when there is no plain count.
///
/// The text is not checked to be JSON; whoever decodes the payload does that.
pub fn find_attempts(body: &[u8]) -> Option<AttemptsAt> {
    at_the_tail(body).or_else(|| find_number(body, b"\"attempts\""))
}

/// The payload with another count.
pub fn with_attempts(body: &[u8], at: AttemptsAt, attempts: u32) -> Vec<u8> {
    let digits = attempts.to_string();
    let mut out = Vec::with_capacity(body.len() + digits.len());
    out.extend_from_slice(&body[..at.offset]);
    out.extend_from_slice(digits.as_bytes());
    out.extend_from_slice(&body[at.offset + at.length..]);
    out
}

/// The payload as if it had never been reserved: its count is `fresh`, every other byte stays. Without a plain count it stays as
/// it is (`command/retry-*`).
pub fn with_fresh_attempts(body: &[u8], fresh: u32) -> Vec<u8> {
    find_attempts(body).map_or_else(|| body.to_vec(), |at| with_attempts(body, at, fresh))
}

/// What think-queue writes: `,"attempts":N}` as the very last bytes. The comma in front tells a key from the end of a longer
/// name, the closing brace from a nested object.
fn at_the_tail(body: &[u8]) -> Option<AttemptsAt> {
    const KEY: &[u8] = b",\"attempts\":";
    let head = body.strip_suffix(b"}")?;
    let length = head.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let offset = head.len() - length;
    if !head[..offset].ends_with(KEY) {
        return None;
    }
    count(body, offset, length)
}

fn count(body: &[u8], offset: usize, length: usize) -> Option<AttemptsAt> {
    let digits = body.get(offset..offset + length)?;
    let plain = (1..=MAX_DIGITS).contains(&length) && (length == 1 || digits[0] != b'0');
    let value = std::str::from_utf8(digits).ok()?.parse().ok()?;
    plain.then_some(AttemptsAt { offset, length, value })
}

/// Finds a top-level number as [`find_attempts`] finds that of attempts. `key` stands in its quotes. Walks the whole text, so that keys may
/// come in any order and with spaces.
pub(crate) fn find_number(body: &[u8], key: &[u8]) -> Option<AttemptsAt> {
    let mut found = None;
    let mut depth = 0_usize;
    let mut at = 0;
    while at < body.len() {
        match body[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let end = end_of_string(body, at)?;
                if depth == 1
                    && &body[at..=end] == key
                    && let Some(value) = value_after(body, end + 1)
                {
                    found = whole_number(body, value);
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Index of the quote that closes the string opened at `open`.
fn end_of_string(body: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match body.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at),
            _ => at += 1,
        }
    }
}

/// Index of the value behind a key that ended before `at`; `None` when no colon follows (it was a value itself).
fn value_after(body: &[u8], at: usize) -> Option<usize> {
    let colon = skip_space(body, at);
    (body.get(colon) == Some(&b':')).then(|| skip_space(body, colon + 1))
}

fn skip_space(body: &[u8], mut at: usize) -> usize {
    while matches!(body.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// A whole number as PHP counts on from it: `1`, and what producers in other languages write, `"1"` and `1.0`. Only the digits
/// change, so quotes and fraction stay. What stands behind must end the value.
fn whole_number(body: &[u8], value: usize) -> Option<AttemptsAt> {
    let quotes = usize::from(body.get(value) == Some(&b'"'));
    let offset = value + quotes;
    let length = run(body, offset, u8::is_ascii_digit);
    let end = offset + length;
    let behind = match (quotes, body.get(end)) {
        (1, Some(b'"')) => end + 1,
        (1, _) => return None,
        (_, Some(b'.')) => end + 1 + Some(run(body, end + 1, |byte| *byte == b'0')).filter(|zeros| *zeros > 0)?,
        _ => end,
    };
    let ends = matches!(body.get(skip_space(body, behind)), Some(b',' | b'}'));
    if ends { count(body, offset, length) } else { None }
}

/// How many bytes of one kind stand at an index.
fn run(body: &[u8], at: usize, kind: impl Fn(&u8) -> bool) -> usize {
    body.get(at..).map_or(0, |rest| rest.iter().take_while(|byte| kind(byte)).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_case_of_the_fixture_is_spliced_or_refused_as_written() {
        let text = include_str!("../../../../fixtures/attempts.json");
        let cases: Value = serde_json::from_str(text).unwrap();
        let cases = cases["cases"].as_array().unwrap();
        assert!(cases.len() >= 20);
        for case in cases {
            let body = case["body"].as_str().unwrap().as_bytes();
            let raised = find_attempts(body).map(|at| with_attempts(body, at, at.value + 1));
            let raised = raised.map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(raised.as_deref(), case["raised"].as_str(), "{}", case["body"]);
        }
    }

    #[test]
    fn a_fresh_count_replaces_the_digits_and_no_other_byte() {
        for (body, fresh) in [
            (
                &br#"{"job":"J","data":{"o":{},"u":"\u00e9\/","f":1.0},"id":"raw","attempts":12}"#[..],
                &br#"{"job":"J","data":{"o":{},"u":"\u00e9\/","f":1.0},"id":"raw","attempts":0}"#[..],
            ),
            (br#"{"attempts":3,"job":"J"}"#, br#"{"attempts":0,"job":"J"}"#),
            (br#"{"job":"J","data":{"attempts":3}}"#, br#"{"job":"J","data":{"attempts":3}}"#),
            (b"garbage \xff", b"garbage \xff"),
        ] {
            assert_eq!(with_fresh_attempts(body, 0), fresh);
        }
        assert_eq!(with_fresh_attempts(br#"{"attempts":3}"#, 1), br#"{"attempts":1}"#);
    }
}
