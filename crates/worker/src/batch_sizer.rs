//! How many jobs to reserve at once: many fast ones, one slow one.

use std::time::Duration;

/// Jobs of one batch should be done within this time, so that they are not held while others idle.
const BATCH_BUDGET: f64 = 0.1;
/// Weight of the newest job in the average.
const NEWEST: f64 = 0.2;

/// A moving average of job times.
#[derive(Debug, Clone, Copy)]
pub struct BatchSizer {
    /// `None` until a job was seen: the first batch holds one.
    seconds: Option<f64>,
    last: usize,
}

impl Default for BatchSizer {
    fn default() -> Self {
        Self { seconds: None, last: 1 }
    }
}

impl BatchSizer {
    /// Records how long a job took. One slow job among fast ones weighs enough to end big batches at once.
    pub fn record(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.seconds = Some(self.seconds.map_or(took, |before| before * (1.0 - NEWEST) + took * NEWEST));
    }

    /// Whether jobs are so fast that batches hold `most` of them.
    pub fn is_at(&self, most: usize) -> bool {
        self.last >= most && self.fitting() >= most as f64
    }

    fn fitting(&self) -> f64 {
        self.seconds.map_or(1.0, |seconds| BATCH_BUDGET / seconds.max(1e-9))
    }

    /// The size of the next batch: what fits into the budget, at most twice the last, at most `most`.
    pub fn next(&mut self, most: usize) -> usize {
        self.last = (self.fitting().min(most as f64) as usize).clamp(1, self.last * 2);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_jobs_come_in_growing_batches() {
        let mut sizer = BatchSizer::default();
        let mut sizes = Vec::new();
        for _ in 0..8 {
            let size = sizer.next(64);
            sizes.push(size);
            (0..size).for_each(|_| sizer.record(Duration::from_micros(10)));
        }
        assert_eq!(sizes[0], 1);
        assert_eq!(sizes.last(), Some(&64));
    }

    #[test]
    fn slow_jobs_come_alone() {
        let mut sizer = BatchSizer::default();
        (0..50).for_each(|_| sizer.record(Duration::from_micros(10)));
        sizer.next(64);
        sizer.record(Duration::from_secs(2));
        assert_eq!(sizer.next(64), 1);
    }
}
