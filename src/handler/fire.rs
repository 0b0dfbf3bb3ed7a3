//! Calling a handler.

use ext_php_rs::ffi::core_globals;
use ext_php_rs::types::{ZendObject, ZendStr, Zval};
use ferry_core::backoff::Backoff;
use ferry_worker::{CallEnd, HeldJob};

use crate::classes::call_queued_handler::CallQueuedHandler;
use crate::convert::backoff;
use crate::handler::resolver::Resolver;
use crate::zend::call::{self, CallFailure, Called, guarded};
use crate::zend::json::{self, JsonError};
use crate::zend::objects;

const NEEDS_THINK_JOB: &str = "takes a think\\queue\\Job, which only the Composer package ferry/php can make of a job \
                               (composer require ferry/php, or give the worker option `job`)";

/// Makes the handler and calls it with what `argument` makes. When it throws and has a `backoff()`, its answer goes to `pause`.
pub fn fire(
    resolver: &Resolver,
    class: &str,
    job: &HeldJob,
    argument: impl FnOnce() -> Called,
    pause: &mut Option<Backoff>,
) -> Called<CallEnd> {
    let (_, method) = job.payload().target();
    let data = match decoded(job.data()) {
        Ok(data) => data,
        Err(why) => return Ok(CallEnd::BadData(why)),
    };
    let mut handler = resolver.handler(class, &data)?;
    if handler.is_null() {
        return Ok(CallEnd::NoHandler(format!("class {class} does not exist")));
    }
    let argument = argument()?;
    let Some(target) = handler.object_mut() else {
        return Err(CallFailure::Missing(format!("the handler of {class} is not an object")));
    };
    let Some(argument) = resolver.declared(argument, target, method)? else {
        return Ok(CallEnd::NoHandler(format!("{class}::{method}() {NEEDS_THINK_JOB}")));
    };
    let fired = call::method(target, method, &mut [argument, data]);
    if let Err(CallFailure::Threw(_)) = fired {
        if let Some(refusal) = CallQueuedHandler::refusal(&handler) {
            return Ok(refusal);
        }
        *pause = handler.object_mut().map(asked_backoff).transpose()?.flatten();
    }
    fired.map(|_| CallEnd::Returned)
}

/// Runs a job's handler for `Job::fire()`, where exceptions are the caller's.
pub fn fire_for_caller(resolver: &Resolver, job: &HeldJob, object: &Zval) -> Called<CallEnd> {
    let class = resolver.class(job.payload().target().0)?;
    fire(resolver, &class, job, || resolver.argument(object), &mut None)
}

/// Calls the handler's `failed($data, $exception)`, when it has one; `failed($data)` in v1 and v2.
pub fn tell_failed(resolver: &Resolver, job: &HeldJob, exception: &Zval) -> Called<()> {
    let class = resolver.class(job.payload().target().0)?;
    let data = decoded(job.data()).unwrap_or_else(|_| Zval::null());
    let mut handler = resolver.handler(&class, &data)?;
    if let Some(handler) = handler.object_mut().filter(|handler| objects::has_method(handler, "failed")) {
        let mut arguments = vec![data];
        if resolver.family.hands_exception_to_failed() {
            arguments.push(exception.shallow_clone());
        }
        call::method(handler, "failed", &mut arguments)?;
    }
    Ok(())
}

/// What the handler's `backoff()` says, when it has one. What it throws takes the place of nothing: the job's own exception counts.
fn asked_backoff(handler: &mut ZendObject) -> Called<Option<Backoff>> {
    if !objects::has_method(handler, "backoff") {
        return Ok(None);
    }
    match call::method(handler, "backoff", &mut []) {
        Ok(value) => Ok(backoff::of(&value)),
        Err(CallFailure::Threw(_) | CallFailure::Missing(_)) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// The data of a job as PHP sees it.
pub fn decoded(data: Option<&[u8]>) -> Result<Zval, String> {
    let Some(data) = data else { return Ok(Zval::null()) };
    let mut text = Vec::with_capacity(data.len() + 1);
    text.extend_from_slice(data);
    text.push(0);
    json::decode(&text).map_err(|error| match error {
        JsonError::Said(why) => format!("the payload's data cannot be decoded: {why}"),
        JsonError::Threw => "the payload's data cannot be decoded".to_owned(),
    })
}

/// What PHP prints of an exception: class, message, place and trace.
pub fn describe(exception: &Zval) -> Result<String, CallFailure> {
    guarded(|| match objects::to_bytes(exception) {
        Some(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        None => Err(CallFailure::Missing("an exception that cannot be shown".to_owned())),
    })
}

/// The message of the fatal error that ended PHP.
pub fn last_error() -> String {
    // SAFETY: on PHP's thread; the message is null or a live string.
    unsafe { core_globals.last_error_message.cast::<ZendStr>().as_ref() }
        .map_or_else(|| "a fatal error".to_owned(), |text| String::from_utf8_lossy(text.as_bytes()).into_owned())
}
