//! When to query again while a queue is empty.
//!
//! A commit causes an event at each of its writes to the `-wal`, but becomes visible only when it is complete, a flush to disk later,
//! without a further event. So after an event there are a few queries at growing intervals, the first ones close together. While events
//! go on, queries are a millisecond apart at least, however often other queues are written.

use std::time::Duration;

/// The first interval. A commit takes 0.1 to 0.3 ms on a quiet disk, and a query 0.01 ms.
const FIRST: Duration = Duration::from_micros(125);
/// So often the first interval is repeated before intervals grow.
const REPEATED: u32 = 2;
/// The shortest interval between queries while events go on.
const SHORTEST: Duration = Duration::from_millis(1);
/// An event after so long an interval is the first of a new commit: about 8 ms have passed since the last one.
const NEW_COMMIT_AFTER: Duration = Duration::from_millis(8);
/// The longest interval.
const LONGEST: Duration = Duration::from_millis(50);

/// The interval to the next query.
#[derive(Debug)]
pub(super) struct PollInterval {
    notified: bool,
    /// `None`: no query is planned; an event or the next whole second will cause one.
    interval: Option<Duration>,
    /// How often the interval comes again before it grows.
    repeats: u32,
}

/// What to do until the next query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PollPlan {
    /// Wait so long whatever is committed.
    pub ignoring: Duration,
    /// Then so much longer unless something is committed; `None` for as long as there is nothing else to do.
    pub listening: Option<Duration>,
}

impl PollInterval {
    /// Begins as if there had just been an event: a commit may be under way.
    pub(super) fn new(notified: bool) -> Self {
        Self { notified, interval: Some(FIRST), repeats: REPEATED }
    }

    /// Goes on where a call before this one had stopped querying, when nothing was committed since.
    pub(super) fn resumed(notified: bool) -> Self {
        Self { notified, interval: if notified { None } else { Some(LONGEST) }, repeats: 0 }
    }

    /// Whether no query is planned.
    pub(super) fn is_idle(&self) -> bool {
        match self.interval {
            None => true,
            Some(interval) => !self.notified && interval == LONGEST,
        }
    }

    pub(super) fn plan(&self) -> PollPlan {
        match self.interval {
            Some(interval) if self.notified => {
                PollPlan { ignoring: interval.min(SHORTEST), listening: Some(interval.saturating_sub(SHORTEST)) }
            }
            Some(interval) => PollPlan { ignoring: interval, listening: Some(Duration::ZERO) },
            None => PollPlan { ignoring: Duration::ZERO, listening: None },
        }
    }

    /// There was an event.
    pub(super) fn commit_seen(&mut self) {
        match self.interval {
            Some(interval) if interval < NEW_COMMIT_AFTER => self.interval = Some(SHORTEST.min(self.behind(interval))),
            _ => *self = Self::new(self.notified),
        }
    }

    /// There was no event. Without notifications, queries never end.
    pub(super) fn nothing_seen(&mut self) {
        let next = self.interval.map(|interval| self.behind(interval));
        self.interval = next.and_then(|interval| match (interval <= LONGEST, self.notified) {
            (true, _) => Some(interval),
            (false, true) => None,
            (false, false) => Some(LONGEST),
        });
    }

    fn behind(&mut self, interval: Duration) -> Duration {
        if self.repeats == 0 {
            return interval * 2;
        }
        self.repeats -= 1;
        interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_grow_rarer_and_end_where_commits_are_notified() {
        let mut interval = PollInterval::new(true);
        let mut queries = 0;
        while interval.interval.is_some() {
            interval.nothing_seen();
            queries += 1;
        }
        assert_eq!(queries, 11);
        assert_eq!(interval.plan(), PollPlan { ignoring: Duration::ZERO, listening: None });
    }

    #[test]
    fn queries_never_end_without_notifications() {
        let mut interval = PollInterval::new(false);
        (0..100).for_each(|_| interval.nothing_seen());
        assert_eq!(interval.plan().ignoring, LONGEST);
    }

    #[test]
    fn steady_commits_cause_one_query_a_millisecond() {
        let mut interval = PollInterval::new(true);
        (0..100).for_each(|_| interval.commit_seen());
        assert_eq!(interval.plan().ignoring, SHORTEST);
    }

    #[test]
    fn the_first_queries_after_a_pause_are_close_together_though_a_commit_causes_several_events() {
        for pause in [8, 11, 100] {
            let mut interval = PollInterval::new(true);
            (0..pause).for_each(|_| interval.nothing_seen());
            interval.commit_seen();
            let begun = interval.interval;
            (0..REPEATED).for_each(|_| interval.commit_seen());
            let repeated = interval.interval;
            interval.commit_seen();
            let intervals = (begun, repeated, interval.interval);
            assert_eq!(intervals, (Some(FIRST), Some(FIRST), Some(FIRST * 2)), "after {pause} intervals");
        }
    }

    #[test]
    fn commits_a_few_milliseconds_apart_cause_one_query_a_millisecond_at_most() {
        for apart in [2, 5, 8, 9, 12, 20] {
            let (mut interval, mut queries, mut waited) = (PollInterval::new(true), 0, Duration::ZERO);
            for commit in 1..=1000 {
                while let Some(next) = interval.interval.filter(|next| waited + *next < Duration::from_millis(apart) * commit) {
                    (queries, waited) = (queries + 1, waited + next);
                    interval.nothing_seen();
                }
                waited = waited.max(Duration::from_millis(apart) * commit);
                interval.commit_seen();
                queries += 1;
            }
            assert!(queries <= waited.as_millis() + 10, "{queries} queries in {waited:?}");
        }
    }
}
