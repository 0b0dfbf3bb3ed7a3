//! The jobs this worker holds: the running one and those not started yet.
//!
//! PHP's thread takes jobs from here. The lease renewer renews them, and gives unstarted jobs back when the running one is slow.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ferry_core::broker::Settlement;
use ferry_core::dialect::Family;
use ferry_core::payload::Payload;
use ferry_core::queue::QueueName;
use ferry_core::{Claim, Reservation};
use ferry_support::sync;

use crate::control::RunningUnit;
use crate::deadline::later;

/// While a job runs longer than this, its unstarted neighbours go back to the broker.
pub const SLOW: Duration = Duration::from_secs(1);
/// A lease that ends within this time is treated as ended: the clocks and the network are not perfect.
const MARGIN: Duration = Duration::from_millis(500);

/// The jobs of one worker, behind one lock that is held for moves only.
pub struct InFlightJobs {
    inner: Mutex<Inner>,
    changed: Condvar,
    retry_after: Option<Duration>,
    max_lease: Duration,
}

struct Inner {
    waiting: VecDeque<Arc<InFlightJob>>,
    running: Option<RunningJob>,
    /// When all leases were last renewed.
    renewed: Instant,
    renewer_sleeps: bool,
    closed: bool,
}

struct RunningJob {
    job: Arc<InFlightJob>,
    started: Instant,
    /// When renewal ends: a job that hangs is rescued in the end.
    until: Instant,
    /// How its reservation ends if the process has to end while it runs. `None`: it is left to its lease.
    abort: Option<Settlement>,
}

/// A reserved job, shared with the threads that renew its lease and watch its time.
pub struct InFlightJob {
    /// The reservation.
    pub reservation: Reservation,
    /// The envelope; the default one of poison.
    pub payload: Payload,
    /// Why the payload is poison, if it is.
    pub poison: Option<String>,
    /// When it was asked for; its lease is at least as old.
    pub since: Instant,
    lost: AtomicBool,
}

impl InFlightJob {
    /// A job that was asked for at `since`. The envelope is decoded here, once.
    pub fn new(reservation: Reservation, since: Instant, family: Family) -> Arc<Self> {
        let (payload, poison) = match family.decode(&reservation.body) {
            Ok(payload) if reservation.attempts.is_none() => {
                (payload, Some("the payload has no `attempts` that is a plain count".to_owned()))
            }
            Ok(payload) => (payload, None),
            Err(error) => (Payload::default(), Some(error.to_string())),
        };
        Arc::new(Self { reservation, payload, poison, since, lost: AtomicBool::new(false) })
    }

    /// The same job with so many attempts fewer, which were counted although it was not started.
    pub fn with_fewer_attempts(self: &Arc<Self>, uncounted: u32) -> Arc<Self> {
        if uncounted == 0 {
            return Arc::clone(self);
        }
        let attempts = self.reservation.attempts.map(|attempts| attempts.saturating_sub(uncounted));
        let reservation = Reservation { attempts, ..self.reservation.clone() };
        let (payload, poison) = (self.payload.clone(), self.poison.clone());
        Arc::new(Self { reservation, payload, poison, since: self.since, lost: AtomicBool::new(false) })
    }

    /// The JSON text of `data`.
    pub fn data(&self) -> Option<&[u8]> {
        self.payload.data.clone().and_then(|range| self.reservation.body.get(range))
    }

    /// Whether the broker said that it is no longer ours.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Notes that it is no longer ours.
    pub fn note_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }
}

/// What the lease renewer does next.
pub enum LeaseAction {
    /// Renew these leases.
    Renew(Vec<Claim>),
    /// Give these unstarted jobs back.
    GiveBack(Vec<Arc<InFlightJob>>),
    /// Nothing for now.
    Wait(Duration),
    /// End the thread.
    Exit,
}

impl RunningUnit for InFlightJobs {
    fn name(&self) -> Option<String> {
        self.lock().running.as_ref().map(|running| running.job.payload.job.clone())
    }
}

impl InFlightJobs {
    /// No jobs yet. Leases last `retry_after` and are renewed for at most `max_lease`.
    pub fn new(retry_after: Option<Duration>, max_lease: Duration) -> Self {
        let inner =
            Inner { waiting: VecDeque::new(), running: None, renewed: Instant::now(), renewer_sleeps: false, closed: false };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), retry_after, max_lease }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        sync::lock(&self.inner)
    }

    /// Adds a fresh batch.
    pub fn fill(&self, jobs: Vec<Arc<InFlightJob>>, reserved: Instant) {
        let mut inner = self.lock();
        inner.renewed = reserved;
        inner.waiting.extend(jobs);
        if inner.renewer_sleeps {
            inner.renewer_sleeps = false;
            self.changed.notify_all();
        }
    }

    /// Whether there are jobs that were not started.
    pub fn has_waiting(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// The queue of the job that starts next.
    pub fn next_queue(&self) -> Option<QueueName> {
        self.lock().waiting.front().map(|job| job.reservation.claim.queue.clone())
    }

    /// The next job to run; it counts as running until [`InFlightJobs::finish`].
    ///
    /// When the leases could not be renewed in time nothing is handed out: the jobs are ready again at the broker.
    pub fn next(&self, now: Instant) -> Option<Arc<InFlightJob>> {
        let mut inner = self.lock();
        if let Some(retry_after) = self.retry_after
            && now > later(inner.renewed, retry_after.saturating_sub(MARGIN.min(retry_after / 4)))
        {
            inner.waiting.clear();
        }
        let job = inner.waiting.pop_front()?;
        let until = later(now, self.max_lease);
        inner.running = Some(RunningJob { job: job.clone(), started: now, until, abort: None });
        Some(job)
    }

    /// Sets how the running job is settled if the process has to end, and how long its lease is renewed from its start.
    pub fn watch(&self, abort: Settlement, renew: Duration) {
        if let Some(running) = self.lock().running.as_mut() {
            running.abort = Some(abort);
            running.until = later(running.started, renew.min(self.max_lease));
        }
    }

    /// Sets how the running job is settled if the process has to end.
    pub fn set_abort_settlement(&self, abort: Settlement) {
        if let Some(running) = self.lock().running.as_mut() {
            running.abort = Some(abort);
        }
    }

    /// Takes the running job and its settlement, because the process ends. `None` when there is nothing to settle.
    pub fn take_running(&self) -> Option<(Arc<InFlightJob>, Settlement)> {
        let running = self.lock().running.take()?;
        running.abort.map(|abort| (running.job, abort))
    }

    /// The running job is over.
    pub fn finish(&self) {
        self.lock().running = None;
    }

    /// All jobs that were not started, to be given back.
    pub fn drain(&self) -> Vec<Arc<InFlightJob>> {
        self.lock().waiting.drain(..).collect()
    }

    /// Ends the lease renewer.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// What the lease renewer does at `now`.
    pub fn next_action(&self, now: Instant) -> LeaseAction {
        let mut inner = self.lock();
        if inner.closed {
            return LeaseAction::Exit;
        }
        let slow = inner.running.as_ref().is_some_and(|running| now >= later(running.started, SLOW));
        if slow && !inner.waiting.is_empty() {
            return LeaseAction::GiveBack(inner.waiting.drain(..).collect());
        }
        let Some(retry_after) = self.retry_after else { return LeaseAction::Wait(SLOW) };
        let due = later(inner.renewed, retry_after / 3);
        if now < due {
            return LeaseAction::Wait((due - now).min(SLOW / 2));
        }
        let renewable = inner.running.iter().filter(|running| now < running.until && !running.job.is_lost());
        let mut claims: Vec<Claim> = renewable.map(|running| running.job.reservation.claim.clone()).collect();
        claims.extend(inner.waiting.iter().map(|job| job.reservation.claim.clone()));
        if claims.is_empty() { LeaseAction::Wait(SLOW / 2) } else { LeaseAction::Renew(claims) }
    }

    /// The leases of all held jobs but `lost` run `retry_after` from `at`.
    pub fn renewed(&self, at: Instant, lost: &[Claim]) {
        let mut inner = self.lock();
        inner.renewed = at;
        if !lost.is_empty() {
            inner.waiting.retain(|job| !lost.contains(&job.reservation.claim));
            if let Some(running) = inner.running.as_ref().filter(|running| lost.contains(&running.job.reservation.claim)) {
                running.job.note_lost();
            }
        }
    }

    /// Blocks the lease renewer for at most `time`, or until there is a job.
    pub fn sleep(&self, time: Duration) {
        let mut inner = self.lock();
        let idle = inner.waiting.is_empty() && inner.running.is_none();
        inner.renewer_sleeps = idle;
        if inner.closed {
            return;
        }
        let woken = if idle { sync::wait(&self.changed, inner) } else { sync::wait_timeout(&self.changed, inner, time) };
        drop(woken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::{QueueName, Receipt};

    fn job(name: &str) -> Arc<InFlightJob> {
        let claim = Claim { queue: QueueName::default(), receipt: Receipt(name.as_bytes().to_vec()) };
        InFlightJob::new(
            Reservation { claim, body: Vec::new(), attempts: Some(1), number: None, reserved_at: 0 },
            Instant::now(),
            Family::default(),
        )
    }

    fn jobs() -> InFlightJobs {
        InFlightJobs::new(Some(Duration::from_secs(60)), Duration::from_secs(3600))
    }

    #[test]
    fn leases_are_renewed_after_a_third_of_their_time() {
        let (jobs, start) = (jobs(), Instant::now());
        jobs.fill(vec![job("a"), job("b")], start);
        let first = jobs.next(start).unwrap();
        assert!(matches!(jobs.next_action(start), LeaseAction::Wait(_)));
        jobs.drain();
        match jobs.next_action(start + Duration::from_secs(20)) {
            LeaseAction::Renew(claims) => assert_eq!(claims, [job("a").reservation.claim.clone()]),
            _ => panic!("a lease is due"),
        }
        jobs.renewed(start + Duration::from_secs(20), &[job("a").reservation.claim.clone()]);
        assert!(first.is_lost());
    }

    #[test]
    fn neighbours_of_a_slow_job_go_back() {
        let (jobs, start) = (jobs(), Instant::now());
        jobs.fill(vec![job("slow"), job("b"), job("c")], start);
        jobs.next(start);
        match jobs.next_action(start + SLOW) {
            LeaseAction::GiveBack(neighbours) => assert_eq!(neighbours.len(), 2),
            _ => panic!("two jobs wait behind a slow one"),
        }
        assert!(jobs.next(start + SLOW).is_none());
    }

    #[test]
    fn jobs_whose_leases_may_have_ended_are_not_started() {
        let (jobs, start) = (jobs(), Instant::now());
        jobs.fill(vec![job("a")], start);
        assert!(jobs.next(start + Duration::from_secs(60)).is_none());
    }

    #[test]
    fn a_lease_is_not_renewed_for_ever() {
        let (jobs, start) = (jobs(), Instant::now());
        jobs.fill(vec![job("a")], start);
        jobs.next(start);
        assert!(matches!(jobs.next_action(start + Duration::from_secs(3599)), LeaseAction::Renew(_)));
        assert!(matches!(jobs.next_action(start + Duration::from_secs(3600)), LeaseAction::Wait(_)));
        jobs.watch(Settlement::GiveBack, Duration::from_secs(70));
        assert!(matches!(jobs.next_action(start + Duration::from_secs(69)), LeaseAction::Renew(_)));
        assert!(matches!(jobs.next_action(start + Duration::from_secs(70)), LeaseAction::Wait(_)));
    }
}
