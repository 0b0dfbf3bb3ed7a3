//! What the loop needs from PHP. The border implements it; tests implement it with closures.

use std::rc::Rc;
use std::time::Duration;

use ferry_core::Error;
use ferry_core::backoff::Backoff;
use ferry_core::failed::Reason;
use ferry_core::policy::HandlerLimits;

use crate::in_flight::InFlightJob;
use crate::job::HeldJob;

/// The side that runs handlers. Every call happens on the thread that runs the worker.
pub trait Host {
    /// Finds the job's handler class and what it says of its jobs. `Err` when there is none, or when finding it failed.
    fn prepare(&mut self, job: &InFlightJob) -> Result<HandlerLimits, CallEnd>;

    /// Runs the job's handler.
    fn call(&mut self, job: &Rc<HeldJob>) -> CallEnd;

    /// What the handler that just failed asked for by its `backoff()`.
    fn backoff(&mut self) -> Option<Backoff>;

    /// Tells the handler that its job failed for good, by its `failed()` method if it has one.
    fn failed(&mut self, job: &Rc<HeldJob>, why: &FailureCause) -> Result<CallEnd, Halt>;

    /// Tells listeners, and the console.
    fn event(&mut self, event: Event<'_>) -> Result<(), Halt>;

    /// Lets PHP do what is due: signal handlers. Called between jobs and at least every 200 ms while idle.
    fn poll_signals(&mut self) -> Result<(), Halt>;

    /// Whether somebody asked the worker to stop.
    fn stopping(&self) -> bool;

    /// Whether somebody asked this worker to pause.
    fn paused(&self) -> bool;

    /// Nothing is ready: a good moment to tidy up.
    fn idle(&mut self) -> Result<(), Halt>;

    /// Bytes in use, for the memory limit.
    fn memory(&self) -> usize;
}

/// How a call into a handler ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEnd {
    /// It returned.
    Returned,
    /// It threw; the text is what PHP prints of the exception. The host keeps the exception itself until the next call.
    Threw(String),
    /// The clock stopped it.
    TimedOut,
    /// The clock stopped it because the worker was told to leave. The host says [`CallEnd::TimedOut`]; the worker knows why.
    Interrupted,
    /// There is no such class or method; the text says which.
    NoHandler(String),
    /// `data` could not be decoded; the text says why.
    BadData(String),
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
    /// In one word.
    pub reason: Reason,
    /// In full: the exception, or our own sentence.
    pub text: String,
}

/// How a worker goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Jobs worked.
    pub processed: u64,
    /// Of them, failed for good.
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

/// What happened to a job. One event per transition.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    /// The broker answered for the first time.
    Ready,
    /// The worker is about to ask the broker for jobs.
    Looping,
    /// It was told to pause, or all of its queues are paused.
    Paused,
    /// It goes on.
    Resumed,
    /// The fleet's flags could not be read; work goes on without.
    ControlTrouble(&'a Error),
    /// What becomes of jobs cannot be written down; work goes on without.
    StatusTrouble(&'a Error),
    /// How it goes, now and then.
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
    BrokerTrouble(&'a Error),
    /// The broker answers again.
    BrokerBack,
    /// The worker leaves although the broker does not answer.
    BrokerGone(&'a Error),
    /// What became of a job did not reach the broker: it stays reserved until its lease ends. Says nothing about the next try.
    Unsettled(&'a Rc<HeldJob>, &'a Error),
    /// The worker stops with this exit code.
    Stopping(u8),
}
