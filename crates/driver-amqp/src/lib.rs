//! Ferry's driver for RabbitMQ: [`AmqpBroker`]. `docs/decisions/0007-amqp.md` says why it goes this way.
//!
//! | module | topic |
//! |---|---|
//! | `push`, `reserve`, `settle`, `failed`, `admin` | the operations of [`Broker`] and [`Admin`] |
//! | `deliveries`, `subscription` | the consumer of one queue, under jobs and tasks |
//! | `queue_deliveries`, `reserve_plan`, `retry_queue` | which delivered job is handed out next, and what happens to the others |
//! | `unacked` | the unacked jobs of this process, receipts, acks |
//! | `connections`, `publisher`, `topology` | two connections, publishing with confirms, declaring |
//! | `route`, `names`, `message`, `delay` | where a message goes, queue names, headers, delay levels: pure |
//! | `queue_scan` | looking at the messages of a queue |
//! | `link`, `refusal`, `runtime`, `wait` | one connection, what its errors mean, the threads under it |
//! | `channel_monitor`, `notices` | the thread that looks after channels, and what it has to say |
//! | `tasks` | the tasks of `Ferry\Task` |
//!
//! Retries of jobs belong to the worker.

mod admin;
mod channel_monitor;
mod connections;
mod delay;
mod deliveries;
mod failed;
mod link;
mod message;
mod names;
mod notices;
mod publisher;
mod push;
mod queue_deliveries;
mod queue_scan;
mod refusal;
mod reserve;
mod reserve_plan;
mod retry_queue;
mod route;
mod runtime;
mod settle;
mod subscription;
mod tasks;
mod topology;
mod unacked;
mod wait;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ferry_core::broker::{
    Admin, BatchPush, Broker, Capabilities, ExtendResult, Isolation, QueuedJob, Settle, SettleResult, Sizes,
};
use ferry_core::config::{AmqpConfig, FailedStore};
use ferry_core::job::{Claim, NewJob, Reservation};
use ferry_core::{QueueName, Result};
use ferry_support::sync;

use crate::channel_monitor::ChannelMonitor;
use crate::connections::AmqpConnections;
use crate::reserve::JobDeliveries;
use crate::unacked::UnackedRegistry;

pub use crate::link::Transport;
pub use crate::tasks::{
    HeldMessage, HeldTask, Incoming, Options, Requeued, StoredDeadLetter, TaskDeliveries, TaskToPublish, Tasks,
};

/// What a broker must know besides the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Seconds after which a job that was left comes back; `None` keeps it with its worker. Defaults to 60.
    pub retry_after: Option<u32>,
    /// Whether buried jobs are kept. Defaults to keeping them.
    pub failed: FailedStore,
    /// How often the retry queue is polled while the main queue has jobs. Defaults to 1 s.
    pub retry_queue_period: Duration,
    /// A fixed unix second for records and reservations, for tests. Delays always follow the broker's clock. Defaults to none.
    pub now: Option<i64>,
    /// Which thread waits for sockets. Defaults to lapin's I/O thread and, for deliveries, the thread that wants them.
    pub transport: Transport,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retry_after: Some(60),
            failed: FailedStore::default(),
            retry_queue_period: Duration::from_secs(1),
            now: None,
            transport: Transport::default(),
        }
    }
}

/// Queues on a RabbitMQ server.
pub struct AmqpBroker {
    monitor: Mutex<Option<ChannelMonitor>>,
    deliveries: Arc<Mutex<JobDeliveries>>,
    registry: Arc<UnackedRegistry>,
    connections: Arc<AmqpConnections>,
}

impl AmqpBroker {
    /// A broker that connects at its first operation.
    pub fn new(config: AmqpConfig, settings: Settings) -> Self {
        Self {
            monitor: Mutex::default(),
            deliveries: Arc::default(),
            registry: Arc::default(),
            connections: Arc::new(AmqpConnections::new(config, settings)),
        }
    }

    fn deliveries(&self) -> MutexGuard<'_, JobDeliveries> {
        // A panic leaves deliveries behind that go back when their channel closes.
        sync::lock(&self.deliveries)
    }

    /// Starts the monitor thread with the first reservation.
    fn ensure_monitor(&self) -> Result<()> {
        let mut monitor = sync::lock(&self.monitor);
        if monitor.is_none() {
            let (connections, registry) = (Arc::clone(&self.connections), Arc::clone(&self.registry));
            *monitor = Some(ChannelMonitor::start(connections, registry, Arc::clone(&self.deliveries))?);
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
        push::push(&self.connections, queue, &job)
    }

    fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
        push::push_many(&self.connections, queue, jobs)
    }

    fn push_batch(&self, jobs: &[QueuedJob<'_>]) -> BatchPush {
        push::push_batch(&self.connections, jobs)
    }

    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
        self.ensure_monitor()?;
        self.deliveries().reserve(&self.connections, &self.registry, queues, max, wait)
    }

    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
        settle::settle(&self.connections, &self.registry, batch)
    }

    fn send_deletion(&self, claim: &Claim) -> bool {
        settle::send_deletion(&self.registry, claim)
    }

    fn flush_deletions(&self, limit: Duration) -> Result<()> {
        settle::flush_deletions(&self.registry, limit)
    }

    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
        Ok(settle::extend(&self.registry, claims))
    }

    fn may_hold(&self, claim: &Claim) -> bool {
        settle::may_hold(&self.registry, claim)
    }

    fn isolate(&self, claims: &[Claim]) -> Result<Vec<Isolation>> {
        settle::isolate(&self.connections, &self.registry, claims)
    }

    fn size(&self, queue: &QueueName) -> Result<Sizes> {
        admin::size(&self.connections, queue)
    }

    fn release_prefetched(&self) {
        // What cannot go back now is kept, and the monitor tries again.
        self.deliveries().release_idle(&self.connections, Duration::ZERO);
    }

    fn close(&self) {
        // The monitor first: otherwise it would find every queue idle.
        drop(sync::lock(&self.monitor).take());
        let mut deliveries = self.deliveries();
        deliveries.release_idle(&self.connections, Duration::ZERO);
        // What cannot be settled now is redelivered when the connection closes.
        let _ = settle::settle_again(&self.connections, &self.registry);
        self.connections.close();
        // Their channels go behind their connection, see there.
        deliveries.forget();
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            id_in_payload: true,
            counts_in_payload: false,
            leases: false,
            sees_all_states: false,
            gives_back_to_head: false,
            subscribes: true,
        }
    }

    fn notices(&self) -> Vec<String> {
        self.connections.notices.take()
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }
}
