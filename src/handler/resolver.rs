//! From the name in a payload to a handler object.

use std::borrow::Cow;

use ext_php_rs::types::{ZendClassObject, ZendObject, Zval};
use ferry_core::dialect::Family;
use ferry_core::payload::{class_name, is_object_handler};

use crate::classes;
use crate::classes::call_queued_handler::CallQueuedHandler;
use crate::zend::call::{self, CallFailure, Called};
use crate::zend::objects::{self, PropertyKey};
use crate::zend::signature;

/// What an application says of all its handlers: of those of a worker, or of the whole request.
#[derive(Default)]
pub struct HandlerOptions {
    /// `callable(string $class, mixed $data): object` in place of `new`.
    pub factory: Option<Zval>,
    /// A PSR-11 container that makes handlers, and what the `handle()` of object jobs takes.
    pub container: Option<Zval>,
    /// A class, or a factory, for the object that handlers get as their job.
    pub job: Option<Zval>,
    /// Namespace of short names.
    pub namespace: Option<String>,
}

impl HandlerOptions {
    /// These, and the others' where these say nothing.
    pub fn or(self, others: Self) -> Self {
        Self {
            factory: self.factory.or(others.factory),
            container: self.container.or(others.container),
            job: self.job.or(others.job),
            namespace: self.namespace.or(others.namespace),
        }
    }
}

impl Clone for HandlerOptions {
    fn clone(&self) -> Self {
        Self {
            factory: self.factory.as_ref().map(Zval::shallow_clone),
            container: self.container.as_ref().map(Zval::shallow_clone),
            job: self.job.as_ref().map(Zval::shallow_clone),
            namespace: self.namespace.clone(),
        }
    }
}

/// How handlers are found. The default takes class names as they are.
#[derive(Default)]
pub struct Resolver {
    /// Which think-queue the handlers were written for.
    pub family: Family,
    /// How they are made and what they get.
    pub options: HandlerOptions,
    /// Names with classes of their own.
    pub handlers: Vec<(String, String)>,
    /// Whether only `handlers` may run.
    pub strict: bool,
    /// What object jobs may unserialize: a list of classes; `None` for any.
    pub allowed_classes: Option<Zval>,
}

impl Resolver {
    /// Reads the `handlers` option.
    pub fn handlers_of(map: &Zval) -> Option<Vec<(String, String)>> {
        let mut handlers = Vec::new();
        if !map.is_array() {
            return None;
        }
        let walked = objects::each::<()>(map, |key, class| {
            let class = class.string().ok_or(())?;
            match key {
                PropertyKey::Name(name) => handlers.push((class_name(&String::from_utf8_lossy(name)).to_owned(), class)),
                PropertyKey::Index(_) => handlers.push((class_name(&class).to_owned(), class)),
            }
            Ok(())
        });
        walked.ok().map(|()| handlers)
    }

    /// The class that a name in a payload means.
    ///
    /// A name without backslash is looked for in the application's namespace, as [`Family::job_class`] says, then as it stands.
    pub fn class(&self, name: &str) -> Called<String> {
        let name = class_name(name);
        if let Some((_, class)) = self.handlers.iter().find(|(known, _)| known == name) {
            return Ok(class.clone());
        }
        let object_job = is_object_handler(name) && self.allowed_classes.is_some();
        if self.strict && !object_job {
            return Err(CallFailure::Missing(format!("{name} is not in the worker's list of handlers")));
        }
        if let (Some(namespace), false) = (&self.options.namespace, name.contains('\\')) {
            let full = self.family.job_class(namespace, name);
            if call::class(&full)?.is_some() {
                return Ok(full);
            }
        }
        Ok(name.to_owned())
    }

    /// Whether a handler of this class can be made: a factory may know more classes than PHP does.
    pub fn can_make(&self, class: &str) -> Called<bool> {
        if class.is_empty() {
            return Err(CallFailure::Missing("the job names no class".to_owned()));
        }
        let needs_no_class = self.options.factory.is_some() || is_object_handler(class);
        Ok(needs_no_class || self.contains(class)? || call::class(class)?.is_some())
    }

    /// A handler object for one job; null when the factory knows no such class. One that unserializes objects is held to the allowed
    /// classes, under whatever name it came: a subclass or an alias of ours too.
    pub fn handler(&self, class: &str, data: &Zval) -> Called {
        let handler = self.make(class, data)?;
        if let Some(allowed) = &self.allowed_classes {
            CallQueuedHandler::restrict(&handler, allowed);
        }
        if let Some(container) = &self.options.container {
            CallQueuedHandler::inject(&handler, container);
        }
        Ok(handler)
    }

    fn make(&self, class: &str, data: &Zval) -> Called {
        if let Some(factory) = &self.options.factory {
            return call::callable(factory, &mut [objects::text(class.as_bytes()), data.shallow_clone()]);
        }
        if is_object_handler(class) {
            let handler = ZendClassObject::new(CallQueuedHandler::allowing_any());
            return Ok(objects::owned_object(ZendObject::from_class_object(handler)));
        }
        if self.contains(class)? {
            return self.ask_container("get", class);
        }
        match call::class(class)? {
            Some(class) if self.family.constructs_with_data() => call::instantiate(class, &mut [data.shallow_clone()]),
            Some(class) => call::instantiate(class, &mut []),
            None => Err(CallFailure::Missing(format!("class {class} does not exist"))),
        }
    }

    fn contains(&self, class: &str) -> Called<bool> {
        Ok(self.options.container.is_some() && self.ask_container("has", class)?.is_true())
    }

    fn ask_container(&self, method: &str, class: &str) -> Called {
        let mut container = self.options.container.as_ref().map_or_else(Zval::null, Zval::shallow_clone);
        match container.object_mut() {
            Some(container) => call::method(container, method, &mut [objects::text(class.as_bytes())]),
            None => Ok(Zval::null()),
        }
    }

    /// Whether object jobs may make objects of any class.
    pub fn makes_any_class(&self) -> bool {
        self.allowed_classes.is_none() && !self.strict
    }

    /// The values it holds, for the cycle collector.
    pub fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        let HandlerOptions { factory, container, job, .. } = &self.options;
        [factory, container, job, &self.allowed_classes].into_iter().flatten().for_each(visit);
    }

    /// The job as the handler's method declares it. `None` when that is the class of Composer's think-queue, and nobody can make an object
    /// of it.
    pub fn declared(&self, job: Zval, handler: &ZendObject, method: &str) -> Called<Option<Zval>> {
        if self.options.job.is_some() || !wants_think_job(handler, method)? {
            return Ok(Some(job));
        }
        match call::class(THINK_JOB)? {
            Some(class) => call::instantiate(class, &mut [job]).map(Some),
            None => Ok(None),
        }
    }

    /// What the handler gets as its job.
    pub fn argument(&self, job: &Zval) -> Called {
        let Some(wanted) = &self.options.job else { return Ok(job.shallow_clone()) };
        if let Some(name) = wanted.str()
            && let Some(class) = call::class(name)?
        {
            return call::instantiate(class, &mut [job.shallow_clone()]);
        }
        call::callable(wanted, &mut [job.shallow_clone()])
    }
}

/// The job of the Composer package `ferry/php`, which extends that of think-queue.
const THINK_JOB: &str = "Ferry\\Think\\Job";

/// Whether a handler's method is declared with `think\queue\Job`, and that class is Composer's and no alias of ours.
fn wants_think_job(handler: &ZendObject, method: &str) -> Called<bool> {
    let is_lower = !method.bytes().any(|byte| byte.is_ascii_uppercase());
    let method = if is_lower { Cow::Borrowed(method) } else { Cow::Owned(method.to_ascii_lowercase()) };
    if !signature::first_parameter_names(handler.get_class_entry(), &method, "think\\queue\\Job") {
        return Ok(false);
    }
    let theirs = call::class("think\\queue\\Job")?;
    Ok(theirs.is_some_and(|theirs| !std::ptr::eq(theirs, classes::job_class())))
}
