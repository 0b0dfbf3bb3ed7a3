//! From a delay as PHP callers say it to a due time.

use std::time::{SystemTime, UNIX_EPOCH};

use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::Zval;
use ext_php_rs::zend::ClassEntry;
use ferry_core::Due;
use ferry_core::clock::LONGEST_SECONDS;
use ferry_core::dialect::Family;

use crate::convert::arguments::whole;
use crate::convert::errors::{invalid, pending};
use crate::zend::call::{self, Called};
use crate::zend::engine::{php_date_get_interface_ce, php_date_get_interval_ce};
use crate::zend::objects;

/// When a job is due: seconds as int, numeric string or float, a `DateTimeInterface` (absolute, past allowed) or a
/// `DateInterval` from now (`redis/later-*`).
///
/// v3 cuts fractions. v1 and v2 keep them in the score, where 1.5 comes due with the second whole second: so they are rounded up.
pub fn due(delay: &Zval, family: Family) -> PhpResult<Due> {
    if delay.is_null() {
        return Ok(Due::After(0));
    }
    if let Some(seconds) = delay.long() {
        return Ok(Due::After(seconds));
    }
    if let Some(number) = delay.double() {
        return after(number, family);
    }
    if let Some(text) = delay.zend_str() {
        let number = std::str::from_utf8(text.as_bytes()).ok().and_then(numeric);
        return number.ok_or_else(|| unusable("a string that is not a number")).and_then(|number| after(number, family));
    }
    if is_date(delay) {
        return timestamp(delay).map(Due::At);
    }
    if delay.object().is_some_and(|object| object.instance_of(interval())) {
        return from_now(delay).map(Due::After);
    }
    Err(unusable(&format!("{:?}", delay.get_type()).to_lowercase()))
}

/// Seconds of a release: like [`due`], as a number from now, ten years at most.
pub fn seconds(delay: &Zval, family: Family) -> PhpResult<i64> {
    let seconds = match due(delay, family)? {
        Due::Now => 0,
        Due::After(seconds) => seconds,
        Due::At(second) => second.saturating_sub(now()),
    };
    Ok(seconds.min(LONGEST_SECONDS))
}

fn after(number: f64, family: Family) -> PhpResult<Due> {
    let number = match family {
        Family::Think3 | Family::Think3Legacy | Family::RedisTask => number,
        Family::Think1 => number.ceil(),
    };
    whole(number).map(Due::After).ok_or_else(|| unusable("NAN, INF or too large"))
}

/// What PHP calls a numeric string: spaces around are allowed, words, hex and `inf` are not.
fn numeric(text: &str) -> Option<f64> {
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    if plain { text.parse().ok() } else { None }
}

fn unusable(what: &str) -> ext_php_rs::exception::PhpException {
    invalid(format!("the delay is {what}; give seconds as a number, a DateTimeInterface or a DateInterval"))
}

/// Whether a value is a `DateTimeInterface`.
pub fn is_date(value: &Zval) -> bool {
    value.object().is_some_and(|object| object.instance_of(date_interface()))
}

fn date_interface() -> &'static ClassEntry {
    // SAFETY: ext/date is part of every PHP; its classes live as long as the process.
    unsafe { &*php_date_get_interface_ce() }
}

fn interval() -> &'static ClassEntry {
    // SAFETY: as above.
    unsafe { &*php_date_get_interval_ce() }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// The unix second of a date.
pub fn timestamp(date: &Zval) -> PhpResult<i64> {
    let mut date = date.shallow_clone();
    let asked = date.object_mut().map(|object| call::method(object, "getTimestamp", &mut []));
    asked.and_then(|answer| finish(answer).transpose()).unwrap_or_else(|| Err(unusable("a date without a timestamp")))
}

fn from_now(interval: &Zval) -> PhpResult<i64> {
    let before = now();
    let made = call::class("DateTimeImmutable").and_then(|class| match class {
        Some(class) => call::instantiate(class, &mut [objects::text(format!("@{before}").as_bytes())]),
        None => Ok(Zval::new()),
    });
    let Some(mut start) = value(made)? else { return Err(pending()) };
    let added = start.object_mut().map(|start| call::method(start, "add", &mut [interval.shallow_clone()]));
    let Some(end) = added.map(value).transpose()?.flatten() else { return Err(pending()) };
    Ok(timestamp(&end)? - before)
}

/// The value of a call; after a throw the exception is put back for our caller.
fn value(called: Called) -> PhpResult<Option<Zval>> {
    match called {
        Ok(value) => Ok(Some(value)),
        Err(trouble) => {
            call::rethrow(trouble);
            Err(pending())
        }
    }
}

fn finish(called: Called) -> PhpResult<Option<i64>> {
    Ok(value(called)?.and_then(|value| value.long()))
}
