//! The jobs this worker holds: the running one, those not started yet, and those that were asked for ahead.
//!
//! PHP's thread takes jobs from here. The lease renewer renews them, and gives unstarted jobs back when the running one is slow. The answer
//! to a request that was sent ahead is received by whoever needs it first.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ferry_core::broker::{PendingReserve, Settlement};
use ferry_core::dialect::Family;
use ferry_core::payload::Payload;
use ferry_core::queue::QueueName;
use ferry_core::{Claim, Reservation, Result};
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
    /// A request whose answer was not received, and when it was sent. Locked before `inner`, and while its answer is received.
    pending: Mutex<Option<(Box<dyn PendingReserve>, Instant)>>,
    retry_after: Option<Duration>,
    max_lease: Duration,
}

struct Inner {
    waiting: VecDeque<Arc<InFlightJob>>,
    ahead: Ahead,
    running: Option<RunningJob>,
    /// When all leases were last renewed.
    renewed: Instant,
    renewer_sleeps: bool,
    closed: bool,
}

/// Jobs behind those that wait.
#[derive(Default)]
enum Ahead {
    #[default]
    None,
    /// They were asked for at that time.
    Pending(Instant),
    Received(AheadBatch),
}

impl Ahead {
    /// Since when their leases are whole, at least.
    fn leased(&self) -> Option<Instant> {
        match self {
            Ahead::None => None,
            Ahead::Pending(asked) => Some(*asked),
            Ahead::Received(batch) => Some(batch.leased),
        }
    }

    fn received(&self) -> &[Reservation] {
        if let Ahead::Received(batch) = self { &batch.jobs } else { &[] }
    }
}

/// Jobs that were reserved ahead, as the broker answered.
pub struct AheadBatch {
    /// The jobs, in order.
    pub jobs: Vec<Reservation>,
    /// When they were asked for.
    pub asked: Instant,
    /// When their leases were whole.
    pub leased: Instant,
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

    /// The id shown in logs: the row number, or the payload's id.
    pub fn id(&self) -> String {
        match self.reservation.number {
            Some(number) => number.to_string(),
            None => self.payload.id.clone().unwrap_or_default(),
        }
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
    GiveBack(Vec<Claim>),
    /// Receive what was asked for ahead, and ask again what to do.
    Receive,
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
        let inner = Inner {
            waiting: VecDeque::new(),
            ahead: Ahead::None,
            running: None,
            renewed: Instant::now(),
            renewer_sleeps: false,
            closed: false,
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), pending: Mutex::default(), retry_after, max_lease }
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

    /// Keeps a request that was sent at `asked`.
    pub fn ask_ahead(&self, request: Box<dyn PendingReserve>, asked: Instant) {
        let mut pending = sync::lock(&self.pending);
        *pending = Some((request, asked));
        self.lock().ahead = Ahead::Pending(asked);
    }

    /// Receives what was asked for ahead, unless that was done. After an error those jobs come back by their leases.
    pub fn receive_ahead(&self) -> Result<()> {
        let mut pending = sync::lock(&self.pending);
        let Some((request, asked)) = pending.take() else { return Ok(()) };
        let (ahead, result) = match request.receive() {
            Ok(jobs) => (Ahead::Received(AheadBatch { jobs, asked, leased: asked }), Ok(())),
            Err(error) => (Ahead::None, Err(error)),
        };
        self.lock().ahead = ahead;
        result
    }

    /// Takes what was reserved ahead, which may be no job; waits for it if necessary. `None` when nothing was asked for, or when it was
    /// given back.
    pub fn take_ahead(&self) -> Result<Option<AheadBatch>> {
        self.receive_ahead()?;
        Ok(match std::mem::take(&mut self.lock().ahead) {
            Ahead::Received(batch) => Some(batch),
            Ahead::None | Ahead::Pending(_) => None,
        })
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

    /// All jobs that were not started, in order, to be given back. Those that were asked for ahead are among them when they were received.
    pub fn drain(&self) -> Vec<Claim> {
        self.lock().drain()
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
        let is_pending = matches!(inner.ahead, Ahead::Pending(_));
        if slow && is_pending {
            return LeaseAction::Receive;
        }
        if slow && !(inner.waiting.is_empty() && inner.ahead.received().is_empty()) {
            return LeaseAction::GiveBack(inner.drain());
        }
        let Some(retry_after) = self.retry_after else { return LeaseAction::Wait(SLOW) };
        let whole = inner.ahead.leased().map_or(inner.renewed, |leased| leased.min(inner.renewed));
        let due = later(whole, retry_after / 3);
        if now < due {
            return LeaseAction::Wait((due - now).min(SLOW / 2));
        }
        if is_pending {
            return LeaseAction::Receive;
        }
        let renewable = inner.running.iter().filter(|running| now < running.until && !running.job.is_lost());
        let mut claims: Vec<Claim> = renewable.map(|running| running.job.reservation.claim.clone()).collect();
        claims.extend(inner.waiting.iter().map(|job| job.reservation.claim.clone()));
        claims.extend(inner.ahead.received().iter().map(|job| job.claim.clone()));
        if claims.is_empty() { LeaseAction::Wait(SLOW / 2) } else { LeaseAction::Renew(claims) }
    }

    /// The leases of all held jobs but `lost` run `retry_after` from `at`.
    pub fn renewed(&self, at: Instant, lost: &[Claim]) {
        let mut inner = self.lock();
        inner.renewed = at;
        if let Ahead::Received(batch) = &mut inner.ahead {
            batch.leased = at;
            batch.jobs.retain(|job| !lost.contains(&job.claim));
        }
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
        let idle = inner.waiting.is_empty() && inner.running.is_none() && matches!(inner.ahead, Ahead::None);
        inner.renewer_sleeps = idle;
        if inner.closed {
            return;
        }
        let woken = if idle { sync::wait(&self.changed, inner) } else { sync::wait_timeout(&self.changed, inner, time) };
        drop(woken);
    }
}

impl Inner {
    fn drain(&mut self) -> Vec<Claim> {
        let ahead = match std::mem::take(&mut self.ahead) {
            Ahead::Received(batch) => batch.jobs,
            pending => {
                self.ahead = pending;
                Vec::new()
            }
        };
        let waiting = self.waiting.drain(..).map(|job| job.reservation.claim.clone());
        waiting.chain(ahead.into_iter().map(|job| job.claim)).collect()
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

    struct Answered(Vec<Reservation>);

    impl PendingReserve for Answered {
        fn receive(self: Box<Self>) -> Result<Vec<Reservation>> {
            Ok(self.0)
        }
    }

    /// One job runs and one waits since `start`; another was asked for two seconds later.
    fn jobs_with_one_ahead(start: Instant) -> InFlightJobs {
        let jobs = jobs();
        jobs.fill(vec![job("a"), job("b")], start);
        jobs.next(start);
        jobs.ask_ahead(Box::new(Answered(vec![job("ahead").reservation.clone()])), start + Duration::from_secs(2));
        jobs
    }

    fn claims(names: &[&str]) -> Vec<Claim> {
        names.iter().map(|name| job(name).reservation.claim.clone()).collect()
    }

    #[test]
    fn neighbours_that_were_asked_for_ahead_are_received_and_go_back_behind_the_others() {
        let start = Instant::now();
        let jobs = jobs_with_one_ahead(start);
        assert!(matches!(jobs.next_action(start + SLOW), LeaseAction::Receive));
        jobs.receive_ahead().unwrap();
        match jobs.next_action(start + SLOW) {
            LeaseAction::GiveBack(neighbours) => assert_eq!(neighbours, claims(&["b", "ahead"])),
            _ => panic!("two jobs wait behind a slow one"),
        }
        assert!(jobs.take_ahead().unwrap().is_none());
    }

    #[test]
    fn leases_of_jobs_that_were_asked_for_ahead_run_from_the_request_and_are_renewed() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let jobs = jobs_with_one_ahead(start);
        jobs.finish();
        jobs.renewed(start + 15 * second, &[]);
        assert!(matches!(jobs.next_action(start + 21 * second), LeaseAction::Wait(_)), "asked for 19 seconds ago");
        assert!(matches!(jobs.next_action(start + 22 * second), LeaseAction::Receive));
        jobs.receive_ahead().unwrap();
        match jobs.next_action(start + 22 * second) {
            LeaseAction::Renew(held) => assert_eq!(held, claims(&["b", "ahead"])),
            _ => panic!("a lease is due"),
        }
        jobs.renewed(start + 22 * second, &[]);
        let ahead = jobs.take_ahead().unwrap().unwrap();
        assert_eq!((ahead.jobs.len(), ahead.asked, ahead.leased), (1, start + 2 * second, start + 22 * second));
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
