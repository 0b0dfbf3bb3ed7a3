//! `Ferry\Worker`: reserves jobs and runs their handlers, in a `php worker.php` daemon.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use ext_php_rs::exception::PhpResult;
use ext_php_rs::ffi::executor_globals;
use ext_php_rs::prelude::*;
use ext_php_rs::types::Zval;
use ferry_client::process;
use ferry_core::config::{SettleMode, nearest};
use ferry_core::{Error, ErrorKind, QueueName};
use ferry_worker::{Halt, Options, RunEnd, StopRequest, Worker, exit};

use crate::convert::arguments::{Maybe, Mixed, Text};
use crate::convert::errors::{exception, invalid, pending};
use crate::convert::worker::{self, WorkerOptions};
use crate::handler::{EVENT_NAMES, Listeners, Log, PhpHost, Resolver, StopRequests};
use crate::zend::call::{self, CallFailure};
use crate::zend::dates;
use crate::zend::gc::HoldsValues;
use crate::zend::interrupter::{Hung, PhpInterrupter};
use crate::zend::objects;
use crate::zend::signals::{self, SignalWatch};

/// A worker on one connection.
#[php_class]
#[php(name = "Ferry\\Worker")]
pub struct PhpWorker {
    setup: WorkerOptions,
    resolver: Rc<Resolver>,
    log: Rc<Log>,
    listeners: Listeners,
    wishes: Arc<StopRequests>,
    running: Cell<bool>,
}

impl HoldsValues for PhpWorker {
    fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        self.listeners.each_value(visit);
        // While it runs it shares them, and is in use anyhow.
        if Rc::strong_count(&self.resolver) == 1 {
            self.resolver.each_value(visit);
        }
        if Rc::strong_count(&self.log) == 1 {
            self.log.each_value(visit);
        }
    }
}

#[php_impl]
impl PhpWorker {
    /// Asked to stop, or a limit of jobs or time was reached.
    pub const EXIT_STOPPED: i64 = exit::STOPPED as i64;
    /// Could not start.
    pub const EXIT_NOT_STARTED: i64 = exit::NOT_STARTED as i64;
    /// The memory limit was reached.
    pub const EXIT_MEMORY: i64 = exit::MEMORY as i64;
    /// A handler ended the process.
    pub const EXIT_HANDLER: i64 = exit::HANDLER_EXITED as i64;
    /// A job did not end when its time was over.
    pub const EXIT_TIMEOUT: i64 = exit::TIMED_OUT as i64;
    /// The broker was unreachable for too long.
    pub const EXIT_UNREACHABLE: i64 = exit::UNREACHABLE as i64;
    /// A thread of the worker panicked.
    pub const EXIT_PANIC: i64 = exit::PANICKED as i64;
    /// The broker answered for the first time.
    pub const EVENT_READY: &'static str = "ready";
    /// Before a job is reserved.
    pub const EVENT_LOOPING: &'static str = "looping";
    /// A job starts.
    pub const EVENT_PROCESSING: &'static str = "processing";
    /// Its handler returned.
    pub const EVENT_PROCESSED: &'static str = "processed";
    /// Its handler threw.
    pub const EVENT_EXCEPTION: &'static str = "exception";
    /// It moved to the failed store.
    pub const EVENT_FAILED: &'static str = "failed";
    /// It was released.
    pub const EVENT_RELEASED: &'static str = "released";
    /// Its lease expired.
    pub const EVENT_LOST: &'static str = "lost";
    /// A deletion came too late.
    pub const EVENT_SETTLE_LOST: &'static str = "settle_lost";
    /// It exceeded its timeout.
    pub const EVENT_TIMEOUT: &'static str = "timeout";
    /// The worker paused.
    pub const EVENT_PAUSED: &'static str = "paused";
    /// It resumed.
    pub const EVENT_RESUMED: &'static str = "resumed";
    /// It is about to exit.
    pub const EVENT_STOPPING: &'static str = "stopping";

    /// Checks the options. No I/O yet.
    pub fn __construct(options: Maybe<'_>) -> PhpResult<Self> {
        objects::construct(|| Ok(Self::of(worker::options(options.0)?, &EVENT_NAMES)))
    }

    /// Works until somebody asks it to stop, or a limit is reached. Answers the exit code.
    pub fn run(&self) -> PhpResult<i64> {
        self.wishes.stop(false);
        self.introduce()?;
        let born = process::generation();
        let ended = self.guard(SignalWatch::start(), |host, interrupter| {
            let mut worker = self.worker(self.setup.options.clone(), interrupter)?;
            let end = worker.run(host);
            if process::generation() != born {
                // What the worker holds belongs to the parent; dropping it could talk on the parent's sockets.
                std::mem::forget(worker);
            }
            if let RunEnd::NotStarted(error) = &end {
                host.log_error(&format!("could not start: {error}"));
            }
            Ok(end)
        })?;
        match ended {
            RunEnd::Code(code) => Ok(code.into()),
            RunEnd::NotStarted(_) => Ok(exit::NOT_STARTED.into()),
            RunEnd::Halted(halt) => self.leave(halt).map(|()| exit::STOPPED.into()),
        }
    }

    /// Works one job, when one is ready. Answers whether there was one. After a signal to leave, or `stop()`, it takes none: the answer
    /// is no, so that a loop ends.
    pub fn process(&self) -> PhpResult<bool> {
        let born = process::generation();
        let ended = self.guard(SignalWatch::start_for_one(), |host, interrupter| {
            if signals::asked() != StopRequest::No || self.wishes.take_stop() {
                return Ok(Ok(false));
            }
            let options = Options { settle: SettleMode::Immediate, ..self.setup.options.clone() };
            let mut worker = self.worker(options, interrupter)?;
            match worker.work_one(host) {
                Ok(found) => Ok(Ok(found)),
                Err(RunEnd::NotStarted(error)) => Err(error),
                Err(RunEnd::Code(_)) => Ok(Ok(false)),
                Err(RunEnd::Halted(halt)) => {
                    if process::generation() != born {
                        std::mem::forget(worker);
                    }
                    Ok(Err(halt))
                }
            }
        })?;
        match ended {
            Ok(found) => Ok(found),
            Err(halt) => self.leave(halt).map(|()| true),
        }
    }

    /// Asks the worker to stop after the current job. Takes any arguments, so that `$worker->stop(...)` is a signal handler.
    pub fn stop(&self, ignored: &[&Zval]) {
        let _ = ignored;
        self.wishes.stop(true);
    }

    /// Asks the worker to finish the current job and wait. Takes any arguments, like `stop()`.
    pub fn pause(&self, ignored: &[&Zval]) {
        let _ = ignored;
        self.wishes.pause(true);
    }

    /// Lets it go on. Takes any arguments, like `stop()`.
    pub fn resume(&self, ignored: &[&Zval]) {
        let _ = ignored;
        self.wishes.pause(false);
    }

    /// Whether it was asked to pause, by `pause()` or by a signal.
    pub fn is_paused(&self) -> bool {
        self.wishes.pauses() || signals::paused()
    }

    /// Whether `run()` is at work.
    pub fn is_running(&self) -> bool {
        self.running.get()
    }

    /// Adds a listener.
    pub fn on(&self, event: Text, listener: Mixed<'_>) -> PhpResult<()> {
        let name = String::from_utf8_lossy(&event.0);
        if !listener.0.is_callable() {
            return Err(invalid(format!("the listener for `{name}` is not callable")));
        }
        if self.listeners.add(&name, listener.0.shallow_clone()) {
            return Ok(());
        }
        let near = nearest(&name, EVENT_NAMES.into_iter()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Err(invalid(format!("there is no worker event `{name}`{near}")))
    }
}

/// Says that the worker runs, until dropped; a panic does not leave it running for ever.
struct RunningGuard<'a>(&'a Cell<bool>);

impl<'a> RunningGuard<'a> {
    fn begin(running: &'a Cell<bool>) -> PhpResult<Self> {
        if running.replace(true) {
            return Err(exception(&Error::new(ErrorKind::InvalidArgument, "this worker is running already")));
        }
        Ok(Self(running))
    }
}

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl PhpWorker {
    /// A worker with checked options, and the events that it fires.
    pub fn of(mut setup: WorkerOptions, events: &'static [&'static str]) -> Self {
        let resolver = Rc::new(std::mem::take(&mut setup.resolver));
        let log = Rc::new(std::mem::replace(&mut setup.log, Log::silent()));
        let wishes = Arc::new(StopRequests::default());
        wishes.work_for(setup.parent);
        Self { setup, resolver, log, listeners: Listeners::new(events), wishes, running: Cell::new(false) }
    }

    /// Attempts that ended well.
    pub fn processed(&self) -> u64 {
        self.listeners.processed.get()
    }

    /// Its queues.
    pub fn queues(&self) -> &[QueueName] {
        &self.setup.options.queues
    }

    /// Adds a listener to an event that it is known to fire.
    pub fn listen(&self, event: &str, listener: Zval) {
        self.listeners.add(event, listener);
    }

    fn worker(&self, options: Options, interrupter: Arc<PhpInterrupter>) -> Result<Worker, Error> {
        let client = self.setup.handle.get()?;
        let broker = client.broker_for_worker()?.clone();
        let fleet = self.setup.control.broker(&client)?;
        let config = client.config();
        let statuses = config.track.then(|| self.setup.control.status_broker(&client)).transpose()?;
        let worker = Worker::new(broker, options, process::generation).with_interrupter(interrupter).with_control(fleet);
        Ok(worker.with_status_store(statuses, config.status_ttl))
    }

    /// Runs `work` with a host; once at a time, with our signal handlers in place.
    fn guard<T>(
        &self,
        signals: SignalWatch,
        work: impl FnOnce(&PhpHost<'_>, Arc<PhpInterrupter>) -> Result<T, Error>,
    ) -> PhpResult<T> {
        let running = RunningGuard::begin(&self.running)?;
        // Jobs that were pushed before go first; those that handlers push are stored before their own job is settled.
        let unbuffered = process::begin_worker().map_err(|error| exception(&error))?;
        dates::share_timezone();
        let hung = Hung::new(self.wishes.clone());
        let (resolver, log) = (self.resolver.clone(), self.log.clone());
        let host = PhpHost::new(resolver, &self.listeners, log, self.wishes.clone(), hung.interrupter());
        let result = match know_job_name() {
            Ok(()) => Ok(work(&host, hung.interrupter())),
            Err(halt) => Err(halt),
        };
        let late = host.take_late();
        let ending = host.take_ending();
        drop(host);
        drop(hung);
        drop(signals);
        drop(unbuffered);
        drop(running);
        if call::is_dead() {
            self.leave(Halt::Died)?;
        }
        if let Some(exception) = ending {
            call::rethrow(CallFailure::Threw(exception));
            return Err(pending());
        }
        if let Some(halt) = late {
            self.leave(halt)?;
        }
        match result {
            Ok(result) => result.map_err(|error| exception(&error)),
            Err(halt) => Err(self.leave(halt).err().unwrap_or_else(pending)),
        }
    }

    /// Says what it was asked to do, where it says how it goes.
    fn introduce(&self) -> PhpResult<()> {
        if self.setup.options.status.is_none() {
            return Ok(());
        }
        let any_class = self.resolver.makes_any_class();
        call::guarded(|| self.log.begin(&self.setup.options, self.setup.handle.config(), any_class)).map_err(|trouble| {
            call::rethrow(trouble);
            pending()
        })
    }

    /// Leaves PHP the way it wants to be left.
    fn leave(&self, halt: Halt) -> PhpResult<()> {
        if matches!(halt, Halt::Exited | Halt::Died) {
            // SAFETY: a plain store on PHP's thread; the process is about to end with this status.
            unsafe { executor_globals.exit_status = exit::HANDLER_EXITED.into() };
        }
        match halt {
            Halt::Died => call::die(),
            // An exception is pending: the one that ends the process, or one that was thrown again.
            Halt::Exited | Halt::Threw => Err(pending()),
            Halt::Forked => Ok(()),
        }
    }
}

/// Handlers typed `think\queue\Job` are checked without autoloading: makes the name known, Composer's or ours. An autoloader that throws
/// does not know it; one that ends the process does so.
fn know_job_name() -> Result<(), Halt> {
    match call::guarded(|| call::class("think\\queue\\Job")) {
        Err(CallFailure::Exited) => Err(Halt::Exited),
        Err(CallFailure::Died) => Err(Halt::Died),
        Ok(_) | Err(CallFailure::Threw(_) | CallFailure::Missing(_)) => Ok(()),
    }
}
