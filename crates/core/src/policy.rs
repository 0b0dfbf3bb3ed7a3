//! How often a job is tried and how its reservation ends: pure decisions over values.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::broker::Settlement;
use crate::failed::Failure;

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

/// The limits that a handler class sets for its jobs.
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

/// What one job may do. The payload is asked first, then the handler, then the worker.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RetryPolicy {
    /// Attempts allowed.
    pub tries: Tries,
    /// Unix second after which it is not run any more. While it lies ahead, a job starts whatever its tries.
    pub deadline: Option<i64>,
    /// How long until the next attempt.
    pub backoff: Backoff,
    /// When it is given up.
    pub exhaustion: ExhaustionRule,
    /// What it means when the handler returns without settling the job.
    pub on_return: OnReturn,
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

    /// Whether a job is given up whose class does not exist: its tries and ten attempts are both used up, or its deadline is over.
    pub fn gives_up_missing_class(&self, attempts: u32, now: i64) -> bool {
        let late = self.deadline.is_some_and(|deadline| deadline <= now);
        let tried = match self.tries {
            Tries::Unlimited => true,
            Tries::Limit(tries) => i64::from(attempts) >= tries,
        };
        late || (tried && attempts >= MISSING_CLASS_ATTEMPTS)
    }

    /// The policy once the job itself said whether it is tried again: its answer takes the place of its tries.
    pub fn answered(self, again: bool, attempts: u32) -> Self {
        let tries = if again { Tries::Unlimited } else { Tries::Limit(i64::from(attempts)) };
        Self { tries, ..self }
    }

    /// Whether the job is given up when this attempt fails.
    pub fn exhausted(&self, attempts: u32, now: i64) -> bool {
        match self.exhaustion {
            ExhaustionRule::InTheLastAttempt => self.is_last(attempts, now),
            ExhaustionRule::AtTheNextReserve => false,
        }
    }
}

/// How a handler ended that left its job to the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It returned without settling the job.
    Returned,
    /// It threw, ran longer than its timeout, or ended the process.
    Failed,
    /// The worker stopped it before it could finish, because the worker itself was asked to stop.
    Interrupted,
    /// There is no such class in this process. Another machine, or the next release, may have it.
    NoHandler,
    /// It will never be called: its class is not allowed or has no such method, or the payload cannot be decoded.
    NotCallable,
}

/// How often a job is tried at least whose class does not exist: two to four minutes with the standard backoff.
const MISSING_CLASS_ATTEMPTS: u32 = 10;

/// What a handler means that returns without settling its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnReturn {
    /// The job stays reserved and comes back after `retry_after`, as in think-queue.
    #[default]
    Leave,
    /// The job is done.
    Delete,
}

/// How the reservation ends once its handler has ended.
///
/// `random` is drawn from 0.0 to 1.0, for a backoff with jitter. `failure` is asked only when the job goes to the failed store.
pub fn decide(
    outcome: Outcome,
    attempts: u32,
    policy: &RetryPolicy,
    now: i64,
    random: f64,
    failure: impl FnOnce() -> Failure,
) -> Settlement {
    match outcome {
        Outcome::Returned => match policy.on_return {
            OnReturn::Leave => Settlement::Leave,
            OnReturn::Delete => Settlement::Delete,
        },
        Outcome::Interrupted => Settlement::GiveBack,
        Outcome::Failed if !policy.exhausted(attempts, now) => {
            Settlement::Release { delay: policy.backoff.seconds_until(policy.deadline, attempts, now, random) }
        }
        // Its own backoff counts for a handler that ran: thousands of jobs may lack their class at once, and a delay of 0 would spin.
        Outcome::NoHandler if !policy.gives_up_missing_class(attempts, now) => {
            Settlement::Release { delay: Backoff::STANDARD.seconds_until(policy.deadline, attempts, now, random) }
        }
        Outcome::Failed | Outcome::NoHandler | Outcome::NotCallable => Settlement::Bury(Box::new(failure())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failed::Reason;

    fn tries(n: i64) -> RetryPolicy {
        RetryPolicy { tries: Tries::from_number(n), backoff: Backoff::Fixed(5), ..RetryPolicy::default() }
    }

    fn failure() -> Failure {
        Failure { connection: "c".into(), payload: Vec::new(), reason: Reason::Exception, exception: "boom".into(), attempts: 1 }
    }

    /// The settlement in short, so that tests can compare it.
    fn ends(outcome: Outcome, attempts: u32, policy: &RetryPolicy, now: i64) -> String {
        match decide(outcome, attempts, policy, now, 0.0, failure) {
            Settlement::Bury(failure) => format!("bury {}", failure.exception),
            Settlement::Release { delay } => format!("release {delay}"),
            other => format!("{other:?}"),
        }
    }

    fn after_failure(attempts: u32, policy: &RetryPolicy, now: i64) -> String {
        ends(Outcome::Failed, attempts, policy, now)
    }

    #[test]
    fn a_failure_releases_until_the_last_attempt_buries() {
        assert_eq!(after_failure(1, &tries(3), 0), "release 5");
        assert_eq!(after_failure(3, &tries(3), 0), "bury boom");
        assert_eq!(after_failure(9999, &tries(0), 0), "release 5");
    }

    #[test]
    fn in_v1_every_failure_releases_and_the_next_reserve_gives_up() {
        let policy = RetryPolicy { exhaustion: ExhaustionRule::AtTheNextReserve, ..tries(3) };
        assert_eq!(after_failure(3, &policy, 0), "release 5");
        assert!(policy.is_last(3, 0) && !policy.is_last(2, 0), "a release only leads to its burial");
        assert_eq!(ends(Outcome::NotCallable, 1, &policy, 0), "bury boom");
        assert_eq!(ends(Outcome::NoHandler, 10, &policy, 0), "bury boom");
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
        assert_eq!(after_failure(1, &RetryPolicy { deadline: Some(100), ..tries(0) }, 100), "bury boom");
        assert_eq!(after_failure(5, &RetryPolicy { deadline: Some(199), ..tries(3) }, 100), "bury boom");
    }

    #[test]
    fn the_answer_of_a_job_takes_the_place_of_its_tries() {
        assert_eq!(after_failure(1, &tries(3).answered(false, 1), 0), "bury boom");
        assert_eq!(after_failure(3, &tries(3).answered(true, 3), 0), "release 5");
        assert_eq!(
            ends(Outcome::Returned, 1, &RetryPolicy { on_return: OnReturn::Delete, ..tries(1) }.answered(false, 1), 0),
            "Delete"
        );
    }

    #[test]
    fn a_silent_return_leaves_the_job_unless_configured_otherwise() {
        assert_eq!(ends(Outcome::Returned, 1, &tries(1), 0), "Leave");
        assert_eq!(ends(Outcome::Returned, 1, &RetryPolicy { on_return: OnReturn::Delete, ..tries(1) }, 0), "Delete");
    }

    #[test]
    fn a_missing_class_is_waited_for_until_its_tries_and_ten_attempts_are_used_up() {
        let delays: Vec<String> = (1..=10).map(|attempts| ends(Outcome::NoHandler, attempts, &tries(1), 0)).collect();
        let waits = [1, 2, 4, 8, 16, 32, 60, 60, 60].map(|delay| format!("release {delay}"));
        assert_eq!(delays[..9], waits);
        assert_eq!(delays[9], "bury boom");
        assert_eq!(ends(Outcome::NoHandler, 10, &tries(0), 0), "bury boom");
        assert_eq!(ends(Outcome::NoHandler, 10, &tries(12), 0), "release 60");
        assert_eq!(ends(Outcome::NoHandler, 12, &tries(12), 0), "bury boom");
        let at_once = RetryPolicy { backoff: Backoff::Fixed(0), ..tries(0) };
        assert_eq!(ends(Outcome::NoHandler, 3, &at_once, 0), "release 4", "an explicit 0 is for handlers that ran");
        assert_eq!(ends(Outcome::NoHandler, 1, &RetryPolicy { deadline: Some(5), ..tries(0) }, 5), "bury boom");
    }

    #[test]
    fn a_pause_ends_at_the_deadline() {
        let policy = RetryPolicy { deadline: Some(103), ..tries(0) };
        assert_eq!(after_failure(1, &policy, 100), "release 3");
        assert_eq!(after_failure(1, &policy, 90), "release 5");
        assert_eq!(ends(Outcome::NoHandler, 9, &policy, 100), "release 3");
    }

    #[test]
    fn an_interruption_burns_no_attempt_not_even_the_last() {
        assert_eq!(ends(Outcome::Interrupted, 3, &RetryPolicy { on_return: OnReturn::Delete, ..tries(3) }, 0), "GiveBack");
    }
}
