//! Reports once that the server's clock and this machine's disagree. Due times and leases follow the server's clock; logs, health
//! files and `timeoutAt` follow this machine's.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferry_core::config::Address;
use ferry_support::sync;

/// The skew that is reported.
const LIMIT_MS: i64 = 1000;

/// What is known of the skew.
#[derive(Debug, Default)]
pub struct ClockSkew(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_reported: bool,
    notice: Option<String>,
}

impl ClockSkew {
    /// Compares the server's `second` and `microsecond`, answered just now to a request that took `trip`.
    pub fn check(&self, address: &Address, second: i64, microsecond: i64, trip: Duration) {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let ours = millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let server = second.saturating_mul(1000).saturating_add(microsecond / 1000);
        self.record(address, skew(server, ours, millis(trip)));
    }

    /// What is to be reported now, if anything is.
    pub fn take_notice(&self) -> Option<String> {
        sync::lock(&self.0).notice.take()
    }

    fn record(&self, address: &Address, skew: i64) {
        let mut state = sync::lock(&self.0);
        let is_skewed = skew.abs() > LIMIT_MS;
        if is_skewed && !state.is_reported {
            let direction = if skew > 0 { "ahead of" } else { "behind" };
            let seconds = skew.unsigned_abs() as f64 / 1000.0;
            state.notice = Some(format!(
                "the clock of Redis at {address} is {seconds:.1} s {direction} the clock of this machine: due times and leases follow \
                 the server's clock; check the time synchronisation of both"
            ));
        }
        state.is_reported = is_skewed;
    }
}

/// By how many milliseconds the server is ahead of us at least, or behind (negative): its time was read at some moment of the trip.
fn skew(server: i64, ours: i64, trip: i64) -> i64 {
    let (at_end, at_start) = (server.saturating_sub(ours), server.saturating_sub(ours.saturating_sub(trip)));
    match (at_end > 0, at_start < 0) {
        (true, _) => at_end,
        (_, true) => at_start,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_is_no_skew() {
        assert_eq!(skew(100_000, 100_000, 0), 0);
        assert_eq!(skew(91_000, 100_000, 9_000), 0);
        assert_eq!(skew(95_000, 100_000, 9_000), 0);
        assert_eq!(skew(103_000, 100_000, 9_000), 3_000);
        assert_eq!(skew(88_000, 100_000, 9_000), -3_000);
    }

    #[test]
    fn a_skew_over_a_second_is_reported_once_until_it_is_gone() {
        let (skew, address) = (ClockSkew::default(), Address::Tcp { host: "h".into(), port: 1 });
        let mut report = |milliseconds| {
            skew.record(&address, milliseconds);
            skew.take_notice().is_some()
        };
        assert_eq!([0, 1000, 1001, 5000, -1001, 0, -1001].map(&mut report), [false, false, true, false, false, false, true]);
        skew.record(&address, 0);
        skew.record(&address, 3200);
        let notice = skew.take_notice().unwrap();
        assert!(notice.contains("h:1 is 3.2 s ahead of"), "{notice}");
    }
}
