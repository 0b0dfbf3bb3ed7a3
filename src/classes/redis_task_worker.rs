//! `Ferry\RedisTask\Worker`: the worker of plain Redis tasks, under the names of the original. It is a `Ferry\Worker` on the connection of a
//! queue manager.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendClassObject, ZendHashTable, ZendObject, Zval};

use crate::classes::connection::PhpConnection;
use crate::classes::redis_task_manager::QueueManager;
use crate::classes::worker::PhpWorker;
use crate::convert::arguments::{Maybe, Mixed, Text};
use crate::convert::errors::{exception, invalid, pending};
use crate::convert::worker;
use crate::handler::PLAIN_TASK_NAMES;
use crate::zend::call;
use crate::zend::gc::HoldsValues;
use crate::zend::objects::{self, PropertyKey};

/// A worker of plain tasks.
#[php_class]
#[php(name = "Ferry\\RedisTask\\Worker")]
pub struct PlainWorker {
    manager: Rc<ferry_client::Handle>,
    options: Zval,
    listeners: RefCell<Vec<(String, Zval)>>,
    /// The run under way or the last one, and when it began.
    run: RefCell<Option<(Rc<PhpWorker>, Instant)>>,
}

/// Statistics come after 100 tasks, not after a time.
const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

impl HoldsValues for PlainWorker {
    fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        visit(&self.options);
        if let Ok(listeners) = self.listeners.try_borrow() {
            listeners.iter().for_each(|(_, listener)| visit(listener));
        }
        // The worker of a run holds the listener that prints statistics, and with it this object. While it runs the run shares it.
        if let Ok(run) = self.run.try_borrow()
            && let Some((worker, _)) = run.as_ref()
            && Rc::strong_count(worker) == 1
        {
            worker.each_value(visit);
        }
    }
}

#[php_impl]
impl PlainWorker {
    /// Of the queues of a manager, with the options of `Ferry\Worker`. No I/O yet.
    pub fn __construct(manager: Mixed<'_>, options: Maybe<'_>) -> PhpResult<Self> {
        objects::construct(|| {
            let Some(manager) = manager.0.extract::<&QueueManager>() else {
                return Err(invalid("a worker of plain tasks takes a Ferry\\RedisTask\\QueueManager"));
            };
            let worker = Self {
                manager: manager.handle(),
                options: options.0.map_or_else(objects::list, Zval::shallow_clone),
                listeners: RefCell::default(),
                run: RefCell::default(),
            };
            worker.worker(None).map(|_| worker)
        })
    }

    /// Works until somebody asks it to stop, or a limit is reached. Answers the exit code.
    pub fn start(&self, queue: Maybe<'_>) -> PhpResult<i64> {
        if self.run.borrow().as_ref().is_some_and(|(worker, _)| worker.is_running()) {
            return Err(invalid("this worker is running already"));
        }
        let worker = Rc::new(self.worker(queue.0)?);
        for (event, listener) in self.listeners.borrow().iter() {
            worker.listen(event, listener.shallow_clone());
        }
        let callable = vec![objects::object(objects::this().ok_or_else(pending)?), objects::text(b"printStats")];
        let mut listener = Zval::new();
        listener.set_array(callable)?;
        worker.listen("status", listener);
        self.run.replace(Some((worker.clone(), Instant::now())));
        worker.run()
    }

    /// Asks it to stop after the current task. Takes any arguments, so that it is a signal handler.
    pub fn stop(&self, ignored: &[&Zval]) {
        if let Some((worker, _)) = self.run.borrow().as_ref() {
            worker.stop(ignored);
        }
    }

    /// Adds a listener for the next run, as `Ferry\Worker` does.
    pub fn on(&self, event: Text, listener: Mixed<'_>) -> PhpResult<()> {
        let name = String::from_utf8_lossy(&event.0).into_owned();
        if !PLAIN_TASK_NAMES.contains(&name.as_str()) || !listener.0.is_callable() {
            return Err(invalid(format!("there is no worker event `{name}`, or its listener is not callable")));
        }
        self.listeners.borrow_mut().push((name, listener.0.shallow_clone()));
        Ok(())
    }

    /// Prints how long it runs, what it did and what waits. Called after each 100 tasks.
    pub fn print_stats(&self) -> PhpResult<()> {
        let Some((worker, since)) = self.run.borrow().clone() else { return Ok(()) };
        let client = self.manager.get().map_err(|error| exception(&error))?;
        let (mut pending_tasks, mut delayed, mut failed) = (0, 0, 0);
        for queue in worker.queues() {
            let sizes = client.size(queue).map_err(|error| exception(&error))?;
            pending_tasks += sizes.ready;
            delayed += sizes.delayed;
            failed += sizes.failed;
        }
        let (uptime, processed) = (since.elapsed().as_secs(), worker.processed());
        let text = format!(
            "uptime: {uptime} s, processed: {processed}, pending: {pending_tasks}, delayed: {delayed}, failed: {failed}\n"
        );
        call::guarded(|| call::function("printf", &mut [objects::text(b"%s"), objects::text(text.as_bytes())])).map_err(
            |trouble| {
                call::rethrow(trouble);
                pending()
            },
        )?;
        Ok(())
    }
}

impl PlainWorker {
    /// The worker that the options describe, on the manager's connection.
    fn worker(&self, queue: Option<&Zval>) -> PhpResult<PhpWorker> {
        let mut options = ZendHashTable::new();
        objects::each(&self.options, |key, value| {
            let name = match key {
                PropertyKey::Index(index) => index.to_string(),
                PropertyKey::Name(name) => String::from_utf8_lossy(name).into_owned(),
            };
            options.insert(name.as_str(), value.shallow_clone()).map_err(|_| pending())
        })?;
        let connection = ZendClassObject::new(PhpConnection::of(self.manager.clone()));
        options.insert("connection", objects::owned_object(ZendObject::from_class_object(connection)))?;
        if let Some(queue) = queue.filter(|queue| !queue.is_null()) {
            options.insert("queue", queue.shallow_clone())?;
        }
        let mut array = Zval::new();
        array.set_hashtable(options);
        let mut setup = worker::options(Some(&array))?;
        setup.options.status = setup.options.status.or(Some(NEVER));
        Ok(PhpWorker::of(setup, &PLAIN_TASK_NAMES))
    }
}
