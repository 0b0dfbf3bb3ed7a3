//! What a broker must be able to do. `docs/decisions/0001-the-broker-contract.md` says why it is shaped like this.

use std::time::Duration;

use crate::control::WorkerControl;
use crate::error::Result;
use crate::failed::{FailedJob, FailedPosition, Failure};
use crate::job::{Claim, NewJob, Reservation};
use crate::ledger::Ledger;
use crate::queue::QueueName;

/// A remote system that keeps jobs. Every word blocks, takes `&self` and may be called from any thread.
///
/// `reserve` never delays `settle`, `extend` or `push` on another thread: a driver keeps separate sockets for them.
pub trait Broker: Send + Sync {
    /// Stores one job in one round trip. Returns the number the broker gave it, where it gives one.
    fn push(&self, queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>>;

    /// Stores jobs in order and returns how many. An error says how many were stored before it.
    fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64>;

    /// Takes up to `max` jobs atomically, all from the first of `queues` that has any.
    ///
    /// When there is none it may wait up to `wait`, at most one second; waiting never takes. A job that
    /// [`crate::batch::stands_alone`] comes alone.
    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>>;

    /// Ends reservations. The answer has one entry per item, in order. Items that are no longer ours change nothing.
    ///
    /// After an error some items may have been carried out; repeating the batch is safe and answers `Lost` for those.
    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>>;

    /// Lets the leases run `retry_after` from now. The answer has one entry per claim, in order.
    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>>;

    /// Counts the jobs of a queue by state.
    fn size(&self, queue: &QueueName) -> Result<Sizes>;

    /// Nobody will reserve for a while: what was taken beforehand goes back. Brokers that take only when asked have nothing to do.
    fn release_prefetched(&self) {}

    /// What an operator should know and no call returned, in order; taking it forgets it. The worker writes it to its log as warnings.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    /// Lets go of every connection. The next word makes a new one.
    fn close(&self);

    /// What callers must know beforehand.
    fn capabilities(&self) -> Capabilities;

    /// The words for operators, where this broker has them.
    fn admin(&self) -> Option<&dyn Admin> {
        None
    }

    /// The flags of a fleet of workers, where this broker has a place for them.
    fn control(&self) -> Option<&dyn WorkerControl> {
        None
    }

    /// The statuses of jobs and the claims of work, where this broker has a place for them.
    fn ledger(&self) -> Option<&dyn Ledger> {
        None
    }
}

/// What an operator may ask of a broker.
pub trait Admin: Send + Sync {
    /// Failed jobs of `queue`, newest first, skipping `offset`.
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>>;

    /// Failed jobs of `queue`, oldest first, behind those that were `passed`. `None`: the place is lost, because others removed
    /// jobs that lay behind; the walk must begin anew.
    fn oldest_failed(&self, queue: &QueueName, passed: Option<&FailedPosition>, limit: u64) -> Result<Option<Vec<FailedJob>>>;

    /// Makes failed jobs of `queue` ready again, which were read a moment ago, and returns how many. Their attempts begin anew; no
    /// other byte changes.
    ///
    /// Each one leaves the failed store and joins the ready jobs, or neither. One that is gone is not counted; nor is one that
    /// lies far from where it was read, because many others were removed meanwhile: it stays failed, to be read again. After an
    /// error some may be done; those are not failed any more, so asking again is safe.
    fn retry(&self, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64>;

    /// Removes failed jobs of `queue` for good and returns how many; otherwise like [`Admin::retry`].
    fn forget(&self, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64>;

    /// Payloads of `queue` in `state`, next first, skipping `offset`. Changes nothing.
    fn peek(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>>;

    /// Removes every ready, delayed and reserved job of `queue` and returns how many. Failed jobs stay.
    fn clear(&self, queue: &QueueName) -> Result<u64>;

    /// What an operator should know of the server: version, limits, what it does when memory is full, how far its clock is off.
    /// A fact that the server does not tell is left out. `docs/api.md` lists the names.
    fn facts(&self) -> Result<Vec<(&'static str, Fact)>> {
        Ok(Vec::new())
    }

    /// The statements that make what this driver keeps its jobs in, for those who do not let it make them itself. Nothing for
    /// brokers that need nothing.
    fn schema(&self) -> Vec<String> {
        Vec::new()
    }
}

/// One fact about a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Words.
    Text(String),
    /// A count, or bytes.
    Number(i64),
    /// Seconds.
    Seconds(f64),
    /// Whether it is so.
    Flag(bool),
}

/// The states in which a job lies in the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for a worker.
    Ready,
    /// Waiting for its due time.
    Delayed,
    /// Held by a worker.
    Reserved,
}

/// How one reservation ends.
#[derive(Debug, Clone)]
pub struct Settle {
    /// Which reservation.
    pub claim: Claim,
    /// How it ends.
    pub how: Settlement,
}

/// The ways in which a reservation ends.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// Done: the job is removed.
    Delete,
    /// The job becomes ready again after `delay` seconds, with the attempts it has now.
    Release {
        /// Seconds; negative means in the past, which is due at once.
        delay: i64,
    },
    /// The job goes to the failed store. If the store refuses, the job stays reserved.
    Bury(Box<Failure>),
    /// The job was never started: its original bytes go back to the head of the ready jobs and no attempt is burnt.
    ///
    /// A batch lists them in the order in which they were reserved.
    GiveBack,
    /// The handler returned without settling: the job stays reserved and comes back after `retry_after`.
    Leave,
}

/// What became of a settle item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleResult {
    /// It was ours and is settled.
    Applied,
    /// It was no longer ours; nothing changed.
    Lost,
}

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendResult {
    /// It runs on.
    Kept,
    /// The reservation is no longer ours.
    Lost,
}

/// Jobs of one queue by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Waiting for a worker.
    pub ready: u64,
    /// Waiting for their due time.
    pub delayed: u64,
    /// Held by a worker, or left by a dead one.
    pub reserved: u64,
    /// In the failed store.
    pub failed: u64,
}

impl Sizes {
    /// What think-queue calls the size: everything that still has to be worked (`redis/size`).
    pub fn total(&self) -> u64 {
        self.ready + self.delayed + self.reserved
    }
}

/// What callers must know about a driver beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The payload carries `id` and fresh `attempts` (Redis, AMQP); otherwise the broker numbers its jobs (a table).
    pub id_in_payload: bool,
    /// Attempts rise inside the payload (Redis); otherwise the broker keeps them beside it (a column, a header).
    pub counts_in_payload: bool,
    /// Reservations expire by themselves, and any process may settle or extend them. Otherwise they end with their connection.
    pub leases: bool,
    /// `size`, `peek` and `clear` reach delayed and reserved jobs; otherwise `size` says 0 for them.
    pub sees_all_states: bool,
    /// What is given back goes ahead of the ready jobs; otherwise behind them.
    pub gives_back_to_head: bool,
}
