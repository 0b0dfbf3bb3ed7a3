//! Which failed jobs a call is about. Finding them in a store is the driver's task.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use crate::failed::FailedJob;
use crate::payload::{Payload, class_name};
use crate::redis_task;

/// Selects failed jobs: those that meet every condition. Without conditions all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Those with one of these ids of the store. A store whose ids are numbers of its own looks for the job of that id where it has none.
    pub ids: Option<HashSet<String>>,
    /// Those of the job whose push returned this id.
    pub job: Option<String>,
    /// Those of this handler class, and of this class of object jobs. Case and a leading backslash do not matter, as in PHP.
    pub class: Option<String>,
    /// Those that failed before this unix second.
    pub before: Option<i64>,
    /// Those that failed in this unix second or later, so that `before` and `after` of one second split a store in two.
    pub after: Option<i64>,
    /// Those whose record names one of these connections.
    pub connection: RecordedConnection,
}

/// Which connections the records of failed jobs may name. A table of failed jobs is shared by all connections of an application, and
/// the jobs of another one do not belong into the queues of this one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RecordedConnection {
    /// Any.
    #[default]
    Any,
    /// This one.
    Named(String),
    /// Any but these.
    NoneOf(HashSet<String>),
}

impl RecordedConnection {
    fn admits(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Named(wanted) => wanted == name,
            Self::NoneOf(others) => !others.contains(name),
        }
    }
}

impl Filter {
    /// All failed jobs.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those with one of these ids; none without ids.
    pub fn ids(ids: impl IntoIterator<Item = String>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), ..Self::default() }
    }

    /// Whether this job is selected.
    pub fn matches(&self, job: &FailedJob) -> bool {
        self.connection.admits(&job.connection)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&job.id))
            && self.job.as_ref().is_none_or(|id| job.job_id.as_ref() == Some(id))
            && self.before.is_none_or(|second| job.failed_at < second)
            && self.after.is_none_or(|second| job.failed_at >= second)
            && self.class.as_deref().is_none_or(|class| class_of(&job.payload).is_some_and(|of| same_class(&of, class)))
    }

    /// Leaves records that name one of `others` alone, unless a connection was asked for by its name.
    #[must_use]
    pub fn sparing(self, others: HashSet<String>) -> Self {
        let connection = match self.connection {
            RecordedConnection::Any => RecordedConnection::NoneOf(others),
            chosen @ (RecordedConnection::Named(_) | RecordedConnection::NoneOf(_)) => chosen,
        };
        Self { connection, ..self }
    }

    /// How many ids it names. `None`: it names none, so any number of jobs may match.
    pub fn most(&self) -> Option<usize> {
        self.ids.as_ref().map(HashSet::len)
    }
}

fn same_class(one: &str, other: &str) -> bool {
    let plain = |name: &str| class_name(name).to_ascii_lowercase();
    plain(one) == plain(other)
}

/// The class that a payload names: its handler's, that of the object it carries, or that of a plain task. `None` for poison.
pub fn class_of(body: &[u8]) -> Option<String> {
    // No payload names both a `job` and a `class`.
    let payload = Payload::decode(body).or_else(|_| redis_task::decode(body)).ok()?;
    let (class, _) = payload.target();
    let data = payload.data.as_ref().and_then(|data| body.get(data.clone()));
    let carried = data.filter(|_| is_for_objects(class)).and_then(carried_class);
    Some(carried.unwrap_or_else(|| class.to_owned()))
}

/// `think\queue\CallQueuedHandler`, or ours in its place.
fn is_for_objects(handler: &str) -> bool {
    handler.rsplit('\\').next().is_some_and(|name| name.eq_ignore_ascii_case("CallQueuedHandler"))
}

fn carried_class(data: &[u8]) -> Option<String> {
    let fields: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(data).ok()?;
    serde_json::from_str(fields.get("commandName")?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failed::{Failure, Reason};

    fn failed(id: &str, payload: &[u8], second: i64) -> FailedJob {
        let failure = Failure {
            connection: "redis".into(),
            payload: payload.to_vec(),
            reason: Reason::Exception,
            exception: "boom".into(),
            attempts: 1,
        };
        FailedJob::of(&failure, id.into(), "mail", second)
    }

    fn of_class(class: &str) -> Filter {
        Filter { class: Some(class.into()), ..Filter::default() }
    }

    #[test]
    fn without_conditions_every_job_is_meant_poison_too() {
        assert!(Filter::all().matches(&failed("a", b"\xff", 0)));
        assert_eq!(Filter::all().most(), None);
    }

    #[test]
    fn ids_are_exact_and_an_empty_list_means_none() {
        let filter = Filter::ids(["1".to_owned(), "12".to_owned(), "1".to_owned()]);
        assert_eq!(filter.most(), Some(2));
        assert!(filter.matches(&failed("12", b"{}", 0)));
        for other in ["2", "01", "", "A"] {
            assert!(!filter.matches(&failed(other, b"{}", 0)), "{other}");
            assert!(!Filter::ids([]).matches(&failed(other, b"{}", 0)));
        }
    }

    #[test]
    fn a_job_is_found_by_the_id_of_its_push_and_by_no_number_of_the_store() {
        let job = |id: &str| Filter { job: Some(id.into()), ..Filter::default() };
        let failed = failed("17", br#"{"id":"abc"}"#, 0);
        assert!(job("abc").matches(&failed));
        assert!(!job("17").matches(&failed));
        assert!(!Filter::ids(["abc".to_owned()]).matches(&failed));
    }

    #[test]
    fn before_and_after_split_a_store_in_two() {
        let before = Filter { before: Some(100), ..Filter::default() };
        let after = Filter { after: Some(100), ..Filter::default() };
        for second in [0, 99, 100, 101] {
            let job = failed("a", b"{}", second);
            assert_ne!(before.matches(&job), after.matches(&job), "{second}");
            assert_eq!(before.matches(&job), second < 100);
        }
    }

    #[test]
    fn a_class_is_found_as_php_would_find_it() {
        let plain = br#"{"job":"app\\job\\Job1@task","data":{"commandName":"Other"}}"#;
        let object = br#"{"job":"think\\queue\\CallQueuedHandler@call","data":{"commandName":"app\\job\\Mail","command":"O:1"}}"#;
        let ours = br#"{"job":"Ferry\\CallQueuedHandler@call","data":{"command":"O:1"}}"#;
        let task = br#"{"id":"t","class":"App\\Jobs\\Mail","data":[],"attempts":1,"max_attempts":3,"delay":0,"created_at":0}"#;
        let without_data = br#"{"job":"Ferry\\CallQueuedHandler@call"}"#;
        for (class, payload, meant) in [
            ("app\\job\\Job1", &plain[..], true),
            ("\\App\\Job\\JOB1", plain, true),
            ("Job1", plain, false),
            ("app\\job\\Job1@task", plain, false),
            ("Other", plain, false),
            ("app\\job\\Mail", object, true),
            ("think\\queue\\CallQueuedHandler", object, false),
            ("Ferry\\CallQueuedHandler", ours, true),
            ("Ferry\\CallQueuedHandler", without_data, true),
            ("app\\jobs\\mail", task, true),
            ("Mail", task, false),
            ("app\\job\\Mail", b"not json app\\job\\Mail", false),
        ] {
            assert_eq!(of_class(class).matches(&failed("a", payload, 0)), meant, "{class}");
        }
    }

    #[test]
    fn records_of_other_connections_are_spared_unless_they_are_named() {
        // The record names `redis`.
        let job = failed("a", b"{}", 0);
        let sparing = |filter: Filter, other: &str| filter.sparing([other.to_owned()].into()).matches(&job);
        let named = |name: &str| Filter { connection: RecordedConnection::Named(name.into()), ..Filter::all() };
        for (spared, meant) in [("redis", false), ("unknown", true), ("Redis", true)] {
            assert_eq!(sparing(Filter::all(), spared), meant, "{spared}");
            assert_eq!(sparing(Filter::ids(["a".to_owned()]), spared), meant, "an id alone names no connection: {spared}");
            assert!(sparing(named("redis"), spared), "{spared}");
            assert!(!sparing(named("database"), spared), "{spared}");
        }
    }

    #[test]
    fn every_condition_counts() {
        let filter = Filter { before: Some(100), ..of_class("J") };
        assert!(filter.matches(&failed("a", br#"{"job":"J"}"#, 99)));
        assert!(!filter.matches(&failed("a", br#"{"job":"J"}"#, 100)));
        assert!(!filter.matches(&failed("a", br#"{"job":"K"}"#, 99)));
    }
}
