//! Waiting for jobs by looking again and again, where nothing tells of a commit.
//!
//! While jobs come, a look follows the last one by 10 ms; while none come, the pause doubles up to the configured one. A pause goes on
//! from call to call, so that an idle worker looks four times a second and not more often because its calls end.

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
    /// When the pause ends that a call has begun.
    next_look: Option<Instant>,
    /// Which queues the last look was for.
    queues: Vec<QueueName>,
}

impl Polling {
    /// Pauses of `longest` at most.
    pub(crate) fn up_to(longest: Duration) -> Self {
        Self { longest, pause: SHORTEST.min(longest), next_look: None, queues: Vec::new() }
    }

    /// The pause before the next look, and a longer one after it.
    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(self.longest);
        pause
    }

    /// Until when to wait, and what follows.
    fn next_wait(&mut self, now: Instant, deadline: Instant) -> (Instant, Wakeup) {
        let next_look = self.next_look.take().unwrap_or_else(|| now + self.next_pause());
        if next_look < deadline {
            return (next_look, Wakeup::QueryAgain);
        }
        self.next_look = Some(next_look);
        (deadline, Wakeup::TimeOver)
    }
}

impl CommitWaiter for Polling {
    fn begin(&mut self, queues: &[QueueName]) {
        if self.queues != queues {
            self.queues = queues.to_vec();
            self.next_look = None;
        }
    }

    fn resumes(&self) -> bool {
        self.next_look.is_some()
    }

    fn before_query(&mut self) {
        self.next_look = None;
    }

    fn wait(&mut self, deadline: Instant) -> Wakeup {
        let now = Instant::now();
        let (until, next) = self.next_wait(now, deadline);
        // Not a thread sleep: that one goes on after a signal.
        match ppoll(&mut [], Some(TimeSpec::from(until.saturating_duration_since(now))), None) {
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
    fn an_idle_second_has_four_looks_however_short_the_calls_are() {
        for call in [50, 200, 300, 1000] {
            let mut polling = Polling::up_to(Duration::from_millis(250));
            polling.pause = Duration::from_millis(250);
            let start = Instant::now();
            let (mut now, mut looks) = (start, 0);
            while now < start + Duration::from_secs(12) {
                let deadline = now + Duration::from_millis(call);
                looks += u32::from(!polling.resumes());
                loop {
                    let (until, next) = polling.next_wait(now, deadline);
                    now = until;
                    if next == Wakeup::TimeOver {
                        break;
                    }
                    looks += 1;
                }
            }
            assert!((47..=50).contains(&looks), "{looks} looks in 12 s of calls of {call} ms");
        }
    }
}
