//! The worker's host: calls PHP handlers and PHP listeners.
//!
//! Everything that changes lies in cells, and none of them is borrowed while PHP code runs: a handler may call back into its worker.

#[cfg(feature = "amqp")]
mod decode;
mod fire;
mod limits;
mod listeners;
mod log;
mod php_loop;
pub mod plain_task;
mod process_state;
mod resident;
mod resolver;
mod stop_requests;
pub mod sync;
#[cfg(feature = "amqp")]
pub mod tasks;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use ext_php_rs::types::{ZendClassObject, ZendObject, Zval};
use ferry_core::backoff::Backoff;
use ferry_core::dialect::Family;
use ferry_core::failed::{Reason, with_hint};
use ferry_core::policy::HandlerLimits;
use ferry_worker::{CallEnd, Event, FailureCause, Halt, HeldJob, Host, InFlightJob, JobHost};

pub use fire::{describe, fire_for_caller, tell_failed};
pub use listeners::{Listeners, NAMES as EVENT_NAMES, PLAIN_TASK_NAMES};
pub use log::{Log, LogLevel, Sink};
pub use resolver::{HandlerOptions, Resolver};
pub use stop_requests::StopRequests;

use crate::classes::exceptions::{self, Class};
use crate::classes::job::{CauseSlot, PhpJob};
use crate::zend::call::{self, CallFailure, Called, guarded};
use crate::zend::interrupter::{self, PhpInterrupter};
use crate::zend::objects;
use fire::{fire, last_error};
use php_loop::PhpLoop;
use process_state::{close_output, output_level};

/// PHP, as the worker sees it.
pub struct PhpHost<'a> {
    resolver: Rc<Resolver>,
    php: PhpLoop<'a>,
    /// Inside push: `failed()` is not called, except in v1 and v2, and the exception goes to the caller.
    inside_push: bool,
    /// What the handler threw, until the next job.
    thrown: RefCell<Option<Zval>>,
    /// What the handler failed its job with, until the event has fired.
    cause: CauseSlot,
    /// The PHP objects of the job at hand.
    job: RefCell<Option<JobObjects>>,
    /// The handler class and limits of job names seen so far.
    known: RefCell<HashMap<String, Prepared>>,
    /// What the handler's `backoff()` returned when it failed.
    backoff: Cell<Option<Backoff>>,
    /// The object of the plain task at hand, from its `handle()` to its `failed()`.
    task: RefCell<Option<Zval>>,
}

/// What PHP sees of a job.
struct JobObjects {
    held: Rc<HeldJob>,
    /// The `Ferry\Job`.
    job: Zval,
    /// What the option `job` made of it, once it was asked for.
    handed: Option<Zval>,
}

/// What a job name stands for.
#[derive(Clone)]
struct Prepared {
    class: Rc<str>,
    limits: HandlerLimits,
}

impl<'a> PhpHost<'a> {
    /// The host of a worker.
    pub fn new(
        resolver: Rc<Resolver>,
        listeners: &'a Listeners,
        log: Rc<Log>,
        requests: Arc<StopRequests>,
        interrupter: Arc<PhpInterrupter>,
    ) -> Self {
        let php = PhpLoop::new(listeners, log, requests, interrupter);
        Self { php, inside_push: false, ..Self::inside_push(resolver) }
    }

    /// The host of a job that runs inside push.
    pub fn inside_push(resolver: Rc<Resolver>) -> Self {
        Self {
            resolver,
            php: PhpLoop::inside_push(),
            inside_push: true,
            thrown: RefCell::default(),
            cause: CauseSlot::default(),
            job: RefCell::default(),
            known: RefCell::default(),
            backoff: Cell::default(),
            task: RefCell::default(),
        }
    }

    /// The exception that ended the run.
    pub fn take_ending(&self) -> Option<Zval> {
        self.php.take_ending()
    }

    /// What the last handler threw.
    pub fn take_thrown(&self) -> Option<Zval> {
        self.thrown.take()
    }

    /// What nobody could be told meanwhile.
    pub fn take_late(&self) -> Option<Halt> {
        self.php.take_late()
    }

    /// Logs an error that has no event of its own. What a logger throws ends the run, before the next job.
    pub fn log_error(&self, text: &str) {
        self.php.log_error(text);
    }

    /// The `Ferry\Job` of a job; the same one as long as the job is at hand.
    fn job_object(&self, job: &Rc<HeldJob>) -> Zval {
        let known = self.known_objects(job, |objects| Some(objects.job.shallow_clone()));
        match known {
            Some(object) => object,
            None => {
                let object = ZendClassObject::new(PhpJob::new(job.clone(), self.resolver.clone(), Some(self.cause.clone())));
                let object = objects::owned_object(ZendObject::from_class_object(object));
                let objects = JobObjects { held: job.clone(), job: object.shallow_clone(), handed: None };
                // What was there is dropped after the borrow: its destructor is PHP code.
                drop(self.job.replace(Some(objects)));
                object
            }
        }
    }

    fn known_objects<T>(&self, job: &Rc<HeldJob>, wanted: impl FnOnce(&JobObjects) -> Option<T>) -> Option<T> {
        self.job.borrow().as_ref().filter(|objects| Rc::ptr_eq(&objects.held, job)).and_then(wanted)
    }

    /// What handlers and listeners get as their job: the same object for all of them. It may run PHP code.
    fn handed_object(&self, job: &Rc<HeldJob>) -> Called {
        if let Some(known) = self.known_objects(job, |objects| objects.handed.as_ref().map(Zval::shallow_clone)) {
            return Ok(known);
        }
        let object = self.job_object(job);
        let made = self.resolver.argument(&object)?;
        if let Some(objects) = self.job.borrow_mut().as_mut().filter(|objects| Rc::ptr_eq(&objects.held, job)) {
            objects.handed = Some(made.shallow_clone());
        }
        Ok(made)
    }

    /// Calls the listeners of a job's event. When the option `job` makes nothing, which its handler's call reports, they get the
    /// `Ferry\Job`.
    fn emit_of_job(&self, name: &'static str, job: &Rc<HeldJob>, more: impl FnOnce() -> Option<Zval>) -> Result<(), Halt> {
        self.php.emit_made(name, || {
            let object = match guarded(|| self.handed_object(job)) {
                Ok(object) => object,
                Err(CallFailure::Threw(_) | CallFailure::Missing(_)) => self.job_object(job),
                Err(trouble @ (CallFailure::Exited | CallFailure::Died)) => return Err(trouble),
            };
            Ok(std::iter::once(object).chain(more()).collect())
        })
    }

    /// The same for the log, which leaves the cause to the listeners that come after it.
    fn exception_to_show(&self, cause: &FailureCause) -> Zval {
        let exception = self.exception(cause);
        if cause.reason == Reason::Asked {
            self.cause.replace(Some(exception.shallow_clone()));
        }
        exception
    }

    /// The exception object that goes with a failure: the thrown one, or one that says what we saw.
    fn exception(&self, cause: &FailureCause) -> Zval {
        if cause.reason == Reason::Asked
            && let Some(asked) = self.cause.take()
        {
            return asked;
        }
        if let Some(thrown) = self.thrown.borrow().as_ref() {
            return thrown.shallow_clone();
        }
        let class = match cause.reason {
            Reason::MaxAttempts => Class::MaxAttemptsExceeded,
            Reason::Poison => Class::Poison,
            Reason::NoHandler => Class::HandlerNotFound,
            Reason::Timeout => Class::Timeout,
            Reason::Exception | Reason::Exited | Reason::Asked => Class::Broker,
        };
        let made = guarded(|| call::instantiate(exceptions::class(class), &mut [objects::text(cause.text.as_bytes())]));
        let exception = made.unwrap_or_else(|_| Zval::null());
        self.keep_thrown(Some(exception.shallow_clone()));
        exception
    }

    fn keep_thrown(&self, exception: Option<Zval>) {
        // What was there is dropped after the borrow: its destructor is PHP code.
        drop(self.thrown.replace(exception));
    }

    /// Turns trouble in a handler into the end of a call, and keeps what it threw.
    fn end_of_call(&self, trouble: CallFailure) -> CallEnd {
        match trouble {
            // Our watchdog asked for this exit: the worker continues.
            CallFailure::Exited if self.php.cancel_exit() => CallEnd::TimedOut,
            // The watchdog of a worker around this one asked for it, and it goes on its way.
            CallFailure::Exited if interrupter::any_has_raised() => CallEnd::Unwinding,
            CallFailure::Threw(exception) if exceptions::is(&exception, Class::Timeout) => {
                self.keep_thrown(Some(exception));
                CallEnd::TimedOut
            }
            CallFailure::Threw(exception) => {
                let text = describe(&exception);
                self.keep_thrown(Some(exception));
                match text {
                    Ok(text) => CallEnd::Threw(with_hint(text)),
                    Err(CallFailure::Exited) => CallEnd::Exited,
                    Err(CallFailure::Died) => CallEnd::Died(last_error()),
                    Err(CallFailure::Threw(_) | CallFailure::Missing(_)) => {
                        CallEnd::Threw("an exception that cannot be shown".to_owned())
                    }
                }
            }
            CallFailure::Exited => CallEnd::Exited,
            CallFailure::Died => CallEnd::Died(last_error()),
            CallFailure::Missing(what) => CallEnd::Refused(what),
        }
    }

    /// How a call of the handler ended. A job that was stopped ran too long, whatever its `finally` blocks and destructors made of the stop:
    /// they may have thrown, which replaces it, or returned, which drops it.
    fn end_of_handler(&self, fired: Called<CallEnd>, job: &HeldJob) -> CallEnd {
        match fired {
            Ok(CallEnd::Returned) if self.php.was_stopped() && job.is_held() => CallEnd::TimedOut,
            Ok(end) => end,
            Err(CallFailure::Threw(exception)) if self.php.was_stopped() => match describe(&exception) {
                Err(trouble @ (CallFailure::Exited | CallFailure::Died)) => self.end_of_call(trouble),
                text => {
                    let text = text.unwrap_or_default();
                    self.log_error(&format!("{} threw while it was stopped: {text}", job.payload().job));
                    CallEnd::TimedOut
                }
            },
            Err(trouble) => self.end_of_call(trouble),
        }
    }
}

impl JobHost for PhpHost<'_> {
    fn prepare(&self, job: &InFlightJob) -> Result<HandlerLimits, CallEnd> {
        // The task before this one: its `failed()` is not this one's. Dropped after the borrow, like what was thrown.
        drop(self.task.take());
        if let Some(known) = self.known.borrow().get(&job.payload.job) {
            return Ok(known.limits.clone());
        }
        let resolver = self.resolver.clone();
        let prepared = guarded(|| prepare(&resolver, job)).map_err(|trouble| self.end_of_call(trouble))?;
        let Some(prepared) = prepared else {
            return Err(CallEnd::NoHandler(format!("class {} does not exist", job.payload.target().0)));
        };
        let limits = prepared.limits.clone();
        if limits::class_in(job).is_none() {
            self.known.borrow_mut().insert(job.payload.job.clone(), prepared);
        }
        Ok(limits)
    }

    fn lacks_handler(&self, job: &InFlightJob) -> Result<bool, CallEnd> {
        let resolver = self.resolver.clone();
        guarded(|| factory_lacks(&resolver, job)).map_err(|trouble| self.end_of_call(trouble))
    }

    fn call(&self, job: &Rc<HeldJob>) -> CallEnd {
        self.keep_thrown(None);
        self.backoff.set(None);
        self.php.handler_runs();
        let resolver = self.resolver.clone();
        let class = self.known.borrow().get(&job.payload().job).map(|known| known.class.clone());
        let level = output_level();
        let mut pause = None;
        let fired = guarded(|| {
            let class = match class.as_deref() {
                Some(class) => Cow::Borrowed(class),
                None => Cow::Owned(resolver.class(job.payload().target().0)?),
            };
            match resolver.family {
                Family::Think3 | Family::Think3Legacy | Family::Think1 => {
                    fire(&resolver, &class, job, || self.handed_object(job), &mut pause)
                }
                Family::RedisTask => plain_task::handle(&resolver, &class, job, &self.task),
            }
        });
        self.backoff.set(pause);
        let ended = self.end_of_handler(fired, job);
        if matches!(ended, CallEnd::Exited | CallEnd::Unwinding | CallEnd::Died(_)) {
            return ended;
        }
        if ended == CallEnd::TimedOut {
            self.php.restore_process_state();
        }
        match close_output(level) {
            Ok(()) => ended,
            Err(trouble) => self.end_of_call(trouble),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        self.backoff.take()
    }

    fn can_retry(&self, job: &Rc<HeldJob>, made: u32) -> Result<Option<bool>, CallEnd> {
        let resolver = self.resolver.clone();
        match resolver.family {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => return Ok(None),
            Family::RedisTask => {}
        }
        let trouble = match guarded(|| plain_task::can_retry(&resolver, job, &self.task, made)) {
            Ok(answer) => return Ok(answer),
            Err(CallFailure::Threw(thrown)) => match describe(&thrown) {
                Err(trouble @ (CallFailure::Exited | CallFailure::Died)) => trouble,
                text => {
                    let text = text.unwrap_or_default();
                    self.log_error(&format!("canRetry() of {} threw, so max_attempts decides: {text}", job.payload().job));
                    return Ok(None);
                }
            },
            Err(CallFailure::Missing(_)) => return Ok(None),
            Err(trouble @ (CallFailure::Exited | CallFailure::Died)) => trouble,
        };
        Err(self.end_of_call(trouble))
    }

    fn failed(&self, job: &Rc<HeldJob>, cause: &FailureCause) -> Result<CallEnd, Halt> {
        let is_skipped = self.inside_push && !self.resolver.family.calls_failed_inside_push();
        if is_skipped || matches!(cause.reason, Reason::Poison | Reason::NoHandler) {
            return Ok(CallEnd::Returned);
        }
        let exception = self.exception(cause);
        let resolver = self.resolver.clone();
        let told = guarded(|| match resolver.family {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => tell_failed(&resolver, job, &exception),
            Family::RedisTask => plain_task::tell_failed(&resolver, job, &self.task, &exception),
        });
        match told {
            Ok(()) => Ok(CallEnd::Returned),
            Err(CallFailure::Threw(thrown)) => {
                let text = match describe(&thrown) {
                    Ok(text) => text,
                    Err(CallFailure::Exited) => return Ok(CallEnd::Exited),
                    Err(CallFailure::Died) => return Ok(CallEnd::Died(last_error())),
                    Err(CallFailure::Threw(_) | CallFailure::Missing(_)) => String::new(),
                };
                self.log_error(&format!("failed() of {} threw: {text}", job.payload().job));
                Ok(CallEnd::Threw(text))
            }
            // A handler whose class is gone has no failed().
            Err(CallFailure::Missing(_)) => Ok(CallEnd::Returned),
            Err(CallFailure::Exited) => Ok(CallEnd::Exited),
            Err(CallFailure::Died) => Ok(CallEnd::Died(last_error())),
        }
    }
}

impl Host for PhpHost<'_> {
    fn event(&self, event: Event<'_>) -> Result<(), Halt> {
        if let Event::Processed(_) = event {
            self.php.count_processed();
        }
        if let Event::Status(_) = event
            && self.php.has_listener("status")
        {
            return self.php.emit("status", Vec::new);
        }
        self.php.log_event(event, || match event {
            Event::Exception(_, cause) | Event::Failed(_, cause) => Some(self.exception_to_show(cause)),
            _ => None,
        })?;
        match event {
            Event::Processing(job) => {
                self.keep_thrown(None);
                self.cause.take();
                self.emit_of_job("processing", job, || None)
            }
            Event::TimedOut(job, timeout) => self.emit_of_job("timeout", job, || Some(objects::float(timeout.as_secs_f64()))),
            Event::Processed(job) => self.emit_of_job("processed", job, || None),
            Event::Exception(job, cause) => self.emit_of_job("exception", job, || Some(self.exception(cause))),
            Event::Failed(job, cause) => {
                if self.inside_push {
                    self.exception(cause);
                }
                let emitted = self.emit_of_job("failed", job, || Some(self.exception(cause)));
                // Nobody may have asked for it.
                self.cause.take();
                emitted
            }
            Event::Released(job, delay) => self.emit_of_job("released", job, || Some(objects::number(delay))),
            Event::NotSettled(_) => Ok(()),
            Event::Lost(job) => self.emit_of_job("lost", job, || None),
            event => self.php.emit_loop_event(event),
        }
    }

    fn poll_signals(&self) -> Result<(), Halt> {
        self.php.poll_signals()
    }

    fn stopping(&self) -> bool {
        self.php.stopping()
    }

    fn paused(&self) -> bool {
        self.php.paused()
    }

    fn idle(&self) -> Result<(), Halt> {
        self.php.idle()
    }

    fn memory(&self) -> usize {
        self.php.memory()
    }
}

/// Whether the factory makes nothing of a class that PHP does not know either.
fn factory_lacks(resolver: &Resolver, job: &InFlightJob) -> Called<bool> {
    let class = resolver.class(job.payload.target().0)?;
    if resolver.options.factory.is_none() || resolver.family == Family::RedisTask || call::class(&class)?.is_some() {
        return Ok(false);
    }
    let Ok(data) = fire::decoded(job.data()) else { return Ok(false) };
    Ok(resolver.handler(&class, &data)?.is_null())
}

/// Finds the handler class of a job and reads its limits. `None` when the class does not exist.
fn prepare(resolver: &Resolver, job: &InFlightJob) -> Called<Option<Prepared>> {
    let class = resolver.class(job.payload.target().0)?;
    if !resolver.can_make(&class)? {
        return Ok(None);
    }
    if resolver.family == Family::RedisTask {
        plain_task::check_class(resolver, &class)?;
    }
    let object_class = limits::class_in(job);
    let limits = limits::of_class(object_class.as_deref().unwrap_or(&class))?;
    Ok(Some(Prepared { class: class.into(), limits }))
}
