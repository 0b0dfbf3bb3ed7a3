//! The worker's host: hands jobs to PHP handlers and tells PHP listeners.

mod fire;
mod limits;
mod listeners;
mod log;
mod process_state;
mod resident;
mod resolver;
mod stop_requests;
pub mod sync;
pub mod tasks;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use ext_php_rs::ffi::zend_function;
use ext_php_rs::types::{ZendClassObject, ZendObject, Zval};
use ferry_core::backoff::Backoff;
use ferry_core::dialect::Family;
use ferry_core::failed::Reason;
use ferry_core::policy::HandlerLimits;
use ferry_worker::{CallEnd, Event, FailureCause, Halt, HeldJob, Host, InFlightJob, StopRequest};

pub use fire::{describe, fire_for_caller, tell_failed};
pub use listeners::{Listeners, NAMES as EVENT_NAMES};
pub use log::{Log, LogLevel, Sink};
pub use resolver::Resolver;
pub use stop_requests::StopRequests;

use crate::classes::exceptions::{self, Class};
use crate::classes::job::{CauseSlot, PhpJob};
use crate::zend::call::{self, CallFailure, Called, guarded};
use crate::zend::engine::zend_memory_usage;
use crate::zend::{interrupter, objects, signals};
use fire::{fire, last_error};
use process_state::{ProcessState, close_output, output_level};
use resident::Resident;

/// PHP, as the worker sees it.
pub struct PhpHost<'a> {
    resolver: Rc<Resolver>,
    listeners: Option<&'a Listeners>,
    log: Rc<Log>,
    wishes: Arc<StopRequests>,
    /// Inside push: `failed()` is not called, except in v1 and v2, and the exception goes to the caller.
    inside_push: bool,
    /// `pcntl_signal_dispatch`, when pcntl is loaded.
    dispatch: Option<*mut zend_function>,
    /// What the handler threw, until the next job.
    thrown: Option<Zval>,
    /// What the handler failed its job with, until it is told.
    cause: CauseSlot,
    /// What a listener or a signal handler threw: it ends the run and goes to its caller.
    ending: Option<Zval>,
    /// The PHP object of the job at hand.
    job: Option<(Rc<HeldJob>, Zval)>,
    /// The handler class and limits of job names seen so far.
    known: HashMap<String, Prepared>,
    /// What the handler's `backoff()` said when it failed.
    backoff: Option<Backoff>,
    /// Working directory and locale, to be put back after a job that was stopped.
    surroundings: Option<ProcessState>,
    /// Whether a handler ran since cycles were last collected.
    untidy: bool,
    /// What the process uses beside PHP's allocator.
    resident: Resident,
}

/// What a job name stands for.
#[derive(Clone)]
struct Prepared {
    class: Rc<str>,
    limits: HandlerLimits,
}

impl<'a> PhpHost<'a> {
    /// The host of a worker.
    pub fn new(resolver: Rc<Resolver>, listeners: &'a Listeners, log: Rc<Log>, wishes: Arc<StopRequests>) -> Self {
        Self {
            listeners: Some(listeners),
            log,
            wishes,
            inside_push: false,
            dispatch: call::find_function("pcntl_signal_dispatch"),
            surroundings: Some(ProcessState::now()),
            ..Self::inside_push(resolver)
        }
    }

    /// The host of a job that runs inside push.
    pub fn inside_push(resolver: Rc<Resolver>) -> Self {
        Self {
            resolver,
            listeners: None,
            log: Rc::new(Log::silent()),
            wishes: Arc::default(),
            inside_push: true,
            dispatch: None,
            thrown: None,
            cause: CauseSlot::default(),
            ending: None,
            job: None,
            known: HashMap::new(),
            backoff: None,
            surroundings: None,
            untidy: false,
            resident: Resident::default(),
        }
    }

    /// The exception that ended the run.
    pub fn take_ending(&mut self) -> Option<Zval> {
        self.ending.take()
    }

    /// What the last handler threw.
    pub fn take_thrown(&mut self) -> Option<Zval> {
        self.thrown.take()
    }

    /// Tells an error that has no event of its own.
    pub fn complain(&self, text: &str) {
        self.log.trouble(text);
    }

    /// The PHP object of a job; the same one for its handler and its listeners.
    fn job_object(&mut self, job: &Rc<HeldJob>) -> Zval {
        match &self.job {
            Some((known, object)) if Rc::ptr_eq(known, job) => object.shallow_clone(),
            _ => {
                let object = ZendClassObject::new(PhpJob::new(job.clone(), self.resolver.clone(), Some(self.cause.clone())));
                let object = objects::owned_object(ZendObject::from_class_object(object));
                self.job = Some((job.clone(), object.shallow_clone()));
                object
            }
        }
    }

    /// The same for the log, which leaves the cause to the listeners that come after it.
    fn exception_to_show(&mut self, why: &FailureCause) -> Zval {
        let exception = self.exception(why);
        if why.reason == Reason::Asked {
            self.cause.replace(Some(exception.shallow_clone()));
        }
        exception
    }

    /// The exception object that goes with a failure: the thrown one, or one that says what we saw.
    fn exception(&mut self, why: &FailureCause) -> Zval {
        if why.reason == Reason::Asked
            && let Some(cause) = self.cause.take()
        {
            return cause;
        }
        if let Some(thrown) = &self.thrown {
            return thrown.shallow_clone();
        }
        let class = match why.reason {
            Reason::MaxAttempts => Class::MaxAttemptsExceeded,
            Reason::Poison => Class::Poison,
            Reason::NoHandler => Class::HandlerNotFound,
            Reason::Timeout => Class::Timeout,
            Reason::Exception | Reason::Exited | Reason::Asked => Class::Broker,
        };
        let made = guarded(|| call::instantiate(exceptions::class(class), &mut [objects::text(why.text.as_bytes())]));
        let exception = made.unwrap_or_else(|_| Zval::null());
        self.thrown = Some(exception.shallow_clone());
        exception
    }

    /// Turns trouble in a listener or a signal handler into the end of the run.
    fn halt(&mut self, trouble: CallFailure) -> Halt {
        match trouble {
            CallFailure::Threw(exception) => {
                self.ending = Some(exception);
                Halt::Threw
            }
            CallFailure::Exited => Halt::Exited,
            CallFailure::Died => Halt::Died,
            CallFailure::Missing(what) => {
                self.complain(&what);
                Halt::Threw
            }
        }
    }

    /// Turns trouble in a handler into the end of a call, and keeps what it threw.
    fn end_of_call(&mut self, trouble: CallFailure) -> CallEnd {
        match trouble {
            // Our clock asked for this exit: the worker goes on.
            CallFailure::Exited if interrupter::asked() && call::cancel_exit() => CallEnd::TimedOut,
            CallFailure::Threw(exception) if exceptions::is(&exception, Class::Timeout) => {
                self.thrown = Some(exception);
                CallEnd::TimedOut
            }
            CallFailure::Threw(exception) => {
                let text = describe(&exception);
                self.thrown = Some(exception);
                match text {
                    Ok(text) => CallEnd::Threw(text),
                    Err(CallFailure::Exited) => CallEnd::Exited,
                    Err(CallFailure::Died) => CallEnd::Died(last_error()),
                    Err(CallFailure::Threw(_) | CallFailure::Missing(_)) => {
                        CallEnd::Threw("an exception that cannot be shown".to_owned())
                    }
                }
            }
            CallFailure::Exited => CallEnd::Exited,
            CallFailure::Died => CallEnd::Died(last_error()),
            CallFailure::Missing(what) => CallEnd::NoHandler(what),
        }
    }

    /// Lets the log speak; a logger is PHP code, and what it throws ends the run like what a listener throws.
    fn say(&mut self, event: Event<'_>) -> Result<(), Halt> {
        let log = self.log.clone();
        if log.skips(&event) {
            return Ok(());
        }
        let exception = match event {
            Event::Exception(_, why) | Event::Failed(_, why) if log.calls_php() => Some(self.exception_to_show(why)),
            _ => None,
        };
        guarded(|| log.tell(event, || exception)).map_err(|trouble| self.halt(trouble))
    }

    fn tell(&mut self, name: &'static str, arguments: impl FnOnce(&mut Self) -> Vec<Zval>) -> Result<(), Halt> {
        let Some(listeners) = self.listeners.and_then(|listeners| listeners.of(name)) else { return Ok(()) };
        let arguments = arguments(self);
        for listener in listeners {
            let told = guarded(|| {
                let mut arguments: Vec<Zval> = arguments.iter().map(Zval::shallow_clone).collect();
                call::callable(&listener, &mut arguments)
            });
            told.map_err(|trouble| self.halt(trouble))?;
        }
        Ok(())
    }
}

impl Host for PhpHost<'_> {
    fn prepare(&mut self, job: &InFlightJob) -> Result<HandlerLimits, CallEnd> {
        if let Some(known) = self.known.get(&job.payload.job) {
            return Ok(known.limits.clone());
        }
        let resolver = self.resolver.clone();
        let prepared = guarded(|| prepare(&resolver, job)).map_err(|trouble| self.end_of_call(trouble))?;
        let limits = prepared.limits.clone();
        if limits::class_in(job).is_none() {
            self.known.insert(job.payload.job.clone(), prepared);
        }
        Ok(limits)
    }

    fn call(&mut self, job: &Rc<HeldJob>) -> CallEnd {
        self.thrown = None;
        self.backoff = None;
        self.untidy = true;
        let object = self.job_object(job);
        let resolver = self.resolver.clone();
        let class = self.known.get(&job.payload().job).map(|known| known.class.clone());
        let level = output_level();
        let mut pause = None;
        let fired = guarded(|| {
            let class =
                class.as_deref().map_or_else(|| resolver.class(job.payload().target().0), |class| Ok(class.to_owned()))?;
            fire(&resolver, &class, job, &object, &mut pause)
        });
        self.backoff = pause;
        let ended = fired.unwrap_or_else(|trouble| self.end_of_call(trouble));
        if matches!(ended, CallEnd::Exited | CallEnd::Died(_)) {
            return ended;
        }
        if ended == CallEnd::TimedOut
            && let Some(surroundings) = &self.surroundings
        {
            surroundings.restore();
        }
        match close_output(level) {
            Ok(()) => ended,
            Err(trouble) => self.end_of_call(trouble),
        }
    }

    fn backoff(&mut self) -> Option<Backoff> {
        self.backoff.take()
    }

    fn failed(&mut self, job: &Rc<HeldJob>, why: &FailureCause) -> Result<CallEnd, Halt> {
        // Inside push only v1 and v2 tell the handler (`sync/sync-push-throws` of v2).
        let kept_quiet = self.inside_push && self.resolver.family != Family::Think1;
        if kept_quiet || matches!(why.reason, Reason::Poison | Reason::NoHandler) {
            return Ok(CallEnd::Returned);
        }
        let exception = self.exception(why);
        let resolver = self.resolver.clone();
        match guarded(|| tell_failed(&resolver, job, &exception)) {
            Ok(()) => Ok(CallEnd::Returned),
            Err(CallFailure::Threw(thrown)) => {
                let text = describe(&thrown).unwrap_or_default();
                self.complain(&format!("failed() of {} threw: {text}", job.payload().job));
                Ok(CallEnd::Threw(text))
            }
            // A handler whose class is gone has no failed() to be told.
            Err(CallFailure::Missing(_)) => Ok(CallEnd::Returned),
            Err(CallFailure::Exited) => Ok(CallEnd::Exited),
            Err(CallFailure::Died) => Ok(CallEnd::Died(last_error())),
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Halt> {
        self.say(event)?;
        match event {
            Event::Ready => self.tell("ready", |_| Vec::new()),
            Event::Looping => self.tell("looping", |_| Vec::new()),
            Event::Paused => self.tell("paused", |_| Vec::new()),
            Event::Resumed => self.tell("resumed", |_| Vec::new()),
            Event::Processing(job) => {
                self.thrown = None;
                self.cause.take();
                self.tell("processing", |host| vec![host.job_object(job)])
            }
            Event::TimedOut(job, timeout) => {
                self.tell("timeout", |host| vec![host.job_object(job), objects::float(timeout.as_secs_f64())])
            }
            Event::Processed(job) => self.tell("processed", |host| vec![host.job_object(job)]),
            Event::Exception(job, why) => self.tell("exception", |host| vec![host.job_object(job), host.exception(why)]),
            Event::Failed(job, why) => {
                if self.inside_push {
                    self.exception(why);
                }
                let told = self.tell("failed", |host| vec![host.job_object(job), host.exception(why)]);
                // Nobody may have asked for it.
                self.cause.take();
                told
            }
            Event::Released(job, delay) => self.tell("released", |host| vec![host.job_object(job), objects::number(delay)]),
            Event::Lost(job) => self.tell("lost", |host| vec![host.job_object(job)]),
            Event::SettleLost { id, queue } => {
                self.tell("settle_lost", |_| vec![objects::text(id.as_bytes()), objects::text(queue.as_bytes())])
            }
            Event::BrokerTrouble(_)
            | Event::BrokerBack
            | Event::BrokerGone(_)
            | Event::Unsettled(..)
            | Event::ControlTrouble(_)
            | Event::StatusTrouble(_)
            | Event::Status(_) => Ok(()),
            Event::Stopping(code) => self.tell("stopping", |_| vec![objects::number(i64::from(code))]),
        }
    }

    fn poll_signals(&mut self) -> Result<(), Halt> {
        // Calling any internal function also lets the engine serve its pending interrupts.
        let Some(dispatch) = self.dispatch else { return Ok(()) };
        match guarded(|| call::call_found(dispatch, &mut [])) {
            Ok(_) => Ok(()),
            Err(trouble) => Err(self.halt(trouble)),
        }
    }

    fn stopping(&self) -> bool {
        self.wishes.stops() || signals::asked() != StopRequest::No || self.wishes.is_orphan()
    }

    fn paused(&self) -> bool {
        self.wishes.pauses() || signals::paused()
    }

    fn idle(&mut self) -> Result<(), Halt> {
        if !std::mem::take(&mut self.untidy) {
            return Ok(());
        }
        // Cycles that handlers left behind; their destructors are PHP code.
        match guarded(|| call::function("gc_collect_cycles", &mut [])) {
            Ok(_) => Ok(()),
            Err(trouble) => Err(self.halt(trouble)),
        }
    }

    fn memory(&self) -> usize {
        // SAFETY: reads a counter of the allocator.
        let php = unsafe { zend_memory_usage(true) };
        php.max(self.resident.bytes())
    }
}

/// Finds the handler class of a job and reads what it says.
fn prepare(resolver: &Resolver, job: &InFlightJob) -> Called<Prepared> {
    let class = resolver.class(job.payload.target().0)?;
    let speaker = limits::class_in(job);
    let limits = limits::of_class(speaker.as_deref().unwrap_or(&class))?;
    Ok(Prepared { class: class.into(), limits })
}
