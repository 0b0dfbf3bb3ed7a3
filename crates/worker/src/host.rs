//! What a worker needs from PHP. The extension implements it; tests implement it with closures.

use std::rc::Rc;
use std::time::Duration;

use ferry_core::Error;
use ferry_core::backoff::Backoff;
use ferry_core::broker::tasks::ForeignMessage;
use ferry_core::failed::Reason;
use ferry_core::policy::HandlerLimits;
use ferry_core::task::Task;
use ferry_support::threads::ThreadPanic;

use crate::in_flight::InFlightJob;
use crate::job::HeldJob;
use crate::task_status::TaskStatus;

/// PHP, as the loop of a worker needs it. Every call happens on the thread that runs the worker.
///
/// Methods take `&self`: a handler may call back into the worker that runs it, and nothing is borrowed mutably meanwhile.
pub trait Host {
    /// Logs an event and calls its listeners.
    fn event(&self, event: Event<'_>) -> Result<(), Halt>;

    /// Lets PHP do what is due: signal handlers. Called between jobs and at least every 200 ms while idle.
    fn poll_signals(&self) -> Result<(), Halt>;

    /// Whether somebody asked the worker to stop.
    fn stopping(&self) -> bool;

    /// Whether somebody asked this worker to pause.
    fn paused(&self) -> bool;

    /// Nothing is ready: a good moment to collect garbage.
    fn idle(&self) -> Result<(), Halt>;

    /// Bytes in use, for the memory limit.
    fn memory(&self) -> usize;
}

/// The side that runs the handlers of jobs.
pub trait JobHost: Host {
    /// Finds the job's handler class and the limits that it sets. `Err` when there is none, or when finding it failed.
    fn prepare(&self, job: &InFlightJob) -> Result<HandlerLimits, CallEnd>;

    /// Whether a factory of handlers does not know the job's class. Asked for a job that has no attempt left; `Err` when the factory failed.
    fn lacks_handler(&self, job: &InFlightJob) -> Result<bool, CallEnd>;

    /// Runs the job's handler.
    fn call(&self, job: &Rc<HeldJob>) -> CallEnd;

    /// What `backoff()` of the handler that just failed returned.
    fn backoff(&self) -> Option<Backoff>;

    /// Asks a job that failed, or one that used up its tries and lies here again, whether it may be tried again after `made` attempts.
    /// `None` where jobs are not asked, or when it did not say: its tries decide.
    fn can_retry(&self, job: &Rc<HeldJob>, made: u32) -> Result<Option<bool>, CallEnd>;

    /// Calls the `failed()` method of the handler, if it has one: its job failed for good.
    fn failed(&self, job: &Rc<HeldJob>, cause: &FailureCause) -> Result<CallEnd, Halt>;
}

/// The side that runs the handlers of tasks. It keeps the PHP object of the task at hand from `open` to `release`.
pub trait TaskHost: Host {
    /// What a message of another program stands for.
    fn decode(&self, message: &ForeignMessage) -> Decoded;

    /// Makes the PHP object of a task. The inner error says why PHP cannot read it.
    fn open(&self, task: &Task, body: &[u8]) -> Result<Result<(), String>, Halt>;

    /// Finds the handler of the opened task, and answers what it and the task say of their limits.
    fn prepare(&self, task: &Task) -> HandlerLimits;

    /// Runs the task's handler, which may report its progress to `status`.
    fn run(&self, task: &Task, status: Option<&Rc<TaskStatus>>) -> TaskEnd;

    /// The data that its handler returned, as JSON text for its status.
    fn result(&self) -> Option<String>;

    /// How many executions the task may have and the unix second at which it expires, as its handler left them.
    fn limits(&self, task: &Task) -> (i64, i64);

    /// The bytes of the next execution, with `count` failed ones. Others than `body` when the handler changed the task.
    fn next_body(&self, task: &Task, body: &[u8], count: i64) -> Vec<u8>;

    /// The task failed for good and its dead letter is stored: tells the handler.
    fn failed(&self, why: &str) -> Result<(), Halt>;

    /// The task at hand is over and settled.
    fn release(&self) -> Result<(), Halt>;

    /// Logs an event without calling PHP code: the process is on its way out.
    fn log(&self, event: TaskEvent<'_>);

    /// The unix second.
    fn now(&self) -> i64;

    /// The time as `Y-m-d H:i:s`, in PHP's time zone.
    fn stamp(&self) -> String;
}

/// What a decoder says of a message of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// It stands for the task with these bytes.
    Task(Vec<u8>),
    /// It does not know such messages.
    Unknown,
    /// It threw, or what it returned is no task; the text says which.
    Failed(String),
    /// The watchdog stopped it.
    TimedOut,
    /// The job or task in which this consumer runs was stopped. No further PHP code may run.
    Unwinding,
    /// It ended the process in an orderly way: `exit()`. No further PHP code may run.
    Exited,
    /// A fatal error ended it.
    Died(String),
}

/// How the handler of a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEnd {
    /// Its result says that it succeeded.
    Succeeded,
    /// Its result says that it failed, or is no result.
    Failed {
        /// Why.
        why: String,
        /// The trace of the exception in its result, or nothing.
        trace: String,
    },
    /// It threw, or there is no handler.
    Threw {
        /// For the log.
        line: String,
        /// For the dead letter.
        why: String,
        /// The trace of the exception, or nothing.
        trace: String,
    },
    /// The watchdog stopped it.
    TimedOut,
    /// The job or task in which this one runs was stopped: its handler ran this consumer. No further PHP code may run.
    Unwinding,
    /// It ended the process in an orderly way: `exit()`. No further PHP code may run.
    Exited,
    /// A fatal error ended it. No further PHP code may run.
    Died(String),
}

/// How a call into a handler ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEnd {
    /// It returned.
    Returned,
    /// It threw; the text is what PHP prints of the exception. The host keeps the exception itself until the next call.
    Threw(String),
    /// The watchdog stopped it.
    TimedOut,
    /// The watchdog stopped it because the worker was asked to stop. The host returns [`CallEnd::TimedOut`]; the worker knows why.
    Interrupted,
    /// There is no such class in this process; the text names it.
    NoHandler(String),
    /// Its class is not allowed, or has no such method; the text says which.
    Refused(String),
    /// `data` could not be decoded; the text says why.
    BadData(String),
    /// The job in which this one runs was stopped: its handler ran a worker or pushed to `sync`. No further PHP code may run.
    Unwinding,
    /// It ended the process in an orderly way: `exit()`. No further PHP code may run.
    Exited,
    /// A fatal error ended it. No further PHP code may run.
    Died(String),
}

/// Why the loop ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// A listener or a signal handler threw; the exception is pending and goes to the caller of `run()`.
    Threw,
    /// PHP code called `exit()`.
    Exited,
    /// A fatal error.
    Died,
    /// This is a child that was forked inside a handler.
    Forked,
}

/// Why a job failed for good.
#[derive(Debug, Clone)]
pub struct FailureCause {
    /// The kind of failure.
    pub reason: Reason,
    /// The exception as PHP prints it, or our own sentence.
    pub text: String,
}

/// The numbers of a worker, for a status line.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Attempts that ended well.
    pub processed: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Jobs that lie in its queues, those held by workers too. `None` when the broker did not say.
    pub pending: Option<u64>,
    /// Jobs a second since the last summary.
    pub rate: f64,
    /// Bytes in use.
    pub memory: usize,
    /// Since it began.
    pub uptime: Duration,
}

/// What happened to a task. One event per transition.
#[derive(Debug, Clone, Copy)]
pub enum TaskEvent<'a> {
    /// It is about to be handed to its handler.
    Starting(&'a Task),
    /// Its handler succeeded.
    Succeeded(&'a Task),
    /// Its handler threw; the text is for the log.
    Error(&'a Task, &'a str),
    /// It is run again.
    Retry {
        /// The task.
        task: &'a Task,
        /// Executions that failed.
        count: i64,
        /// Executions allowed.
        most: i64,
        /// Seconds until then.
        pause: i64,
        /// Why the last execution failed.
        why: &'a str,
    },
    /// It failed for good and is a dead letter; the text says why.
    Failed(&'a Task, &'a str),
    /// It expired before it was run, and is a dead letter.
    Expired(&'a Task),
    /// It is no task, and is a dead letter.
    Poison {
        /// What named the message, if anything did.
        id: &'a str,
        /// What was wrong with it.
        why: &'a str,
    },
    /// It ran longer than its timeout and was stopped.
    TimedOut(&'a Task, Duration),
    /// The consumer is to stop and interrupted it; it goes back, uncounted.
    GivenBack(&'a Task),
}

/// What happened to a worker or to a job. One event per transition.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    /// The broker answered for the first time.
    Ready,
    /// The worker is about to ask the broker for jobs.
    Looping,
    /// It was told to pause, or all of its queues are paused.
    Paused,
    /// It continues.
    Resumed,
    /// The control flags could not be read; jobs go on without.
    ControlError(&'a Error),
    /// The status of jobs cannot be written; jobs go on without.
    StatusError(&'a Error),
    /// A summary, from time to time.
    Status(&'a Summary),
    /// A job is about to be handed to its handler.
    Processing(&'a Rc<HeldJob>),
    /// Its handler returned.
    Processed(&'a Rc<HeldJob>),
    /// Its handler threw, or it could not be started.
    Exception(&'a Rc<HeldJob>, &'a FailureCause),
    /// It ran longer than its timeout and was stopped.
    TimedOut(&'a Rc<HeldJob>, Duration),
    /// It failed for good and lies in the failed store.
    Failed(&'a Rc<HeldJob>, &'a FailureCause),
    /// The worker released it; seconds until it is ready again.
    Released(&'a Rc<HeldJob>, i64),
    /// Its handler returned without settling it, for the first time in this class: it stays reserved and runs again.
    NotSettled(&'a Rc<HeldJob>),
    /// Somebody else holds it; nothing was changed.
    Lost(&'a Rc<HeldJob>),
    /// A pipelined deletion came too late: the job with this id, from this queue, may run again.
    SettleLost {
        /// The id of the job.
        id: &'a str,
        /// Its queue.
        queue: &'a str,
    },
    /// The broker was not reached or refused; the worker tries again.
    BrokerError(&'a Error),
    /// The broker answers again.
    BrokerRecovered,
    /// The broker does not answer, and the worker stops.
    BrokerLost(&'a Error),
    /// What became of a job did not reach the broker: it stays reserved until its lease ends. The next settlement may succeed.
    Unsettled(&'a Rc<HeldJob>, &'a Error),
    /// The driver has something to say to the operator.
    Notice(&'a str),
    /// Something happened to a task.
    Task(TaskEvent<'a>),
    /// A thread of the worker panicked, and the worker stops.
    ThreadPanicked(&'a ThreadPanic),
    /// The worker stops with this exit code.
    Stopping(u8),
}
