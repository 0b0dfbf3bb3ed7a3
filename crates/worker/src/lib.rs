//! The worker: takes jobs from a broker, hands them to a host one by one, and sees to it that every one ends in one state.
//!
//! | file | what it is for |
//! |---|---|
//! | `run.rs` | the loop |
//! | `way.rs` | the way of one job: start it or not, run it, settle it, tell |
//! | `crew.rs` | the threads of a running worker, and what they share with it |
//! | `job.rs` | one reserved job, as its handler holds it |
//! | `hold.rs` | the jobs this worker holds: the running one and those not started yet |
//! | `keeper.rs` | the thread that renews their leases |
//! | `pipeline.rs` | the thread that sends deletions in batches |
//! | `timer.rs` | the thread that ends jobs which run too long |
//! | `emergency.rs` | what is settled when the process has to end while a job runs |
//! | `scribe.rs` | the thread that tells what becomes of jobs |
//! | `fleet.rs` | what the fleet is asked for, and what this worker says of itself |
//! | `health.rs` | the file that tells a probe whether the broker answers |
//! | `link.rs` | what to do when the broker does not answer |
//! | `pace.rs` | how many jobs to take at once |
//! | `tally.rs` | counting jobs, and when to sum up |
//! | `host.rs` | what the loop needs from PHP |
//! | `lineage.rs` | whether this process is still the one that started |
//!
//! The host runs on the caller's thread; the threads here see owned bytes and numbers only. No lock is held while the host runs.

mod crew;
mod emergency;
pub mod exit;
mod fleet;
mod health;
mod hold;
pub mod host;
mod job;
mod keeper;
mod lineage;
mod link;
mod options;
mod pace;
mod pipeline;
mod run;
mod scribe;
mod tally;
mod timer;
mod way;

pub use hold::{Hold, Lease};
pub use host::{CallEnd, Event, Halt, Host, Summary, Why};
pub use job::{Direct, Discarding, HeldJob, Settler};
pub use lineage::Lineage;
pub use options::Options;
pub use pipeline::{Deletion, Pipeline};
pub use run::{End, Worker, work_now};
pub use scribe::{Chronicle, Desk, Scribe};
pub use timer::{Alarm, Asked, Farewell, Ladder, Rung, Step, Timer};
