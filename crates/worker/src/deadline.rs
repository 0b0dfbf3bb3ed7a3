//! Points in time that are too far away to be computed.

use std::time::{Duration, Instant};

/// Further away than any process lives.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// `time` after `start`. Durations come from payloads and options, and an [`Instant`] cannot hold all of them: what is further away than a
/// century is a century away.
pub fn later(start: Instant, time: Duration) -> Instant {
    start.checked_add(time).or_else(|| start.checked_add(FAR)).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_computed_is_far_away() {
        let now = Instant::now();
        assert_eq!(later(now, Duration::from_secs(3)), now + Duration::from_secs(3));
        assert!(later(now, Duration::MAX) > now + FAR / 2);
        assert!(later(now, Duration::from_secs(i64::MAX.unsigned_abs())) > now + FAR / 2);
    }
}
