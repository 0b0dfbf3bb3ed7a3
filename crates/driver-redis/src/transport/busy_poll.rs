//! Whether to ask the socket again and again for a reply before sleeping. Pure.
//!
//! A thread that sleeps has to be woken: on a virtual machine whose idle core gives itself back to the host, this takes longer than all else in
//! a round trip. Elsewhere it takes little, and asking would only cost CPU. So both ways are measured on each connection, and the one that pays is kept.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// For so long a reply is asked for. A longer round trip is worth a sleep.
pub const LONGEST: Duration = Duration::from_micros(100);
/// What one round trip counts at most, so that a stall is forgotten soon.
const MOST_NS: u64 = 200_000;
/// So many of the first round trips go each way in turn.
const FIRST: u32 = 8;
/// Then one of so many goes the other way.
const PROBE_EVERY: u32 = 64;

/// How one connection's round trips went.
#[derive(Debug)]
pub struct BusyPoll {
    /// There is a core for the server beside ours.
    has_core: bool,
    asked: u32,
    /// The mean of the latest round trips, in nanoseconds; 0 before the first.
    polled_ns: u64,
    slept_ns: u64,
}

impl BusyPoll {
    /// For a process that may use so many cores.
    pub fn on_cores(cores: usize) -> Self {
        Self { has_core: cores > 1, asked: 0, polled_ns: 0, slept_ns: 0 }
    }

    /// Whether the next round trip polls. `None` where it makes no sense, and need not be measured.
    pub fn next(&mut self) -> Option<bool> {
        if !self.has_core {
            return None;
        }
        self.asked = self.asked.wrapping_add(1);
        if self.asked <= FIRST {
            return Some(self.asked.is_multiple_of(2));
        }
        let probes = self.asked.is_multiple_of(PROBE_EVERY);
        Some(self.pays() != probes)
    }

    /// Polling keeps a core busy that others may need, so it has to save a quarter of the time.
    fn pays(&self) -> bool {
        self.polled_ns > 0 && self.polled_ns * 4 <= self.slept_ns * 3
    }

    /// Notes how long a round trip took that polled, or slept at once.
    pub fn note(&mut self, polled: bool, took: Duration) {
        let mean = if polled { &mut self.polled_ns } else { &mut self.slept_ns };
        let took = u64::try_from(took.as_nanos()).unwrap_or(MOST_NS).clamp(1, MOST_NS);
        *mean = if *mean == 0 { took } else { (*mean * 7 + took) / 8 };
    }
}

/// How many cores this process may use, by its affinity and its cgroup.
pub fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `requests` polled, where each way takes so many microseconds.
    fn polls(state: &mut BusyPoll, requests: u32, polled: u64, slept: u64) -> u32 {
        let mut polls = 0;
        for _ in 0..requests {
            let way = state.next().unwrap();
            state.note(way, Duration::from_micros(if way { polled } else { slept }));
            polls += u32::from(way);
        }
        polls
    }

    #[test]
    fn where_a_sleep_costs_most_of_a_round_trip_replies_are_polled_for() {
        assert_eq!(polls(&mut BusyPoll::on_cores(2), 640, 24, 65), 4 + 622);
    }

    #[test]
    fn where_polling_saves_little_or_a_round_trip_is_long_it_is_rare() {
        for (polled, slept) in [(28, 34), (34, 30), (2_050, 2_000), (250_000, 240_000)] {
            assert_eq!(polls(&mut BusyPoll::on_cores(2), 640, polled, slept), 4 + 10, "{polled} and {slept} us");
        }
    }

    #[test]
    fn a_server_that_moved_or_got_busy_is_noticed() {
        let mut state = BusyPoll::on_cores(2);
        polls(&mut state, 640, 24, 65);
        assert!(polls(&mut state, 6400, 115, 65) < 200);
        assert!(polls(&mut state, 6400, 24, 65) > 5000);
    }

    #[test]
    fn a_stall_changes_nothing_for_long() {
        let mut state = BusyPoll::on_cores(2);
        polls(&mut state, 640, 24, 65);
        state.note(true, Duration::from_secs(3));
        assert!(polls(&mut state, 640, 24, 65) > 600);
    }

    #[test]
    fn with_one_core_nothing_is_polled_or_measured() {
        assert_eq!(BusyPoll::on_cores(1).next(), None);
    }
}
