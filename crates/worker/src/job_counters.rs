//! Counts jobs, and knows when the next summary is due.

use std::time::{Duration, Instant};

use crate::engine::UnitEnd;

/// So many jobs are worth a summary of their own.
const JOBS: u64 = 100;
/// The shortest time between two summaries.
const SOONEST: Duration = Duration::from_secs(1);

/// The jobs of one worker.
#[derive(Debug)]
pub struct JobCounters {
    /// Attempts, however they ended.
    pub units: u64,
    /// Of them, ended well.
    pub processed: u64,
    /// Of them, failed for good.
    pub failed: u64,
    began: Instant,
    /// When the last summary was, and how many jobs there were.
    last: (Instant, u64),
}

impl JobCounters {
    /// Nothing yet.
    pub fn new(now: Instant) -> Self {
        Self { units: 0, processed: 0, failed: 0, began: now, last: (now, 0) }
    }

    /// One more. An attempt that failed is not processed, or a job that always throws would look like work that gets done.
    pub fn count(&mut self, end: UnitEnd) {
        self.units += 1;
        match end {
            UnitEnd::Done => self.processed += 1,
            UnitEnd::Retried => {}
            UnitEnd::Failed => self.failed += 1,
        }
    }

    /// Since it began.
    pub fn uptime(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// The rate since the last summary, when one is due: after `every`, or after 100 jobs but not within a second.
    pub fn rate_when_due(&mut self, every: Option<Duration>, now: Instant) -> Option<f64> {
        let (time, jobs) = (now.saturating_duration_since(self.last.0), self.processed - self.last.1);
        if time < every? && !(jobs >= JOBS && time >= SOONEST) {
            return None;
        }
        self.last = (now, self.processed);
        Some(jobs as f64 / time.as_secs_f64().max(0.001))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_summary_is_due_after_its_time_or_a_hundred_jobs() {
        let start = Instant::now();
        let mut counters = JobCounters::new(start);
        (0..99).for_each(|_| counters.count(UnitEnd::Done));
        assert_eq!(counters.rate_when_due(Some(seconds(60)), start + seconds(9)), None);
        counters.count(UnitEnd::Retried);
        assert_eq!(counters.rate_when_due(Some(seconds(60)), start + seconds(9)), None, "a throw is not done");
        counters.count(UnitEnd::Failed);
        counters.count(UnitEnd::Done);
        assert_eq!(counters.rate_when_due(Some(seconds(60)), start + seconds(10)), Some(10.0));
        assert_eq!(counters.rate_when_due(Some(seconds(60)), start + seconds(69)), None);
        assert_eq!(counters.rate_when_due(Some(seconds(60)), start + seconds(70)), Some(0.0));
        assert_eq!((counters.units, counters.processed, counters.failed), (102, 100, 1));
    }

    #[test]
    fn a_fast_worker_is_summed_up_once_a_second_and_one_without_summaries_never() {
        let start = Instant::now();
        let mut counters = JobCounters::new(start);
        (0..5000).for_each(|_| counters.count(UnitEnd::Done));
        assert_eq!(counters.rate_when_due(Some(seconds(60)), start + Duration::from_millis(999)), None);
        assert_eq!(counters.rate_when_due(None, start + seconds(100)), None);
        assert_eq!(counters.rate_when_due(Some(seconds(60)), start + seconds(1)), Some(5000.0));
    }
}
