//! When to look again while a queue is empty.
//!
//! A commit is heard by its first write to the `-wal`, but becomes visible only when it is complete, a flush to disk later, without a
//! further sound. So after every sound there are a few looks in growing distance. Looks are a millisecond apart at least, however
//! often other queues are written.

use std::time::Duration;

/// The first distance.
const SOON: Duration = Duration::from_micros(250);
/// The least distance of looks that are caused by sounds.
const FLOOR: Duration = Duration::from_millis(1);
/// The longest distance.
const LATE: Duration = Duration::from_millis(50);

/// The distance to the next look.
#[derive(Debug)]
pub(super) struct PollInterval {
    hears: bool,
    /// `None`: no look is planned; a sound or the next whole second will cause one.
    gap: Option<Duration>,
}

/// What to do until the next look.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PollPlan {
    /// Wait so long whatever is heard.
    pub deaf: Duration,
    /// Then so much longer unless something is heard; `None` for as long as there is nothing else to do.
    pub listening: Option<Duration>,
}

impl PollInterval {
    /// Begins as if something had just been heard: a commit may be under way.
    pub(super) fn new(hears: bool) -> Self {
        Self { hears, gap: Some(SOON) }
    }

    /// Goes on where a call before this one had stopped looking, when nothing was heard since.
    pub(super) fn resumed(hears: bool) -> Self {
        Self { hears, gap: if hears { None } else { Some(LATE) } }
    }

    /// Whether no look is planned.
    pub(super) fn is_still(&self) -> bool {
        match self.gap {
            None => true,
            Some(gap) => !self.hears && gap == LATE,
        }
    }

    pub(super) fn plan(&self) -> PollPlan {
        match self.gap {
            Some(gap) if self.hears => PollPlan { deaf: gap.min(FLOOR), listening: Some(gap.saturating_sub(FLOOR)) },
            Some(gap) => PollPlan { deaf: gap, listening: Some(Duration::ZERO) },
            None => PollPlan { deaf: Duration::ZERO, listening: None },
        }
    }

    /// Something was heard.
    pub(super) fn heard(&mut self) {
        self.gap = Some(if self.gap.is_none() { SOON } else { FLOOR });
    }

    /// Nothing was heard. Who cannot hear goes on looking.
    pub(super) fn silent(&mut self) {
        self.gap = self.gap.map(|gap| gap * 2).and_then(|gap| match (gap <= LATE, self.hears) {
            (true, _) => Some(gap),
            (false, true) => None,
            (false, false) => Some(LATE),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_grow_rarer_and_end_where_commits_are_heard() {
        let mut pace = PollInterval::new(true);
        let mut looks = 0;
        while pace.gap.is_some() {
            pace.silent();
            looks += 1;
        }
        assert_eq!(looks, 8);
        assert_eq!(pace.plan(), PollPlan { deaf: Duration::ZERO, listening: None });
    }

    #[test]
    fn looks_never_end_where_nothing_is_heard() {
        let mut pace = PollInterval::new(false);
        (0..100).for_each(|_| pace.silent());
        assert_eq!(pace.plan().deaf, LATE);
    }

    #[test]
    fn steady_sounds_cause_one_look_a_millisecond() {
        let mut pace = PollInterval::new(true);
        (0..100).for_each(|_| pace.heard());
        assert_eq!(pace.plan().deaf, FLOOR);
    }
}
