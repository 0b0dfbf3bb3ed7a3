//! When to look for lone jobs. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// How long lone jobs are taken before the others have their turn again.
const TURN: Duration = Duration::from_secs(1);
/// The first pause after a look that found nothing; it doubles up to the period.
const SOON: Duration = Duration::from_millis(50);

/// The state of looking at one queue.
#[derive(Debug, Clone, Copy)]
pub struct RetryQueuePoller {
    /// The longest time between two looks.
    period: Duration,
    next: Instant,
    pause: Duration,
    /// An idle worker does not look before.
    not_before: Instant,
    /// Lone jobs are being taken, until then.
    turn: Option<Instant>,
}

impl RetryQueuePoller {
    /// The first look is due when nothing else is there, or after `period`.
    pub fn new(now: Instant, period: Duration) -> Self {
        Self { period, next: now + period, pause: Duration::ZERO, not_before: now, turn: None }
    }

    /// Something of ours went there: look as soon as nothing else is to be done.
    pub fn hint(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// A consumer for fresh jobs was just opened: let them come first.
    pub fn defer(&mut self, now: Instant) {
        self.not_before = now + SOON;
    }

    /// Whether to look although fresh jobs are there.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Whether to look when no fresh job is there.
    pub fn is_due_when_idle(&self, now: Instant) -> bool {
        now >= self.when_idle()
    }

    /// When an idle worker should look.
    pub fn when_idle(&self) -> Instant {
        (self.next + self.pause).checked_sub(self.period).unwrap_or(self.next).max(self.not_before)
    }

    /// A look found some, or nothing.
    pub fn looked(&mut self, now: Instant, found: bool) {
        self.next = now + self.period;
        self.pause = if found { Duration::ZERO } else { (self.pause * 2).clamp(SOON, self.period) };
        if !found {
            self.turn = None;
        } else if self.turn.is_none() {
            self.turn = Some(now + TURN);
        }
    }

    /// Whether lone jobs have their turn.
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
    fn an_idle_worker_looks_at_once_then_ever_less_often_up_to_the_period() {
        let mut now = Instant::now();
        let mut lone = RetryQueuePoller::new(now, SECOND);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(lone.is_due_when_idle(now));
            lone.looked(now, false);
            let next = lone.when_idle();
            pauses.push((next - now).as_millis());
            assert!(!lone.is_due_when_idle(next - Duration::from_millis(1)));
            now = next;
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
    }

    #[test]
    fn under_load_a_look_is_due_after_the_period_and_a_turn_ends() {
        let now = Instant::now();
        let mut lone = RetryQueuePoller::new(now, SECOND);
        assert!(!lone.is_due(now + SECOND / 2) && lone.is_due(now + SECOND));
        lone.looked(now + SECOND, true);
        assert!(lone.has_turn(now + SECOND + TURN / 2) && !lone.has_turn(now + SECOND + TURN));
        lone.looked(now + SECOND + TURN / 2, false);
        assert!(!lone.has_turn(now + SECOND + TURN / 2));
    }

    #[test]
    fn a_hint_makes_an_idle_worker_look_at_once() {
        let now = Instant::now();
        let mut lone = RetryQueuePoller::new(now, SECOND);
        lone.looked(now, false);
        assert!(!lone.is_due_when_idle(now));
        lone.hint();
        assert!(lone.is_due_when_idle(now));
    }
}
