//! The worker's host: calls PHP handlers and PHP listeners.
//!
//! Everything that changes lies in cells, and none of them is borrowed while PHP code runs: a handler may call back into its worker.

mod fire;
mod limits;
mod listeners;
mod log;
mod process_state;
mod resident;
mod resolver;
mod stop_requests;
pub mod tasks;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use ext_php_rs::ffi::zend_function;
use ext_php_rs::types::{ZendClassObject, ZendObject, Zval};
use ferry_core::backoff::Backoff;
use ferry_core::failed::Reason;
use ferry_core::policy::HandlerLimits;
use ferry_worker::{CallEnd, Event, FailureCause, Halt, HeldJob, Host, InFlightJob, JobHost, StopRequest};

pub use fire::{describe, fire_for_caller, tell_failed};
pub use listeners::{Listeners, NAMES as EVENT_NAMES};
pub use log::{Log, LogLevel, Sink};
pub use resolver::Resolver;
pub use stop_requests::StopRequests;

use crate::classes::exceptions::{self, Class};
use crate::classes::job::{CauseSlot, PhpJob};
use crate::zend::call::{self, CallFailure, Called, guarded};
use crate::zend::engine::zend_memory_usage;
use crate::zend::interrupter::{self, PhpInterrupter};
use crate::zend::{objects, signals};
use fire::{fire, last_error};
use process_state::{ProcessState, close_output, output_level};
use resident::Resident;

/// PHP, as the worker sees it.
pub struct PhpHost<'a> {
    resolver: Rc<Resolver>,
    listeners: Option<&'a Listeners>,
    log: Rc<Log>,
    requests: Arc<StopRequests>,
    /// Inside push: `failed()` is not called, except in v1 and v2, and the exception goes to the caller.
    inside_push: bool,
    /// `pcntl_signal_dispatch`, when pcntl is loaded.
    dispatch: Option<*mut zend_function>,
    /// What the handler threw, until the next job.
    thrown: RefCell<Option<Zval>>,
    /// What the handler failed its job with, until the event has fired.
    cause: CauseSlot,
    /// What a listener or a signal handler threw: it ends the run and goes to its caller.
    ending: RefCell<Option<Zval>>,
    /// Trouble of a logger where nobody could be told: the run ends before the next job.
    late: Cell<Option<Halt>>,
    /// The way from the watchdog to this worker's jobs; none inside push.
    interrupter: Option<Arc<PhpInterrupter>>,
    /// The status that the process would end with when the job at hand began.
    exit_status: Cell<i32>,
    /// The PHP object of the job at hand.
    job: RefCell<Option<(Rc<HeldJob>, Zval)>>,
    /// The handler class and limits of job names seen so far.
    known: RefCell<HashMap<String, Prepared>>,
    /// What the handler's `backoff()` returned when it failed.
    backoff: Cell<Option<Backoff>>,
    /// Working directory and locale, to be put back after a job that was stopped.
    process_state: Option<ProcessState>,
    /// Whether a handler ran since cycles were last collected.
    has_garbage: Cell<bool>,
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
    pub fn new(
        resolver: Rc<Resolver>,
        listeners: &'a Listeners,
        log: Rc<Log>,
        requests: Arc<StopRequests>,
        interrupter: Arc<PhpInterrupter>,
    ) -> Self {
        Self {
            interrupter: Some(interrupter),
            listeners: Some(listeners),
            log,
            requests,
            inside_push: false,
            dispatch: call::find_function("pcntl_signal_dispatch"),
            process_state: Some(ProcessState::now()),
            ..Self::inside_push(resolver)
        }
    }

    /// The host of a job that runs inside push.
    pub fn inside_push(resolver: Rc<Resolver>) -> Self {
        Self {
            resolver,
            listeners: None,
            log: Rc::new(Log::silent()),
            requests: Arc::default(),
            inside_push: true,
            dispatch: None,
            thrown: RefCell::default(),
            cause: CauseSlot::default(),
            ending: RefCell::default(),
            late: Cell::default(),
            interrupter: None,
            exit_status: Cell::default(),
            job: RefCell::default(),
            known: RefCell::default(),
            backoff: Cell::default(),
            process_state: None,
            has_garbage: Cell::new(false),
            resident: Resident::default(),
        }
    }

    /// The exception that ended the run.
    pub fn take_ending(&self) -> Option<Zval> {
        self.ending.take()
    }

    /// What the last handler threw.
    pub fn take_thrown(&self) -> Option<Zval> {
        self.thrown.take()
    }

    /// What nobody could be told meanwhile: trouble of a logger, and a fatal error wherever it was caught.
    pub fn take_late(&self) -> Option<Halt> {
        if call::is_dead() { Some(Halt::Died) } else { self.late.take() }
    }

    /// Logs an error that has no event of its own. What a logger throws ends the run, before the next job.
    pub fn log_error(&self, text: &str) {
        if let Err(trouble) = self.log.clone().error(text) {
            self.late.set(Some(match trouble {
                CallFailure::Missing(_) => Halt::Threw,
                trouble => self.halt(trouble),
            }));
        }
    }

    /// The PHP object of a job; the same one for its handler and its listeners.
    fn job_object(&self, job: &Rc<HeldJob>) -> Zval {
        let known =
            self.job.borrow().as_ref().filter(|(known, _)| Rc::ptr_eq(known, job)).map(|(_, object)| object.shallow_clone());
        match known {
            Some(object) => object,
            None => {
                let object = ZendClassObject::new(PhpJob::new(job.clone(), self.resolver.clone(), Some(self.cause.clone())));
                let object = objects::owned_object(ZendObject::from_class_object(object));
                // What was there is dropped after the borrow: its destructor is PHP code.
                drop(self.job.replace(Some((job.clone(), object.shallow_clone()))));
                object
            }
        }
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

    /// Turns trouble in a listener or a signal handler into the end of the run.
    fn halt(&self, trouble: CallFailure) -> Halt {
        match trouble {
            CallFailure::Threw(exception) => {
                self.ending.replace(Some(exception));
                Halt::Threw
            }
            CallFailure::Exited => Halt::Exited,
            CallFailure::Died => Halt::Died,
            CallFailure::Missing(what) => {
                self.log_error(&what);
                Halt::Threw
            }
        }
    }

    /// Turns trouble in a handler into the end of a call, and keeps what it threw.
    fn end_of_call(&self, trouble: CallFailure) -> CallEnd {
        match trouble {
            // Our clock asked for this exit: the worker goes on.
            CallFailure::Exited if self.was_stopped() && call::cancel_exit(self.exit_status.get()) => CallEnd::TimedOut,
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

    /// Whether the watchdog made the job at hand leave.
    fn was_stopped(&self) -> bool {
        self.interrupter.as_ref().is_some_and(|interrupter| interrupter.has_raised())
    }

    /// How a call of the handler ended. A job that was stopped ran too long, whatever its `finally` blocks and destructors made of the stop:
    /// they may have thrown, which replaces it, or returned, which drops it.
    fn end_of_handler(&self, fired: Called<CallEnd>, job: &HeldJob) -> CallEnd {
        match fired {
            Ok(CallEnd::Returned) if self.was_stopped() && job.is_held() => CallEnd::TimedOut,
            Ok(end) => end,
            Err(CallFailure::Threw(exception)) if self.was_stopped() => match describe(&exception) {
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

    /// Logs an event; a logger is PHP code, and what it throws ends the run like what a listener throws.
    fn log_event(&self, event: Event<'_>) -> Result<(), Halt> {
        let log = self.log.clone();
        if log.skips(&event) {
            return Ok(());
        }
        let exception = match event {
            Event::Exception(_, cause) | Event::Failed(_, cause) if log.calls_php() => Some(self.exception_to_show(cause)),
            _ => None,
        };
        guarded(|| log.event(event, || exception)).map_err(|trouble| self.halt(trouble))
    }

    fn emit(&self, name: &'static str, arguments: impl FnOnce(&Self) -> Vec<Zval>) -> Result<(), Halt> {
        let Some(listeners) = self.listeners.and_then(|listeners| listeners.of(name)) else { return Ok(()) };
        let arguments = arguments(self);
        for listener in listeners {
            let called = guarded(|| {
                let mut arguments: Vec<Zval> = arguments.iter().map(Zval::shallow_clone).collect();
                call::callable(&listener, &mut arguments)
            });
            called.map_err(|trouble| self.halt(trouble))?;
        }
        Ok(())
    }
}

impl JobHost for PhpHost<'_> {
    fn prepare(&self, job: &InFlightJob) -> Result<HandlerLimits, CallEnd> {
        if let Some(known) = self.known.borrow().get(&job.payload.job) {
            return Ok(known.limits.clone());
        }
        let resolver = self.resolver.clone();
        let prepared = guarded(|| prepare(&resolver, job)).map_err(|trouble| self.end_of_call(trouble))?;
        let limits = prepared.limits.clone();
        if limits::class_in(job).is_none() {
            self.known.borrow_mut().insert(job.payload.job.clone(), prepared);
        }
        Ok(limits)
    }

    fn call(&self, job: &Rc<HeldJob>) -> CallEnd {
        self.keep_thrown(None);
        self.backoff.set(None);
        self.has_garbage.set(true);
        let object = self.job_object(job);
        let resolver = self.resolver.clone();
        let class = self.known.borrow().get(&job.payload().job).map(|known| known.class.clone());
        let level = output_level();
        self.exit_status.set(call::exit_status());
        let mut pause = None;
        let fired = guarded(|| {
            let class =
                class.as_deref().map_or_else(|| resolver.class(job.payload().target().0), |class| Ok(class.to_owned()))?;
            fire(&resolver, &class, job, &object, &mut pause)
        });
        self.backoff.set(pause);
        let ended = self.end_of_handler(fired, job);
        if matches!(ended, CallEnd::Exited | CallEnd::Unwinding | CallEnd::Died(_)) {
            return ended;
        }
        if ended == CallEnd::TimedOut
            && let Some(process_state) = &self.process_state
        {
            process_state.restore();
        }
        match close_output(level) {
            Ok(()) => ended,
            Err(trouble) => self.end_of_call(trouble),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        self.backoff.take()
    }

    fn failed(&self, job: &Rc<HeldJob>, cause: &FailureCause) -> Result<CallEnd, Halt> {
        let is_skipped = self.inside_push && !self.resolver.family.calls_failed_inside_push();
        if is_skipped || matches!(cause.reason, Reason::Poison | Reason::NoHandler) {
            return Ok(CallEnd::Returned);
        }
        let exception = self.exception(cause);
        let resolver = self.resolver.clone();
        match guarded(|| tell_failed(&resolver, job, &exception)) {
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
        self.log_event(event)?;
        match event {
            Event::Ready => self.emit("ready", |_| Vec::new()),
            Event::Looping => self.emit("looping", |_| Vec::new()),
            Event::Paused => self.emit("paused", |_| Vec::new()),
            Event::Resumed => self.emit("resumed", |_| Vec::new()),
            Event::Processing(job) => {
                self.keep_thrown(None);
                self.cause.take();
                self.emit("processing", |host| vec![host.job_object(job)])
            }
            Event::TimedOut(job, timeout) => {
                self.emit("timeout", |host| vec![host.job_object(job), objects::float(timeout.as_secs_f64())])
            }
            Event::Processed(job) => self.emit("processed", |host| vec![host.job_object(job)]),
            Event::Exception(job, cause) => self.emit("exception", |host| vec![host.job_object(job), host.exception(cause)]),
            Event::Failed(job, cause) => {
                if self.inside_push {
                    self.exception(cause);
                }
                let emitted = self.emit("failed", |host| vec![host.job_object(job), host.exception(cause)]);
                // Nobody may have asked for it.
                self.cause.take();
                emitted
            }
            Event::Released(job, delay) => self.emit("released", |host| vec![host.job_object(job), objects::number(delay)]),
            Event::Lost(job) => self.emit("lost", |host| vec![host.job_object(job)]),
            Event::SettleLost { id, queue } => {
                self.emit("settle_lost", |_| vec![objects::text(id.as_bytes()), objects::text(queue.as_bytes())])
            }
            Event::BrokerError(_)
            | Event::BrokerRecovered
            | Event::BrokerLost(_)
            | Event::Unsettled(..)
            | Event::ControlError(_)
            | Event::StatusError(_)
            | Event::ThreadPanicked(_)
            | Event::Notice(_)
            | Event::Status(_) => Ok(()),
            // A worker of jobs runs no tasks.
            Event::Task(_) => Ok(()),
            Event::Stopping(code) => self.emit("stopping", |_| vec![objects::number(i64::from(code))]),
        }
    }

    fn poll_signals(&self) -> Result<(), Halt> {
        if let Some(halt) = self.take_late() {
            return Err(halt);
        }
        // Calling any internal function also lets the engine serve its pending interrupts.
        let Some(dispatch) = self.dispatch else { return Ok(()) };
        match guarded(|| call::call_found(dispatch, &mut [])) {
            Ok(_) => Ok(()),
            Err(trouble) => Err(self.halt(trouble)),
        }
    }

    fn stopping(&self) -> bool {
        self.requests.stops() || signals::asked() != StopRequest::No || self.requests.is_orphan()
    }

    fn paused(&self) -> bool {
        self.requests.pauses() || signals::paused()
    }

    fn idle(&self) -> Result<(), Halt> {
        if !self.has_garbage.take() {
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

/// Finds the handler class of a job and reads its limits.
fn prepare(resolver: &Resolver, job: &InFlightJob) -> Called<Prepared> {
    let class = resolver.class(job.payload.target().0)?;
    let object_class = limits::class_in(job);
    let limits = limits::of_class(object_class.as_deref().unwrap_or(&class))?;
    Ok(Prepared { class: class.into(), limits })
}
