//! High, normal, low: which priority goes where, and whose turn it is.

/// The priority of a task that names none.
pub const DEFAULT_PRIORITY: i64 = 5;

/// A queue of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskLevel {
    /// Priorities 8 to 10.
    High,
    /// Priorities 4 to 7.
    Normal,
    /// Priorities 1 to 3.
    Low,
}

/// All levels, the highest first.
pub const LEVELS: [TaskLevel; 3] = [TaskLevel::High, TaskLevel::Normal, TaskLevel::Low];

impl TaskLevel {
    /// Where a task of this priority goes. What is out of range counts as the nearest one in it.
    pub fn of(priority: i64) -> Self {
        match clamp(priority) {
            8.. => TaskLevel::High,
            4..=7 => TaskLevel::Normal,
            _ => TaskLevel::Low,
        }
    }

    /// The name of its queue, which is its routing key too.
    pub fn queue(self) -> &'static str {
        match self {
            TaskLevel::High => "task.high",
            TaskLevel::Normal => "task.normal",
            TaskLevel::Low => "task.low",
        }
    }

    /// The level of a queue.
    pub fn named(queue: &str) -> Option<Self> {
        LEVELS.into_iter().find(|level| level.queue() == queue)
    }
}

/// A priority within 1 to 10.
pub fn clamp(priority: i64) -> u8 {
    u8::try_from(priority.clamp(1, 10)).unwrap_or(1)
}

/// Whose turn it is: the highest queue that has something, or one that was passed over fifteen times, so that nothing waits for ever.
#[derive(Debug, Default)]
pub struct Turns {
    /// For each queue how often it had something and another was taken.
    passed: Vec<u8>,
}

impl Turns {
    /// After so many times it is a queue's turn: one task in sixteen.
    const PATIENCE: u8 = 15;

    /// Which queue is next. `full` says which have something, the highest first.
    pub fn peek(&self, full: &[bool]) -> Option<usize> {
        let is_due = |at: &usize| full[*at] && self.passed.get(*at).is_some_and(|times| *times >= Self::PATIENCE);
        (0..full.len()).rev().find(is_due).or_else(|| full.iter().position(|full| *full))
    }

    /// One was taken from the queue at `at`.
    pub fn took(&mut self, full: &[bool], at: usize) {
        self.passed.resize(full.len(), 0);
        for (queue, times) in self.passed.iter_mut().enumerate() {
            *times = if queue != at && full[queue] { times.saturating_add(1) } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_clamped_and_lead_to_their_level() {
        let levels: Vec<_> = [-5, 0, 1, 3, 4, 5, 7, 8, 10, 11, 255].map(|priority| TaskLevel::of(priority).queue()).into();
        assert_eq!(levels[..4], ["task.low"; 4]);
        assert_eq!(levels[4..7], ["task.normal"; 3]);
        assert_eq!(levels[7..], ["task.high"; 4]);
        assert_eq!([i64::MIN, 0, 5, 11, i64::MAX].map(clamp), [1, 1, 5, 10, 10]);
        assert_eq!(TaskLevel::named("task.low"), Some(TaskLevel::Low));
        assert_eq!(TaskLevel::named("task.dlq"), None);
    }

    #[test]
    fn high_goes_first_and_each_lower_queue_gets_one_in_sixteen() {
        let mut turns = Turns::default();
        let full = [true, true, true];
        let order: Vec<usize> = (0..160)
            .map(|_| {
                let at = turns.peek(&full).unwrap();
                turns.took(&full, at);
                at
            })
            .collect();
        assert_eq!(order[..18], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0]);
        let count = |queue| order.iter().filter(|at| **at == queue).count();
        assert!((9..=10).contains(&count(1)) && (9..=10).contains(&count(2)), "{order:?}");
    }

    #[test]
    fn without_anything_lower_nothing_is_owed() {
        let mut turns = Turns::default();
        for _ in 0..100 {
            turns.took(&[true, false, false], 0);
        }
        assert_eq!(turns.peek(&[true, true, false]), Some(0));
        assert_eq!(turns.peek(&[false, false, false]), None);
        assert_eq!(turns.peek(&[false, true, false]), Some(1));
    }
}
