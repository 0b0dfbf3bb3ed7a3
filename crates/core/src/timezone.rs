//! Local time, for tables that are shared with programs which write it. The offsets come from outside: they are those of PHP's default
//! time zone, and neither a clock nor a database of zones is read here.

use std::sync::{Arc, PoisonError, RwLock};

/// Seconds between two samples. No zone changed its offset twice within two weeks.
const STEP: usize = 14 * 86_400;

/// The offsets of a zone from UTC over time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimeZone {
    /// The offset before the first change, in seconds.
    first: i64,
    /// From which unix second on which offset holds, ascending.
    changes: Vec<(i64, i64)>,
}

impl TimeZone {
    /// A zone known by asking for its offset at single unix seconds. Outside of `from` to `to` its first and last offset hold.
    pub fn sampled(from: i64, to: i64, offset_at: impl Fn(i64) -> i64) -> Self {
        let mut zone = Self { first: offset_at(from), changes: Vec::new() };
        let mut before = (from, zone.first);
        for second in (from..=to).step_by(STEP) {
            let sample = (second, offset_at(second));
            if sample.1 != before.1 {
                zone.changes.push((change_between(before, second, &offset_at), sample.1));
            }
            before = sample;
        }
        zone
    }

    /// How far local time is ahead of UTC at a unix second.
    pub fn offset_at(&self, second: i64) -> i64 {
        let passed = self.changes.partition_point(|(since, _)| *since <= second);
        passed.checked_sub(1).map_or(self.first, |last| self.changes[last].1)
    }

    /// The local time of a unix second, counted as if it were UTC.
    pub fn to_local(&self, second: i64) -> i64 {
        second.saturating_add(self.offset_at(second))
    }

    /// The unix second of a local time. Of two that an autumn night has, one of them; of none that a spring night skips, one beside.
    pub fn to_unix(&self, local: i64) -> i64 {
        let guess = local.saturating_sub(self.offset_at(local));
        local.saturating_sub(self.offset_at(guess))
    }
}

/// The second from which on the offset is no longer that of `before`, but that of `after`.
fn change_between(before: (i64, i64), after: i64, offset_at: impl Fn(i64) -> i64) -> i64 {
    let (mut old, mut new) = (before.0, after);
    while new - old > 1 {
        let middle = old + (new - old) / 2;
        if offset_at(middle) == before.1 { old = middle } else { new = middle }
    }
    new
}

/// The zone of the process: one writes it, drivers read it. UTC until it is set.
#[derive(Debug, Clone, Default)]
pub struct SharedTimeZone(Arc<RwLock<TimeZone>>);

impl SharedTimeZone {
    /// From now on this zone holds.
    pub fn set(&self, zone: TimeZone) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = zone;
    }

    /// The zone that holds now.
    pub fn get(&self) -> TimeZone {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    /// Sunday, 2023-03-26 01:00 UTC and 2023-10-29 01:00 UTC, when Berlin changes.
    const SPRING: i64 = 1_679_792_400;
    const AUTUMN: i64 = 1_698_541_200;

    fn berlin() -> TimeZone {
        let summer = SPRING..AUTUMN;
        TimeZone::sampled(SPRING - 9_999_999, AUTUMN + 9_999_999, |second| if summer.contains(&second) { 2 * HOUR } else { HOUR })
    }

    #[test]
    fn a_zone_is_utc_until_it_is_known() {
        let shared = SharedTimeZone::default();
        assert_eq!((shared.get().to_local(5), shared.get().to_unix(5)), (5, 5));
        shared.clone().set(TimeZone::sampled(0, 1, |_| 8 * HOUR));
        assert_eq!((shared.get().to_local(5), shared.get().to_unix(5 + 8 * HOUR)), (5 + 8 * HOUR, 5));
    }

    #[test]
    fn samples_find_the_very_second_of_a_change() {
        let zone = berlin();
        assert_eq!(zone.changes, [(SPRING, 2 * HOUR), (AUTUMN, HOUR)]);
        for (second, offset) in [(i64::MIN, HOUR), (SPRING - 1, HOUR), (SPRING, 2 * HOUR), (AUTUMN - 1, 2 * HOUR), (AUTUMN, HOUR)]
        {
            assert_eq!(zone.offset_at(second), offset, "{second}");
        }
    }

    #[test]
    fn local_time_is_read_back_as_the_second_it_was_written_in() {
        let zone = berlin();
        // The hour before the change in autumn has a twin after it.
        for second in [SPRING - 1, SPRING, SPRING + 5 * HOUR, AUTUMN - HOUR - 1, AUTUMN + HOUR, AUTUMN + 99 * HOUR] {
            assert_eq!(zone.to_unix(zone.to_local(second)), second, "{second}");
        }
        assert!([0, HOUR].contains(&(zone.to_unix(zone.to_local(AUTUMN)) - AUTUMN).abs()));
        assert_eq!(zone.to_unix(i64::MIN), i64::MIN);
    }
}
