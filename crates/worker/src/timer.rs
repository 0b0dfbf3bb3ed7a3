//! The clock that ends jobs which run too long.
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
pub enum Step {
    /// Tell the handler that its time is nearly over; it may catch that and tidy up.
    Warn,
    /// Ask it to leave: nothing can catch that, but `finally` blocks run.
    Ask,
    /// Make it leave at once.
    Make,
    /// End the process.
    End,
}

/// Reaches PHP's thread from the clock's. Called on the clock's thread, one step at a time.
pub trait Alarm: Send + Sync {
    /// Carries out a step. `End` does not return to the job: the implementation settles what must be settled and exits.
    fn ring(&self, step: Step);

    /// The job is over: whatever rang for it is void. Called on PHP's thread, when nothing can ring any more.
    fn clear(&self);
}

/// The times of one job's ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder {
    warn: Option<Instant>,
    ask: Instant,
    make: Instant,
    end: Instant,
}

impl Ladder {
    /// The ladder of a job that starts at `start` and may run for `timeout`. `warning` is how long before that it is warned;
    /// `grace` is how long after that the process ends, half of it for `finally` blocks.
    pub fn new(start: Instant, timeout: Duration, warning: Option<Duration>, grace: Duration) -> Self {
        let ask = start + timeout;
        let warn = warning.filter(|warning| *warning < timeout).map(|warning| ask - warning);
        Self { warn, ask, make: ask + grace / 2, end: ask + grace }
    }

    /// The step that comes after `done`, and when.
    fn after(&self, done: Option<Step>) -> Option<(Step, Instant)> {
        match (done, self.warn) {
            (None, Some(warn)) => Some((Step::Warn, warn)),
            (None, None) | (Some(Step::Warn), _) => Some((Step::Ask, self.ask)),
            (Some(Step::Ask), _) => Some((Step::Make, self.make)),
            (Some(Step::Make), _) => Some((Step::End, self.end)),
            (Some(Step::End), _) => None,
        }
    }
}

/// The clock and its thread.
pub struct Timer {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    ladder: Option<Ladder>,
    done: Option<Step>,
    /// When the thread looks again by itself; `None` while it sleeps until told.
    looks: Option<Instant>,
    closing: bool,
}

impl Timer {
    /// Starts the clock.
    pub fn start(alarm: Arc<dyn Alarm>) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let timer = Arc::new(Self { inner: Mutex::default(), changed: Condvar::new() });
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
    pub fn arm(&self, ladder: Ladder) {
        let mut inner = self.lock();
        let first = ladder.after(None).map(|(_, at)| at);
        inner.ladder = Some(ladder);
        inner.done = None;
        if inner.looks.is_none_or(|looks| first.is_some_and(|first| first < looks)) {
            self.changed.notify_all();
        }
    }

    /// The job is over. Answers the last step that was taken. Does not return once the end has begun.
    pub fn disarm(&self) -> Option<Step> {
        let mut inner = self.lock();
        inner.ladder = None;
        while inner.done == Some(Step::End) {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.done.take()
    }

    /// Tells the thread to leave.
    pub fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    fn serve(&self, alarm: &dyn Alarm) {
        let mut inner = self.lock();
        while !inner.closing {
            let next = inner.ladder.and_then(|ladder| ladder.after(inner.done));
            let now = Instant::now();
            match next {
                Some((step, at)) if at <= now => {
                    inner.done = Some(step);
                    if step == Step::End {
                        // Settling takes the network's time; PHP's thread waits in `disarm` if it comes back meanwhile.
                        drop(inner);
                        alarm.ring(step);
                        return;
                    }
                    // Under the lock: after `disarm` no step of this job can ring any more.
                    alarm.ring(step);
                }
                Some((_, at)) => {
                    inner.looks = Some(at);
                    inner = self.changed.wait_timeout(inner, at - now).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    inner.looks = None;
                    inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    struct Bell(Mutex<Sender<Step>>);

    impl Alarm for Bell {
        fn ring(&self, step: Step) {
            self.0.lock().unwrap().send(step).unwrap();
        }

        fn clear(&self) {}
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_ladder_has_its_steps_in_order() {
        let start = Instant::now();
        let ladder = Ladder::new(start, seconds(60), Some(seconds(5)), seconds(10));
        assert_eq!(ladder.after(None), Some((Step::Warn, start + seconds(55))));
        assert_eq!(ladder.after(Some(Step::Warn)), Some((Step::Ask, start + seconds(60))));
        assert_eq!(ladder.after(Some(Step::Ask)), Some((Step::Make, start + seconds(65))));
        assert_eq!(ladder.after(Some(Step::Make)), Some((Step::End, start + seconds(70))));
        assert_eq!(ladder.after(Some(Step::End)), None);
    }

    #[test]
    fn a_warning_longer_than_the_timeout_is_left_out() {
        let start = Instant::now();
        assert_eq!(
            Ladder::new(start, seconds(3), Some(seconds(5)), seconds(1)).after(None),
            Some((Step::Ask, start + seconds(3)))
        );
    }

    #[test]
    fn every_step_rings_once_and_a_shorter_ladder_is_not_overslept() {
        let (sender, rung) = channel();
        let (timer, thread) = Timer::start(Arc::new(Bell(Mutex::new(sender)))).unwrap();
        timer.arm(Ladder::new(Instant::now(), seconds(3600), None, seconds(10)));
        assert_eq!(timer.disarm(), None);
        timer.arm(Ladder::new(Instant::now(), Duration::from_millis(1), None, Duration::from_millis(2)));
        let steps: Vec<Step> = rung.iter().take(3).collect();
        assert_eq!(steps, [Step::Ask, Step::Make, Step::End]);
        thread.join().unwrap();
    }

    #[test]
    fn a_job_that_is_over_is_not_reached() {
        let (sender, rung) = channel();
        let (timer, thread) = Timer::start(Arc::new(Bell(Mutex::new(sender)))).unwrap();
        timer.arm(Ladder::new(Instant::now(), Duration::ZERO, None, seconds(3600)));
        assert_eq!(rung.recv().unwrap(), Step::Ask);
        assert_eq!(timer.disarm(), Some(Step::Ask));
        timer.close();
        thread.join().unwrap();
        assert!(rung.try_recv().is_err());
    }
}
