//! Whether to ask the socket again and again for a reply before sleeping. Pure.
//!
//! A thread that sleeps has to be woken: on a virtual machine whose idle core gives itself back to the host, this takes longer than all else in
//! a round trip. Elsewhere it takes little, and asking would only cost CPU. So both ways are measured on each connection, and the one that pays is kept.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// For so long a reply is asked for. A longer round trip is worth a sleep.
pub const LONGEST: Duration = Duration::from_micros(100);
/// So many of the first round trips go each way in turn.
const FIRST: u32 = 2 * RECENT as u32;
/// Then one of so many goes the other way. An odd number: requests of two kinds may alternate.
const PROBE_EVERY: u32 = 63;
/// So many round trips are remembered of each way. The middle one counts: one that met a stall changes nothing.
const RECENT: usize = 5;

/// How one connection's round trips went.
#[derive(Debug)]
pub struct BusyPoll {
    /// There is a core for the server beside ours.
    has_core: bool,
    begun: u32,
    polled: Recent,
    slept: Recent,
    pays: bool,
}

/// The latest round trips of one way.
#[derive(Debug, Default)]
struct Recent {
    took: [Duration; RECENT],
    next: usize,
}

impl Recent {
    fn note(&mut self, took: Duration) {
        self.took[self.next] = took;
        self.next = (self.next + 1) % RECENT;
    }

    fn median(&self) -> Duration {
        let mut sorted = self.took;
        sorted.sort_unstable();
        sorted[RECENT / 2]
    }
}

impl BusyPoll {
    /// For a process that may use so many cores.
    pub fn on_cores(cores: usize) -> Self {
        Self { has_core: cores > 1, begun: 0, polled: Recent::default(), slept: Recent::default(), pays: false }
    }

    /// Whether the next round trip polls. `None` where it makes no sense, and need not be measured.
    pub fn next(&mut self) -> Option<bool> {
        if !self.has_core {
            return None;
        }
        self.begun = self.begun.wrapping_add(1);
        if self.begun <= FIRST {
            return Some(self.begun.is_multiple_of(2));
        }
        let probes = self.begun.is_multiple_of(PROBE_EVERY);
        Some(self.pays != probes)
    }

    /// Notes how long a round trip took that polled, or slept at once.
    pub fn note(&mut self, polled: bool, took: Duration) {
        if polled { &mut self.polled } else { &mut self.slept }.note(took);
        // Polling keeps a core busy that others may need, so it has to save a quarter of the time.
        self.pays = self.polled.median() * 4 <= self.slept.median() * 3;
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

    /// How many of `requests` polled, where the one with this number takes so many microseconds, polled or slept.
    fn polls(state: &mut BusyPoll, requests: u32, microseconds: impl Fn(u32, bool) -> u64) -> u32 {
        let mut polls = 0;
        for number in 0..requests {
            let way = state.next().unwrap();
            state.note(way, Duration::from_micros(microseconds(number, way)));
            polls += u32::from(way);
        }
        polls
    }

    /// Round trips that always take the same.
    fn steady(polled: u64, slept: u64) -> impl Fn(u32, bool) -> u64 {
        move |_, way| if way { polled } else { slept }
    }

    #[test]
    fn where_a_sleep_costs_most_of_a_round_trip_replies_are_polled_for() {
        assert!(polls(&mut BusyPoll::on_cores(2), 1000, steady(24, 65)) > 970);
    }

    #[test]
    fn where_polling_saves_little_or_a_round_trip_is_long_it_is_rare() {
        for (polled, slept) in [(28, 34), (30, 30), (34, 30), (2_050, 2_000), (250_000, 240_000)] {
            let polls = polls(&mut BusyPoll::on_cores(2), 1000, steady(polled, slept));
            assert!((10..30).contains(&polls), "{polls} of 1000 at {polled} and {slept} us");
        }
    }

    #[test]
    fn stalls_decide_nothing() {
        let stalls = |number: u32| if number.is_multiple_of(97) { 3_000 } else { 0 };
        for (polled, slept, expected) in [(28, 34, 0..60), (30, 30, 0..60), (24, 65, 1900..2000)] {
            let time = steady(polled, slept);
            let polls = polls(&mut BusyPoll::on_cores(2), 2000, |number, way| time(number, way) + stalls(number));
            assert!(expected.contains(&polls), "{polls} of 2000 at {polled} and {slept} us");
        }
    }

    #[test]
    fn requests_of_two_kinds_in_turns_are_measured_both() {
        let polls = polls(&mut BusyPoll::on_cores(2), 2000, |number, way| match (number.is_multiple_of(2), way) {
            (true, true) => 60,
            (true, false) => 100,
            (false, true) => 24,
            (false, false) => 65,
        });
        assert!(polls > 1500, "{polls}");
    }

    #[test]
    fn a_server_that_got_far_or_near_is_noticed() {
        let mut state = BusyPoll::on_cores(2);
        polls(&mut state, 640, steady(24, 65));
        assert!(polls(&mut state, 6400, steady(115, 65)) < 200);
        assert!(polls(&mut state, 6400, steady(24, 65)) > 6000);
    }

    #[test]
    fn with_one_core_nothing_is_polled_or_measured() {
        assert_eq!(BusyPoll::on_cores(1).next(), None);
    }
}
