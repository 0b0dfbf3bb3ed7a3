//! What to do when the broker does not answer.

use std::time::{Duration, Instant};

use ferry_support::pause::{GrowingPause, jittered};

use crate::deadline::later;
use crate::execution::random;

/// The first pause and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Whether the broker answers, as the loop sees it.
pub struct OutageTracker {
    worked: bool,
    /// When it stopped answering.
    since: Option<Instant>,
    pause: GrowingPause,
    max_outage: Option<Duration>,
}

/// What to do about an error.
#[derive(Debug, PartialEq, Eq)]
pub enum OutageAction {
    /// It never answered: the worker could not start.
    NeverWorked,
    /// It has not answered for too long.
    GiveUp,
    /// Try again after a pause.
    Again {
        /// How long.
        pause: Duration,
        /// Whether this is the first error of an outage.
        first: bool,
    },
}

impl OutageTracker {
    /// A broker that was not asked yet.
    pub fn new(max_outage: Option<Duration>) -> Self {
        Self { worked: false, since: None, pause: GrowingPause::new(PAUSES.0, PAUSES.1), max_outage }
    }

    /// Whether the broker ever answered.
    pub fn has_worked(&self) -> bool {
        self.worked
    }

    /// The broker answered. Returns whether that ended an outage.
    pub fn answered(&mut self) -> bool {
        self.worked = true;
        self.pause.reset();
        self.since.take().is_some()
    }

    /// The broker did not answer.
    pub fn failed(&mut self, now: Instant) -> OutageAction {
        if !self.worked {
            return OutageAction::NeverWorked;
        }
        let first = self.since.is_none();
        let since = *self.since.get_or_insert(now);
        if self.max_outage.is_some_and(|most| now >= later(since, most)) {
            return OutageAction::GiveUp;
        }
        // Half of it random: workers that lost the same broker do not come back at the same moment.
        OutageAction::Again { pause: jittered(self.pause.next_pause(), 0.5, random()), first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(action: &OutageAction) -> Duration {
        match action {
            OutageAction::Again { pause, .. } => *pause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pauses_grow_to_their_cap_and_one_error_is_reported() {
        let (mut tracker, now) = (OutageTracker::new(None), Instant::now());
        tracker.answered();
        let actions: Vec<OutageAction> = (0..9).map(|_| tracker.failed(now)).collect();
        assert_eq!(actions.iter().filter(|action| matches!(action, OutageAction::Again { first: true, .. })).count(), 1);
        assert!(pause(&actions[0]) <= PAUSES.0);
        assert!((PAUSES.1 / 2..=PAUSES.1).contains(&pause(&actions[8])));
        assert!(tracker.answered());
        assert!(!tracker.answered());
    }

    #[test]
    fn an_outage_that_lasts_too_long_ends_the_worker() {
        let (mut tracker, now) = (OutageTracker::new(Some(Duration::from_secs(300))), Instant::now());
        tracker.answered();
        pause(&tracker.failed(now));
        pause(&tracker.failed(now + Duration::from_secs(299)));
        assert_eq!(tracker.failed(now + Duration::from_secs(300)), OutageAction::GiveUp);
    }

    #[test]
    fn a_broker_that_never_answered_is_no_outage() {
        assert_eq!(OutageTracker::new(None).failed(Instant::now()), OutageAction::NeverWorked);
    }
}
