//! What a handler fails its job with: an exception, a text or nothing.

use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::Zval;
use ext_php_rs::zend::ce;

use crate::classes::exceptions;
use crate::convert::arguments::textual;
use crate::convert::errors::{invalid, pending};
use crate::zend::{call, objects};

/// Why a job failed, for the store and for `failed()`.
pub struct Cause {
    /// What PHP prints of the exception, or the text.
    pub text: String,
    /// The exception; made of the text where there was none.
    pub exception: Zval,
}

/// Reads the argument of `Job::fail()`. `job` is the name of the job.
pub fn of(value: Option<&Zval>, job: &str) -> PhpResult<Cause> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return made(format!("{job} was failed by its handler"));
    };
    if value.object().is_some_and(|object| object.instance_of(ce::throwable())) {
        let text = objects::to_bytes(value).ok_or_else(pending)?;
        return Ok(Cause { text: String::from_utf8_lossy(&text).into_owned(), exception: value.shallow_clone() });
    }
    match textual(value) {
        Some(text) => made(String::from_utf8_lossy(&text).into_owned()),
        None => Err(invalid("a job is failed with a Throwable, a text or nothing")),
    }
}

fn made(text: String) -> PhpResult<Cause> {
    let exception = call::instantiate(exceptions::runtime_exception(), &mut [objects::text(text.as_bytes())]);
    match exception {
        Ok(exception) => Ok(Cause { text, exception }),
        Err(trouble) => {
            call::rethrow(trouble);
            Err(pending())
        }
    }
}
