//! The broker in a SQLite file.
//!
//! Six connections, each made at its first use and behind a lock of its own, so that a `reserve` that waits delays neither push
//! nor settle nor extend. This file says which word uses which; the words are in the files beside it.

mod admin;
mod args;
mod commit_watch;
mod connection_slot;
mod control;
mod errors;
mod facts;
mod failed;
pub mod fork_gate;
mod idempotency;
mod poll_interval;
mod push;
mod reserve;
mod schema;
mod session;
mod settle;
mod statements;
mod status;

use std::time::Duration;

use ferry_core::broker::{Admin, Broker, Capabilities, ExtendResult, Fact, Settle, SettleResult, Sizes, State};
use ferry_core::config::SqliteConfig;
use ferry_core::control::{ControlCommand, FleetFlags, WorkerControl, WorkerReport};
use ferry_core::failed::{FailedJob, Filter};
use ferry_core::idempotency::{ClaimOutcome, ClaimTtl};
use ferry_core::status::{Status, StatusUpdate};
use ferry_core::{Claim, ErrorKind, IdempotencyStore, NewJob, QueueName, Reservation, Result, StatusStore};

use crate::settings::Settings;
use connection_slot::ConnectionSlot;
use session::Place;
use statements::Tables;

/// Jobs in a SQLite file, in think-queue's tables. Opens nothing before its first word.
pub struct SqliteBroker {
    settings: Settings,
    tables: Tables,
    place: Place,
    push: ConnectionSlot,
    take: ConnectionSlot<commit_watch::CommitWatch>,
    settle: ConnectionSlot,
    look: ConnectionSlot,
    fleet: ConnectionSlot,
    status: ConnectionSlot,
}

impl SqliteBroker {
    /// A broker on the file of `config`. Neither reads nor writes anything.
    pub fn new(config: SqliteConfig, settings: Settings) -> Self {
        let tables = Tables::new(settings.family, &config.table, settings.keeps_failed().then_some(config.failed_table.as_str()));
        let place = Place::new(&config.path, config.busy_timeout);
        Self {
            settings,
            tables,
            place,
            push: ConnectionSlot::new(),
            take: ConnectionSlot::new(),
            settle: ConnectionSlot::new(),
            look: ConnectionSlot::new(),
            fleet: ConnectionSlot::new(),
            status: ConnectionSlot::new(),
        }
    }
}

impl Broker for SqliteBroker {
    fn push(&self, queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>> {
        let now = self.settings.now();
        self.push.with(&self.place, &self.tables, |session, _| push::one(session, &self.tables, queue, &job, now).map(Some))
    }

    fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
        if jobs.is_empty() {
            return Ok(0);
        }
        let now = self.settings.now();
        let stored = self.push.with(&self.place, &self.tables, |session, _| push::many(session, &self.tables, queue, jobs, now));
        stored.map_err(|error| match error.kind() {
            ErrorKind::Uncertain => error.within(format!("all or none of {} jobs stored", jobs.len())),
            _ => error.within(format!("0 of {} jobs stored", jobs.len())),
        })
    }

    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
        self.take.with(&self.place, &self.tables, |session, watch| {
            reserve::take_or_wait(session, watch, &self.tables, &self.settings, queues, max, wait)
        })
    }

    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
        let now = self.settings.now();
        self.settle.with(&self.place, &self.tables, |session, _| settle::settle(session, &self.tables, batch, now))
    }

    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
        let now = self.settings.now();
        self.settle.with(&self.place, &self.tables, |session, _| settle::extend(session, &self.tables, claims, now))
    }

    fn size(&self, queue: &QueueName) -> Result<Sizes> {
        let now = self.settings.now();
        self.look.with(&self.place, &self.tables, |session, _| admin::size(session, &self.tables, queue, now))
    }

    fn close(&self) {
        self.push.close();
        self.take.close();
        self.settle.close();
        self.look.close();
        self.fleet.close();
        self.status.close();
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            id_in_payload: false,
            counts_in_payload: false,
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

    /// SQLite keeps the locks of a process in a table of its own. A child inherits the table but not the locks, so it would write
    /// into a `-wal` that the parent's close deletes: jobs that were stored would be gone.
    fn before_fork(&self) {
        self.close();
    }
}

/// Statuses go over a connection whose commits do not wait for the disk; claims over one whose commits do.
impl StatusStore for SqliteBroker {
    fn update(&self, updates: &[StatusUpdate]) -> Result<()> {
        let now = self.settings.now_ms();
        self.status.with(&self.place, &self.tables, |session, _| status::update(session, updates, now))
    }

    fn find(&self, id: &str) -> Result<Option<Status>> {
        let now = self.settings.now_ms();
        self.status.with(&self.place, &self.tables, |session, _| status::find(session, id, now))
    }
}

impl IdempotencyStore for SqliteBroker {
    fn claim(&self, key: &str, token: &str, ttl: ClaimTtl) -> Result<ClaimOutcome> {
        let now = self.settings.now_ms();
        self.look.with(&self.place, &self.tables, |session, _| idempotency::claim(session, key, token, ttl, now))
    }

    fn complete(&self, key: &str, token: &str, result: Option<&str>, ttl: u32) -> Result<bool> {
        let now = self.settings.now_ms();
        self.look.with(&self.place, &self.tables, |session, _| idempotency::complete(session, key, token, result, ttl, now))
    }

    fn release(&self, key: &str, token: &str) -> Result<bool> {
        let now = self.settings.now_ms();
        self.look.with(&self.place, &self.tables, |session, _| idempotency::release(session, key, token, now))
    }

    fn is_done(&self, key: &str) -> Result<bool> {
        let now = self.settings.now_ms();
        self.look.with(&self.place, &self.tables, |session, _| idempotency::is_done(session, key, now))
    }

    fn forget(&self, key: &str) -> Result<bool> {
        let now = self.settings.now_ms();
        self.look.with(&self.place, &self.tables, |session, _| idempotency::forget(session, key, now))
    }
}

impl WorkerControl for SqliteBroker {
    fn flags(&self) -> Result<FleetFlags> {
        self.fleet.with(&self.place, &self.tables, |session, _| control::flags(session))
    }

    fn pause(&self, queue: &QueueName) -> Result<()> {
        let now = self.settings.now();
        self.look.with(&self.place, &self.tables, |session, _| control::pause(session, queue, now))
    }

    fn resume(&self, queue: &QueueName) -> Result<()> {
        self.look.with(&self.place, &self.tables, |session, _| control::resume(session, queue))
    }

    fn command(&self, command: ControlCommand) -> Result<()> {
        self.look.with(&self.place, &self.tables, |session, _| control::command(session, command))
    }

    fn report(&self, report: &WorkerReport) -> Result<()> {
        let now = self.settings.now();
        self.fleet.with(&self.place, &self.tables, |session, _| control::report(session, report, now))
    }

    fn deregister(&self, id: &str) -> Result<()> {
        self.fleet.with(&self.place, &self.tables, |session, _| control::deregister(session, id))
    }

    fn workers(&self) -> Result<Vec<WorkerReport>> {
        let now = self.settings.now();
        self.look.with(&self.place, &self.tables, |session, _| control::workers(session, now))
    }
}

impl SqliteBroker {
    fn sweep_failed(&self, queue: &QueueName, which: &Filter, remove: impl FnMut(&[FailedJob]) -> Result<u64>) -> Result<u64> {
        let page = |behind, limit| {
            self.look.with(&self.place, &self.tables, |session, _| failed::oldest(session, &self.tables, queue, behind, limit))
        };
        failed::sweep(which, self.failed(queue, 0, 1)?.first(), page, remove)
    }
}

impl Admin for SqliteBroker {
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        self.look.with(&self.place, &self.tables, |session, _| failed::newest(session, &self.tables, queue, offset, limit))
    }

    fn failed_job(&self, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
        self.look.with(&self.place, &self.tables, |session, _| failed::find(session, &self.tables, queue, id))
    }

    fn retry(&self, queue: &QueueName, which: &Filter, before: &mut dyn FnMut(&[FailedJob])) -> Result<u64> {
        let now = self.settings.now();
        self.sweep_failed(queue, which, |jobs| {
            // Not while the connection is held: the caller may write statuses to this very file.
            before(jobs);
            self.look.with(&self.place, &self.tables, |session, _| failed::retry(session, &self.tables, queue, jobs, now))
        })
    }

    fn forget(&self, queue: &QueueName, which: &Filter) -> Result<u64> {
        self.sweep_failed(queue, which, |jobs| {
            self.look.with(&self.place, &self.tables, |session, _| failed::forget(session, &self.tables, queue, jobs))
        })
    }

    fn peek(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>> {
        let now = self.settings.now();
        self.look
            .with(&self.place, &self.tables, |session, _| admin::peek(session, &self.tables, queue, state, now, offset, limit))
    }

    fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.look.with(&self.place, &self.tables, |session, _| admin::clear(session, &self.tables, queue))
    }

    fn facts(&self) -> Result<Vec<(&'static str, Fact)>> {
        self.look.with(&self.place, &self.tables, |session, _| facts::ask(session, &self.place))
    }

    fn schema(&self) -> Vec<String> {
        schema::statements(&self.tables)
    }
}

#[cfg(test)]
mod tests;
