//! Delays as binary levels: the exchange and routing key of a delayed message. Pure; `topology` declares the levels.

/// Number of levels. The longest takes 2^22 s, all together 2^23 - 1 s: 97 days.
pub const LEVELS: usize = 23;

/// The longest delay of one pass in seconds.
pub const LONGEST_PASS: i64 = (1 << LEVELS) - 1;

/// The bytes of a routing key that the words of all levels take, dots included.
pub const KEY_BYTES: usize = 2 * LEVELS;

/// Whose levels. Those of tasks have names that begin with `task.`, so that a user with rights on `^task\.` can declare and use them.
/// Messages of earlier versions that wait in the levels of jobs still arrive: the bindings to the queues of tasks stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelaySpace {
    Jobs,
    Tasks,
}

impl DelaySpace {
    fn prefix(self) -> &'static str {
        match self {
            Self::Jobs => "ferry",
            Self::Tasks => "task",
        }
    }

    /// The exchange behind the last level.
    pub fn due(self) -> String {
        format!("{}.due", self.prefix())
    }

    /// The name of the exchange and of the queue of a level.
    pub fn name(self, level: usize) -> String {
        format!("{}.delay.{level:02}", self.prefix())
    }

    /// The exchange that a message enters after a level.
    pub fn below(self, level: usize) -> String {
        if level == 0 { self.due() } else { self.name(level - 1) }
    }
}

/// The highest level of a delay of so many seconds.
pub fn top_of(seconds: u32) -> usize {
    seconds.max(1).ilog2() as usize
}

/// One pass of a message through the levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The highest level it waits in: where it enters.
    pub top: usize,
    /// The routing key.
    pub key: String,
    /// The unix second at which it is due, when one pass is too short; then it passes again.
    pub due: Option<i64>,
}

/// The pass of a message that is due in `milliseconds`, or `None` when that is now. `due` is the same time as a unix second.
pub fn pass(milliseconds: i64, due: i64, address: &str) -> Option<Pass> {
    // Rounded up: it may be a second late, but never early.
    let seconds = milliseconds.max(0).checked_add(999)? / 1000;
    if seconds == 0 {
        return None;
    }
    let now = seconds.min(LONGEST_PASS);
    let mut key = String::with_capacity(KEY_BYTES + address.len());
    for level in (0..LEVELS).rev() {
        key.push_str(if now >> level & 1 == 1 { "1." } else { "0." });
    }
    key.push_str(address);
    let top = now.ilog2() as usize;
    Some(Pass { top, key, due: (seconds > LONGEST_PASS).then_some(due) })
}

/// The binding pattern that routes through a level (`1`) or past it (`0`).
pub fn pattern(level: usize, bit: char) -> String {
    let mut pattern = "*.".repeat(LEVELS - 1 - level);
    pattern.push(bit);
    pattern.push_str(".#");
    pattern
}

/// The binding pattern from the last exchange to a queue.
pub fn arrival(address: &str) -> String {
    "*.".repeat(LEVELS) + address
}

/// Milliseconds for which a level keeps a message.
pub fn ttl(level: usize) -> i64 {
    1000 << level
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds that a message with this key spends in the levels, as the bindings say.
    fn seconds_in_levels(pass: &Pass) -> i64 {
        let bits: Vec<&str> = pass.key.split('.').take(LEVELS).collect();
        (0..=pass.top).filter(|level| bits[LEVELS - 1 - level] == "1").map(|level| ttl(level) / 1000).sum()
    }

    #[test]
    fn every_delay_takes_exactly_its_seconds_rounded_up() {
        for milliseconds in [1, 999, 1000, 1001, 5_000, 65_000, 3_600_000, 86_400_000, 90 * 86_400_000, LONGEST_PASS * 1000] {
            let pass = pass(milliseconds, 0, "q.q").unwrap();
            assert_eq!(seconds_in_levels(&pass), (milliseconds + 999) / 1000);
            assert_eq!(pass.due, None);
            assert_eq!(pass.key.len(), KEY_BYTES + 3);
        }
    }

    #[test]
    fn a_delay_longer_than_a_pass_passes_again() {
        let long = pass((LONGEST_PASS + 1) * 1000, 77, "q.q").unwrap();
        assert_eq!((seconds_in_levels(&long), long.due), (LONGEST_PASS, Some(77)));
        assert_eq!(pass(i64::MAX - 999, 77, "q.q").unwrap().due, Some(77));
    }

    #[test]
    fn a_due_message_makes_no_pass() {
        assert_eq!(pass(0, 0, "q.q"), None);
        assert_eq!(pass(-5, 0, "q.q"), None);
    }

    #[test]
    fn bindings_name_the_word_of_their_level() {
        assert_eq!(pattern(22, '1'), "1.#");
        assert_eq!(pattern(20, '0'), "*.*.0.#");
        assert_eq!(arrival("a.q").split('.').count(), LEVELS + 2);
        let jobs = DelaySpace::Jobs;
        assert_eq!((jobs.below(0).as_str(), jobs.below(3).as_str(), ttl(3)), ("ferry.due", "ferry.delay.02", 8_000));
        assert_eq!([top_of(0), top_of(1), top_of(60), top_of(64)], [0, 0, 5, 6]);
    }

    #[test]
    fn the_levels_of_tasks_have_names_of_tasks() {
        let tasks = DelaySpace::Tasks;
        assert_eq!(
            (tasks.due().as_str(), tasks.name(7).as_str(), tasks.below(7).as_str()),
            ("task.due", "task.delay.07", "task.delay.06")
        );
    }
}
