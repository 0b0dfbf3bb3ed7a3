//! Workers and consumers: they assemble a source and an engine.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use ferry_core::broker::Broker;
use ferry_core::dialect::Family;
use ferry_core::queue::QueueName;
use ferry_core::{Claim, Receipt, Reservation, Result};
use ferry_support::threads::PanicSlot;

use crate::engine::{Engine, RunEnd, control_broker};
use crate::execution::JobExecution;
use crate::exit;
use crate::fork_generation::ForkGeneration;
use crate::host::{Halt, JobHost, TaskHost};
use crate::in_flight::InFlightJob;
use crate::job::{Discarding, HeldJob};
use crate::job_source::JobSource;
use crate::options::Options;
use crate::shutdown::ShutdownDeadline;
use crate::status_writer::StatusReporter;
use crate::task_source::{OpenReceiver, TaskSource};
use crate::threads::{StatusTarget, WorkerThreads};
use crate::watchdog::Interrupter;

/// A worker on one connection.
pub struct Worker {
    broker: Arc<dyn Broker>,
    options: Options,
    generation: ForkGeneration,
    interrupter: Option<Arc<dyn Interrupter>>,
    /// The broker that keeps the control flags.
    control: Option<Arc<dyn Broker>>,
    statuses: Option<StatusTarget>,
}

impl Worker {
    /// A worker that has not started: no thread, no I/O.
    pub fn new(broker: Arc<dyn Broker>, options: Options, generation: fn() -> u64) -> Self {
        let generation = ForkGeneration::here(generation);
        Self { broker, options, generation, interrupter: None, control: None, statuses: None }
    }

    /// Follows the control flags that `broker` keeps, if it keeps any, and reports there.
    #[must_use]
    pub fn with_control(self, broker: Option<Arc<dyn Broker>>) -> Self {
        Self { control: broker, ..self }
    }

    /// Writes the status of jobs to the status store of `broker`, if it has one, for `ttl` seconds.
    #[must_use]
    pub fn with_status_store(self, broker: Option<Arc<dyn Broker>>, ttl: u32) -> Self {
        let broker = broker.filter(|broker| broker.status().is_some());
        Self { statuses: broker.map(|statuses| StatusTarget { statuses, ttl }), ..self }
    }

    /// Lets a watchdog stop jobs that run too long, through `interrupter`.
    #[must_use]
    pub fn with_interrupter(self, interrupter: Arc<dyn Interrupter>) -> Self {
        Self { interrupter: Some(interrupter), ..self }
    }

    /// Runs jobs until somebody asks it to stop, or a limit is reached.
    pub fn run(&mut self, host: &dyn JobHost) -> RunEnd {
        let (mut source, mut engine, jobs) = match self.start(host) {
            Ok(started) => started,
            Err(error) => return RunEnd::NotStarted(error),
        };
        if let Some(control) = control_broker(self.control.clone(), Some(&self.broker))
            && let Err(error) = engine.join_control(control, jobs)
        {
            return engine.shutdown(&mut source, RunEnd::NotStarted(error));
        }
        engine.run(&mut source).0
    }

    /// Runs one job if one is ready. Returns whether there was one, or how the worker ended instead.
    pub fn work_one(&mut self, host: &dyn JobHost) -> std::result::Result<bool, RunEnd> {
        let (mut source, engine, _) = self.start(host).map_err(RunEnd::NotStarted)?;
        let (found, end) = match source.reserve_one() {
            Err(error) => (false, RunEnd::NotStarted(error)),
            Ok(found) => (found, source.run_next().map_or_else(RunEnd::Halted, |_| RunEnd::Code(exit::STOPPED))),
        };
        match engine.shutdown(&mut source, end) {
            RunEnd::Code(_) => Ok(found),
            end => Err(end),
        }
    }

    fn start<'a>(&'a self, host: &'a dyn JobHost) -> Result<(JobSource<'a>, Engine<'a>, Arc<crate::InFlightJobs>)> {
        let threads = WorkerThreads::start(&self.broker, &self.options, self.interrupter.clone(), self.statuses.as_ref())?;
        let (jobs, panics) = (threads.shared.jobs.clone(), threads.panics().clone());
        let shutdown = ShutdownDeadline::new(self.interrupter.clone(), jobs.clone());
        shutdown.limit(&*self.broker);
        if let Some(target) = &self.statuses {
            shutdown.limit(&*target.statuses);
        }
        let source = JobSource::new(host, &self.options, self.broker.clone(), self.generation, threads);
        Ok((source, Engine::new(host, &self.options, shutdown, self.generation, panics), jobs))
    }
}

/// A consumer of tasks.
pub struct Consumer<'a> {
    options: &'a Options,
    generation: fn() -> u64,
    interrupter: Option<Arc<dyn Interrupter>>,
    control: Option<Arc<dyn Broker>>,
    statuses: Option<StatusTarget>,
}

impl<'a> Consumer<'a> {
    /// A consumer that has not started: no thread, no I/O.
    pub fn new(options: &'a Options, generation: fn() -> u64) -> Self {
        Self { options, generation, interrupter: None, control: None, statuses: None }
    }

    /// Writes the status of tasks to the status store of `broker`, if it has one, for `ttl` seconds.
    #[must_use]
    pub fn with_status_store(self, broker: Option<Arc<dyn Broker>>, ttl: u32) -> Self {
        let broker = broker.filter(|broker| broker.status().is_some());
        Self { statuses: broker.map(|statuses| StatusTarget { statuses, ttl }), ..self }
    }

    /// Follows the control flags that `broker` keeps, if it keeps any, and reports there.
    #[must_use]
    pub fn with_control(self, broker: Option<Arc<dyn Broker>>) -> Self {
        Self { control: broker, ..self }
    }

    /// Lets a watchdog stop tasks that run too long, through `interrupter`.
    #[must_use]
    pub fn with_interrupter(self, interrupter: Arc<dyn Interrupter>) -> Self {
        Self { interrupter: Some(interrupter), ..self }
    }

    /// Runs tasks until somebody asks it to stop, or a limit is reached. Returns how it ended and how many tasks it took.
    pub fn run(&self, host: &'a dyn TaskHost, open: Box<OpenReceiver<'a>>) -> (RunEnd, u64) {
        let panics = PanicSlot::default();
        let mut source = TaskSource::new(host, self.options, self.generation, open);
        let shutdown = ShutdownDeadline::new(self.interrupter.clone(), source.running());
        let mut engine = Engine::new(host, self.options, shutdown, ForkGeneration::here(self.generation), panics.clone());
        let watched = self.interrupter.clone().map_or(Ok(()), |interrupter| source.start_watchdog(interrupter, &panics));
        let tracked = watched.and_then(|()| match &self.statuses {
            Some(StatusTarget { statuses, ttl }) => source.start_statuses(statuses.clone(), *ttl, &panics),
            None => Ok(()),
        });
        let joined = tracked.and_then(|()| match control_broker(self.control.clone(), None) {
            Some(control) => engine.join_control(control, source.running()),
            None => Ok(()),
        });
        match joined {
            Ok(()) => engine.run(&mut source),
            Err(error) => (engine.shutdown(&mut source, RunEnd::NotStarted(error)), 0),
        }
    }
}

/// Runs a job inside push, for the `sync` connection: nothing is reserved and nothing is settled.
///
/// A handler that throws fails its job at once: `failed()` is called and the exception is the caller's.
pub fn work_now(
    connection: &str,
    queue: &QueueName,
    body: Vec<u8>,
    now: i64,
    host: &dyn JobHost,
    generation: fn() -> u64,
    reporter: Option<StatusReporter>,
) -> std::result::Result<(), Halt> {
    let claim = Claim { queue: queue.clone(), receipt: Receipt(Vec::new()) };
    let reservation = Reservation { claim, body, attempts: Some(1), number: None, reserved_at: now };
    let in_flight = InFlightJob::new(reservation, Instant::now(), Family::default());
    let job = HeldJob::open(in_flight, Arc::from(connection), Arc::new(Discarding), ForkGeneration::here(generation));
    let options = Options::new(connection, vec![queue.clone()]);
    JobExecution { options: &options, threads: None, job: &Rc::new(job.with_status(reporter)), left_unsettled: None }
        .execute(host)
}
