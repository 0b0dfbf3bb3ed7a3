//! The loop.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::broker::{Broker, Isolation};
use ferry_core::control::WorkerState;
use ferry_core::policy::Tries;
use ferry_core::queue::QueueName;
use ferry_core::{Claim, Error, Receipt, Reservation, Result};

use crate::batch_sizer::BatchSizer;
use crate::control::{ControlBroker, ControlClient, WorkerIdentity};
use crate::execution::{JobExecution, random};
use crate::fork_generation::ForkGeneration;
use crate::health::Health;
use crate::host::{Event, Halt, Host, Summary};
use crate::in_flight::InFlightJob;
use crate::job::{Discarding, HeldJob};
use crate::job_counters::JobCounters;
use crate::options::Options;
use crate::outage::{OutageAction, OutageTracker};
use crate::status_writer::StatusReporter;
use crate::threads::{StatusTarget, WorkerThreads};
use crate::watchdog::Interrupter;
use crate::{exit, lease_renewer};

/// The longest wait in one piece: PHP's signal handlers run at least this often.
const SLICE: Duration = Duration::from_millis(200);

/// How often a job may be moved before `work_one` leaves it to the next call.
const MOST_MOVES: usize = 3;

/// How a worker ended.
#[derive(Debug)]
pub enum RunEnd {
    /// With an exit code.
    Code(u8),
    /// It could not start: exit code 1.
    NotStarted(Error),
    /// PHP ended it.
    Halted(Halt),
}

/// A worker on one connection.
pub struct Worker {
    broker: Arc<dyn Broker>,
    options: Options,
    connection: Arc<str>,
    generation: ForkGeneration,
    interrupter: Option<Arc<dyn Interrupter>>,
    control: ControlClient,
    /// The broker that keeps the control flags.
    control_broker: Option<Arc<dyn Broker>>,
    statuses: Option<StatusTarget>,
    state: WorkerState,
    /// The queue of the batch at hand.
    serving: Option<QueueName>,
    /// Whether some handler here allows one try only.
    one_by_one: bool,
    /// Whether reservations have leases.
    leases: bool,
    sizer: BatchSizer,
    counters: JobCounters,
    /// When the memory is looked at next, for the fleet to see.
    memory_due: Instant,
}

impl Worker {
    /// A worker that has not started: no thread, no I/O.
    pub fn new(broker: Arc<dyn Broker>, options: Options, generation: fn() -> u64) -> Self {
        let connection = Arc::from(options.connection.as_str());
        let leases = broker.capabilities().leases;
        Self {
            broker,
            options,
            connection,
            generation: ForkGeneration::here(generation),
            interrupter: None,
            control: ControlClient::none(),
            control_broker: None,
            statuses: None,
            state: WorkerState::Idle,
            serving: None,
            one_by_one: false,
            leases,
            sizer: BatchSizer::default(),
            counters: JobCounters::new(Instant::now()),
            memory_due: Instant::now(),
        }
    }

    /// Follows the control flags that `broker` keeps, if it keeps any, and reports there.
    #[must_use]
    pub fn with_control(mut self, broker: Option<Arc<dyn Broker>>) -> Self {
        self.control_broker = broker.filter(|broker| broker.control().is_some());
        self
    }

    /// Writes the status of jobs to the status store of `broker`, if it has one, for `ttl` seconds.
    #[must_use]
    pub fn with_status_store(mut self, broker: Option<Arc<dyn Broker>>, ttl: u32) -> Self {
        self.statuses = broker.filter(|broker| broker.status().is_some()).map(|statuses| StatusTarget { statuses, ttl });
        self
    }

    /// Lets a watchdog stop jobs that run too long, through `interrupter`.
    #[must_use]
    pub fn with_interrupter(mut self, interrupter: Arc<dyn Interrupter>) -> Self {
        self.interrupter = Some(interrupter);
        self
    }

    /// Runs jobs until somebody asks it to stop, or a limit is reached.
    pub fn run(&mut self, host: &dyn Host) -> RunEnd {
        let threads = match self.start() {
            Ok(threads) => threads,
            Err(error) => return RunEnd::NotStarted(error),
        };
        if let Err(error) = self.join_control(&threads) {
            return self.shutdown(threads, host, RunEnd::NotStarted(error));
        }
        let end = self.serve(&threads, host);
        if !self.generation.is_forked() {
            self.control.deregister();
        }
        self.shutdown(threads, host, end)
    }

    /// Runs one job if one is ready. Returns whether there was one.
    pub fn work_one(&mut self, host: &dyn Host) -> Result<bool, (Option<Error>, Halt)> {
        let threads = self.start().map_err(|error| (Some(error), Halt::Threw))?;
        let reserved = Instant::now();
        let found = match self.reserve_one(&threads, host, reserved) {
            Ok(found) => found,
            Err(error) => {
                self.shutdown(threads, host, RunEnd::Code(exit::STOPPED));
                return Err((Some(error), Halt::Threw));
            }
        };
        let end = match self.work_held(&threads, host) {
            Ok(_) => RunEnd::Code(exit::STOPPED),
            Err(halt) => RunEnd::Halted(halt),
        };
        match self.shutdown(threads, host, end) {
            RunEnd::Halted(halt) => Err((None, halt)),
            RunEnd::NotStarted(error) => Err((Some(error), Halt::Threw)),
            RunEnd::Code(_) => Ok(found),
        }
    }

    /// Reserves one job that may be started. Returns whether there was one. A job that is moved to be held alone is reserved from there.
    fn reserve_one(&mut self, threads: &WorkerThreads, host: &dyn Host, asked: Instant) -> Result<bool> {
        for _ in 0..MOST_MOVES {
            let jobs = self.broker.reserve(&self.options.queues, 1, Duration::ZERO)?;
            let found = !jobs.is_empty();
            self.accept_batch(threads, host, jobs, asked)?;
            if !found || threads.shared.jobs.has_waiting() {
                return Ok(found);
            }
        }
        Ok(true)
    }

    fn start(&self) -> Result<WorkerThreads> {
        WorkerThreads::start(&self.broker, &self.options, &self.connection, self.interrupter.clone(), self.statuses.as_ref())
    }

    /// Settles what is open, ends the threads and turns the end into the answer of `run`.
    fn shutdown(&mut self, threads: WorkerThreads, host: &dyn Host, end: RunEnd) -> RunEnd {
        if self.generation.is_forked() {
            threads.forget();
            return end;
        }
        let mut end = end;
        if let Some(panic) = threads.panic() {
            end = after(end, host.event(Event::ThreadPanicked(panic)));
        }
        if let Some(error) = threads.settle_all() {
            end = after(end, host.event(Event::BrokerLost(&error)));
        }
        end = after(end, report_lost(&threads, host));
        threads.flush_statuses();
        end = after(end, report_status_error(&threads, host));
        self.broker.release_prefetched();
        threads.shutdown();
        if let RunEnd::Code(code) = end {
            end = after(end, host.event(Event::Stopping(code)));
        }
        end
    }

    fn join_control(&mut self, threads: &WorkerThreads) -> Result<()> {
        let Some(broker) = self.control_broker.clone() else { return Ok(()) };
        let elsewhere = !Arc::ptr_eq(&broker, &self.broker);
        let identity = WorkerIdentity::here(&self.options.queues, (random() * 65536.0) as u64);
        self.control =
            ControlClient::join(ControlBroker { broker, elsewhere }, identity, threads.shared.jobs.clone(), threads.panics())?;
        Ok(())
    }

    fn serve(&mut self, threads: &WorkerThreads, host: &dyn Host) -> RunEnd {
        let started = Instant::now();
        match self.serve_until(threads, host, started) {
            Ok(end) => end,
            Err(halt) => RunEnd::Halted(halt),
        }
    }

    fn serve_until(&mut self, threads: &WorkerThreads, host: &dyn Host, started: Instant) -> Result<RunEnd, Halt> {
        let mut outage = OutageTracker::new(self.options.max_outage);
        let mut health = Health::new(self.options.health_file.clone());
        let mut ready = false;
        let end = loop {
            self.poll_signals(host)?;
            host.event(Event::Looping)?;
            if self.generation.is_forked() {
                return Err(Halt::Forked);
            }
            self.poll_control(host)?;
            if let Some(code) = self.reached(threads, host, started) {
                break RunEnd::Code(code);
            }
            let queues = self.open_queues(host);
            if queues.is_empty() {
                self.pause(host, true)?;
                if self.gives_up_when_empty(started) {
                    break RunEnd::Code(exit::STOPPED);
                }
                health.alive(Instant::now());
                self.sleep_interruptible(host, SLICE)?;
                continue;
            }
            self.pause(host, false)?;
            threads.flush_soon();
            let asked = Instant::now();
            let (most, wait) = (self.batch_size(), self.reserve_timeout(started));
            let reserved = self.broker.reserve(&queues, most, wait).and_then(|jobs| {
                let empty = jobs.is_empty();
                self.accept_batch(threads, host, jobs, asked).map(|()| empty)
            });
            match reserved {
                Ok(empty) => {
                    if outage.answered() {
                        host.event(Event::BrokerRecovered)?;
                    }
                    if !std::mem::replace(&mut ready, true) {
                        host.event(Event::Ready)?;
                    }
                    health.alive(Instant::now());
                    if empty {
                        self.state = WorkerState::Idle;
                        host.idle()?;
                    }
                    if let Some(code) = self.work_batch(threads, host, started)? {
                        break RunEnd::Code(code);
                    }
                    if empty && self.gives_up_when_empty(started) {
                        break RunEnd::Code(exit::STOPPED);
                    }
                }
                Err(error) => match outage.failed(Instant::now()) {
                    OutageAction::NeverWorked => break RunEnd::NotStarted(error),
                    OutageAction::GiveUp => break self.unreachable(host, &error)?,
                    OutageAction::Again { pause, first } => {
                        if first {
                            host.event(Event::BrokerError(&error))?;
                        }
                        self.sleep_interruptible(host, pause)?;
                    }
                },
            }
            report_lost(threads, host)?;
            report_status_error(threads, host)?;
        };
        health.remove();
        Ok(end)
    }

    /// Reads the control flags, and fires a summary when it is due.
    fn poll_control(&mut self, host: &dyn Host) -> Result<(), Halt> {
        let now = Instant::now();
        if let Some(error) = self.control.publish(self.counters.processed, self.counters.failed, self.state) {
            host.event(Event::ControlError(&error))?;
        }
        if now >= self.memory_due {
            self.memory_due = now + Duration::from_secs(1);
            self.control.publish_memory(host.memory());
        }
        if let Some(rate) = self.counters.rate_when_due(self.options.status, now) {
            self.sum_up(host, rate, now)?;
        }
        Ok(())
    }

    fn sum_up(&self, host: &dyn Host, rate: f64, now: Instant) -> Result<(), Halt> {
        let sizes = self.options.queues.iter().map(|queue| self.broker.size(queue));
        let pending = sizes.map(|sizes| sizes.map(|sizes| sizes.total())).sum::<Result<u64>>().ok();
        let JobCounters { processed, failed, .. } = self.counters;
        let (memory, uptime) = (host.memory(), self.counters.uptime(now));
        host.event(Event::Status(&Summary { processed, failed, pending, rate, memory, uptime }))
    }

    /// The queues that may be worked now: none while this worker is paused.
    fn open_queues(&self, host: &dyn Host) -> Vec<QueueName> {
        let open = |queue: &&QueueName| !self.control.is_paused(queue);
        if host.paused() { Vec::new() } else { self.options.queues.iter().filter(open).cloned().collect() }
    }

    /// Fires an event when a pause begins and when it ends.
    fn pause(&mut self, host: &dyn Host, paused: bool) -> Result<(), Halt> {
        if paused == (self.state == WorkerState::Paused) {
            return Ok(());
        }
        self.state = if paused { WorkerState::Paused } else { WorkerState::Idle };
        if paused {
            self.broker.release_prefetched();
        }
        host.event(if paused { Event::Paused } else { Event::Resumed })
    }

    fn unreachable(&self, host: &dyn Host, error: &Error) -> Result<RunEnd, Halt> {
        host.event(Event::BrokerLost(error))?;
        Ok(RunEnd::Code(exit::UNREACHABLE))
    }

    /// Holds a fresh batch. A job whose handler allows one try must not be held beside others, and the broker cannot know that
    /// (promise 5): such a batch goes back but for its first job, and from then on jobs are taken one by one. Without leases, such jobs are
    /// isolated instead.
    fn accept_batch(&mut self, threads: &WorkerThreads, host: &dyn Host, jobs: Vec<Reservation>, asked: Instant) -> Result<()> {
        self.serving = jobs.first().map(|job| job.claim.queue.clone());
        let mut fresh: Vec<Arc<InFlightJob>> = jobs.into_iter().map(|job| InFlightJob::new(job, asked)).collect();
        if !self.leases {
            fresh = self.isolate(host, fresh)?;
        } else if fresh.len() > 1 && fresh.iter().any(|job| self.has_one_try(job, host)) {
            self.one_by_one = true;
            lease_renewer::give_back(&*self.broker, fresh.split_off(1));
        }
        threads.shared.jobs.fill(fresh, asked);
        Ok(())
    }

    /// Those of a batch that may be started now. A job with one try is held alone before, so that a death of its worker costs it nothing
    /// until it was started.
    fn isolate(&self, host: &dyn Host, jobs: Vec<Arc<InFlightJob>>) -> Result<Vec<Arc<InFlightJob>>> {
        let (one_try, mut startable): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| self.has_one_try(job, host));
        if one_try.is_empty() {
            return Ok(startable);
        }
        let claims: Vec<Claim> = one_try.iter().map(|job| job.reservation.claim.clone()).collect();
        let answers = self.broker.isolate(&claims);
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                lease_renewer::give_back(&*self.broker, startable);
                return Err(error);
            }
        };
        startable.extend(one_try.iter().zip(answers).filter_map(|(job, answer)| match answer {
            Isolation::Alone { uncounted } => Some(job.with_fewer_attempts(uncounted)),
            Isolation::Moved | Isolation::Lost => None,
        }));
        Ok(startable)
    }

    fn has_one_try(&self, job: &InFlightJob, host: &dyn Host) -> bool {
        // A handler that cannot be found allows no try at all; its job is buried when its turn comes.
        let handler = host.prepare(job).unwrap_or_default();
        let tries = job.payload.tries.or(handler.tries).unwrap_or(self.options.tries);
        job.poison.is_none() && matches!(tries, Tries::Limit(tries) if tries <= 1)
    }

    /// Runs the jobs of a batch. Returns an exit code when the worker should stop in the middle of it.
    fn work_batch(&mut self, threads: &WorkerThreads, host: &dyn Host, started: Instant) -> Result<Option<u8>, Halt> {
        while self.work_held(threads, host)? {
            self.poll_signals(host)?;
            self.poll_control(host)?;
            if let Some(code) = self.reached(threads, host, started) {
                return Ok(Some(code));
            }
            if host.paused() || self.serving.as_ref().is_some_and(|queue| self.control.is_paused(queue)) {
                threads.shared.give_back();
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Runs the next job of the batch, if there is one.
    fn work_held(&mut self, threads: &WorkerThreads, host: &dyn Host) -> Result<bool, Halt> {
        let begun = Instant::now();
        let Some(in_flight) = self.next_held(threads, begun) else { return Ok(false) };
        self.state = WorkerState::Working;
        let job = HeldJob::open(in_flight, self.connection.clone(), threads.settler.clone(), self.generation);
        let job = Rc::new(job.with_status(threads.shared.reporter().cloned()));
        let result = JobExecution { options: &self.options, threads: Some(threads), job: &job }.execute(host);
        if self.generation.is_forked() {
            return result.and(Err(Halt::Forked));
        }
        threads.shared.jobs.finish();
        self.counters.count(job.has_failed());
        self.sizer.record(begun.elapsed());
        result?;
        Ok(true)
    }

    /// The next job of the batch that may still be ours. The others are at the broker again, because their connection broke.
    fn next_held(&self, threads: &WorkerThreads, now: Instant) -> Option<Arc<InFlightJob>> {
        let jobs = &threads.shared.jobs;
        while let Some(job) = jobs.next(now) {
            if self.broker.may_hold(&job.reservation.claim) {
                return Some(job);
            }
            jobs.finish();
        }
        None
    }

    fn poll_signals(&self, host: &dyn Host) -> Result<(), Halt> {
        host.poll_signals()?;
        if self.generation.is_forked() { Err(Halt::Forked) } else { Ok(()) }
    }

    /// Waits in slices, so that signals are served.
    fn sleep_interruptible(&self, host: &dyn Host, time: Duration) -> Result<(), Halt> {
        let until = Instant::now() + time;
        while !host.stopping() && Instant::now() < until {
            std::thread::sleep((until - Instant::now()).min(SLICE));
            self.poll_signals(host)?;
        }
        Ok(())
    }

    /// The exit code of the first limit that is reached.
    fn reached(&self, threads: &WorkerThreads, host: &dyn Host, started: Instant) -> Option<u8> {
        if threads.panic().is_some() {
            return Some(exit::PANICKED);
        }
        let options = &self.options;
        let done = self.counters.processed;
        let enough = options.max_jobs.is_some_and(|most| done >= most) || (options.once && done >= 1);
        let late = options.max_time.is_some_and(|time| started.elapsed() >= time);
        if host.stopping() || enough || late || self.control.asks_to_stop() {
            return Some(exit::STOPPED);
        }
        options.memory.is_some_and(|most| host.memory() >= most).then_some(exit::MEMORY)
    }

    /// How many jobs to ask for. One when a job has one try: it must not be held beside others (promise 5).
    fn batch_size(&mut self) -> usize {
        let options = &self.options;
        let one_try = matches!(options.tries, Tries::Limit(tries) if tries <= 1);
        if options.once || (self.leases && (self.one_by_one || one_try)) {
            return 1;
        }
        let left =
            options.max_jobs.map_or(usize::MAX, |most| usize::try_from(most - self.counters.processed).unwrap_or(usize::MAX));
        self.sizer.next(options.prefetch.min(left))
    }

    /// How long the next look may wait.
    fn reserve_timeout(&self, started: Instant) -> Duration {
        let options = &self.options;
        let limit = if options.stop_when_empty {
            Duration::ZERO
        } else if options.once {
            options.sleep
        } else {
            options.max_time.unwrap_or(Duration::MAX)
        };
        limit.saturating_sub(started.elapsed()).min(SLICE)
    }

    fn gives_up_when_empty(&self, started: Instant) -> bool {
        self.options.stop_when_empty || (self.options.once && started.elapsed() >= self.options.sleep)
    }
}

/// A halt on the way out does not undo the end that led there, unless that was an ordinary one.
fn after(end: RunEnd, result: Result<(), Halt>) -> RunEnd {
    match (end, result) {
        (RunEnd::Code(_), Err(halt)) => RunEnd::Halted(halt),
        (end, _) => end,
    }
}

fn report_lost(threads: &WorkerThreads, host: &dyn Host) -> Result<(), Halt> {
    for late in threads.take_lost() {
        host.event(Event::SettleLost { id: &late.id, queue: late.claim.queue.as_str() })?;
    }
    Ok(())
}

fn report_status_error(threads: &WorkerThreads, host: &dyn Host) -> Result<(), Halt> {
    match threads.take_status_failure() {
        Some(error) => host.event(Event::StatusError(&error)),
        None => Ok(()),
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
    host: &dyn Host,
    generation: fn() -> u64,
    reporter: Option<StatusReporter>,
) -> Result<(), Halt> {
    let claim = Claim { queue: queue.clone(), receipt: Receipt(Vec::new()) };
    let reservation = Reservation { claim, body, attempts: Some(1), number: None, reserved_at: now };
    let in_flight = InFlightJob::new(reservation, Instant::now());
    let job = HeldJob::open(in_flight, Arc::from(connection), Arc::new(Discarding), ForkGeneration::here(generation))
        .with_status(reporter);
    let options = Options::new(connection, vec![queue.clone()]);
    JobExecution { options: &options, threads: None, job: &Rc::new(job) }.execute(host)
}
