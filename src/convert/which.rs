//! From what PHP callers say of failed jobs and dead letters to a filter.

use std::collections::HashSet;

use ext_php_rs::convert::{FromZval, StubLiteral};
use ext_php_rs::exception::{PhpException, PhpResult};
use ext_php_rs::flags::DataType;
use ext_php_rs::types::Zval;
use ferry_core::config::nearest;
use ferry_core::failed::{Filter, RecordedConnection};
#[cfg(feature = "amqp")]
use ferry_core::task::LetterSelection;

use crate::convert::arguments::{integer, textual};
use crate::convert::delay;
use crate::convert::errors::invalid;
#[cfg(feature = "amqp")]
use crate::zend::dates;
use crate::zend::objects::{self, PropertyKey};

/// Which failed jobs; when it is left out, `'all'`.
pub struct Which<'a>(pub Option<&'a Zval>);

impl<'a> FromZval<'a> for Which<'a> {
    const TYPE: DataType = DataType::Mixed;
    const NULLABLE: bool = true;

    fn from_zval(value: &'a Zval) -> Option<Self> {
        Some(Self(Some(value)))
    }

    fn from_missing() -> Option<Self> {
        Some(Self(None))
    }
}

impl StubLiteral for Which<'_> {
    fn stub_literal(&self) -> String {
        "'all'".to_owned()
    }
}

const CONDITIONS: [&str; 5] = ["class", "before", "after", "job", "connection"];

/// `'all'`, an id, a list of ids, or conditions: `class`, `before`, `after`, `job`, `connection`. An empty array means none, and null is an error: a
/// variable that was never set must not mean all.
pub fn filter(which: &Which<'_>) -> PhpResult<Filter> {
    let Some(which) = which.0 else { return Ok(Filter::all()) };
    if which.zend_str().is_some_and(|text| text.as_bytes() == b"all") {
        return Ok(Filter::all());
    }
    match which.is_array() {
        true if is_list(which) => ids(which),
        true => conditions(which),
        false => Ok(Filter::ids([id(which)?])),
    }
}

/// An id as the store writes it.
pub fn id(value: &Zval) -> PhpResult<String> {
    let text = if value.is_string() || value.is_long() || value.is_object() { textual(value) } else { None };
    text.map(|text| String::from_utf8_lossy(&text).into_owned()).ok_or_else(unusable)
}

fn unusable() -> PhpException {
    invalid(
        "failed jobs are named by 'all', an id, a list of ids, or an array of `class`, `before`, `after`, `job` and `connection`",
    )
}

/// Whether the keys are 0, 1, 2 and so on. The binding crate's own look panics at a key that is not UTF-8.
fn is_list(array: &Zval) -> bool {
    let mut next = 0;
    let walked = objects::each(array, |key, _| {
        let is_next = matches!(key, PropertyKey::Index(index) if index == next);
        next += 1;
        if is_next { Ok(()) } else { Err(()) }
    });
    walked.is_ok()
}

fn ids(array: &Zval) -> PhpResult<Filter> {
    let mut ids = HashSet::new();
    objects::each(array, |_, value| {
        ids.insert(id(value)?);
        PhpResult::Ok(())
    })?;
    Ok(Filter::ids(ids))
}

fn conditions(array: &Zval) -> PhpResult<Filter> {
    let mut filter = Filter::all();
    objects::each(array, |key, value| {
        let name = match key {
            PropertyKey::Index(index) => index.to_string(),
            PropertyKey::Name(name) => String::from_utf8_lossy(name).into_owned(),
        };
        match name.as_str() {
            "class" => filter.class = Some(named(value, "`class` is the name of a handler class")?),
            "before" => filter.before = Some(second(&name, value)?),
            "after" => filter.after = Some(second(&name, value)?),
            "job" => filter.job = Some(id(value)?),
            "connection" => {
                filter.connection = RecordedConnection::Named(named(value, "`connection` is the name of a connection")?)
            }
            _ => return Err(unknown(&name)),
        }
        PhpResult::Ok(())
    })?;
    Ok(filter)
}

fn unknown(name: &str) -> PhpException {
    let near = nearest(name, CONDITIONS.into_iter()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    invalid(format!("failed jobs are chosen by `class`, `before`, `after`, `job` and `connection`, not by `{name}`{near}"))
}

fn named(value: &Zval, what: &str) -> PhpResult<String> {
    let name = value.zend_str().map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned());
    name.filter(|name| !name.is_empty()).ok_or_else(|| invalid(what))
}

fn second(name: &str, value: &Zval) -> PhpResult<i64> {
    if delay::is_date(value) {
        return delay::timestamp(value);
    }
    let number = if value.is_long() || value.is_string() || value.is_double() { integer(value) } else { None };
    number.ok_or_else(|| invalid(format!("`{name}` is a unix second or a DateTimeInterface")))
}

#[cfg(feature = "amqp")]
const LETTER_CONDITIONS: [&str; 4] = ["type", "reason", "before", "after"];

/// `'all'`, an id or a type, a list of ids, or conditions: `type`, `reason`, `before`, `after`. As with [`filter`], an empty array means none.
#[cfg(feature = "amqp")]
pub fn letters(which: &Zval) -> PhpResult<LetterSelection> {
    if let Some(text) = which.zend_str() {
        let name = String::from_utf8_lossy(text.as_bytes()).into_owned();
        return Ok(if name == "all" { LetterSelection::all() } else { LetterSelection::named(name) });
    }
    match which.is_array() {
        true if is_list(which) => {
            let ids = ids(which)?.ids.unwrap_or_default();
            Ok(LetterSelection::ids(ids))
        }
        true => letter_conditions(which),
        false => Err(invalid("dead letters are named by 'all', an id, a type, a list of ids, or an array of conditions")),
    }
}

/// An array of conditions; an empty one selects all.
#[cfg(feature = "amqp")]
pub fn letter_conditions(array: &Zval) -> PhpResult<LetterSelection> {
    let mut selection = LetterSelection::all();
    objects::each(array, |key, value| {
        let name = match key {
            PropertyKey::Index(index) => index.to_string(),
            PropertyKey::Name(name) => String::from_utf8_lossy(name).into_owned(),
        };
        match name.as_str() {
            "type" => selection.kind = Some(named(value, "`type` is the type of a task")?),
            "reason" => selection.reason = Some(named(value, "`reason` is failed, expired, rejected, maxlen or poison")?),
            "before" => selection.before = Some(dates::stamp(second(&name, value)?)),
            "after" => selection.after = Some(dates::stamp(second(&name, value)?)),
            _ => {
                let near = nearest(&name, LETTER_CONDITIONS.into_iter());
                let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                return Err(invalid(format!(
                    "dead letters are chosen by `type`, `reason`, `before` and `after`, not by `{name}`{near}"
                )));
            }
        }
        PhpResult::Ok(())
    })?;
    Ok(selection)
}
