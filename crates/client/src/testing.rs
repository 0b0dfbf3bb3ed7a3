//! Brokers for the tests of this crate: one like a table, one that counts when it is dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferry_core::broker::{Capabilities, ExtendResult, Settle, SettleResult, Sizes};
use ferry_core::config::{ConnectionConfig, connection_from_dsn};
use ferry_core::job::{Claim, NewJob, Reservation};
use ferry_core::{Broker, Error, ErrorKind, QueueName, Result};

use crate::connection::Connection;
use crate::drivers::broker_of;

/// The configuration of a connection called `c`.
pub(crate) fn config(dsn: &str) -> Arc<ConnectionConfig> {
    Arc::new(connection_from_dsn("c", dsn).unwrap())
}

/// A connection called `c` that no other test shares.
pub(crate) fn connection(dsn: &str) -> Connection {
    let config = config(dsn);
    let broker = broker_of(&config).unwrap();
    Connection::new(config, broker)
}

/// The queue `mail`.
pub(crate) fn queue() -> QueueName {
    QueueName::new(b"mail").unwrap()
}

/// Numbers its rows, keeps counters out of payloads, has no admin operations, and counts when it is closed or dropped.
#[derive(Default)]
pub(crate) struct TableBroker {
    rows: Mutex<Vec<Vec<u8>>>,
    refuses: bool,
    dropped: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
    prepared: Arc<AtomicUsize>,
}

impl TableBroker {
    /// One that stores nothing.
    pub(crate) fn refusing() -> Self {
        Self { rows: Mutex::default(), refuses: true, dropped: Arc::default(), closed: Arc::default(), prepared: Arc::default() }
    }

    /// What was stored.
    pub(crate) fn rows(&self) -> Vec<Vec<u8>> {
        self.rows.lock().unwrap().clone()
    }
}

impl Drop for TableBroker {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Counts how many of its brokers were prepared for a fork, closed and dropped.
#[derive(Default)]
pub(crate) struct Counted {
    dropped: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
    prepared: Arc<AtomicUsize>,
}

impl Counted {
    pub(crate) fn broker(&self) -> Arc<dyn Broker> {
        let (dropped, closed, prepared) = (Arc::clone(&self.dropped), Arc::clone(&self.closed), Arc::clone(&self.prepared));
        Arc::new(TableBroker { rows: Mutex::default(), refuses: false, dropped, closed, prepared })
    }

    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }

    pub(crate) fn closed(&self) -> usize {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn prepared(&self) -> usize {
        self.prepared.load(Ordering::SeqCst)
    }
}

impl Broker for TableBroker {
    fn push(&self, _queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>> {
        if self.refuses {
            return Err(Error::new(ErrorKind::Refused, "the table is full"));
        }
        let mut rows = self.rows.lock().unwrap();
        rows.push(job.payload.into_owned());
        Ok(Some(i64::try_from(rows.len()).unwrap()))
    }

    fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
        for job in jobs {
            self.push(queue, job.clone())?;
        }
        Ok(jobs.len() as u64)
    }

    fn reserve(&self, _queues: &[QueueName], _max: usize, _wait: Duration) -> Result<Vec<Reservation>> {
        Ok(Vec::new())
    }

    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
        Ok(vec![SettleResult::Lost; batch.len()])
    }

    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
        Ok(vec![ExtendResult::Lost; claims.len()])
    }

    fn size(&self, _queue: &QueueName) -> Result<Sizes> {
        Ok(Sizes::default())
    }

    fn before_fork(&self) {
        self.prepared.fetch_add(1, Ordering::SeqCst);
    }

    fn close(&self) {
        self.closed.fetch_add(1, Ordering::SeqCst);
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
}
