//! The worker: reserves jobs, hands them to a host one by one, and makes sure that each of them ends in exactly one state.
//!
//! | file | topic |
//! |---|---|
//! | `engine.rs` | the loop of every worker; asks a source for work once a batch |
//! | `worker.rs`, `job_source.rs` | a worker on one connection; the jobs of its broker as a source |
//! | `task_source.rs`, `task_status.rs` | the tasks of a consumer as a source; their statuses |
//! | `execution.rs` | the execution of one job: start it or not, run it, settle it, report it |
//! | `host.rs` | what the worker needs from PHP |
//! | `options.rs`, `exit.rs` | options and exit codes |
//! | `job.rs` | one reserved job, as its handler sees it |
//! | `in_flight.rs` | the jobs that a worker holds: the running one and those not started yet |
//! | `threads.rs` | the threads of a running worker, and what they share |
//! | `lease_renewer.rs` | renews the leases of reserved jobs |
//! | `batcher.rs` | a queue of items and the thread that sends them in batches |
//! | `delete_batcher.rs`, `status_writer.rs` | deletions and statuses, sent in batches |
//! | `shutdown.rs` | one deadline for all that a worker does when it stops |
//! | `watchdog.rs` | ends jobs that run too long |
//! | `abort_settler.rs` | settles what is held when the process has to end while a job runs |
//! | `control.rs` | control flags and worker reports |
//! | `health.rs`, `outage.rs` | the health file; what to do while the broker does not answer |
//! | `batch_sizer.rs`, `job_counters.rs` | how many jobs to reserve at once; counting them |
//! | `deadline.rs`, `fork_generation.rs` | points in time that are too far away; whether this process was forked |
//!
//! The host runs on the caller's thread; the threads here see owned bytes and numbers only. No lock is held while the host runs.

mod abort_settler;
mod batch_sizer;
mod batcher;
mod control;
mod deadline;
mod delete_batcher;
mod engine;
mod execution;
pub mod exit;
mod fork_generation;
mod health;
pub mod host;
mod in_flight;
mod job;
mod job_counters;
mod job_source;
mod lease_renewer;
mod options;
mod outage;
mod shutdown;
mod status_writer;
mod task_source;
mod task_status;
mod threads;
mod watchdog;
mod worker;

pub use delete_batcher::{DeleteBatcher, Deletion};
pub use engine::{Engine, LoopAction, RunEnd, Source, UnitEnd};
pub use fork_generation::ForkGeneration;
pub use host::{CallEnd, Decoded, Event, FailureCause, Halt, Host, JobHost, Summary, TaskEnd, TaskEvent, TaskHost};
pub use in_flight::{InFlightJob, InFlightJobs};
pub use job::{Direct, Discarding, HeldJob, Settler};
pub use options::Options;
pub use status_writer::{StatusQueue, StatusReporter, StatusWriter};
pub use task_source::{OpenReceiver, TaskSource};
pub use task_status::{TaskStatus, TaskStatuses};
pub use watchdog::{Interrupter, ShutdownPolicy, StopRequest, TimeoutFired, TimeoutSchedule, TimeoutStage, Watchdog};
pub use worker::{Consumer, Worker, work_now};
