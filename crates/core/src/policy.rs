//! What becomes of a job: pure decisions over values.

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

/// What one job may do, from its payload and the worker's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryPolicy {
    /// Attempts allowed.
    pub tries: Tries,
    /// Unix second after which it is not run any more. While it lies ahead, a job starts whatever its tries.
    pub deadline: Option<i64>,
    /// Seconds until the next attempt.
    pub delay: i64,
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

    /// Whether a failed attempt was the last.
    pub fn exhausted(&self, attempts: u32, now: i64) -> bool {
        let late = self.deadline.is_some_and(|deadline| deadline <= now);
        let tried = matches!(self.tries, Tries::Limit(tries) if tries > 0 && i64::from(attempts) >= tries);
        late || tried
    }
}

/// How a handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It deleted, released or failed the job itself.
    Settled,
    /// It returned without a word.
    Returned,
    /// We stopped it before it could finish.
    Interrupted,
    /// Somebody else holds the job now.
    Lost,
    /// It threw.
    Threw,
    /// It ended the process: `exit()` or a fatal error.
    Exited,
    /// There is no such class or method.
    NoHandler,
}

/// What the worker does with the reservation then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Nothing: it is settled, or not ours.
    Nothing,
    /// It stays reserved and comes back after `retry_after`.
    Leave,
    /// It is removed.
    Delete,
    /// It comes back after so many seconds.
    Release(i64),
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
pub fn decide(outcome: Outcome, attempts: u32, policy: &RetryPolicy, on_return: OnReturn, now: i64) -> Settlement {
    match outcome {
        Outcome::Settled | Outcome::Lost => Settlement::Nothing,
        Outcome::Returned => match on_return {
            OnReturn::Leave => Settlement::Leave,
            OnReturn::Delete => Settlement::Delete,
        },
        Outcome::Interrupted => Settlement::Release(0),
        Outcome::NoHandler => Settlement::Bury,
        Outcome::Threw | Outcome::Exited if policy.exhausted(attempts, now) => Settlement::Bury,
        Outcome::Threw | Outcome::Exited => Settlement::Release(policy.delay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(n: i64) -> RetryPolicy {
        RetryPolicy { tries: Tries::from_number(n), deadline: None, delay: 5 }
    }

    fn after_throw(attempts: u32, policy: &RetryPolicy, now: i64) -> Settlement {
        decide(Outcome::Threw, attempts, policy, OnReturn::Leave, now)
    }

    #[test]
    fn a_throw_releases_until_the_last_attempt_buries() {
        assert_eq!(after_throw(1, &tries(3), 0), Settlement::Release(5));
        assert_eq!(after_throw(3, &tries(3), 0), Settlement::Bury);
        assert_eq!(after_throw(9999, &tries(0), 0), Settlement::Release(5));
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
        assert_eq!(after_throw(1, &RetryPolicy { deadline: Some(100), ..tries(0) }, 100), Settlement::Bury);
        assert_eq!(after_throw(5, &RetryPolicy { deadline: Some(199), ..tries(3) }, 100), Settlement::Bury);
    }

    #[test]
    fn a_silent_return_leaves_the_job_unless_told_otherwise() {
        assert_eq!(decide(Outcome::Returned, 1, &tries(1), OnReturn::Leave, 0), Settlement::Leave);
        assert_eq!(decide(Outcome::Returned, 1, &tries(1), OnReturn::Delete, 0), Settlement::Delete);
    }

    #[test]
    fn an_exit_counts_as_a_throw() {
        assert_eq!(decide(Outcome::Exited, 3, &tries(3), OnReturn::Leave, 0), Settlement::Bury);
        assert_eq!(decide(Outcome::Exited, 2, &tries(3), OnReturn::Leave, 0), Settlement::Release(5));
    }

    #[test]
    fn what_is_settled_or_lost_is_not_touched() {
        for outcome in [Outcome::Settled, Outcome::Lost] {
            assert_eq!(decide(outcome, 9, &tries(1), OnReturn::Delete, 0), Settlement::Nothing);
        }
    }
}
