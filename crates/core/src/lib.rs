//! Words and decisions of Ferry.
//!
//! This room holds what a job is, what its bytes look like, what a broker must be able to do and how outcomes are decided.
//! It opens no socket, starts no thread and knows no PHP. The memory broker lives here because it is the reference that every
//! other driver is compared with.

pub mod backoff;
pub mod batch;
pub mod broker;
pub mod clock;
pub mod config;
pub mod dialect;
pub mod display;
pub mod error;
pub mod failed;
pub mod id;
pub mod idempotency;
pub mod job;
pub mod memory;
pub mod payload;
pub mod policy;
pub mod queue;
pub mod signals;
pub mod status;
pub mod task;

pub use broker::{Admin, Broker, IdempotencyStore, StatusStore, WorkerControl, control};
pub use error::{Error, ErrorKind, Result};
pub use job::{Claim, Due, NewJob, Receipt, Reservation};
pub use queue::QueueName;
