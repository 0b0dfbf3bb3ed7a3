//! The worker: takes jobs from a broker, hands them to a host one by one, and sees to it that every one ends in one state.
//!
//! | file | what it is for |
//! |---|---|
//! | `run.rs` | the loop |
//! | `execution.rs` | the way of one job: start it or not, run it, settle it, tell |
//! | `threads.rs` | the threads of a running worker, and what they share with it |
//! | `job.rs` | one reserved job, as its handler holds it |
//! | `in_flight.rs` | the jobs this worker holds: the running one and those not started yet |
//! | `lease_renewer.rs` | the thread that renews their leases |
//! | `delete_batcher.rs` | the thread that sends deletions in batches |
//! | `watchdog.rs` | the thread that ends jobs which run too long |
//! | `abort_settler.rs` | what is settled when the process has to end while a job runs |
//! | `status_writer.rs` | the thread that tells what becomes of jobs |
//! | `control.rs` | what the fleet is asked for, and what this worker says of itself |
//! | `health.rs` | the file that tells a probe whether the broker answers |
//! | `outage.rs` | what to do when the broker does not answer |
//! | `batch_sizer.rs` | how many jobs to take at once |
//! | `job_counters.rs` | counting jobs, and when to sum up |
//! | `host.rs` | what the loop needs from PHP |
//! | `fork_generation.rs` | whether this process is still the one that started |
//!
//! The host runs on the caller's thread; the threads here see owned bytes and numbers only. No lock is held while the host runs.

mod abort_settler;
mod batch_sizer;
mod control;
mod delete_batcher;
mod execution;
pub mod exit;
mod fork_generation;
mod health;
pub mod host;
mod in_flight;
mod job;
mod job_counters;
mod lease_renewer;
mod options;
mod outage;
mod run;
mod status_writer;
mod threads;
mod watchdog;

pub use delete_batcher::{DeleteBatcher, Deletion};
pub use fork_generation::ForkGeneration;
pub use host::{CallEnd, Event, FailureCause, Halt, Host, Summary};
pub use in_flight::{InFlightJob, InFlightJobs};
pub use job::{Direct, Discarding, HeldJob, Settler};
pub use options::Options;
pub use run::{RunEnd, Worker, work_now};
pub use status_writer::{StatusQueue, StatusReporter, StatusWriter};
pub use watchdog::{Interrupter, ShutdownPolicy, StopRequest, TimeoutFired, TimeoutSchedule, TimeoutStage, Watchdog};
