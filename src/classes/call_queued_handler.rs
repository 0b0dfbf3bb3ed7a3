//! `Ferry\CallQueuedHandler`: the handler of object jobs. Unserializes the object and calls its `handle()`.

use std::cell::RefCell;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::{PhpException, PhpResult};
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendHashTable, ZendObject, Zval};
use ferry_worker::CallEnd;

use crate::classes::exceptions::{self, Class};
use crate::convert::arguments::{Maybe, Mixed};
use crate::convert::errors::pending;
use crate::zend::call::{self, CallFailure, Called};
use crate::zend::gc::HoldsValues;
use crate::zend::objects;
use crate::zend::signature;

/// The handler of object jobs.
#[php_class]
#[php(name = "Ferry\\CallQueuedHandler")]
pub struct CallQueuedHandler {
    /// The classes that may be unserialized; `None` for any.
    allowed: RefCell<Option<Zval>>,
    /// The PSR-11 container with what `handle()` takes.
    container: RefCell<Option<Zval>>,
    /// Why the job could not begin, and never will: for the worker, which must not try it again.
    refusal: RefCell<Option<CallEnd>>,
}

impl CallQueuedHandler {
    /// A handler that unserializes any class.
    pub fn allowing_any() -> Self {
        Self { allowed: RefCell::default(), container: RefCell::default(), refusal: RefCell::default() }
    }

    /// Lets a handler unserialize these classes only. Another kind of handler is left alone.
    pub fn restrict(handler: &Zval, allowed: &Zval) {
        if let Some(handler) = handler.extract::<&Self>() {
            handler.allowed.replace(Some(allowed.shallow_clone()));
        }
    }

    /// Lets a handler take the arguments of `handle()` from a container. Another kind of handler is left alone.
    pub fn inject(handler: &Zval, container: &Zval) {
        if let Some(handler) = handler.extract::<&Self>() {
            handler.container.replace(Some(container.shallow_clone()));
        }
    }

    /// What the `handle()` of an object job takes. Without a container PHP says what is missing.
    fn dependencies(&self, object: &ZendObject) -> Called<Vec<Zval>> {
        let class = object.get_class_entry();
        let container = self.container.borrow().as_ref().map(Zval::shallow_clone);
        let (Some(mut container), Some(parameters)) = (container, signature::parameter_classes(class, "handle")) else {
            return Ok(Vec::new());
        };
        let Some(container) = container.object_mut() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for classes in parameters.iter().take(signature::required_parameters(class, "handle")) {
            let Some(wanted) = classes.first() else { break };
            found.push(call::method(container, "get", &mut [objects::text(wanted.as_bytes())])?);
        }
        Ok(found)
    }

    /// Why the last job of this handler could not begin. `None` when it began, or when the object is another kind of handler.
    pub fn refusal(handler: &Zval) -> Option<CallEnd> {
        handler.extract::<&Self>()?.refusal.take()
    }

    fn poison(&self, text: &str) -> PhpException {
        self.refusal.replace(Some(CallEnd::BadData(text.to_owned())));
        exceptions::make(Class::Poison, text.to_owned())
    }

    /// A class that may be made but does not exist may come with the next release; one that may not be made never will.
    fn unknown_class(&self, name: &str) -> PhpException {
        let text = format!("class {name} of an object job does not exist, or allowed_classes does not name it");
        if self.allows(name) {
            self.refusal.replace(Some(CallEnd::NoHandler(text.clone())));
            return exceptions::make(Class::HandlerNotFound, text);
        }
        self.not_found(text)
    }

    fn allows(&self, class: &str) -> bool {
        let allowed = self.allowed.borrow();
        let Some(allowed) = allowed.as_ref() else { return true };
        let is_class = |name: &Zval| name.string().is_some_and(|name| name.trim_start_matches('\\').eq_ignore_ascii_case(class));
        allowed.array().is_some_and(|names| names.values().any(is_class))
    }

    fn not_found(&self, text: String) -> PhpException {
        self.refusal.replace(Some(CallEnd::Refused(text.clone())));
        exceptions::make(Class::HandlerNotFound, text)
    }

    /// The object of a job.
    fn command(&self, data: &Zval) -> PhpResult<Zval> {
        let field = |name: &str| data.array().and_then(|data| data.get(name));
        let Some(command) = field("command").filter(|command| command.is_string()) else {
            return Err(self.poison("the payload of an object job has no `command`"));
        };
        let mut options = ZendHashTable::new();
        let allowed = self.allowed.borrow().as_ref().map_or_else(|| objects::truth(true), Zval::shallow_clone);
        options.insert("allowed_classes", allowed)?;
        let mut arguments = [command.shallow_clone(), array(options)];
        let object = called(call::function("unserialize", &mut arguments))?;
        let class = object.object().map(objects::class_name);
        match class.as_deref() {
            Some(b"__PHP_Incomplete_Class") => {
                let name = field("commandName").and_then(Zval::string).unwrap_or_default();
                Err(self.unknown_class(&name))
            }
            Some(_) => Ok(object),
            None => Err(self.poison("the `command` of an object job is not a serialized object")),
        }
    }
}

impl HoldsValues for CallQueuedHandler {
    fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        for held in [&self.allowed, &self.container] {
            if let Ok(held) = held.try_borrow() {
                held.iter().for_each(&mut *visit);
            }
        }
    }
}

#[php_impl]
impl CallQueuedHandler {
    /// A handler that unserializes any class.
    pub fn __construct() -> PhpResult<Self> {
        objects::construct(|| Ok(Self::allowing_any()))
    }

    /// Runs an object job, then deletes it unless it settled itself.
    pub fn call(&self, job: Mixed<'_>, data: Mixed<'_>) -> PhpResult<()> {
        let mut command = self.command(data.0)?;
        let Some(object) = command.object_mut() else { return Ok(()) };
        let mut arguments = called(self.dependencies(object))?;
        match call::method(object, "handle", &mut arguments) {
            Err(CallFailure::Missing(what)) => return Err(self.not_found(what)),
            other => called(other)?,
        };
        let mut job = job.0.shallow_clone();
        let Some(job) = job.object_mut() else { return Ok(()) };
        let settled = called(call::method(job, "isDeletedOrReleased", &mut []))?;
        if !settled.is_true() {
            called(call::method(job, "delete", &mut []))?;
        }
        Ok(())
    }

    /// Calls `failed()` of an object job, when it has one; without arguments, as think-queue does.
    ///
    /// The exception is taken because every handler is told it; PHP refuses an argument too many for a native method.
    pub fn failed(&self, data: Mixed<'_>, e: Maybe<'_>) -> PhpResult<()> {
        let _ = e;
        let mut command = self.command(data.0)?;
        if let Some(object) = command.object_mut().filter(|object| objects::has_method(object, "failed")) {
            called(call::method(object, "failed", &mut []))?;
        }
        Ok(())
    }
}

fn array(table: ZBox<ZendHashTable>) -> Zval {
    let mut value = Zval::new();
    value.set_hashtable(table);
    value
}

fn called<T>(result: Called<T>) -> Result<T, PhpException> {
    result.map_err(|trouble| {
        call::rethrow(trouble);
        pending()
    })
}
