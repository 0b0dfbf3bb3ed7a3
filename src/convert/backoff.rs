//! Backoff as PHP says it: `5`, `[1, 5, 30]`, `'1,5,30'` or `['base' => 2, 'cap' => 600, 'jitter' => 0.5]`.

use ext_php_rs::types::{ZendHashTable, Zval};
use ferry_core::backoff::Backoff;

use crate::convert::arguments::integer;
use crate::zend::objects::{self, PropertyKey};

/// The backoff a value means. `None` when it means none.
pub fn of(value: &Zval) -> Option<Backoff> {
    if let Some(array) = value.array() {
        return if array.get("base").is_some() { exponential(value, array) } else { list(value) };
    }
    if let Some(text) = value.str().filter(|text| text.contains(',')) {
        let parts: Option<Vec<i64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
        return parts.and_then(steps);
    }
    integer(value).filter(|seconds| *seconds >= 0).map(Backoff::Fixed)
}

fn list(array: &Zval) -> Option<Backoff> {
    let mut seconds = Vec::new();
    let walked = objects::each(array, |key, value| match (key, integer(value)) {
        (PropertyKey::Index(_), Some(step)) => {
            seconds.push(step);
            Ok(())
        }
        _ => Err(()),
    });
    walked.ok().and_then(|()| steps(seconds))
}

fn steps(seconds: Vec<i64>) -> Option<Backoff> {
    seconds.iter().all(|step| *step >= 0).then_some(Backoff::List(seconds))
}

fn exponential(value: &Zval, array: &ZendHashTable) -> Option<Backoff> {
    let known = ["base", "cap", "jitter"];
    let named = objects::each(value, |key, _| match key {
        PropertyKey::Name(name) if known.iter().any(|known| known.as_bytes() == name) => Ok(()),
        _ => Err(()),
    });
    named.ok()?;
    let base = array.get("base").and_then(integer).filter(|base| *base >= 0)?;
    let cap = array.get("cap").map_or(Some(Backoff::CAP), integer).filter(|cap| *cap >= 0)?;
    let jitter =
        array.get("jitter").map_or(Some(0.0), |jitter| jitter.double().or_else(|| integer(jitter).map(|whole| whole as f64)))?;
    (0.0..=1.0).contains(&jitter).then_some(Backoff::Exponential { base, cap, jitter })
}
