//! What a handler says of its jobs or tasks: `public $tries`, `public $timeout`, `public $backoff`.

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
    Ok(of_properties(|name| properties.array().and_then(|all| all.get(name)).map(Zval::shallow_clone)))
}

/// Reads the properties of a handler of tasks. May run PHP code (`__get`).
#[cfg(feature = "amqp")]
pub fn of_object(handler: &ext_php_rs::types::ZendObject) -> HandlerLimits {
    of_properties(|name| objects::property(handler, name))
}

fn of_properties(get: impl Fn(&str) -> Option<Zval>) -> HandlerLimits {
    let property = |name: &str| get(name).filter(|value| !value.is_null());
    HandlerLimits {
        tries: property("tries").as_ref().and_then(integer).map(Tries::from_number),
        timeout: property("timeout").as_ref().and_then(seconds),
        backoff: property("backoff").as_ref().and_then(backoff::of),
    }
}

/// The class of the object in an object job. Its `tries` and `timeout` are in the payload already.
pub fn class_in(job: &InFlightJob) -> Option<String> {
    let rest = job.data()?.strip_prefix(b"{\"commandName\":")?;
    let end = rest.iter().skip(1).position(|byte| *byte == b'"')? + 2;
    let quoted = [rest.get(..end)?, b"\0"].concat();
    json::decode(&quoted).ok()?.string()
}

/// A duration in seconds, whole or not.
pub fn seconds(value: &Zval) -> Option<Duration> {
    let number = value.double().or_else(|| integer(value).map(|seconds| seconds as f64))?;
    ferry_core::clock::duration(number)
}
