//! The loop that runs tasks: takes one, calls its handler, settles it, says so. `core::task` decides, `ferry_client::tasks` carries it out.
//!
//! What is taken belongs to the process that took it: a child forked by a handler forgets it and leaves.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ext_php_rs::ffi::{php_output_write, zend_function};
use ext_php_rs::types::Zval;
use ferry_client::tasks::{HeldTask, Incoming, Options, TaskDeliveries};
use ferry_client::{Handle, process};
use ferry_core::task::{Next, Task, next};
use ferry_core::{Error, ErrorKind};
use ferry_worker::StopRequest;

use super::fire::last_error;
use super::process_state::{close_output, output_level};
use crate::classes::task_registry::TaskHandlerRegistry;
use crate::classes::task_result::TaskResult;
use crate::convert::task::TaskFields;
use crate::zend::call::{self, CallFailure, Called, guarded};
use crate::zend::engine::zend_memory_usage;
use crate::zend::objects::{self, number, text};
use crate::zend::{dates, signals};

/// The events one can listen to (`docs/tasks.md`).
pub const EVENTS: [&str; 8] = ["starting", "success", "retry", "failed", "error", "expired", "poison", "stopping"];

/// How long PHP waits before its signals are served.
const SLICE: Duration = Duration::from_millis(200);
/// How long a task may take to come before a queue is taken for empty.
const EMPTY_AFTER: Duration = Duration::from_millis(200);
/// The longest pause between two tries to reach a broker that went away.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Callables by event.
#[derive(Default)]
pub struct TaskListeners(RefCell<Vec<(&'static str, Zval)>>);

impl TaskListeners {
    /// Adds one. `false` when there is no such event.
    pub fn add(&self, event: &str, listener: Zval) -> bool {
        let Some(name) = EVENTS.into_iter().find(|name| *name == event) else { return false };
        self.0.borrow_mut().push((name, listener));
        true
    }

    /// All of them, for the cycle collector.
    pub fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        if let Ok(all) = self.0.try_borrow() {
            all.iter().for_each(|(_, listener)| visit(listener));
        }
    }

    /// Those of an event, copied so that nothing is borrowed while they run.
    fn of(&self, event: &str) -> Vec<Zval> {
        self.0.borrow().iter().filter(|(name, _)| *name == event).map(|(_, listener)| listener.shallow_clone()).collect()
    }
}

/// When to stop.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Tasks held of each queue.
    pub prefetch: u16,
    /// After so many tasks.
    pub tasks: Option<i64>,
    /// After so many seconds.
    pub seconds: Option<i64>,
    /// When PHP uses more bytes.
    pub memory: Option<usize>,
    /// When nothing is ready.
    pub until_empty: bool,
}

/// Who runs a task.
pub enum Job {
    /// A `TaskHandlerRegistry`.
    Registry(Zval),
    /// Anything callable.
    Callback(Zval),
}

/// How the loop ended.
pub enum End {
    /// It was asked to, or reached a bound.
    Done,
    /// This is a child that a handler forked: nothing here is its own.
    Forked,
    /// The broker refused, or was never reached.
    Failed(Error),
    /// PHP code threw outside a handler, or ended the process.
    CallFailure(CallFailure),
}

/// How a task is called in a line: which of its ends, and what stands behind its id.
enum Said<'a> {
    Plain(&'static str),
    Because(&'static str, &'a str),
    Retry(i64, i64),
}

/// A failed execution that is told before its consequence.
struct Failure<'a> {
    /// For the line.
    line: &'a str,
    /// For the dead letter.
    why: &'a str,
    trace: &'a str,
    /// For listeners.
    thrown: Option<Zval>,
}

/// One run of the loop.
pub struct Shift<'a> {
    handle: &'a Handle,
    options: Options,
    bounds: Bounds,
    job: &'a Job,
    listeners: &'a TaskListeners,
    stopped: Rc<Cell<bool>>,
    quiet: bool,
    dispatch: Option<*mut zend_function>,
    born: u64,
    begun: Instant,
    count: u64,
    puller: Option<TaskDeliveries>,
}

impl<'a> Shift<'a> {
    /// A loop that has not begun.
    pub fn new(
        handle: &'a Handle,
        queues: Vec<String>,
        bounds: Bounds,
        job: &'a Job,
        listeners: &'a TaskListeners,
        stopped: Rc<Cell<bool>>,
        quiet: bool,
    ) -> Self {
        Self {
            handle,
            options: Options { queues, prefetch: bounds.prefetch },
            bounds,
            job,
            listeners,
            stopped,
            quiet,
            dispatch: call::find_function("pcntl_signal_dispatch"),
            born: process::generation(),
            begun: Instant::now(),
            count: 0,
            puller: None,
        }
    }

    /// How many tasks came.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Works until something ends it. What was taken and not begun goes back.
    pub fn work(&mut self) -> End {
        if let Err(error) = self.open() {
            return End::Failed(error);
        }
        let end = self.turns();
        if self.is_forked() {
            return End::Forked.or_exit(end);
        }
        let closed = self.puller.take().map_or(Ok(()), TaskDeliveries::close);
        if let Err(error) = closed {
            // They come again when the connection ends, counted as a failed execution.
            complain(&format!("tasks that were not begun could not be given back: {error}"));
        }
        match end {
            End::Done => self.tell("stopping", Vec::new).map_or_else(End::CallFailure, |()| End::Done),
            end => end,
        }
    }

    fn turns(&mut self) -> End {
        let mut pause = Duration::ZERO;
        loop {
            if let Err(trouble) = self.poll_signals() {
                return End::CallFailure(trouble);
            }
            if self.is_forked() || self.is_over() {
                return End::Done;
            }
            match self.turn() {
                Ok(true) => pause = Duration::ZERO,
                Ok(false) if self.bounds.until_empty => return End::Done,
                Ok(false) => {}
                Err(Stop::CallFailure(trouble)) => return End::CallFailure(trouble),
                Err(Stop::Broker(error)) if may_pass(&error) => {
                    complain(&format!("{error}; trying again"));
                    pause = (pause * 2).clamp(SLICE, LONGEST_PAUSE);
                    if let Err(trouble) = self.wait_for_broker(pause) {
                        return End::CallFailure(trouble);
                    }
                }
                Err(Stop::Broker(error)) => return End::Failed(error),
            }
        }
    }

    /// Takes one and sees it through. `false` when there was none.
    fn turn(&mut self) -> Result<bool, Stop> {
        self.open().map_err(Stop::Broker)?;
        let wait = if self.bounds.until_empty { EMPTY_AFTER } else { SLICE };
        let Some(puller) = &mut self.puller else { return Ok(false) };
        let arrived = puller.next(wait, &stamp).map_err(|error| self.lost(error))?;
        let Some(arrived) = arrived else { return Ok(false) };
        self.count += 1;
        match arrived {
            Incoming::Task(taken) => self.run(&taken)?,
            Incoming::Expired(task) => self.tell_of("expired", &task, &Said::Plain("Expired"), Vec::new)?,
            Incoming::Counted(task, count) => {
                let more = || vec![number(count), number(task.max_retries), number(0)];
                self.tell_of("retry", &task, &Said::Retry(count, task.max_retries), more)?;
            }
            Incoming::LastChance(task) => {
                let more = || vec![number(task.current_retry), number(task.max_retries), number(0)];
                self.tell_of("retry", &task, &Said::Retry(task.current_retry, task.max_retries), more)?;
            }
            Incoming::CrashLoop(task) => {
                let why = "every worker that held it died";
                self.tell_of("failed", &task, &Said::Because("Failed", why), || vec![text(why.as_bytes())])?;
            }
            Incoming::Poison { id, why } => self.tell_poison(&id, &why)?,
        }
        Ok(true)
    }

    /// Runs a task and settles it.
    fn run(&mut self, taken: &HeldTask) -> Result<(), Stop> {
        let before = match TaskFields::of_task(&taken.task, &taken.body) {
            Ok(fields) => fields,
            Err(why) => {
                self.settle(|puller| puller.poison(taken, &why))?;
                return self.tell_poison(&taken.task.id, &why);
            }
        };
        let object =
            before.to_object().map_err(|_| Stop::CallFailure(CallFailure::Missing("a task object cannot be made".to_owned())))?;
        let object = objects::owned_object(object);
        if let Err(stop) = self.announce("starting", &object, &taken.task, &Said::Plain("Starting"), Vec::new) {
            // It was not begun.
            if !self.is_forked() {
                self.settle(|puller| puller.give_back(taken))?;
            }
            return Err(stop);
        }
        if self.is_forked() {
            // A listener forked, and this is the child.
            return Ok(());
        }
        let level = output_level();
        let answer = guarded(|| call_handler(self.job, &taken.task, &object));
        if self.is_forked() {
            return match answer {
                Err(trouble @ (CallFailure::Exited | CallFailure::Died)) => Err(Stop::CallFailure(trouble)),
                _ => Ok(()),
            };
        }
        let tidied = if matches!(answer, Err(CallFailure::Exited | CallFailure::Died)) { Ok(()) } else { close_output(level) };
        self.conclude(taken, &before, &object, answer)?;
        tidied.map_err(Stop::CallFailure)
    }

    fn conclude(&mut self, taken: &HeldTask, before: &TaskFields, object: &Zval, answer: Called) -> Result<(), Stop> {
        let task = &taken.task;
        match answer {
            Ok(result) => match failure_in(&result, &task.kind) {
                None => {
                    self.settle(|puller| puller.done(taken))?;
                    self.announce("success", object, task, &Said::Plain("Success"), || vec![result.shallow_clone()])
                }
                Some(why) => self.fail(taken, before, object, &why, ""),
            },
            Err(CallFailure::Threw(thrown)) => {
                let (message, trace) = told(&thrown);
                let line = format!("{}: {message}", class_of(&thrown));
                self.fail_aloud(
                    taken,
                    before,
                    object,
                    &Failure { line: &line, why: &message, trace: &trace, thrown: Some(thrown) },
                )
            }
            Err(CallFailure::Missing(what)) => {
                self.fail_aloud(taken, before, object, &Failure { line: &what, why: &what, trace: "", thrown: None })
            }
            Err(CallFailure::Exited) => {
                self.fail_quietly(taken, before, object, "the handler ended the process")?;
                Err(Stop::CallFailure(CallFailure::Exited))
            }
            Err(CallFailure::Died) => {
                let why = last_error();
                self.fail_quietly(taken, before, object, &why)?;
                Err(Stop::CallFailure(CallFailure::Died))
            }
        }
    }

    /// Settles a failed execution, without PHP code: the process is on its way out.
    fn fail_quietly(&mut self, taken: &HeldTask, before: &TaskFields, object: &Zval, why: &str) -> Result<(), Stop> {
        let (_, line) = self.settle_failure(taken, before, object, why, "")?;
        put(&format!("[Task] {line}: {}\n", taken.task.id), self.quiet);
        Ok(())
    }

    /// A failure with a line of its own. Settled first: what a listener or a buffer throws must not keep the task from its end.
    fn fail_aloud(&mut self, taken: &HeldTask, before: &TaskFields, object: &Zval, failure: &Failure<'_>) -> Result<(), Stop> {
        let said = self.say(&taken.task, &Said::Because("Error", failure.line));
        let (decided, _) = self.settle_failure(taken, before, object, failure.why, failure.trace)?;
        said.map_err(Stop::CallFailure)?;
        if let Some(thrown) = &failure.thrown {
            self.tell("error", || vec![object.shallow_clone(), thrown.shallow_clone()]).map_err(Stop::CallFailure)?;
        }
        self.announce_failure(taken, object, failure.why, &decided)
    }

    fn fail(&mut self, taken: &HeldTask, before: &TaskFields, object: &Zval, why: &str, trace: &str) -> Result<(), Stop> {
        let (decided, _) = self.settle_failure(taken, before, object, why, trace)?;
        self.announce_failure(taken, object, why, &decided)
    }

    fn announce_failure(&mut self, taken: &HeldTask, object: &Zval, why: &str, decided: &Next) -> Result<(), Stop> {
        match *decided {
            Next::Retry { count, pause } => {
                let most = after(object).map_or(taken.task.max_retries, |fields| fields.max_retries);
                let more = || vec![number(count), number(most), number(pause)];
                self.announce("retry", object, &taken.task, &Said::Retry(count, most), more)
            }
            Next::Dead { .. } => {
                self.announce("failed", object, &taken.task, &Said::Because("Failed", why), || vec![text(why.as_bytes())])
            }
        }
    }

    /// Publishes the retry or the dead letter, confirmed, then acks.
    fn settle_failure(
        &mut self,
        taken: &HeldTask,
        before: &TaskFields,
        object: &Zval,
        why: &str,
        trace: &str,
    ) -> Result<(Next, String), Stop> {
        let changed = after(object);
        let (most, expires) =
            changed.as_ref().map_or((before.max_retries, before.expire_at), |now| (now.max_retries, now.expire_at));
        let decided = next(taken.task.current_retry, most, expires, dates::now());
        let (Next::Retry { count, .. } | Next::Dead { count, .. }) = decided;
        let body = body_of(taken, before, changed, count);
        if let Some(mut object) = Some(object.shallow_clone())
            && let Some(object) = object.object_mut()
        {
            // A task without that property is no task of ours any more, and its bytes say it all.
            let _ = object.set_property("currentRetry", count);
        }
        let line = match &decided {
            Next::Retry { count, pause } => {
                self.settle(|puller| puller.retry(taken, &body, *pause))?;
                format!("Retry {count}/{most}")
            }
            Next::Dead { too_late, .. } => {
                let late = if *too_late { " (it would expire before the next try)" } else { "" };
                self.settle(|puller| puller.dead(taken, &body, &format!("{why}{late}"), trace, &stamp()))?;
                "Failed".to_owned()
            }
        };
        Ok((decided, line))
    }

    /// Settles. A broker that takes nothing (it is short of memory or disk, a queue is full) is asked again until it does, or until the
    /// consumer is to stop: the task stays where it is meanwhile. A message that may have been stored is sent again too: it would come
    /// twice just the same if we let go of the task.
    fn settle(&mut self, how: impl Fn(&TaskDeliveries) -> ferry_core::Result<()>) -> Result<(), Stop> {
        let mut pause = Duration::ZERO;
        loop {
            let Some(puller) = &self.puller else { return Ok(()) };
            let Err(error) = how(puller) else { return Ok(()) };
            if !is_ours_still(&error) || self.is_asked_to_stop() {
                self.puller = None;
                return Err(Stop::Broker(error));
            }
            complain(&format!("{error}; trying again"));
            pause = (pause * 2).clamp(SLICE, LONGEST_PAUSE);
            self.wait_for_broker(pause).map_err(Stop::CallFailure)?;
            if self.is_forked() {
                return Ok(());
            }
        }
    }

    /// What is no longer ours comes again: the channel goes.
    fn lost(&mut self, error: Error) -> Stop {
        if !is_ours_still(&error) {
            self.puller = None;
        }
        Stop::Broker(error)
    }

    fn open(&mut self) -> ferry_core::Result<()> {
        if self.puller.is_none() {
            let tasks = self.handle.get()?.tasks()?;
            self.puller = Some(TaskDeliveries::open(&tasks, &self.options)?);
        }
        Ok(())
    }

    fn wait_for_broker(&mut self, pause: Duration) -> Result<(), CallFailure> {
        let end = Instant::now() + pause;
        while Instant::now() < end && !self.is_asked_to_stop() && !self.is_forked() {
            std::thread::sleep(SLICE.min(end.saturating_duration_since(Instant::now())));
            self.poll_signals()?;
        }
        Ok(())
    }

    /// Lets PHP serve its signals.
    fn poll_signals(&self) -> Result<(), CallFailure> {
        if call::is_dead() {
            return Err(CallFailure::Died);
        }
        let Some(dispatch) = self.dispatch else { return Ok(()) };
        guarded(|| call::call_found(dispatch, &mut [])).map(drop)
    }

    fn is_forked(&self) -> bool {
        process::generation() != self.born
    }

    fn is_asked_to_stop(&self) -> bool {
        self.stopped.get() || signals::asked() != StopRequest::No
    }

    fn is_over(&self) -> bool {
        let enough = self.bounds.tasks.is_some_and(|most| i64::try_from(self.count).unwrap_or(i64::MAX) >= most);
        let late = self.bounds.seconds.is_some_and(|most| self.begun.elapsed().as_secs() >= most.unsigned_abs());
        // SAFETY: reads a counter of the allocator.
        let large = self.bounds.memory.is_some_and(|most| unsafe { zend_memory_usage(true) } >= most);
        self.is_asked_to_stop() || enough || late || large
    }

    fn tell_poison(&mut self, id: &str, why: &str) -> Result<(), Stop> {
        let id = if id.is_empty() { "?" } else { id };
        let line = format!("[Task] Error: {id} ({why})\n");
        guarded(|| {
            put(&line, self.quiet);
            Ok(())
        })
        .and_then(|()| self.tell("poison", || vec![text(id.as_bytes()), text(why.as_bytes())]))
        .map_err(Stop::CallFailure)
    }

    /// A line and an event about a task that has no object yet.
    fn tell_of(
        &mut self,
        event: &'static str,
        task: &Task,
        said: &Said<'_>,
        more: impl FnOnce() -> Vec<Zval>,
    ) -> Result<(), Stop> {
        self.say(task, said).map_err(Stop::CallFailure)?;
        self.tell(event, || std::iter::once(text(task.id.as_bytes())).chain(more()).collect()).map_err(Stop::CallFailure)
    }

    /// A line and an event about a task.
    fn announce(
        &mut self,
        event: &'static str,
        object: &Zval,
        task: &Task,
        said: &Said<'_>,
        more: impl FnOnce() -> Vec<Zval>,
    ) -> Result<(), Stop> {
        self.say(task, said).map_err(Stop::CallFailure)?;
        self.tell(event, || std::iter::once(object.shallow_clone()).chain(more()).collect()).map_err(Stop::CallFailure)
    }

    /// Says a line. Output may run PHP code: a callback of a buffer.
    fn say(&self, task: &Task, said: &Said<'_>) -> Result<(), CallFailure> {
        let line = match said {
            Said::Plain(word) => format!("[Task] {word}: {}\n", task.id),
            Said::Because(word, why) => {
                let why = why.lines().next().unwrap_or_default();
                format!("[Task] {word}: {} ({why})\n", task.id)
            }
            Said::Retry(count, most) => format!("[Task] Retry {count}/{most}: {}\n", task.id),
        };
        let quiet = self.quiet;
        guarded(|| {
            put(&line, quiet);
            Ok(())
        })
    }

    fn tell(&self, event: &'static str, arguments: impl FnOnce() -> Vec<Zval>) -> Result<(), CallFailure> {
        let listeners = self.listeners.of(event);
        if listeners.is_empty() {
            return Ok(());
        }
        let arguments = arguments();
        for listener in listeners {
            let mut given: Vec<Zval> = arguments.iter().map(Zval::shallow_clone).collect();
            guarded(|| call::callable(&listener, &mut given))?;
        }
        Ok(())
    }
}

impl Drop for Shift<'_> {
    fn drop(&mut self) {
        if self.is_forked() {
            // It belongs to the parent; dropping it could talk on the parent's sockets.
            std::mem::forget(self.puller.take());
        }
    }
}

/// Why a turn ended the loop, or may end it.
enum Stop {
    Broker(Error),
    CallFailure(CallFailure),
}

impl End {
    /// In a forked child only the end of the process is passed on.
    fn or_exit(self, end: End) -> End {
        match end {
            End::CallFailure(trouble) => End::CallFailure(trouble),
            End::Done | End::Forked | End::Failed(_) => self,
        }
    }
}

/// Whether what we hold is ours after this error: it was about publishing.
fn is_ours_still(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Uncertain | ErrorKind::Refused)
}

/// Whether trying again may help.
fn may_pass(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Connection | ErrorKind::Uncertain | ErrorKind::Refused)
}

fn complain(words: &str) {
    use std::io::Write;
    // There is nobody to tell when standard error is closed. One write, so that lines of several processes do not mix.
    let _ = std::io::stderr().write_all(format!("[Task] {words}\n").as_bytes());
}

fn put(line: &str, quiet: bool) {
    if !quiet {
        // SAFETY: the bytes are live for the call; PHP copies them.
        unsafe { php_output_write(line.as_ptr().cast(), line.len()) };
    }
}

fn stamp() -> String {
    dates::formatted(b"Y-m-d H:i:s", dates::now())
}

fn call_handler(job: &Job, task: &Task, object: &Zval) -> Called {
    match job {
        Job::Callback(callback) => call::callable(callback, &mut [object.shallow_clone()]),
        Job::Registry(registry) => {
            let Some(registry) = registry.extract::<&TaskHandlerRegistry>() else {
                return Err(CallFailure::Missing("the registry is gone".to_owned()));
            };
            let Some(mut handler) = registry.find(task.kind.as_bytes())? else {
                return Err(CallFailure::Missing(format!("no handler is registered for tasks of type `{}`", task.kind)));
            };
            match handler.object_mut() {
                Some(handler) => call::method(handler, "handle", &mut [object.shallow_clone()]),
                None => Err(CallFailure::Missing("the handler is no object".to_owned())),
            }
        }
    }
}

/// Why an answer is no success.
fn failure_in(answer: &Zval, kind: &str) -> Option<String> {
    match answer.extract::<&TaskResult>() {
        Some(result) => result.failure_text().map(str::to_owned),
        None => {
            let what = answer.object().map_or_else(
                || format!("{:?}", answer.get_type()).to_lowercase(),
                |object| String::from_utf8_lossy(&objects::class_name(object)).into_owned(),
            );
            Some(format!("the handler of `{kind}` returned {what}, not a Ferry\\Task\\TaskResult"))
        }
    }
}

/// The task as the handler left it; `None` when it wrote what is no task.
fn after(object: &Zval) -> Option<TaskFields> {
    // A property may be an object with a __toString() of its user's.
    guarded(|| Ok(object.object().and_then(|object| TaskFields::read(object).ok()))).ok().flatten()
}

/// The bytes of the next try: those that came with another count, or new ones when the handler changed the task.
fn body_of(taken: &HeldTask, before: &TaskFields, changed: Option<TaskFields>, count: i64) -> Vec<u8> {
    let came = || taken.task.with_retry(&taken.body, count);
    let Some(mut now) = changed.filter(|now| !now.is_like(before)) else { return came() };
    now.current_retry = count;
    now.id.clone_from(&before.id);
    let encoded = guarded(|| now.to_bytes().map_err(|_| CallFailure::Missing("the task cannot be encoded".to_owned())));
    encoded.unwrap_or_else(|_| {
        complain(&format!("task {} was changed to what cannot be encoded; it goes on as it came", before.id));
        came()
    })
}

fn class_of(exception: &Zval) -> String {
    exception.object().map_or_else(String::new, |object| String::from_utf8_lossy(&objects::class_name(object)).into_owned())
}

/// Message and trace of an exception. Both methods are final, so no code of a user runs.
fn told(exception: &Zval) -> (String, String) {
    let mut exception = exception.shallow_clone();
    let Some(object) = exception.object_mut() else { return (String::new(), String::new()) };
    let mut ask = |method: &str| {
        let answer = guarded(|| call::method(object, method, &mut []));
        let words = answer.ok().and_then(|words| words.zend_str().map(|words| words.as_bytes().to_vec()));
        String::from_utf8_lossy(&words.unwrap_or_default()).into_owned()
    };
    (ask("getMessage"), ask("getTraceAsString"))
}
