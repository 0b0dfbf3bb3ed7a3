//! `Ferry\Task\TaskConsumer`: takes tasks and runs their handlers.

use std::cell::Cell;
use std::rc::Rc;

use ext_php_rs::exception::{PhpException, PhpResult};
use ext_php_rs::ffi::executor_globals;
use ext_php_rs::prelude::*;
use ext_php_rs::types::Zval;
use ferry_client::Handle;
use ferry_core::config::nearest;
use ferry_core::task::LEVELS;
use ferry_core::{Error, ErrorKind};
use ferry_worker::exit;

use crate::classes::task_registry::TaskHandlerRegistry;
use crate::convert::arguments::{Maybe, MaybeList, Mixed, Text, integer, textual, truth};
use crate::convert::errors::{exception, invalid, pending};
use crate::convert::task::connection;
use crate::handler::tasks::{Bounds, EVENTS, End, Job, Shift, TaskListeners};
use crate::zend::call::{self, CallFailure};
use crate::zend::gc::HoldsValues;
use crate::zend::objects::{self, PropertyKey};
use crate::zend::signals::SignalWatch;

/// The names of all options.
const OPTIONS: [&str; 7] = ["prefetch_count", "queues", "max_tasks", "max_time", "memory", "stop_when_empty", "log"];

/// Takes tasks of one connection.
#[php_class]
#[php(name = "Ferry\\Task\\TaskConsumer")]
pub struct TaskConsumer {
    handle: Rc<Handle>,
    registry: Zval,
    queues: Vec<String>,
    bounds: Bounds,
    quiet: bool,
    listeners: TaskListeners,
    running: Cell<bool>,
    stopped: Rc<Cell<bool>>,
}

impl HoldsValues for TaskConsumer {
    fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        visit(&self.registry);
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
            let given = Given::read(config.0)?;
            let queues = match given.get("queues") {
                None => LEVELS.map(|level| level.queue().to_owned()).to_vec(),
                Some(list) => names(list)?,
            };
            let bounds = Bounds {
                prefetch: given.number("prefetch_count", 1, 65_535)?.and_then(|count| u16::try_from(count).ok()).unwrap_or(10),
                tasks: given.number("max_tasks", 0, i64::MAX)?.filter(|most| *most > 0),
                seconds: given.number("max_time", 0, i64::MAX)?.filter(|most| *most > 0),
                memory: given
                    .number("memory", 0, i64::MAX)?
                    .filter(|most| *most > 0)
                    .map(|mebibytes| usize::try_from(mebibytes).unwrap_or(usize::MAX).saturating_mul(1 << 20)),
                until_empty: given.truth("stop_when_empty", false)?,
            };
            Ok(Self {
                handle,
                registry: registry.0.shallow_clone(),
                queues,
                bounds,
                quiet: !given.truth("log", true)?,
                listeners: TaskListeners::default(),
                running: Cell::new(false),
                stopped: Rc::default(),
            })
        })
    }

    /// Takes tasks of one queue until it is stopped, or a limit is reached.
    pub fn consume(&self, queue: Text, callback: Maybe<'_>) -> PhpResult<()> {
        let queue = String::from_utf8(queue.0).map_err(|_| invalid("the name of the queue is not UTF-8"))?;
        let job = match callback.0.filter(|callback| !callback.is_null()) {
            None => self.registered(),
            Some(callback) if callback.is_callable() => Job::Callback(callback.shallow_clone()),
            Some(_) => return Err(invalid("the callback of consume() is not callable")),
        };
        self.work(vec![queue], &job, self.bounds.clone(), SignalWatch::start()).map(drop)
    }

    /// Takes tasks of all queues, the highest first.
    pub fn consume_all(&self) -> PhpResult<()> {
        self.work(self.queues.clone(), &self.registered(), self.bounds.clone(), SignalWatch::start()).map(drop)
    }

    /// Runs one task, when one is ready. Answers whether there was one.
    pub fn process(&self) -> PhpResult<bool> {
        let bounds = Bounds { prefetch: 1, tasks: Some(1), until_empty: true, ..self.bounds.clone() };
        self.work(self.queues.clone(), &self.registered(), bounds, SignalWatch::start_for_one()).map(|count| count > 0)
    }

    /// Asks it to stop after the current task. Takes any arguments, so that `$consumer->stop(...)` is a signal handler.
    pub fn stop(&self, ignored: &[&Zval]) {
        let _ = ignored;
        self.stopped.set(true);
    }

    /// Whether it is at work.
    pub fn is_running(&self) -> bool {
        self.running.get()
    }

    /// Stops it. The connection is shared by the process, so there is nothing else to let go of.
    pub fn close(&self) {
        self.stopped.set(true);
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
struct Running<'a>(&'a Cell<bool>);

impl<'a> Running<'a> {
    fn begin(running: &'a Cell<bool>) -> PhpResult<Self> {
        if running.replace(true) {
            return Err(exception(&Error::new(ErrorKind::InvalidArgument, "this consumer is running already")));
        }
        Ok(Self(running))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl TaskConsumer {
    fn registered(&self) -> Job {
        Job::Registry(self.registry.shallow_clone())
    }

    /// Runs tasks and answers how many.
    fn work(&self, queues: Vec<String>, job: &Job, bounds: Bounds, signals: SignalWatch) -> PhpResult<u64> {
        let running = Running::begin(&self.running)?;
        self.stopped.set(false);
        let mut shift = Shift::new(&self.handle, queues, bounds, job, &self.listeners, self.stopped.clone(), self.quiet);
        let end = shift.work();
        let count = shift.count();
        drop(shift);
        drop(signals);
        drop(running);
        call::die_if_dead();
        match end {
            End::Done | End::Forked => Ok(count),
            End::Failed(error) => Err(exception(&error.within(format!("consume tasks on `{}`", self.handle.config().name)))),
            End::CallFailure(trouble) => Err(leave(trouble)),
        }
    }
}

/// Leaves PHP the way it wants to be left.
fn leave(trouble: CallFailure) -> PhpException {
    if matches!(trouble, CallFailure::Exited | CallFailure::Died) {
        // SAFETY: a plain read and store on PHP's thread; the process is about to end with this status.
        unsafe {
            if executor_globals.exit_status == 0 {
                executor_globals.exit_status = exit::HANDLER_EXITED.into();
            }
        }
    }
    if matches!(trouble, CallFailure::Died) {
        call::die();
    }
    call::rethrow(trouble);
    pending()
}

/// Options as they were given.
struct Given(Vec<(&'static str, Zval)>);

impl Given {
    fn read(array: Option<&Zval>) -> PhpResult<Self> {
        let mut given = Vec::new();
        let Some(array) = array else { return Ok(Self(given)) };
        objects::each(array, |key, value| {
            let key = match key {
                PropertyKey::Name(name) => String::from_utf8_lossy(name).into_owned(),
                PropertyKey::Index(index) => index.to_string(),
            };
            let Some(known) = OPTIONS.into_iter().find(|known| *known == key) else {
                let near =
                    nearest(&key, OPTIONS.into_iter()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                return Err(invalid(format!("there is no consumer option `{key}`{near}")));
            };
            if !value.is_null() {
                given.push((known, value.shallow_clone()));
            }
            PhpResult::Ok(())
        })?;
        Ok(Self(given))
    }

    fn get(&self, name: &str) -> Option<&Zval> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn number(&self, name: &str, least: i64, most: i64) -> PhpResult<Option<i64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        integer(value).filter(|number| (least..=most).contains(number)).map(Some).ok_or_else(|| {
            let range = if most == i64::MAX { format!("from {least}") } else { format!("from {least} to {most}") };
            invalid(format!("the consumer option `{name}` must be a whole number {range}"))
        })
    }

    fn truth(&self, name: &str, default: bool) -> PhpResult<bool> {
        let wrong = || invalid(format!("the consumer option `{name}` must be true or false"));
        self.get(name).map_or(Ok(default), |value| truth(value).ok_or_else(wrong))
    }
}

/// A list of names of queues.
fn names(list: &Zval) -> PhpResult<Vec<String>> {
    let wrong = || invalid("the consumer option `queues` must be a list of names, the highest first");
    let mut names = Vec::new();
    objects::each(list, |_, name| {
        let name =
            textual(name).and_then(|name| String::from_utf8(name).ok()).filter(|name| !name.is_empty()).ok_or_else(wrong)?;
        if !names.contains(&name) {
            names.push(name);
        }
        PhpResult::Ok(())
    })?;
    if names.is_empty() { Err(wrong()) } else { Ok(names) }
}
