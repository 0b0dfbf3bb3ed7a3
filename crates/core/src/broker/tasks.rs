//! What a broker must be able to do for tasks: hand them to one consumer, and settle the one at hand.
//!
//! Tasks have no envelope with attempts and no lease, so they are no jobs of a [`super::Broker`]; `docs/decisions/0010-tasks.md` says what they
//! are, `docs/decisions/0011-one-engine.md` who calls this.

use std::time::Duration;

use crate::error::Result;
use crate::task::Task;

/// A task that was taken.
#[derive(Debug)]
pub enum ReceivedTask {
    /// To be run. It is held until it is settled.
    Run {
        /// The task.
        task: Task,
        /// Its bytes, unpacked.
        body: Vec<u8>,
    },
    /// It expired before it was run, and is a dead letter now.
    Expired(Task),
    /// It was no task, and is a dead letter now, raw.
    Poison {
        /// What named the message, if anything did.
        id: String,
        /// What was wrong with it.
        why: String,
    },
    /// Its worker died: it was published again, with so many failed executions.
    Counted(Task, i64),
    /// The same, on its last try: it gets one more run.
    LastChance(Task),
    /// Its workers died too often: it is a dead letter now.
    CrashLoop(Task),
    /// It is no task, but a decoder may know it. It is held until [`TaskReceiver::accept`] takes what it stands for, or it is settled.
    Foreign(ForeignMessage),
}

/// A message of another program, for a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignMessage {
    /// What names it, if anything does.
    pub id: String,
    /// Its bytes, unpacked.
    pub body: Vec<u8>,
    /// Its headers.
    pub headers: Vec<(String, HeaderValue)>,
    /// Its other properties that are set, and the queue it came from.
    pub properties: Vec<(&'static str, HeaderValue)>,
    /// Why it is no task.
    pub why: String,
}

/// What a header can hold.
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderValue {
    /// Nothing, or what PHP has no type for.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number, or a time as its unix second.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text, any bytes.
    Text(Vec<u8>),
    /// Values in their order.
    List(Vec<HeaderValue>),
    /// Values under their names.
    Table(Vec<(String, HeaderValue)>),
}

/// How the task at hand ends.
#[derive(Debug)]
pub enum TaskSettlement<'a> {
    /// It succeeded.
    Done,
    /// It is run again in `pause` seconds.
    Retry {
        /// Its bytes, with the count of failed executions raised.
        body: &'a [u8],
        /// Seconds.
        pause: i64,
    },
    /// It failed for good: one dead letter.
    Dead {
        /// Its bytes, with the count of failed executions raised.
        body: &'a [u8],
        /// Why it failed.
        message: &'a str,
        /// The trace of the exception, or nothing.
        trace: &'a str,
        /// The time, as `Y-m-d H:i:s`.
        stamp: &'a str,
    },
    /// PHP cannot read it, or no decoder knows it: one dead letter, raw.
    Poison {
        /// What was wrong with it.
        why: &'a str,
    },
    /// It was not run, or does not count: it goes back to its queue.
    GiveBack,
}

/// Takes tasks of some queues, the highest first. Belongs to one thread and to the process that opened it.
pub trait TaskReceiver {
    /// The next task, waiting up to `wait`. `stamp` returns the time as `Y-m-d H:i:s`, for dead letters.
    ///
    /// What needs no run is settled already when it is returned. After an error of publishing it is still held and comes once more.
    fn next(&mut self, wait: Duration, stamp: &dyn Fn() -> String) -> Result<Option<ReceivedTask>>;

    /// The foreign message that [`TaskReceiver::next`] returned last stands for the task with these bytes, which is held from now on.
    ///
    /// Answers and fails as `next` does.
    fn accept(&mut self, body: Vec<u8>, stamp: &dyn Fn() -> String) -> Result<ReceivedTask>;

    /// Settles the task or message that [`TaskReceiver::next`] returned last. After [`crate::ErrorKind::Uncertain`] or
    /// [`crate::ErrorKind::Refused`] it is still held and can be settled again; after any other error it comes again by itself.
    fn settle(&mut self, settlement: &TaskSettlement<'_>) -> Result<()>;

    /// Stops taking. What was not run goes back.
    fn close(&mut self) -> Result<()>;
}
