//! Hearing that some process commits, through inotify on the `-wal`.

use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::time::TimeSpec;

use super::connection_slot::Companion;
use super::poll_interval::PollInterval;
use super::session::Place;

/// Listens to the `-wal` as long as the connection beside it is open, which keeps that file in its place.
pub(super) struct CommitWatch {
    inotify: Option<Inotify>,
    /// Whether the last call ended with nothing heard for long.
    pub(super) still: bool,
}

/// How a pause ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Paused {
    /// It is time to look again.
    Over,
    /// A signal arrived.
    Interrupted,
}

impl Companion for CommitWatch {
    /// Deaf where inotify is not to be had (too many watches, another system): then looks are planned instead.
    fn beside(place: &Place) -> Self {
        let listen = || {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
            inotify.add_watch(&place.wal(), AddWatchFlags::IN_MODIFY)?;
            Ok::<_, Errno>(inotify)
        };
        Self { inotify: listen().ok(), still: false }
    }
}

impl CommitWatch {
    pub(super) fn hears(&self) -> bool {
        self.inotify.is_some()
    }

    /// Forgets what was heard so far. Tells whether there was anything.
    pub(super) fn forget(&self) -> bool {
        let mut heard = false;
        if let Some(inotify) = &self.inotify {
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {
                heard = true;
            }
        }
        heard
    }

    /// Waits until a look may find something new: `deadline`, the next whole second, what `pace` plans, or a sound.
    pub(super) fn pause(&self, pace: &mut PollInterval, deadline: Instant) -> Paused {
        let end = deadline.min(Instant::now() + until_next_second(SystemTime::now()));
        let plan = pace.plan();
        if self.wait_deaf(until(end).min(plan.deaf)) == Paused::Interrupted {
            return Paused::Interrupted;
        }
        let rest = plan.listening.map_or_else(|| until(end), |listening| listening.min(until(end)));
        match self.listen(rest) {
            Ok(true) => pace.heard(),
            Ok(false) => pace.silent(),
            Err(Errno::EINTR) => return Paused::Interrupted,
            // Waiting failed; the planned looks still come.
            Err(_) => pace.silent(),
        }
        Paused::Over
    }

    fn wait_deaf(&self, time: Duration) -> Paused {
        // Not a thread sleep: that one goes on after a signal.
        match ppoll(&mut [], Some(TimeSpec::from(time)), None) {
            Err(Errno::EINTR) => Paused::Interrupted,
            _ => Paused::Over,
        }
    }

    fn listen(&self, time: Duration) -> Result<bool, Errno> {
        let time = Some(TimeSpec::from(time));
        match &self.inotify {
            Some(inotify) => ppoll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], time, None).map(|ready| ready > 0),
            None => ppoll(&mut [], time, None).map(|_| false),
        }
    }
}

fn until(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// Due times are whole seconds: something may be due just after the next one begins.
fn until_next_second(now: SystemTime) -> Duration {
    let past = now.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    Duration::from_nanos(1_000_000_000 - u64::from(past)) + Duration::from_millis(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_just_after_the_second() {
        let at = |ms| until_next_second(UNIX_EPOCH + Duration::from_millis(ms));
        assert_eq!(at(5_000), Duration::from_millis(1_002));
        assert_eq!(at(5_999), Duration::from_millis(3));
    }
}
