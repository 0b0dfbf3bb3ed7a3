//! Jobs, payloads, retry policy, configuration and the broker traits.
//!
//! This crate opens no socket, starts no thread and knows no PHP. The memory broker is here because it is the reference for
//! every driver; the sync broker because it needs no server.

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
mod json_fields;
pub mod memory;
pub mod payload;
pub mod policy;
pub mod queue;
pub mod redis_task;
pub mod status;
pub mod sync;
pub mod task;
pub mod timezone;

pub use broker::{Admin, Broker, IdempotencyStore, StatusStore, WorkerControl, control};
pub use error::{Error, ErrorKind, Result};
pub use job::{Claim, Due, NewJob, Receipt, Reservation};
pub use queue::QueueName;
