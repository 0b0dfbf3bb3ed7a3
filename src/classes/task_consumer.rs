//! `Ferry\Task\TaskConsumer`: takes tasks and runs their handlers.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use ext_php_rs::exception::PhpResult;
use ext_php_rs::ffi::executor_globals;
use ext_php_rs::prelude::*;
use ext_php_rs::types::Zval;
use ferry_client::{Handle, process, tasks};
use ferry_core::config::nearest;
use ferry_core::queue::QueueName;
use ferry_core::task::LEVELS;
use ferry_core::{Error, ErrorKind};
use ferry_worker::{Consumer, Halt, Options, RunEnd, exit};

use crate::classes::task_registry::TaskHandlerRegistry;
use crate::convert::arguments::{Maybe, MaybeList, Mixed, Text, textual};
use crate::convert::control::Control;
use crate::convert::errors::{exception, invalid, pending};
use crate::convert::task::connection;
use crate::convert::worker::Given;
use crate::handler::tasks::{EVENTS, PhpTaskHost, TaskHandlers};
use crate::handler::{Listeners, Log, StopRequests};
use crate::zend::call::{self, CallFailure};
use crate::zend::gc::HoldsValues;
use crate::zend::interrupter::{Hung, PhpInterrupter};
use crate::zend::objects;
use crate::zend::signals::SignalWatch;

/// The names of all options, as `docs/tasks.md` lists them.
const OPTIONS: [&str; 17] = [
    "decode",
    "prefetch_count",
    "queues",
    "max_tasks",
    "max_time",
    "memory",
    "stop_when_empty",
    "timeout",
    "warn_before",
    "grace",
    "stop_timeout",
    "max_outage",
    "health_file",
    "log",
    "log_level",
    "status",
    "parent",
];

/// Takes tasks of one connection.
#[php_class]
#[php(name = "Ferry\\Task\\TaskConsumer")]
pub struct TaskConsumer {
    handle: Rc<Handle>,
    registry: Zval,
    /// Says what task a message of another program stands for.
    decoder: Option<Zval>,
    prefetch: u16,
    options: Options,
    control: Control,
    log: Rc<Log>,
    listeners: Listeners,
    requests: Arc<StopRequests>,
    running: Cell<bool>,
}

impl HoldsValues for TaskConsumer {
    fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        visit(&self.registry);
        self.decoder.iter().for_each(&mut *visit);
        self.listeners.each_value(visit);
    }
}

#[php_impl]
impl TaskConsumer {
    /// Checks the options. Opens nothing yet.
    #[php(defaults(config = MaybeList(None)))]
    pub fn __construct(connection: Mixed<'_>, registry: Mixed<'_>, config: MaybeList<'_>) -> PhpResult<Self> {
        objects::construct(|| {
            let handle = self::connection(connection.0, "TaskConsumer")?;
            if registry.0.extract::<&TaskHandlerRegistry>().is_none() {
                return Err(invalid("the second argument of TaskConsumer is a Ferry\\Task\\TaskHandlerRegistry"));
            }
            let given = Given::read("consumer", &OPTIONS, config.0)?;
            let queues = match given.get("queues") {
                None => LEVELS.iter().map(|level| queue_name(level.queue())).collect::<PhpResult<_>>()?,
                Some(list) => queue_names(&given, list)?,
            };
            // The original design knows no timeout, and tasks may be long.
            let defaults = Options { timeout: None, ..Options::new(handle.config().name.clone(), queues) };
            let options = Options { max_jobs: given.limit("max_tasks")?, ..given.loop_options(defaults)? };
            let requests = Arc::new(StopRequests::default());
            requests.work_for(given.parent()?);
            Ok(Self {
                control: Control::of(handle.config())?,
                handle,
                registry: registry.0.shallow_clone(),
                decoder: decoder(&given)?,
                prefetch: given.number("prefetch_count", 1, 65_535)?.and_then(|count| u16::try_from(count).ok()).unwrap_or(10),
                options,
                log: Rc::new(given.log()?),
                listeners: Listeners::new(&EVENTS),
                requests,
                running: Cell::new(false),
            })
        })
    }

    /// Takes tasks of one queue until it is stopped, or a limit is reached. Returns the exit code.
    pub fn consume(&self, queue: Text, callback: Maybe<'_>) -> PhpResult<i64> {
        let queue = String::from_utf8(queue.0).map_err(|_| invalid("the name of the queue is not UTF-8"))?;
        let handlers = match callback.0.filter(|callback| !callback.is_null()) {
            None => self.registered(),
            Some(callback) if callback.is_callable() => TaskHandlers::Callback(callback.shallow_clone()),
            Some(_) => return Err(invalid("the callback of consume() is not callable")),
        };
        let options = Options { queues: vec![queue_name(&queue)?], ..self.options.clone() };
        self.run(&handlers, &options, self.prefetch, SignalWatch::start()).map(|(code, _)| code)
    }

    /// Takes tasks of all queues, the highest first. Returns the exit code.
    pub fn consume_all(&self) -> PhpResult<i64> {
        self.run(&self.registered(), &self.options, self.prefetch, SignalWatch::start()).map(|(code, _)| code)
    }

    /// Runs one task, when one is ready. Answers whether there was one.
    pub fn process(&self) -> PhpResult<bool> {
        let options = Options { max_jobs: Some(1), stop_when_empty: true, ..self.options.clone() };
        self.run(&self.registered(), &options, 1, SignalWatch::start_for_one()).map(|(_, count)| count > 0)
    }

    /// Asks it to stop after the current task. Takes any arguments, so that `$consumer->stop(...)` is a signal handler.
    pub fn stop(&self, ignored: &[&Zval]) {
        let _ = ignored;
        self.requests.stop(true);
    }

    /// Asks it to finish the current task and wait. Takes any arguments, like `stop()`.
    pub fn pause(&self, ignored: &[&Zval]) {
        let _ = ignored;
        self.requests.pause(true);
    }

    /// Lets it continue. Takes any arguments, like `stop()`.
    pub fn resume(&self, ignored: &[&Zval]) {
        let _ = ignored;
        self.requests.pause(false);
    }

    /// Whether it is at work.
    pub fn is_running(&self) -> bool {
        self.running.get()
    }

    /// Stops it. The connection is shared by the process, so there is nothing else to let go of.
    pub fn close(&self) {
        self.requests.stop(true);
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
        let near = nearest(&name, EVENTS.into_iter()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Err(invalid(format!("there is no event `{name}` of tasks{near}")))
    }
}

/// Says that it runs, until dropped.
struct RunningGuard<'a>(&'a Cell<bool>);

impl<'a> RunningGuard<'a> {
    fn begin(running: &'a Cell<bool>) -> PhpResult<Self> {
        if running.replace(true) {
            return Err(exception(&Error::new(ErrorKind::InvalidArgument, "this consumer is running already")));
        }
        Ok(Self(running))
    }
}

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl TaskConsumer {
    fn registered(&self) -> TaskHandlers {
        TaskHandlers::Registry(self.registry.shallow_clone())
    }

    /// Runs tasks. Returns the exit code and how many tasks came.
    fn run(&self, handlers: &TaskHandlers, options: &Options, prefetch: u16, signals: SignalWatch) -> PhpResult<(i64, u64)> {
        let running = RunningGuard::begin(&self.running)?;
        // As in a worker of jobs.
        let unbuffered = process::begin_worker().map_err(|error| exception(&error))?;
        self.requests.stop(false);
        let hung = Hung::new(self.requests.clone());
        let (log, requests) = (self.log.clone(), self.requests.clone());
        let host = PhpTaskHost::new(handlers, self.decoder.as_ref(), &self.listeners, log, requests, hung.interrupter());
        let ended = self.consume_with(&host, options, prefetch, hung.interrupter());
        let late = host.take_late();
        let ending = host.take_ending();
        drop(host);
        drop(hung);
        drop(signals);
        drop(unbuffered);
        drop(running);
        call::die_if_dead();
        if let Some(thrown) = ending {
            call::rethrow(CallFailure::Threw(thrown));
            return Err(pending());
        }
        if let Some(halt) = late {
            leave(halt)?;
        }
        let place = || format!("consume tasks on `{}`", self.handle.config().name);
        let (end, count) = ended.map_err(|error| exception(&error.within(place())))?;
        match end {
            RunEnd::Code(code) => Ok((code.into(), count)),
            RunEnd::NotStarted(error) => Err(exception(&error.within(place()))),
            RunEnd::Halted(halt) => leave(halt).map(|()| (exit::STOPPED.into(), count)),
        }
    }

    fn consume_with(
        &self,
        host: &PhpTaskHost<'_>,
        options: &Options,
        prefetch: u16,
        interrupter: Arc<PhpInterrupter>,
    ) -> Result<(RunEnd, u64), Error> {
        let own = self.handle.get()?;
        let flags = own.config().control.is_some().then(|| self.control.broker(&own)).transpose()?.flatten();
        let statuses = own.config().track.then(|| self.control.status_broker(&own)).transpose()?;
        let consumer = Consumer::new(options, process::generation).with_control(flags).with_interrupter(interrupter);
        let consumer = consumer.with_status_store(statuses, own.config().status_ttl);
        let open = |queues: &[QueueName]| {
            let names = queues.iter().map(|queue| queue.as_str().to_owned()).collect();
            let options = tasks::Options { queues: names, prefetch, has_decoder: self.decoder.is_some() };
            tasks::receive(&self.handle.get()?.tasks()?, &options)
        };
        Ok(consumer.run(host, Box::new(open)))
    }
}

/// Leaves PHP the way it wants to be left.
fn leave(halt: Halt) -> PhpResult<()> {
    if matches!(halt, Halt::Exited | Halt::Died) {
        // SAFETY: a plain read and store on PHP's thread; the process is about to end with this status.
        unsafe {
            if executor_globals.exit_status == 0 {
                executor_globals.exit_status = exit::HANDLER_EXITED.into();
            }
        }
    }
    match halt {
        Halt::Died => call::die(),
        // An exception is pending: the one that ends the process, or one that was thrown again.
        Halt::Exited | Halt::Threw => Err(pending()),
        Halt::Forked => Ok(()),
    }
}

fn decoder(given: &Given) -> PhpResult<Option<Zval>> {
    match given.get("decode") {
        None => Ok(None),
        Some(callback) if callback.is_callable() => Ok(Some(callback.shallow_clone())),
        Some(_) => Err(given.wrong("decode", "a callable that takes body, headers and properties of a message")),
    }
}

fn queue_name(name: &str) -> PhpResult<QueueName> {
    QueueName::new(name.as_bytes()).map_err(|error| exception(&error))
}

/// A list of names of queues.
fn queue_names(given: &Given, list: &Zval) -> PhpResult<Vec<QueueName>> {
    let wrong = || given.wrong("queues", "a list of names, the highest first");
    if !list.is_array() {
        return Err(wrong());
    }
    let mut names: Vec<QueueName> = Vec::new();
    objects::each(list, |_, name| {
        let name =
            textual(name).and_then(|name| String::from_utf8(name).ok()).filter(|name| !name.is_empty()).ok_or_else(wrong)?;
        let name = queue_name(&name)?;
        if !names.contains(&name) {
            names.push(name);
        }
        PhpResult::Ok(())
    })?;
    if names.is_empty() { Err(wrong()) } else { Ok(names) }
}
