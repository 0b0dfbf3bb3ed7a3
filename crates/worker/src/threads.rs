//! The threads of a running worker, and what they share with it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::broker::{Broker, Settlement};
use ferry_core::config::SettleMode;
use ferry_core::{Error, ErrorKind, Result};
use ferry_support::threads::PanicSlot;

use crate::abort_settler::AbortSettler;
use crate::delete_batcher::{DeleteBatcher, Deletion};
use crate::in_flight::InFlightJobs;
use crate::job::{Direct, Settler};
use crate::lease_renewer;
use crate::options::Options;
use crate::shutdown::ShutdownDeadline;
use crate::status_writer::{StatusQueue, StatusReporter};
use crate::watchdog::{Interrupter, ShutdownPolicy, TimeoutSchedule, Watchdog};

/// How long the end of a worker waits for statuses that are not written yet.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// The status store of a worker.
pub struct StatusTarget {
    /// A broker with a status store.
    pub statuses: Arc<dyn Broker>,
    /// Seconds that a status is kept.
    pub ttl: u32,
}

/// What the threads of a worker share.
pub struct Shared {
    /// The broker of the jobs.
    pub broker: Arc<dyn Broker>,
    /// The jobs that the worker holds.
    pub jobs: Arc<InFlightJobs>,
    /// Deletions on their way; `None` when each waits for the broker's answer.
    pub deletions: Option<Arc<DeleteBatcher>>,
    /// Reports what becomes of jobs, and writes it down.
    pub statuses: Option<(StatusReporter, Arc<StatusQueue>)>,
}

impl Shared {
    /// Gives back what was not started. What was asked for ahead is received before, so that all goes back in order.
    pub fn give_back(&self) {
        // After an error those jobs come back by their leases.
        let _ = self.jobs.receive_ahead();
        lease_renewer::give_back(&*self.broker, self.jobs.drain());
    }

    /// Reports what becomes of jobs, where that is kept.
    pub fn reporter(&self) -> Option<&StatusReporter> {
        self.statuses.as_ref().map(|(reporter, _)| reporter)
    }
}

/// Lease renewer, delete batcher, status queue and watchdog: those that the options need.
pub struct WorkerThreads {
    /// What they share.
    pub shared: Arc<Shared>,
    /// Settles jobs.
    pub settler: Arc<dyn Settler>,
    watchdog: Option<(Arc<Watchdog>, Arc<dyn Interrupter>)>,
    threads: Vec<JoinHandle<()>>,
    panics: PanicSlot,
}

/// How long a pause waits for the answer to the last deletion.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// How long a lease lasts at least: the wire counts whole seconds, so the first one may be nearly over when it is counted.
fn shortest_lease(retry_after: Duration) -> Duration {
    retry_after.saturating_sub(Duration::from_secs(1))
}

impl WorkerThreads {
    /// Starts the threads that `options` need. Without an interrupter no job is stopped.
    pub fn start(
        broker: &Arc<dyn Broker>,
        options: &Options,
        interrupter: Option<Arc<dyn Interrupter>>,
        status_target: Option<&StatusTarget>,
    ) -> Result<Self> {
        let panics = PanicSlot::default();
        let jobs = Arc::new(InFlightJobs::new(options.retry_after.map(shortest_lease), options.max_lease));
        // Without leases too: it notices jobs that were lost, and gives back those behind a slow one.
        let mut threads = vec![lease_renewer::start(broker.clone(), jobs.clone(), &panics)?];
        let mut deletions = None;
        if options.settle == SettleMode::Pipelined {
            let (batcher, thread) = DeleteBatcher::start(broker.clone(), jobs.clone(), &panics)?;
            threads.push(thread);
            deletions = Some(Arc::new(batcher));
        }
        let mut statuses = None;
        if let Some(target) = status_target {
            let connection = Arc::from(options.connection.as_str());
            let (queue, thread) = StatusQueue::start(target.statuses.clone(), &panics)?;
            threads.push(thread);
            statuses = Some((StatusReporter::new(queue.clone(), connection, target.ttl), queue));
        }
        let shared = Arc::new(Shared { broker: broker.clone(), jobs, deletions, statuses });
        let mut watchdog = None;
        if let Some(interrupter) = interrupter {
            let settler = AbortSettler { shared: shared.clone(), interrupter: interrupter.clone() };
            let policy = ShutdownPolicy { stop_timeout: options.stop_timeout, grace: options.grace };
            let (started, thread) = Watchdog::start(Arc::new(settler), policy, &panics)?;
            threads.push(thread);
            watchdog = Some((started, interrupter));
        }
        let settler: Arc<dyn Settler> = match &shared.deletions {
            Some(deletions) => deletions.clone(),
            None => Arc::new(Direct(broker.clone())),
        };
        Ok(Self { shared, settler, watchdog, threads, panics })
    }

    /// Whether a watchdog is there to stop jobs.
    pub fn has_watchdog(&self) -> bool {
        self.watchdog.is_some()
    }

    /// Watches the job that starts now: stops it after `timeout`, and settles it as `abort` if the process has to end.
    ///
    /// Its lease is renewed a little longer than it may run.
    pub fn watch(&self, timeout: Option<Duration>, options: &Options, abort: Option<Settlement>) {
        let Some((watchdog, _)) = &self.watchdog else { return };
        if let (Some(timeout), Some(abort)) = (timeout, abort) {
            self.shared.jobs.watch(abort, timeout.saturating_add(options.grace));
        }
        watchdog.arm(timeout.map(|timeout| TimeoutSchedule::new(Instant::now(), timeout, options.warning, options.grace)));
    }

    /// The job is over: its time stops, and a stage that it entered in the last moment is void. Returns whether it was interrupted because
    /// the worker was asked to stop.
    pub fn disarm(&self) -> bool {
        let Some((watchdog, interrupter)) = &self.watchdog else { return false };
        let Some(fired) = watchdog.disarm() else { return false };
        interrupter.clear();
        fired.interrupted
    }

    /// The loop has nothing in hand and is about to ask for more. Without leases the broker sends no more than was agreed until it knows
    /// what is done, so deletions do not wait for others then.
    pub fn flush_soon(&self) {
        if let Some(deletions) = self.shared.deletions.as_ref().filter(|_| !self.shared.broker.capabilities().leases) {
            deletions.flush_soon();
        }
    }

    /// Nobody settles for a while: waits a moment for what became of the last deletion, so that a lost one is repeated now.
    pub fn flush_sent(&self) {
        if let Some(deletions) = &self.shared.deletions {
            deletions.flush_sent(LAST_ANSWER);
        }
    }

    /// The broker answers again: deletions that it did not take are repeated without the rest of their pause.
    pub fn repeat_now(&self) {
        if let Some(deletions) = &self.shared.deletions {
            deletions.repeat_now();
        }
    }

    /// Deletions that came too late since the last call.
    pub fn take_lost(&self) -> Vec<Deletion> {
        self.shared.deletions.as_ref().map_or_else(Vec::new, |deletions| deletions.take_lost())
    }

    /// Why statuses cannot be written, once an outage.
    pub fn take_status_failure(&self) -> Option<Error> {
        self.shared.statuses.as_ref().and_then(|(_, queue)| queue.take_failure())
    }

    /// Where the threads report a panic. What such a thread did is not done any more, so the worker must end.
    pub fn panics(&self) -> &PanicSlot {
        &self.panics
    }

    /// Gives unstarted jobs back and sends what is outstanding. Returns an error for what could not be sent.
    pub fn settle_all(&self, deadline: &ShutdownDeadline) -> Option<Error> {
        self.shared.jobs.close();
        self.shared.give_back();
        let left = deadline.time_left();
        let (left, failure) = self.shared.deletions.as_ref().map(|deletions| deletions.flush(left)).unwrap_or_default();
        (left > 0).then(|| {
            let context = format!("{left} finished jobs could not be deleted and will run again");
            Error::new(ErrorKind::Connection, context).with_source(failure.unwrap_or_default())
        })
    }

    /// Waits a little for statuses to be written.
    pub fn flush_statuses(&self, deadline: &ShutdownDeadline) {
        if let Some((_, queue)) = &self.shared.statuses {
            queue.flush(STATUS_TIMEOUT.min(deadline.time_left()));
        }
    }

    /// Ends the threads.
    pub fn shutdown(self) {
        self.shared.jobs.close();
        if let Some(deletions) = &self.shared.deletions {
            deletions.close();
        }
        if let Some((watchdog, _)) = &self.watchdog {
            watchdog.close();
        }
        if let Some((_, queue)) = &self.shared.statuses {
            queue.close();
        }
        for thread in self.threads {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }

    /// Leaves everything to the parent: in a forked child the threads do not exist, and one of them may have held a lock at the
    /// fork. Touch nothing, drop nothing.
    pub fn forget(self) {
        #[allow(clippy::mem_forget)]
        std::mem::forget(self);
    }
}
