//! Writes what becomes of jobs to the status store: in a worker, on a thread of its own.
//!
//! No job waits for a status store that does not answer. Updates wait for it, and when too many do, the oldest are dropped.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ferry_core::status::{JobRef, StatusChange, StatusUpdate};
use ferry_core::{Broker, Error, ErrorKind, Result};
use ferry_support::pause::GrowingPause;
use ferry_support::threads::PanicSlot;

use crate::batcher::{BatchLimits, BatchSink, Batcher, Sent};
use crate::in_flight::InFlightJob;

/// `block` is how long a job waits when the status store answers, but slower than jobs are run.
const LIMITS: BatchLimits = BatchLimits {
    batch: 256,
    waiting: 1024,
    gather: Duration::ZERO,
    block: Some(Duration::from_millis(200)),
    retry: GrowingPause::new(Duration::from_millis(100), Duration::from_secs(5)),
};

/// Carries updates to the status store.
pub trait StatusWriter: Send + Sync {
    /// Takes an update. Never fails.
    fn write(&self, update: StatusUpdate);
}

/// Reports what becomes of the jobs of one connection.
#[derive(Clone)]
pub struct StatusReporter {
    writer: Arc<dyn StatusWriter>,
    connection: Arc<str>,
    ttl: u32,
}

impl StatusReporter {
    /// For a connection whose statuses are kept for `ttl` seconds.
    pub fn new(writer: Arc<dyn StatusWriter>, connection: Arc<str>, ttl: u32) -> Self {
        Self { writer, connection, ttl }
    }

    /// Reports a change of a job, when the job has an id.
    pub fn report(&self, job: &InFlightJob, change: StatusChange) {
        let Some(id) = id_of(job) else { return };
        let queue = job.reservation.claim.queue.as_str().to_owned();
        self.report_as(id, JobRef { job: job.payload.job.clone(), queue, connection: String::new() }, change);
    }

    /// Reports a change of what has this id. The connection of `reference` is filled in.
    pub fn report_as(&self, id: &str, reference: JobRef, change: StatusChange) {
        let job = JobRef { connection: self.connection.to_string(), ..reference };
        self.writer.write(StatusUpdate { id: id.to_owned(), job, change, ttl: self.ttl });
    }
}

/// The id under which a job has a status, if it can have one.
pub fn id_of(job: &InFlightJob) -> Option<&str> {
    job.payload.id.as_deref().filter(|id| StatusUpdate::can_be_about(id))
}

/// Writes updates on a thread of its own.
pub struct StatusQueue(Arc<Batcher<StatusUpdate>>);

impl StatusQueue {
    /// Starts the thread. Its broker must have a status store; without one every update is dropped.
    pub fn start(broker: Arc<dyn Broker>, panics: &PanicSlot) -> Result<(Arc<Self>, JoinHandle<()>)> {
        let (batcher, thread) = Batcher::start("ferry-status", LIMITS, StatusSink(broker), panics)?;
        Ok((Arc::new(Self(batcher)), thread))
    }

    /// Why updates cannot be written, once an outage.
    pub fn take_failure(&self) -> Option<Error> {
        self.0.take_failure()
    }

    /// Waits until every update is written, for at most `limit`. A status store that fails is asked once more and no longer.
    pub fn flush(&self, limit: Duration) {
        self.0.flush_unless_failing(limit);
    }

    /// Ends the thread.
    pub fn close(&self) {
        self.0.close();
    }
}

impl StatusWriter for StatusQueue {
    fn write(&self, update: StatusUpdate) {
        self.0.push(update, StatusUpdate::merge);
    }
}

struct StatusSink(Arc<dyn Broker>);

impl BatchSink<StatusUpdate> for StatusSink {
    /// What the store refuses is dropped: it would be refused again and hold up all others.
    fn send(&mut self, batch: &[StatusUpdate]) -> Sent {
        match self.0.status().map_or(Ok(()), |store| store.update(batch)) {
            Ok(()) => Sent::Done,
            Err(error) if matches!(error.kind(), ErrorKind::Connection | ErrorKind::Uncertain) => Sent::Retry(error),
            Err(error) => Sent::Refused(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use ferry_core::StatusStore;
    use ferry_core::broker::{Capabilities, ExtendResult, Settle, SettleResult, Sizes};
    use ferry_core::clock::SystemClock;
    use ferry_core::memory::MemoryBroker;
    use ferry_core::status::{Ending, State, Status};
    use ferry_core::{Claim, NewJob, QueueName, Reservation};

    fn update(id: &str, change: StatusChange) -> StatusUpdate {
        StatusUpdate { id: id.into(), job: JobRef::default(), change, ttl: 60 }
    }

    /// A memory broker whose status store does not answer while it is away.
    struct FlakyStore {
        inner: MemoryBroker<SystemClock>,
        away: AtomicBool,
    }

    impl FlakyStore {
        fn away() -> Arc<Self> {
            Arc::new(Self { inner: MemoryBroker::new(SystemClock, None), away: AtomicBool::new(true) })
        }

        fn state(&self, id: &str) -> Option<State> {
            self.inner.find(id).unwrap().map(|status| status.state)
        }
    }

    impl StatusStore for FlakyStore {
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

    impl Broker for FlakyStore {
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

    fn start(broker: Arc<FlakyStore>) -> (Arc<StatusQueue>, JoinHandle<()>) {
        StatusQueue::start(broker, &PanicSlot::default()).unwrap()
    }

    fn close(queue: &StatusQueue, thread: JoinHandle<()>) {
        queue.close();
        thread.join().unwrap();
    }

    #[test]
    fn an_outage_delays_nobody_is_reported_once_and_loses_no_update() {
        let broker = FlakyStore::away();
        let (queue, thread) = start(broker.clone());
        let begun = Instant::now();
        for id in 0..500 {
            queue.write(update(&id.to_string(), StatusChange::Running { attempts: 1 }));
        }
        assert!(begun.elapsed() < Duration::from_millis(500));
        let until = Instant::now() + Duration::from_secs(20);
        let mut failures = 0;
        while failures == 0 && Instant::now() < until {
            failures += usize::from(queue.take_failure().is_some());
            std::thread::yield_now();
        }
        assert_eq!(failures, 1);
        queue.flush(Duration::from_secs(20));
        assert_eq!(broker.state("0"), None, "nobody waits for a status store that does not answer");
        broker.away.store(false, Ordering::SeqCst);
        while broker.state("499").is_none() && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!((broker.state("0"), broker.state("499")), (Some(State::Running), Some(State::Running)));
        assert!(queue.take_failure().is_none());
        close(&queue, thread);
    }

    #[test]
    fn an_update_that_is_refused_holds_up_no_other() {
        let broker = FlakyStore::away();
        broker.away.store(false, Ordering::SeqCst);
        let (queue, thread) = start(broker.clone());
        queue.write(update("bad", StatusChange::Queued));
        let until = Instant::now() + Duration::from_secs(20);
        while queue.take_failure().is_none() && Instant::now() < until {
            std::thread::yield_now();
        }
        queue.write(update("good", StatusChange::Queued));
        while broker.state("good").is_none() && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(broker.state("good"), Some(State::Queued));
        close(&queue, thread);
    }

    #[test]
    fn every_update_is_written_before_the_end() {
        let broker = FlakyStore::away();
        broker.away.store(false, Ordering::SeqCst);
        let (queue, thread) = start(broker.clone());
        for id in 0..3000 {
            let ending = Ending { state: State::Succeeded, error: None, result: None };
            queue.write(update(&id.to_string(), StatusChange::ended(1, ending)));
        }
        queue.flush(Duration::from_secs(20));
        assert_eq!((broker.state("0"), broker.state("2999")), (Some(State::Succeeded), Some(State::Succeeded)));
        close(&queue, thread);
    }

    #[test]
    fn a_queue_that_is_closed_while_its_store_is_away_lets_go() {
        let (queue, thread) = start(FlakyStore::away());
        queue.write(update("a", StatusChange::Queued));
        close(&queue, thread);
    }
}
