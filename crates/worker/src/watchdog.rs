//! The clock that ends jobs which run too long, or longer than a worker that was told to leave can wait.
//!
//! A ladder: first the handler is warned (optional), then asked to leave so that its `finally` blocks run, then made to leave,
//! and in the end the process goes, with the job settled. Each step is tied to the job for which it was set: once a job is over
//! nothing of its ladder can reach the next one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::signals;

/// The steps of the ladder, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeoutStage {
    /// Tell the handler that its time is nearly over; it may catch that and tidy up.
    Warn,
    /// Ask it to leave: nothing can catch that, but `finally` blocks run.
    Ask,
    /// Make it leave at once.
    Make,
    /// End the process.
    End,
}

/// How urgently the worker was told to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRequest {
    /// Not at all.
    No,
    /// When the running job is done.
    Politely,
    /// At once.
    Again,
}

/// Reaches PHP's thread from the clock's. Called on the clock's thread, one step at a time.
pub trait Interrupter: Send + Sync {
    /// Carries out a step. `End` does not return to the job: the implementation settles what must be settled and exits.
    fn ring(&self, step: TimeoutStage);

    /// A step was taken and the job still runs: one that could not reach it is tried again. Called every [`LOOK`] from then on.
    fn remind(&self) {}

    /// Whether somebody told the worker to leave. Looked at while a job runs.
    fn asked(&self) -> StopRequest;

    /// The steps that follow are not the job's fault: it is interrupted. Called at most once a job, before the first of them.
    fn interrupt(&self);

    /// The job is over: whatever rang for it is void. Called on PHP's thread, when nothing can ring any more.
    fn clear(&self);
}

/// The times of one job's ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutSchedule {
    warn: Option<Instant>,
    ask: Instant,
    make: Instant,
    end: Instant,
}

impl TimeoutSchedule {
    /// The ladder of a job that starts at `start` and may run for `timeout`. `warning` is how long before that it is warned;
    /// `grace` is how long after that the process ends, half of it for `finally` blocks.
    pub fn new(start: Instant, timeout: Duration, warning: Option<Duration>, grace: Duration) -> Self {
        let ask = start + timeout;
        let warn = warning.filter(|warning| *warning < timeout).map(|warning| ask - warning);
        Self { warn, ..Self::from(ask, grace) }
    }

    /// The ladder of a job that is to leave at `at`.
    fn from(at: Instant, grace: Duration) -> Self {
        Self { warn: None, ask: at, make: at + grace / 2, end: at + grace }
    }

    /// The same after a pause of `late` in which neither the clock nor the job ran (SIGSTOP, a frozen container): what is left of the
    /// grace begins anew. When a job is asked to leave does not change: its timeout is a time of the world outside.
    fn resumed(self, done: Option<TimeoutStage>, late: Duration) -> Self {
        match done {
            None | Some(TimeoutStage::Warn) => self,
            Some(TimeoutStage::Ask | TimeoutStage::Make | TimeoutStage::End) => {
                Self { make: self.make + late, end: self.end + late, ..self }
            }
        }
    }

    /// The same when `step` is taken at `now`: steps that follow keep their distance.
    fn taken(self, step: TimeoutStage, now: Instant) -> Self {
        match step {
            TimeoutStage::Ask => {
                let late = now.saturating_duration_since(self.ask);
                Self { make: self.make + late, end: self.end + late, ..self }
            }
            TimeoutStage::Make => Self { end: self.end + now.saturating_duration_since(self.make), ..self },
            TimeoutStage::Warn | TimeoutStage::End => self,
        }
    }

    /// The step that comes after `done`, and when.
    fn after(&self, done: Option<TimeoutStage>) -> Option<(TimeoutStage, Instant)> {
        match (done, self.warn) {
            (None, Some(warn)) => Some((TimeoutStage::Warn, warn)),
            (None, None) | (Some(TimeoutStage::Warn), _) => Some((TimeoutStage::Ask, self.ask)),
            (Some(TimeoutStage::Ask), _) => Some((TimeoutStage::Make, self.make)),
            (Some(TimeoutStage::Make), _) => Some((TimeoutStage::End, self.end)),
            (Some(TimeoutStage::End), _) => None,
        }
    }
}

/// How often the clock looks whether the worker was told to leave, while a job runs.
const LOOK: Duration = Duration::from_millis(100);

/// How long a running job may go on after its worker was told to leave, and how long it may take to do so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownPolicy {
    /// `None`: as long as its own timeout lets it.
    pub reserve_timeout: Option<Duration>,
    /// As for a job that ran too long.
    pub grace: Duration,
}

impl ShutdownPolicy {
    /// When the running job is to leave. `told` is when the worker was first seen to be told.
    fn due(&self, asked: StopRequest, told: &mut Option<Instant>, now: Instant) -> Option<Instant> {
        match asked {
            StopRequest::No => None,
            StopRequest::Politely => {
                let told = *told.get_or_insert(now);
                self.reserve_timeout.map(|reserve_timeout| told + reserve_timeout)
            }
            StopRequest::Again => Some(now),
        }
    }
}

/// What became of a job's ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutFired {
    /// The last step that was taken.
    pub step: TimeoutStage,
    /// Whether that was because the worker was told to leave.
    pub interrupted: bool,
}

/// The clock and its thread.
pub struct Watchdog {
    inner: Mutex<Inner>,
    changed: Condvar,
    farewell: ShutdownPolicy,
}

#[derive(Default)]
struct Inner {
    /// Whether a job runs.
    running: bool,
    /// Its ladder; `None` when it may run for ever.
    ladder: Option<TimeoutSchedule>,
    done: Option<TimeoutStage>,
    interrupted: bool,
    /// When the thread looks again by itself; `None` while it sleeps until told.
    looks: Option<Instant>,
    closing: bool,
}

impl Watchdog {
    /// Starts the clock.
    pub fn start(alarm: Arc<dyn Interrupter>, farewell: ShutdownPolicy) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let timer = Arc::new(Self { inner: Mutex::default(), changed: Condvar::new(), farewell });
        let there = timer.clone();
        let spawn = || std::thread::Builder::new().name("ferry-clock".into()).spawn(move || there.serve(&*alarm));
        let thread = signals::blocked(spawn)?;
        Ok((timer, thread))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing below can panic half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the ladder of the job that starts now. Wakes the thread only when it would look too late.
    pub fn arm(&self, ladder: Option<TimeoutSchedule>) {
        let mut inner = self.lock();
        let first = ladder.and_then(|ladder| ladder.after(None)).map(|(_, at)| at);
        (inner.running, inner.ladder, inner.done, inner.interrupted) = (true, ladder, None, false);
        if inner.looks.is_none_or(|looks| first.is_some_and(|first| first < looks)) {
            self.changed.notify_all();
        }
    }

    /// The job is over. Answers the last step that was taken, if one was. Does not return once the end has begun.
    pub fn disarm(&self) -> Option<TimeoutFired> {
        let mut inner = self.lock();
        (inner.running, inner.ladder) = (false, None);
        while inner.done == Some(TimeoutStage::End) {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let interrupted = inner.interrupted;
        inner.done.take().map(|step| TimeoutFired { step, interrupted })
    }

    /// Tells the thread to leave.
    pub fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    fn serve(&self, alarm: &dyn Interrupter) {
        let mut inner = self.lock();
        let mut told = None;
        while !inner.closing {
            let now = Instant::now();
            inner.notice_pause(now);
            if inner.running
                && let Some(at) = self.farewell.due(alarm.asked(), &mut told, now)
                && inner.leaves_sooner(at, self.farewell.grace)
            {
                alarm.interrupt();
            }
            let next = inner.ladder.and_then(|ladder| ladder.after(inner.done));
            match next {
                Some((step, at)) if at <= now => {
                    inner.done = Some(step);
                    inner.ladder = inner.ladder.map(|ladder| ladder.taken(step, now));
                    if step == TimeoutStage::End {
                        // Settling takes the network's time; PHP's thread waits in `disarm` if it comes back meanwhile.
                        drop(inner);
                        alarm.ring(step);
                        return;
                    }
                    // Under the lock: after `disarm` no step of this job can ring any more.
                    alarm.ring(step);
                }
                _ if inner.running => {
                    if inner.done.is_some() {
                        alarm.remind();
                    }
                    let at = next.map_or(now + LOOK, |(_, at)| at.min(now + LOOK));
                    inner.looks = Some(at);
                    inner = self.changed.wait_timeout(inner, at - now).unwrap_or_else(PoisonError::into_inner).0;
                }
                _ => {
                    inner.looks = None;
                    inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Inner {
    /// The thread looks again every [`LOOK`] while a job runs: when it comes much later, the process stood still.
    fn notice_pause(&mut self, now: Instant) {
        let late = self.looks.map_or(Duration::ZERO, |looks| now.saturating_duration_since(looks));
        if self.running && late > LOOK {
            self.ladder = self.ladder.map(|ladder| ladder.resumed(self.done, late));
        }
    }

    /// Lets the running job leave at `at`, unless it is on its way already. Answers whether that changed anything.
    fn leaves_sooner(&mut self, at: Instant, grace: Duration) -> bool {
        let on_its_way = self.done.is_some_and(|done| done != TimeoutStage::Warn);
        let soon_enough = self.ladder.is_some_and(|ladder| ladder.ask <= at);
        if on_its_way || soon_enough {
            return false;
        }
        let first = !self.interrupted;
        (self.ladder, self.interrupted, self.done) = (Some(TimeoutSchedule::from(at, grace)), true, None);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// Tells what rang, and whether the worker is told to leave.
    struct Bell(Mutex<Sender<TimeoutStage>>, Mutex<StopRequest>, std::sync::atomic::AtomicU8);

    impl Bell {
        fn new(sender: Sender<TimeoutStage>) -> Arc<Self> {
            Arc::new(Self(Mutex::new(sender), Mutex::new(StopRequest::No), std::sync::atomic::AtomicU8::new(0)))
        }
    }

    fn start(bell: Arc<Bell>, reserve_timeout: Option<Duration>) -> (Arc<Watchdog>, JoinHandle<()>) {
        Watchdog::start(bell, ShutdownPolicy { reserve_timeout, grace: Duration::from_millis(20) }).unwrap()
    }

    impl Interrupter for Bell {
        fn ring(&self, step: TimeoutStage) {
            self.0.lock().unwrap().send(step).unwrap();
        }

        fn asked(&self) -> StopRequest {
            *self.1.lock().unwrap()
        }

        fn interrupt(&self) {
            self.2.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }

        fn clear(&self) {}
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_ladder_has_its_steps_in_order() {
        let start = Instant::now();
        let ladder = TimeoutSchedule::new(start, seconds(60), Some(seconds(5)), seconds(10));
        assert_eq!(ladder.after(None), Some((TimeoutStage::Warn, start + seconds(55))));
        assert_eq!(ladder.after(Some(TimeoutStage::Warn)), Some((TimeoutStage::Ask, start + seconds(60))));
        assert_eq!(ladder.after(Some(TimeoutStage::Ask)), Some((TimeoutStage::Make, start + seconds(65))));
        assert_eq!(ladder.after(Some(TimeoutStage::Make)), Some((TimeoutStage::End, start + seconds(70))));
        assert_eq!(ladder.after(Some(TimeoutStage::End)), None);
    }

    #[test]
    fn a_job_has_its_whole_grace_after_the_process_stood_still() {
        let start = Instant::now();
        let ladder = TimeoutSchedule::new(start, seconds(60), None, seconds(10));
        // Stopped from second 30 to 100: it is asked to leave at once, and has its grace from there.
        assert_eq!(ladder.resumed(None, seconds(70)).after(None), Some((TimeoutStage::Ask, start + seconds(60))));
        let asked = ladder.taken(TimeoutStage::Ask, start + seconds(100));
        assert_eq!(asked.after(Some(TimeoutStage::Ask)), Some((TimeoutStage::Make, start + seconds(105))));
        assert_eq!(asked.after(Some(TimeoutStage::Make)), Some((TimeoutStage::End, start + seconds(110))));
        // Stopped from second 62 to 100, after it was asked: what was left of its grace is left.
        let resumed = ladder.resumed(Some(TimeoutStage::Ask), seconds(38));
        assert_eq!(resumed.after(Some(TimeoutStage::Ask)), Some((TimeoutStage::Make, start + seconds(103))));
        let made = resumed.taken(TimeoutStage::Make, start + seconds(103));
        assert_eq!(made.after(Some(TimeoutStage::Make)), Some((TimeoutStage::End, start + seconds(108))));
    }

    #[test]
    fn only_a_running_job_and_a_long_silence_count_as_a_pause() {
        let looks = Instant::now();
        let ladder = TimeoutSchedule::new(looks, Duration::ZERO, None, seconds(10));
        let inner = |running| Inner {
            running,
            ladder: Some(ladder),
            done: Some(TimeoutStage::Ask),
            looks: Some(looks),
            ..Inner::default()
        };
        let make = |inner: &Inner| inner.ladder.and_then(|ladder| ladder.after(Some(TimeoutStage::Ask))).map(|(_, at)| at);
        let (mut long, mut short, mut idle) = (inner(true), inner(true), inner(false));
        long.notice_pause(looks + seconds(7));
        short.notice_pause(looks + LOOK);
        idle.notice_pause(looks + seconds(7));
        assert_eq!(make(&long), Some(looks + seconds(12)));
        assert_eq!(make(&short), Some(looks + seconds(5)));
        assert_eq!(make(&idle), Some(looks + seconds(5)));
    }

    #[test]
    fn a_warning_longer_than_the_timeout_is_left_out() {
        let start = Instant::now();
        assert_eq!(
            TimeoutSchedule::new(start, seconds(3), Some(seconds(5)), seconds(1)).after(None),
            Some((TimeoutStage::Ask, start + seconds(3)))
        );
    }

    #[test]
    fn every_step_rings_once_and_a_shorter_ladder_is_not_overslept() {
        let (sender, rung) = channel();
        let (timer, thread) = start(Bell::new(sender), None);
        timer.arm(Some(TimeoutSchedule::new(Instant::now(), seconds(3600), None, seconds(10))));
        assert_eq!(timer.disarm(), None);
        timer.arm(Some(TimeoutSchedule::new(Instant::now(), Duration::from_millis(1), None, Duration::from_millis(2))));
        let steps: Vec<TimeoutStage> = rung.iter().take(3).collect();
        assert_eq!(steps, [TimeoutStage::Ask, TimeoutStage::Make, TimeoutStage::End]);
        thread.join().unwrap();
    }

    #[test]
    fn a_job_that_is_over_is_not_reached() {
        let (sender, rung) = channel();
        let (timer, thread) = start(Bell::new(sender), None);
        timer.arm(Some(TimeoutSchedule::new(Instant::now(), Duration::ZERO, None, seconds(3600))));
        assert_eq!(rung.recv().unwrap(), TimeoutStage::Ask);
        assert_eq!(timer.disarm(), Some(TimeoutFired { step: TimeoutStage::Ask, interrupted: false }));
        timer.close();
        thread.join().unwrap();
        assert!(rung.try_recv().is_err());
    }

    #[test]
    fn a_worker_told_twice_interrupts_a_job_that_may_run_for_ever() {
        let (sender, rung) = channel();
        let bell = Bell::new(sender);
        let (timer, thread) = start(bell.clone(), None);
        timer.arm(None);
        *bell.1.lock().unwrap() = StopRequest::Politely;
        assert!(rung.recv_timeout(LOOK * 3).is_err(), "without a limit a polite word lets the job finish");
        *bell.1.lock().unwrap() = StopRequest::Again;
        assert_eq!(rung.recv().unwrap(), TimeoutStage::Ask);
        assert_eq!(rung.recv().unwrap(), TimeoutStage::Make);
        assert_eq!(timer.disarm(), Some(TimeoutFired { step: TimeoutStage::Make, interrupted: true }));
        assert_eq!(bell.2.load(std::sync::atomic::Ordering::SeqCst), 1);
        timer.close();
        thread.join().unwrap();
    }

    #[test]
    fn a_worker_told_once_waits_as_long_as_it_may() {
        let (sender, rung) = channel();
        let bell = Bell::new(sender);
        let (timer, thread) = start(bell.clone(), Some(Duration::from_millis(150)));
        *bell.1.lock().unwrap() = StopRequest::Politely;
        let begun = Instant::now();
        timer.arm(Some(TimeoutSchedule::new(begun, seconds(3600), None, seconds(10))));
        assert_eq!(rung.recv().unwrap(), TimeoutStage::Ask);
        assert!(begun.elapsed() >= Duration::from_millis(150));
        assert!(timer.disarm().is_some_and(|rung| rung.interrupted));
        timer.close();
        thread.join().unwrap();
    }

    #[test]
    fn a_job_that_ran_too_long_is_not_called_interrupted() {
        let mut inner = Inner { running: true, done: Some(TimeoutStage::Ask), ..Inner::default() };
        assert!(!inner.leaves_sooner(Instant::now(), seconds(1)));
        let soon = TimeoutSchedule::new(Instant::now(), Duration::ZERO, None, seconds(1));
        let mut inner = Inner { running: true, ladder: Some(soon), ..Inner::default() };
        assert!(!inner.leaves_sooner(Instant::now() + seconds(1), seconds(1)), "its own time is over sooner");
    }
}
