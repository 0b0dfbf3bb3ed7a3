//! The splice: raising `attempts` touches its digits and nothing else.

use std::fmt;

use ferry_core::payload::{AttemptsAt, Payload, find_attempts, with_attempts, with_fresh_attempts};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::whole;

/// The highest count that is still read after it was raised: ten digits are poison.
const HIGHEST: u32 = 999_999_998;

/// Any bytes can be searched; what is found can be raised; and of a job it is the count that a JSON parser sees.
pub fn check(body: &[u8]) {
    let found = find_attempts(body);
    match found {
        Some(at) => raises_its_digits_only(body, at),
        None => assert_eq!(with_fresh_attempts(body, 0), body, "a body without a count was changed"),
    }
    if let (Ok(_), Some(fields)) = (Payload::decode(body), whole(body))
        && !spells_attempts_otherwise(body)
    {
        agrees_with_the_parser(body, found, &fields);
    }
}

fn raises_its_digits_only(body: &[u8], at: AttemptsAt) {
    let digits = &body[at.offset..at.offset + at.length];
    assert_eq!(digits, at.value.to_string().as_bytes(), "the digits do not say the value");

    let raised = with_attempts(body, at, at.value + 1);
    let behind = raised.len() - (body.len() - at.offset - at.length);
    assert_eq!(&raised[..at.offset], &body[..at.offset], "bytes before the digits changed");
    assert_eq!(&raised[behind..], &body[at.offset + at.length..], "bytes behind the digits changed");
    assert_eq!(&raised[at.offset..behind], (at.value + 1).to_string().as_bytes());

    if at.value <= HIGHEST {
        let again = find_attempts(&raised).expect("a raised count is found again");
        assert_eq!((again.offset, again.value), (at.offset, at.value + 1), "raising then reading");
    }
    assert_eq!(
        with_attempts(&raised, AttemptsAt { length: behind - at.offset, ..at }, at.value),
        body,
        "raising cannot be undone"
    );
}

fn agrees_with_the_parser(body: &[u8], found: Option<AttemptsAt>, fields: &Map<String, Value>) {
    // A parser does not tell 1.0 from 1e0, which is no count; so a float only has to agree with a count that was found.
    let is_float = fields.get("attempts").is_some_and(Value::is_f64);
    if !is_float || found.is_some() {
        assert_eq!(found.map(|at| at.value), plain_count(fields), "the count is not the one a JSON parser sees");
    }
    let Some(at) = found else { return };
    let raised = whole(&with_attempts(body, at, at.value + 1)).expect("a raised payload is still a JSON object");
    let mut expected = fields.clone();
    let count = at.value + 1;
    expected["attempts"] = match &fields["attempts"] {
        Value::String(_) => count.to_string().into(),
        Value::Number(number) if number.is_f64() => f64::from(count).into(),
        _ => count.into(),
    };
    assert_eq!(raised, expected, "something else than the count changed its meaning");
}

/// The top-level count as a parser sees it, when it is one of at most nine digits, in quotes or with a fraction of zeros too.
fn plain_count(fields: &Map<String, Value>) -> Option<u32> {
    let count = match fields.get("attempts")? {
        Value::String(text) => text.parse::<u64>().ok().filter(|count| count.to_string() == *text)?,
        Value::Number(number) if number.is_f64() => {
            number.as_f64().filter(|count| count.fract() == 0.0 && !count.is_sign_negative())? as u64
        }
        other => other.as_u64()?,
    };
    u32::try_from(count).ok().filter(|count| *count <= HIGHEST + 1)
}

/// Whether a key means `attempts` and is written with escapes, as `"\u0061ttempts"`. No program writes that, so neither Rust nor
/// Lua looks for it; a parser does.
fn spells_attempts_otherwise(body: &[u8]) -> bool {
    let keys: TopLevelKeys = serde_json::from_slice(body).expect("the body was parsed before");
    keys.0.iter().any(|key| key.contains('\\') && serde_json::from_str::<String>(key).is_ok_and(|key| key == "attempts"))
}

/// The keys of an object, as they are written.
struct TopLevelKeys(Vec<String>);

impl<'de> Deserialize<'de> for TopLevelKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CollectKeys)
    }
}

struct CollectKeys;

impl<'de> Visitor<'de> for CollectKeys {
    type Value = TopLevelKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TopLevelKeys, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, _)) = map.next_entry::<&RawValue, IgnoredAny>()? {
            keys.push(key.get().to_owned());
        }
        Ok(TopLevelKeys(keys))
    }
}
