//! The worker's host: hands jobs to PHP handlers and tells PHP listeners.

mod console;
mod listeners;
mod resolver;

use std::cell::Cell;
use std::rc::Rc;

use ext_php_rs::ffi::{core_globals, zend_function};
use ext_php_rs::types::{ZendClassObject, ZendObject, ZendStr, Zval};
use ferry_core::failed::Reason;
use ferry_worker::{CallEnd, Event, Halt, HeldJob, Host, Why};

pub use console::Console;
pub use listeners::{Listeners, NAMES as EVENT_NAMES};
pub use resolver::Resolver;

use crate::classes::exceptions::{self, Class};
use crate::classes::job::Job;
use crate::zend::call::{self, Called, Trouble, guarded};
use crate::zend::engine::{php_output_end, php_output_get_level, zend_memory_usage};
use crate::zend::json::{self, JsonError};
use crate::zend::{objects, signals};

/// PHP, as the worker sees it.
pub struct PhpHost<'a> {
    resolver: Rc<Resolver>,
    listeners: Option<&'a Listeners>,
    console: Console,
    stop: &'a Cell<bool>,
    /// Inside push: `failed()` is not called (think-queue v3) and the exception goes to the caller.
    inside_push: bool,
    /// `pcntl_signal_dispatch`, when pcntl is loaded.
    dispatch: Option<*mut zend_function>,
    /// What the handler threw, until the next job.
    thrown: Option<Zval>,
    /// What a listener or a signal handler threw: it ends the run and goes to its caller.
    ending: Option<Zval>,
    /// The PHP object of the job at hand.
    job: Option<(Rc<HeldJob>, Zval)>,
}

impl<'a> PhpHost<'a> {
    /// The host of a worker.
    pub fn new(resolver: Rc<Resolver>, listeners: &'a Listeners, console: Console, stop: &'a Cell<bool>) -> Self {
        let dispatch = call::find_function("pcntl_signal_dispatch");
        Self {
            resolver,
            listeners: Some(listeners),
            console,
            stop,
            inside_push: false,
            dispatch,
            thrown: None,
            ending: None,
            job: None,
        }
    }

    /// The host of a job that runs inside push.
    pub fn inside_push(resolver: Rc<Resolver>, stop: &'a Cell<bool>) -> Self {
        let console = Console::silent();
        Self {
            resolver,
            listeners: None,
            console,
            stop,
            inside_push: true,
            dispatch: None,
            thrown: None,
            ending: None,
            job: None,
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
        self.console.trouble(text);
    }

    /// The PHP object of a job; the same one for its handler and its listeners.
    fn job_object(&mut self, job: &Rc<HeldJob>) -> Zval {
        match &self.job {
            Some((known, object)) if Rc::ptr_eq(known, job) => object.shallow_clone(),
            _ => {
                let object = ZendClassObject::new(Job::new(job.clone(), self.resolver.clone()));
                let object = objects::owned_object(ZendObject::from_class_object(object));
                self.job = Some((job.clone(), object.shallow_clone()));
                object
            }
        }
    }

    /// The exception object that goes with a failure: the thrown one, or one that says what we saw.
    fn exception(&mut self, why: &Why) -> Zval {
        if let Some(thrown) = &self.thrown {
            return thrown.shallow_clone();
        }
        let class = match why.reason {
            Reason::MaxAttempts => Class::MaxAttemptsExceeded,
            Reason::Poison => Class::Poison,
            Reason::NoHandler => Class::HandlerNotFound,
            Reason::Exception | Reason::Exited | Reason::Asked => Class::Broker,
        };
        let made = guarded(|| call::instantiate(exceptions::class(class), &mut [objects::text(why.text.as_bytes())]));
        let exception = made.unwrap_or_else(|_| Zval::null());
        self.thrown = Some(exception.shallow_clone());
        exception
    }

    /// Turns trouble in a listener or a signal handler into the end of the run.
    fn halt(&mut self, trouble: Trouble) -> Halt {
        match trouble {
            Trouble::Threw(exception) => {
                self.ending = Some(exception);
                Halt::Threw
            }
            Trouble::Exited => Halt::Exited,
            Trouble::Died => Halt::Died,
            Trouble::Missing(what) => {
                self.complain(&what);
                Halt::Threw
            }
        }
    }

    /// Turns trouble in a handler into the end of a call, and keeps what it threw.
    fn end_of_call(&mut self, trouble: Trouble) -> CallEnd {
        match trouble {
            Trouble::Threw(exception) => {
                let text = describe(&exception);
                self.thrown = Some(exception);
                match text {
                    Ok(text) => CallEnd::Threw(text),
                    Err(Trouble::Exited) => CallEnd::Exited,
                    Err(Trouble::Died) => CallEnd::Died(last_error()),
                    Err(Trouble::Threw(_) | Trouble::Missing(_)) => {
                        CallEnd::Threw("an exception that cannot be shown".to_owned())
                    }
                }
            }
            Trouble::Exited => CallEnd::Exited,
            Trouble::Died => CallEnd::Died(last_error()),
            Trouble::Missing(what) => CallEnd::NoHandler(what),
        }
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
    fn call(&mut self, job: &Rc<HeldJob>) -> CallEnd {
        self.thrown = None;
        let object = self.job_object(job);
        let resolver = self.resolver.clone();
        let level = output_level();
        let ended = guarded(|| Ok(fire(&resolver, job, &object)));
        let ended = match ended {
            Ok(Ok(end)) => end,
            Ok(Err(trouble)) | Err(trouble) => self.end_of_call(trouble),
        };
        if matches!(ended, CallEnd::Exited | CallEnd::Died(_)) {
            return ended;
        }
        match close_output(level) {
            Ok(()) => ended,
            Err(trouble) => self.end_of_call(trouble),
        }
    }

    fn failed(&mut self, job: &Rc<HeldJob>, why: &Why) -> Result<CallEnd, Halt> {
        if self.inside_push || matches!(why.reason, Reason::Poison | Reason::NoHandler) {
            return Ok(CallEnd::Returned);
        }
        let exception = self.exception(why);
        let resolver = self.resolver.clone();
        match guarded(|| tell_failed(&resolver, job, &exception)) {
            Ok(()) => Ok(CallEnd::Returned),
            Err(Trouble::Threw(thrown)) => {
                let text = describe(&thrown).unwrap_or_default();
                self.complain(&format!("failed() of {} threw: {text}", job.payload().job));
                Ok(CallEnd::Threw(text))
            }
            // A handler whose class is gone has no failed() to be told.
            Err(Trouble::Missing(_)) => Ok(CallEnd::Returned),
            Err(Trouble::Exited) => Ok(CallEnd::Exited),
            Err(Trouble::Died) => Ok(CallEnd::Died(last_error())),
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Halt> {
        self.console.show(event);
        match event {
            Event::Looping => self.tell("looping", |_| Vec::new()),
            Event::Processing(job) => {
                self.thrown = None;
                self.tell("processing", |host| vec![host.job_object(job)])
            }
            Event::Processed(job) => self.tell("processed", |host| vec![host.job_object(job)]),
            Event::Exception(job, why) => self.tell("exception", |host| vec![host.job_object(job), host.exception(why)]),
            Event::Failed(job, why) => {
                if self.inside_push {
                    self.exception(why);
                }
                self.tell("failed", |host| vec![host.job_object(job), host.exception(why)])
            }
            Event::Released(job, delay) => self.tell("released", |host| vec![host.job_object(job), objects::number(delay)]),
            Event::Lost(job) => self.tell("lost", |host| vec![host.job_object(job)]),
            Event::SettleLost { id, queue } => {
                self.tell("settle_lost", |_| vec![objects::text(id.as_bytes()), objects::text(queue.as_bytes())])
            }
            Event::BrokerTrouble(_) | Event::BrokerBack => Ok(()),
            Event::Stopping(code) => self.tell("stopping", |_| vec![objects::number(i64::from(code))]),
        }
    }

    fn breathe(&mut self) -> Result<(), Halt> {
        // Calling any internal function also lets the engine serve its pending interrupts.
        let Some(dispatch) = self.dispatch else { return Ok(()) };
        match guarded(|| call::call_found(dispatch, &mut [])) {
            Ok(_) => Ok(()),
            Err(trouble) => Err(self.halt(trouble)),
        }
    }

    fn stopping(&self) -> bool {
        self.stop.get() || signals::caught()
    }

    fn memory(&self) -> usize {
        // SAFETY: reads a counter of the allocator.
        unsafe { zend_memory_usage(true) }
    }
}

/// Makes the handler and calls it.
fn fire(resolver: &Resolver, job: &HeldJob, object: &Zval) -> Called<CallEnd> {
    let (class, method) = job.payload().target();
    let class = resolver.class(class)?;
    let data = match decoded(job.data()) {
        Ok(data) => data,
        Err(why) => return Ok(CallEnd::BadData(why)),
    };
    let mut handler = resolver.handler(&class, &data)?;
    let argument = resolver.argument(object)?;
    let Some(handler) = handler.object_mut() else {
        return Err(Trouble::Missing(format!("the handler of {class} is not an object")));
    };
    call::method(handler, method, &mut [argument, data])?;
    Ok(CallEnd::Returned)
}

/// Runs a job's handler for `Job::fire()`, where exceptions are the caller's.
pub fn fire_for_caller(resolver: &Resolver, job: &HeldJob, object: &Zval) -> Called<CallEnd> {
    fire(resolver, job, object)
}

/// Calls the handler's `failed($data, $exception)`, when it has one.
pub fn tell_failed(resolver: &Resolver, job: &HeldJob, exception: &Zval) -> Called<()> {
    let (class, _) = job.payload().target();
    let class = resolver.class(class)?;
    let data = decoded(job.data()).unwrap_or_else(|_| Zval::null());
    let mut handler = resolver.handler(&class, &data)?;
    if let Some(handler) = handler.object_mut().filter(|handler| objects::has_method(handler, "failed")) {
        call::method(handler, "failed", &mut [data, exception.shallow_clone()])?;
    }
    Ok(())
}

/// The data of a job as PHP sees it.
pub fn decoded(data: Option<&[u8]>) -> Result<Zval, String> {
    let Some(data) = data else { return Ok(Zval::null()) };
    let mut text = Vec::with_capacity(data.len() + 1);
    text.extend_from_slice(data);
    text.push(0);
    json::decode(&text).map_err(|error| match error {
        JsonError::Said(why) => format!("the payload's data cannot be decoded: {why}"),
        JsonError::Threw => "the payload's data cannot be decoded".to_owned(),
    })
}

/// What PHP prints of an exception: class, message, place and trace.
fn describe(exception: &Zval) -> Result<String, Trouble> {
    guarded(|| match objects::to_bytes(exception) {
        Some(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        None => Err(Trouble::Missing("an exception that cannot be shown".to_owned())),
    })
}

/// The message of the fatal error that ended PHP.
fn last_error() -> String {
    // SAFETY: on PHP's thread; the message is null or a live string.
    unsafe { core_globals.last_error_message.cast::<ZendStr>().as_ref() }
        .map_or_else(|| "a fatal error".to_owned(), |text| String::from_utf8_lossy(text.as_bytes()).into_owned())
}

fn output_level() -> i32 {
    // SAFETY: reads a counter.
    unsafe { php_output_get_level() }
}

/// Closes the output buffers that a handler left open; what they hold is shown.
fn close_output(level: i32) -> Called<()> {
    if output_level() <= level {
        return Ok(());
    }
    guarded(|| {
        // SAFETY: ends the innermost buffer; its user callback may run PHP, which the guard catches.
        while output_level() > level && unsafe { php_output_end() } == 0 {}
        Ok(())
    })
}
