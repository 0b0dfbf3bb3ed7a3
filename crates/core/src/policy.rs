//! What becomes of a job: pure decisions over values.

use std::time::Duration;

use crate::backoff::Backoff;

/// How often a job may be attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tries {
    /// As often as it takes.
    #[default]
    Unlimited,
    /// In attempt number `n` it fails for good. A payload with the string `"0"` means `Limit(0)`: it fails at once, as in
    /// think-queue (`worker/worker-payload-maxTries-string-0`).
    Limit(i64),
}

impl Tries {
    /// The meaning of a number as an option or a payload gives it: 0 is unlimited.
    pub fn from_number(number: i64) -> Self {
        if number == 0 { Tries::Unlimited } else { Tries::Limit(number) }
    }
}

/// What a handler class says of its jobs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HandlerLimits {
    /// `public $tries`
    pub tries: Option<Tries>,
    /// `public $timeout`
    pub timeout: Option<Duration>,
    /// `public $backoff`
    pub backoff: Option<Backoff>,
}

/// When a job that used up its tries is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExhaustionRule {
    /// When its last attempt fails, as think-queue v3 does.
    #[default]
    InTheLastAttempt,
    /// When it is reserved once more: a failed attempt always releases it, as v1 and v2 do
    /// (`worker/worker-throws-at-tries-limit-still-released`, `worker/worker-exceeds-tries-fails`).
    AtTheNextReserve,
}

/// What one job may do. The payload's word counts before the handler's, and that before the worker's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RetryPolicy {
    /// Attempts allowed.
    pub tries: Tries,
    /// Unix second after which it is not run any more. While it lies ahead, a job starts whatever its tries.
    pub deadline: Option<i64>,
    /// How long until the next attempt.
    pub backoff: Backoff,
    /// When it is given up.
    pub verdict: ExhaustionRule,
}

impl RetryPolicy {
    /// Whether attempt number `attempts` may start (`worker/worker-timeoutAt-*`, `worker/worker-*-tries-*`).
    pub fn may_start(&self, attempts: u32, now: i64) -> bool {
        match (self.deadline, self.tries) {
            (Some(deadline), _) => now <= deadline,
            (None, Tries::Unlimited) => true,
            (None, Tries::Limit(tries)) => i64::from(attempts) <= tries,
        }
    }

    /// Whether no other attempt follows this one.
    pub fn is_last(&self, attempts: u32, now: i64) -> bool {
        let late = self.deadline.is_some_and(|deadline| deadline <= now);
        let tried = matches!(self.tries, Tries::Limit(tries) if tries > 0 && i64::from(attempts) >= tries);
        late || tried
    }

    /// Whether the job is given up when this attempt fails.
    pub fn exhausted(&self, attempts: u32, now: i64) -> bool {
        match self.verdict {
            ExhaustionRule::InTheLastAttempt => self.is_last(attempts, now),
            ExhaustionRule::AtTheNextReserve => false,
        }
    }
}

/// How a handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It deleted, released or failed the job itself.
    Settled,
    /// It returned without a word.
    Returned,
    /// We stopped it before it could finish, because its worker was told to leave.
    Interrupted,
    /// Somebody else holds the job now.
    Lost,
    /// It threw.
    Threw,
    /// It ran longer than its timeout and was stopped.
    TimedOut,
    /// It ended the process: `exit()` or a fatal error.
    Exited,
    /// There is no such class or method.
    NoHandler,
}

/// What the worker does with the reservation then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it is settled, or not ours.
    Nothing,
    /// It stays reserved and comes back after `retry_after`.
    Leave,
    /// It is removed.
    Delete,
    /// It comes back after so many seconds.
    Release(i64),
    /// It goes back as it came: its original bytes, at the head of the queue, no attempt burnt.
    GiveBack,
    /// It goes to the failed store.
    Bury,
}

/// What a handler that returned without a word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnReturn {
    /// The job stays reserved and comes back after `retry_after`, as in think-queue.
    #[default]
    Leave,
    /// The job is done.
    Delete,
}

/// What becomes of a reservation once its handler is finished.
///
/// `random` is drawn from 0.0 to 1.0, for a backoff with jitter.
pub fn decide(outcome: Outcome, attempts: u32, policy: &RetryPolicy, on_return: OnReturn, now: i64, random: f64) -> Decision {
    match outcome {
        Outcome::Settled | Outcome::Lost => Decision::Nothing,
        Outcome::Returned => match on_return {
            OnReturn::Leave => Decision::Leave,
            OnReturn::Delete => Decision::Delete,
        },
        Outcome::Interrupted => Decision::GiveBack,
        Outcome::NoHandler => Decision::Bury,
        Outcome::Threw | Outcome::TimedOut | Outcome::Exited if policy.exhausted(attempts, now) => Decision::Bury,
        Outcome::Threw | Outcome::TimedOut | Outcome::Exited => Decision::Release(policy.backoff.seconds(attempts, random)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(n: i64) -> RetryPolicy {
        RetryPolicy { tries: Tries::from_number(n), backoff: Backoff::Fixed(5), ..RetryPolicy::default() }
    }

    fn after_throw(attempts: u32, policy: &RetryPolicy, now: i64) -> Decision {
        decide(Outcome::Threw, attempts, policy, OnReturn::Leave, now, 0.0)
    }

    #[test]
    fn a_throw_releases_until_the_last_attempt_buries() {
        assert_eq!(after_throw(1, &tries(3), 0), Decision::Release(5));
        assert_eq!(after_throw(3, &tries(3), 0), Decision::Bury);
        assert_eq!(after_throw(9999, &tries(0), 0), Decision::Release(5));
    }

    #[test]
    fn in_v1_every_throw_releases_and_the_next_reserve_gives_up() {
        let policy = RetryPolicy { verdict: ExhaustionRule::AtTheNextReserve, ..tries(3) };
        assert_eq!(after_throw(3, &policy, 0), Decision::Release(5));
        assert!(policy.is_last(3, 0) && !policy.is_last(2, 0), "a release only leads to its burial");
        assert_eq!(decide(Outcome::NoHandler, 1, &policy, OnReturn::Leave, 0, 0.0), Decision::Bury);
        assert!(policy.may_start(3, 0));
        assert!(!policy.may_start(4, 0));
    }

    #[test]
    fn tries_are_checked_before_the_start_too() {
        assert!(tries(1).may_start(1, 0));
        assert!(!tries(1).may_start(2, 0));
        assert!(tries(0).may_start(51, 0));
        assert!(!RetryPolicy { tries: Tries::Limit(0), ..tries(0) }.may_start(51, 0));
    }

    #[test]
    fn a_deadline_ahead_lets_a_job_start_whatever_its_tries() {
        let policy = RetryPolicy { deadline: Some(100), ..tries(1) };
        assert!(policy.may_start(51, 99));
        assert!(policy.may_start(6, 100));
        assert!(!policy.may_start(1, 101));
        assert_eq!(after_throw(1, &RetryPolicy { deadline: Some(100), ..tries(0) }, 100), Decision::Bury);
        assert_eq!(after_throw(5, &RetryPolicy { deadline: Some(199), ..tries(3) }, 100), Decision::Bury);
    }

    #[test]
    fn a_silent_return_leaves_the_job_unless_told_otherwise() {
        assert_eq!(decide(Outcome::Returned, 1, &tries(1), OnReturn::Leave, 0, 0.0), Decision::Leave);
        assert_eq!(decide(Outcome::Returned, 1, &tries(1), OnReturn::Delete, 0, 0.0), Decision::Delete);
    }

    #[test]
    fn an_exit_counts_as_a_throw() {
        assert_eq!(decide(Outcome::Exited, 3, &tries(3), OnReturn::Leave, 0, 0.0), Decision::Bury);
        assert_eq!(decide(Outcome::Exited, 2, &tries(3), OnReturn::Leave, 0, 0.0), Decision::Release(5));
    }

    #[test]
    fn what_we_interrupted_burns_no_attempt_not_even_the_last() {
        assert_eq!(decide(Outcome::Interrupted, 3, &tries(3), OnReturn::Delete, 0, 0.0), Decision::GiveBack);
    }

    #[test]
    fn what_is_settled_or_lost_is_not_touched() {
        for outcome in [Outcome::Settled, Outcome::Lost] {
            assert_eq!(decide(outcome, 9, &tries(1), OnReturn::Delete, 0, 0.0), Decision::Nothing);
        }
    }
}
