//! Shortens waits for the server when somebody is in a hurry: a worker that was asked to stop.
//!
//! Who waits asks for it every [`SLICE`], so a server that answers costs nothing.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use ferry_core::broker::WaitLimit;
use ferry_support::sync;

/// How long a wait goes on before it is asked again how long it may be.
pub const SLICE: Duration = Duration::from_millis(250);

/// The limits of those who share the connections of one broker.
#[derive(Clone, Default)]
pub struct WaitLimits(Arc<Mutex<Vec<Weak<dyn WaitLimit>>>>);

impl WaitLimits {
    /// Adds one. Those that are gone make room.
    pub fn add(&self, limit: Weak<dyn WaitLimit>) {
        let mut limits = sync::lock(&self.0);
        limits.retain(|limit| limit.strong_count() > 0);
        limits.push(limit);
    }

    /// `deadline`, or an earlier end of the wait that begins or goes on now.
    pub fn shorten(&self, deadline: Instant) -> Instant {
        // Copied, because a limit is code of its own and takes locks.
        let limits: Vec<_> = sync::lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        let left = limits.iter().filter_map(|limit| limit.left()).min();
        left.map_or(deadline, |left| deadline.min(Instant::now() + left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Left(Option<Duration>);

    impl WaitLimit for Left {
        fn left(&self) -> Option<Duration> {
            self.0
        }
    }

    fn limit(left: Option<Duration>) -> Arc<dyn WaitLimit> {
        Arc::new(Left(left))
    }

    #[test]
    fn the_shortest_limit_of_those_that_live_counts() {
        let (limits, far) = (WaitLimits::default(), Instant::now() + Duration::from_secs(60));
        assert_eq!(limits.shorten(far), far);
        let (none, long, short) = (limit(None), limit(Some(Duration::from_secs(9))), limit(Some(Duration::ZERO)));
        for limit in [&none, &long, &short] {
            limits.add(Arc::downgrade(limit));
        }
        assert!(limits.shorten(far) <= Instant::now());
        drop(short);
        assert!(limits.shorten(far) > Instant::now() + Duration::from_secs(5));
        assert!(limits.shorten(far) < far);
        drop(long);
        assert_eq!(limits.shorten(far), far);
    }

    #[test]
    fn a_wait_is_never_made_longer() {
        let (limits, soon) = (WaitLimits::default(), Instant::now());
        let long = limit(Some(Duration::from_secs(9)));
        limits.add(Arc::downgrade(&long));
        assert_eq!(limits.shorten(soon), soon);
    }
}
