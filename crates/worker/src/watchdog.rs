//! The thread that ends jobs which run too long, or longer than a worker that is to stop can wait.
//!
//! It works in stages: first the handler is warned (optional), then it exits gracefully so that its `finally` blocks run, then it exits
//! at once, and in the end the process is killed, with the job settled. Each stage is tied to the job for which it was set: once a job
//! is over, nothing of its schedule can reach the next one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::Result;
use ferry_support::sync;
use ferry_support::threads::{self, PanicSlot};

use crate::deadline::later;

/// The stages, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeoutStage {
    /// Throw an exception that the handler may catch, to clean up: its time is nearly over.
    Warn,
    /// Exit the handler: nothing can catch that, but `finally` blocks run.
    GracefulExit,
    /// Exit the handler without `finally` blocks.
    UnwindExit,
    /// End the process.
    KillProcess,
}

/// How urgently the worker was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRequest {
    /// Not at all.
    No,
    /// When the running job is done.
    Politely,
    /// At once.
    Again,
}

/// Interrupts PHP's thread. Called on the thread of the watchdog, one stage at a time.
pub trait Interrupter: Send + Sync {
    /// Enters a stage. `KillProcess` does not return to the job: the implementation settles what must be settled and exits.
    fn enter(&self, stage: TimeoutStage);

    /// A stage was entered and the job still runs: one that could not reach it is tried again. Called every [`POLL`] from then on.
    fn remind(&self) {}

    /// Whether somebody asked the worker to stop. Polled while a job runs.
    fn stop_request(&self) -> StopRequest;

    /// The stages that follow are not the job's fault: the worker is to stop. Called at most once a job, before the first of them.
    fn begin_interruption(&self);

    /// The job is over: forget the stage it was in. Called on PHP's thread, when no stage can be entered any more.
    fn clear(&self);
}

/// The times at which one job enters its stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutSchedule {
    warn: Option<Instant>,
    graceful_exit: Instant,
    unwind_exit: Instant,
    kill: Instant,
}

impl TimeoutSchedule {
    /// For a job that starts at `start` and may run for `timeout`. `warning` is how long before that it is warned; `grace` is how long
    /// after that the process is killed, half of it for `finally` blocks.
    pub fn new(start: Instant, timeout: Duration, warning: Option<Duration>, grace: Duration) -> Self {
        let end = later(start, timeout);
        let warn = warning.filter(|warning| *warning < timeout).map(|warning| later(start, timeout - warning));
        Self { warn, ..Self::exit_at(end, grace) }
    }

    /// For a job that is to exit at `at`.
    fn exit_at(at: Instant, grace: Duration) -> Self {
        Self { warn: None, graceful_exit: at, unwind_exit: later(at, grace / 2), kill: later(at, grace) }
    }

    /// The same after a pause of `late` in which neither the watchdog nor the job ran (SIGSTOP, a frozen container): what is left of the
    /// grace begins anew. When a job is to exit does not change: its timeout is a time of the world outside.
    fn resumed(self, done: Option<TimeoutStage>, late: Duration) -> Self {
        match done {
            None | Some(TimeoutStage::Warn) => self,
            Some(TimeoutStage::GracefulExit | TimeoutStage::UnwindExit | TimeoutStage::KillProcess) => {
                Self { unwind_exit: later(self.unwind_exit, late), kill: later(self.kill, late), ..self }
            }
        }
    }

    /// The same when `stage` is entered at `now`: the stages that follow keep their distance.
    fn entered(self, stage: TimeoutStage, now: Instant) -> Self {
        match stage {
            TimeoutStage::GracefulExit => {
                let late = now.saturating_duration_since(self.graceful_exit);
                Self { unwind_exit: later(self.unwind_exit, late), kill: later(self.kill, late), ..self }
            }
            TimeoutStage::UnwindExit => Self { kill: later(self.kill, now.saturating_duration_since(self.unwind_exit)), ..self },
            TimeoutStage::Warn | TimeoutStage::KillProcess => self,
        }
    }

    /// The stage that comes after `done`, and when.
    fn after(&self, done: Option<TimeoutStage>) -> Option<(TimeoutStage, Instant)> {
        match (done, self.warn) {
            (None, Some(warn)) => Some((TimeoutStage::Warn, warn)),
            (None, None) | (Some(TimeoutStage::Warn), _) => Some((TimeoutStage::GracefulExit, self.graceful_exit)),
            (Some(TimeoutStage::GracefulExit), _) => Some((TimeoutStage::UnwindExit, self.unwind_exit)),
            (Some(TimeoutStage::UnwindExit), _) => Some((TimeoutStage::KillProcess, self.kill)),
            (Some(TimeoutStage::KillProcess), _) => None,
        }
    }
}

/// How often the stop request is polled while a job runs.
const POLL: Duration = Duration::from_millis(100);

/// How long a running job may go on after its worker was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownPolicy {
    /// `None`: as long as its own timeout lets it.
    pub stop_timeout: Option<Duration>,
    /// How long it may take to exit then, as after its timeout.
    pub grace: Duration,
}

impl ShutdownPolicy {
    /// When the running job is to exit. `asked` is when a stop request was first seen.
    fn exit_at(&self, request: StopRequest, asked: &mut Option<Instant>, now: Instant) -> Option<Instant> {
        match request {
            StopRequest::No => None,
            StopRequest::Politely => {
                let asked = *asked.get_or_insert(now);
                self.stop_timeout.map(|stop_timeout| later(asked, stop_timeout))
            }
            StopRequest::Again => Some(now),
        }
    }
}

/// How far a job got in its stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutFired {
    /// The last stage that it entered.
    pub stage: TimeoutStage,
    /// Whether that was because the worker was asked to stop.
    pub interrupted: bool,
}

/// The watchdog, shared with its thread.
pub struct Watchdog {
    inner: Mutex<Inner>,
    changed: Condvar,
    policy: ShutdownPolicy,
}

#[derive(Default)]
struct Inner {
    /// Whether a job runs.
    running: bool,
    /// Its schedule; `None` when it may run for ever.
    schedule: Option<TimeoutSchedule>,
    done: Option<TimeoutStage>,
    interrupted: bool,
    /// When the thread wakes by itself; `None` while it waits to be notified.
    wakes: Option<Instant>,
    closed: bool,
    /// The thread panicked: no stage is entered any more.
    dead: bool,
}

impl Watchdog {
    /// Starts the thread.
    pub fn start(
        interrupter: Arc<dyn Interrupter>,
        policy: ShutdownPolicy,
        panics: &PanicSlot,
    ) -> Result<(Arc<Self>, JoinHandle<()>)> {
        let watchdog = Arc::new(Self { inner: Mutex::default(), changed: Condvar::new(), policy });
        let (running, panicked, panics) = (watchdog.clone(), watchdog.clone(), panics.clone());
        let on_panic = move |panic| {
            panics.report(panic);
            panicked.lock().dead = true;
            panicked.changed.notify_all();
        };
        let thread = threads::spawn("ferry-watchdog", move || running.serve(&*interrupter), on_panic)?;
        Ok((watchdog, thread))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        sync::lock(&self.inner)
    }

    /// Sets the schedule of the job that starts now. Wakes the thread only when it would wake too late by itself.
    pub fn arm(&self, schedule: Option<TimeoutSchedule>) {
        let mut inner = self.lock();
        let first = schedule.and_then(|schedule| schedule.after(None)).map(|(_, at)| at);
        (inner.running, inner.schedule, inner.done, inner.interrupted) = (true, schedule, None, false);
        if inner.wakes.is_none_or(|wakes| first.is_some_and(|first| first < wakes)) {
            self.changed.notify_all();
        }
    }

    /// The job is over. Returns the last stage that it entered, if it did. Does not return once the process is being killed.
    pub fn disarm(&self) -> Option<TimeoutFired> {
        let mut inner = self.lock();
        (inner.running, inner.schedule) = (false, None);
        while inner.done == Some(TimeoutStage::KillProcess) && !inner.dead {
            inner = sync::wait(&self.changed, inner);
        }
        let interrupted = inner.interrupted;
        inner.done.take().map(|stage| TimeoutFired { stage, interrupted })
    }

    /// Ends the thread.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn serve(&self, interrupter: &dyn Interrupter) {
        let mut inner = self.lock();
        let mut asked = None;
        while !inner.closed {
            let now = Instant::now();
            inner.notice_pause(now);
            if inner.running
                && let Some(at) = self.policy.exit_at(interrupter.stop_request(), &mut asked, now)
                && inner.bring_forward(at, self.policy.grace)
            {
                interrupter.begin_interruption();
            }
            let next = inner.schedule.and_then(|schedule| schedule.after(inner.done));
            match next {
                Some((stage, at)) if at <= now => {
                    inner.done = Some(stage);
                    inner.schedule = inner.schedule.map(|schedule| schedule.entered(stage, now));
                    if stage == TimeoutStage::KillProcess {
                        // Settling takes the network's time; PHP's thread waits in `disarm` if it comes back meanwhile.
                        drop(inner);
                        interrupter.enter(stage);
                        return;
                    }
                    // Under the lock: after `disarm` no stage of this job can be entered any more.
                    interrupter.enter(stage);
                }
                _ if inner.running => {
                    if inner.done.is_some() {
                        interrupter.remind();
                    }
                    let at = next.map_or(now + POLL, |(_, at)| at.min(now + POLL));
                    inner.wakes = Some(at);
                    inner = sync::wait_timeout(&self.changed, inner, at - now);
                }
                _ => {
                    inner.wakes = None;
                    inner = sync::wait(&self.changed, inner);
                }
            }
        }
    }
}

impl Inner {
    /// The thread wakes every [`POLL`] while a job runs: when it wakes much later, the process stood still.
    fn notice_pause(&mut self, now: Instant) {
        let late = self.wakes.map_or(Duration::ZERO, |wakes| now.saturating_duration_since(wakes));
        if self.running && late > POLL {
            self.schedule = self.schedule.map(|schedule| schedule.resumed(self.done, late));
        }
    }

    /// Lets the running job exit at `at`, unless it does so sooner. Returns true the first time that this changes its schedule.
    fn bring_forward(&mut self, at: Instant, grace: Duration) -> bool {
        let is_exiting = self.done.is_some_and(|done| done != TimeoutStage::Warn);
        let exits_sooner = self.schedule.is_some_and(|schedule| schedule.graceful_exit <= at);
        if is_exiting || exits_sooner {
            return false;
        }
        let first = !self.interrupted;
        (self.schedule, self.interrupted, self.done) = (Some(TimeoutSchedule::exit_at(at, grace)), true, None);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// Shows the stages that are entered, and holds the stop request.
    struct FakeInterrupter(Mutex<Sender<TimeoutStage>>, Mutex<StopRequest>, std::sync::atomic::AtomicU8);

    impl FakeInterrupter {
        fn new(sender: Sender<TimeoutStage>) -> Arc<Self> {
            Arc::new(Self(Mutex::new(sender), Mutex::new(StopRequest::No), std::sync::atomic::AtomicU8::new(0)))
        }
    }

    fn start(interrupter: Arc<FakeInterrupter>, stop_timeout: Option<Duration>) -> (Arc<Watchdog>, JoinHandle<()>) {
        // Long enough that a busy machine does not reach the end of a job that the test ends before.
        let policy = ShutdownPolicy { stop_timeout, grace: seconds(4) };
        Watchdog::start(interrupter, policy, &PanicSlot::default()).unwrap()
    }

    impl Interrupter for FakeInterrupter {
        fn enter(&self, stage: TimeoutStage) {
            self.0.lock().unwrap().send(stage).unwrap();
        }

        fn stop_request(&self) -> StopRequest {
            *self.1.lock().unwrap()
        }

        fn begin_interruption(&self) {
            self.2.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }

        fn clear(&self) {}
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_stages_come_in_order() {
        let start = Instant::now();
        let schedule = TimeoutSchedule::new(start, seconds(60), Some(seconds(5)), seconds(10));
        assert_eq!(schedule.after(None), Some((TimeoutStage::Warn, start + seconds(55))));
        assert_eq!(schedule.after(Some(TimeoutStage::Warn)), Some((TimeoutStage::GracefulExit, start + seconds(60))));
        assert_eq!(schedule.after(Some(TimeoutStage::GracefulExit)), Some((TimeoutStage::UnwindExit, start + seconds(65))));
        assert_eq!(schedule.after(Some(TimeoutStage::UnwindExit)), Some((TimeoutStage::KillProcess, start + seconds(70))));
        assert_eq!(schedule.after(Some(TimeoutStage::KillProcess)), None);
    }

    #[test]
    fn a_job_has_its_whole_grace_after_the_process_stood_still() {
        let start = Instant::now();
        let schedule = TimeoutSchedule::new(start, seconds(60), None, seconds(10));
        // Stopped from second 30 to 100: it is to exit at once, and has its grace from there.
        let graceful = TimeoutStage::GracefulExit;
        assert_eq!(schedule.resumed(None, seconds(70)).after(None), Some((graceful, start + seconds(60))));
        let asked = schedule.entered(graceful, start + seconds(100));
        assert_eq!(asked.after(Some(graceful)), Some((TimeoutStage::UnwindExit, start + seconds(105))));
        assert_eq!(asked.after(Some(TimeoutStage::UnwindExit)), Some((TimeoutStage::KillProcess, start + seconds(110))));
        // Stopped from second 62 to 100, after it was to exit: what was left of its grace is left.
        let resumed = schedule.resumed(Some(graceful), seconds(38));
        assert_eq!(resumed.after(Some(graceful)), Some((TimeoutStage::UnwindExit, start + seconds(103))));
        let unwound = resumed.entered(TimeoutStage::UnwindExit, start + seconds(103));
        assert_eq!(unwound.after(Some(TimeoutStage::UnwindExit)), Some((TimeoutStage::KillProcess, start + seconds(108))));
    }

    #[test]
    fn only_a_running_job_and_a_long_silence_count_as_a_pause() {
        let wakes = Instant::now();
        let schedule = TimeoutSchedule::new(wakes, Duration::ZERO, None, seconds(10));
        let done = Some(TimeoutStage::GracefulExit);
        let inner = |running| Inner { running, schedule: Some(schedule), done, wakes: Some(wakes), ..Inner::default() };
        let unwinds = |inner: &Inner| inner.schedule.and_then(|schedule| schedule.after(done)).map(|(_, at)| at);
        let (mut long, mut short, mut idle) = (inner(true), inner(true), inner(false));
        long.notice_pause(wakes + seconds(7));
        short.notice_pause(wakes + POLL);
        idle.notice_pause(wakes + seconds(7));
        assert_eq!(unwinds(&long), Some(wakes + seconds(12)));
        assert_eq!(unwinds(&short), Some(wakes + seconds(5)));
        assert_eq!(unwinds(&idle), Some(wakes + seconds(5)));
    }

    #[test]
    fn a_warning_longer_than_the_timeout_is_left_out() {
        let start = Instant::now();
        assert_eq!(
            TimeoutSchedule::new(start, seconds(3), Some(seconds(5)), seconds(1)).after(None),
            Some((TimeoutStage::GracefulExit, start + seconds(3)))
        );
    }

    #[test]
    fn every_stage_is_entered_once_and_a_shorter_schedule_is_not_overslept() {
        let (sender, entered) = channel();
        let (watchdog, thread) = start(FakeInterrupter::new(sender), None);
        watchdog.arm(Some(TimeoutSchedule::new(Instant::now(), seconds(3600), None, seconds(10))));
        assert_eq!(watchdog.disarm(), None);
        watchdog.arm(Some(TimeoutSchedule::new(Instant::now(), Duration::from_millis(1), None, Duration::from_millis(2))));
        let stages: Vec<TimeoutStage> = entered.iter().take(3).collect();
        assert_eq!(stages, [TimeoutStage::GracefulExit, TimeoutStage::UnwindExit, TimeoutStage::KillProcess]);
        thread.join().unwrap();
    }

    #[test]
    fn a_job_that_is_over_is_not_reached() {
        let (sender, entered) = channel();
        let (watchdog, thread) = start(FakeInterrupter::new(sender), None);
        watchdog.arm(Some(TimeoutSchedule::new(Instant::now(), Duration::ZERO, None, seconds(3600))));
        assert_eq!(entered.recv().unwrap(), TimeoutStage::GracefulExit);
        assert_eq!(watchdog.disarm(), Some(TimeoutFired { stage: TimeoutStage::GracefulExit, interrupted: false }));
        watchdog.close();
        thread.join().unwrap();
        assert!(entered.try_recv().is_err());
    }

    #[test]
    fn a_second_stop_request_interrupts_a_job_that_may_run_for_ever() {
        let (sender, entered) = channel();
        let interrupter = FakeInterrupter::new(sender);
        let (watchdog, thread) = start(interrupter.clone(), None);
        watchdog.arm(None);
        *interrupter.1.lock().unwrap() = StopRequest::Politely;
        assert!(entered.recv_timeout(POLL * 3).is_err(), "without a stop_timeout one request lets the job finish");
        *interrupter.1.lock().unwrap() = StopRequest::Again;
        assert_eq!(entered.recv().unwrap(), TimeoutStage::GracefulExit);
        assert_eq!(entered.recv().unwrap(), TimeoutStage::UnwindExit);
        assert_eq!(watchdog.disarm(), Some(TimeoutFired { stage: TimeoutStage::UnwindExit, interrupted: true }));
        assert_eq!(interrupter.2.load(std::sync::atomic::Ordering::SeqCst), 1);
        watchdog.close();
        thread.join().unwrap();
    }

    #[test]
    fn one_stop_request_waits_for_the_stop_timeout() {
        let (sender, entered) = channel();
        let interrupter = FakeInterrupter::new(sender);
        let (watchdog, thread) = start(interrupter.clone(), Some(Duration::from_millis(150)));
        *interrupter.1.lock().unwrap() = StopRequest::Politely;
        let begun = Instant::now();
        watchdog.arm(Some(TimeoutSchedule::new(begun, seconds(3600), None, seconds(10))));
        assert_eq!(entered.recv().unwrap(), TimeoutStage::GracefulExit);
        assert!(begun.elapsed() >= Duration::from_millis(150));
        assert!(watchdog.disarm().is_some_and(|entered| entered.interrupted));
        watchdog.close();
        thread.join().unwrap();
    }

    #[test]
    fn a_job_that_ran_too_long_is_not_called_interrupted() {
        let mut inner = Inner { running: true, done: Some(TimeoutStage::GracefulExit), ..Inner::default() };
        assert!(!inner.bring_forward(Instant::now(), seconds(1)));
        let soon = TimeoutSchedule::new(Instant::now(), Duration::ZERO, None, seconds(1));
        let mut inner = Inner { running: true, schedule: Some(soon), ..Inner::default() };
        assert!(!inner.bring_forward(Instant::now() + seconds(1), seconds(1)), "its own time is over sooner");
    }
}
