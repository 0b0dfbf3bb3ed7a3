//! What a broker must be able to do: one trait for jobs, and one each for what only some brokers offer.
//! `docs/decisions/0001-the-broker-contract.md` says why they are shaped like this.
//!
//! | file | trait |
//! |---|---|
//! | `mod.rs` | `Broker`: push, reserve, settle |
//! | `batch_push.rs` | pushing jobs of several queues together |
//! | `admin.rs` | `Admin`: failed jobs, waiting payloads, facts about the server |
//! | `control.rs` | `WorkerControl`: pause, resume, restart, stop, reports of workers |
//! | `status.rs` | `StatusStore`: what became of a job |
//! | `idempotency.rs` | `IdempotencyStore`: work that must be done once |
//! | `tasks.rs` | `TaskReceiver`: the tasks of one consumer |

mod admin;
mod batch_push;
pub mod control;
mod idempotency;
mod status;
pub mod tasks;

pub use admin::{Admin, Fact, JobRow, RowValue, State};
pub use batch_push::{BatchPush, JobGroup, QueuedJob, groups};
pub use control::WorkerControl;
pub use idempotency::IdempotencyStore;
pub use status::{PushedWithStatus, StatusStore};

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::error::Result;
use crate::failed::Failure;
use crate::job::{Claim, NewJob, Reservation};
use crate::queue::QueueName;

/// How long requests may still wait for a server. Asked on any thread that waits, a few times a second.
pub trait WaitLimit: Send + Sync {
    /// The time that is left for all of them together; `None` while nobody is in a hurry.
    fn left(&self) -> Option<Duration>;
}

/// A remote system that keeps jobs. Every operation blocks, takes `&self` and may be called from any thread.
///
/// `reserve` never delays `settle`, `extend` or `push` on another thread: a driver keeps separate sockets for them.
pub trait Broker: Send + Sync {
    /// Stores one job in one round trip. Returns the number the broker gave it, where it gives one.
    fn push(&self, queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>>;

    /// Stores jobs in order and returns how many. An error says how many were stored before it.
    fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64>;

    /// Stores jobs of several queues; those of one queue in order. Tells which of them are not known to be stored.
    fn push_batch(&self, jobs: &[QueuedJob<'_>]) -> BatchPush {
        batch_push::one_by_one(jobs, |queue, jobs| self.push_many(queue, jobs))
    }

    /// Takes up to `max` jobs, from the first of `queues` that has any; each queue's atomically. Where looking for that queue is expensive
    /// because they are many, a driver may go on with those behind it, in their order.
    ///
    /// When there is none it may wait up to `wait`, at most one second; waiting never takes. A job that
    /// [`crate::batch::stands_alone`] comes alone.
    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>>;

    /// Asks for up to `max` jobs of `queue` without waiting for the answer, where that is a matter of one short write: the broker works on it
    /// while the caller does something else. A job that [`crate::batch::stands_alone`] is not among them. Their leases begin now.
    ///
    /// `None`: nothing was sent, and [`Broker::reserve`] is to be asked.
    fn reserve_ahead(self: Arc<Self>, _queue: &QueueName, _max: usize) -> Option<Box<dyn PendingReserve>> {
        None
    }

    /// Ends reservations. The answer has one entry per item, in order. Items that are no longer ours change nothing.
    ///
    /// After an error some items may have been carried out; repeating the batch is safe and answers `Lost` for those.
    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>>;

    /// Sends the deletion of one job without waiting until the broker has read it, where that is a matter of one short write. `false`:
    /// nothing was sent, and [`Broker::settle`] is to be asked.
    fn send_deletion(&self, _claim: &Claim) -> bool {
        false
    }

    /// What became of the deletion that [`Broker::send_deletion`] sent last. Does not wait.
    fn sent_deletion(&self) -> SentDeletion {
        SentDeletion::Settled(SettleResult::Applied)
    }

    /// Waits until the broker has read what [`Broker::send_deletion`] sent, for at most `limit`. After an error those jobs may run again.
    fn flush_deletions(&self, _limit: Duration) -> Result<()> {
        Ok(())
    }

    /// Lets the leases run `retry_after` from now. The answer has one entry per claim, in order.
    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>>;

    /// Whether a reservation may still be ours, as far as is known without a round trip. A job that was not started is dropped when it is
    /// not: it is at the broker again.
    fn may_hold(&self, _claim: &Claim) -> bool {
        true
    }

    /// Makes sure that jobs with one try, whoever declared it, are held alone before they are started. The answer has one entry per claim,
    /// in order. The worker asks where reservations have no lease of their own ([`Capabilities::leases`]): there nobody knows which of the
    /// jobs that a dead worker held was started.
    fn isolate(&self, claims: &[Claim]) -> Result<Vec<Isolation>> {
        Ok(vec![Isolation::Alone { uncounted: 0 }; claims.len()])
    }

    /// Counts the jobs of a queue by state.
    fn size(&self, queue: &QueueName) -> Result<Sizes>;

    /// Returns prefetched jobs to the broker, because the worker will not reserve for a while, and lets others know. Nothing to do where
    /// `reserve` prefetches nothing.
    fn release_prefetched(&self) {}

    /// What an operator should know and no call returned, in order. Each call removes what it returns; a worker logs it as warnings.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    /// Lets `limit` shorten every wait for the server, as long as it lives: a worker that is asked to stop cannot wait out the timeouts of
    /// a server that is silent. Nothing to do where waits are short.
    fn limit_waits(&self, _limit: Weak<dyn WaitLimit>) {}

    /// The process is about to fork: closes what a child must not inherit. The next operation opens it again.
    fn before_fork(&self) {}

    /// Closes every connection. The next operation opens a new one.
    fn close(&self);

    /// What callers must know beforehand.
    fn capabilities(&self) -> Capabilities;

    /// The operations for operators, where this broker has them.
    fn admin(&self) -> Option<&dyn Admin> {
        None
    }

    /// Flags and reports of the workers, where this broker has a place for them.
    fn control(&self) -> Option<&dyn WorkerControl> {
        None
    }

    /// The statuses of jobs, where this broker has a place for them.
    fn status(&self) -> Option<&dyn StatusStore> {
        None
    }

    /// The claims of work, where this broker has a place for them.
    fn idempotency(&self) -> Option<&dyn IdempotencyStore> {
        None
    }
}

/// Jobs that were asked for ahead and not received yet. Where this is dropped they come back by their leases.
pub trait PendingReserve: Send {
    /// Waits for the answer. No jobs either when the broker refused: the next [`Broker::reserve`] meets the same refusal.
    fn receive(self: Box<Self>) -> Result<Vec<Reservation>>;
}

/// What became of a deletion that was sent without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentDeletion {
    /// The answer was not read yet.
    Unread,
    /// The broker answered, or gives no answer.
    Settled(SettleResult),
    /// The answer was lost: it is to be repeated.
    InDoubt,
}

/// How one reservation ends.
#[derive(Debug, Clone)]
pub struct Settle {
    /// Which reservation.
    pub claim: Claim,
    /// How it ends.
    pub settlement: Settlement,
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

/// What became of a job that has one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// It is held alone and may be started.
    Alone {
        /// How many of its attempts were counted because a worker died that cannot have started it.
        uncounted: u32,
    },
    /// It went to where jobs are held alone, with no attempt counted. It is reserved from there again.
    Moved,
    /// It was no longer ours.
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
    /// A `reserve` that may wait keeps a subscription, over which jobs come without being asked for. One that may not wait keeps none, and so
    /// takes several round trips.
    pub subscribes: bool,
}
