//! Ferry's driver for RabbitMQ: [`AmqpBroker`]. `docs/decisions/0007-amqp.md` says why it goes this way.
//!
//! | room | topic |
//! |---|---|
//! | `taker`, `stream`, `lone`, `settle`, `admin` | the words of [`Broker`] and [`Admin`] |
//! | `hub` | what they share: two connections, what is declared, the way out |
//! | `outbox` | publishing with confirms |
//! | `shelf` | what this process holds, receipts, which acks go together |
//! | `names`, `message`, `delay` | queue names, headers, the way through the delays: pure |
//! | `topology` | declaring all that |
//! | `link`, `refusal`, `engine`, `wait` | the connection itself, what its errors mean, the thread it lives on |
//! | `tasks` | the tasks of `Ferry\Task`, which are no jobs |
//! | `minder` | deliveries nobody asked for, jobs the broker is about to take away |
//!
//! Retries of jobs belong to the worker.

mod admin;
mod channel_monitor;
mod connections;
mod delay;
mod job_deliveries;
mod link;
mod message;
mod names;
mod publisher;
mod refusal;
mod retry_queue;
mod runtime;
mod settle;
mod subscription;
mod tasks;
mod topology;
mod unacked;
mod wait;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferry_core::broker::{Admin, Broker, Capabilities, ExtendResult, Fact, Settle, SettleResult, Sizes, State};
use ferry_core::config::{AmqpConfig, FailedStore};
use ferry_core::failed::{FailedJob, Filter};
use ferry_core::job::{Claim, NewJob, Reservation};
use ferry_core::{Error, ErrorKind, QueueName, Result};

use crate::channel_monitor::ChannelMonitor;
use crate::connections::AmqpConnections;
use crate::job_deliveries::JobDeliveries;
use crate::unacked::UnackedRegistry;

pub use crate::tasks::{HeldTask, Incoming, Options, StoredDeadLetter, TaskDeliveries, TaskToPublish, Tasks};

/// What a broker must know besides the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Seconds after which a job that was left comes back; `None` keeps it with its worker. Defaults to 60.
    pub retry_after: Option<u32>,
    /// Whether buried jobs are kept. Defaults to keeping them.
    pub failed: FailedStore,
    /// How often lone jobs are looked for under load. Defaults to 1 s.
    pub lone_period: Duration,
    /// A fixed unix second for records and reservations, for tests. Delays always follow the broker's clock. Defaults to none.
    pub now: Option<i64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { retry_after: Some(60), failed: FailedStore::default(), lone_period: Duration::from_secs(1), now: None }
    }
}

/// Queues on a RabbitMQ server.
pub struct AmqpBroker {
    minder: Mutex<Option<ChannelMonitor>>,
    taker: Arc<Mutex<JobDeliveries>>,
    shelf: Arc<UnackedRegistry>,
    hub: Arc<AmqpConnections>,
}

impl AmqpBroker {
    /// A broker that connects when it is first asked for something.
    pub fn new(config: AmqpConfig, settings: Settings) -> Self {
        Self {
            minder: Mutex::default(),
            taker: Arc::default(),
            shelf: Arc::default(),
            hub: Arc::new(AmqpConnections::new(config, settings)),
        }
    }

    fn taker(&self) -> MutexGuard<'_, JobDeliveries> {
        // A panic leaves deliveries behind that go back when their channel closes.
        self.taker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the minder with the first job that is taken.
    fn see_to_minder(&self) -> Result<()> {
        let mut minder = self.minder.lock().unwrap_or_else(PoisonError::into_inner);
        if minder.is_none() {
            *minder = Some(ChannelMonitor::start(Arc::clone(&self.hub), Arc::clone(&self.shelf), Arc::clone(&self.taker))?);
        }
        Ok(())
    }
}

impl Drop for AmqpBroker {
    fn drop(&mut self) {
        self.close();
    }
}

impl Broker for AmqpBroker {
    fn push(&self, queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>> {
        self.hub.push(queue, std::slice::from_ref(&job)).map(|_| None)
    }

    fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
        self.hub.push(queue, jobs)
    }

    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
        self.see_to_minder()?;
        self.taker().reserve(&self.hub, &self.shelf, queues, max, wait)
    }

    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
        settle::settle(&self.hub, &self.shelf, batch)
    }

    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
        Ok(settle::extend(&self.shelf, claims))
    }

    fn size(&self, queue: &QueueName) -> Result<Sizes> {
        admin::size(&self.hub, queue)
    }

    fn release_prefetched(&self) {
        // What cannot go back now is tried again by the minder.
        self.taker().give_back_idle(&self.hub, Duration::ZERO);
    }

    fn close(&self) {
        // The minder first: it would find everything idle.
        drop(self.minder.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut taker = self.taker();
        taker.give_back_idle(&self.hub, Duration::ZERO);
        taker.forget();
        self.hub.close();
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            id_in_payload: true,
            counts_in_payload: false,
            leases: false,
            sees_all_states: false,
            gives_back_to_head: false,
        }
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }
}

impl Admin for AmqpBroker {
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        admin::failed(&self.hub, queue, offset, limit)
    }

    fn failed_job(&self, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
        admin::failed_job(&self.hub, queue, id)
    }

    fn retry(&self, queue: &QueueName, which: &Filter, before: &mut dyn FnMut(&[FailedJob])) -> Result<u64> {
        admin::retry(&self.hub, queue, which, before)
    }

    fn forget(&self, queue: &QueueName, which: &Filter) -> Result<u64> {
        admin::forget(&self.hub, queue, which)
    }

    fn peek(&self, _queue: &QueueName, _state: State, _offset: u64, _limit: u64) -> Result<Vec<Vec<u8>>> {
        Err(Error::new(ErrorKind::Unsupported, "RabbitMQ cannot show waiting jobs: to look at one costs it an attempt")
            .with_advice("`size` counts them; failed jobs can be shown"))
    }

    fn clear(&self, queue: &QueueName) -> Result<u64> {
        admin::clear(&self.hub, queue)
    }

    fn facts(&self) -> Result<Vec<(&'static str, Fact)>> {
        admin::facts(&self.hub)
    }
}
