//! The broker: which connection serves which method. The methods themselves are in the files named after their traits.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ferry_core::broker::{Admin, Broker, Capabilities, ExtendResult, Settle, SettleResult, Sizes, StatusStore, WorkerControl};
use ferry_core::timezone::SharedTimeZone;
use ferry_core::{Claim, IdempotencyStore, NewJob, QueueName, Reservation, Result};

use crate::connection_slot::ConnectionSlot;
use crate::database::Database;
use crate::error::SqlError;
use crate::scan_position::ScanPositions;
use crate::settings::Settings;
use crate::statements::Tables;
use crate::{admin, push, reserve, settle};

/// What a connection is for. Each has a lock of its own, so that one that waits delays no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Push,
    Settle,
    /// What operators and claims of work ask for.
    Query,
    /// Flags and reports of workers.
    Control,
    Status,
}

impl Role {
    const COUNT: usize = 5;
}

/// Jobs in the tables of think-queue. Opens nothing before its first operation.
pub struct SqlBroker<D: Database> {
    pub(crate) settings: Settings,
    pub(crate) zone: SharedTimeZone,
    pub(crate) tables: Tables,
    pub(crate) database: D,
    /// When rows were reserved whose attempts cannot rise any more, by id: that tells their reservations apart.
    pub(crate) at_limit: Mutex<HashMap<i64, i64>>,
    pub(crate) scan_positions: ScanPositions,
    /// Whether the table of control flags was there when it was last read.
    pub(crate) has_flags: AtomicBool,
    slots: [ConnectionSlot<D::Session>; Role::COUNT],
    reserve: ConnectionSlot<D::Session, D::Waiter>,
}

impl<D: Database> SqlBroker<D> {
    /// A broker on `database`, with these names of its tables. Neither reads nor writes anything.
    pub(crate) fn on(database: D, jobs: &str, failed: &str, settings: Settings) -> Self {
        let tables = Tables::new(database.dialect(), settings.family, jobs, settings.keeps_failed().then_some(failed));
        let slots = std::array::from_fn(|_| ConnectionSlot::new());
        Self {
            settings,
            zone: SharedTimeZone::default(),
            tables,
            database,
            at_limit: Mutex::default(),
            scan_positions: ScanPositions::default(),
            has_flags: AtomicBool::new(false),
            slots,
            reserve: ConnectionSlot::new(),
        }
    }

    /// With the zone in which the other programs on its table of failed jobs write their times. Without it, that is UTC.
    #[must_use]
    pub fn in_zone(self, zone: SharedTimeZone) -> Self {
        Self { zone, ..self }
    }

    /// Runs `work` on the connection of `role`.
    ///
    /// The texts of statements are asked for inside of `work`: which columns the tables have is known when the connection is open.
    pub(crate) fn run<T>(&self, role: Role, work: impl FnOnce(&mut D::Session) -> Result<T, SqlError>) -> Result<T> {
        self.slots[role as usize].run(&self.database, &self.tables, || (), |session, ()| work(session))
    }

    /// Runs `work` on the connection that reserves, beside what waits for jobs.
    pub(crate) fn run_waiting<T>(&self, work: impl FnOnce(&mut D::Session, &mut D::Waiter) -> Result<T, SqlError>) -> Result<T> {
        self.reserve.run(&self.database, &self.tables, || self.database.waiter(), work)
    }
}

impl<D: Database> Broker for SqlBroker<D> {
    fn push(&self, queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>> {
        push::push(self, queue, &job).map(Some)
    }

    fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
        push::push_many(self, queue, jobs)
    }

    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
        reserve::reserve(self, queues, max, wait)
    }

    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
        settle::settle(self, batch)
    }

    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
        settle::extend(self, claims)
    }

    fn size(&self, queue: &QueueName) -> Result<Sizes> {
        admin::size(self, queue)
    }

    fn close(&self) {
        self.reserve.close();
        self.slots.iter().for_each(ConnectionSlot::close);
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            id_in_payload: false,
            counts_in_payload: false,
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

    /// SQLite keeps the locks of a process in a table of its own. A child inherits the table but not the locks, so it would write
    /// into a `-wal` that the parent's close deletes: jobs that were stored would be gone.
    fn before_fork(&self) {
        self.close();
    }
}
