//! Time as an argument, and the bound of times that others give.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest time that a limit, a lease or a pause lasts: ten years. `PHP_INT_MAX` seconds mean "very long" to whoever writes
/// them, and added to an `Instant` they would panic.
pub const LONGEST: Duration = Duration::from_secs(LONGEST_SECONDS.unsigned_abs());

/// [`LONGEST`] in seconds.
pub const LONGEST_SECONDS: i64 = 10 * 365 * 86_400;

/// A time given in seconds, parts of one included; more than [`LONGEST`] counts as that. `None` for what is no time: a negative
/// number, NAN, INF. Every time of a payload, a handler class or an option comes by here, once, where it is read.
pub fn duration(seconds: f64) -> Option<Duration> {
    let is_time = seconds.is_finite() && seconds >= 0.0;
    is_time.then(|| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())))
}

/// Where the memory broker and tests read the time from.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;

    /// Whole seconds since 1970, as the wire has them.
    fn now(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A clock turned by hand.
#[derive(Debug)]
pub struct HandClock(AtomicI64);

impl HandClock {
    /// A clock that shows this unix second until it is turned.
    pub fn at(second: i64) -> Self {
        Self(AtomicI64::new(second * 1000))
    }

    /// Turns it forward.
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_time_is_bounded_and_what_is_no_time_is_none() {
        for (seconds, time) in [
            (0.0, Some(Duration::ZERO)),
            (-0.0, Some(Duration::ZERO)),
            (1.5, Some(Duration::from_millis(1500))),
            (i64::MAX as f64, Some(LONGEST)),
            (f64::MAX, Some(LONGEST)),
            (-1.0, None),
            (f64::MIN, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (f64::NEG_INFINITY, None),
        ] {
            assert_eq!(duration(seconds), time, "{seconds}");
        }
    }

    #[test]
    fn several_of_the_longest_times_can_be_added_to_now() {
        let sum = LONGEST.checked_mul(10).unwrap();
        assert!(Instant::now().checked_add(sum).is_some() && SystemTime::now().checked_add(sum).is_some());
        assert!(i64::try_from(sum.as_millis()).is_ok() && u32::try_from(LONGEST_SECONDS).is_ok());
    }
}
