//! From the name in a payload to a handler object.

use ext_php_rs::types::{ZendClassObject, ZendObject, Zval};
use ferry_core::dialect::Family;

use crate::classes::call_queued_handler::CallQueuedHandler;
use crate::zend::call::{self, CallFailure, Called};
use crate::zend::objects::{self, PropertyKey};

/// The job name of object jobs.
const CALL_QUEUED_HANDLER: &str = "think\\queue\\CallQueuedHandler";

/// How a worker finds handlers. The default takes class names as they are.
#[derive(Default)]
pub struct Resolver {
    /// Which think-queue the handlers were written for.
    pub family: Family,
    /// `callable(string $class, mixed $data): object` in place of `new`.
    pub factory: Option<Zval>,
    /// A class, or a factory, for the object that handlers get as their job.
    pub job: Option<Zval>,
    /// Namespace of short names.
    pub namespace: Option<String>,
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
        let walked = objects::each::<()>(map.array()?, |key, class| {
            let class = class.string().ok_or(())?;
            match key {
                PropertyKey::Name(name) => handlers.push((String::from_utf8_lossy(name).into_owned(), class)),
                PropertyKey::Index(_) => handlers.push((class.clone(), class)),
            }
            Ok(())
        });
        walked.ok().map(|()| handlers)
    }

    /// The class that a name in a payload means.
    ///
    /// A name without backslash is looked for in the application's namespace, as [`Family::job_class`] says, then as it stands.
    pub fn class(&self, name: &str) -> Called<String> {
        let name = name.strip_prefix('\\').unwrap_or(name);
        if let Some((_, class)) = self.handlers.iter().find(|(known, _)| known == name) {
            return Ok(class.clone());
        }
        let object_job = name.eq_ignore_ascii_case(CALL_QUEUED_HANDLER) && self.allowed_classes.is_some();
        if self.strict && !object_job {
            return Err(CallFailure::Missing(format!("{name} is not in the worker's list of handlers")));
        }
        if let (Some(namespace), false) = (&self.namespace, name.contains('\\')) {
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
        let needs_no_class = self.factory.is_some() || class.eq_ignore_ascii_case(CALL_QUEUED_HANDLER);
        Ok(needs_no_class || call::class(class)?.is_some())
    }

    /// A handler object for one job.
    pub fn handler(&self, class: &str, data: &Zval) -> Called {
        if let Some(factory) = &self.factory {
            return call::callable(factory, &mut [objects::text(class.as_bytes()), data.shallow_clone()]);
        }
        if class.eq_ignore_ascii_case(CALL_QUEUED_HANDLER) {
            let allowed = self.allowed_classes.as_ref().map(Zval::shallow_clone);
            let handler = ZendClassObject::new(CallQueuedHandler::allowing(allowed));
            return Ok(objects::owned_object(ZendObject::from_class_object(handler)));
        }
        match call::class(class)? {
            Some(class) if self.family.constructs_with_data() => call::instantiate(class, &mut [data.shallow_clone()]),
            Some(class) => call::instantiate(class, &mut []),
            None => Err(CallFailure::Missing(format!("class {class} does not exist"))),
        }
    }

    /// What the handler gets as its job.
    pub fn argument(&self, job: &Zval) -> Called {
        let Some(wanted) = &self.job else { return Ok(job.shallow_clone()) };
        if let Some(name) = wanted.str()
            && let Some(class) = call::class(name)?
        {
            return call::instantiate(class, &mut [job.shallow_clone()]);
        }
        call::callable(wanted, &mut [job.shallow_clone()])
    }
}
