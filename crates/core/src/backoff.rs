//! How long a failed job waits for its next attempt.

use crate::clock::LONGEST_SECONDS;

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

    /// For jobs of which nobody said anything: 1, 2, 4, ... up to 60 s, up to half of it random. What fails together does not
    /// come back together, and a job that always fails costs next to nothing.
    pub const STANDARD: Backoff = Backoff::Exponential { base: 1, cap: 60, jitter: 0.5 };

    /// Of the tasks on RabbitMQ: 2, 4, 8, ... up to 60 s (`handler returns failure, max_retries 3`).
    pub const RABBITMQ_TASK: Backoff = Backoff::Exponential { base: 2, cap: 60, jitter: 0.0 };

    /// Of the plain tasks on Redis: 60, 120, 240 s and so on, without a cap but that of every pause.
    pub const REDIS_TASK: Backoff = Backoff::Exponential { base: 60, cap: LONGEST_SECONDS, jitter: 0.0 };

    /// As [`Backoff::seconds`], but never past a deadline: a unix second at which the job may still start. Once it is over, 0.
    pub fn seconds_until(&self, deadline: Option<i64>, attempts: u32, now: i64, random: f64) -> i64 {
        let left = deadline.map_or(i64::MAX, |deadline| deadline.saturating_sub(now).max(0));
        self.seconds(attempts, random).min(left)
    }

    /// The delay after attempt number `attempts`, 1 for the first; ten years at most. `random` is drawn from 0.0 to 1.0.
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
        .clamp(0, LONGEST_SECONDS)
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
    fn the_standard_backoff_goes_from_a_second_to_a_minute_and_spreads() {
        assert_eq!(
            (1..=8).map(|attempts| Backoff::STANDARD.seconds(attempts, 0.0)).collect::<Vec<_>>(),
            [1, 2, 4, 8, 16, 32, 60, 60]
        );
        assert_eq!(
            (1..=8).map(|attempts| Backoff::STANDARD.seconds(attempts, 1.0)).collect::<Vec<_>>(),
            [1, 1, 2, 4, 8, 16, 30, 30]
        );
        assert!((1..=1000).all(|attempts| Backoff::STANDARD.seconds(attempts, 1.0) >= 1), "never at once");
    }

    #[test]
    fn tasks_wait_as_their_formats_say() {
        assert_eq!(delays(&Backoff::RABBITMQ_TASK, 1.0), [2, 4, 8, 16, 32, 60]);
        assert_eq!(delays(&Backoff::REDIS_TASK, 1.0), [60, 120, 240, 480, 960, 1920]);
    }

    #[test]
    fn a_pause_ends_at_the_deadline_at_the_latest() {
        let backoff = Backoff::Fixed(60);
        assert_eq!(backoff.seconds_until(None, 1, 100, 0.0), 60);
        for (deadline, pause) in [(161, 60), (160, 60), (130, 30), (100, 0), (99, 0), (i64::MIN, 0), (i64::MAX, 60)] {
            assert_eq!(backoff.seconds_until(Some(deadline), 1, 100, 0.0), pause, "{deadline}");
        }
    }

    #[test]
    fn no_number_makes_a_pause_negative_or_longer_than_ten_years() {
        const EXTREMES: [i64; 7] = [i64::MIN, -1, 0, 1, 60, i64::MAX - 1, i64::MAX];
        const SHARES: [f64; 7] = [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 0.5, 1.0, f64::INFINITY];
        let backoffs = EXTREMES.into_iter().flat_map(|base| {
            let exponential = |(cap, jitter)| Backoff::Exponential { base, cap, jitter };
            let capped = EXTREMES.into_iter().flat_map(|cap| SHARES.map(|jitter| (cap, jitter))).map(exponential);
            capped.chain([Backoff::Fixed(base), Backoff::List(vec![base])]).collect::<Vec<_>>()
        });
        for backoff in backoffs {
            for attempts in [0, 1, 2, 62, 63, 64, 65, u32::MAX] {
                for random in SHARES {
                    let pause = backoff.seconds(attempts, random);
                    assert!((0..=LONGEST_SECONDS).contains(&pause), "{backoff:?} after {attempts}: {pause}");
                    let until = EXTREMES.map(|at| backoff.seconds_until(Some(at), attempts, at.saturating_neg(), random));
                    assert!(until.iter().all(|until| (0..=pause).contains(until)), "{backoff:?} after {attempts}: {until:?}");
                }
            }
        }
    }

    #[test]
    fn jitter_takes_away_and_never_adds() {
        let backoff = Backoff::Exponential { base: 8, cap: 100, jitter: 0.5 };
        assert_eq!(backoff.seconds(1, 0.0), 8);
        assert_eq!(backoff.seconds(1, 1.0), 4);
    }
}
