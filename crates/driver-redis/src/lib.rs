//! Ferry's driver for Redis: [`RedisBroker`] speaks think-queue's keys and payloads (`fixtures/think-queue-v*.json`,
//! `redis/*`).
//!
//! | room | topic |
//! |---|---|
//! | `push`, `reserve`, `wait`, `settle`, `admin`, `failed`, `facts`, `control`, `status`, `idempotency` | the methods of [`Broker`], [`Admin`], [`WorkerControl`] [`StatusStore`] and [`IdempotencyStore`] |
//! | `lua/*.lua`, `script` | the atomic steps, and how they are run |
//! | `guess` | whether a family that nobody configured fits what is found |
//! | `receipt` | the bytes that find a reservation again |
//! | `lane` | one link each for push, take, wait and settle; what happens when it breaks |
//! | `transport`, `refusal` | the link itself, and what the server's errors mean |
//!
//! Key names and attempts accounting belong to `ferry_core::dialect`; retries of jobs belong to the worker.

mod admin;
mod control;
mod facts;
mod failed;
mod family_check;
mod idempotency;
mod link;
mod push;
mod receipt;
mod refusal;
mod reserve;
mod script;
mod settle;
mod status;
mod transport;
mod wait;

use std::borrow::Cow;
use std::time::Duration;

use ferry_core::broker::{Admin, Broker, Capabilities, ExtendResult, Fact, Settle, SettleResult, Sizes, State};
use ferry_core::config::{FailedStore, RedisConfig};
use ferry_core::dialect::{Family, RedisKeys};
use ferry_core::failed::{FailedJob, FailedPosition};
use ferry_core::job::{Claim, NewJob, Reservation};
use ferry_core::{IdempotencyStore, QueueName, Result, StatusStore, WorkerControl};

use crate::family_check::FamilyCheck;
use crate::link::RedisLink;
use crate::wait::WaitLink;

/// What a broker must know besides the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which think-queue the other side speaks. Defaults to `think3`.
    pub family: Family,
    /// Whether the family is a default that nobody configured, to be doubted when older keys are found. Defaults to false.
    pub family_is_a_guess: bool,
    /// Seconds a reservation lasts; `None` for ever. Defaults to 60.
    pub retry_after: Option<u32>,
    /// Whether buried jobs are kept. Defaults to keeping them.
    pub failed: FailedStore,
    /// A fixed unix second instead of the server's clock, for tests. Defaults to none.
    pub now: Option<i64>,
    /// The most jobs one call takes, whatever it is asked for. Defaults to 10,000.
    pub max_batch: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            family: Family::default(),
            family_is_a_guess: false,
            retry_after: Some(60),
            failed: FailedStore::default(),
            now: None,
            max_batch: 10_000,
        }
    }
}

/// Queues on one Redis server.
///
/// Five links, each behind its own lock and made when first needed, so that no word delays another: push, take, wait, ledger, and
/// settle with everything else.
pub struct RedisBroker {
    config: RedisConfig,
    settings: Settings,
    guess: FamilyCheck,
    push: RedisLink,
    take: RedisLink,
    wait: WaitLink,
    settle: RedisLink,
    status: RedisLink,
}

impl RedisBroker {
    /// A broker that connects when it is first asked for something.
    pub fn new(config: RedisConfig, settings: Settings) -> Self {
        Self {
            config,
            guess: FamilyCheck::new(settings.family_is_a_guess),
            settings,
            push: RedisLink::default(),
            take: RedisLink::default(),
            wait: WaitLink::default(),
            settle: RedisLink::default(),
            status: RedisLink::default(),
        }
    }

    fn keys(&self, queue: &QueueName) -> RedisKeys {
        self.settings.family.redis_keys(queue)
    }

    /// The time for a script; empty means that the server's clock counts.
    fn now_argument(&self) -> Cow<'static, [u8]> {
        number_or_empty(self.settings.now)
    }

    fn retry_after_argument(&self) -> Cow<'static, [u8]> {
        number_or_empty(self.settings.retry_after.map(i64::from))
    }
}

fn number_or_empty(number: Option<i64>) -> Cow<'static, [u8]> {
    number.map_or(Cow::Borrowed(b""), |number| Cow::Owned(number.to_string().into_bytes()))
}

impl Broker for RedisBroker {
    fn push(&self, queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>> {
        self.store(queue, &job).map(|()| None)
    }

    fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
        self.store_many(queue, jobs)
    }

    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
        self.take(queues, max, wait)
    }

    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
        self.end(batch)
    }

    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
        self.renew(claims)
    }

    fn size(&self, queue: &QueueName) -> Result<Sizes> {
        self.count(queue)
    }

    fn close(&self) {
        self.push.close();
        self.take.close();
        self.settle.close();
        self.wait.close();
        self.status.close();
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            id_in_payload: true,
            counts_in_payload: true,
            leases: true,
            sees_all_states: true,
            gives_back_to_head: true,
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

impl Admin for RedisBroker {
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        self.failed_page(queue, offset, limit)
    }

    fn oldest_failed(&self, queue: &QueueName, passed: Option<&FailedPosition>, limit: u64) -> Result<Option<Vec<FailedJob>>> {
        self.oldest_failed_page(queue, passed, limit)
    }

    fn retry(&self, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64> {
        self.make_ready_again(queue, jobs)
    }

    fn forget(&self, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64> {
        self.remove_failed(queue, jobs)
    }

    fn peek(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>> {
        self.peek_page(queue, state, offset, limit)
    }

    fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.remove_all(queue)
    }

    fn facts(&self) -> Result<Vec<(&'static str, Fact)>> {
        self.ask_facts()
    }
}
