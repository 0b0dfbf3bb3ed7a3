//! One deadline for everything that a worker does when it stops, whatever its broker does: supervisors kill after ten seconds.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferry_core::Broker;
use ferry_core::broker::WaitLimit;
use ferry_support::sync;

use crate::control::RunningUnit;
use crate::watchdog::{Interrupter, StopRequest};

/// From the request to stop, or the end of the last job, to the end of the worker.
const TOTAL: Duration = Duration::from_secs(8);
/// How long a request for jobs may still wait of that: nobody will run them.
const RESERVING: Duration = Duration::from_secs(4);

/// When a worker is through that was asked to stop.
pub struct ShutdownDeadline {
    interrupter: Option<Arc<dyn Interrupter>>,
    running: Arc<dyn RunningUnit>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When somebody was first seen to ask, with nothing running.
    asked: Option<Instant>,
    /// When everything must be done; `None` until the worker closes.
    deadline: Option<Instant>,
}

impl ShutdownDeadline {
    /// Of a worker that runs what `running` knows. Without an interrupter nobody asks it.
    pub fn new(interrupter: Option<Arc<dyn Interrupter>>, running: Arc<dyn RunningUnit>) -> Arc<Self> {
        Arc::new(Self { interrupter, running, state: Mutex::default() })
    }

    /// Limits the waits of a broker until the worker is gone.
    pub fn limit(self: &Arc<Self>, broker: &dyn Broker) {
        let limit: Arc<dyn WaitLimit> = self.clone();
        broker.limit_waits(Arc::downgrade(&limit));
    }

    /// The worker closes. What was spent since somebody asked counts, but something is left in any case.
    pub fn begin(&self) {
        let now = Instant::now();
        let mut state = sync::lock(&self.state);
        let asked = state.asked.unwrap_or(now);
        state.deadline.get_or_insert((asked + TOTAL).max(now + TOTAL.saturating_sub(RESERVING)));
    }

    /// What is left. Everything, until the worker closes.
    pub fn time_left(&self) -> Duration {
        sync::lock(&self.state).deadline.map_or(TOTAL, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn is_asked(&self) -> bool {
        self.interrupter.as_ref().is_some_and(|interrupter| interrupter.stop_request() != StopRequest::No)
    }
}

impl WaitLimit for ShutdownDeadline {
    fn left(&self) -> Option<Duration> {
        // Asked without our lock: both take their own.
        let is_leaving = self.is_asked() && self.running.name().is_none();
        let now = Instant::now();
        let mut state = sync::lock(&self.state);
        let end = match state.deadline {
            Some(deadline) => deadline,
            // A job that runs has its own time, and its lease is renewed.
            None if !is_leaving => {
                state.asked = None;
                return None;
            }
            None => *state.asked.get_or_insert(now) + RESERVING,
        };
        Some(end.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watchdog::TimeoutStage;

    #[derive(Default)]
    struct Asked(Mutex<bool>);

    impl Interrupter for Asked {
        fn enter(&self, _: TimeoutStage) {}

        fn stop_request(&self) -> StopRequest {
            if *self.0.lock().unwrap() { StopRequest::Politely } else { StopRequest::No }
        }

        fn begin_interruption(&self) {}

        fn clear(&self) {}
    }

    #[derive(Default)]
    struct Running(Mutex<Option<String>>);

    impl RunningUnit for Running {
        fn name(&self) -> Option<String> {
            self.0.lock().unwrap().clone()
        }
    }

    fn asked(name: Option<&str>) -> (Arc<ShutdownDeadline>, Arc<Asked>, Arc<Running>) {
        let (asked, running) = (Arc::new(Asked::default()), Arc::new(Running::default()));
        *running.0.lock().unwrap() = name.map(str::to_owned);
        (ShutdownDeadline::new(Some(asked.clone()), running.clone()), asked, running)
    }

    fn between(least: u64, most: u64, left: Option<Duration>) -> bool {
        left.is_some_and(|left| left > Duration::from_secs(least) && left <= Duration::from_secs(most))
    }

    #[test]
    fn nobody_is_in_a_hurry_until_the_worker_is_asked_to_stop_and_its_job_is_over() {
        let (shutdown, asked, running) = asked(Some("Job"));
        assert_eq!(shutdown.left(), None);
        *asked.0.lock().unwrap() = true;
        assert_eq!(shutdown.left(), None, "its lease is renewed as ever");
        *running.0.lock().unwrap() = None;
        assert!(between(3, 4, shutdown.left()));
    }

    #[test]
    fn the_time_for_the_end_counts_from_the_request() {
        let (shutdown, asked, _) = asked(None);
        *asked.0.lock().unwrap() = true;
        shutdown.left();
        sync::lock(&shutdown.state).asked = Instant::now().checked_sub(Duration::from_secs(3));
        assert!(between(0, 1, shutdown.left()), "a request for jobs");
        shutdown.begin();
        assert!(between(4, 5, shutdown.left()), "what follows");
        assert!(between(4, 5, Some(shutdown.time_left())));
        sync::lock(&shutdown.state).deadline = Some(Instant::now());
        shutdown.begin();
        assert_eq!(shutdown.left(), Some(Duration::ZERO), "it begins once");
    }

    #[test]
    fn a_job_that_ran_after_the_request_takes_nothing_from_the_end() {
        let (shutdown, asked, running) = asked(None);
        *asked.0.lock().unwrap() = true;
        shutdown.left();
        sync::lock(&shutdown.state).asked = Instant::now().checked_sub(Duration::from_secs(60));
        shutdown.begin();
        assert!(between(3, 4, shutdown.left()), "a job whose run nobody saw");

        let (shutdown, asked, _) = (ShutdownDeadline::new(Some(asked.clone()), running.clone()), asked, ());
        *asked.0.lock().unwrap() = true;
        shutdown.left();
        *running.0.lock().unwrap() = Some("Job".to_owned());
        assert_eq!(shutdown.left(), None);
        *running.0.lock().unwrap() = None;
        shutdown.begin();
        assert!(between(7, 8, shutdown.left()));
    }

    #[test]
    fn a_worker_that_ends_by_itself_has_all_the_time() {
        let running = Arc::new(Running::default());
        let shutdown = ShutdownDeadline::new(None, running);
        assert_eq!(shutdown.left(), None);
        shutdown.begin();
        assert!(between(7, 8, shutdown.left()));
    }
}
