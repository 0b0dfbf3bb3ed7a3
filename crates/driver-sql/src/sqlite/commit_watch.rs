//! Waiting for commits of any process, through inotify on the `-wal`.

use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferry_core::QueueName;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::time::TimeSpec;

use super::file::DatabaseFile;
use super::poll_interval::PollInterval;
use crate::database::{CommitWaiter, Wakeup};

/// Watches the `-wal` as long as the connection beside it is open, which keeps that file in its place.
pub struct CommitWatch {
    inotify: Option<Inotify>,
    /// When to query again in this call of `reserve`.
    interval: PollInterval,
    /// Whether the last call ended without any commit for a long time.
    idle: bool,
}

impl CommitWatch {
    /// Where inotify is not to be had (too many watches, another system), queries are planned instead.
    pub(super) fn new(file: &DatabaseFile) -> Self {
        let watch = || {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
            inotify.add_watch(&file.wal(), AddWatchFlags::IN_MODIFY)?;
            Ok::<_, Errno>(inotify)
        };
        let inotify = watch().ok();
        Self { interval: PollInterval::new(inotify.is_some()), inotify, idle: false }
    }

    /// Reads what has happened so far. Returns whether there was anything.
    fn drain_events(&self) -> bool {
        let mut seen = false;
        if let Some(inotify) = &self.inotify {
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {
                seen = true;
            }
        }
        seen
    }

    fn wait_for_commit(&self, time: Duration) -> Result<bool, Errno> {
        let time = Some(TimeSpec::from(time));
        match &self.inotify {
            Some(inotify) => ppoll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], time, None).map(|ready| ready > 0),
            None => ppoll(&mut [], time, None).map(|_| false),
        }
    }
}

impl CommitWaiter for CommitWatch {
    /// An idle worker calls again and again; only a commit makes it query more often.
    fn begin(&mut self, _: &[QueueName]) {
        let idle = self.idle && !self.drain_events();
        let notified = self.inotify.is_some();
        self.interval = if idle { PollInterval::resumed(notified) } else { PollInterval::new(notified) };
    }

    fn before_query(&mut self) {
        self.drain_events();
    }

    fn end(&mut self, found_jobs: bool) {
        self.idle = !found_jobs && self.interval.is_idle();
    }

    /// Ends at `deadline`, the next whole second, what the interval plans, or a commit.
    fn wait(&mut self, deadline: Instant) -> Wakeup {
        let end = deadline.min(Instant::now() + until_next_second(SystemTime::now()));
        let plan = self.interval.plan();
        if wait_ignoring_commits(until(end).min(plan.ignoring)) == Wakeup::Interrupted {
            return Wakeup::Interrupted;
        }
        let rest = plan.listening.map_or_else(|| until(end), |listening| listening.min(until(end)));
        match self.wait_for_commit(rest) {
            Ok(true) => self.interval.commit_seen(),
            Ok(false) => self.interval.nothing_seen(),
            Err(Errno::EINTR) => return Wakeup::Interrupted,
            // Waiting failed; the planned queries still come.
            Err(_) => self.interval.nothing_seen(),
        }
        Wakeup::QueryAgain
    }
}

fn wait_ignoring_commits(time: Duration) -> Wakeup {
    // Not a thread sleep: that one goes on after a signal.
    match ppoll(&mut [], Some(TimeSpec::from(time)), None) {
        Err(Errno::EINTR) => Wakeup::Interrupted,
        _ => Wakeup::QueryAgain,
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
    fn a_wait_ends_just_after_the_second() {
        let at = |ms| until_next_second(UNIX_EPOCH + Duration::from_millis(ms));
        assert_eq!(at(5_000), Duration::from_millis(1_002));
        assert_eq!(at(5_999), Duration::from_millis(3));
    }
}
