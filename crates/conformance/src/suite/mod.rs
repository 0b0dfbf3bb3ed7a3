//! Every behaviour of `Broker`, one function each, named as a sentence. `list.rs` names them all; [`tests_of`] makes tests of them.
//!
//! Time: a worker lives in its second ([`Fixture::worker_with`] with a fixed `now`); time passes by asking for a later worker. So a
//! claim is settled by the worker that holds it, as brokers whose claims are bound to a connection require.

#![allow(missing_docs, reason = "the name of a behaviour is its sentence")]

mod driver;
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
pub mod identity;
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

pub use driver::{Behaviour, Driver, Fixture, Need, Store, Terms, run, tests_of};
pub use list::BEHAVIOURS;

/// The second in which most behaviours begin; that of the recordings in `fixtures/`.
pub const START: i64 = 1_700_000_000;

/// Seconds a reservation lasts unless a behaviour says otherwise.
pub const RETRY_AFTER: u32 = 60;
