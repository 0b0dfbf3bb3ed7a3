//! `Ferry\Job`: a reserved job, with the methods of think-queue's Job from v1 to v3.

use std::cell::RefCell;
use std::rc::Rc;

use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendClassObject, Zval};
use ferry_worker::{CallEnd, HeldJob};

use crate::classes::exceptions::{self, Class};
use crate::convert::arguments::{Maybe, Mixed, Number, OptionalText};
use crate::convert::cause::{self, Cause};
use crate::convert::delay;
use crate::convert::errors::{exception, pending};
use crate::convert::kept;
use crate::handler::{self, Resolver};
use crate::zend::call::{self, CallFailure};
use crate::zend::gc::HoldsValues;
use crate::zend::json::{self, JsonError};
use crate::zend::objects::{self, text};

/// A job that is ours until it is settled or its lease ends.
#[php_class]
#[php(name = "Ferry\\Job")]
pub struct PhpJob {
    held: Rc<HeldJob>,
    resolver: Rc<Resolver>,
    /// Where a worker looks for what its handler failed it with.
    cause: Option<CauseSlot>,
}

/// A place for one exception. The worker empties it: an exception that a job kept would keep the job alive by its trace.
pub type CauseSlot = Rc<RefCell<Option<Zval>>>;

impl PhpJob {
    /// The PHP side of a held job.
    pub fn new(held: Rc<HeldJob>, resolver: Rc<Resolver>, cause: Option<CauseSlot>) -> Self {
        Self { held, resolver, cause }
    }

    /// The payload as a PHP array. An error is poison.
    fn decoded(&self) -> PhpResult<Zval> {
        let body = [self.held.body(), b"\0"].concat();
        json::decode_payload(&body).map_err(|error| match error {
            JsonError::Said(why) => exceptions::make(Class::Poison, format!("the payload cannot be decoded: {why}")),
            JsonError::Threw => pending(),
        })
    }

    fn field(&self, name: &str) -> PhpResult<Zval> {
        Ok(self.decoded()?.array().and_then(|payload| payload.get(name)).map_or_else(Zval::null, Zval::shallow_clone))
    }
}

impl HoldsValues for PhpJob {
    fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        if Rc::strong_count(&self.resolver) == 1 {
            self.resolver.each_value(visit);
        }
        if let Some(slot) = self.cause.as_ref().filter(|slot| Rc::strong_count(slot) == 1)
            && let Ok(cause) = slot.try_borrow()
        {
            cause.iter().for_each(visit);
        }
    }
}

#[php_impl]
impl PhpJob {
    /// Runs the handler. What it throws is the caller's.
    pub fn fire(self_: &mut ZendClassObject<PhpJob>) -> PhpResult<()> {
        let (held, resolver) = (self_.held.clone(), self_.resolver.clone());
        let object = objects::object(&mut self_.std);
        let trouble = match handler::fire_for_caller(&resolver, &held, &object) {
            Ok(CallEnd::BadData(why)) => return Err(exceptions::make(Class::Poison, why)),
            Ok(CallEnd::NoHandler(what) | CallEnd::Refused(what)) => return Err(exceptions::make(Class::HandlerNotFound, what)),
            Ok(_) => return Ok(()),
            Err(trouble) => trouble,
        };
        if let CallFailure::Missing(what) = trouble {
            return Err(exceptions::make(Class::HandlerNotFound, what));
        }
        call::rethrow(trouble);
        Err(pending())
    }

    /// Deletes the job: it is done.
    pub fn delete(&self) -> PhpResult<()> {
        self.held.delete().map_err(|error| exception(&error))
    }

    /// Lets the job come back after a delay.
    pub fn release(&self, delay: Maybe<'_>) -> PhpResult<()> {
        let delay = delay.0.map_or(Ok(0), |delay| delay::seconds(delay, self.resolver.family))?;
        self.held.release(delay).map_err(|error| exception(&error))
    }

    /// Buries the job for good, with an exception, a text or nothing, and tells its handler's `failed()`.
    pub fn fail(&self, e: Maybe<'_>) -> PhpResult<()> {
        let Cause { text, exception: thrown } = cause::of(e.0, &self.held.payload().job)?;
        if !self.held.fail(text).map_err(|error| exception(&error))? {
            return Ok(());
        }
        if let Some(slot) = &self.cause {
            slot.replace(Some(thrown.shallow_clone()));
        }
        match handler::tell_failed(&self.resolver, &self.held, &thrown) {
            // A handler whose class is gone has no failed() to be told.
            Ok(()) | Err(CallFailure::Missing(_)) => Ok(()),
            Err(trouble) => {
                call::rethrow(trouble);
                Err(pending())
            }
        }
    }

    /// Says how far it is, for its status.
    pub fn progress(&self, percent: Number, message: OptionalText) {
        let percent = u8::try_from(percent.0.clamp(0, 100)).unwrap_or(100);
        self.held.report_progress(percent, message.text());
    }

    /// Keeps a result for its status.
    pub fn result(&self, data: Mixed<'_>) -> PhpResult<()> {
        if self.held.status_id().is_none() {
            return Ok(());
        }
        // This may run PHP code; nothing of ours is borrowed.
        self.held.keep_result(kept::json(data.0, "the result")?);
        Ok(())
    }

    /// Whether somebody else has it now, as far as we know.
    pub fn is_lost(&self) -> bool {
        self.held.is_lost()
    }

    /// Which attempt this is, 1 for the first.
    pub fn attempts(&self) -> i64 {
        self.held.attempts().into()
    }

    /// Calls the handler's `failed($data, $e)`, when it has one. Settles nothing.
    pub fn failed(&self, e: Maybe<'_>) -> PhpResult<()> {
        let cause = e.0.map_or_else(Zval::null, Zval::shallow_clone);
        match handler::tell_failed(&self.resolver, &self.held, &cause) {
            Ok(()) => Ok(()),
            Err(CallFailure::Missing(what)) => Err(exceptions::make(Class::HandlerNotFound, what)),
            Err(trouble) => {
                call::rethrow(trouble);
                Err(pending())
            }
        }
    }

    /// The payload as popped, byte for byte.
    pub fn get_raw_body(&self) -> Zval {
        text(self.held.body())
    }

    /// The id: a string from the payload, or a row number. The one of its status, when it has one.
    pub fn get_job_id(&self) -> Zval {
        if let Some(id) = self.held.status_id() {
            return text(id.as_bytes());
        }
        match (self.held.number(), &self.held.payload().id) {
            (Some(number), _) => objects::number(number),
            (None, Some(id)) => text(id.as_bytes()),
            (None, None) => Zval::null(),
        }
    }

    /// `job` of the payload: `Class` or `Class@method`.
    pub fn get_name(&self) -> Zval {
        text(self.held.payload().job.as_bytes())
    }

    /// The queue it was reserved from.
    pub fn get_queue(&self) -> Zval {
        text(self.held.queue().as_bytes())
    }

    /// The name of the connection it was reserved on.
    pub fn get_connection(&self) -> Zval {
        text(self.held.connection().as_bytes())
    }

    /// The decoded payload, or one value of it; dots lead into nested arrays.
    pub fn payload(&self, name: OptionalText, default: Maybe<'_>) -> PhpResult<Zval> {
        let payload = self.decoded()?;
        let Some(name) = name.text().filter(|name| !name.is_empty() && name != "0") else { return Ok(payload) };
        Ok(at(&payload, &name).unwrap_or_else(|| default.0.map_or_else(Zval::null, Zval::shallow_clone)))
    }

    /// `maxTries` of the payload.
    pub fn max_tries(&self) -> PhpResult<Zval> {
        self.field("maxTries")
    }

    /// `timeout` of the payload, seconds.
    pub fn timeout(&self) -> PhpResult<Zval> {
        self.field("timeout")
    }

    /// `timeoutAt` of the payload, a unix second.
    pub fn timeout_at(&self) -> PhpResult<Zval> {
        self.field("timeoutAt")
    }

    /// Whether it was deleted or buried here.
    pub fn is_deleted(&self) -> bool {
        self.held.is_deleted()
    }

    /// Whether it was released here.
    pub fn is_released(&self) -> bool {
        self.held.is_released()
    }

    /// Whether it was deleted, buried or released here.
    pub fn is_deleted_or_released(&self) -> bool {
        self.held.is_deleted() || self.held.is_released()
    }

    /// Whether it is marked as failed.
    pub fn has_failed(&self) -> bool {
        self.held.has_failed()
    }

    /// Marks it as failed. Settles nothing.
    pub fn mark_as_failed(&self) {
        self.held.mark_failed();
    }
}

/// A value by name, else by a path of names between dots.
fn at(payload: &Zval, name: &str) -> Option<Zval> {
    let array = payload.array()?;
    if let Some(value) = array.get(name) {
        return Some(value.shallow_clone());
    }
    let (first, rest) = name.split_once('.')?;
    at(array.get(first)?, rest)
}
