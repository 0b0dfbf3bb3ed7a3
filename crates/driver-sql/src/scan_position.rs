//! Where the scan of a reserve begins.
//!
//! Rows at the head of the index are those that are reserved, and the remains of those that were deleted, which InnoDB keeps until its purge
//! and PostgreSQL until a vacuum: a drain from the head passes thousands of them for each batch. So a scan goes on where the last one of this
//! broker ended. What becomes ready behind that place in the meantime (a job that was released or given back, one whose reservation
//! expired, one that was committed late) is met by a scan from the head, which is made when the other one finds nothing, and once a second.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ferry_core::QueueName;
use ferry_support::sync;

/// How long scans go on from each other before one begins at the head again.
const HEAD_SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// A place in the order in which jobs are reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScanPosition {
    pub(crate) available_at: i64,
    pub(crate) id: i64,
}

impl ScanPosition {
    /// Before every row.
    pub(crate) const HEAD: Self = Self { available_at: i64::MIN, id: 0 };
}

/// Where the next scan of each queue begins.
#[derive(Debug, Default)]
pub(crate) struct ScanPositions(Mutex<HashMap<QueueName, Reached>>);

#[derive(Debug)]
struct Reached {
    position: ScanPosition,
    /// When a scan began at the head.
    head_scanned: Instant,
}

impl ScanPositions {
    /// Begin behind this.
    pub(crate) fn of(&self, queue: &QueueName, now: Instant) -> ScanPosition {
        let positions = sync::lock(&self.0);
        let reached = positions.get(queue).filter(|reached| now.duration_since(reached.head_scanned) < HEAD_SCAN_INTERVAL);
        reached.map_or(ScanPosition::HEAD, |reached| reached.position)
    }

    /// A scan that began behind `from` reserved rows up to `position`.
    pub(crate) fn advance(&self, queue: &QueueName, from: ScanPosition, position: ScanPosition, now: Instant) {
        let mut positions = sync::lock(&self.0);
        match positions.get_mut(queue) {
            Some(reached) if from != ScanPosition::HEAD => reached.position = position,
            _ => drop(positions.insert(queue.clone(), Reached { position, head_scanned: now })),
        }
    }

    /// Whether the next scans of all queues begin at the head.
    pub(crate) fn are_heads(&self) -> bool {
        sync::lock(&self.0).is_empty()
    }

    /// From now on they do.
    pub(crate) fn forget(&self) {
        sync::lock(&self.0).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ScanPosition = ScanPosition { available_at: 5, id: 64 };
    const SECOND: ScanPosition = ScanPosition { available_at: 5, id: 128 };

    #[test]
    fn scans_go_on_from_each_other_until_one_is_due_from_the_head() {
        let (positions, queue, start) = (ScanPositions::default(), QueueName::default(), Instant::now());
        assert_eq!(positions.of(&queue, start), ScanPosition::HEAD);
        positions.advance(&queue, ScanPosition::HEAD, FIRST, start);
        let later = start + HEAD_SCAN_INTERVAL / 2;
        assert_eq!(positions.of(&queue, later), FIRST);
        positions.advance(&queue, FIRST, SECOND, later);
        assert_eq!(positions.of(&queue, later), SECOND);
        let due = start + HEAD_SCAN_INTERVAL;
        assert_eq!(positions.of(&queue, due), ScanPosition::HEAD, "the scans between do not put it off");
        positions.advance(&queue, ScanPosition::HEAD, FIRST, due);
        assert_eq!(positions.of(&queue, due + HEAD_SCAN_INTERVAL / 2), FIRST);
    }

    #[test]
    fn a_forgotten_position_is_the_head() {
        let (positions, queue, now) = (ScanPositions::default(), QueueName::default(), Instant::now());
        positions.advance(&queue, ScanPosition::HEAD, FIRST, now);
        assert!(!positions.are_heads());
        positions.forget();
        assert!(positions.are_heads());
        assert_eq!(positions.of(&queue, now), ScanPosition::HEAD);
    }
}
