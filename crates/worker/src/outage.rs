//! What to do when the broker does not answer.

use std::time::{Duration, Instant};

use crate::execution::random;

/// The first pause and the longest; in between each is twice the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The state of the link to the broker, as the loop sees it.
pub struct OutageTracker {
    worked: bool,
    /// When it stopped answering, and the next pause.
    trouble: Option<(Instant, Duration)>,
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
    /// A link that was not used yet.
    pub fn new(max_outage: Option<Duration>) -> Self {
        Self { worked: false, trouble: None, max_outage }
    }

    /// The broker answered. Tells whether that ended an outage.
    pub fn answered(&mut self) -> bool {
        self.worked = true;
        self.trouble.take().is_some()
    }

    /// The broker did not answer.
    pub fn failed(&mut self, now: Instant) -> OutageAction {
        if !self.worked {
            return OutageAction::NeverWorked;
        }
        let first = self.trouble.is_none();
        let (since, pause) = self.trouble.unwrap_or((now, PAUSES.0));
        if self.max_outage.is_some_and(|most| now >= since + most) {
            return OutageAction::GiveUp;
        }
        self.trouble = Some((since, (pause * 2).min(PAUSES.1)));
        // Half of it random: workers that lost the same broker do not come back in one moment.
        OutageAction::Again { pause: pause.mul_f64(0.5 + random() / 2.0), first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(verdict: &OutageAction) -> Duration {
        match verdict {
            OutageAction::Again { pause, .. } => *pause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pauses_grow_to_their_cap_and_one_line_is_told() {
        let (mut link, now) = (OutageTracker::new(None), Instant::now());
        link.answered();
        let verdicts: Vec<OutageAction> = (0..9).map(|_| link.failed(now)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| matches!(verdict, OutageAction::Again { first: true, .. })).count(), 1);
        assert!(pause(&verdicts[0]) <= PAUSES.0);
        assert!((PAUSES.1 / 2..=PAUSES.1).contains(&pause(&verdicts[8])));
        assert!(link.answered());
        assert!(!link.answered());
    }

    #[test]
    fn an_outage_that_lasts_too_long_ends_the_worker() {
        let (mut link, now) = (OutageTracker::new(Some(Duration::from_secs(300))), Instant::now());
        link.answered();
        pause(&link.failed(now));
        pause(&link.failed(now + Duration::from_secs(299)));
        assert_eq!(link.failed(now + Duration::from_secs(300)), OutageAction::GiveUp);
    }

    #[test]
    fn a_broker_that_never_answered_is_no_outage() {
        assert_eq!(OutageTracker::new(None).failed(Instant::now()), OutageAction::NeverWorked);
    }
}
