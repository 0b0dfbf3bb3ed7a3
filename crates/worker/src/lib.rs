//! The worker: takes jobs from a broker, hands them to a host one by one, and sees to it that every one ends in one state.
//!
//! | file | what it is for |
//! |---|---|
//! | `run.rs` | the loop, and the way of one job through it |
//! | `job.rs` | one reserved job, as its handler holds it |
//! | `hold.rs` | the jobs this worker holds: the running one and those not started yet |
//! | `keeper.rs` | the thread that renews their leases |
//! | `pipeline.rs` | the thread that sends deletions in batches |
//! | `pace.rs` | how many jobs to take at once |
//! | `host.rs` | what the loop needs from PHP |
//! | `lineage.rs` | whether this process is still the one that started |
//!
//! The host runs on the caller's thread; the two threads here see owned bytes and numbers only. No lock is held while the host runs.

pub mod exit;
mod hold;
pub mod host;
mod job;
mod keeper;
mod lineage;
mod options;
mod pace;
mod pipeline;
mod run;
mod timer;

pub use hold::Hold;
pub use host::{CallEnd, Event, Halt, Host, Why};
pub use job::{Direct, Discarding, HeldJob, Settler};
pub use lineage::Lineage;
pub use options::Options;
pub use pipeline::{Deletion, Pipeline};
pub use run::{End, Worker, work_now};
pub use timer::{Alarm, Ladder, Step, Timer};
