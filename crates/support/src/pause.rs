//! Exponential backoff between attempts that we repeat ourselves: reconnecting, polling, sending a batch again.
//!
//! How long a failed *job* waits is configured by its user and decided in `ferry_core::backoff`.

use std::time::Duration;

/// Pauses that double up to a limit: `first`, twice that, four times that, then `longest` again and again.
///
/// It neither sleeps nor reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrowingPause {
    first: Duration,
    longest: Duration,
    last: Duration,
}

impl GrowingPause {
    /// Pauses from `first` to `longest`. `longest` wins where it is the shorter one. A `first` of zero never grows.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, last: Duration::ZERO }
    }

    /// How long to wait now. The next call answers twice as much.
    pub fn next_pause(&mut self) -> Duration {
        self.last = self.last.saturating_mul(2).max(self.first).min(self.longest);
        self.last
    }

    /// What [`next_pause`](Self::next_pause) answered last. Zero when it was not called since the last reset.
    pub fn last(&self) -> Duration {
        self.last
    }

    /// Whether a pause was asked for since the last reset: false at the first failure of an outage, true at the ones that follow.
    pub fn is_growing(&self) -> bool {
        !self.last.is_zero()
    }

    /// An attempt succeeded: the next pause is the first one again.
    pub fn reset(&mut self) {
        self.last = Duration::ZERO;
    }
}

/// `pause`, shortened at random, so that many processes that failed in one moment do not come back in one moment.
///
/// `share` is how much of it is random, 0.0 to 1.0: with 0.5 a pause of 8 s becomes 4 to 8 s. `random` is drawn from 0.0 to 1.0.
pub fn jittered(pause: Duration, share: f64, random: f64) -> Duration {
    let kept = 1.0 - share.clamp(0.0, 1.0) * random.clamp(0.0, 1.0);
    // What cannot be computed stays whole: a pause that is too long is better than a panic.
    Duration::try_from_secs_f64(pause.as_secs_f64() * kept).map_or(pause, |shortened| shortened.min(pause))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn pauses(mut pause: GrowingPause, count: usize) -> Vec<Duration> {
        (0..count).map(|_| pause.next_pause()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_limit_and_stay_there() {
        let table: [(u64, u64, &[u64]); 5] = [
            (10, 1000, &[10, 20, 40, 80, 160, 320, 640, 1000, 1000]),
            (50, 400, &[50, 100, 200, 400, 400]),
            (200, 200, &[200, 200]),
            (500, 200, &[200, 200]),
            (0, 200, &[0, 0]),
        ];
        for (first, longest, expected) in table {
            let expected: Vec<Duration> = expected.iter().map(|count| ms(*count)).collect();
            assert_eq!(pauses(GrowingPause::new(ms(first), ms(longest)), expected.len()), expected, "{first} to {longest}");
        }
    }

    #[test]
    fn a_reset_begins_with_the_first_pause_again() {
        let mut pause = GrowingPause::new(ms(10), ms(1000));
        assert!(!pause.is_growing());
        assert_eq!(pause.last(), Duration::ZERO);
        pause.next_pause();
        assert_eq!((pause.next_pause(), pause.last()), (ms(20), ms(20)));
        assert!(pause.is_growing());
        pause.reset();
        assert!(!pause.is_growing());
        assert_eq!(pause.next_pause(), ms(10));
    }

    #[test]
    fn the_longest_duration_of_all_does_not_overflow() {
        let mut pause = GrowingPause::new(Duration::MAX / 2 + ms(1), Duration::MAX);
        pause.next_pause();
        assert_eq!((pause.next_pause(), pause.next_pause()), (Duration::MAX, Duration::MAX));
        assert_eq!(jittered(Duration::MAX, 0.5, 0.0), Duration::MAX);
    }

    #[test]
    fn jitter_takes_away_at_most_its_share() {
        let table = [
            (0.0, 1.0, ms(800)),
            (0.5, 0.0, ms(800)),
            (0.5, 0.5, ms(600)),
            (0.5, 1.0, ms(400)),
            (1.0, 0.25, ms(600)),
            (1.0, 1.0, ms(0)),
            // Out of range counts as the nearest that is in it.
            (2.0, 1.0, ms(0)),
            (0.5, -1.0, ms(800)),
            (0.5, f64::NAN, ms(800)),
        ];
        for (share, random, expected) in table {
            assert_eq!(jittered(ms(800), share, random), expected, "share {share}, random {random}");
        }
    }
}
