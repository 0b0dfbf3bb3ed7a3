//! From a job and its data as PHP callers give them to the texts of a payload.

use std::cell::OnceCell;
use std::rc::Rc;

use ext_php_rs::exception::{PhpException, PhpResult};
use ext_php_rs::types::{ZendObject, Zval};
use ext_php_rs::zend::ClassEntry;
use ferry_client::JobSpec;
use ferry_core::payload::{Limits, json_of_name};

use crate::convert::errors::{invalid, pending};
use crate::zend::call::{self, CallFailure};
use crate::zend::engine::php_date_get_interface_ce;
use crate::zend::json::{self, JsonError};
use crate::zend::objects;

/// The JSON texts of one job.
pub struct EncodedJob {
    job: Vec<u8>,
    limits: Option<[Vec<u8>; 3]>,
    data: Rc<[u8]>,
}

/// Data that is encoded when the first job wants it, then shared by all jobs of a bulk push.
pub struct SharedData<'a> {
    value: Option<&'a Zval>,
    /// Whether it is decoded and encoded once more.
    recode: bool,
    text: OnceCell<Rc<[u8]>>,
}

impl<'a> SharedData<'a> {
    /// The data of one or many jobs; the empty string when it was left out. `recode`: see `Family::recodes_data`.
    pub fn new(value: Option<&'a Zval>, recode: bool) -> Self {
        Self { value, recode, text: OnceCell::new() }
    }

    fn text(&self) -> PhpResult<Rc<[u8]>> {
        if let Some(text) = self.text.get() {
            return Ok(text.clone());
        }
        let mut text = self.value.map_or_else(|| Ok(b"\"\"".to_vec()), encode)?;
        if self.recode {
            text = recoded(text)?;
        }
        Ok(self.text.get_or_init(|| text.into()).clone())
    }
}

impl EncodedJob {
    /// Encodes a job: a string names a handler and takes `data`; an object is a job of its own and drops `data`
    /// (`redis/push-object-job-ignores-data-and-own-queue-delay`).
    ///
    /// This may run PHP code; no state of ours is borrowed meanwhile.
    pub fn of(job: &Zval, data: &SharedData<'_>) -> PhpResult<Self> {
        if let Some(object) = job.object() {
            return Self::of_object(job, object);
        }
        match job.zend_str() {
            Some(name) if name.as_bytes().is_empty() => Err(invalid("the job is an empty string; name a handler class")),
            Some(name) => {
                let job = json_of_name(name.as_bytes()).map_or_else(|| encode(job), Ok)?;
                Ok(Self { job, limits: None, data: data.text()? })
            }
            None => Err(invalid("the job is neither a string (Class, Class@method) nor an object with handle()")),
        }
    }

    fn of_object(job: &Zval, object: &ZendObject) -> PhpResult<Self> {
        let class = String::from_utf8_lossy(&objects::class_name(object)).into_owned();
        if class == "Closure" {
            return Err(invalid(
                "a closure cannot be pushed: a worker does not have its code. Push the name of a class (Class, Class@method) or an object \
                 with handle()",
            ));
        }
        let Some(copy) = objects::clone(object) else {
            return Err(invalid(format!("the job object of class {class} cannot be cloned")));
        };
        let command = call::function("serialize", &mut [copy]).map_err(|trouble| not_serialized(&class, trouble))?;
        let data = [
            b"{\"commandName\":".as_slice(),
            &encode(&objects::text(&objects::class_name(object)))?,
            b",\"command\":",
            &encode(&command)?,
            b"}",
        ];
        let limit = |name: &str| objects::property(object, name).map_or_else(|| Ok(b"null".to_vec()), |value| encode(&value));
        Ok(Self {
            job: br#""think\\queue\\CallQueuedHandler@call""#.to_vec(),
            limits: Some([limit("tries")?, limit("timeout")?, deadline(job, object)?]),
            data: data.concat().into(),
        })
    }

    /// The bytes it takes in a payload.
    pub fn size(&self) -> usize {
        self.job.len() + self.data.len()
    }

    /// As the client wants it.
    pub fn spec(&self) -> JobSpec<'_> {
        let limits = self.limits.as_ref().map(|[max_tries, timeout, timeout_at]| Limits { max_tries, timeout, timeout_at });
        JobSpec { job: &self.job, limits, data: &self.data }
    }
}

/// `timeoutAt`, else `retryUntil()`; a date becomes its unix second (`redis/push-object-job-retryUntil`).
fn deadline(job: &Zval, object: &ZendObject) -> PhpResult<Vec<u8>> {
    let value = match objects::property(object, "timeoutAt") {
        Some(value) => value,
        None if objects::has_method(object, "retryuntil") => {
            let mut holder = job.shallow_clone();
            match holder.object_mut() {
                Some(object) => called(call::method(object, "retryUntil", &mut []))?,
                None => Zval::null(),
            }
        }
        None => return Ok(b"null".to_vec()),
    };
    // SAFETY: ext/date is part of every PHP.
    let date: &ClassEntry = unsafe { &*php_date_get_interface_ce() };
    if value.object().is_some_and(|object| object.instance_of(date)) {
        let mut value = value;
        if let Some(object) = value.object_mut() {
            return encode(&called(call::method(object, "getTimestamp", &mut []))?);
        }
        return Ok(b"null".to_vec());
    }
    encode(&value)
}

fn encode(value: &Zval) -> PhpResult<Vec<u8>> {
    json::encode(value).map_err(refused)
}

/// The text as it comes out of a decode to arrays and an encode: `{}` is `[]` now (`redis/push-data-*` of v1).
fn recoded(mut text: Vec<u8>) -> PhpResult<Vec<u8>> {
    // The engine's scanner reads the byte behind the text.
    text.push(0);
    encode(&json::decode(&text).map_err(refused)?)
}

fn refused(error: JsonError) -> PhpException {
    match error {
        JsonError::Said(why) => invalid(format!("Unable to create payload: {why}")),
        JsonError::Threw => pending(),
    }
}

/// What PHP says of an object that it cannot serialize, such as one that holds a closure, has no class of its own: it gets ours. What the
/// object's own code throws goes to the caller as it is.
fn not_serialized(class: &str, trouble: CallFailure) -> PhpException {
    if let CallFailure::Threw(thrown) = &trouble
        && let Some(why) = engines_refusal(thrown)
    {
        return invalid(format!("the job object of class {class} cannot be pushed: {why}"));
    }
    call::rethrow(trouble);
    pending()
}

fn engines_refusal(thrown: &Zval) -> Option<String> {
    let mut thrown = thrown.shallow_clone();
    let object = thrown.object_mut().filter(|object| objects::class_name(object) == b"Exception")?;
    let message = call::method(object, "getMessage", &mut []).ok()?.string()?;
    message.starts_with("Serialization of ").then_some(message)
}

fn called(result: call::Called) -> Result<Zval, PhpException> {
    result.map_err(|trouble| {
        call::rethrow(trouble);
        pending()
    })
}
