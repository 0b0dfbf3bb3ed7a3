//! The families on the wire: three of think-queue, and the plain Redis tasks. A dialect owns key names, envelope, columns and attempts
//! accounting; a driver owns atomic primitives. `docs/decisions/0006-families.md` and `0015-plain-redis-tasks.md` say how the fences and
//! promises hold in each.

use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Result};
use crate::payload::Payload;
use crate::policy::{ExhaustionRule, OnReturn};
use crate::queue::QueueName;
use crate::redis_task;

/// What the other side speaks (`../docs/wire-format.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Family {
    /// v3.0.5 and later: keys `{queues:NAME}`, attempts counted from 0 and raised when a job is reserved.
    #[default]
    Think3,
    /// v3.0.0 to v3.0.4: as `Think3`, but keys without braces and, before v3.0.3, other columns.
    Think3Legacy,
    /// v1.x and v2.x: keys without braces, attempts counted from 1 and raised when a job comes back.
    Think1,
    /// Plain Redis tasks ([`redis_task`]): bare lists, bodies that name a class with `handle()`. On Redis only.
    RedisTask,
}

/// The end of the ready list at which the next job lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListEnd {
    /// The left one: jobs are pushed on the right.
    Left,
    /// The right one: jobs are pushed on the left.
    Right,
}

/// When the attempts of a job rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// When it is reserved: what is held says one more than what lay ready (`redis/pop-*` of v3).
    AtReserve,
    /// When it comes back: at a release, and when an expired reservation is made ready again. What is held are the very bytes
    /// that lay ready (`redis/pop-one`, `redis/release-0`, `redis/pop-reserved-expired-increments-attempts` of v1).
    AtReturn,
}

/// The Redis keys of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisKeys {
    /// List of ready jobs.
    pub ready: String,
    /// Sorted set of delayed jobs, by due second.
    pub delayed: String,
    /// Sorted set of reserved jobs, by the second their lease ends.
    pub reserved: String,
    /// List of failed jobs, newest first. think-queue never reads ours; plain Redis tasks share theirs with other programs.
    pub failed: String,
}

/// The columns of a table of jobs beside `id`, `queue`, `payload` and `attempts`, which all families share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobColumns {
    /// 1 while a job is reserved and 0 otherwise, where there is such a column. Without it, `reserved_at` tells.
    pub reserved: Option<&'static str>,
    /// The second in which a job was reserved; NULL while it is not.
    pub reserved_at: &'static str,
    /// The second in which it is due.
    pub available_at: &'static str,
    /// The second in which the row was written.
    pub created_at: &'static str,
}

/// v3.0.3 and later.
const SINCE_3_0_3: JobColumns =
    JobColumns { reserved: None, reserved_at: "reserve_time", available_at: "available_time", created_at: "create_time" };

/// v3.0.0 to v3.0.2.
const BEFORE_3_0_3: JobColumns =
    JobColumns { reserved: None, reserved_at: "reserved_at", available_at: "available_at", created_at: "created_at" };

/// v1 and v2.
const BEFORE_3: JobColumns =
    JobColumns { reserved: Some("reserved"), reserved_at: "reserved_at", available_at: "available_at", created_at: "created_at" };

impl JobColumns {
    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.reserved, Some(self.reserved_at), Some(self.available_at), Some(self.created_at)].into_iter().flatten()
    }

    /// The first column that a table lacks. `has` tells of a name whether the table has it.
    pub fn missing_in(&self, has: impl Fn(&str) -> bool) -> Option<&'static str> {
        self.names().find(|name| !has(name))
    }

    /// Whether a table is laid out like this. The columns of v3.0.0 are also in a table of v1, whose `reserved` tells them apart.
    pub fn fit(&self, has: impl Fn(&str) -> bool) -> bool {
        let one_of_v1 = self.reserved_at == BEFORE_3.reserved_at && has("reserved");
        self.missing_in(&has).is_none() && one_of_v1 == self.reserved.is_some()
    }
}

impl Family {
    /// All of them, the default first.
    pub const ALL: [Family; 4] = [Family::Think3, Family::Think3Legacy, Family::Think1, Family::RedisTask];

    /// Those of think-queue.
    pub const THINK: [Family; 3] = [Family::Think3, Family::Think3Legacy, Family::Think1];

    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Family::Think3 => "think3",
            Family::Think3Legacy => "think3-legacy",
            Family::Think1 => "think1",
            Family::RedisTask => "redis-task",
        }
    }

    /// The family of a name in configuration.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// The keys of a queue. The braces of v3.0.5 are literal: they make one hash slot of them on a cluster.
    pub fn redis_keys(self, queue: &QueueName) -> RedisKeys {
        let ready = match self {
            Family::RedisTask => return redis_task::keys(queue),
            Family::Think3 | Family::Think3Legacy | Family::Think1 => self.redis_ready_key(queue),
        };
        let beside = |suffix| [ready.as_str(), suffix].concat();
        RedisKeys { delayed: beside(":delayed"), reserved: beside(":reserved"), failed: beside(":ferry:failed"), ready }
    }

    /// The key of the ready list alone, which is all that a push needs.
    pub fn redis_ready_key(self, queue: &QueueName) -> String {
        // Joined, not formatted: every push comes by here.
        match self {
            Family::RedisTask => redis_task::keys(queue).ready,
            Family::Think3 => ["{queues:", queue.as_str(), "}"].concat(),
            Family::Think3Legacy | Family::Think1 => ["queues:", queue.as_str()].concat(),
        }
    }

    /// The columns its tables may have; a table that is missing is created with the first.
    pub fn job_columns(self) -> &'static [JobColumns] {
        match self {
            Family::Think3 => &[SINCE_3_0_3],
            Family::Think3Legacy => &[SINCE_3_0_3, BEFORE_3_0_3],
            Family::Think1 => &[BEFORE_3],
            Family::RedisTask => &[],
        }
    }

    /// The names that the time of a failed job may have in its table; a table that is missing is created with the first. v1 and
    /// v2 have no such table, so there it is ours.
    pub fn failed_at_columns(self) -> &'static [&'static str] {
        match self {
            Family::Think3 | Family::Think1 => &["fail_time"],
            Family::Think3Legacy => &["fail_time", "failed_at"],
            Family::RedisTask => &[],
        }
    }

    /// When attempts rise.
    pub fn counting(self) -> Counting {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::RedisTask => Counting::AtReserve,
            Family::Think1 => Counting::AtReturn,
        }
    }

    /// What `attempts` is in a payload that was never reserved.
    pub fn fresh_attempts(self) -> u32 {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::RedisTask => 0,
            Family::Think1 => 1,
        }
    }

    /// How often a job was tried whose payload says `attempts` while it lies ready.
    pub fn tried(self, attempts: u32) -> u32 {
        attempts.saturating_sub(self.fresh_attempts())
    }

    /// What `attempts()` is for the handler of a job whose payload says `attempts` while it lies ready: 1 for the first time. A
    /// payload of v3 in a queue of v1 makes it 0, as it does there (`redis/pop-v3-payload` of v1).
    pub fn attempt_number(self, attempts: u32) -> u32 {
        match self.counting() {
            Counting::AtReserve => attempts + 1,
            Counting::AtReturn => attempts,
        }
    }

    /// Whether payloads name `maxTries` and `timeout`, and those of object jobs `timeoutAt`.
    pub fn names_limits(self) -> bool {
        match self {
            Family::Think3 | Family::Think3Legacy => true,
            Family::Think1 | Family::RedisTask => false,
        }
    }

    /// Whether data that goes into a payload beside id and attempts was decoded and encoded again first, so that `{}` becomes
    /// `[]` (`redis/push-data-empty-object-becomes-array` of v1). Tables keep it (`mariadb/push-empty-object-kept`).
    pub fn recodes_data(self) -> bool {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::RedisTask => false,
            Family::Think1 => true,
        }
    }

    /// Whether the constructor of a handler gets the job's data. v1 and v2 made handlers without arguments.
    pub fn constructs_with_data(self) -> bool {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::RedisTask => true,
            Family::Think1 => false,
        }
    }

    /// Whether a handler's `failed` gets the exception behind the data.
    pub fn hands_exception_to_failed(self) -> bool {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::RedisTask => true,
            Family::Think1 => false,
        }
    }

    /// Whether a handler's `failed` is called for a job that fails inside push (`sync/sync-push-throws` of v2 and v3).
    pub fn calls_failed_inside_push(self) -> bool {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::RedisTask => false,
            Family::Think1 => true,
        }
    }

    /// The class that a name without backslash means below an application's namespace: `module/Name` is
    /// `<namespace>\module\job\Name` everywhere; `some_name` is `<namespace>\job\SomeName` since v3
    /// (`worker/worker-studly-short-name`) and `<namespace>\job\some_name` before.
    pub fn job_class(self, namespace: &str, name: &str) -> String {
        match (name.split_once('/'), self) {
            (_, Family::RedisTask) => name.to_owned(),
            (Some((module, name)), _) => format!("{namespace}\\{module}\\job\\{name}"),
            (None, Family::Think3 | Family::Think3Legacy) => format!("{namespace}\\job\\{}", studly(name)),
            (None, Family::Think1) => format!("{namespace}\\job\\{name}"),
        }
    }

    /// When a job that used up its tries is given up.
    pub fn verdict(self) -> ExhaustionRule {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::RedisTask => ExhaustionRule::InTheLastAttempt,
            Family::Think1 => ExhaustionRule::AtTheNextReserve,
        }
    }

    /// Where the next ready job lies.
    pub fn next_job(self) -> ListEnd {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => ListEnd::Left,
            Family::RedisTask => ListEnd::Right,
        }
    }

    /// The key under which a payload says how often it may be tried.
    pub fn tries_key(self) -> &'static str {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => "maxTries",
            Family::RedisTask => "max_attempts",
        }
    }

    /// Whether a payload says how long it was delayed last, so that a release writes its delay there.
    pub fn writes_delay(self) -> bool {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => false,
            Family::RedisTask => true,
        }
    }

    /// Reads the envelope of a body. An error is poison.
    pub fn decode(self, body: &[u8]) -> Result<Payload> {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => Payload::decode(body),
            Family::RedisTask => redis_task::decode(body),
        }
    }

    /// The queue of a connection that names none.
    pub fn default_queue(self) -> &'static str {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => "default",
            Family::RedisTask => redis_task::DEFAULT_QUEUE,
        }
    }

    /// How long a failed job waits when nobody said anything.
    pub fn backoff(self) -> Backoff {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => Backoff::STANDARD,
            Family::RedisTask => Backoff::REDIS_TASK,
        }
    }

    /// What a handler means that returns without settling its job. A task says by its answer that it is done.
    pub fn on_return(self) -> OnReturn {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => OnReturn::Leave,
            Family::RedisTask => OnReturn::Delete,
        }
    }

    /// An error when the keys of this queue would be those of another one. The keys of think-queue are left as they always were.
    pub fn check_queue(self, queue: &QueueName) -> Result<()> {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => Ok(()),
            Family::RedisTask => redis_task::check_queue(queue),
        }
    }

    /// An error where jobs are pushed as a class name and data: a task is an object that knows its bytes.
    pub fn check_takes_jobs(self) -> Result<()> {
        match self {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => Ok(()),
            Family::RedisTask => {
                let context = "this connection holds plain Redis tasks (`family` => 'redis-task'), and a job is none";
                Err(Error::new(ErrorKind::Unsupported, context)
                    .with_advice("push a Ferry\\RedisTask\\Task with Ferry\\RedisTask\\QueueManager"))
            }
        }
    }
}

/// `some-name`, `some_name` and `some name` as `SomeName`, as think-helper writes them.
fn studly(name: &str) -> String {
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    };
    name.split(['-', '_', ' ']).map(upper).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_made_and_called_as_their_think_queue_does() {
        let behaviour = |family: Family| {
            (
                family.constructs_with_data(),
                family.hands_exception_to_failed(),
                family.calls_failed_inside_push(),
                family.recodes_data(),
            )
        };
        assert_eq!(
            Family::THINK.map(behaviour),
            [(true, true, false, false), (true, true, false, false), (false, false, true, true)]
        );
    }

    #[test]
    fn a_short_name_is_studly_since_v3_and_stays_as_written_before() {
        for (family, class) in
            [(Family::Think3, "SendMailNow"), (Family::Think3Legacy, "SendMailNow"), (Family::Think1, "send_mail now")]
        {
            assert_eq!(family.job_class("app", "send_mail now"), format!("app\\job\\{class}"));
            assert_eq!(family.job_class("app", "admin/SendMail"), "app\\admin\\job\\SendMail");
        }
    }

    #[test]
    fn every_family_is_found_by_its_name() {
        for family in Family::ALL {
            assert_eq!(Family::named(family.name()), Some(family));
        }
        assert_eq!(Family::named("think2"), None);
    }

    #[test]
    fn only_the_keys_of_v3_0_5_have_braces() {
        let queue = QueueName::default();
        let keys = Family::Think3.redis_keys(&queue);
        assert_eq!((keys.ready.as_str(), keys.failed.as_str()), ("{queues:default}", "{queues:default}:ferry:failed"));
        let keys = Family::Think1.redis_keys(&queue);
        assert_eq!(keys, Family::Think3Legacy.redis_keys(&queue));
        assert_eq!((keys.ready.as_str(), keys.delayed.as_str()), ("queues:default", "queues:default:delayed"));
        assert_eq!((keys.reserved.as_str(), keys.failed.as_str()), ("queues:default:reserved", "queues:default:ferry:failed"));
    }

    #[test]
    fn a_plain_task_has_the_behaviour_of_its_original() {
        let family = Family::RedisTask;
        assert_eq!(
            (family.next_job(), family.counting(), family.verdict()),
            (ListEnd::Right, Counting::AtReserve, ExhaustionRule::InTheLastAttempt)
        );
        assert_eq!((family.tries_key(), family.writes_delay(), family.on_return()), ("max_attempts", true, OnReturn::Delete));
        assert_eq!((family.default_queue(), family.backoff()), ("default_queue", Backoff::REDIS_TASK));
        assert_eq!(family.job_class("app", "admin/SendMail"), "admin/SendMail", "classes are named in full");
        assert_eq!(family.check_takes_jobs().unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(family.job_columns().is_empty() && family.failed_at_columns().is_empty());
    }

    #[test]
    fn a_table_fits_the_columns_of_one_age_only() {
        let ages = [SINCE_3_0_3, BEFORE_3_0_3, BEFORE_3];
        for table in ages {
            let fitting: Vec<_> =
                ages.into_iter().filter(|columns| columns.fit(|name| table.names().any(|has| has == name))).collect();
            assert_eq!(fitting, [table]);
        }
    }

    #[test]
    fn a_fresh_job_is_in_its_first_attempt_and_was_never_tried() {
        for family in Family::ALL {
            let fresh = family.fresh_attempts();
            assert_eq!((family.tried(fresh), family.attempt_number(fresh)), (0, 1), "{}", family.name());
        }
        assert_eq!((Family::Think1.tried(0), Family::Think1.attempt_number(0)), (0, 0));
    }
}
