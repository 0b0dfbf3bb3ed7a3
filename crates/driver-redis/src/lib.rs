//! Ferry's driver for Redis: [`RedisBroker`] reads and writes think-queue's keys and payloads (`fixtures/think-queue-v*.json`,
//! `redis/*`), and those of plain Redis tasks (`fixtures/redis-task.json`).
//!
//! | module | topic |
//! |---|---|
//! | `push`, `reserve`, `settle` | the operations of [`Broker`]; `wait`, `handover`: waiting for a job inside `reserve` |
//! | `admin`, `failed`, `facts` | [`Admin`](ferry_core::Admin) |
//! | `control`, `status`, `idempotency` | `WorkerControl`, [`StatusStore`], [`IdempotencyStore`] |
//! | `lua/*.lua`, `script` | the atomic steps, and how they are run |
//! | `family_check`, `clock_skew` | whether a family that nobody configured, and the clocks, fit what is on the server |
//! | `receipt` | the bytes that find a reservation again |
//! | `packing` | commands of the hot path as bytes |
//! | `link`, `silence`, `wait_limits` | a connection that is opened again after it broke; a server that does not answer |
//! | `transport`, `reply`, `refusal`, `wrong_type` | the socket, what the server answers, and what its errors mean |
//!
//! Key names and attempts accounting belong to `ferry_core::dialect`; retries of jobs belong to the worker.

mod admin;
mod clock_skew;
mod control;
mod facts;
mod failed;
mod family_check;
mod handover;
mod idempotency;
mod link;
mod packing;
mod push;
mod receipt;
mod refusal;
mod reply;
mod reserve;
mod script;
mod settle;
mod silence;
mod status;
mod transport;
mod wait;
mod wait_limits;
mod wrong_type;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use ferry_core::broker::{
    Admin, BatchPush, Broker, Capabilities, ExtendResult, PendingReserve, QueuedJob, SentDeletion, Settle, SettleResult, Sizes,
    WaitLimit,
};
use ferry_core::config::{FailedStore, RedisConfig};
use ferry_core::dialect::{Family, ListEnd, RedisKeys};
use ferry_core::job::{Claim, NewJob, Reservation};
use ferry_core::timezone::SharedTimeZone;
use ferry_core::{Error, ErrorKind, IdempotencyStore, QueueName, Result, StatusStore, WorkerControl};

use crate::clock_skew::ClockSkew;
use crate::family_check::FamilyCheck;
use crate::link::RedisLink;
use crate::reserve::{JobSize, ProbeRest, ReadySeconds};
use crate::silence::Silence;
use crate::status::StatusClock;
use crate::transport::UnreadReply;
use crate::wait::WaitLinks;
use crate::wait_limits::WaitLimits;

/// Settings of a broker besides the address of its server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The family on the other side. Defaults to `think3`.
    pub family: Family,
    /// Whether the family is a default that nobody configured, to be checked against the keys on the server. Defaults to false.
    pub family_is_a_guess: bool,
    /// Seconds a reservation lasts; `None`: for ever. Defaults to 60.
    pub retry_after: Option<u32>,
    /// Whether buried jobs are kept. Defaults to keeping them.
    pub failed: FailedStore,
    /// The time zone in which plain tasks write when they failed. UTC until it is set.
    pub zone: SharedTimeZone,
    /// A fixed unix second instead of the server's clock, for tests. Defaults to none.
    pub now: Option<i64>,
    /// The most jobs of one reserve call, whatever its `max`. Defaults to 10,000.
    pub max_batch: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            family: Family::default(),
            family_is_a_guess: false,
            retry_after: Some(60),
            failed: FailedStore::default(),
            zone: SharedTimeZone::default(),
            now: None,
            max_batch: 10_000,
        }
    }
}

/// Queues on one Redis server.
///
/// Connections, each behind its own lock and opened when first needed, so that no operation delays another: push, reserve, status, and
/// settle with everything else; and one that waits for each of up to four queues.
pub struct RedisBroker {
    config: Arc<RedisConfig>,
    settings: Settings,
    family_check: FamilyCheck,
    clock_skew: ClockSkew,
    push: RedisLink,
    reserve: RedisLink,
    wait: WaitLinks,
    settle: RedisLink,
    status: RedisLink,
    status_clock: StatusClock,
    wait_limits: WaitLimits,
    probe_rest: ProbeRest,
    ready_seconds: ReadySeconds,
    /// The answer to the deletion that was sent last without waiting.
    sent_deletion: Mutex<Option<UnreadReply>>,
    job_size: JobSize,
}

impl RedisBroker {
    /// A broker that connects at its first operation.
    pub fn new(config: RedisConfig, settings: Settings) -> Self {
        let config = Arc::new(config);
        let silence = Arc::new(Silence::new());
        let wait_limits = WaitLimits::default();
        let link = || RedisLink::new(Arc::clone(&config), Arc::clone(&silence), wait_limits.clone());
        Self {
            family_check: FamilyCheck::new(settings.family_is_a_guess),
            clock_skew: ClockSkew::default(),
            settings,
            push: link(),
            reserve: link(),
            wait: WaitLinks::default(),
            settle: link(),
            status: link(),
            status_clock: StatusClock::default(),
            wait_limits,
            probe_rest: ProbeRest::default(),
            ready_seconds: ReadySeconds::default(),
            sent_deletion: Mutex::default(),
            job_size: JobSize::default(),
            config,
        }
    }

    fn keys(&self, queue: &QueueName) -> RedisKeys {
        self.settings.family.redis_keys(queue)
    }

    /// The time for a script, in seconds; empty: the server's clock counts.
    fn now_argument(&self) -> Cow<'static, [u8]> {
        number_or_empty(self.settings.now)
    }

    /// The same in milliseconds.
    fn now_ms_argument(&self) -> Cow<'static, [u8]> {
        number_or_empty(self.settings.now.map(|now| now * 1000))
    }

    /// The end of a ready list where the next job lies.
    fn next_job_argument(&self) -> Cow<'static, [u8]> {
        Cow::Borrowed(match self.settings.family.next_job() {
            ListEnd::Left => b"left",
            ListEnd::Right => b"right",
        })
    }

    fn retry_after_argument(&self) -> Cow<'static, [u8]> {
        number_or_empty(self.settings.retry_after.map(i64::from))
    }

    fn unexpected_answer(&self) -> Error {
        Error::new(ErrorKind::Refused, format!("Redis at {} gave an unexpected answer", self.config.address))
            .with_advice("is there a proxy in between that changes answers?")
    }
}

fn number_or_empty(number: Option<i64>) -> Cow<'static, [u8]> {
    number.map_or(Cow::Borrowed(b""), |number| Cow::Owned(number.to_string().into_bytes()))
}

impl Broker for RedisBroker {
    fn push(&self, queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>> {
        push::push(self, queue, &job).map_err(|error| wrong_type::named(self, &[queue], error))
    }

    fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
        push::push_many(self, queue, jobs).map_err(|error| wrong_type::named(self, &[queue], error))
    }

    fn push_batch(&self, jobs: &[QueuedJob<'_>]) -> BatchPush {
        push::push_batch(self, jobs)
    }

    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
        reserve::reserve(self, queues, max, wait)
            .map_err(|error| wrong_type::named(self, &queues.iter().collect::<Vec<_>>(), error))
    }

    fn reserve_ahead(self: Arc<Self>, queue: &QueueName, max: usize) -> Option<Box<dyn PendingReserve>> {
        reserve::reserve_ahead(self, queue, max)
    }

    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
        let queues = || batch.iter().map(|item| &item.claim.queue).collect::<Vec<_>>();
        settle::settle(self, batch).map_err(|error| wrong_type::named(self, &queues(), error))
    }

    fn send_deletion(&self, claim: &Claim) -> bool {
        settle::send_deletion(self, claim)
    }

    fn sent_deletion(&self) -> SentDeletion {
        settle::sent_deletion(self)
    }

    fn flush_deletions(&self, limit: Duration) -> Result<()> {
        self.reserve.flush_unread(limit);
        Ok(())
    }

    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
        let queues = || claims.iter().map(|claim| &claim.queue).collect::<Vec<_>>();
        settle::extend(self, claims).map_err(|error| wrong_type::named(self, &queues(), error))
    }

    fn size(&self, queue: &QueueName) -> Result<Sizes> {
        admin::size(self, queue).map_err(|error| wrong_type::named(self, &[queue], error))
    }

    fn notices(&self) -> Vec<String> {
        self.clock_skew.take_notice().into_iter().collect()
    }

    fn release_prefetched(&self) {
        self.wait.leave(self);
    }

    fn limit_waits(&self, limit: Weak<dyn WaitLimit>) {
        self.wait_limits.add(limit);
    }

    fn close(&self) {
        for link in [&self.push, &self.reserve, &self.settle, &self.status] {
            link.close();
        }
        self.wait.close();
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            id_in_payload: true,
            counts_in_payload: true,
            leases: true,
            sees_all_states: true,
            gives_back_to_head: true,
            subscribes: false,
        }
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }

    fn control(&self) -> Option<&dyn WorkerControl> {
        Some(self)
    }

    fn status(&self) -> Option<&dyn StatusStore> {
        Some(self)
    }

    fn idempotency(&self) -> Option<&dyn IdempotencyStore> {
        Some(self)
    }
}
