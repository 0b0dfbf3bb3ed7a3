//! When to query while a queue is empty.
//!
//! Where notifications arrive, a few queries follow the moment in which they were asked for: a push that was stored before then does not
//! announce itself, and is seen only when its commit is complete, a flush to disk later. After them there is one query a second, for the
//! jobs of programs that announce nothing and for those that become due. Where none arrive, queries go on at a quarter of a second.

use std::time::Duration;

/// The first interval.
const FIRST: Duration = Duration::from_millis(2);
/// The longest interval that still belongs to those few queries.
const LAST: Duration = Duration::from_millis(250);

/// The interval to the next query. `None`: the next whole second or a notification will cause one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PollSchedule(Option<Duration>);

impl PollSchedule {
    /// As after something happened.
    pub(super) fn fresh() -> Self {
        Self(Some(FIRST))
    }

    pub(super) fn interval(self) -> Option<Duration> {
        self.0
    }

    /// Nothing was found after this interval. `longest` is that between queries where no notifications arrive.
    pub(super) fn slower(self, notified: bool, longest: Duration) -> Self {
        let longer = self.0.map(|interval| interval * 2);
        if notified {
            return Self(longer.filter(|longer| *longer <= LAST));
        }
        Self(Some(longer.map_or(longest, |longer| longer.min(longest))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(250);

    #[test]
    fn queries_end_where_notifications_arrive_and_never_end_where_none_do() {
        let (mut with, mut without) = (PollSchedule::fresh(), PollSchedule::fresh());
        let mut queries = 0;
        while with.interval().is_some() {
            (with, queries) = (with.slower(true, LONGEST), queries + 1);
        }
        assert_eq!(queries, 7);
        for _ in 0..20 {
            without = without.slower(false, LONGEST);
        }
        assert_eq!(without.interval(), Some(LONGEST));
        // Notifications may end at any time.
        assert_eq!(with.slower(false, LONGEST).interval(), Some(LONGEST));
    }
}
