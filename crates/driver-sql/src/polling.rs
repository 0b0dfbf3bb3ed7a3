//! Waiting for jobs by looking again and again, where nothing tells of a commit.
//!
//! While jobs come, a look follows the last one by 10 ms; while none come, the pause doubles up to the configured one. An idle worker
//! keeps the long pause from call to call, so that it looks four times a second and not more often because its calls end.

use std::time::{Duration, Instant};

use ferry_core::QueueName;
use nix::errno::Errno;
use nix::poll::ppoll;
use nix::sys::time::TimeSpec;

use crate::database::{CommitWaiter, Wakeup};

/// The first pause.
const SHORTEST: Duration = Duration::from_millis(10);

/// Pauses between looks.
pub struct Polling {
    longest: Duration,
    pause: Duration,
}

impl Polling {
    /// Pauses of `longest` at most.
    pub(crate) fn up_to(longest: Duration) -> Self {
        Self { longest, pause: SHORTEST.min(longest) }
    }

    /// The pause before the next look, and a longer one after it.
    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(self.longest);
        pause
    }

    /// How long to wait when so much time is left, and what follows.
    fn next_wait(&mut self, left: Duration) -> (Duration, Wakeup) {
        let pause = self.next_pause();
        if pause < left { (pause, Wakeup::QueryAgain) } else { (left, Wakeup::TimeOver) }
    }
}

impl CommitWaiter for Polling {
    fn begin(&mut self, _: &[QueueName]) {}

    fn before_query(&mut self) {}

    fn wait(&mut self, deadline: Instant) -> Wakeup {
        let (pause, next) = self.next_wait(deadline.saturating_duration_since(Instant::now()));
        // Not a thread sleep: that one goes on after a signal.
        match ppoll(&mut [], Some(TimeSpec::from(pause)), None) {
            Err(Errno::EINTR) => Wakeup::Interrupted,
            _ => next,
        }
    }

    fn end(&mut self, found_jobs: bool) {
        if found_jobs {
            self.pause = SHORTEST.min(self.longest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_shrink_when_jobs_come() {
        let mut polling = Polling::up_to(Duration::from_millis(250));
        let pauses: Vec<u128> = (0..7).map(|_| polling.next_pause().as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 250, 250]);
        polling.end(false);
        assert_eq!(polling.next_pause().as_millis(), 250);
        polling.end(true);
        assert_eq!(polling.next_pause().as_millis(), 10);
    }

    #[test]
    fn an_idle_second_has_four_looks() {
        let mut polling = Polling { longest: Duration::from_millis(250), pause: Duration::from_millis(250) };
        let (mut left, mut looks) = (Duration::from_secs(1), 0);
        // A call looks first, and waits then.
        loop {
            looks += 1;
            let (pause, next) = polling.next_wait(left);
            left -= pause;
            if next == Wakeup::TimeOver {
                break;
            }
        }
        assert_eq!((looks, left), (4, Duration::ZERO));
    }
}
