//! A server that stopped answering is not waited for again and again.
//!
//! The connections of one broker share what they know: when one of them waited in vain, the next requests of all of them wait a
//! short time only, until an answer comes or a while has passed. So a worker that is asked to stop beside a silent server does not
//! wait the whole time once for each thing that it has to say.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a request waits beside a silent server.
const SHORT: Duration = Duration::from_secs(1);
/// How long a server counts as silent after a request that waited the whole time.
const MEMORY: Duration = Duration::from_secs(30);

/// Whether the server of a broker is silent.
#[derive(Debug)]
pub struct Silence {
    start: Instant,
    /// Milliseconds from `start` to the end of the silence, if no answer comes before; 0 without a silence.
    until: AtomicU64,
}

impl Silence {
    /// The server answers, as far as we know.
    pub fn new() -> Self {
        Self { start: Instant::now(), until: AtomicU64::new(0) }
    }

    /// How long a request may wait that usually waits so long.
    pub fn limit(&self, usual: Duration) -> Duration {
        match self.until.load(Ordering::Relaxed) {
            0 => usual,
            until if self.elapsed(Instant::now()) < until => usual.min(SHORT),
            _ => usual,
        }
    }

    /// An answer came.
    pub fn end(&self) {
        if self.until.load(Ordering::Relaxed) != 0 {
            self.until.store(0, Ordering::Relaxed);
        }
    }

    /// No answer came in `waited`. A short wait proves nothing.
    pub fn begin(&self, waited: Duration) {
        if waited > SHORT {
            self.until.store(self.elapsed(Instant::now() + MEMORY).max(1), Ordering::Relaxed);
        }
    }

    fn elapsed(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_silence_requests_wait_a_short_time_until_an_answer_comes() {
        let (silence, usual) = (Silence::new(), Duration::from_secs(10));
        assert_eq!(silence.limit(usual), usual);
        silence.begin(usual);
        assert_eq!(silence.limit(usual), SHORT);
        assert_eq!(silence.limit(Duration::from_millis(5)), Duration::from_millis(5));
        silence.end();
        assert_eq!(silence.limit(usual), usual);
    }

    #[test]
    fn a_short_wait_does_not_prolong_a_silence() {
        let silence = Silence::new();
        silence.begin(SHORT);
        assert_eq!(silence.limit(Duration::from_secs(10)), Duration::from_secs(10));
    }
}
