//! Control flags and worker reports: a thread reads the flags of the fleet and reports the state of this worker, also while PHP is busy
//! with a long job. The loop sees the flags that were read last, and waits for them only once, when it starts.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferry_core::control::{FleetFlags, WorkerControl, WorkerReport, WorkerState};
use ferry_core::{Broker, Error, ErrorKind, QueueName, Result};
use ferry_support::pause::GrowingPause;
use ferry_support::sync;
use ferry_support::threads::{self, PanicSlot};

/// How often the flags are read.
const POLL: Duration = Duration::from_secs(1);
/// How often a worker that is busy reports.
const CHANGED: Duration = Duration::from_secs(2);
/// How often it reports that it is still there.
const ALIVE: Duration = Duration::from_secs(15);
/// The longest pause after the flags could not be read.
const LONGEST: Duration = Duration::from_secs(60);

/// Knows what runs at this moment. Asked on the thread that reports.
pub trait RunningUnit: Send + Sync {
    /// The name of the job or task that runs.
    fn name(&self) -> Option<String>;
}

/// How a worker is named in its reports.
#[derive(Clone)]
pub struct WorkerIdentity {
    id: String,
    host: String,
    queues: Vec<String>,
    started: i64,
}

impl WorkerIdentity {
    /// This process, working `queues`. `salt` tells it from an earlier process with the same number.
    pub fn here(queues: &[QueueName], salt: u64) -> Self {
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self {
            id: format!("{host}:{}:{:04x}", std::process::id(), salt & 0xffff),
            host,
            queues: queues.iter().map(|queue| queue.as_str().to_owned()).collect(),
            started: i64::try_from(started).unwrap_or_default(),
        }
    }
}

/// What the loop and the thread share. The loop writes the numbers; the thread writes the flags, under the lock.
struct Shared {
    processed: AtomicU64,
    failed: AtomicU64,
    memory: AtomicU64,
    state: AtomicU8,
    /// Grows with every change under the lock, so that the loop need not take it.
    version: AtomicU64,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    flags: FleetFlags,
    /// What the loop has not reported yet.
    failure: Option<Error>,
    closed: bool,
    /// The thread has nothing more to say.
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        sync::lock(&self.inner)
    }

    fn publish(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.lock());
        self.version.fetch_add(1, Ordering::Release);
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn state(&self) -> WorkerState {
        match self.state.load(Ordering::Relaxed) {
            0 => WorkerState::Idle,
            1 => WorkerState::Working,
            _ => WorkerState::Paused,
        }
    }
}

/// The control flags, as one worker sees them. Without a broker that keeps flags none is ever set.
pub struct ControlClient {
    /// The flags that the loop saw last.
    flags: FleetFlags,
    /// What was asked for when it began: only what came later is meant for it.
    before: FleetFlags,
    seen: u64,
    shared: Option<Arc<Shared>>,
    thread: Option<JoinHandle<()>>,
}

/// The broker that keeps the flags.
pub struct ControlBroker {
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// Whether it is not the broker of the jobs, so that nobody else reports when it is out of reach.
    pub elsewhere: bool,
}

impl ControlBroker {
    fn reports(&self, error: &Error) -> bool {
        self.elsewhere || !matches!(error.kind(), ErrorKind::Connection | ErrorKind::Uncertain)
    }
}

impl ControlClient {
    /// Without a broker.
    pub fn none() -> Self {
        Self { flags: FleetFlags::default(), before: FleetFlags::default(), seen: 0, shared: None, thread: None }
    }

    /// Reads the flags once, then on a thread. `running` knows which job runs. An error is that of a broker that cannot be reached for jobs
    /// either.
    pub fn join(
        target: ControlBroker,
        identity: WorkerIdentity,
        running: Arc<dyn RunningUnit>,
        panics: &PanicSlot,
    ) -> Result<Self> {
        let first = target.broker.control().map_or_else(|| Ok(FleetFlags::default()), |fleet| fleet.flags());
        let (flags, failure) = match first {
            Ok(flags) => (flags, None),
            Err(error) if target.reports(&error) => (FleetFlags::default(), Some(error)),
            Err(error) => return Err(error),
        };
        let inner = Inner { flags: flags.clone(), failure, ..Inner::default() };
        let shared = Arc::new(Shared {
            processed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            state: AtomicU8::new(0),
            version: AtomicU64::new(u64::from(inner.failure.is_some())),
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        });
        let pause = GrowingPause::new(POLL * 2, LONGEST);
        let mut poller = ControlPoller { target, identity, running, shared: shared.clone(), reported: None, pause };
        let (panics, panicked) = (panics.clone(), shared.clone());
        let on_panic = move |panic| {
            panics.report(panic);
            panicked.end();
        };
        let thread = threads::spawn("ferry-control", move || poller.serve(), on_panic)?;
        Ok(Self { before: flags.clone(), flags, seen: 0, shared: Some(shared), thread: Some(thread) })
    }

    /// Publishes how far the worker is. Returns why the flags cannot be read, once an outage.
    pub fn publish(&mut self, processed: u64, failed: u64, state: WorkerState) -> Option<Error> {
        let shared = self.shared.as_ref()?;
        shared.processed.store(processed, Ordering::Relaxed);
        shared.failed.store(failed, Ordering::Relaxed);
        shared.state.store(state as u8, Ordering::Relaxed);
        let version = shared.version.load(Ordering::Acquire);
        if version == self.seen {
            return None;
        }
        self.seen = version;
        let mut inner = shared.lock();
        self.flags = inner.flags.clone();
        inner.failure.take()
    }

    /// Publishes how much memory is used. Only PHP's thread may ask PHP for it.
    pub fn publish_memory(&self, bytes: usize) {
        if let Some(shared) = &self.shared {
            shared.memory.store(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Whether workers were asked to stop since this one started.
    pub fn asks_to_stop(&self) -> bool {
        self.flags.asks_to_leave(&self.before)
    }

    /// Whether a queue is paused.
    pub fn is_paused(&self, queue: &QueueName) -> bool {
        !self.flags.paused.is_empty() && self.flags.is_paused(queue)
    }

    /// Begins to remove the worker from the list of workers.
    pub fn begin_deregister(&self) {
        if let Some(shared) = &self.shared {
            shared.lock().closed = true;
            shared.changed.notify_all();
        }
    }

    /// Waits until it is removed, for at most `limit`: then the thread is left to itself.
    pub fn wait_deregistered(&mut self, limit: Duration) {
        let (Some(shared), Some(thread)) = (self.shared.take(), self.thread.take()) else { return };
        let ended = sync::wait_timeout_while(&shared.changed, shared.lock(), limit, |inner| !inner.ended).ended;
        if ended {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// The thread.
struct ControlPoller {
    target: ControlBroker,
    identity: WorkerIdentity,
    running: Arc<dyn RunningUnit>,
    shared: Arc<Shared>,
    reported: Option<(WorkerReport, Instant)>,
    /// Grows while failures follow each other.
    pause: GrowingPause,
}

impl ControlPoller {
    fn serve(&mut self) {
        let broker = self.target.broker.clone();
        let Some(fleet) = broker.control() else { return self.shared.end() };
        loop {
            match self.report(fleet, Instant::now()).and_then(|()| fleet.flags()) {
                Ok(flags) => self.received(flags),
                Err(error) => self.failed(error),
            }
            if self.sleep(self.pause.last().max(POLL)) {
                break;
            }
        }
        if let Some((report, _)) = self.reported.take() {
            // A worker that does not deregister is forgotten a little later.
            let _ = fleet.deregister(&report.id);
        }
        self.shared.end();
    }

    fn received(&mut self, flags: FleetFlags) {
        self.pause.reset();
        if self.shared.lock().flags != flags {
            self.shared.publish(|inner| inner.flags = flags);
        }
    }

    fn failed(&mut self, error: Error) {
        if !self.pause.is_growing() && self.target.reports(&error) {
            self.shared.publish(|inner| inner.failure = Some(error));
        }
        self.pause.next_pause();
    }

    /// Waits until the next poll. Returns whether the worker stops.
    fn sleep(&self, time: Duration) -> bool {
        let shared = &self.shared;
        sync::wait_timeout_while(&shared.changed, shared.lock(), time, |inner| !inner.closed).closed
    }

    /// Reports what is new, or from time to time that nothing is.
    fn report(&mut self, fleet: &dyn WorkerControl, now: Instant) -> Result<()> {
        let report = self.current();
        if self.reported.as_ref().is_none_or(|(last, at)| now >= *at + interval(last, &report)) {
            fleet.report(&report)?;
            self.reported = Some((report, now));
        }
        Ok(())
    }

    fn current(&self) -> WorkerReport {
        let job = self.running.name();
        WorkerReport {
            id: self.identity.id.clone(),
            host: self.identity.host.clone(),
            pid: std::process::id(),
            queues: self.identity.queues.clone(),
            started: self.identity.started,
            seen: 0,
            processed: self.shared.processed.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
            memory: self.shared.memory.load(Ordering::Relaxed),
            state: if job.is_some() { WorkerState::Working } else { self.shared.state() },
            job,
        }
    }
}

fn interval(last: &WorkerReport, now: &WorkerReport) -> Duration {
    if last.processed == now.processed && last.state == now.state && last.job == now.job { ALIVE } else { CHANGED }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::clock::HandClock;
    use ferry_core::control::ControlCommand;
    use ferry_core::memory::MemoryBroker;

    use crate::in_flight::InFlightJobs;

    fn broker() -> Arc<dyn Broker> {
        Arc::new(MemoryBroker::new(HandClock::at(1_700_000_000), None))
    }

    fn join(broker: &Arc<dyn Broker>) -> ControlClient {
        let target = ControlBroker { broker: broker.clone(), elsewhere: false };
        let jobs = Arc::new(InFlightJobs::new(None, Duration::from_secs(60)));
        let identity = WorkerIdentity::here(&[QueueName::default()], 7);
        ControlClient::join(target, identity, jobs, &PanicSlot::default()).unwrap()
    }

    fn wait_until(mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < deadline, "waited in vain");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_command_given_before_a_worker_started_is_not_meant_for_it() {
        let broker = broker();
        let fleet = broker.control().unwrap();
        fleet.command(ControlCommand::Restart).unwrap();
        fleet.pause(&QueueName::default()).unwrap();
        let mut client = join(&broker);
        assert!(client.is_paused(&QueueName::default()), "what holds now is known before the first job is taken");
        assert!(client.publish(0, 0, WorkerState::Idle).is_none());
        assert!(!client.asks_to_stop());
        fleet.command(ControlCommand::Restart).unwrap();
        wait_until(|| {
            client.publish(0, 0, WorkerState::Idle);
            client.asks_to_stop()
        });
        client.begin_deregister();
        client.wait_deregistered(Duration::from_secs(20));
    }

    #[test]
    fn a_worker_is_listed_with_its_state_until_it_stops() {
        let broker = broker();
        let fleet = broker.control().unwrap();
        let mut client = join(&broker);
        wait_until(|| !fleet.workers().unwrap().is_empty());
        client.publish(6, 1, WorkerState::Working);
        client.publish_memory(77);
        wait_until(|| fleet.workers().unwrap()[0].processed == 6);
        let report = fleet.workers().unwrap().remove(0);
        assert_eq!((report.failed, report.memory, report.state), (1, 77, WorkerState::Working));
        client.begin_deregister();
        client.wait_deregistered(Duration::from_secs(20));
        assert!(fleet.workers().unwrap().is_empty());
    }

    #[test]
    fn a_change_is_reported_soon_and_no_change_now_and_then() {
        let report = WorkerReport { processed: 1, ..WorkerReport::default() };
        assert_eq!(interval(&report, &report), ALIVE);
        assert_eq!(interval(&report, &WorkerReport { processed: 2, ..report.clone() }), CHANGED);
        assert_eq!(interval(&report, &WorkerReport { job: Some("J".into()), ..report.clone() }), CHANGED);
    }

    #[test]
    fn without_a_broker_for_flags_nothing_is_read_or_reported() {
        let mut client = ControlClient::none();
        assert!(client.publish(1, 0, WorkerState::Idle).is_none());
        assert!(!client.asks_to_stop());
        client.begin_deregister();
        client.wait_deregistered(Duration::from_secs(20));
    }
}
