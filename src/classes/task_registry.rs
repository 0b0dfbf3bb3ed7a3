//! `Ferry\Task\TaskHandlerRegistry`: which handler takes which type of task.

// PHP callers name arguments.
#![allow(non_snake_case)]

use std::cell::RefCell;

use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::Zval;

use crate::classes::exceptions::{self, Class};
use crate::classes::task_handler::is_handler;
use crate::convert::arguments::{Mixed, Text, textual, truth};
use crate::convert::errors::{invalid, pending};
use crate::zend::call::{self, Called};
use crate::zend::gc::HoldsValues;
use crate::zend::objects::{self, text};

/// Handlers in the order in which they were registered.
#[php_class]
#[php(name = "Ferry\\Task\\TaskHandlerRegistry")]
pub struct TaskHandlerRegistry {
    /// Those that named their types.
    named: RefCell<Vec<(Vec<u8>, Zval)>>,
    /// All, to be asked.
    all: RefCell<Vec<Zval>>,
}

impl HoldsValues for TaskHandlerRegistry {
    fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        if let (Ok(named), Ok(all)) = (self.named.try_borrow(), self.all.try_borrow()) {
            named.iter().for_each(|(_, handler)| visit(handler));
            all.iter().for_each(visit);
        }
    }
}

#[php_impl]
impl TaskHandlerRegistry {
    /// An empty one.
    pub fn __construct() -> PhpResult<Self> {
        objects::construct(|| Ok(Self { named: RefCell::default(), all: RefCell::default() }))
    }

    /// Adds a handler. Its `getSupportedTypes()` is asked once, now, when it has one; otherwise `supports()` is asked each time.
    pub fn register(&self, handler: Mixed<'_>) -> PhpResult<()> {
        let mut handler = handler.0.shallow_clone();
        if !is_handler(&handler) {
            return Err(invalid("register() takes an object that implements Ferry\\Task\\TaskHandlerInterface"));
        }
        let types = supported(&mut handler)?;
        let mut named = self.named.borrow_mut();
        for kind in types {
            named.retain(|(known, _)| *known != kind);
            named.push((kind, handler.shallow_clone()));
        }
        drop(named);
        self.all.borrow_mut().push(handler);
        Ok(())
    }

    /// The handler of this type; an exception when there is none.
    pub fn get(&self, taskType: Text) -> PhpResult<Zval> {
        self.look(&taskType.0)?.ok_or_else(|| {
            let kind = String::from_utf8_lossy(&taskType.0);
            exceptions::make(Class::HandlerNotFound, format!("no handler is registered for tasks of type `{kind}`"))
        })
    }

    /// Whether there is one.
    pub fn has(&self, taskType: Text) -> PhpResult<bool> {
        self.look(&taskType.0).map(|found| found.is_some())
    }
}

impl TaskHandlerRegistry {
    fn look(&self, kind: &[u8]) -> PhpResult<Option<Zval>> {
        self.find(kind).map_err(|trouble| {
            call::rethrow(trouble);
            pending()
        })
    }

    /// The handler of this type. Asks PHP code, so nothing of ours is borrowed meanwhile.
    pub fn find(&self, kind: &[u8]) -> Called<Option<Zval>> {
        let named = self.named.borrow().iter().find(|(known, _)| known == kind).map(|(_, handler)| handler.shallow_clone());
        if named.is_some() {
            return Ok(named);
        }
        let all: Vec<Zval> = self.all.borrow().iter().map(Zval::shallow_clone).collect();
        for mut handler in all {
            let Some(object) = handler.object_mut() else { continue };
            let answer = call::method(object, "supports", &mut [text(kind)])?;
            if truth(&answer) == Some(true) {
                return Ok(Some(handler));
            }
        }
        Ok(None)
    }
}

/// The types a handler names itself.
fn supported(handler: &mut Zval) -> PhpResult<Vec<Vec<u8>>> {
    let mut types = Vec::new();
    let Some(object) = handler.object_mut().filter(|object| objects::has_method(object, "getsupportedtypes")) else {
        return Ok(types);
    };
    let answer = call::method(object, "getSupportedTypes", &mut []).map_err(|trouble| {
        call::rethrow(trouble);
        pending()
    })?;
    let wrong = || invalid("getSupportedTypes() answers a list of task types");
    if !answer.is_array() {
        return Err(wrong());
    }
    objects::each(&answer, |_, kind| {
        types.push(textual(kind).ok_or_else(wrong)?);
        PhpResult::Ok(())
    })?;
    Ok(types)
}
