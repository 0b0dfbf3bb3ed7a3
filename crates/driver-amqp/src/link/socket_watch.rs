//! When lapin's thread sleeps on the socket, and when it leaves the socket to a thread of ours. Pure.
//!
//! A thread of ours that takes one job after the other waits for the socket again within microseconds. If lapin's thread watched it in
//! between, both would wake for each delivery.

use std::time::Duration;

/// For how long lapin's thread leaves the socket alone in and after the turn of a thread of ours. What nobody asked for, like a heartbeat, is
/// read so much later, or twice that.
pub const OFF_SOCKET: Duration = Duration::from_millis(200);
/// The longest sleep. Everything that sends wakes the thread; this is for what lapin does on its own account.
pub const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What lapin's thread sleeps on, beside its wake-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    Socket,
    Nothing,
}

/// The next sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SleepPlan {
    pub watch: Watch,
    pub longest: Duration,
}

/// What lapin's thread knows of the threads of ours that read.
#[derive(Debug, Default)]
pub struct SocketWatch {
    /// How many turns of theirs it has seen.
    turns: u64,
    /// The last sleep was without the socket, and only time ended it.
    was_off: bool,
}

impl SocketWatch {
    /// Something has ended a sleep before its time. What is sent now may have an answer, and lapin's thread is the one to read it.
    pub fn was_woken(&mut self) {
        self.was_off = false;
    }

    /// How to sleep, while a thread of ours has a turn or not. `turns` is how many there have been.
    pub fn plan(&mut self, is_ours: bool, turns: u64) -> SleepPlan {
        let is_new = turns != self.turns;
        self.turns = turns;
        self.was_off = is_ours || (self.was_off && is_new);
        if self.was_off {
            SleepPlan { watch: Watch::Nothing, longest: OFF_SOCKET }
        } else {
            SleepPlan { watch: Watch::Socket, longest: LONGEST_SLEEP }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: SleepPlan = SleepPlan { watch: Watch::Socket, longest: LONGEST_SLEEP };
    const OFF: SleepPlan = SleepPlan { watch: Watch::Nothing, longest: OFF_SOCKET };

    #[test]
    fn without_turns_of_ours_the_socket_is_watched() {
        let mut watch = SocketWatch::default();
        assert_eq!(watch.plan(false, 0), SOCKET);
        assert_eq!(watch.plan(false, 0), SOCKET);
    }

    #[test]
    fn while_turns_follow_each_other_it_is_left_alone_and_then_watched_again() {
        let mut watch = SocketWatch::default();
        assert_eq!(watch.plan(true, 1), OFF);
        assert_eq!(watch.plan(false, 40), OFF, "a job runs, and the next turn will come");
        assert_eq!(watch.plan(true, 80), OFF);
        assert_eq!(watch.plan(false, 80), SOCKET, "the job takes long");
    }

    #[test]
    fn in_a_turn_that_lasts_it_is_left_alone_and_afterwards_watched() {
        let mut watch = SocketWatch::default();
        assert_eq!(watch.plan(true, 1), OFF);
        assert_eq!(watch.plan(true, 1), OFF);
        assert_eq!(watch.plan(false, 1), SOCKET);
    }

    #[test]
    fn who_sends_through_lapin_gets_an_answer_at_once() {
        let mut watch = SocketWatch::default();
        assert_eq!(watch.plan(true, 1), OFF);
        watch.was_woken();
        assert_eq!(watch.plan(false, 2), SOCKET);
    }
}
