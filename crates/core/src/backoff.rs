//! How long a failed job waits for its next attempt.

/// Seconds until the next attempt, by the number of the one that failed.
#[derive(Debug, Clone, PartialEq)]
pub enum Backoff {
    /// Always the same.
    Fixed(i64),
    /// The first number after the first attempt, the second after the second; the last one repeats. Empty means 0.
    List(Vec<i64>),
    /// `base`, twice that, four times that, at most `cap`.
    Exponential {
        /// Seconds after the first attempt.
        base: i64,
        /// The most seconds.
        cap: i64,
        /// The share of the delay that is random, 0.0 to 1.0: with 0.5 a delay of 8 s is 4 to 8 s.
        jitter: f64,
    },
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::Fixed(0)
    }
}

impl Backoff {
    /// The most seconds of an exponential backoff that names none: an hour.
    pub const CAP: i64 = 3600;

    /// The delay after attempt number `attempts`, 1 for the first. `random` is drawn from 0.0 to 1.0.
    pub fn seconds(&self, attempts: u32, random: f64) -> i64 {
        let done = usize::try_from(attempts.max(1) - 1).unwrap_or(usize::MAX);
        match self {
            Backoff::Fixed(seconds) => *seconds,
            Backoff::List(list) => list.get(done).or(list.last()).copied().unwrap_or(0),
            Backoff::Exponential { base, cap, jitter } => {
                let doubled = u32::try_from(done).ok().and_then(|done| 2_i64.checked_pow(done)).unwrap_or(i64::MAX);
                let whole = base.saturating_mul(doubled).min(*cap);
                let random_part = whole as f64 * jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0);
                whole - random_part as i64
            }
        }
        .max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(backoff: &Backoff, random: f64) -> Vec<i64> {
        (1..=6).map(|attempts| backoff.seconds(attempts, random)).collect()
    }

    #[test]
    fn a_list_goes_step_by_step_and_its_last_number_repeats() {
        assert_eq!(delays(&Backoff::List(vec![1, 5, 30]), 0.0), [1, 5, 30, 30, 30, 30]);
        assert_eq!(delays(&Backoff::List(Vec::new()), 0.0), [0; 6]);
        assert_eq!(delays(&Backoff::Fixed(7), 0.9), [7; 6]);
    }

    #[test]
    fn an_exponential_backoff_doubles_up_to_its_cap() {
        let backoff = Backoff::Exponential { base: 2, cap: 20, jitter: 0.0 };
        assert_eq!(delays(&backoff, 0.5), [2, 4, 8, 16, 20, 20]);
        assert_eq!(backoff.seconds(u32::MAX, 0.5), 20);
    }

    #[test]
    fn jitter_takes_away_and_never_adds() {
        let backoff = Backoff::Exponential { base: 8, cap: 100, jitter: 0.5 };
        assert_eq!(backoff.seconds(1, 0.0), 8);
        assert_eq!(backoff.seconds(1, 1.0), 4);
    }
}
