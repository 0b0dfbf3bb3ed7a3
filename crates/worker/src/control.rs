//! The thread that keeps a worker in touch with its fleet: it reads what the fleet is asked for and tells what this worker does, also while PHP
//! is busy with a long job. The loop sees what was read last and never waits for it, but for the first look.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferry_core::control::{FleetFlags, WorkerControl, WorkerReport, WorkerState};
use ferry_core::{Broker, Error, ErrorKind, QueueName, Result, signals};

use crate::in_flight::InFlightJobs;

/// How often the flags are read.
const LOOK: Duration = Duration::from_secs(1);
/// How often a worker says how far it is.
const CHANGED: Duration = Duration::from_secs(2);
/// How often it says that it is still there.
const ALIVE: Duration = Duration::from_secs(15);
/// How long it does not look after the place of the flags did not answer, at most.
const LONGEST: Duration = Duration::from_secs(60);

/// Who this worker is.
#[derive(Clone)]
pub struct WorkerIdentity {
    id: String,
    host: String,
    queues: Vec<String>,
    started: i64,
}

impl WorkerIdentity {
    /// This process, working `queues`. `word` tells it from an earlier process with the same number.
    pub fn here(queues: &[QueueName], word: u64) -> Self {
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self {
            id: format!("{host}:{}:{:04x}", std::process::id(), word & 0xffff),
            host,
            queues: queues.iter().map(|queue| queue.as_str().to_owned()).collect(),
            started: i64::try_from(started).unwrap_or_default(),
        }
    }
}

/// What the loop and the thread share. The loop writes numbers; the thread writes flags, under the lock.
struct Shared {
    processed: AtomicU64,
    failed: AtomicU64,
    memory: AtomicU64,
    occupation: AtomicU8,
    /// Grows with every change beneath the lock, so that the loop need not take it.
    edition: AtomicU64,
    inner: Mutex<Inner>,
    closing: Condvar,
}

#[derive(Default)]
struct Inner {
    flags: FleetFlags,
    /// What the loop has not told yet.
    trouble: Option<Error>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing below can panic half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.lock());
        self.edition.fetch_add(1, Ordering::Release);
    }

    fn occupation(&self) -> WorkerState {
        match self.occupation.load(Ordering::Relaxed) {
            0 => WorkerState::Idle,
            1 => WorkerState::Working,
            _ => WorkerState::Paused,
        }
    }
}

/// The fleet, seen from one worker. Without a broker that keeps flags it is silent.
pub struct ControlClient {
    /// What the loop saw last.
    flags: FleetFlags,
    /// What was asked for when it began: only what came later is meant for it.
    before: FleetFlags,
    seen: u64,
    shared: Option<Arc<Shared>>,
    thread: Option<JoinHandle<()>>,
}

/// Where a membership begins.
pub struct ControlBroker {
    /// Keeps the flags.
    pub broker: Arc<dyn Broker>,
    /// Whether that is not the broker of the jobs, so that nobody else tells when it is out of reach.
    pub elsewhere: bool,
}

impl ControlBroker {
    fn tells(&self, error: &Error) -> bool {
        self.elsewhere || !matches!(error.kind(), ErrorKind::Connection | ErrorKind::Uncertain)
    }
}

impl ControlClient {
    /// Nobody's.
    pub fn none() -> Self {
        Self { flags: FleetFlags::default(), before: FleetFlags::default(), seen: 0, shared: None, thread: None }
    }

    /// Looks once, then leaves that to a thread. `hold` knows which job runs. An error is that of a broker that cannot be reached for jobs
    /// either.
    pub fn join(place: ControlBroker, identity: WorkerIdentity, hold: Arc<InFlightJobs>) -> Result<Self> {
        let first = place.broker.control().map_or_else(|| Ok(FleetFlags::default()), |fleet| fleet.flags());
        let (flags, trouble) = match first {
            Ok(flags) => (flags, None),
            Err(error) if place.tells(&error) => (FleetFlags::default(), Some(error)),
            Err(error) => return Err(error),
        };
        let inner = Inner { flags: flags.clone(), trouble, closed: false };
        let shared = Arc::new(Shared {
            processed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            occupation: AtomicU8::new(0),
            edition: AtomicU64::new(u64::from(inner.trouble.is_some())),
            inner: Mutex::new(inner),
            closing: Condvar::new(),
        });
        let mut herald = ControlPoller { place, identity, hold, shared: shared.clone(), told: None, pause: LOOK };
        let spawn = || std::thread::Builder::new().name("ferry-fleet".into()).spawn(move || herald.serve());
        let thread =
            signals::blocked(spawn).map_err(|e| Error::new(ErrorKind::Refused, "start a thread of the worker").with_source(e))?;
        Ok(Self { before: flags.clone(), flags, seen: 0, shared: Some(shared), thread: Some(thread) })
    }

    /// Notes how far the worker is, and answers what went wrong with the flags, once an outage.
    pub fn note(&mut self, processed: u64, failed: u64, occupation: WorkerState) -> Option<Error> {
        let shared = self.shared.as_ref()?;
        shared.processed.store(processed, Ordering::Relaxed);
        shared.failed.store(failed, Ordering::Relaxed);
        shared.occupation.store(occupation as u8, Ordering::Relaxed);
        let edition = shared.edition.load(Ordering::Acquire);
        if edition == self.seen {
            return None;
        }
        self.seen = edition;
        let mut inner = shared.lock();
        self.flags = inner.flags.clone();
        inner.trouble.take()
    }

    /// Notes how much memory is used. Only PHP's thread may ask PHP for it.
    pub fn note_memory(&self, bytes: usize) {
        if let Some(shared) = &self.shared {
            shared.memory.store(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Whether it was told to leave since it began.
    pub fn asks_to_leave(&self) -> bool {
        self.flags.asks_to_leave(&self.before)
    }

    /// Whether a queue is paused.
    pub fn is_paused(&self, queue: &QueueName) -> bool {
        !self.flags.paused.is_empty() && self.flags.is_paused(queue)
    }

    /// Leaves the list of workers.
    pub fn leave(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.lock().closed = true;
            shared.closing.notify_all();
        }
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to tell.
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct ControlPoller {
    place: ControlBroker,
    identity: WorkerIdentity,
    hold: Arc<InFlightJobs>,
    shared: Arc<Shared>,
    told: Option<(WorkerReport, Instant)>,
    /// How long until the next look; grows while failures follow each other.
    pause: Duration,
}

impl ControlPoller {
    fn serve(&mut self) {
        let broker = self.place.broker.clone();
        let Some(fleet) = broker.control() else { return };
        loop {
            match self.say(fleet, Instant::now()).and_then(|()| fleet.flags()) {
                Ok(flags) => self.heard(flags),
                Err(error) => self.failed(error),
            }
            if self.sleep() {
                break;
            }
        }
        if let Some((report, _)) = self.told.take() {
            // Who does not sign off is forgotten a little later.
            let _ = fleet.deregister(&report.id);
        }
    }

    fn heard(&mut self, flags: FleetFlags) {
        self.pause = LOOK;
        if self.shared.lock().flags != flags {
            self.shared.publish(|inner| inner.flags = flags);
        }
    }

    fn failed(&mut self, error: Error) {
        if self.pause == LOOK && self.place.tells(&error) {
            self.shared.publish(|inner| inner.trouble = Some(error));
        }
        self.pause = (self.pause * 2).min(LONGEST);
    }

    /// Waits until the next look. Answers whether the worker leaves.
    fn sleep(&self) -> bool {
        let (shared, until) = (&self.shared, Instant::now() + self.pause);
        let mut inner = shared.lock();
        while !inner.closed {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
            inner = shared.closing.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.closed
    }

    /// Says what is new, or from time to time that nothing is.
    fn say(&mut self, fleet: &dyn WorkerControl, now: Instant) -> Result<()> {
        let report = self.report();
        if self.told.as_ref().is_none_or(|(last, at)| now >= *at + reserve_timeout(last, &report)) {
            fleet.report(&report)?;
            self.told = Some((report, now));
        }
        Ok(())
    }

    fn report(&self) -> WorkerReport {
        let job = self.hold.running().map(|lease| lease.payload.job.clone());
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
            state: if job.is_some() { WorkerState::Working } else { self.shared.occupation() },
            job,
        }
    }
}

fn reserve_timeout(last: &WorkerReport, now: &WorkerReport) -> Duration {
    if last.processed == now.processed && last.state == now.state && last.job == now.job { ALIVE } else { CHANGED }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::clock::HandClock;
    use ferry_core::control::ControlCommand;
    use ferry_core::memory::MemoryBroker;

    fn broker() -> Arc<dyn Broker> {
        Arc::new(MemoryBroker::new(HandClock::at(1_700_000_000), None))
    }

    fn join(broker: &Arc<dyn Broker>) -> ControlClient {
        let place = ControlBroker { broker: broker.clone(), elsewhere: false };
        let hold = Arc::new(InFlightJobs::new(None, Duration::from_secs(60)));
        ControlClient::join(place, WorkerIdentity::here(&[QueueName::default()], 7), hold).unwrap()
    }

    fn wait_until(mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < deadline, "waited in vain");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn an_order_given_before_a_worker_began_is_not_meant_for_it() {
        let broker = broker();
        let fleet = broker.control().unwrap();
        fleet.command(ControlCommand::Restart).unwrap();
        fleet.pause(&QueueName::default()).unwrap();
        let mut member = join(&broker);
        assert!(member.is_paused(&QueueName::default()), "what holds now is known before the first job is taken");
        assert!(member.note(0, 0, WorkerState::Idle).is_none());
        assert!(!member.asks_to_leave());
        fleet.command(ControlCommand::Restart).unwrap();
        wait_until(|| {
            member.note(0, 0, WorkerState::Idle);
            member.asks_to_leave()
        });
        member.leave();
    }

    #[test]
    fn a_worker_is_listed_with_what_it_does_until_it_leaves() {
        let broker = broker();
        let fleet = broker.control().unwrap();
        let mut member = join(&broker);
        wait_until(|| !fleet.workers().unwrap().is_empty());
        member.note(6, 1, WorkerState::Working);
        member.note_memory(77);
        wait_until(|| fleet.workers().unwrap()[0].processed == 6);
        let said = fleet.workers().unwrap().remove(0);
        assert_eq!((said.failed, said.memory, said.state), (1, 77, WorkerState::Working));
        member.leave();
        assert!(fleet.workers().unwrap().is_empty());
    }

    #[test]
    fn a_change_is_told_soon_and_silence_now_and_then() {
        let report = WorkerReport { processed: 1, ..WorkerReport::default() };
        assert_eq!(reserve_timeout(&report, &report), ALIVE);
        assert_eq!(reserve_timeout(&report, &WorkerReport { processed: 2, ..report.clone() }), CHANGED);
        assert_eq!(reserve_timeout(&report, &WorkerReport { job: Some("J".into()), ..report.clone() }), CHANGED);
    }

    #[test]
    fn without_a_place_for_flags_nothing_is_asked_or_said() {
        let mut member = ControlClient::none();
        assert!(member.note(1, 0, WorkerState::Idle).is_none());
        assert!(!member.asks_to_leave());
        member.leave();
    }
}
