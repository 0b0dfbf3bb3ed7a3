//! The consumer's host: calls the handlers and listeners of tasks. The worker crate decides what becomes of a task.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ext_php_rs::types::Zval;
use ext_php_rs::zend::ce;
use ferry_core::broker::tasks::ForeignMessage;
use ferry_core::policy::HandlerLimits;
use ferry_core::task::Task;
use ferry_worker::{Decoded, Event, Halt, Host, TaskEnd, TaskEvent, TaskHost, TaskStatus};

use super::decode;
use super::fire::last_error;
use super::limits;
use super::listeners::Listeners;
use super::log::Log;
use super::php_loop::PhpLoop;
use super::process_state::{close_output, output_level};
use super::stop_requests::StopRequests;
use crate::classes::exceptions::{self, Class};
use crate::classes::task_message;
use crate::classes::task_registry::TaskHandlerRegistry;
use crate::classes::task_result::TaskResult;
use crate::convert::kept;
use crate::convert::task::TaskFields;
use crate::zend::call::{self, CallFailure, Called, guarded};
use crate::zend::dates;
use crate::zend::interrupter::{self, PhpInterrupter};
use crate::zend::objects::{self, number, text};

/// The events one can listen to (`docs/tasks.md`).
pub const EVENTS: [&str; 14] = [
    "ready", "looping", "starting", "success", "retry", "failed", "error", "expired", "poison", "timeout", "released", "paused",
    "resumed", "stopping",
];

/// Who handles tasks.
pub enum TaskHandlers {
    /// A `TaskHandlerRegistry`.
    Registry(Zval),
    /// Anything callable.
    Callback(Zval),
}

/// The task at hand, as PHP sees it.
struct OpenTask {
    /// As it was read.
    before: Rc<TaskFields>,
    object: Zval,
    /// It ran longer than its timeout.
    timed_out: bool,
    /// Its handler; null with a callback, or when there is none.
    handler: Zval,
    /// Why there is none.
    missing: Option<CallFailure>,
    /// What its handler returned or threw.
    result: Zval,
    /// The handler threw, and the listeners of `error` were not called yet.
    threw: bool,
}

/// PHP, as the source of tasks sees it.
pub struct PhpTaskHost<'a> {
    php: PhpLoop<'a>,
    handlers: &'a TaskHandlers,
    decoder: Option<&'a Zval>,
    open: RefCell<Option<OpenTask>>,
    /// What closing the output buffers of a handler threw: it ends the run once the task is settled.
    deferred: RefCell<Option<CallFailure>>,
}

impl<'a> PhpTaskHost<'a> {
    /// The host of a consumer.
    pub fn new(
        handlers: &'a TaskHandlers,
        decoder: Option<&'a Zval>,
        listeners: &'a Listeners,
        log: Rc<Log>,
        requests: Arc<StopRequests>,
        interrupter: Arc<PhpInterrupter>,
    ) -> Self {
        let php = PhpLoop::new(listeners, log, requests, interrupter);
        Self { php, handlers, decoder, open: RefCell::default(), deferred: RefCell::default() }
    }

    /// Takes the exception that ended the run.
    pub fn take_ending(&self) -> Option<Zval> {
        self.php.take_ending()
    }

    /// What nobody could be told meanwhile.
    pub fn take_late(&self) -> Option<Halt> {
        self.php.take_late()
    }

    /// The object of the task at hand, or the id of one that has none.
    fn subject(&self, task: &Task) -> Zval {
        let open = self.open.borrow();
        open.as_ref().map_or_else(|| text(task.id.as_bytes()), |open| open.object.shallow_clone())
    }

    fn object(&self) -> Option<Zval> {
        self.open.borrow().as_ref().map(|open| open.object.shallow_clone())
    }

    fn handler(&self) -> Option<Zval> {
        self.open.borrow().as_ref().map(|open| open.handler.shallow_clone())
    }

    /// The class of an exception for a failure that has none of its own.
    fn class_of_failure(&self) -> Class {
        let timed_out = self.open.borrow().as_ref().is_some_and(|open| open.timed_out);
        if timed_out { Class::Timeout } else { Class::Broker }
    }

    fn call_handler(&self, task: &Zval) -> Called {
        if let TaskHandlers::Callback(callback) = self.handlers {
            return guarded(|| call::callable(callback, &mut [task.shallow_clone()]));
        }
        if let Some(missing) = self.open.borrow_mut().as_mut().and_then(|open| open.missing.take()) {
            return Err(missing);
        }
        let mut handler = self.handler();
        match handler.as_mut().and_then(Zval::object_mut) {
            Some(handler) => guarded(|| call::method(handler, "handle", &mut [task.shallow_clone()])),
            None => Err(CallFailure::Missing("the handler is no object".to_owned())),
        }
    }

    fn result(&self) -> Zval {
        self.open.borrow().as_ref().map_or_else(Zval::null, |open| open.result.shallow_clone())
    }

    fn keep_result(&self, result: &Zval, threw: bool) {
        let kept = self.open.borrow_mut().as_mut().map(|open| {
            open.threw = threw;
            std::mem::replace(&mut open.result, result.shallow_clone())
        });
        // Dropped after the borrow: its destructor is PHP code.
        drop(kept);
    }

    /// The task as its handler left it; `None` when it wrote what is no task.
    fn after(&self) -> Option<TaskFields> {
        let object = self.object()?;
        // A property may be an object with a __toString() of its user's.
        guarded(|| Ok(object.object().and_then(|object| TaskFields::read(object).ok()))).ok().flatten()
    }

    fn end_of_call(&self, task: &Task, answer: Called) -> TaskEnd {
        match answer {
            // A `finally` block returned and dropped the exit.
            Ok(_) if self.php.was_stopped() => TaskEnd::TimedOut,
            Ok(result) => {
                self.keep_result(&result, false);
                failure_in(&result, &task.kind).map_or(TaskEnd::Succeeded, |(why, trace)| TaskEnd::Failed { why, trace })
            }
            // Our watchdog asked for this exit: the consumer continues.
            Err(CallFailure::Exited) if self.php.cancel_exit() => TaskEnd::TimedOut,
            // The watchdog of a worker or consumer around this one asked for it, and it goes on its way.
            Err(CallFailure::Exited) if interrupter::any_has_raised() => TaskEnd::Unwinding,
            // The handler threw on its way out, from a `finally` block or a destructor.
            Err(CallFailure::Threw(_)) if self.php.was_stopped() => TaskEnd::TimedOut,
            Err(CallFailure::Threw(thrown)) if exceptions::is(&thrown, Class::Timeout) => TaskEnd::TimedOut,
            Err(CallFailure::Threw(thrown)) => {
                let (why, trace) = described(&thrown);
                self.keep_result(&thrown, true);
                TaskEnd::Threw { line: format!("{}: {why}", class_of(&thrown)), why, trace }
            }
            Err(CallFailure::Missing(what)) => {
                let class = exceptions::class(Class::HandlerNotFound);
                if let Ok(exception) = guarded(|| call::instantiate(class, &mut [text(what.as_bytes())])) {
                    self.keep_result(&exception, true);
                }
                TaskEnd::Threw { line: what.clone(), why: what, trace: String::new() }
            }
            Err(CallFailure::Exited) => TaskEnd::Exited,
            Err(CallFailure::Died) => TaskEnd::Died(last_error()),
        }
    }

    /// Closes the output buffers that user code left open. What that throws ends the run once the task is settled.
    fn close_output(&self, level: i32) {
        if let Err(trouble) = close_output(level) {
            // Dropped after the borrow: its destructor is PHP code.
            drop(self.deferred.replace(Some(trouble)));
        }
    }

    /// How asking the decode callback ended.
    fn decoded(&self, answer: Called<Decoded>) -> Decoded {
        match answer {
            // A `finally` block returned and dropped the exit.
            Ok(_) if self.php.was_stopped() => Decoded::TimedOut,
            Ok(decoded) => decoded,
            Err(CallFailure::Exited) if self.php.cancel_exit() => Decoded::TimedOut,
            Err(CallFailure::Exited) if interrupter::any_has_raised() => Decoded::Unwinding,
            Err(CallFailure::Exited) => Decoded::Exited,
            Err(CallFailure::Died) => Decoded::Died(last_error()),
            Err(CallFailure::Threw(_)) if self.php.was_stopped() => Decoded::TimedOut,
            Err(CallFailure::Threw(thrown)) => {
                Decoded::Failed(format!("the decode callback threw {}: {}", class_of(&thrown), described(&thrown).0))
            }
            Err(CallFailure::Missing(what)) => Decoded::Failed(format!("the decode callback cannot be called: {what}")),
        }
    }

    fn emit_task_event(&self, event: TaskEvent<'_>) -> Result<(), Halt> {
        let php = &self.php;
        match event {
            TaskEvent::Starting(task) => php.emit("starting", || vec![self.subject(task)]),
            TaskEvent::Succeeded(task) => php.emit("success", || vec![self.subject(task), self.result()]),
            TaskEvent::Error(task, _) => {
                let threw = self.open.borrow().as_ref().is_some_and(|open| open.threw);
                if threw { php.emit("error", || vec![self.subject(task), self.result()]) } else { Ok(()) }
            }
            TaskEvent::Retry { task, count, most, pause, why } => {
                php.emit("retry", || vec![self.subject(task), number(count), number(most), number(pause), text(why.as_bytes())])
            }
            TaskEvent::Failed(task, why) => php.emit("failed", || vec![self.subject(task), text(why.as_bytes())]),
            TaskEvent::Expired(task) => php.emit("expired", || vec![text(task.id.as_bytes())]),
            TaskEvent::Poison { id, why } => php.emit("poison", || vec![text(id.as_bytes()), text(why.as_bytes())]),
            TaskEvent::TimedOut(task, timeout) => {
                php.emit("timeout", || vec![self.subject(task), objects::float(timeout.as_secs_f64())])
            }
            TaskEvent::GivenBack(task) => php.emit("released", || vec![self.subject(task), number(0)]),
        }
    }
}

impl Host for PhpTaskHost<'_> {
    fn event(&self, event: Event<'_>) -> Result<(), Halt> {
        self.php.log_event(event, || match event {
            Event::Task(TaskEvent::Error(..)) => Some(self.result()).filter(Zval::is_object),
            _ => None,
        })?;
        match event {
            Event::Task(event) => self.emit_task_event(event),
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

impl TaskHost for PhpTaskHost<'_> {
    fn decode(&self, message: &ForeignMessage) -> Decoded {
        let Some(decoder) = self.decoder else { return Decoded::Unknown };
        self.php.handler_runs();
        let level = output_level();
        let decoded = self.decoded(decode::decode(decoder, message));
        if !matches!(decoded, Decoded::Exited | Decoded::Unwinding | Decoded::Died(_)) {
            if decoded == Decoded::TimedOut {
                self.php.restore_process_state();
            }
            self.close_output(level);
        }
        decoded
    }

    fn open(&self, task: &Task, body: &[u8]) -> Result<Result<(), String>, Halt> {
        let before = match TaskFields::of_task(task, body) {
            Ok(fields) => Rc::new(fields),
            Err(why) => return Ok(Err(why)),
        };
        let Ok(object) = before.to_object() else {
            return Err(self.php.halt(CallFailure::Missing("a task object cannot be made".to_owned())));
        };
        let object = objects::owned_object(object);
        self.open.replace(Some(OpenTask {
            before,
            object,
            timed_out: false,
            handler: Zval::null(),
            missing: None,
            result: Zval::null(),
            threw: false,
        }));
        Ok(Ok(()))
    }

    fn prepare(&self, task: &Task) -> HandlerLimits {
        self.php.handler_runs();
        let timeout = self.open.borrow().as_ref().and_then(|open| own_timeout(&open.before.metadata));
        let TaskHandlers::Registry(registry) = self.handlers else {
            return HandlerLimits { timeout, ..HandlerLimits::default() };
        };
        let found = guarded(|| {
            let handler = find_handler(registry, task)?;
            let limits = handler.object().map(limits::of_object).unwrap_or_default();
            Ok((handler, limits))
        });
        let mut open = self.open.borrow_mut();
        let Some(open) = open.as_mut() else { return HandlerLimits::default() };
        match found {
            Ok((handler, limits)) => {
                open.handler = handler;
                HandlerLimits { timeout: timeout.or(limits.timeout), ..limits }
            }
            Err(missing) => {
                open.missing = Some(missing);
                HandlerLimits::default()
            }
        }
    }

    fn failed(&self, why: &str) -> Result<(), Halt> {
        let (Some(task), Some(mut handler)) = (self.object(), self.handler()) else { return Ok(()) };
        let Some(handler) = handler.object_mut().filter(|handler| objects::has_method(handler, "failed")) else { return Ok(()) };
        let told = guarded(|| {
            let exception = failure_exception(&self.result(), self.class_of_failure(), why)?;
            call::method(handler, "failed", &mut [task, exception])
        });
        match told {
            Ok(_) => Ok(()),
            Err(CallFailure::Threw(thrown)) => {
                let (why, _) = described(&thrown);
                self.php.log_error(&format!("failed() of a task's handler threw {}: {why}", class_of(&thrown)));
                Ok(())
            }
            Err(trouble) => Err(self.php.halt(trouble)),
        }
    }

    fn result(&self) -> Option<String> {
        let data = self.open.borrow().as_ref().map(|open| open.result.shallow_clone())?;
        let data = data.extract::<&TaskResult>()?.get_data();
        if data.is_null() {
            return None;
        }
        // A result that cannot be kept does not fail its task.
        guarded(|| {
            kept::json(&data, "the result").map_err(|_| CallFailure::Missing("the result of a task cannot be kept".to_owned()))
        })
        .inspect_err(|_| self.php.log_error("the result of a task cannot be kept as JSON; its status has none"))
        .ok()
    }

    fn run(&self, task: &Task, status: Option<&Rc<TaskStatus>>) -> TaskEnd {
        let Some(object) = self.object() else {
            return TaskEnd::Failed { why: "the task is gone".to_owned(), trace: String::new() };
        };
        let level = output_level();
        let tracked = task_message::track(&task.id, status);
        let end = self.end_of_call(task, self.call_handler(&object));
        drop(tracked);
        if matches!(end, TaskEnd::Exited | TaskEnd::Unwinding | TaskEnd::Died(_)) {
            return end;
        }
        if end == TaskEnd::TimedOut {
            if let Some(open) = self.open.borrow_mut().as_mut() {
                open.timed_out = true;
            }
            self.php.restore_process_state();
        }
        self.close_output(level);
        end
    }

    fn limits(&self, task: &Task) -> (i64, i64) {
        self.after().map_or((task.max_retries, task.expire_at), |now| (now.max_retries, now.expire_at))
    }

    fn next_body(&self, task: &Task, body: &[u8], count: i64) -> Vec<u8> {
        let before = self.open.borrow().as_ref().map(|open| Rc::clone(&open.before));
        let Some(before) = before else { return task.with_retry(body, count) };
        let raised = body_after(task, body, &before, self.after(), count, &self.php);
        if let Some(mut object) = self.object()
            && let Some(object) = object.object_mut()
        {
            // A task without that property is no task of ours any more, and its bytes say it all.
            let _ = object.set_property("currentRetry", count);
        }
        raised
    }

    fn release(&self) -> Result<(), Halt> {
        // Dropped after the borrow: its destructor is PHP code.
        drop(self.open.take());
        match self.deferred.take() {
            Some(trouble) => Err(self.php.halt(trouble)),
            None => Ok(()),
        }
    }

    fn log(&self, event: TaskEvent<'_>) {
        self.php.log.event_at_exit(Event::Task(event));
    }

    fn now(&self) -> i64 {
        dates::now()
    }

    fn stamp(&self) -> String {
        dates::formatted(b"Y-m-d H:i:s", dates::now())
    }
}

/// The handler of a type in a registry.
fn find_handler(registry: &Zval, task: &Task) -> Called {
    let Some(registry) = registry.extract::<&TaskHandlerRegistry>() else {
        return Err(CallFailure::Missing("the registry is gone".to_owned()));
    };
    let missing = || CallFailure::Missing(format!("no handler is registered for tasks of type `{}`", task.kind));
    registry.find(task.kind.as_bytes())?.ok_or_else(missing)
}

/// The key `timeout` of a task's metadata, in seconds.
fn own_timeout(metadata: &Zval) -> Option<Duration> {
    metadata.array()?.get("timeout").and_then(limits::seconds)
}

/// The exception that `failed()` of a handler gets: the one that was thrown or returned, or one that says why.
fn failure_exception(result: &Zval, class: Class, why: &str) -> Called {
    let returned = result.extract::<&TaskResult>().and_then(TaskResult::failed).filter(|error| error.is_object());
    if let Some(exception) = returned.or_else(|| Some(result).filter(|result| is_throwable(result))) {
        return Ok(exception.shallow_clone());
    }
    call::instantiate(exceptions::class(class), &mut [text(why.as_bytes())])
}

fn is_throwable(value: &Zval) -> bool {
    value.object().is_some_and(|object| object.instance_of(ce::throwable()))
}

/// Why an answer is no success, and the trace of the exception that says so.
fn failure_in(answer: &Zval, kind: &str) -> Option<(String, String)> {
    match answer.extract::<&TaskResult>() {
        Some(result) => result.failed().map(|error| match error.object() {
            Some(_) => described(error),
            None => (lossy(error), String::new()),
        }),
        None => {
            let what = class_or_type(answer);
            Some((format!("the handler of `{kind}` returned {what}, not a Ferry\\Task\\TaskResult"), String::new()))
        }
    }
}

/// What a value is, for an error.
pub(super) fn class_or_type(value: &Zval) -> String {
    let kind = || format!("{:?}", value.get_type()).to_lowercase();
    value.object().map_or_else(kind, |object| String::from_utf8_lossy(&objects::class_name(object)).into_owned())
}

/// The bytes of the next execution: those that came with another count, or new ones when the handler changed the task.
fn body_after(
    task: &Task,
    body: &[u8],
    before: &TaskFields,
    changed: Option<TaskFields>,
    count: i64,
    php: &PhpLoop<'_>,
) -> Vec<u8> {
    let came = || task.with_retry(body, count);
    let Some(mut now) = changed.filter(|now| !now.is_like(before)) else { return came() };
    now.current_retry = count;
    now.id.clone_from(&before.id);
    let encoded = guarded(|| now.to_bytes().map_err(|_| CallFailure::Missing("the task cannot be encoded".to_owned())));
    encoded.unwrap_or_else(|_| {
        php.log_error(&format!("task {} was changed to what cannot be encoded; it goes on as it came", before.id));
        came()
    })
}

fn lossy(words: &Zval) -> String {
    words.zend_str().map_or_else(String::new, |words| String::from_utf8_lossy(words.as_bytes()).into_owned())
}

fn class_of(exception: &Zval) -> String {
    exception.object().map_or_else(String::new, |object| String::from_utf8_lossy(&objects::class_name(object)).into_owned())
}

/// Message and trace of an exception. Both methods are final, so no code of a user runs.
pub(super) fn described(exception: &Zval) -> (String, String) {
    let mut exception = exception.shallow_clone();
    let Some(object) = exception.object_mut() else { return (String::new(), String::new()) };
    let mut ask = |method: &str| {
        let answer = guarded(|| call::method(object, method, &mut []));
        answer.map_or_else(|_| String::new(), |words| lossy(&words))
    };
    (ask("getMessage"), ask("getTraceAsString"))
}
