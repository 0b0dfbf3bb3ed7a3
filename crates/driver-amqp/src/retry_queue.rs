//! When to poll the retry queue. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// How long jobs of the retry queue are taken before those of the main queue have their turn again.
const TURN: Duration = Duration::from_secs(1);
/// The first pause after a poll that found nothing; it doubles up to the period.
const SOON: Duration = Duration::from_millis(50);

/// The schedule of one retry queue.
#[derive(Debug, Clone, Copy)]
pub struct RetryQueuePoller {
    /// The longest time between two polls.
    period: Duration,
    next: Instant,
    pause: Duration,
    /// An idle worker does not poll before.
    not_before: Instant,
    /// Jobs of the retry queue are taken until then.
    turn: Option<Instant>,
}

impl RetryQueuePoller {
    /// The first poll is due when the main queue is empty, or after `period`.
    pub fn new(now: Instant, period: Duration) -> Self {
        Self { period, next: now + period, pause: Duration::ZERO, not_before: now, turn: None }
    }

    /// We published a job there: poll as soon as the main queue is empty.
    pub fn hint(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// A subscription was just opened: jobs of the main queue come first.
    pub fn defer(&mut self, now: Instant) {
        self.not_before = now + SOON;
    }

    /// Whether to poll although the main queue has jobs.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Whether to poll when the main queue is empty.
    pub fn is_due_when_idle(&self, now: Instant) -> bool {
        now >= self.when_idle()
    }

    /// When an idle worker should poll.
    pub fn when_idle(&self) -> Instant {
        (self.next + self.pause).checked_sub(self.period).unwrap_or(self.next).max(self.not_before)
    }

    /// Notes the result of a poll.
    pub fn polled(&mut self, now: Instant, found: bool) {
        self.next = now + self.period;
        self.pause = if found { Duration::ZERO } else { (self.pause * 2).clamp(SOON, self.period) };
        if !found {
            self.turn = None;
        } else if self.turn.is_none() {
            self.turn = Some(now + TURN);
        }
    }

    /// Whether jobs of the retry queue have their turn.
    pub fn has_turn(&self, now: Instant) -> bool {
        self.turn.is_some_and(|end| now < end)
    }

    /// The turn is over.
    pub fn end_turn(&mut self) {
        self.turn = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_idle_worker_polls_at_once_then_ever_less_often_up_to_the_period() {
        let mut now = Instant::now();
        let mut poller = RetryQueuePoller::new(now, SECOND);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(poller.is_due_when_idle(now));
            poller.polled(now, false);
            let next = poller.when_idle();
            pauses.push((next - now).as_millis());
            assert!(!poller.is_due_when_idle(next - Duration::from_millis(1)));
            now = next;
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
    }

    #[test]
    fn under_load_a_poll_is_due_after_the_period_and_a_turn_ends() {
        let now = Instant::now();
        let mut poller = RetryQueuePoller::new(now, SECOND);
        assert!(!poller.is_due(now + SECOND / 2) && poller.is_due(now + SECOND));
        poller.polled(now + SECOND, true);
        assert!(poller.has_turn(now + SECOND + TURN / 2) && !poller.has_turn(now + SECOND + TURN));
        poller.polled(now + SECOND + TURN / 2, false);
        assert!(!poller.has_turn(now + SECOND + TURN / 2));
    }

    #[test]
    fn a_hint_makes_an_idle_worker_poll_at_once() {
        let now = Instant::now();
        let mut poller = RetryQueuePoller::new(now, SECOND);
        poller.polled(now, false);
        assert!(!poller.is_due_when_idle(now));
        poller.hint();
        assert!(poller.is_due_when_idle(now));
    }
}
