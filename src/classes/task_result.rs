//! `Ferry\Task\TaskResult`: what a handler says of its task.

use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::Zval;

use crate::convert::arguments::{Maybe, OptionalText};
use crate::zend::gc::HoldsValues;

/// A success with its data, or a failure with its words.
#[php_class]
#[php(name = "Ferry\\Task\\TaskResult")]
pub struct TaskResult {
    failure: Option<String>,
    data: Zval,
}

/// What a failure without words is called.
const WORDLESS: &str = "the handler gave no reason";

impl TaskResult {
    /// Why it failed; `None` for a success.
    pub fn failure_text(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

fn copied(data: Option<&Zval>) -> Zval {
    data.map_or_else(Zval::null, Zval::shallow_clone)
}

impl HoldsValues for TaskResult {
    fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        visit(&self.data);
    }
}

#[php_impl]
impl TaskResult {
    /// The task is done.
    pub fn success(data: Maybe<'_>) -> PhpResult<Self> {
        Ok(Self { failure: None, data: copied(data.0) })
    }

    /// It failed, and may be tried again.
    pub fn failure(error: OptionalText, data: Maybe<'_>) -> PhpResult<Self> {
        let words = error.text().filter(|words| !words.is_empty()).unwrap_or_else(|| WORDLESS.to_owned());
        Ok(Self { failure: Some(words), data: copied(data.0) })
    }

    /// Whether it is done.
    pub fn is_success(&self) -> bool {
        self.failure.is_none()
    }

    /// What the handler handed over.
    pub fn get_data(&self) -> Zval {
        self.data.shallow_clone()
    }

    /// Why it failed, null when it did not.
    pub fn get_error(&self) -> Option<String> {
        self.failure.clone()
    }
}
