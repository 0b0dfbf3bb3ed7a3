//! A status as a log: the updates of one job in the order in which they were written, each a line of JSON.
//!
//! A writer appends and looks at nothing. A reader goes through the lines and lets an update count when it is later than what is known by
//! then, so it sees what a store knows that decides at each write.

use std::borrow::Cow;
use std::ops::Not;

use serde::{Deserialize, Serialize};

use super::state::{State, Status};
use super::update::{Ending, JobRef, StatusChange, StatusFields, StatusUpdate};
use super::{MOST_ERROR, MOST_MESSAGE, beginning};

/// An entry, one line: one update, or all that the lines before it said.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Entry<'a> {
    /// When it was written, in milliseconds since 1970.
    at: i64,
    /// Seconds until the status expires.
    ttl: u32,
    change: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_zero")]
    attempts: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    job: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    queue: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    connection: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_zero")]
    percent: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Not::not")]
    with_start: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<StatusFields>,
}

const QUEUED: &str = "queued";
const TAKEN_BACK: &str = "taken_back";
const QUEUED_AGAIN: &str = "queued_again";
const RUNNING: &str = "running";
const PROGRESS: &str = "progress";
const GIVEN_BACK: &str = "given_back";
const ENDED: &str = "ended";
const SUMMARY: &str = "summary";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl<'a> Entry<'a> {
    fn of(update: &'a StatusUpdate, at: i64) -> Self {
        let entry = Self { at, ttl: update.ttl, attempts: update.attempts(), ..Self::default() };
        match &update.change {
            StatusChange::Queued => entry.with_change(QUEUED).with_job(&update.job),
            StatusChange::TakenBack => entry.with_change(TAKEN_BACK),
            StatusChange::QueuedAgain => entry.with_change(QUEUED_AGAIN).with_job(&update.job),
            StatusChange::Running { .. } => entry.with_change(RUNNING).with_job(&update.job),
            StatusChange::GivenBack { .. } => entry.with_change(GIVEN_BACK),
            StatusChange::Progress { percent, message, .. } => Self {
                percent: u32::from(*percent),
                message: message.as_deref().map(|message| beginning(message, MOST_MESSAGE).into()),
                ..entry.with_change(PROGRESS)
            },
            StatusChange::Ended { ending, with_start, .. } => Self {
                state: Some(ending.state.name().into()),
                error: ending.error.as_deref().map(|error| beginning(error, MOST_ERROR).into()),
                result: ending.result.as_deref().map(Cow::Borrowed),
                with_start: *with_start,
                ..entry.with_change(ENDED).with_job(&update.job)
            },
        }
    }

    fn with_change(self, change: &'static str) -> Self {
        Self { change: change.into(), ..self }
    }

    fn with_job(self, job: &'a JobRef) -> Self {
        let JobRef { job, queue, connection } = job;
        Self { job: job.into(), queue: queue.into(), connection: connection.into(), ..self }
    }

    /// The update that it says. `None` for one of a newer version.
    fn update(self) -> Option<StatusUpdate> {
        let attempts = self.attempts;
        let text = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let change = match &*self.change {
            QUEUED => StatusChange::Queued,
            TAKEN_BACK => StatusChange::TakenBack,
            QUEUED_AGAIN => StatusChange::QueuedAgain,
            RUNNING => StatusChange::Running { attempts },
            GIVEN_BACK => StatusChange::GivenBack { attempts },
            PROGRESS => {
                let percent = u8::try_from(self.percent).unwrap_or(100);
                StatusChange::Progress { attempts, percent, message: text(self.message) }
            }
            ENDED => {
                let state = State::named(&self.state?)?;
                let ending = Ending { state, error: text(self.error), result: text(self.result) };
                StatusChange::Ended { attempts, ending, with_start: self.with_start }
            }
            _ => return None,
        };
        let job = JobRef { job: self.job.into_owned(), queue: self.queue.into_owned(), connection: self.connection.into_owned() };
        Some(StatusUpdate { id: String::new(), job, change, ttl: self.ttl })
    }

    fn append_to(&self, log: &mut Vec<u8>) {
        serde_json::to_writer(&mut *log, self).expect("texts and numbers can be written as JSON");
        log.push(b'\n');
    }
}

/// Appends an update that is written at `at`, in milliseconds since 1970.
pub fn append(update: &StatusUpdate, at: i64, log: &mut Vec<u8>) {
    Entry::of(update, at).append_to(log);
}

/// What the lines of a log say.
#[derive(Debug, Default)]
pub struct StatusLog {
    fields: Option<StatusFields>,
    /// When the last update that counted was written. Before there was one, a time before every other.
    updated_at: i64,
    ttl: u32,
}

impl StatusLog {
    /// Goes through the lines. One that is broken, or says what only a newer version knows, counts nothing.
    pub fn read(log: &[u8]) -> Self {
        let mut known = Self::default();
        log.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).for_each(|line| known.take(line));
        known
    }

    fn take(&mut self, mut entry: Entry<'_>) {
        // Each writer estimates the clock of the server; the lines stand in the order in which it took them.
        let at = entry.at.max(self.updated_at);
        if at >= self.expires() {
            self.fields = None;
        }
        let ttl = entry.ttl;
        if let Some(fields) = entry.fields.take() {
            self.fields = Some(fields);
        } else {
            let Some(update) = entry.update().filter(|update| self.admits(update)) else { return };
            let patch = update.patch();
            match patch.removes {
                true => self.fields = None,
                false => patch.apply(self.fields.get_or_insert_default(), at),
            }
        }
        (self.updated_at, self.ttl) = (at, ttl);
    }

    /// When the status expires, in milliseconds since 1970.
    pub fn expires(&self) -> i64 {
        self.updated_at.saturating_add(i64::from(self.ttl) * 1000)
    }

    /// Whether an update is later than what is known.
    pub fn admits(&self, update: &StatusUpdate) -> bool {
        update.is_admitted(self.fields.as_ref())
    }

    /// The status of the job with this id, when one is known.
    pub fn status(&self, id: &str) -> Option<Status> {
        Status::of(id, self.fields.as_ref()?)
    }

    /// A log of one line that says the same; empty when nothing is known.
    pub fn summary(self) -> Vec<u8> {
        let mut log = Vec::new();
        if self.fields.is_some() {
            let entry = Entry { at: self.updated_at, ttl: self.ttl, fields: self.fields, ..Entry::default() };
            entry.with_change(SUMMARY).append_to(&mut log);
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use super::StatusChange::*;
    use super::*;

    const TTL: u32 = 60;

    fn update(change: StatusChange) -> StatusUpdate {
        let job = JobRef { job: "App\\Job@run".into(), queue: "q".into(), connection: "c".into() };
        StatusUpdate { id: "x".into(), job, change, ttl: TTL }
    }

    fn ended(attempts: u32, state: State) -> StatusChange {
        StatusChange::ended(attempts, Ending { state, error: Some("boom\n\"ü\"".into()), result: Some(r#"{"a":1}"#.into()) })
    }

    /// A log of these updates, written a second apart.
    fn log(changes: &[StatusChange]) -> Vec<u8> {
        let mut log = Vec::new();
        changes.iter().zip(1..).for_each(|(change, second)| append(&update(change.clone()), second * 1000, &mut log));
        log
    }

    /// The fields of a store that decides at each write.
    fn written(changes: &[StatusChange]) -> Option<StatusFields> {
        let mut fields: Option<StatusFields> = None;
        for (change, second) in changes.iter().zip(1..) {
            let update = update(change.clone());
            if update.is_admitted(fields.as_ref()) {
                let patch = update.patch();
                patch.apply(fields.get_or_insert_default(), second * 1000);
                fields = fields.filter(|_| !patch.removes);
            }
        }
        fields
    }

    fn every_change() -> Vec<StatusChange> {
        let progress = |attempts| Progress { attempts, percent: 40, message: Some("half".into()) };
        let merged = |attempts| {
            let mut start = update(Running { attempts });
            assert_eq!(start.merge(update(ended(attempts, State::Succeeded))), None);
            start.change
        };
        let of_attempt = |attempts| {
            let ends = [State::Retrying, State::Succeeded, State::Failed, State::Expired].map(|state| ended(attempts, state));
            let others = [Running { attempts }, progress(attempts), GivenBack { attempts }, merged(attempts)];
            others.into_iter().chain(ends)
        };
        [Queued, TakenBack, QueuedAgain].into_iter().chain((1..=2).flat_map(of_attempt)).collect()
    }

    #[test]
    fn a_reader_knows_what_a_store_knows_that_decides_at_each_write() {
        let changes = every_change();
        for first in &changes {
            for second in &changes {
                for third in &changes {
                    let life = [first.clone(), second.clone(), third.clone()];
                    let (read, written) = (StatusLog::read(&log(&life)), written(&life));
                    assert_eq!(read.fields, written, "{life:?}");
                    assert_eq!(StatusLog::read(&read.summary()).fields, written, "the summary of {life:?}");
                }
            }
        }
    }

    #[test]
    fn lines_that_were_written_twice_count_once() {
        let life = [Queued, Running { attempts: 1 }, ended(1, State::Retrying), Running { attempts: 2 }, ended(2, State::Failed)];
        let once = log(&life);
        assert_eq!(StatusLog::read(&[&once[..], &once].concat()).fields, StatusLog::read(&once).fields);
    }

    #[test]
    fn a_line_is_as_short_as_what_it_says() {
        let text = |change| String::from_utf8(log(&[change])).unwrap();
        assert_eq!(
            text(Queued),
            "{\"at\":1000,\"ttl\":60,\"change\":\"queued\",\"job\":\"App\\\\Job@run\",\"queue\":\"q\",\"connection\":\"c\"}\n"
        );
        assert_eq!(text(GivenBack { attempts: 2 }), "{\"at\":1000,\"ttl\":60,\"change\":\"given_back\",\"attempts\":2}\n");
        let long = Progress { attempts: 1, percent: 7, message: Some("m".repeat(MOST_MESSAGE + 1)) };
        assert!(text(long).len() < MOST_MESSAGE + 100);
    }

    #[test]
    fn a_line_that_nobody_can_read_counts_nothing() {
        let life = [Queued, Running { attempts: 1 }];
        let mut with_others = b"{\"at\":\n\n[]\n{\"at\":1,\"ttl\":9,\"change\":\"moved\"}\n".to_vec();
        with_others.extend(log(&life));
        with_others
            .extend_from_slice(b"{\"at\":9000,\"ttl\":9,\"change\":\"ended\",\"attempts\":1,\"state\":\"lost\"}\n\xff\n{\"at\"");
        assert_eq!(StatusLog::read(&with_others).fields, written(&life));
        assert_eq!(StatusLog::read(b"").status("x"), None);
        assert!(StatusLog::read(b"").summary().is_empty());
    }

    #[test]
    fn what_expired_between_two_lines_is_not_known() {
        let mut log = Vec::new();
        append(&update(Queued), 1000, &mut log);
        assert_eq!(StatusLog::read(&log).expires(), 61_000);
        append(&update(Running { attempts: 1 }), 61_000, &mut log);
        let status = StatusLog::read(&log).status("x").unwrap();
        assert_eq!((status.state, status.queued_at, status.started_at), (State::Running, None, Some(61_000)));
    }

    #[test]
    fn times_never_go_back() {
        let mut log = Vec::new();
        append(&update(Queued), 1005, &mut log);
        append(&update(Running { attempts: 1 }), 1000, &mut log);
        let status = StatusLog::read(&log).status("x").unwrap();
        assert_eq!((status.queued_at, status.started_at, status.updated_at), (Some(1005), Some(1005), 1005));
    }
}
