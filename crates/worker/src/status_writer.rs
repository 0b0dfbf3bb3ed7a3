//! Who carries what is said of jobs to the status store: in a worker, a thread of its own.
//!
//! Nobody waits for a status store that does not answer. Words wait for it, and when too many do, the oldest are lost.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::status::{JobRef, StatusChange, StatusUpdate};
use ferry_core::{Broker, Error, ErrorKind, Result, signals};

use crate::in_flight::InFlightJob;

/// How many words may wait.
const MOST: usize = 1024;
/// How many go together.
const FULL: usize = 256;
/// How long a job waits when the status store answers, but slower than jobs are worked.
const PATIENCE: Duration = Duration::from_millis(200);
/// How soon words that were not written are sent again, doubling up to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Who carries words to the status store.
pub trait StatusWriter: Send + Sync {
    /// Takes a word. Never fails.
    fn take(&self, note: StatusUpdate);
}

/// What is said of the jobs of one connection.
#[derive(Clone)]
pub struct StatusReporter {
    scribe: Arc<dyn StatusWriter>,
    connection: Arc<str>,
    ttl: u32,
}

impl StatusReporter {
    /// The chronicle of a connection whose statuses are kept for `ttl` seconds.
    pub fn new(scribe: Arc<dyn StatusWriter>, connection: Arc<str>, ttl: u32) -> Self {
        Self { scribe, connection, ttl }
    }

    /// Says something of a job, when it has an id.
    pub fn say(&self, lease: &InFlightJob, change: StatusChange) {
        let Some(id) = id_of(lease) else { return };
        let about = JobRef {
            job: lease.payload.job.clone(),
            queue: lease.reservation.claim.queue.as_str().to_owned(),
            connection: self.connection.to_string(),
        };
        self.scribe.take(StatusUpdate { id: id.to_owned(), job: about, change, ttl: self.ttl });
    }
}

/// The id under which a job has a status, if it can have one.
pub fn id_of(lease: &InFlightJob) -> Option<&str> {
    lease.payload.id.as_deref().filter(|id| StatusUpdate::can_be_about(id))
}

/// A thread that writes, and the way to it.
pub struct StatusQueue {
    papers: Mutex<StatusQueueState>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct StatusQueueState {
    pending: VecDeque<StatusUpdate>,
    in_flight: usize,
    /// What is to be told of an outage.
    trouble: Option<Error>,
    failing: bool,
    /// How often the status store did not take what was said.
    failures: u64,
    closing: bool,
    sleeping: bool,
}

impl StatusQueue {
    /// Starts the thread. Its broker must have a status store; without one every word is lost.
    pub fn open(broker: Arc<dyn Broker>) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let desk = Arc::new(Self { papers: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() });
        let at = desk.clone();
        let spawn = || std::thread::Builder::new().name("ferry-ledger".into()).spawn(move || serve(&*broker, &at));
        Ok((desk, signals::blocked(spawn)?))
    }

    /// What went wrong, once an outage.
    pub fn take_trouble(&self) -> Option<Error> {
        self.lock().trouble.take()
    }

    /// Waits until everything said is written, at most `limit`; a status store that does not take it is asked once more and no longer.
    pub fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut papers = self.lock();
        let failures = papers.failures;
        self.filled.notify_all();
        while papers.pending.len() + papers.in_flight > 0 && papers.failures == failures {
            let now = Instant::now();
            if now >= deadline {
                return;
            }
            papers = self.emptied.wait_timeout(papers, deadline - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Tells the thread to leave; what is not written yet is lost.
    pub fn close(&self) {
        self.lock().closing = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, StatusQueueState> {
        // Nothing here can panic half-way through a change.
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StatusWriter for StatusQueue {
    fn take(&self, note: StatusUpdate) {
        let mut papers = self.lock();
        let deadline = Instant::now() + PATIENCE;
        while papers.pending.len() >= MOST && !papers.failing && !papers.closing && Instant::now() < deadline {
            papers = self.emptied.wait_timeout(papers, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        papers.add(note);
        if std::mem::take(&mut papers.sleeping) {
            self.filled.notify_one();
        }
    }
}

impl StatusQueueState {
    /// A handler may say how far it is a million times: of what still waits, its last word counts.
    fn add(&mut self, note: StatusUpdate) {
        let replaces = |last: &StatusUpdate| {
            let both = matches!((&last.change, &note.change), (StatusChange::Progress { .. }, StatusChange::Progress { .. }));
            both && last.id == note.id && last.attempts() == note.attempts()
        };
        match self.pending.back_mut() {
            Some(last) if replaces(last) => *last = note,
            _ => self.pending.push_back(note),
        }
        self.make_room();
    }

    /// When too many wait, the oldest are lost: what is said last tells most.
    fn make_room(&mut self) {
        let surplus = self.pending.len().saturating_sub(MOST);
        self.pending.drain(..surplus);
    }
}

fn serve(broker: &dyn Broker, desk: &StatusQueue) {
    let mut pause = AGAIN.0;
    while let Some(batch) = next_batch(desk) {
        let written = broker.status().map_or(Ok(()), |store| store.update(&batch));
        pause = file(desk, batch, written, pause);
    }
}

/// Waits for words. `None` when the desk closes.
fn next_batch(desk: &StatusQueue) -> Option<Vec<StatusUpdate>> {
    let mut papers = desk.lock();
    while papers.pending.is_empty() {
        if papers.closing {
            return None;
        }
        papers.sleeping = true;
        papers = desk.filled.wait(papers).unwrap_or_else(PoisonError::into_inner);
    }
    papers.sleeping = false;
    if papers.closing && papers.failing {
        return None;
    }
    let count = papers.pending.len().min(FULL);
    papers.in_flight = count;
    Some(papers.pending.drain(..count).collect())
}

/// What follows from an attempt to write. Words that may still be written go back to the head and wait a while; those that were refused
/// are lost, because they would be refused again and hold up all others. Answers the next pause.
fn file(desk: &StatusQueue, batch: Vec<StatusUpdate>, written: Result<()>, pause: Duration) -> Duration {
    let mut papers = desk.lock();
    papers.in_flight = 0;
    let Err(error) = written else {
        papers.failing = false;
        drop(papers);
        desk.emptied.notify_all();
        return AGAIN.0;
    };
    papers.failures += 1;
    let again = matches!(error.kind(), ErrorKind::Connection | ErrorKind::Uncertain);
    if !std::mem::replace(&mut papers.failing, true) {
        papers.trouble = Some(error);
    }
    if again {
        batch.into_iter().rev().for_each(|note| papers.pending.push_front(note));
        papers.make_room();
    }
    desk.emptied.notify_all();
    if !papers.closing {
        drop(desk.filled.wait_timeout(papers, pause));
    }
    (pause * 2).min(AGAIN.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    use ferry_core::StatusStore;
    use ferry_core::broker::{Capabilities, ExtendResult, Settle, SettleResult, Sizes};
    use ferry_core::clock::SystemClock;
    use ferry_core::memory::MemoryBroker;
    use ferry_core::status::{Ending, State, Status};
    use ferry_core::{Claim, NewJob, QueueName, Reservation};

    fn note(id: &str, change: StatusChange) -> StatusUpdate {
        StatusUpdate { id: id.into(), job: JobRef::default(), change, ttl: 60 }
    }

    fn progress(id: &str, percent: u8) -> StatusUpdate {
        note(id, StatusChange::Progress { attempts: 1, percent, message: None })
    }

    /// A memory broker whose ledger does not answer while it is away.
    struct Moody {
        inner: MemoryBroker<SystemClock>,
        away: AtomicBool,
    }

    impl Moody {
        fn away() -> Arc<Self> {
            Arc::new(Self { inner: MemoryBroker::new(SystemClock, None), away: AtomicBool::new(true) })
        }

        fn state(&self, id: &str) -> Option<State> {
            self.inner.find(id).unwrap().map(|status| status.state)
        }
    }

    impl StatusStore for Moody {
        fn update(&self, updates: &[StatusUpdate]) -> Result<()> {
            match self.away.load(Ordering::SeqCst) {
                true => Err(Error::new(ErrorKind::Connection, "away")),
                false if updates.iter().any(|update| update.id == "bad") => Err(Error::new(ErrorKind::Refused, "no")),
                false => self.inner.update(updates),
            }
        }

        fn find(&self, id: &str) -> Result<Option<Status>> {
            self.inner.find(id)
        }
    }

    impl Broker for Moody {
        fn push(&self, queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>> {
            self.inner.push(queue, job)
        }

        fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
            self.inner.push_many(queue, jobs)
        }

        fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
            self.inner.reserve(queues, max, wait)
        }

        fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
            self.inner.settle(batch)
        }

        fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
            self.inner.extend(claims)
        }

        fn size(&self, queue: &QueueName) -> Result<Sizes> {
            self.inner.size(queue)
        }

        fn close(&self) {}

        fn capabilities(&self) -> Capabilities {
            self.inner.capabilities()
        }

        fn status(&self) -> Option<&dyn StatusStore> {
            Some(self)
        }
    }

    fn close(desk: &StatusQueue, thread: JoinHandle<()>) {
        desk.close();
        thread.join().unwrap();
    }

    #[test]
    fn of_what_waits_the_last_progress_counts_and_order_is_kept() {
        let mut papers = StatusQueueState::default();
        papers.add(note("a", StatusChange::Running { attempts: 1 }));
        (0..100).for_each(|percent| papers.add(progress("a", percent)));
        papers.add(note("b", StatusChange::Queued));
        papers.add(progress("a", 7));
        assert_eq!(papers.pending.len(), 4);
        assert_eq!(papers.pending[1], progress("a", 99));
        (0..2 * MOST).for_each(|number| papers.add(note(&number.to_string(), StatusChange::Queued)));
        assert_eq!(papers.pending.len(), MOST);
        assert_eq!(papers.pending.back().unwrap().id, (2 * MOST - 1).to_string());
    }

    #[test]
    fn an_outage_delays_nobody_is_told_once_and_loses_no_word() {
        let broker = Moody::away();
        let (desk, thread) = StatusQueue::open(broker.clone()).unwrap();
        let begun = Instant::now();
        for id in 0..500 {
            desk.take(note(&id.to_string(), StatusChange::Running { attempts: 1 }));
        }
        assert!(begun.elapsed() < Duration::from_millis(500));
        let until = Instant::now() + Duration::from_secs(20);
        let mut troubles = 0;
        while troubles == 0 && Instant::now() < until {
            troubles += usize::from(desk.take_trouble().is_some());
            std::thread::yield_now();
        }
        assert_eq!(troubles, 1);
        desk.flush(Duration::from_secs(20));
        assert!(desk.lock().failing, "nobody waits for a ledger that does not answer");
        broker.away.store(false, Ordering::SeqCst);
        while broker.state("499").is_none() && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!((broker.state("0"), broker.state("499")), (Some(State::Running), Some(State::Running)));
        assert!(desk.take_trouble().is_none());
        close(&desk, thread);
    }

    #[test]
    fn a_word_that_is_refused_holds_up_no_other() {
        let broker = Moody::away();
        broker.away.store(false, Ordering::SeqCst);
        let (desk, thread) = StatusQueue::open(broker.clone()).unwrap();
        desk.take(note("bad", StatusChange::Queued));
        let until = Instant::now() + Duration::from_secs(20);
        while desk.take_trouble().is_none() && Instant::now() < until {
            std::thread::yield_now();
        }
        desk.take(note("good", StatusChange::Queued));
        while broker.state("good").is_none() && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(broker.state("good"), Some(State::Queued));
        close(&desk, thread);
    }

    #[test]
    fn everything_said_is_written_before_the_end() {
        let broker = Moody::away();
        broker.away.store(false, Ordering::SeqCst);
        let (desk, thread) = StatusQueue::open(broker.clone()).unwrap();
        for id in 0..3000 {
            let ending = Ending { state: State::Succeeded, error: None, result: None };
            desk.take(note(&id.to_string(), StatusChange::Ended { attempts: 1, ending }));
        }
        desk.flush(Duration::from_secs(20));
        assert_eq!((broker.state("0"), broker.state("2999")), (Some(State::Succeeded), Some(State::Succeeded)));
        close(&desk, thread);
    }

    #[test]
    fn a_desk_that_is_closed_while_its_ledger_is_away_lets_go() {
        let (desk, thread) = StatusQueue::open(Moody::away()).unwrap();
        desk.take(note("a", StatusChange::Queued));
        close(&desk, thread);
    }
}
