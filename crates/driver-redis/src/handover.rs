//! Which of several waiting workers a push wakes.
//!
//! A wait reserves nothing, so the server wakes everybody who waits on the ready list. Of the workers that wait for one queue therefore
//! one is the *watcher*, which waits there, and the others are on *standby*: they wait on a list of handovers. The watcher that takes jobs hands
//! over to the first on standby, in the script that takes them, and is on standby when it waits again. A watcher that was woken for nothing
//! goes on standby only where it sees a handover that it did not know: without one, another program took the job.
//!
//! A handover decides how soon somebody wakes, and nothing else. Everybody looks at the queue now and then, so one that is lost (its worker
//! was killed, the server forgot it) costs a second or two, until somebody on standby sees that no watcher looks any more.

/// The keys of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandoverKeys {
    /// The list on which workers on standby wait.
    pub list: String,
    /// The last handover: a sorted set of one member, which expires when no watcher looks.
    pub last: String,
}

impl HandoverKeys {
    /// Those of the queue with this ready list.
    pub fn of(ready: &str) -> Self {
        Self { list: [ready, ":ferry:handover"].concat(), last: [ready, ":ferry:last-handover"].concat() }
    }
}

/// What a waiting worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitRole {
    /// It waits on the ready list.
    #[default]
    Watcher,
    /// It waits for a handover.
    Standby,
}

impl WaitRole {
    /// As the script reads it.
    pub fn name(self) -> &'static [u8] {
        match self {
            WaitRole::Watcher => b"watcher",
            WaitRole::Standby => b"standby",
        }
    }
}

/// The position of one worker among those that wait for a queue.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct WaitPosition {
    /// What it is.
    pub role: WaitRole,
    /// The handover that made it the watcher; empty when it began as one.
    known: Vec<u8>,
}

impl WaitPosition {
    /// It took jobs. `handover` is empty when it did not hand over.
    pub fn took(&mut self, handover: &[u8]) {
        if !handover.is_empty() {
            self.role = WaitRole::Standby;
        }
    }

    /// It looked and found nothing. `handover` is the last one that was seen.
    pub fn found_nothing(&mut self, handover: &[u8]) {
        match self.role {
            WaitRole::Watcher if !handover.is_empty() && handover != self.known => self.role = WaitRole::Standby,
            // Nobody watches.
            WaitRole::Standby if handover.is_empty() => *self = Self::default(),
            WaitRole::Watcher | WaitRole::Standby => {}
        }
    }

    /// It was on standby, and a watcher handed over to it.
    pub fn received(&mut self, handover: Vec<u8>) {
        *self = Self { role: WaitRole::Watcher, known: handover };
    }

    /// The second of the server in which the worker that handed over to it looked at the queue last.
    pub fn handover_second(&self) -> Option<i64> {
        let microseconds: i64 = std::str::from_utf8(&self.known).ok()?.parse().ok()?;
        Some(microseconds / 1_000_000).filter(|_| self.role == WaitRole::Watcher)
    }

    /// The handover with which another one takes over from it: when it is the watcher, and others may be on standby.
    pub fn leave(self) -> Option<Vec<u8>> {
        (self.role == WaitRole::Watcher && !self.known.is_empty()).then_some(self.known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watcher(known: &[u8]) -> WaitPosition {
        WaitPosition { role: WaitRole::Watcher, known: known.to_vec() }
    }

    #[test]
    fn a_watcher_that_took_jobs_is_on_standby_unless_it_could_not_hand_over() {
        let (mut position, mut refused) = (WaitPosition::default(), WaitPosition::default());
        position.took(b"1");
        refused.took(b"");
        assert_eq!((position.role, refused.role), (WaitRole::Standby, WaitRole::Watcher));
        position.received(b"2".to_vec());
        assert_eq!(position, watcher(b"2"));
    }

    #[test]
    fn a_watcher_stays_until_it_sees_a_handover_that_it_did_not_know() {
        let mut position = watcher(b"1");
        position.found_nothing(b"");
        position.found_nothing(b"1");
        assert_eq!(position.role, WaitRole::Watcher);
        position.found_nothing(b"2");
        assert_eq!(position.role, WaitRole::Standby);
    }

    #[test]
    fn a_handover_says_when_the_queue_was_looked_at() {
        let mut position = WaitPosition::default();
        assert_eq!(position.handover_second(), None);
        position.received(b"1700000000999999".to_vec());
        assert_eq!(position.handover_second(), Some(1_700_000_000));
        position.took(b"1700000002000000");
        assert_eq!(position.handover_second(), None);
    }

    #[test]
    fn a_watcher_that_leaves_passes_on_the_handover_it_got() {
        assert_eq!(watcher(b"1").leave(), Some(b"1".to_vec()));
        assert_eq!(WaitPosition::default().leave(), None);
        assert_eq!(WaitPosition { role: WaitRole::Standby, known: b"1".to_vec() }.leave(), None);
    }

    #[test]
    fn one_on_standby_watches_when_nobody_else_does() {
        let mut position = WaitPosition { role: WaitRole::Standby, known: b"1".to_vec() };
        position.found_nothing(b"7");
        assert_eq!(position.role, WaitRole::Standby);
        position.found_nothing(b"");
        assert_eq!(position, WaitPosition::default());
    }
}
