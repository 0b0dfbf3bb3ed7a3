//! `Ferry\Task\TaskResult`: what a handler says of its task.

use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::Zval;
use ext_php_rs::zend::ce;

use crate::convert::arguments::{Maybe, textual};
use crate::convert::errors::invalid;
use crate::zend::gc::HoldsValues;
use crate::zend::objects::text;

/// A success with its data, or a failure with its words or its exception.
#[php_class]
#[php(name = "Ferry\\Task\\TaskResult")]
pub struct TaskResult {
    /// A string or a `Throwable`; null for a success.
    error: Zval,
    data: Zval,
}

/// What a failure without words is called.
const WORDLESS: &str = "the handler gave no reason";

impl TaskResult {
    /// Why it failed, as a string or a `Throwable`; `None` for a success.
    pub fn failed(&self) -> Option<&Zval> {
        Some(&self.error).filter(|error| !error.is_null())
    }
}

fn copied(data: Option<&Zval>) -> Zval {
    data.map_or_else(Zval::null, Zval::shallow_clone)
}

/// An exception as it is, anything else as text.
fn error_of(error: Option<&Zval>) -> PhpResult<Zval> {
    match error.filter(|error| !error.is_null()) {
        None => Ok(text(WORDLESS.as_bytes())),
        Some(error) if error.object().is_some_and(|object| object.instance_of(ce::throwable())) => Ok(error.shallow_clone()),
        Some(error) => match textual(error) {
            Some(words) if words.is_empty() => Ok(text(WORDLESS.as_bytes())),
            Some(words) => Ok(text(&words)),
            None => Err(invalid("a failure is explained by a text or a Throwable")),
        },
    }
}

impl HoldsValues for TaskResult {
    fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        visit(&self.error);
        visit(&self.data);
    }
}

#[php_impl]
impl TaskResult {
    /// The task is done.
    pub fn success(data: Maybe<'_>) -> PhpResult<Self> {
        Ok(Self { error: Zval::null(), data: copied(data.0) })
    }

    /// It failed, and may be tried again.
    pub fn failure(error: Maybe<'_>, data: Maybe<'_>) -> PhpResult<Self> {
        Ok(Self { error: error_of(error.0)?, data: copied(data.0) })
    }

    /// Whether it is done.
    pub fn is_success(&self) -> bool {
        self.error.is_null()
    }

    /// What the handler handed over.
    pub fn get_data(&self) -> Zval {
        self.data.shallow_clone()
    }

    /// Why it failed: what was given to `failure()`; null when it did not.
    pub fn get_error(&self) -> Zval {
        self.error.shallow_clone()
    }
}
