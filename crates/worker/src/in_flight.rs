//! The jobs this worker holds: the running one and those not started yet.
//!
//! PHP's thread takes from it, the lease keeper renews it and gives unstarted jobs back when the running one is slow.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferry_core::payload::Payload;
use ferry_core::policy::Decision;
use ferry_core::{Claim, Reservation};

/// A running job that takes longer than this must not keep its neighbours waiting: they go back to the broker.
pub const SLOW: Duration = Duration::from_secs(1);
/// A lease that ends within this time is treated as ended: the clocks and the network are not perfect.
const MARGIN: Duration = Duration::from_millis(500);

/// What is held. One lock, taken for moves only.
pub struct InFlightJobs {
    inner: Mutex<Inner>,
    changed: Condvar,
    retry_after: Option<Duration>,
    max_lease: Duration,
}

struct Inner {
    waiting: VecDeque<Arc<InFlightJob>>,
    running: Option<RunningJob>,
    /// When all leases were last known to be whole.
    renewed: Instant,
    keeper_sleeps: bool,
    closing: bool,
}

struct RunningJob {
    lease: Arc<InFlightJob>,
    started: Instant,
    /// When renewal ends: a job that hangs is rescued in the end.
    until: Instant,
    /// What becomes of the job if the process has to end while it runs.
    verdict: Decision,
}

/// A reservation that a handler works on, shared with the threads that watch over it.
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
    /// A lease that is ours. The envelope is read here, once.
    pub fn new(reservation: Reservation, since: Instant) -> Arc<Self> {
        let (payload, poison) = match Payload::decode(&reservation.body) {
            Ok(payload) if reservation.attempts.is_none() => {
                (payload, Some("the payload has no `attempts` that is a plain count".to_owned()))
            }
            Ok(payload) => (payload, None),
            Err(error) => (Payload::default(), Some(error.to_string())),
        };
        Arc::new(Self { reservation, payload, poison, since, lost: AtomicBool::new(false) })
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

/// What the keeper should do now.
pub enum LeaseAction {
    /// Renew these leases.
    Renew(Vec<Claim>),
    /// Give these unstarted jobs back.
    GiveBack(Vec<Arc<InFlightJob>>),
    /// Nothing for now.
    Wait(Duration),
    /// Leave.
    Leave,
}

impl InFlightJobs {
    /// An empty hold for leases of `retry_after`, renewed for `max_lease` at most.
    pub fn new(retry_after: Option<Duration>, max_lease: Duration) -> Self {
        let inner =
            Inner { waiting: VecDeque::new(), running: None, renewed: Instant::now(), keeper_sleeps: false, closing: false };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), retry_after, max_lease }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing below can panic half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes charge of a fresh batch.
    pub fn fill(&self, jobs: Vec<Arc<InFlightJob>>, reserved: Instant) {
        let mut inner = self.lock();
        inner.renewed = reserved;
        inner.waiting.extend(jobs);
        if inner.keeper_sleeps {
            inner.keeper_sleeps = false;
            self.changed.notify_all();
        }
    }

    /// The next job to run; it counts as running until [`InFlightJobs::finish`].
    ///
    /// When the leases could not be renewed in time nothing is handed out: the jobs are ready again at the broker.
    pub fn next(&self, now: Instant) -> Option<Arc<InFlightJob>> {
        let mut inner = self.lock();
        if let Some(retry_after) = self.retry_after
            && now > inner.renewed + retry_after.saturating_sub(MARGIN.min(retry_after / 4))
        {
            inner.waiting.clear();
        }
        let lease = inner.waiting.pop_front()?;
        let until = now + self.max_lease;
        inner.running = Some(RunningJob { lease: lease.clone(), started: now, until, verdict: Decision::Nothing });
        Some(lease)
    }

    /// What becomes of the running job if the process has to end, and how long its lease is renewed from its start.
    pub fn watch(&self, verdict: Decision, renew: Duration) {
        if let Some(running) = self.lock().running.as_mut() {
            running.verdict = verdict;
            running.until = running.started + renew.min(self.max_lease);
        }
    }

    /// What becomes of the running job if the process has to end, from now on.
    pub fn set_abort_settlement(&self, verdict: Decision) {
        if let Some(running) = self.lock().running.as_mut() {
            running.verdict = verdict;
        }
    }

    /// The running job and its verdict, for the end of the process.
    pub fn take_running(&self) -> Option<(Arc<InFlightJob>, Decision)> {
        self.lock().running.take().map(|running| (running.lease, running.verdict))
    }

    /// The running job, if one runs.
    pub fn running(&self) -> Option<Arc<InFlightJob>> {
        self.lock().running.as_ref().map(|running| running.lease.clone())
    }

    /// The running job is over.
    pub fn finish(&self) {
        self.lock().running = None;
    }

    /// All jobs that were not started, to be given back.
    pub fn drain(&self) -> Vec<Arc<InFlightJob>> {
        self.lock().waiting.drain(..).collect()
    }

    /// Tells the keeper to leave.
    pub fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// What the keeper should do at `now`.
    pub fn next_action(&self, now: Instant) -> LeaseAction {
        let mut inner = self.lock();
        if inner.closing {
            return LeaseAction::Leave;
        }
        let slow = inner.running.as_ref().is_some_and(|running| now >= running.started + SLOW);
        if slow && !inner.waiting.is_empty() {
            return LeaseAction::GiveBack(inner.waiting.drain(..).collect());
        }
        let Some(retry_after) = self.retry_after else { return LeaseAction::Wait(SLOW) };
        let due = inner.renewed + retry_after / 3;
        if now < due {
            return LeaseAction::Wait((due - now).min(SLOW / 2));
        }
        let renewable = inner.running.iter().filter(|running| now < running.until && !running.lease.is_lost());
        let mut claims: Vec<Claim> = renewable.map(|running| running.lease.reservation.claim.clone()).collect();
        claims.extend(inner.waiting.iter().map(|job| job.reservation.claim.clone()));
        if claims.is_empty() { LeaseAction::Wait(SLOW / 2) } else { LeaseAction::Renew(claims) }
    }

    /// The leases of all held jobs but `lost` run `retry_after` from `at`.
    pub fn renewed(&self, at: Instant, lost: &[Claim]) {
        let mut inner = self.lock();
        inner.renewed = at;
        if !lost.is_empty() {
            inner.waiting.retain(|job| !lost.contains(&job.reservation.claim));
            if let Some(running) = inner.running.as_ref().filter(|running| lost.contains(&running.lease.reservation.claim)) {
                running.lease.note_lost();
            }
        }
    }

    /// The keeper's sleep: at most `time`, or until there is something to keep.
    pub fn sleep(&self, time: Duration) {
        let mut inner = self.lock();
        let idle = inner.waiting.is_empty() && inner.running.is_none();
        inner.keeper_sleeps = idle;
        if inner.closing {
            return;
        }
        let woken = if idle {
            self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner)
        } else {
            self.changed.wait_timeout(inner, time).unwrap_or_else(PoisonError::into_inner).0
        };
        drop(woken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::{QueueName, Receipt};

    fn job(name: &str) -> Arc<InFlightJob> {
        let claim = Claim { queue: QueueName::default(), receipt: Receipt(name.as_bytes().to_vec()) };
        InFlightJob::new(Reservation { claim, body: Vec::new(), attempts: Some(1), number: None, reserved_at: 0 }, Instant::now())
    }

    fn hold() -> InFlightJobs {
        InFlightJobs::new(Some(Duration::from_secs(60)), Duration::from_secs(3600))
    }

    #[test]
    fn leases_are_renewed_after_a_third_of_their_time() {
        let (hold, start) = (hold(), Instant::now());
        hold.fill(vec![job("a"), job("b")], start);
        let lease = hold.next(start).unwrap();
        assert!(matches!(hold.next_action(start), LeaseAction::Wait(_)));
        hold.drain();
        match hold.next_action(start + Duration::from_secs(20)) {
            LeaseAction::Renew(claims) => assert_eq!(claims, [job("a").reservation.claim.clone()]),
            _ => panic!("a lease is due"),
        }
        hold.renewed(start + Duration::from_secs(20), &[job("a").reservation.claim.clone()]);
        assert!(lease.is_lost());
    }

    #[test]
    fn neighbours_of_a_slow_job_go_back() {
        let (hold, start) = (hold(), Instant::now());
        hold.fill(vec![job("slow"), job("b"), job("c")], start);
        hold.next(start);
        match hold.next_action(start + SLOW) {
            LeaseAction::GiveBack(jobs) => assert_eq!(jobs.len(), 2),
            _ => panic!("two jobs wait behind a slow one"),
        }
        assert!(hold.next(start + SLOW).is_none());
    }

    #[test]
    fn jobs_whose_leases_may_have_ended_are_not_started() {
        let (hold, start) = (hold(), Instant::now());
        hold.fill(vec![job("a")], start);
        assert!(hold.next(start + Duration::from_secs(60)).is_none());
    }

    #[test]
    fn a_lease_is_not_renewed_for_ever() {
        let (hold, start) = (hold(), Instant::now());
        hold.fill(vec![job("a")], start);
        hold.next(start);
        assert!(matches!(hold.next_action(start + Duration::from_secs(3599)), LeaseAction::Renew(_)));
        assert!(matches!(hold.next_action(start + Duration::from_secs(3600)), LeaseAction::Wait(_)));
        hold.watch(Decision::Bury, Duration::from_secs(70));
        assert!(matches!(hold.next_action(start + Duration::from_secs(69)), LeaseAction::Renew(_)));
        assert!(matches!(hold.next_action(start + Duration::from_secs(70)), LeaseAction::Wait(_)));
    }
}
