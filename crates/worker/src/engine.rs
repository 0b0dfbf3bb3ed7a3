//! The loop of every worker: limits, pauses, control flags, outages, summaries and exit codes, for whatever its source brings.
//!
//! The loop asks its source once a batch, through a trait object. The source runs the batch with code of its own and asks the engine
//! between two units what to do next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::control::WorkerState;
use ferry_core::queue::QueueName;
use ferry_core::{Broker, Error, ErrorKind, Result};
use ferry_support::threads::PanicSlot;

use crate::control::{ControlBroker, ControlClient, RunningUnit, WorkerIdentity};
use crate::execution::random;
use crate::exit;
use crate::fork_generation::ForkGeneration;
use crate::health::Health;
use crate::host::{Event, Halt, Host, Summary};
use crate::job_counters::JobCounters;
use crate::options::Options;
use crate::outage::{OutageAction, OutageTracker};
use crate::shutdown::ShutdownDeadline;

/// The longest wait in one piece: PHP's signal handlers run at least this often.
pub const SLICE: Duration = Duration::from_millis(200);

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

impl RunEnd {
    /// A halt on the way out does not undo the end that led there, unless that was an ordinary one.
    fn then(self, result: std::result::Result<(), Halt>) -> Self {
        match (self, result) {
            (RunEnd::Code(_), Err(halt)) => RunEnd::Halted(halt),
            (end, _) => end,
        }
    }
}

/// What a source does after a unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopAction {
    /// Run the next one.
    Continue,
    /// Give the rest of the batch back: its queue is paused.
    Pause,
    /// Stop with this exit code.
    Stop(u8),
}

/// How a unit of work counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitEnd {
    /// Its handler ended well.
    Done,
    /// Its handler failed, and it runs again.
    Retried,
    /// It failed for good.
    Failed,
}

/// Brings work to an engine: jobs of a broker, or tasks of a consumer.
pub trait Source {
    /// Takes a batch from the first of `queues` that has any, waiting at most `wait`. Returns false when nothing is ready.
    fn reserve(&mut self, engine: &Engine<'_>, queues: &[QueueName], wait: Duration) -> Result<bool>;

    /// Runs the batch. After each unit it asks [`Engine::after_unit`], and does what that says.
    fn run_batch(&mut self, engine: &mut Engine<'_>) -> std::result::Result<LoopAction, Halt>;

    /// The broker answers again after an outage: what is repeated in growing pauses is repeated now.
    fn broker_recovered(&mut self) {}

    /// Returns what was prefetched, because nothing is reserved for a while.
    fn release_prefetched(&mut self);

    /// Work that waits in `queues`, that of other workers included. `None` when the broker does not know.
    fn pending(&self, queues: &[QueueName]) -> Option<u64>;

    /// Fires the events of what happened on other threads since the last call.
    fn report(&mut self, emit: &mut dyn FnMut(Event<'_>));

    /// Settles what is open and ends the threads, before `deadline` where the broker lets it.
    fn close(&mut self, deadline: &ShutdownDeadline, emit: &mut dyn FnMut(Event<'_>));

    /// Leaves everything to the parent of this forked process: touches nothing and drops nothing.
    fn forget(&mut self);
}

/// The state of a running worker.
pub struct Engine<'a> {
    /// PHP.
    pub host: &'a dyn Host,
    /// The options of the worker.
    pub options: &'a Options,
    control: ControlClient,
    shutdown: Arc<ShutdownDeadline>,
    generation: ForkGeneration,
    panics: PanicSlot,
    counters: JobCounters,
    state: WorkerState,
    started: Instant,
    /// When the memory is read next, for reports.
    memory_due: Instant,
}

impl<'a> Engine<'a> {
    /// An engine that has not started. A panic in `panics` ends it.
    pub fn new(
        host: &'a dyn Host,
        options: &'a Options,
        shutdown: Arc<ShutdownDeadline>,
        generation: ForkGeneration,
        panics: PanicSlot,
    ) -> Self {
        let now = Instant::now();
        Self {
            host,
            options,
            control: ControlClient::none(),
            shutdown,
            generation,
            panics,
            counters: JobCounters::new(now),
            state: WorkerState::Idle,
            started: now,
            memory_due: now,
        }
    }

    /// Follows the control flags of `control` and reports there. An error is that of a broker that cannot be reached for work either.
    pub fn join_control(&mut self, control: ControlBroker, running: Arc<dyn RunningUnit>) -> Result<()> {
        self.shutdown.limit(&*control.broker);
        let identity = WorkerIdentity::here(&self.options.queues, (random() * 65536.0) as u64);
        self.control = ControlClient::join(control, identity, running, &self.panics)?;
        Ok(())
    }

    /// Runs until somebody asks it to stop, or a limit is reached. Returns how it ended and how many units it ran.
    pub fn run(mut self, source: &mut dyn Source) -> (RunEnd, u64) {
        let end = self.serve(source).unwrap_or_else(RunEnd::Halted);
        let units = self.counters.units;
        (self.shutdown(source, end), units)
    }

    /// Settles what is open and turns the end into the answer of [`Engine::run`].
    #[allow(clippy::mem_forget)]
    pub fn shutdown(mut self, source: &mut dyn Source, end: RunEnd) -> RunEnd {
        if self.generation.is_forked() {
            source.forget();
            // Its thread does not exist in this process.
            std::mem::forget(self);
            return end;
        }
        self.shutdown.begin();
        // Both at once: beside a silent broker each takes all the time that there is.
        self.control.begin_deregister();
        let closed = self.emit_all(|emit| {
            if let Some(panic) = self.panics.get() {
                emit(Event::ThreadPanicked(panic));
            }
            source.close(&self.shutdown, emit);
        });
        self.control.wait_deregistered(self.shutdown.time_left());
        match end.then(closed) {
            RunEnd::Code(code) => RunEnd::Code(code).then(self.host.event(Event::Stopping(code))),
            end => end,
        }
    }

    fn serve(&mut self, source: &mut dyn Source) -> std::result::Result<RunEnd, Halt> {
        let mut outage = OutageTracker::new(self.options.max_outage);
        let mut health = Health::new(self.options.health_file.clone());
        let end = loop {
            self.poll_signals()?;
            self.host.event(Event::Looping)?;
            if self.generation.is_forked() {
                return Err(Halt::Forked);
            }
            self.poll_control(source)?;
            if let Some(code) = self.limit_reached() {
                break RunEnd::Code(code);
            }
            let queues = self.open_queues();
            self.set_paused(queues.is_empty(), source)?;
            if queues.is_empty() {
                if self.stops_when_empty() {
                    break RunEnd::Code(exit::STOPPED);
                }
                self.show_health(&mut health)?;
                self.sleep_interruptible(SLICE)?;
                continue;
            }
            match source.reserve(self, &queues, self.reserve_timeout()) {
                Ok(found) => {
                    self.broker_answered(source, &mut outage)?;
                    self.show_health(&mut health)?;
                    if let Some(code) = self.run_batch(source, found)? {
                        break RunEnd::Code(code);
                    }
                }
                Err(error) => {
                    if let Some(end) = self.broker_failed(&mut outage, error)? {
                        break end;
                    }
                }
            }
            self.emit_all(|emit| source.report(emit))?;
        };
        health.remove();
        Ok(end)
    }

    /// Writes the health file. A failure is a notice in the log.
    fn show_health(&self, health: &mut Health) -> std::result::Result<(), Halt> {
        health.alive(Instant::now()).map_or(Ok(()), |failure| self.host.event(Event::Notice(&failure)))
    }

    fn broker_answered(&self, source: &mut dyn Source, outage: &mut OutageTracker) -> std::result::Result<(), Halt> {
        let is_first = !outage.has_worked();
        if outage.answered() {
            source.broker_recovered();
            self.host.event(Event::BrokerRecovered)?;
        }
        if is_first { self.host.event(Event::Ready) } else { Ok(()) }
    }

    /// Returns how the worker ends when it does not try again.
    fn broker_failed(&self, outage: &mut OutageTracker, error: Error) -> std::result::Result<Option<RunEnd>, Halt> {
        if error.kind() == ErrorKind::Denied && outage.has_worked() {
            // No outage ends that: somebody took the right away.
            self.host.event(Event::BrokerLost(&error))?;
            return Ok(Some(RunEnd::Code(exit::NOT_STARTED)));
        }
        match outage.failed(Instant::now()) {
            OutageAction::NeverWorked => Ok(Some(RunEnd::NotStarted(error))),
            OutageAction::GiveUp => {
                self.host.event(Event::BrokerLost(&error))?;
                Ok(Some(RunEnd::Code(exit::UNREACHABLE)))
            }
            OutageAction::Again { pause, first } => {
                if first {
                    self.host.event(Event::BrokerError(&error))?;
                }
                self.sleep_interruptible(pause)?;
                Ok(None)
            }
        }
    }

    /// Runs what was reserved. Returns the exit code when the worker stops.
    fn run_batch(&mut self, source: &mut dyn Source, found: bool) -> std::result::Result<Option<u8>, Halt> {
        if found {
            self.state = WorkerState::Working;
            return match source.run_batch(self)? {
                LoopAction::Stop(code) => Ok(Some(code)),
                LoopAction::Continue | LoopAction::Pause => Ok(None),
            };
        }
        self.state = WorkerState::Idle;
        self.host.idle()?;
        Ok(self.stops_when_empty().then_some(exit::STOPPED))
    }

    /// A unit of a batch from `queue` is done: counts it, serves signals, and says what comes next.
    pub fn after_unit(
        &mut self,
        end: UnitEnd,
        queue: Option<&QueueName>,
        source: &dyn Source,
    ) -> std::result::Result<LoopAction, Halt> {
        self.counters.count(end);
        self.poll_signals()?;
        self.poll_control(source)?;
        if let Some(code) = self.limit_reached() {
            return Ok(LoopAction::Stop(code));
        }
        let is_paused = self.host.paused() || queue.is_some_and(|queue| self.control.is_paused(queue));
        Ok(if is_paused { LoopAction::Pause } else { LoopAction::Continue })
    }

    /// Reads the control flags, and fires a summary when it is due.
    fn poll_control(&mut self, source: &dyn Source) -> std::result::Result<(), Halt> {
        let now = Instant::now();
        if let Some(error) = self.control.publish(self.counters.processed, self.counters.failed, self.state) {
            self.host.event(Event::ControlError(&error))?;
        }
        if now >= self.memory_due {
            self.memory_due = now + Duration::from_secs(1);
            self.control.publish_memory(self.host.memory());
        }
        match self.counters.rate_when_due(self.options.status, now) {
            Some(rate) => self.host.event(Event::Status(&self.summary(source, rate, now))),
            None => Ok(()),
        }
    }

    fn summary(&self, source: &dyn Source, rate: f64, now: Instant) -> Summary {
        let JobCounters { processed, failed, .. } = self.counters;
        let pending = source.pending(&self.options.queues);
        Summary { processed, failed, pending, rate, memory: self.host.memory(), uptime: self.counters.uptime(now) }
    }

    /// Fires every event, also those after one whose listener ends the worker.
    fn emit_all(&self, fire: impl FnOnce(&mut dyn FnMut(Event<'_>))) -> std::result::Result<(), Halt> {
        let mut result = Ok(());
        fire(&mut |event| {
            let emitted = self.host.event(event);
            if result.is_ok() {
                result = emitted;
            }
        });
        result
    }

    /// The queues that are not paused: none while this worker is.
    fn open_queues(&self) -> Vec<QueueName> {
        let is_open = |queue: &&QueueName| !self.control.is_paused(queue);
        if self.host.paused() { Vec::new() } else { self.options.queues.iter().filter(is_open).cloned().collect() }
    }

    /// Fires an event when a pause begins and when it ends.
    fn set_paused(&mut self, paused: bool, source: &mut dyn Source) -> std::result::Result<(), Halt> {
        if paused == (self.state == WorkerState::Paused) {
            return Ok(());
        }
        self.state = if paused { WorkerState::Paused } else { WorkerState::Idle };
        if paused {
            source.release_prefetched();
        }
        self.host.event(if paused { Event::Paused } else { Event::Resumed })
    }

    /// Lets PHP serve its signals.
    pub fn poll_signals(&self) -> std::result::Result<(), Halt> {
        self.host.poll_signals()?;
        if self.generation.is_forked() { Err(Halt::Forked) } else { Ok(()) }
    }

    /// Waits in slices, so that signals are served. Ends early when the worker is asked to stop.
    pub fn sleep_interruptible(&self, time: Duration) -> std::result::Result<(), Halt> {
        let until = Instant::now() + time;
        while !self.host.stopping() && Instant::now() < until {
            std::thread::sleep((until - Instant::now()).min(SLICE));
            self.poll_signals()?;
        }
        Ok(())
    }

    /// The exit code of the first limit that is reached.
    fn limit_reached(&self) -> Option<u8> {
        if self.panics.get().is_some() {
            return Some(exit::PANICKED);
        }
        let options = self.options;
        let units = self.counters.units;
        let enough = options.max_jobs.is_some_and(|most| units >= most) || (options.once && units >= 1);
        if enough || self.is_ending() {
            return Some(exit::STOPPED);
        }
        options.memory.is_some_and(|most| self.host.memory() >= most).then_some(exit::MEMORY)
    }

    /// Whether it is asked to stop or its time is over. What waits for the broker stops waiting then.
    pub fn is_ending(&self) -> bool {
        self.host.stopping() || self.is_late() || self.control.asks_to_stop()
    }

    fn is_late(&self) -> bool {
        self.options.max_time.is_some_and(|time| self.started.elapsed() >= time)
    }

    /// How many more units may run.
    pub fn units_left(&self) -> usize {
        let left = |most: u64| usize::try_from(most.saturating_sub(self.counters.units)).unwrap_or(usize::MAX);
        if self.options.once { 1 } else { self.options.max_jobs.map_or(usize::MAX, left) }
    }

    /// How long the next reservation may wait.
    fn reserve_timeout(&self) -> Duration {
        let options = self.options;
        let limit = if options.stop_when_empty {
            Duration::ZERO
        } else if options.once {
            options.sleep
        } else {
            options.max_time.unwrap_or(Duration::MAX)
        };
        limit.saturating_sub(self.started.elapsed()).min(SLICE)
    }

    fn stops_when_empty(&self) -> bool {
        self.options.stop_when_empty || (self.options.once && self.started.elapsed() >= self.options.sleep)
    }
}

/// The broker that keeps the control flags of a worker on `work`, if it keeps any.
pub fn control_broker(flags: Option<Arc<dyn Broker>>, work: Option<&Arc<dyn Broker>>) -> Option<ControlBroker> {
    let broker = flags.filter(|broker| broker.control().is_some())?;
    let elsewhere = work.is_none_or(|work| !Arc::ptr_eq(&broker, work));
    Some(ControlBroker { broker, elsewhere })
}
