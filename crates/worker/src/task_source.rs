//! The tasks of a consumer, as an engine runs them.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::backoff::Backoff;
use ferry_core::broker::tasks::{ForeignMessage, ReceivedTask, TaskReceiver, TaskSettlement};
use ferry_core::policy::{HandlerLimits, Tries};
use ferry_core::queue::QueueName;
use ferry_core::status::State;
use ferry_core::task::{Next, Task, TaskLimits, next};
use ferry_core::{Broker, Error, ErrorKind, Result};
use ferry_support::pause::GrowingPause;
use ferry_support::sync;
use ferry_support::threads::PanicSlot;

use crate::control::RunningUnit;
use crate::engine::{Engine, LoopAction, SLICE, Source, UnitEnd};
use crate::execution::random;
use crate::fork_generation::ForkGeneration;
use crate::host::{Decoded, Event, Halt, TaskEnd, TaskEvent, TaskHost};
use crate::options::Options;
use crate::shutdown::ShutdownDeadline;
use crate::task_status::{TaskStatus, TaskStatuses};
use crate::watchdog::{Interrupter, ShutdownPolicy, TimeoutSchedule, Watchdog};

/// How long a task may take to arrive before the queues count as empty.
const EMPTY_AFTER: Duration = Duration::from_millis(200);
/// The pause before a settlement is tried again.
const RETRY: GrowingPause = GrowingPause::new(SLICE, Duration::from_secs(5));

/// Opens a receiver for queues, the highest first.
pub type OpenReceiver<'a> = dyn FnMut(&[QueueName]) -> Result<Box<dyn TaskReceiver>> + 'a;

/// The task that runs, for reports of the worker.
#[derive(Default)]
pub struct RunningTask(Mutex<Option<String>>);

impl RunningUnit for RunningTask {
    fn name(&self) -> Option<String> {
        sync::lock(&self.0).clone()
    }
}

/// The watchdog and its thread.
struct TaskWatchdog {
    watchdog: Arc<Watchdog>,
    interrupter: Arc<dyn Interrupter>,
    thread: JoinHandle<()>,
}

/// Takes tasks one by one and runs them.
pub struct TaskSource<'a> {
    host: &'a dyn TaskHost,
    options: &'a Options,
    generation: ForkGeneration,
    open: Box<OpenReceiver<'a>>,
    /// The receiver and its queues.
    receiver: Option<(Box<dyn TaskReceiver>, Vec<QueueName>)>,
    /// The task at hand.
    received: Option<ReceivedTask>,
    /// What the task at hand and its handler say of their limits.
    limits: HandlerLimits,
    /// Why the last settlement failed: the next reservation reports it.
    failure: Option<Error>,
    watchdog: Option<TaskWatchdog>,
    statuses: Option<TaskStatuses>,
    running: Arc<RunningTask>,
}

/// Why an execution failed.
struct TaskFailure {
    /// In the dead letter.
    why: String,
    /// The trace of the exception, or nothing.
    trace: String,
    /// In the log, when the failure has an event of its own.
    line: Option<String>,
}

impl<'a> TaskSource<'a> {
    /// A source that has not opened anything yet.
    pub fn new(host: &'a dyn TaskHost, options: &'a Options, generation: fn() -> u64, open: Box<OpenReceiver<'a>>) -> Self {
        Self {
            host,
            options,
            generation: ForkGeneration::here(generation),
            open,
            receiver: None,
            received: None,
            limits: HandlerLimits::default(),
            failure: None,
            watchdog: None,
            statuses: None,
            running: Arc::default(),
        }
    }

    /// Lets a watchdog stop tasks that run too long, through `interrupter`. When it kills the process nothing is settled: the broker
    /// delivers the task again, and that counts as a failed execution.
    pub fn start_watchdog(&mut self, interrupter: Arc<dyn Interrupter>, panics: &PanicSlot) -> Result<()> {
        let policy = ShutdownPolicy { stop_timeout: self.options.stop_timeout, grace: self.options.grace };
        let (watchdog, thread) = Watchdog::start(interrupter.clone(), policy, panics)?;
        self.watchdog = Some(TaskWatchdog { watchdog, interrupter, thread });
        Ok(())
    }

    /// Writes the statuses of tasks to the status store of `store` for `ttl` seconds.
    pub fn start_statuses(&mut self, store: Arc<dyn Broker>, ttl: u32, panics: &PanicSlot) -> Result<()> {
        self.statuses = Some(TaskStatuses::start(store, &self.options.connection, ttl, panics)?);
        Ok(())
    }

    fn status(&self, task: &Task) -> Option<Rc<TaskStatus>> {
        self.statuses.as_ref().and_then(|statuses| statuses.of(task))
    }

    /// The task that runs, for reports.
    pub fn running(&self) -> Arc<RunningTask> {
        self.running.clone()
    }

    /// The receiver of `queues`. One of other queues is closed: some of them were paused or resumed.
    fn receiver(&mut self, queues: &[QueueName]) -> Result<&mut Box<dyn TaskReceiver>> {
        if self.receiver.as_ref().is_some_and(|(_, opened)| opened != queues) {
            self.close_receiver()?;
        }
        let receiver = match self.receiver.take() {
            Some(receiver) => receiver,
            None => ((self.open)(queues)?, queues.to_vec()),
        };
        Ok(&mut self.receiver.insert(receiver).0)
    }

    fn close_receiver(&mut self) -> Result<()> {
        self.receiver.take().map_or(Ok(()), |(mut receiver, _)| receiver.close())
    }

    /// Sees a received task through. Returns how it counts.
    fn run(&mut self, engine: &Engine<'_>, received: ReceivedTask) -> std::result::Result<UnitEnd, Halt> {
        match received {
            ReceivedTask::Run { task, body } => return self.run_task(engine, &task, &body),
            ReceivedTask::Foreign(message) => return self.decode(engine, &message),
            ReceivedTask::Expired(task) => {
                self.report_failure(&task, State::Expired, "the task expired");
                self.emit(TaskEvent::Expired(&task))?;
            }
            ReceivedTask::Poison { id, why } => {
                let id = if id.is_empty() { "?" } else { &id };
                self.emit(TaskEvent::Poison { id, why: &why })?;
            }
            ReceivedTask::Counted(task, count) => {
                self.emit(TaskEvent::Retry { task: &task, count, most: task.max_retries, pause: 0, why: "its worker died" })?;
                return Ok(UnitEnd::Retried);
            }
            ReceivedTask::LastChance(task) => {
                let (count, most) = (task.current_retry, task.max_retries);
                self.emit(TaskEvent::Retry { task: &task, count, most, pause: 0, why: "its worker died; it runs once more" })?;
                return Ok(UnitEnd::Retried);
            }
            ReceivedTask::CrashLoop(task) => {
                let why = "every worker that held it died";
                self.report_failure(&task, State::Failed, why);
                self.emit(TaskEvent::Failed(&task, why))?;
            }
        }
        Ok(UnitEnd::Failed)
    }

    /// The status of a task whose execution failed, or that ended before it was run.
    fn report_failure(&self, task: &Task, state: State, why: &str) {
        if let Some(status) = self.status(task) {
            status.failed(state, why);
        }
    }

    /// Asks what a message stands for, and runs that task. What is none becomes a dead letter, whatever ends the process meanwhile: it
    /// would end the next one, too.
    fn decode(&mut self, engine: &Engine<'_>, message: &ForeignMessage) -> std::result::Result<UnitEnd, Halt> {
        self.limits = HandlerLimits::default();
        self.arm_watchdog();
        let decoded = self.host.decode(message);
        if self.generation.is_forked() {
            return Err(if matches!(decoded, Decoded::Died(_)) { Halt::Died } else { Halt::Forked });
        }
        let interrupted = self.disarm_watchdog();
        let why = match decoded {
            Decoded::Task(body) => return self.accept(engine, body),
            Decoded::TimedOut if interrupted => {
                self.settle(engine, &TaskSettlement::GiveBack)?;
                return Ok(UnitEnd::Retried);
            }
            Decoded::Unwinding => {
                self.settle_silently(&TaskSettlement::GiveBack);
                return Err(Halt::Exited);
            }
            Decoded::Exited => {
                self.settle_silently(&TaskSettlement::Poison { why: "the decode callback ended the process" });
                return Err(Halt::Exited);
            }
            Decoded::Died(why) => {
                self.settle_silently(&TaskSettlement::Poison { why: &format!("the decode callback ended the process: {why}") });
                return Err(Halt::Died);
            }
            Decoded::Unknown => message.why.clone(),
            Decoded::Failed(why) => why,
            Decoded::TimedOut => "the decode callback ran longer than the timeout and was stopped".to_owned(),
        };
        if self.settle(engine, &TaskSettlement::Poison { why: &why })? {
            let id = if message.id.is_empty() { "?" } else { &message.id };
            self.emit(TaskEvent::Poison { id, why: &why })?;
        }
        self.host.release()?;
        Ok(UnitEnd::Failed)
    }

    /// Runs what a message was decoded to. After an error the message comes again.
    fn accept(&mut self, engine: &Engine<'_>, body: Vec<u8>) -> std::result::Result<UnitEnd, Halt> {
        let Some((receiver, _)) = &mut self.receiver else { return Ok(UnitEnd::Retried) };
        let host = self.host;
        match receiver.accept(body, &|| host.stamp()) {
            Ok(received) => self.run(engine, received),
            Err(error) => {
                if !is_still_held(&error) {
                    self.receiver = None;
                }
                self.failure = Some(error);
                Ok(UnitEnd::Retried)
            }
        }
    }

    fn run_task(&mut self, engine: &Engine<'_>, task: &Task, body: &[u8]) -> std::result::Result<UnitEnd, Halt> {
        if let Err(why) = self.host.open(task, body)? {
            if self.settle(engine, &TaskSettlement::Poison { why: &why })? {
                self.emit(TaskEvent::Poison { id: &task.id, why: &why })?;
            }
            return Ok(UnitEnd::Failed);
        }
        let started = self.emit(TaskEvent::Starting(task));
        if self.generation.is_forked() {
            // A listener forked, and this is the child.
            return started.and(Err(Halt::Forked));
        }
        if let Err(halt) = started {
            // Its handler was never called.
            self.settle_silently(&TaskSettlement::GiveBack);
            return Err(halt);
        }
        let status = self.status(task);
        if let Some(status) = &status {
            status.running();
        }
        let (end, interrupted) = self.call(task, status.as_ref());
        if self.generation.is_forked() {
            return Err(if matches!(end, TaskEnd::Died(_)) { Halt::Died } else { Halt::Forked });
        }
        let ended = self.conclude(engine, task, body, end, interrupted)?;
        self.host.release()?;
        Ok(ended)
    }

    /// How long the task at hand may run: what it says, or else its handler, or else the options.
    fn timeout(&self) -> Option<Duration> {
        self.limits.timeout.or(self.options.timeout).filter(|timeout| !timeout.is_zero())
    }

    fn arm_watchdog(&self) {
        if let Some(watched) = &self.watchdog {
            let schedule = |timeout| TimeoutSchedule::new(Instant::now(), timeout, self.options.warning, self.options.grace);
            watched.watchdog.arm(self.timeout().map(schedule));
        }
    }

    /// Returns whether it stopped what ran because the consumer is to stop.
    fn disarm_watchdog(&self) -> bool {
        let fired = self.watchdog.as_ref().and_then(|watched| {
            let fired = watched.watchdog.disarm()?;
            watched.interrupter.clear();
            Some(fired)
        });
        fired.is_some_and(|fired| fired.interrupted)
    }

    /// Finds the handler and runs it, watched. Returns whether it was interrupted because the consumer is to stop, too.
    fn call(&mut self, task: &Task, status: Option<&Rc<TaskStatus>>) -> (TaskEnd, bool) {
        *sync::lock(&self.running.0) = Some(task.kind.clone());
        self.limits = HandlerLimits::default();
        // Finding the handler is its code, too.
        self.arm_watchdog();
        self.limits = self.host.prepare(task);
        if self.limits.timeout.is_some() {
            self.arm_watchdog();
        }
        let end = self.host.run(task, status);
        if self.generation.is_forked() {
            return (end, false);
        }
        let interrupted = self.disarm_watchdog();
        *sync::lock(&self.running.0) = None;
        (end, interrupted)
    }

    /// Settles the task by how its handler ended, and reports it. Returns how it counts.
    fn conclude(
        &mut self,
        engine: &Engine<'_>,
        task: &Task,
        body: &[u8],
        end: TaskEnd,
        interrupted: bool,
    ) -> std::result::Result<UnitEnd, Halt> {
        match end {
            TaskEnd::Succeeded => {
                // It may run PHP code, which may end the process: before the task is settled, it would run again.
                let result = self.statuses.as_ref().and_then(|_| self.host.result());
                if self.settle(engine, &TaskSettlement::Done)? {
                    if let Some(status) = self.status(task) {
                        status.succeeded(result);
                    }
                    self.emit(TaskEvent::Succeeded(task))?;
                }
                Ok(UnitEnd::Done)
            }
            TaskEnd::TimedOut if interrupted => {
                if self.settle(engine, &TaskSettlement::GiveBack)? {
                    if let Some(status) = self.status(task) {
                        status.given_back();
                    }
                    self.emit(TaskEvent::GivenBack(task))?;
                }
                Ok(UnitEnd::Retried)
            }
            TaskEnd::TimedOut => {
                let timeout = self.timeout().unwrap_or_default();
                self.emit(TaskEvent::TimedOut(task, timeout))?;
                let why = format!("{} ran longer than its timeout of {} s and was stopped", task.kind, timeout.as_secs_f64());
                self.fail(engine, task, body, &TaskFailure { why, trace: String::new(), line: None })
            }
            TaskEnd::Failed { why, trace } => self.fail(engine, task, body, &TaskFailure { why, trace, line: None }),
            TaskEnd::Threw { line, why, trace } => self.fail(engine, task, body, &TaskFailure { why, trace, line: Some(line) }),
            // The time of another one was over, so this is no failed execution.
            TaskEnd::Unwinding => {
                self.settle_silently(&TaskSettlement::GiveBack);
                Err(Halt::Exited)
            }
            TaskEnd::Exited => {
                self.fail_silently(task, body, "the handler ended the process");
                Err(Halt::Exited)
            }
            TaskEnd::Died(why) => {
                self.fail_silently(task, body, &why);
                Err(Halt::Died)
            }
        }
    }

    /// Settled before anything is reported: what a listener throws must not keep the task from its end.
    fn fail(
        &mut self,
        engine: &Engine<'_>,
        task: &Task,
        body: &[u8],
        failure: &TaskFailure,
    ) -> std::result::Result<UnitEnd, Halt> {
        let (decision, most) = self.decide(task);
        let settled =
            self.with_settlement(task, body, &decision, failure, |source, settlement| source.settle(engine, settlement))?;
        if settled {
            self.report_failure(task, state_after(&decision), &failure.why);
        }
        if let Some(line) = &failure.line {
            self.emit(TaskEvent::Error(task, line))?;
        }
        if settled {
            if matches!(decision, Next::Dead { .. }) {
                self.host.failed(&failure.why)?;
            }
            self.emit(consequence(task, &decision, most, &failure.why))?;
        }
        Ok(match decision {
            Next::Retry { .. } => UnitEnd::Retried,
            Next::Dead { .. } => UnitEnd::Failed,
        })
    }

    /// Settles while PHP is on its way out: no listener is called.
    fn fail_silently(&mut self, task: &Task, body: &[u8], why: &str) {
        let failure = TaskFailure { why: why.to_owned(), trace: String::new(), line: None };
        let (decision, most) = self.decide(task);
        if self.with_settlement(task, body, &decision, &failure, Self::settle_silently) {
            self.report_failure(task, state_after(&decision), why);
            self.host.log(consequence(task, &decision, most, why));
        }
    }

    /// What follows from a failed execution, and how many executions are allowed. The handler may have changed both.
    fn decide(&self, task: &Task) -> (Next, i64) {
        let (left, expire_at) = self.host.limits(task);
        let executions = match self.limits.tries {
            Some(Tries::Limit(tries)) if left == task.max_retries => tries,
            _ => left,
        };
        let backoff = self.limits.backoff.clone().unwrap_or(Backoff::RABBITMQ_TASK);
        (next(task.current_retry, &TaskLimits { executions, expire_at, backoff }, self.host.now(), random()), executions)
    }

    fn with_settlement<T>(
        &mut self,
        task: &Task,
        body: &[u8],
        decision: &Next,
        failure: &TaskFailure,
        settle: impl FnOnce(&mut Self, &TaskSettlement<'_>) -> T,
    ) -> T {
        let (Next::Retry { count, .. } | Next::Dead { count, .. }) = *decision;
        let raised = self.host.next_body(task, body, count);
        match *decision {
            Next::Retry { pause, .. } => settle(self, &TaskSettlement::Retry { body: &raised, pause }),
            Next::Dead { too_late, .. } => {
                let late = if too_late { " (it would expire before the next try)" } else { "" };
                let (message, stamp) = (format!("{}{late}", failure.why), self.host.stamp());
                let (trace, stamp) = (failure.trace.as_str(), stamp.as_str());
                settle(self, &TaskSettlement::Dead { body: &raised, message: &message, trace, stamp })
            }
        }
    }

    /// Settles the task at hand. A broker that accepts nothing (it is short of memory or disk, a queue is full) is asked again until it does,
    /// or until the consumer is to stop: the task stays where it is meanwhile. A message that may have been stored is sent again too: it
    /// would come twice just the same if the task were let go.
    ///
    /// Returns false when it was not settled. Then the task comes again.
    fn settle(&mut self, engine: &Engine<'_>, settlement: &TaskSettlement<'_>) -> std::result::Result<bool, Halt> {
        let mut pause = RETRY;
        loop {
            let Some((receiver, _)) = &mut self.receiver else { return Ok(false) };
            let Err(error) = receiver.settle(settlement) else { return Ok(true) };
            if !is_still_held(&error) || engine.is_ending() {
                self.receiver = None;
                self.failure = Some(error);
                return Ok(false);
            }
            self.host.event(Event::BrokerError(&error))?;
            engine.sleep_interruptible(pause.next_pause())?;
        }
    }

    /// Settles once. Nobody is left to hear of an error, and the task comes again then.
    fn settle_silently(&mut self, settlement: &TaskSettlement<'_>) -> bool {
        self.receiver.as_mut().is_some_and(|(receiver, _)| receiver.settle(settlement).is_ok())
    }

    fn emit(&self, event: TaskEvent<'_>) -> std::result::Result<(), Halt> {
        self.host.event(Event::Task(event))
    }
}

fn consequence<'a>(task: &'a Task, decision: &Next, most: i64, why: &'a str) -> TaskEvent<'a> {
    match *decision {
        Next::Retry { count, pause } => TaskEvent::Retry { task, count, most, pause, why },
        Next::Dead { .. } => TaskEvent::Failed(task, why),
    }
}

fn state_after(decision: &Next) -> State {
    match decision {
        Next::Retry { .. } => State::Retrying,
        Next::Dead { .. } => State::Failed,
    }
}

/// Whether the task is still ours after this error: it was about publishing.
fn is_still_held(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Uncertain | ErrorKind::Refused)
}

impl Source for TaskSource<'_> {
    fn reserve(&mut self, _: &Engine<'_>, queues: &[QueueName], wait: Duration) -> Result<bool> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let wait = if self.options.stop_when_empty { EMPTY_AFTER } else { wait };
        let host = self.host;
        let received = self.receiver(queues)?.next(wait, &|| host.stamp());
        match received {
            Ok(received) => self.received = received,
            Err(error) => {
                if !is_still_held(&error) {
                    self.receiver = None;
                }
                return Err(error);
            }
        }
        Ok(self.received.is_some())
    }

    fn run_batch(&mut self, engine: &mut Engine<'_>) -> std::result::Result<LoopAction, Halt> {
        let Some(received) = self.received.take() else { return Ok(LoopAction::Continue) };
        let end = self.run(engine, received)?;
        // Pauses of single queues are looked at before the next task is taken.
        engine.after_unit(end, None, &*self)
    }

    fn release_prefetched(&mut self) {
        self.failure = self.close_receiver().err();
    }

    fn pending(&self, _: &[QueueName]) -> Option<u64> {
        None
    }

    fn report(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(error) = self.statuses.as_ref().and_then(TaskStatuses::take_failure) {
            emit(Event::StatusError(&error));
        }
    }

    fn close(&mut self, _: &ShutdownDeadline, emit: &mut dyn FnMut(Event<'_>)) {
        if let Err(error) = self.close_receiver() {
            // They come again when the connection ends, counted as a failed execution.
            emit(Event::BrokerLost(&error.within("give back tasks that were not run")));
        }
        self.report(emit);
        if let Some(statuses) = self.statuses.take() {
            statuses.close();
        }
        if let Some(watched) = self.watchdog.take() {
            watched.watchdog.close();
            // A panic was reported by the thread itself.
            let _ = watched.thread.join();
        }
    }

    #[allow(clippy::mem_forget)]
    fn forget(&mut self) {
        // Dropping the receiver could write to the parent's socket, and the thread does not exist here.
        std::mem::forget((self.receiver.take(), self.received.take(), self.watchdog.take(), self.statuses.take()));
    }
}
