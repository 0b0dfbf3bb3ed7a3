//! What somebody says of a job, whether that is later than what is known, and what it changes.
//!
//! A status is stored as names and texts, so every store changes it alike: [`StatusUpdate::precondition`] decides, [`StatusUpdate::patch`] says what changes.

use std::collections::BTreeMap;

use super::state::State;
use super::{MOST_ERROR, MOST_KEY, MOST_MESSAGE, beginning};

/// A stored status: names and texts.
pub type StatusFields = BTreeMap<String, String>;

/// Fields as JSON text, for a store that keeps them in one place.
pub fn to_json(fields: &StatusFields) -> String {
    serde_json::to_string(fields).expect("texts by name can be written as JSON")
}

/// State and number of the last attempt. `None` when there is no state that we know.
fn known_attempt(fields: &StatusFields) -> Option<(State, u32)> {
    let attempts = fields.get("attempts").and_then(|attempts| attempts.parse().ok()).unwrap_or_default();
    Some((State::named(fields.get("state")?)?, attempts))
}

/// Fields out of such a text. `None` for what we did not write.
pub fn from_json(text: &[u8]) -> Option<StatusFields> {
    serde_json::from_slice(text).ok()
}

/// One thing said of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The id in its payload.
    pub id: String,
    /// Which job it is.
    pub job: JobRef,
    /// What is said.
    pub change: StatusChange,
    /// Seconds until the status goes, unless more is said.
    pub ttl: u32,
}

/// Which job it is, for those who know only its id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobRef {
    /// `Class`, `Class@method` or a short name.
    pub job: String,
    /// Its queue.
    pub queue: String,
    /// The name of its connection.
    pub connection: String,
}

/// What is said of a job. `attempts` is the number of the attempt that it is said of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusChange {
    /// It is about to be pushed.
    Queued,
    /// It was not pushed after all.
    TakenBack,
    /// An operator retries it: its attempts begin anew.
    QueuedAgain,
    /// Its handler is about to be called.
    Running {
        /// Which attempt.
        attempts: u32,
    },
    /// How far its handler is.
    Progress {
        /// Which attempt.
        attempts: u32,
        /// 0 to 100.
        percent: u8,
        /// In words.
        message: Option<String>,
    },
    /// It goes back as it came, and the attempt does not count.
    GivenBack {
        /// Which attempt.
        attempts: u32,
    },
    /// The attempt is over.
    Ended {
        /// Which attempt.
        attempts: u32,
        /// And how.
        ending: Ending,
        /// Whether this reports its start too: see [`StatusUpdate::merge`].
        with_start: bool,
    },
}

impl StatusChange {
    /// The attempt is over; its start was reported before.
    pub fn ended(attempts: u32, ending: Ending) -> Self {
        Self::Ended { attempts, ending, with_start: false }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Retrying, succeeded, failed or expired.
    pub state: State,
    /// Why it failed.
    pub error: Option<String>,
    /// JSON text that its handler left.
    pub result: Option<String>,
}

/// When a word is later than what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing is known.
    New,
    /// It is queued and was never attempted.
    Untouched,
    /// Nothing is known, or it failed or expired.
    Again,
    /// Nothing is known, or an earlier attempt.
    Later,
    /// This very attempt is running.
    During,
    /// Nothing is known, an earlier attempt, or this one and it is running.
    End,
}

impl Precondition {
    /// Whether a word about attempt `attempts` may be written, where state and attempt are known.
    pub fn admits(self, known: Option<(State, u32)>, attempts: u32) -> bool {
        let Some((state, last)) = known else {
            return match self {
                Precondition::New | Precondition::Again | Precondition::Later | Precondition::End => true,
                Precondition::Untouched | Precondition::During => false,
            };
        };
        match self {
            Precondition::New => false,
            Precondition::Untouched => state == State::Queued && last == 0,
            Precondition::Again => matches!(state, State::Failed | State::Expired),
            Precondition::Later => attempts > last,
            Precondition::During => attempts == last && state == State::Running,
            Precondition::End => attempts > last || (attempts == last && state == State::Running),
        }
    }
}

/// What a word changes. The time of the store goes into every field of `stamped`, and into `updated_at`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldPatch {
    /// Nothing is left.
    pub removes: bool,
    /// New values.
    pub set: Vec<(&'static str, String)>,
    /// Fields that hold the present.
    pub stamped: Vec<&'static str>,
    /// Fields that go.
    pub dropped: Vec<&'static str>,
}

impl FieldPatch {
    fn state(state: State) -> Self {
        Self { set: vec![("state", state.name().to_owned())], ..Self::default() }
    }

    fn attempts(mut self, attempts: u32) -> Self {
        self.set.push(("attempts", attempts.to_string()));
        self
    }

    fn about(mut self, about: &JobRef) -> Self {
        let JobRef { job, queue, connection } = about;
        self.set.extend([("job", job.clone()), ("queue", queue.clone()), ("connection", connection.clone())]);
        self
    }

    fn progress(mut self, percent: u8) -> Self {
        self.set.push(("progress", percent.min(100).to_string()));
        self
    }

    /// Sets a field, or drops it.
    fn text(mut self, name: &'static str, text: Option<String>) -> Self {
        match text {
            Some(text) => self.set.push((name, text)),
            None => self.dropped.push(name),
        }
        self
    }

    fn stamping(mut self, name: &'static str) -> Self {
        self.stamped.push(name);
        self
    }

    fn dropping(mut self, names: &[&'static str]) -> Self {
        self.dropped.extend(names);
        self
    }

    /// What the start of that attempt would have changed, and this does not.
    fn after_a_start(mut self) -> Self {
        self.set.insert(0, ("progress", "0".to_owned()));
        self.stamping("started_at").dropping(&["message"])
    }

    /// Changes stored fields at `now`, in milliseconds.
    pub fn apply(&self, fields: &mut StatusFields, now: i64) {
        for name in &self.dropped {
            fields.remove(*name);
        }
        for (name, value) in &self.set {
            fields.insert((*name).to_owned(), value.clone());
        }
        for name in self.stamped.iter().chain(&["updated_at"]) {
            fields.insert((*name).to_owned(), now.to_string());
        }
    }
}

impl StatusUpdate {
    /// Whether a job with this id can have a status. Others write ids of any kind.
    pub fn can_be_about(id: &str) -> bool {
        !id.is_empty() && id.len() <= MOST_KEY && !id.chars().any(char::is_control)
    }

    /// Takes in the update that follows, when one update says both. Returns it otherwise.
    pub fn merge(&mut self, next: Self) -> Option<Self> {
        if self.id != next.id || self.attempts() != next.attempts() {
            return Some(next);
        }
        match (&self.change, next.change) {
            // A handler may report its progress a million times.
            (StatusChange::Progress { .. }, change @ StatusChange::Progress { .. }) => *self = Self { change, ..next },
            (StatusChange::Running { .. }, StatusChange::Ended { attempts, ending, .. }) => {
                *self = Self { change: StatusChange::Ended { attempts, ending, with_start: true }, ..next };
            }
            (_, change) => return Some(Self { change, ..next }),
        }
        None
    }

    /// When this is later than what is known.
    pub fn precondition(&self) -> Precondition {
        match self.change {
            StatusChange::Queued => Precondition::New,
            StatusChange::TakenBack => Precondition::Untouched,
            StatusChange::QueuedAgain => Precondition::Again,
            StatusChange::Running { .. } => Precondition::Later,
            StatusChange::Progress { .. } | StatusChange::GivenBack { .. } => Precondition::During,
            StatusChange::Ended { .. } => Precondition::End,
        }
    }

    /// Whether it is later than what these fields say; `None` when nothing is known.
    pub fn is_admitted(&self, known: Option<&StatusFields>) -> bool {
        self.precondition().admits(known.and_then(known_attempt), self.attempts())
    }

    /// The attempt that this is about; 0 before the first.
    pub fn attempts(&self) -> u32 {
        match self.change {
            StatusChange::Queued | StatusChange::TakenBack | StatusChange::QueuedAgain => 0,
            StatusChange::Running { attempts }
            | StatusChange::Progress { attempts, .. }
            | StatusChange::GivenBack { attempts }
            | StatusChange::Ended { attempts, .. } => attempts,
        }
    }

    /// What it changes, once it is admitted.
    pub fn patch(&self) -> FieldPatch {
        match &self.change {
            StatusChange::TakenBack => FieldPatch { removes: true, ..FieldPatch::default() },
            StatusChange::Queued => self.fresh(),
            StatusChange::QueuedAgain => self.fresh().dropping(&["message", "result", "error", "started_at", "finished_at"]),
            StatusChange::Running { attempts } => FieldPatch::state(State::Running)
                .attempts(*attempts)
                .about(&self.job)
                .progress(0)
                .stamping("started_at")
                .dropping(&["message", "result", "finished_at"]),
            StatusChange::Progress { percent, message, .. } => {
                let message = message.as_deref().map(|message| beginning(message, MOST_MESSAGE).to_owned());
                FieldPatch::default().progress(*percent).text("message", message)
            }
            StatusChange::GivenBack { attempts } => FieldPatch::state(State::Queued)
                .attempts(attempts.saturating_sub(1))
                .progress(0)
                .dropping(&["message", "started_at"]),
            StatusChange::Ended { attempts, ending, with_start: false } => self.ended(*attempts, ending),
            StatusChange::Ended { attempts, ending, with_start: true } => self.ended(*attempts, ending).after_a_start(),
        }
    }

    fn fresh(&self) -> FieldPatch {
        FieldPatch::state(State::Queued).attempts(0).about(&self.job).progress(0).stamping("queued_at")
    }

    fn ended(&self, attempts: u32, ending: &Ending) -> FieldPatch {
        let error = ending.error.as_deref().map(|error| beginning(error, MOST_ERROR).to_owned());
        let edit = FieldPatch::state(ending.state).attempts(attempts).about(&self.job).text("error", error);
        match ending.state {
            State::Queued | State::Running | State::Retrying => edit.dropping(&["result", "finished_at"]),
            State::Failed | State::Expired => edit.text("result", ending.result.clone()).stamping("finished_at"),
            State::Succeeded => edit.text("result", ending.result.clone()).stamping("finished_at").progress(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn note(change: StatusChange) -> StatusUpdate {
        let about = JobRef { job: "J".into(), queue: "q".into(), connection: "c".into() };
        StatusUpdate { id: "x".into(), job: about, change, ttl: 60 }
    }

    fn ended(attempts: u32, state: State) -> StatusChange {
        StatusChange::ended(attempts, Ending { state, error: None, result: None })
    }

    /// A status after these words, said one second apart.
    fn after(said: &[StatusChange]) -> Option<Status> {
        let mut fields: Option<StatusFields> = None;
        for (second, said) in said.iter().enumerate() {
            let note = note(said.clone());
            if note.is_admitted(fields.as_ref()) {
                let edit = note.patch();
                edit.apply(fields.get_or_insert_default(), second as i64 * 1000);
                fields = fields.filter(|_| !edit.removes);
            }
        }
        fields.and_then(|fields| Status::of("x", &fields))
    }

    #[test]
    fn a_start_and_an_end_in_one_update_say_what_the_two_say() {
        let before = [vec![], vec![Queued], vec![Queued, Running { attempts: 1 }, ended(1, Retrying)]];
        for (attempts, before) in [1, 1, 2].into_iter().zip(before) {
            for state in [Succeeded, Failed, Expired, Retrying] {
                let mut merged = note(Running { attempts });
                assert_eq!(merged.merge(note(ended(attempts, state))), None);
                let one = after(&[&before[..], &[merged.change]].concat()).unwrap();
                let two = after(&[&before[..], &[Running { attempts }, ended(attempts, state)]].concat()).unwrap();
                // The second one was said a second later.
                let seconds = |at: Option<i64>| at.map(|_| ());
                assert_eq!((one.state, one.attempts, one.progress), (two.state, two.attempts, two.progress));
                assert_eq!((&one.message, &one.error, &one.result), (&two.message, &two.error, &two.result));
                assert_eq!(
                    (seconds(one.started_at), seconds(one.finished_at)),
                    (seconds(two.started_at), seconds(two.finished_at))
                );
            }
        }
    }

    #[test]
    fn only_what_follows_in_the_same_attempt_is_merged() {
        let progress = |percent| StatusChange::Progress { attempts: 1, percent, message: None };
        let mut last = note(progress(1));
        assert_eq!(last.merge(note(progress(2))), None);
        assert_eq!(last, note(progress(2)));
        let mut running = note(Running { attempts: 1 });
        let others = [note(ended(2, Succeeded)), StatusUpdate { id: "y".into(), ..note(ended(1, Succeeded)) }, note(progress(3))];
        for other in others {
            assert_eq!(running.merge(other.clone()), Some(other));
        }
        assert_eq!(last.merge(note(ended(1, Succeeded))), Some(note(ended(1, Succeeded))), "its message stays");
    }

    fn state_after(said: &[StatusChange]) -> (State, u32) {
        after(said).map(|status| (status.state, status.attempts)).unwrap()
    }

    use State::{Expired, Failed, Retrying, Succeeded};
    use StatusChange::{GivenBack, Queued, QueuedAgain, Running, TakenBack};

    #[test]
    fn an_ordinary_life_is_told_as_it_happens() {
        let life = [Queued, Running { attempts: 1 }, ended(1, Retrying), Running { attempts: 2 }, ended(2, Succeeded)];
        let expected =
            [(State::Queued, 0), (State::Running, 1), (State::Retrying, 1), (State::Running, 2), (State::Succeeded, 2)];
        for (length, expected) in expected.into_iter().enumerate() {
            assert_eq!(state_after(&life[..=length]), expected);
        }
        let status = after(&life).unwrap();
        assert_eq!(
            (status.queued_at, status.started_at, status.finished_at, status.updated_at),
            (Some(0), Some(3000), Some(4000), 4000)
        );
        assert_eq!((status.progress, status.job.as_str()), (100, "J"));
    }

    #[test]
    fn a_late_word_changes_nothing() {
        let running = Running { attempts: 1 };
        assert_eq!(state_after(&[running.clone(), Queued]), (State::Running, 1));
        assert_eq!(state_after(&[running.clone(), ended(1, Succeeded), Queued]), (State::Succeeded, 1));
        assert_eq!(state_after(&[running.clone(), ended(1, Succeeded), TakenBack]), (State::Succeeded, 1));
        assert_eq!(state_after(&[Running { attempts: 2 }, running.clone()]), (State::Running, 2));
        assert_eq!(state_after(&[Running { attempts: 2 }, ended(1, Succeeded)]), (State::Running, 2));
        assert_eq!(state_after(&[Running { attempts: 2 }, ended(1, Failed)]), (State::Running, 2));
        assert_eq!(state_after(&[running.clone(), ended(1, Succeeded), ended(1, Retrying)]), (State::Succeeded, 1));
        assert_eq!(state_after(&[running.clone(), ended(1, Failed), running]), (State::Failed, 1));
    }

    #[test]
    fn a_later_attempt_counts_whatever_was_known() {
        assert_eq!(state_after(&[Running { attempts: 1 }, ended(1, Succeeded), Running { attempts: 2 }]), (State::Running, 2));
        assert_eq!(state_after(&[Running { attempts: 1 }, ended(2, Expired)]), (State::Expired, 2));
        assert_eq!(state_after(&[ended(3, Failed)]), (State::Failed, 3));
    }

    #[test]
    fn a_job_that_was_given_back_runs_again_with_the_same_number() {
        let life = [Queued, Running { attempts: 1 }, GivenBack { attempts: 1 }, Running { attempts: 1 }];
        assert_eq!(state_after(&life[..3]), (State::Queued, 0));
        assert_eq!(state_after(&life), (State::Running, 1));
        assert_eq!(state_after(&[Running { attempts: 2 }, GivenBack { attempts: 1 }]), (State::Running, 2));
    }

    #[test]
    fn what_was_never_attempted_is_taken_back_and_what_failed_is_retried() {
        assert_eq!(after(&[Queued, TakenBack]), None);
        let retried = after(&[Queued, ended(3, Failed), QueuedAgain]).unwrap();
        assert_eq!((retried.state, retried.attempts, retried.finished_at), (State::Queued, 0, None));
        assert_eq!(state_after(&[Running { attempts: 1 }, QueuedAgain]), (State::Running, 1));
    }

    #[test]
    fn an_error_stays_until_the_job_succeeds_and_a_result_until_the_next_attempt() {
        let failed =
            |state| StatusChange::ended(1, Ending { state, error: Some("e".repeat(MOST_ERROR + 1)), result: Some("1".into()) });
        let retrying = after(&[failed(Retrying), Running { attempts: 2 }]).unwrap();
        assert_eq!((retrying.error.unwrap().len(), retrying.result), (MOST_ERROR, None));
        assert_eq!(after(&[failed(Failed)]).unwrap().result.as_deref(), Some("1"));
        assert_eq!(after(&[failed(Retrying), Running { attempts: 2 }, ended(2, Succeeded)]).unwrap().error, None);
    }

    #[test]
    fn progress_is_said_of_the_running_attempt_only() {
        let progress = |attempts, percent| StatusChange::Progress { attempts, percent, message: Some("half".into()) };
        let status = after(&[Running { attempts: 2 }, progress(1, 10), progress(2, 50)]).unwrap();
        assert_eq!((status.progress, status.message.as_deref()), (50, Some("half")));
        assert_eq!(after(&[Running { attempts: 1 }, ended(1, Failed), progress(1, 50)]).unwrap().progress, 0);
        assert_eq!(after(&[progress(1, 50)]), None);
    }
}
