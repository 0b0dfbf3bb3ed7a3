//! The loop.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::broker::Broker;
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
    alarm: Option<Arc<dyn Interrupter>>,
    fleet: ControlClient,
    /// Where the flags of the fleet are.
    flags_at: Option<Arc<dyn Broker>>,
    keeping: Option<StatusTarget>,
    occupation: WorkerState,
    /// The queue of the batch at hand.
    serving: Option<QueueName>,
    /// Whether some handler here allows one try only.
    one_by_one: bool,
    pace: BatchSizer,
    tally: JobCounters,
    /// When the memory is looked at next, for the fleet to see.
    memory_due: Instant,
}

impl Worker {
    /// A worker that has not started: no thread, no I/O.
    pub fn new(broker: Arc<dyn Broker>, options: Options, generation: fn() -> u64) -> Self {
        let connection = Arc::from(options.connection.as_str());
        Self {
            broker,
            options,
            connection,
            generation: ForkGeneration::here(generation),
            alarm: None,
            fleet: ControlClient::none(),
            flags_at: None,
            keeping: None,
            occupation: WorkerState::Idle,
            serving: None,
            one_by_one: false,
            pace: BatchSizer::default(),
            tally: JobCounters::new(Instant::now()),
            memory_due: Instant::now(),
        }
    }

    /// Obeys the flags that `broker` keeps, if it keeps any, and reports there.
    #[must_use]
    pub fn with_control(mut self, broker: Option<Arc<dyn Broker>>) -> Self {
        self.flags_at = broker.filter(|broker| broker.control().is_some());
        self
    }

    /// Writes down what becomes of jobs in the status store of `broker`, if it has one, for `ttl` seconds.
    #[must_use]
    pub fn with_status_store(mut self, broker: Option<Arc<dyn Broker>>, ttl: u32) -> Self {
        self.keeping = broker.filter(|broker| broker.status().is_some()).map(|statuses| StatusTarget { statuses, ttl });
        self
    }

    /// Lets a clock stop jobs that run too long; `alarm` reaches them.
    #[must_use]
    pub fn with_interrupter(mut self, alarm: Arc<dyn Interrupter>) -> Self {
        self.alarm = Some(alarm);
        self
    }

    /// Works until somebody asks it to stop, or a limit is reached.
    pub fn run(&mut self, host: &mut dyn Host) -> RunEnd {
        let threads = match self.start() {
            Ok(threads) => threads,
            Err(error) => return RunEnd::NotStarted(error),
        };
        if let Err(error) = self.join_fleet(&threads) {
            return self.shutdown(threads, host, RunEnd::NotStarted(error));
        }
        let end = self.serve(&threads, host);
        if !self.generation.is_forked() {
            self.fleet.leave();
        }
        self.shutdown(threads, host, end)
    }

    /// Works one job if one is ready. Answers whether there was one.
    pub fn work_one(&mut self, host: &mut dyn Host) -> Result<bool, (Option<Error>, Halt)> {
        let threads = self.start().map_err(|error| (Some(error), Halt::Threw))?;
        let reserved = Instant::now();
        let jobs = match self.broker.reserve(&self.options.queues, 1, Duration::ZERO) {
            Ok(jobs) => jobs,
            Err(error) => {
                self.shutdown(threads, host, RunEnd::Code(exit::STOPPED));
                return Err((Some(error), Halt::Threw));
            }
        };
        let found = !jobs.is_empty();
        threads.hold.fill(jobs.into_iter().map(|job| InFlightJob::new(job, reserved)).collect(), reserved);
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

    fn start(&self) -> Result<WorkerThreads> {
        WorkerThreads::start(&self.broker, &self.options, &self.connection, self.alarm.clone(), self.keeping.as_ref())
    }

    /// Settles what is open, lets the threads go and turns the end into the answer of `run`.
    fn shutdown(&mut self, threads: WorkerThreads, host: &mut dyn Host, end: RunEnd) -> RunEnd {
        if self.generation.is_forked() {
            threads.forget();
            return end;
        }
        let mut end = end;
        if let Some(error) = threads.settle_all() {
            end = after(end, host.event(Event::BrokerGone(&error)));
        }
        end = after(end, report_lost(&threads, host));
        threads.write_down();
        end = after(end, report_ledger(&threads, host));
        self.broker.release_prefetched();
        threads.shutdown();
        if let RunEnd::Code(code) = end {
            end = after(end, host.event(Event::Stopping(code)));
        }
        end
    }

    fn join_fleet(&mut self, threads: &WorkerThreads) -> Result<()> {
        let Some(broker) = self.flags_at.clone() else { return Ok(()) };
        let elsewhere = !Arc::ptr_eq(&broker, &self.broker);
        let identity = WorkerIdentity::here(&self.options.queues, (random() * 65536.0) as u64);
        self.fleet = ControlClient::join(ControlBroker { broker, elsewhere }, identity, threads.hold.clone())?;
        Ok(())
    }

    fn serve(&mut self, threads: &WorkerThreads, host: &mut dyn Host) -> RunEnd {
        let started = Instant::now();
        match self.serve_until(threads, host, started) {
            Ok(end) => end,
            Err(halt) => RunEnd::Halted(halt),
        }
    }

    fn serve_until(&mut self, threads: &WorkerThreads, host: &mut dyn Host, started: Instant) -> Result<RunEnd, Halt> {
        let mut link = OutageTracker::new(self.options.max_outage);
        let mut health = Health::new(self.options.health_file.clone());
        let mut ready = false;
        let end = loop {
            self.poll_signals(host)?;
            host.event(Event::Looping)?;
            if self.generation.is_forked() {
                return Err(Halt::Forked);
            }
            self.poll_control(host)?;
            if let Some(code) = self.reached(host, started) {
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
            match self.broker.reserve(&queues, most, wait) {
                Ok(jobs) => {
                    if link.answered() {
                        host.event(Event::BrokerBack)?;
                    }
                    if !std::mem::replace(&mut ready, true) {
                        host.event(Event::Ready)?;
                    }
                    health.alive(Instant::now());
                    let empty = jobs.is_empty();
                    if empty {
                        self.occupation = WorkerState::Idle;
                        host.idle()?;
                    }
                    self.accept_batch(threads, host, jobs, asked);
                    if let Some(code) = self.work_batch(threads, host, started)? {
                        break RunEnd::Code(code);
                    }
                    if empty && self.gives_up_when_empty(started) {
                        break RunEnd::Code(exit::STOPPED);
                    }
                }
                Err(error) => match link.failed(Instant::now()) {
                    OutageAction::NeverWorked => break RunEnd::NotStarted(error),
                    OutageAction::GiveUp => break self.unreachable(host, &error)?,
                    OutageAction::Again { pause, first } => {
                        if first {
                            host.event(Event::BrokerTrouble(&error))?;
                        }
                        self.sleep_interruptible(host, pause)?;
                    }
                },
            }
            report_lost(threads, host)?;
            report_ledger(threads, host)?;
        };
        health.gone();
        Ok(end)
    }

    /// Looks what the fleet is asked for, and sums up, when it is time.
    fn poll_control(&mut self, host: &mut dyn Host) -> Result<(), Halt> {
        let now = Instant::now();
        if let Some(error) = self.fleet.note(self.tally.processed, self.tally.failed, self.occupation) {
            host.event(Event::ControlTrouble(&error))?;
        }
        if now >= self.memory_due {
            self.memory_due = now + Duration::from_secs(1);
            self.fleet.note_memory(host.memory());
        }
        if let Some(rate) = self.tally.rate_when_due(self.options.status, now) {
            self.sum_up(host, rate, now)?;
        }
        Ok(())
    }

    fn sum_up(&self, host: &mut dyn Host, rate: f64, now: Instant) -> Result<(), Halt> {
        let sizes = self.options.queues.iter().map(|queue| self.broker.size(queue));
        let pending = sizes.map(|sizes| sizes.map(|sizes| sizes.total())).sum::<Result<u64>>().ok();
        let JobCounters { processed, failed, .. } = self.tally;
        let (memory, uptime) = (host.memory(), self.tally.uptime(now));
        host.event(Event::Status(&Summary { processed, failed, pending, rate, memory, uptime }))
    }

    /// The queues that may be worked now: none while this worker is paused.
    fn open_queues(&self, host: &dyn Host) -> Vec<QueueName> {
        let open = |queue: &&QueueName| !self.fleet.is_paused(queue);
        if host.paused() { Vec::new() } else { self.options.queues.iter().filter(open).cloned().collect() }
    }

    /// Tells when a pause begins and when it ends.
    fn pause(&mut self, host: &mut dyn Host, paused: bool) -> Result<(), Halt> {
        if paused == (self.occupation == WorkerState::Paused) {
            return Ok(());
        }
        self.occupation = if paused { WorkerState::Paused } else { WorkerState::Idle };
        if paused {
            self.broker.release_prefetched();
        }
        host.event(if paused { Event::Paused } else { Event::Resumed })
    }

    fn unreachable(&self, host: &mut dyn Host, error: &Error) -> Result<RunEnd, Halt> {
        host.event(Event::BrokerGone(error))?;
        Ok(RunEnd::Code(exit::UNREACHABLE))
    }

    /// Holds a fresh batch. A job whose handler allows one try must not be held beside others, and the broker cannot know that
    /// (promise 5): such a batch goes back but for its first job, and from then on jobs are taken one by one.
    fn accept_batch(&mut self, threads: &WorkerThreads, host: &mut dyn Host, jobs: Vec<Reservation>, asked: Instant) {
        self.serving = jobs.first().map(|job| job.claim.queue.clone());
        let mut leases: Vec<Arc<InFlightJob>> = jobs.into_iter().map(|job| InFlightJob::new(job, asked)).collect();
        if leases.len() > 1 && leases.iter().any(|lease| self.has_one_try(lease, host)) {
            self.one_by_one = true;
            lease_renewer::give_back(&*self.broker, leases.split_off(1));
        }
        threads.hold.fill(leases, asked);
    }

    fn has_one_try(&self, lease: &InFlightJob, host: &mut dyn Host) -> bool {
        // A handler that cannot be found allows no try at all; its job is buried when its turn comes.
        let handler = host.prepare(lease).unwrap_or_default();
        let tries = lease.payload.tries.or(handler.tries).unwrap_or(self.options.tries);
        lease.poison.is_none() && matches!(tries, Tries::Limit(tries) if tries <= 1)
    }

    /// Works what is held. Answers an exit code when the worker should stop in the middle of a batch.
    fn work_batch(&mut self, threads: &WorkerThreads, host: &mut dyn Host, started: Instant) -> Result<Option<u8>, Halt> {
        while self.work_held(threads, host)? {
            self.poll_signals(host)?;
            self.poll_control(host)?;
            if let Some(code) = self.reached(host, started) {
                return Ok(Some(code));
            }
            if host.paused() || self.serving.as_ref().is_some_and(|queue| self.fleet.is_paused(queue)) {
                threads.give_back();
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Works the next held job, if there is one.
    fn work_held(&mut self, threads: &WorkerThreads, host: &mut dyn Host) -> Result<bool, Halt> {
        let begun = Instant::now();
        let Some(lease) = threads.hold.next(begun) else { return Ok(false) };
        self.occupation = WorkerState::Working;
        let job = HeldJob::open(lease, self.connection.clone(), threads.settler.clone(), self.generation);
        let job = Rc::new(job.told(threads.chronicle.clone()));
        let result = JobExecution { options: &self.options, threads: Some(threads), job: &job }.execute(host);
        if self.generation.is_forked() {
            return result.and(Err(Halt::Forked));
        }
        threads.hold.finish();
        self.tally.count(job.has_failed());
        self.pace.note(begun.elapsed());
        result?;
        Ok(true)
    }

    fn poll_signals(&self, host: &mut dyn Host) -> Result<(), Halt> {
        host.poll_signals()?;
        if self.generation.is_forked() { Err(Halt::Forked) } else { Ok(()) }
    }

    /// Waits in slices, so that signals are served.
    fn sleep_interruptible(&self, host: &mut dyn Host, time: Duration) -> Result<(), Halt> {
        let until = Instant::now() + time;
        while !host.stopping() && Instant::now() < until {
            std::thread::sleep((until - Instant::now()).min(SLICE));
            self.poll_signals(host)?;
        }
        Ok(())
    }

    /// The exit code of the first limit that is reached.
    fn reached(&self, host: &dyn Host, started: Instant) -> Option<u8> {
        let options = &self.options;
        let done = self.tally.processed;
        let enough = options.max_jobs.is_some_and(|most| done >= most) || (options.once && done >= 1);
        let late = options.max_time.is_some_and(|time| started.elapsed() >= time);
        if host.stopping() || enough || late || self.fleet.asks_to_leave() {
            return Some(exit::STOPPED);
        }
        options.memory.is_some_and(|most| host.memory() >= most).then_some(exit::MEMORY)
    }

    /// How many jobs to ask for. One when a job has one try: it must not be held beside others (promise 5).
    fn batch_size(&mut self) -> usize {
        let options = &self.options;
        if options.once || self.one_by_one || matches!(options.tries, Tries::Limit(tries) if tries <= 1) {
            return 1;
        }
        let left = options.max_jobs.map_or(usize::MAX, |most| usize::try_from(most - self.tally.processed).unwrap_or(usize::MAX));
        self.pace.next(options.prefetch.min(left))
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

fn report_lost(threads: &WorkerThreads, host: &mut dyn Host) -> Result<(), Halt> {
    for late in threads.take_lost() {
        host.event(Event::SettleLost { id: &late.id, queue: late.claim.queue.as_str() })?;
    }
    Ok(())
}

fn report_ledger(threads: &WorkerThreads, host: &mut dyn Host) -> Result<(), Halt> {
    match threads.take_status_trouble() {
        Some(error) => host.event(Event::StatusTrouble(&error)),
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
    host: &mut dyn Host,
    generation: fn() -> u64,
    chronicle: Option<StatusReporter>,
) -> Result<(), Halt> {
    let claim = Claim { queue: queue.clone(), receipt: Receipt(Vec::new()) };
    let reservation = Reservation { claim, body, attempts: Some(1), number: None, reserved_at: now };
    let lease = InFlightJob::new(reservation, Instant::now());
    let job = HeldJob::open(lease, Arc::from(connection), Arc::new(Discarding), ForkGeneration::here(generation)).told(chronicle);
    let options = Options::new(connection, vec![queue.clone()]);
    JobExecution { options: &options, threads: None, job: &Rc::new(job) }.execute(host)
}
