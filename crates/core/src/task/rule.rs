//! What becomes of a task: tries, pauses, expiry. Pure; the time is an argument.

use super::body::{LONGEST_TTL, Task};
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Result};

/// The longest pause before a retry, in seconds.
pub const LONGEST_PAUSE: u32 = 60;

/// The property `expiration`: milliseconds as text. An error when the task expired already: the broker would close the channel.
pub fn expiration(expire_at: i64, now: i64) -> Result<String> {
    let left = expire_at.saturating_sub(now);
    if left < 0 {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("the task expired {} s ago", left.saturating_neg()))
            .with_advice("give it a ttl of 0 or more; 0 goes to the dead letters at once, unless a consumer is waiting"));
    }
    match left.checked_mul(1000).filter(|_| left <= LONGEST_TTL) {
        Some(milliseconds) => Ok(milliseconds.to_string()),
        None => Err(Error::new(ErrorKind::InvalidArgument, format!("a ttl of {left} s cannot be carried"))
            .with_advice("RabbitMQ carries 4294967 s, which are 49 days; the queues keep a task for 24 hours at most")),
    }
}

/// What becomes of a task whose execution failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It is executed again.
    Retry {
        /// Executions that failed, this one included.
        count: i64,
        /// Seconds until then.
        pause: i64,
    },
    /// It was the last time.
    Dead {
        /// Executions that failed, this one included.
        count: i64,
        /// Whether tries were left, but no time.
        too_late: bool,
    },
}

/// What limits the executions of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskLimits {
    /// Executions at most: 3 means three; 0 and 1 both mean one.
    pub executions: i64,
    /// The unix second at which it expires.
    pub expire_at: i64,
    /// The pauses between executions: by default 2, 4, 8 up to 60 s.
    pub backoff: Backoff,
}

/// Decides after a failed execution. `random` is drawn from 0.0 to 1.0, for jitter.
pub fn next(current_retry: i64, limits: &TaskLimits, now: i64, random: f64) -> Next {
    let count = current_retry.saturating_add(1);
    if count >= limits.executions {
        return Next::Dead { count, too_late: false };
    }
    let attempts = u32::try_from(count.max(0)).unwrap_or(u32::MAX);
    let pause = limits.backoff.seconds(attempts, random);
    // The broker would throw it away on its way.
    if now.saturating_add(pause) >= limits.expire_at {
        Next::Dead { count, too_late: true }
    } else {
        Next::Retry { count, pause }
    }
}

/// What to do with a task that the broker delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// Run it.
    Run,
    /// Its time is over.
    Expired,
    /// Whoever had it died, and may have died of it: it is published again with so many failed executions.
    Counted(i64),
    /// The same, but that was its last try. It may be innocent, so it gets one more.
    LastChance,
    /// It had its last chance, and whoever had it died again.
    CrashLoop,
}

/// Decides what to do with a delivery.
pub fn arrival(task: &Task, redelivered: bool, had_last_chance: bool, now: i64) -> Arrival {
    if task.has_expired(now) {
        return Arrival::Expired;
    }
    match (redelivered, task.current_retry.saturating_add(1)) {
        (false, _) => Arrival::Run,
        (true, _) if had_last_chance => Arrival::CrashLoop,
        (true, count) if count < task.max_retries => Arrival::Counted(count),
        (true, _) => Arrival::LastChance,
    }
}

/// What to do with a message that only a decoder can read. Its count of executions is not known before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignArrival {
    /// Decode it.
    Decode,
    /// Whoever had it died, and the decoder may have killed it: it is published again with a mark, to be decoded alone.
    Mark,
    /// It is the marked one: decode it alone, and count what the task stands for as an execution that failed.
    DecodeCounted,
    /// Whoever decoded it alone died again.
    CrashLoop,
}

/// Decides what to do with a delivery of such a message.
pub fn foreign_arrival(redelivered: bool, is_marked: bool) -> ForeignArrival {
    match (redelivered, is_marked) {
        (false, false) => ForeignArrival::Decode,
        (true, false) => ForeignArrival::Mark,
        (false, true) => ForeignArrival::DecodeCounted,
        (true, true) => ForeignArrival::CrashLoop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(body: &str) -> Task {
        Task::decode(body.as_bytes(), None, 0).unwrap()
    }

    /// With the pauses of a task whose handler names none.
    fn next(current_retry: i64, executions: i64, expire_at: i64, now: i64) -> Next {
        super::next(current_retry, &TaskLimits { executions, expire_at, backoff: Backoff::RABBITMQ_TASK }, now, 1.0)
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pause = |count: i64| match next(count - 1, i64::MAX, i64::MAX, 0) {
            Next::Retry { pause, .. } => pause,
            Next::Dead { .. } => panic!("tries are left"),
        };
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 1000].map(pause), [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn the_pauses_of_a_handler_replace_those_of_the_design() {
        let pause = |count: i64, backoff: Backoff| {
            super::next(count - 1, &TaskLimits { executions: 9, expire_at: 1000, backoff }, 0, 0.0)
        };
        assert_eq!(pause(2, Backoff::List(vec![1, 90])), Next::Retry { count: 2, pause: 90 });
        assert_eq!(pause(1, Backoff::Fixed(0)), Next::Retry { count: 1, pause: 0 });
        assert_eq!(pause(1, Backoff::Fixed(1000)), Next::Dead { count: 1, too_late: true });
    }

    #[test]
    fn three_retries_mean_three_executions_and_none_or_one_mean_one() {
        let far = i64::MAX;
        assert_eq!(next(0, 3, far, 0), Next::Retry { count: 1, pause: 2 });
        assert_eq!(next(1, 3, far, 0), Next::Retry { count: 2, pause: 4 });
        assert_eq!(next(2, 3, far, 0), Next::Dead { count: 3, too_late: false });
        assert_eq!(next(0, 1, far, 0), Next::Dead { count: 1, too_late: false });
        assert_eq!(next(0, 0, far, 0), Next::Dead { count: 1, too_late: false });
        assert_eq!(next(i64::MAX, i64::MAX, far, 0), Next::Dead { count: i64::MAX, too_late: false });
    }

    #[test]
    fn a_retry_that_would_come_too_late_is_none() {
        assert_eq!(next(0, 3, 12, 10), Next::Dead { count: 1, too_late: true });
        assert_eq!(next(0, 3, 13, 10), Next::Retry { count: 1, pause: 2 });
    }

    #[test]
    fn no_number_in_a_task_overflows_a_decision() {
        const EXTREMES: [i64; 8] = [i64::MIN, i64::MIN + 1, -1, 0, 1, 60, i64::MAX - 1, i64::MAX];
        for retry in EXTREMES {
            for most in EXTREMES {
                for expire_at in EXTREMES {
                    let numbers =
                        format!(r#""current_retry":{retry},"max_retries":{most},"expire_at":{expire_at},"created_at":{most}"#);
                    let task = task(&format!(r#"{{"task_id":"i","task_type":"t",{numbers}}}"#));
                    for now in EXTREMES {
                        for (redelivered, last) in [(false, false), (true, false), (true, true)] {
                            if let Arrival::Counted(count) = arrival(&task, redelivered, last, now) {
                                assert!(count > 0 && count < most, "{count} of {most}");
                            }
                        }
                        match next(task.current_retry, task.max_retries, task.expire_at, now) {
                            Next::Retry { pause, .. } => assert!((1..=60).contains(&pause)),
                            Next::Dead { count, .. } => assert!(count > 0),
                        }
                        let _ = expiration(expire_at, now);
                    }
                }
            }
        }
    }

    #[test]
    fn expiration_is_milliseconds_and_never_negative() {
        assert_eq!(expiration(1_700_000_010, 1_700_000_000).unwrap(), "10000");
        assert_eq!(expiration(5, 5).unwrap(), "0");
        assert_eq!(expiration(4_294_967, 0).unwrap(), "4294967000");
        for wrong in [expiration(4, 5), expiration(4_294_968, 0), expiration(i64::MAX, i64::MIN)] {
            assert_eq!(wrong.unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn a_message_that_kills_its_decoder_ends_and_one_whose_worker_died_is_counted() {
        assert_eq!(foreign_arrival(false, false), ForeignArrival::Decode);
        assert_eq!(foreign_arrival(true, false), ForeignArrival::Mark, "it may have been held beside another one");
        assert_eq!(foreign_arrival(false, true), ForeignArrival::DecodeCounted);
        assert_eq!(foreign_arrival(true, true), ForeignArrival::CrashLoop);
    }

    #[test]
    fn a_task_that_kills_its_workers_ends() {
        let body =
            |retry: i64| format!(r#"{{"task_id":"i","task_type":"t","max_retries":3,"current_retry":{retry},"expire_at":100}}"#);
        assert_eq!(arrival(&task(&body(0)), false, false, 1), Arrival::Run);
        assert_eq!(arrival(&task(&body(0)), true, false, 1), Arrival::Counted(1));
        assert_eq!(arrival(&task(&body(1)), true, false, 1), Arrival::Counted(2));
        assert_eq!(arrival(&task(&body(2)), true, false, 1), Arrival::LastChance);
        assert_eq!(arrival(&task(&body(2)), false, true, 1), Arrival::Run);
        assert_eq!(arrival(&task(&body(2)), true, true, 1), Arrival::CrashLoop);
        assert_eq!(arrival(&task(&body(0)), false, false, 100), Arrival::Run, "a ttl of 0 is enough for a consumer that waits");
        assert_eq!(arrival(&task(&body(2)), true, true, 101), Arrival::Expired);
    }
}
