//! The broker in a SQLite file.
//!
//! Five connections, each made at its first use and behind a lock of its own, so that a `reserve` that waits delays neither push
//! nor settle nor extend. This file says which word uses which; the words are in the files beside it.

mod admin;
mod args;
mod errors;
mod facts;
mod failed;
mod fleet;
pub mod gate;
mod line;
mod pace;
mod push;
mod schema;
mod session;
mod settle;
mod statements;
mod take;
mod watch;

use std::time::Duration;

use ferry_core::broker::{Admin, Broker, Capabilities, Extended, Fact, Settle, Settled, Sizes, State};
use ferry_core::config::SqliteConfig;
use ferry_core::failed::{FailedJob, Passed};
use ferry_core::fleet::{Flags, Fleet, Order, Report};
use ferry_core::{Claim, ErrorKind, NewJob, QueueName, Reservation, Result};

use crate::settings::Settings;
use line::Line;
use session::Place;
use statements::Tables;

/// Jobs in a SQLite file, in think-queue's tables. Opens nothing before its first word.
pub struct SqliteBroker {
    settings: Settings,
    tables: Tables,
    place: Place,
    push: Line,
    take: Line<watch::Watch>,
    settle: Line,
    look: Line,
    fleet: Line,
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
            push: Line::new(),
            take: Line::new(),
            settle: Line::new(),
            look: Line::new(),
            fleet: Line::new(),
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
            take::take_or_wait(session, watch, &self.tables, &self.settings, queues, max, wait)
        })
    }

    fn settle(&self, batch: &[Settle]) -> Result<Vec<Settled>> {
        let now = self.settings.now();
        self.settle.with(&self.place, &self.tables, |session, _| settle::settle(session, &self.tables, batch, now))
    }

    fn extend(&self, claims: &[Claim]) -> Result<Vec<Extended>> {
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

    fn fleet(&self) -> Option<&dyn Fleet> {
        Some(self)
    }
}

impl Fleet for SqliteBroker {
    fn flags(&self) -> Result<Flags> {
        self.fleet.with(&self.place, &self.tables, |session, _| fleet::flags(session))
    }

    fn pause(&self, queue: &QueueName) -> Result<()> {
        let now = self.settings.now();
        self.look.with(&self.place, &self.tables, |session, _| fleet::pause(session, queue, now))
    }

    fn resume(&self, queue: &QueueName) -> Result<()> {
        self.look.with(&self.place, &self.tables, |session, _| fleet::resume(session, queue))
    }

    fn order(&self, order: Order) -> Result<()> {
        self.look.with(&self.place, &self.tables, |session, _| fleet::order(session, order))
    }

    fn report(&self, report: &Report) -> Result<()> {
        let now = self.settings.now();
        self.fleet.with(&self.place, &self.tables, |session, _| fleet::report(session, report, now))
    }

    fn sign_off(&self, id: &str) -> Result<()> {
        self.fleet.with(&self.place, &self.tables, |session, _| fleet::sign_off(session, id))
    }

    fn workers(&self) -> Result<Vec<Report>> {
        let now = self.settings.now();
        self.look.with(&self.place, &self.tables, |session, _| fleet::workers(session, now))
    }
}

impl Admin for SqliteBroker {
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        self.look.with(&self.place, &self.tables, |session, _| failed::newest(session, &self.tables, queue, offset, limit))
    }

    fn oldest_failed(&self, queue: &QueueName, passed: Option<&Passed>, limit: u64) -> Result<Option<Vec<FailedJob>>> {
        self.look
            .with(&self.place, &self.tables, |session, _| failed::oldest(session, &self.tables, queue, passed, limit).map(Some))
    }

    fn retry(&self, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64> {
        let now = self.settings.now();
        self.look.with(&self.place, &self.tables, |session, _| failed::retry(session, &self.tables, queue, jobs, now))
    }

    fn forget(&self, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64> {
        self.look.with(&self.place, &self.tables, |session, _| failed::forget(session, &self.tables, queue, jobs))
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
