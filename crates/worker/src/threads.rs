//! The threads of a running worker, and what they share with it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::broker::Broker;
use ferry_core::config::SettleMode;
use ferry_core::policy::Decision;
use ferry_core::{Error, ErrorKind, Result};

use crate::abort_settler::AbortSettler;
use crate::delete_batcher::DeleteBatcher;
use crate::in_flight::InFlightJobs;
use crate::job::{Direct, Settler};
use crate::options::Options;
use crate::status_writer::{StatusQueue, StatusReporter};
use crate::watchdog::{Interrupter, ShutdownPolicy, TimeoutSchedule, Watchdog};
use crate::{delete_batcher, lease_renewer};

/// How long the end of a worker waits for outstanding deletions.
const LAST_WORD: Duration = Duration::from_secs(10);
/// How long it waits for what is said of jobs.
const LAST_NOTE: Duration = Duration::from_secs(2);

/// Where it is written down what becomes of jobs.
pub struct StatusTarget {
    /// A broker with a status store.
    pub statuses: Arc<dyn Broker>,
    /// Seconds that a status is kept.
    pub ttl: u32,
}

/// Keeper, settle thread and clock, where they are needed.
pub struct WorkerThreads {
    /// What the worker holds.
    pub hold: Arc<InFlightJobs>,
    /// Who carries the end of jobs to the broker.
    pub settler: Arc<dyn Settler>,
    broker: Arc<dyn Broker>,
    pipeline: Option<Arc<DeleteBatcher>>,
    /// What is said of jobs.
    pub chronicle: Option<StatusReporter>,
    desk: Option<Arc<StatusQueue>>,
    timer: Option<(Arc<Watchdog>, Arc<dyn Interrupter>)>,
    threads: Vec<JoinHandle<()>>,
}

/// How long a lease lasts at least: the wire counts whole seconds, so the first one may be nearly over when it is counted.
fn sure_lease(retry_after: Duration) -> Duration {
    retry_after.saturating_sub(Duration::from_secs(1))
}

impl WorkerThreads {
    /// Starts the threads that `options` ask for. Without an alarm no job is stopped.
    pub fn start(
        broker: &Arc<dyn Broker>,
        options: &Options,
        connection: &Arc<str>,
        alarm: Option<Arc<dyn Interrupter>>,
        keeping: Option<&StatusTarget>,
    ) -> Result<Self> {
        let failed = |e: std::io::Error| Error::new(ErrorKind::Refused, "start a thread of the worker").with_source(e);
        let hold = Arc::new(InFlightJobs::new(options.retry_after.map(sure_lease), options.max_lease));
        // Without leases too: it notices jobs that were lost, and gives back those behind a slow one.
        let mut threads = vec![lease_renewer::start(broker.clone(), hold.clone()).map_err(failed)?];
        let mut pipeline = None;
        let settler: Arc<dyn Settler> = match options.settle {
            SettleMode::Immediate => Arc::new(Direct(broker.clone())),
            SettleMode::Pipelined => {
                let (started, thread) = DeleteBatcher::start(broker.clone()).map_err(failed)?;
                threads.push(thread);
                pipeline.insert(Arc::new(started)).clone()
            }
        };
        let (mut chronicle, mut desk) = (None, None);
        if let Some(keeping) = keeping {
            let (opened, thread) = StatusQueue::open(keeping.statuses.clone()).map_err(failed)?;
            threads.push(thread);
            chronicle = Some(StatusReporter::new(opened.clone(), connection.clone(), keeping.ttl));
            desk = Some(opened);
        }
        let mut timer = None;
        if let Some(alarm) = alarm {
            let (broker, hold) = (broker.clone(), hold.clone());
            let (pipeline, connection, bell) = (pipeline.clone(), connection.clone(), alarm.clone());
            let farewell = ShutdownPolicy { reserve_timeout: options.stop_timeout, grace: options.grace };
            let scribe = chronicle.clone().zip(desk.clone());
            let emergency = AbortSettler { broker, hold, pipeline, scribe, connection, alarm: bell };
            let (started, thread) = Watchdog::start(Arc::new(emergency), farewell).map_err(failed)?;
            threads.push(thread);
            timer = Some((started, alarm));
        }
        Ok(Self { hold, settler, broker: broker.clone(), pipeline, chronicle, desk, timer, threads })
    }

    /// Watches over the job that starts now: stops it after `timeout`, and carries out `verdict` if the process has to end.
    ///
    /// Its lease is renewed a little longer than it may run.
    pub fn watch(&self, timeout: Option<Duration>, options: &Options, verdict: Decision) {
        let Some((timer, _)) = &self.timer else { return };
        if let Some(timeout) = timeout {
            self.hold.watch(verdict, timeout + options.grace);
        }
        timer.arm(timeout.map(|timeout| TimeoutSchedule::new(Instant::now(), timeout, options.warning, options.grace)));
    }

    /// The job is over: its clock stops, and what rang in the last moment is void. Answers whether it was interrupted because the
    /// worker was told to leave.
    pub fn disarm(&self) -> bool {
        let Some((timer, alarm)) = &self.timer else { return false };
        let Some(rung) = timer.disarm() else { return false };
        alarm.clear();
        rung.interrupted
    }

    /// The loop has nothing in hand and is about to ask for more. Without leases the broker sends no more than was agreed until it knows what is
    /// done, so deletions do not wait for company then.
    pub fn flush_soon(&self) {
        if let Some(pipeline) = self.pipeline.as_ref().filter(|_| !self.broker.capabilities().leases) {
            pipeline.flush_soon();
        }
    }

    /// Gives back what was not started.
    pub fn give_back(&self) {
        lease_renewer::give_back(&*self.broker, self.hold.drain());
    }

    /// Deletions that came too late since the last call.
    pub fn take_lost(&self) -> Vec<delete_batcher::Deletion> {
        self.pipeline.as_ref().map_or_else(Vec::new, |pipeline| pipeline.take_lost())
    }

    /// Why what is said of jobs cannot be written down, once an outage.
    pub fn take_status_trouble(&self) -> Option<Error> {
        self.desk.as_ref().and_then(|desk| desk.take_trouble())
    }

    /// Waits a little for what is said of jobs.
    pub fn write_down(&self) {
        if let Some(desk) = &self.desk {
            desk.flush(LAST_NOTE);
        }
    }

    /// Gives unstarted jobs back and sends what is outstanding. Answers an error for what could not be sent.
    pub fn settle_all(&self) -> Option<Error> {
        self.hold.close();
        self.give_back();
        let (left, trouble) = self.pipeline.as_ref().map(|pipeline| pipeline.flush(LAST_WORD)).unwrap_or_default();
        (left > 0).then(|| {
            let context = format!("{left} finished jobs could not be deleted and will run again");
            Error::new(ErrorKind::Connection, context).with_source(trouble.unwrap_or_default())
        })
    }

    /// Lets the threads go.
    pub fn shutdown(self) {
        if let Some(pipeline) = &self.pipeline {
            pipeline.close();
        }
        if let Some((timer, _)) = &self.timer {
            timer.close();
        }
        if let Some(desk) = &self.desk {
            desk.close();
        }
        for thread in self.threads {
            // A thread that panicked has nothing left to tell.
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
