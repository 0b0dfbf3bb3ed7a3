//! What workers and consumers alike need from PHP: events, signals, memory, and the end of a run.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use ext_php_rs::ffi::zend_function;
use ext_php_rs::types::Zval;
use ferry_worker::{Event, Halt, StopRequest};

use super::listeners::Listeners;
use super::log::Log;
use super::process_state::ProcessState;
use super::resident::Resident;
use super::stop_requests::StopRequests;
use crate::zend::call::{self, CallFailure, Called, guarded};
use crate::zend::engine::zend_memory_usage;
use crate::zend::interrupter::PhpInterrupter;
use crate::zend::{objects, signals};

/// PHP, as the loop of a worker sees it.
pub struct PhpLoop<'a> {
    /// Where events are logged.
    pub log: Rc<Log>,
    listeners: Option<&'a Listeners>,
    requests: Arc<StopRequests>,
    /// `pcntl_signal_dispatch`, when pcntl is loaded.
    dispatch: Option<*mut zend_function>,
    /// What a listener or a signal handler threw: it ends the run and goes to its caller.
    ending: RefCell<Option<Zval>>,
    /// What a logger threw where nobody could be told: the run ends before the next unit of work.
    late: Cell<Option<Halt>>,
    /// How the watchdog reaches what runs here; none inside push.
    interrupter: Option<Arc<PhpInterrupter>>,
    /// The status that the process would end with when the handler at hand was called.
    exit_status: Cell<i32>,
    /// Working directory and locale, to be restored after a handler that was stopped.
    process_state: Option<ProcessState>,
    /// Whether a handler ran since cycles were last collected.
    has_garbage: Cell<bool>,
    /// What the process uses beside PHP's allocator.
    resident: Resident,
}

impl<'a> PhpLoop<'a> {
    /// Of a worker or a consumer.
    pub fn new(listeners: &'a Listeners, log: Rc<Log>, requests: Arc<StopRequests>, interrupter: Arc<PhpInterrupter>) -> Self {
        Self {
            interrupter: Some(interrupter),
            log,
            listeners: Some(listeners),
            requests,
            dispatch: call::find_function("pcntl_signal_dispatch"),
            process_state: Some(ProcessState::now()),
            ..Self::inside_push()
        }
    }

    /// Of a job that runs inside push: nobody listens.
    pub fn inside_push() -> Self {
        Self {
            log: Rc::new(Log::silent()),
            listeners: None,
            requests: Arc::default(),
            dispatch: None,
            ending: RefCell::default(),
            late: Cell::default(),
            interrupter: None,
            exit_status: Cell::default(),
            process_state: None,
            has_garbage: Cell::new(false),
            resident: Resident::default(),
        }
    }

    /// Takes the exception that ended the run.
    pub fn take_ending(&self) -> Option<Zval> {
        self.ending.take()
    }

    /// A handler is about to run.
    pub fn handler_runs(&self) {
        self.has_garbage.set(true);
        self.exit_status.set(call::exit_status());
    }

    /// Whether the watchdog made the handler at hand leave.
    pub fn was_stopped(&self) -> bool {
        self.interrupter.as_ref().is_some_and(|interrupter| interrupter.has_raised())
    }

    /// Clears the exit that the watchdog raised, so that the worker continues. False when there is none of its own.
    pub fn cancel_exit(&self) -> bool {
        self.was_stopped() && call::cancel_exit(self.exit_status.get())
    }

    /// What nobody could be told meanwhile: what a logger threw, and a fatal error wherever it was caught.
    pub fn take_late(&self) -> Option<Halt> {
        if call::is_dead() { Some(Halt::Died) } else { self.late.take() }
    }

    /// Logs an error that has no event of its own. What a logger throws ends the run, before the next unit of work.
    pub fn log_error(&self, text: &str) {
        if let Err(trouble) = self.log.error(text) {
            self.late.set(Some(match trouble {
                CallFailure::Missing(_) => Halt::Threw,
                trouble => self.halt(trouble),
            }));
        }
    }

    /// A handler was stopped half-way: restores what it may have changed.
    pub fn restore_process_state(&self) {
        if let Some(process_state) = &self.process_state {
            process_state.restore();
        }
    }

    /// Turns trouble in a listener or a signal handler into the end of the run.
    pub fn halt(&self, trouble: CallFailure) -> Halt {
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

    /// Logs an event; a logger is PHP code, and what it throws ends the run like what a listener throws.
    pub fn log_event(&self, event: Event<'_>, exception: impl FnOnce() -> Option<Zval>) -> Result<(), Halt> {
        if self.log.skips(&event) {
            return Ok(());
        }
        let exception = if self.log.calls_php() { exception() } else { None };
        guarded(|| self.log.event(event, || exception)).map_err(|trouble| self.halt(trouble))
    }

    /// Whether somebody listens to an event.
    pub fn has_listener(&self, name: &str) -> bool {
        self.listeners.is_some_and(|listeners| listeners.of(name).is_some())
    }

    /// Counts an attempt that ended well.
    pub fn count_processed(&self) {
        if let Some(listeners) = self.listeners {
            listeners.processed.set(listeners.processed.get() + 1);
        }
    }

    /// Calls the listeners of an event.
    pub fn emit(&self, name: &'static str, arguments: impl FnOnce() -> Vec<Zval>) -> Result<(), Halt> {
        self.emit_made(name, || Ok(arguments()))
    }

    /// The same with arguments that PHP code makes, if anybody listens.
    pub fn emit_made(&self, name: &'static str, arguments: impl FnOnce() -> Called<Vec<Zval>>) -> Result<(), Halt> {
        let Some(listeners) = self.listeners.and_then(|listeners| listeners.of(name)) else { return Ok(()) };
        let arguments = arguments().map_err(|trouble| self.halt(trouble))?;
        for listener in listeners {
            let called = guarded(|| {
                let mut arguments: Vec<Zval> = arguments.iter().map(Zval::shallow_clone).collect();
                call::callable(&listener, &mut arguments)
            });
            called.map_err(|trouble| self.halt(trouble))?;
        }
        Ok(())
    }

    /// Calls the listeners of the loop's own events.
    pub fn emit_loop_event(&self, event: Event<'_>) -> Result<(), Halt> {
        match event {
            Event::Ready => self.emit("ready", Vec::new),
            Event::Looping => self.emit("looping", Vec::new),
            Event::Paused => self.emit("paused", Vec::new),
            Event::Resumed => self.emit("resumed", Vec::new),
            Event::Stopping(code) => self.emit("stopping", || vec![objects::number(i64::from(code))]),
            Event::SettleLost { id, queue } => {
                self.emit("settle_lost", || vec![objects::text(id.as_bytes()), objects::text(queue.as_bytes())])
            }
            Event::BrokerError(_)
            | Event::BrokerRecovered
            | Event::BrokerLost(_)
            | Event::ControlError(_)
            | Event::StatusError(_)
            | Event::ThreadPanicked(_)
            | Event::Notice(_)
            | Event::Status(_)
            | Event::Task(_)
            | Event::Processing(_)
            | Event::Processed(_)
            | Event::Exception(..)
            | Event::TimedOut(..)
            | Event::Failed(..)
            | Event::Released(..)
            | Event::NotSettled(_)
            | Event::Lost(_)
            | Event::Unsettled(..) => Ok(()),
        }
    }

    /// Lets PHP serve its signals.
    pub fn poll_signals(&self) -> Result<(), Halt> {
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

    /// Whether somebody asked it to stop.
    pub fn stopping(&self) -> bool {
        self.requests.stops() || signals::asked() != StopRequest::No || self.requests.is_orphan()
    }

    /// Whether somebody asked it to pause.
    pub fn paused(&self) -> bool {
        self.requests.pauses() || signals::paused()
    }

    /// Collects the cycles that handlers left behind.
    pub fn idle(&self) -> Result<(), Halt> {
        if !self.has_garbage.take() {
            return Ok(());
        }
        // Their destructors are PHP code.
        match guarded(|| call::function("gc_collect_cycles", &mut [])) {
            Ok(_) => Ok(()),
            Err(trouble) => Err(self.halt(trouble)),
        }
    }

    /// Bytes in use.
    pub fn memory(&self) -> usize {
        // SAFETY: reads a counter of the allocator.
        let php = unsafe { zend_memory_usage(true) };
        php.max(self.resident.bytes())
    }
}
