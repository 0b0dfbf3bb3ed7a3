//! Every behaviour of `Broker`, one function each, named as a sentence. `list.rs` names them all; `exam!` makes tests of them.
//!
//! Time: a worker lives in its second ([`Exam::worker`] with a fixed `now`); time passes by asking for a later worker. So a
//! claim is settled by the worker that holds it, as brokers whose claims are bound to a connection require.

#![allow(missing_docs, reason = "the name of a behaviour is its sentence")]

mod list;
mod tools;

pub mod batches;
pub mod burying;
pub mod clocks;
pub mod connections;
pub mod crowds;
pub mod fencing;
pub mod fleets;
pub mod giving_back;
pub mod leases;
pub mod operators;
pub mod poison;
pub mod pushing;
pub mod queue_names;
pub mod reserving;
pub mod retrying;
pub mod settling;
pub mod statuses;
pub mod twins;
pub mod waiting;

use std::sync::Arc;

use ferry_core::Broker;
use ferry_core::config::FailedStore;

pub use list::BEHAVIOURS;

/// The second in which most behaviours begin; that of the recordings in `fixtures/`.
pub const START: i64 = 1_700_000_000;

/// Seconds a reservation lasts unless a behaviour says otherwise.
pub const RETRY_AFTER: u32 = 60;

/// What a worker asks of its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What the broker's clock shows; `None` is its own clock.
    pub now: Option<i64>,
    /// Seconds a reservation lasts.
    pub retry_after: Option<u32>,
    /// Whether failed jobs are kept.
    pub failed: FailedStore,
}

impl Terms {
    /// The usual terms in this second.
    pub fn at(second: i64) -> Self {
        Self { now: Some(second), retry_after: Some(RETRY_AFTER), failed: FailedStore::Keep }
    }
}

/// One driver with one empty store. Every test gets its own.
pub trait Exam: Sync {
    /// Another worker on this store, as a process of its own would be.
    ///
    /// All workers of one behaviour have the same `retry_after` and `failed`. `None` when the driver has no such terms.
    fn worker_with(&self, terms: Terms) -> Option<Arc<dyn Broker>>;

    /// Breaks every connection between workers and store, without a word to the workers.
    fn kill_connections(&self);

    /// Whether a queue can be called like a part of another one, as with keys that no brace closes.
    fn names_can_collide(&self) -> bool {
        false
    }

    /// Whether time passes by asking for a later worker. Where delays are the server's own, nobody can turn its clock.
    fn time_can_be_turned(&self) -> bool {
        true
    }

    /// The longest name of a queue that jobs are pushed to, in bytes.
    fn longest_name(&self) -> usize {
        ferry_core::QueueName::MAX_BYTES
    }

    /// Whether a job that stands alone is taken in its place among the others; otherwise it may come behind them.
    fn lone_jobs_keep_their_place(&self) -> bool {
        true
    }
}

impl dyn Exam + '_ {
    /// Another worker in this second.
    pub fn at(&self, second: i64) -> Arc<dyn Broker> {
        self.worker_with(Terms::at(second)).expect("every driver has the usual terms")
    }

    /// Another worker at [`START`].
    pub fn worker(&self) -> Arc<dyn Broker> {
        self.at(START)
    }

    /// Whether reservations expire. If not, says that the behaviour is skipped.
    fn has_leases(&self) -> bool {
        let leases = self.worker().capabilities().leases;
        if !leases {
            crate::servers::say_skipped("this driver has no leases");
        }
        leases
    }

    /// Whether time can be turned. If not, says that the behaviour is skipped.
    fn has_a_clock_to_turn(&self) -> bool {
        let turns = self.time_can_be_turned();
        if !turns {
            crate::servers::say_skipped("the clock of this broker cannot be turned");
        }
        turns
    }

    /// Whether delayed and reserved jobs can be seen. If not, says that the behaviour is skipped.
    fn sees_all_states(&self) -> bool {
        let sees = self.worker().capabilities().sees_all_states;
        if !sees {
            crate::servers::say_skipped("this driver does not see delayed and reserved jobs");
        }
        sees
    }

    /// Whether what is given back goes to the head. If not, says that the behaviour is skipped.
    fn gives_back_to_head(&self) -> bool {
        let head = self.worker().capabilities().gives_back_to_head;
        if !head {
            crate::servers::say_skipped("this driver gives back to the tail");
        }
        head
    }
}

/// Sits one behaviour. `exam` is `None` when there is no server here; whoever made it has said so.
pub fn sit<E: Exam>(exam: Option<E>, behaviour: fn(&dyn Exam)) {
    if let Some(exam) = exam {
        behaviour(&exam);
    }
}
