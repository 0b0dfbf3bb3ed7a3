//! A job on its way: about to be pushed, or reserved by us.

use std::borrow::Cow;

use crate::queue::QueueName;

/// When a job becomes ready, by the broker's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At once.
    Now,
    /// So many seconds after the broker receives it. Zero and negative values go through the delayed jobs too, as
    /// think-queue's `later` does (`redis/later-negative`).
    After(i64),
    /// At this unix second.
    At(i64),
}

impl Due {
    /// The last second of the year 9999: what `DateTime` and every database column can hold.
    pub const LATEST: i64 = 253_402_300_799;

    /// The unix second meant by this due time, when the broker's clock shows `now`.
    pub fn at(self, now: i64) -> i64 {
        match self {
            Due::Now => now,
            Due::After(seconds) => now.saturating_add(seconds),
            Due::At(second) => second,
        }
    }
}

/// A job to be stored: finished payload bytes and a due time.
#[derive(Debug, Clone)]
pub struct NewJob<'a> {
    /// The payload, exactly as it goes to the wire.
    pub payload: Cow<'a, [u8]>,
    /// When it becomes ready.
    pub due: Due,
}

impl<'a> NewJob<'a> {
    /// A job that is ready at once.
    pub fn ready(payload: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { payload: payload.into(), due: Due::Now }
    }

    /// A job that is ready when `due` says.
    pub fn due(payload: impl Into<Cow<'a, [u8]>>, due: Due) -> Self {
        Self { payload: payload.into(), due }
    }
}

/// What a driver needs to find one reservation again. Opaque to everybody else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub Vec<u8>);

/// Our hold on one job: the queue it came from and its receipt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The queue the job was reserved from.
    pub queue: QueueName,
    /// The driver's handle.
    pub receipt: Receipt,
}

/// A job that is ours until its lease ends.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// What settles or extends it.
    pub claim: Claim,
    /// The payload as it lay ready, before attempts was raised: what `getRawBody()` shows and the failed store keeps.
    pub body: Vec<u8>,
    /// Which attempt this is, 1 for the first. `None` when the payload does not tell: poison.
    pub attempts: Option<u32>,
    /// The number the broker gave the job, where it gives one (a table row).
    pub number: Option<i64>,
    /// The broker's unix second at which it was reserved.
    pub reserved_at: i64,
}
