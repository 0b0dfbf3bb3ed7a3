//! What a handler class says of its jobs: `public $tries`, `public $timeout`, `public $backoff`.

use std::time::Duration;

use ext_php_rs::types::Zval;
use ferry_core::policy::{HandlerLimits, Tries};
use ferry_worker::InFlightJob;

use crate::convert::arguments::integer;
use crate::convert::backoff;
use crate::zend::call::{self, Called};
use crate::zend::{json, objects};

/// Reads the defaults of the class's public properties. Loads the class.
pub fn of_class(class: &str) -> Called<HandlerLimits> {
    if call::class(class)?.is_none() {
        return Ok(HandlerLimits::default());
    }
    let properties = call::function("get_class_vars", &mut [objects::text(class.as_bytes())])?;
    let property = |name: &str| properties.array().and_then(|all| all.get(name)).filter(|value| !value.is_null());
    Ok(HandlerLimits {
        tries: property("tries").and_then(integer).map(Tries::from_number),
        timeout: property("timeout").and_then(seconds),
        backoff: property("backoff").and_then(backoff::of),
    })
}

/// The class of the object in an object job. Its `tries` and `timeout` are in the payload already.
pub fn class_in(job: &InFlightJob) -> Option<String> {
    let rest = job.data()?.strip_prefix(b"{\"commandName\":")?;
    let end = rest.iter().skip(1).position(|byte| *byte == b'"')? + 2;
    let quoted = [rest.get(..end)?, b"\0"].concat();
    json::decode(&quoted).ok()?.string()
}

fn seconds(value: &Zval) -> Option<Duration> {
    let number = value.double().or_else(|| integer(value).map(|seconds| seconds as f64))?;
    ferry_core::clock::duration(number)
}
