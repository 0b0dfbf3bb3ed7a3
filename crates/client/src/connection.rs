//! One connection: what is checked and built before a driver is asked, and where an error is said to have happened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ferry_core::broker::{Fact, Sizes, State};
use ferry_core::clock::{Clock, SystemClock};
use ferry_core::config::{ConnectionConfig, DriverConfig};
use ferry_core::dialect::Family;
use ferry_core::failed::{FailedJob, Filter};
use ferry_core::job::{Due, NewJob, Reservation};
use ferry_core::payload::{Envelope, Limits};
use ferry_core::{Admin, Broker, Error, ErrorKind, QueueName, Result};

use crate::failed;
use crate::ids::Ids;
use crate::raw;
use crate::tracking::Outage;

/// A job as a caller gives it: every field is JSON text that PHP's own encoder wrote.
#[derive(Debug, Clone, Copy)]
pub struct JobSpec<'a> {
    /// JSON string: `Class`, `Class@method` or a short name.
    pub job: &'a [u8],
    /// Limits of an object job; plain jobs have none.
    pub limits: Option<Limits<'a>>,
    /// The data.
    pub data: &'a [u8],
}

/// What a stored job is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// The id in its payload.
    Id(String),
    /// The number the broker gave it; 0 when it gave none.
    Number(i64),
}

/// A finished payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltPayload {
    /// The bytes for the wire.
    pub payload: Vec<u8>,
    /// The id in them, where the payload carries one.
    pub id: Option<String>,
}

/// A connection of this process. Made by [`crate::Handle`], shared by all objects with the same configuration.
pub struct Connection {
    config: Arc<ConnectionConfig>,
    /// `None` for sync: whoever pushes runs the job itself.
    broker: Option<Arc<dyn Broker>>,
    ids: Ids,
    /// How it stands with the status store of its jobs.
    pub(crate) outage: Outage,
    /// The tasks of a RabbitMQ server, when they were asked for.
    #[cfg(feature = "amqp")]
    pub(crate) tasks: once_cell::sync::OnceCell<Arc<ferry_driver_amqp::Tasks>>,
}

impl Connection {
    pub(crate) fn new(config: Arc<ConnectionConfig>, broker: Option<Arc<dyn Broker>>) -> Self {
        Self {
            config,
            broker,
            ids: Ids::new(),
            outage: Outage::default(),
            #[cfg(feature = "amqp")]
            tasks: once_cell::sync::OnceCell::new(),
        }
    }

    /// How it was configured.
    pub fn config(&self) -> &Arc<ConnectionConfig> {
        &self.config
    }

    /// Whether jobs run inside push. Then every call here that needs a broker is [`ErrorKind::Unsupported`].
    pub fn is_sync(&self) -> bool {
        matches!(self.config.driver, DriverConfig::Sync)
    }

    /// The broker, for a worker.
    pub fn broker(&self) -> Result<&Arc<dyn Broker>> {
        self.broker.as_ref().ok_or_else(|| Error::new(ErrorKind::Unsupported, "sync connections keep no jobs"))
    }

    /// A new id for a job.
    pub fn new_id(&self) -> Result<String> {
        Ok(self.ids.mint()?.map(char::from).iter().collect())
    }

    fn id_in_payload(&self) -> bool {
        self.broker.as_ref().is_some_and(|broker| broker.capabilities().id_in_payload)
    }

    /// Whether the data of a [`JobSpec`] must be decoded and encoded once more, as the original does before it adds id and attempts.
    pub fn recodes_data(&self) -> bool {
        self.config.family.recodes_data() && self.id_in_payload()
    }

    /// The payload of a job, with an id and fresh attempts where this broker's payloads carry them. Checks its length.
    pub fn build(&self, spec: &JobSpec<'_>) -> Result<BuiltPayload> {
        let id = if self.id_in_payload() { Some(self.new_id()?) } else { None };
        let counters = id.as_ref().map(|id| (id.as_bytes(), self.config.family.fresh_attempts()));
        let envelope = Envelope { job: spec.job, limits: spec.limits, data: spec.data, counters };
        let payload = envelope.to_bytes(self.config.family);
        self.check_length(&payload)?;
        Ok(BuiltPayload { payload, id })
    }

    /// Stores one job. `None` where the original has no answer.
    pub fn push(&self, queue: &QueueName, spec: &JobSpec<'_>, due: Due) -> Result<Option<Pushed>> {
        let push = || {
            check_due(due, &SystemClock)?;
            let BuiltPayload { payload, id } = self.build(spec)?;
            let number = self.broker()?.push(queue, NewJob::due(payload, due))?;
            Ok(match id {
                Some(id) => self.answer_id(id, due),
                None => Some(self.answer_number(number.unwrap_or_default())),
            })
        };
        push().map_err(|e| self.place(e, "push to", queue))
    }

    /// v1 and v2 answer null for a delayed job (`redis/later-int-10` of v1).
    fn answer_id(&self, id: String, due: Due) -> Option<Pushed> {
        let silent = match self.config.family {
            Family::Think3 | Family::Think3Legacy => false,
            Family::Think1 => due != Due::Now,
        };
        (!silent).then_some(Pushed::Id(id))
    }

    /// v1 and v2 answer how many rows they wrote (`mariadb/push-assoc` of v1).
    fn answer_number(&self, number: i64) -> Pushed {
        Pushed::Number(match self.config.family {
            Family::Think3 | Family::Think3Legacy => number,
            Family::Think1 => 1,
        })
    }

    /// Stores jobs in order and returns how many. They are all checked first; an error says how many were stored.
    pub fn push_many(&self, queue: &QueueName, specs: &[JobSpec<'_>]) -> Result<u64> {
        let push = || {
            let broker = self.broker()?;
            let jobs = specs.iter().map(|spec| Ok(NewJob::ready(self.build(spec)?.payload))).collect::<Result<Vec<_>>>()?;
            if jobs.is_empty() { Ok(0) } else { broker.push_many(queue, &jobs) }
        };
        push().map_err(|e| self.place(e, "push to", queue))
    }

    /// Stores a payload as it is. Returns its own id, or the number the broker gave it.
    pub fn push_raw(&self, queue: &QueueName, payload: &[u8], due: Due) -> Result<Option<Pushed>> {
        let push = || {
            check_due(due, &SystemClock)?;
            self.check_length(payload)?;
            let number = self.broker()?.push(queue, NewJob::due(payload, due))?;
            Ok(if self.id_in_payload() { raw::id_in(payload) } else { number.map(|number| self.answer_number(number)) })
        };
        push().map_err(|e| self.place(e, "push to", queue))
    }

    /// Takes the next job, if there is one now.
    pub fn reserve_one(&self, queue: &QueueName) -> Result<Option<Reservation>> {
        let reserve = || Ok(self.broker()?.reserve(std::slice::from_ref(queue), 1, Duration::ZERO)?.into_iter().next());
        reserve().map_err(|e| self.place(e, "reserve from", queue))
    }

    /// Counts the jobs of a queue by state.
    pub fn size(&self, queue: &QueueName) -> Result<Sizes> {
        let size = || self.broker()?.size(queue);
        size().map_err(|e| self.place(e, "size of", queue))
    }

    /// Failed jobs, newest first.
    pub fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        let failed = || self.admin()?.failed(queue, offset, limit);
        failed().map_err(|e| self.place(e, "failed jobs of", queue))
    }

    /// The failed job with this id.
    pub fn failed_job(&self, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
        let find = || failed::find(&**self.broker()?, self.admin()?, queue, id);
        find().map_err(|e| self.place(e, "failed jobs of", queue))
    }

    /// Makes the failed jobs that are meant ready again, oldest first, with fresh attempts. Returns how many.
    ///
    /// Jobs that fail meanwhile are left alone. Several may ask at once: each job is retried once.
    pub fn retry_failed(&self, queue: &QueueName, which: &Filter) -> Result<u64> {
        let retry = || {
            let (broker, admin) = (self.broker()?, self.admin()?);
            failed::sweep(&**broker, admin, queue, which, |jobs| admin.retry(queue, jobs))
        };
        retry().map_err(|e| self.place(e, "retry failed jobs of", queue))
    }

    /// Removes the failed jobs that are meant for good and returns how many.
    pub fn forget_failed(&self, queue: &QueueName, which: &Filter) -> Result<u64> {
        let forget = || {
            let (broker, admin) = (self.broker()?, self.admin()?);
            failed::sweep(&**broker, admin, queue, which, |jobs| admin.forget(queue, jobs))
        };
        forget().map_err(|e| self.place(e, "forget failed jobs of", queue))
    }

    /// Payloads of a queue in one state, next first. Changes nothing.
    pub fn peek(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>> {
        let peek = || self.admin()?.peek(queue, state, offset, limit);
        peek().map_err(|e| self.place(e, "peek into", queue))
    }

    /// Removes every ready, delayed and reserved job and returns how many.
    pub fn clear(&self, queue: &QueueName) -> Result<u64> {
        let clear = || self.admin()?.clear(queue);
        clear().map_err(|e| self.place(e, "clear", queue))
    }

    /// What the server says of itself.
    pub fn facts(&self) -> Result<Vec<(&'static str, Fact)>> {
        let facts = || self.admin()?.facts();
        facts().map_err(|error| error.within(format!("facts of connection `{}`", self.config.name)))
    }

    /// The statements that make what the jobs are kept in.
    pub fn schema(&self) -> Result<Vec<String>> {
        Ok(self.admin()?.schema())
    }

    pub(crate) fn admin(&self) -> Result<&dyn Admin> {
        let missing = || Error::new(ErrorKind::Unsupported, format!("the {} driver cannot do it", self.config.driver.name()));
        self.broker()?.admin().ok_or_else(missing)
    }

    pub(crate) fn check_length(&self, payload: &[u8]) -> Result<()> {
        let (length, most) = (payload.len(), self.config.max_payload);
        if length <= most {
            return Ok(());
        }
        let context = format!("the payload is {length} bytes long, the connection takes {most}");
        Err(Error::new(ErrorKind::InvalidArgument, context)
            .with_advice("keep the data elsewhere and push a reference, or raise `max_payload`"))
    }

    pub(crate) fn place(&self, error: Error, action: &str, queue: &QueueName) -> Error {
        error.within(format!("{action} `{queue}` on `{}`", self.config.name))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A due time must be one that every broker can store. The machine's clock is good enough for that.
pub(crate) fn check_due(due: Due, clock: &impl Clock) -> Result<()> {
    let second = match due {
        Due::Now => return Ok(()),
        Due::After(seconds) => clock.now().checked_add(seconds),
        Due::At(second) => Some(second),
    };
    if second.is_some_and(|second| second <= Due::LATEST) {
        return Ok(());
    }
    let context = match due {
        Due::After(seconds) => format!("a delay of {seconds} seconds"),
        Due::Now | Due::At(_) => "the due time".to_owned(),
    };
    Err(Error::new(ErrorKind::InvalidArgument, format!("{context} ends outside the years that can be stored"))
        .with_advice("jobs can be delayed up to the end of the year 9999"))
}

#[cfg(test)]
mod tests {
    use ferry_core::broker::{Settle, Settlement};
    use ferry_core::clock::HandClock;
    use ferry_core::failed::{Failure, Reason};

    use super::*;
    use crate::testing::{TableBroker, config, connection, queue};

    const SPEC: JobSpec<'_> = JobSpec { job: br#""Job1""#, limits: None, data: br#"{"a":1}"# };

    fn table() -> Connection {
        Connection::new(config("memory:"), Some(Arc::new(TableBroker::default())))
    }

    #[test]
    fn a_pushed_job_lies_ready_as_recorded_and_its_id_is_returned() {
        let memory = connection("memory:");
        let Some(Pushed::Id(id)) = memory.push(&queue(), &SPEC, Due::Now).unwrap() else { panic!("an id") };
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_alphabetic()), "{id}");
        let expected = format!(r#"{{"job":"Job1","maxTries":null,"timeout":null,"data":{{"a":1}},"id":"{id}","attempts":0}}"#);
        assert_eq!(memory.peek(&queue(), State::Ready, 0, 9).unwrap(), [expected.as_bytes()]);
    }

    #[test]
    fn a_table_gets_no_counters_and_gives_its_row_number() {
        let broker = Arc::new(TableBroker::default());
        let table = Connection::new(config("memory:"), Some(broker.clone()));
        assert_eq!(table.push(&queue(), &SPEC, Due::Now).unwrap(), Some(Pushed::Number(1)));
        assert_eq!(table.push_raw(&queue(), br#"{"id":"X"}"#, Due::Now).unwrap(), Some(Pushed::Number(2)));
        assert_eq!(broker.rows()[0], br#"{"job":"Job1","maxTries":null,"timeout":null,"data":{"a":1}}"#);
    }

    #[test]
    fn v1_writes_and_answers_as_it_always_did() {
        let limits = Limits { max_tries: b"5", timeout: b"9", timeout_at: b"null" };
        let spec = JobSpec { limits: Some(limits), ..SPEC };
        let memory = connection("memory:?family=think1");
        let Some(Pushed::Id(id)) = memory.push(&queue(), &spec, Due::Now).unwrap() else { panic!("an id") };
        let expected = format!(r#"{{"job":"Job1","data":{{"a":1}},"id":"{id}","attempts":1}}"#);
        assert_eq!(memory.peek(&queue(), State::Ready, 0, 9).unwrap(), [expected.as_bytes()]);
        assert_eq!(memory.push(&queue(), &spec, Due::After(0)).unwrap(), None);
        assert_eq!(memory.reserve_one(&queue()).unwrap().unwrap().attempts, Some(1));
        assert!(memory.recodes_data());

        let broker = Arc::new(TableBroker::default());
        let table = Connection::new(config("memory:?family=think1"), Some(broker.clone()));
        for due in [Due::Now, Due::After(5)] {
            assert_eq!(table.push(&queue(), &spec, due).unwrap(), Some(Pushed::Number(1)));
        }
        assert_eq!(table.push_raw(&queue(), b"x", Due::Now).unwrap(), Some(Pushed::Number(1)));
        assert_eq!(broker.rows()[0], br#"{"job":"Job1","data":{"a":1}}"#);
        assert!(!table.recodes_data());
    }

    #[test]
    fn a_delayed_job_lies_delayed() {
        let memory = connection("memory:");
        memory.push(&queue(), &SPEC, Due::After(60)).unwrap();
        memory.push(&queue(), &SPEC, Due::At(Due::LATEST)).unwrap();
        let sizes = memory.size(&queue()).unwrap();
        assert_eq!((sizes.ready, sizes.delayed, sizes.total()), (0, 2, 2));
    }

    #[test]
    fn many_jobs_keep_their_order_and_none_is_nothing() {
        let memory = connection("memory:");
        let specs: Vec<_> = [&b"1"[..], b"2", b"3"].map(|data| JobSpec { data, ..SPEC }).into();
        assert_eq!(memory.push_many(&queue(), &specs).unwrap(), 3);
        assert_eq!(memory.push_many(&queue(), &[]).unwrap(), 0);
        let stored = memory.peek(&queue(), State::Ready, 0, 9).unwrap();
        for (payload, data) in stored.iter().zip(["1", "2", "3"]) {
            assert!(String::from_utf8_lossy(payload).contains(&format!(r#""data":{data},"#)));
        }
    }

    #[test]
    fn a_raw_payload_is_stored_byte_for_byte_and_answers_with_its_own_id() {
        let memory = connection("memory:");
        assert_eq!(memory.push_raw(&queue(), br#"{"x":1}"#, Due::Now).unwrap(), None);
        assert_eq!(memory.push_raw(&queue(), b"zzz", Due::Now).unwrap(), None);
        assert_eq!(memory.push_raw(&queue(), br#"{"id":"A"}"#, Due::Now).unwrap(), Some(Pushed::Id("A".to_owned())));
        let stored = memory.peek(&queue(), State::Ready, 0, 9).unwrap();
        assert_eq!(stored, [&br#"{"x":1}"#[..], b"zzz", br#"{"id":"A"}"#]);
    }

    #[test]
    fn one_job_is_taken_and_an_empty_queue_gives_none_at_once() {
        let memory = connection("memory:");
        assert!(memory.reserve_one(&queue()).unwrap().is_none());
        memory.push(&queue(), &SPEC, Due::Now).unwrap();
        memory.push(&queue(), &SPEC, Due::Now).unwrap();
        assert_eq!(memory.reserve_one(&queue()).unwrap().unwrap().attempts, Some(1));
        assert_eq!(memory.size(&queue()).unwrap().reserved, 1);
    }

    #[test]
    fn failed_jobs_are_listed_and_clearing_leaves_them() {
        let memory = connection("memory:");
        memory.push(&queue(), &SPEC, Due::Now).unwrap();
        let job = memory.reserve_one(&queue()).unwrap().unwrap();
        let failure = Failure {
            connection: "memory".to_owned(),
            payload: job.body,
            reason: Reason::Exception,
            exception: "boom".to_owned(),
            attempts: 1,
        };
        let settlement = Settlement::Bury(Box::new(failure));
        memory.broker().unwrap().settle(&[Settle { claim: job.claim, settlement }]).unwrap();
        memory.push(&queue(), &SPEC, Due::Now).unwrap();
        assert_eq!(memory.clear(&queue()).unwrap(), 1);
        assert_eq!(memory.failed(&queue(), 0, 9).unwrap()[0].exception, "boom");
    }

    #[test]
    fn a_payload_that_is_too_long_is_refused_with_both_numbers_and_nothing_is_stored() {
        let small = connection("memory:?max_payload=120");
        let data = format!("\"{}\"", "x".repeat(100));
        let long = JobSpec { data: data.as_bytes(), ..SPEC };
        let errors = [
            small.push(&queue(), &long, Due::Now).unwrap_err(),
            small.push_many(&queue(), &[SPEC, long]).unwrap_err(),
            small.push_raw(&queue(), &[b'x'; 121], Due::Now).unwrap_err(),
        ];
        for error in &errors {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().starts_with("push to `mail` on `c`: the payload is "), "{error}");
            assert!(error.to_string().contains("takes 120"), "{error}");
        }
        assert!(errors[2].to_string().contains("is 121 bytes long"));
        assert_eq!(small.size(&queue()).unwrap().total(), 0);
        small.push_raw(&queue(), &[b'x'; 120], Due::Now).unwrap();
    }

    #[test]
    fn due_times_end_with_the_year_9999_and_do_not_overflow() {
        for due in [Due::Now, Due::After(0), Due::After(-5), Due::At(0), Due::At(Due::LATEST), Due::After(Due::LATEST - 1000)] {
            assert!(check_due(due, &HandClock::at(1000)).is_ok(), "{due:?}");
        }
        for due in [Due::At(Due::LATEST + 1), Due::After(Due::LATEST), Due::After(i64::MAX), Due::At(i64::MAX)] {
            assert_eq!(check_due(due, &HandClock::at(1000)).unwrap_err().kind(), ErrorKind::InvalidArgument, "{due:?}");
        }
        assert!(check_due(Due::After(i64::MIN), &HandClock::at(-1000)).is_err());
        let memory = connection("memory:");
        let error = memory.push(&queue(), &SPEC, Due::After(i64::MAX)).unwrap_err();
        assert!(error.to_string().contains("push to `mail` on `c`: a delay of 9223372036854775807 seconds"), "{error}");
        assert!(memory.push_raw(&queue(), b"x", Due::At(i64::MAX)).is_err());
    }

    #[test]
    fn a_sync_connection_builds_payloads_and_keeps_none() {
        let sync = connection("sync:");
        assert!(sync.is_sync());
        let built = sync.build(&SPEC).unwrap();
        assert_eq!(built.payload, br#"{"job":"Job1","maxTries":null,"timeout":null,"data":{"a":1}}"#);
        assert_eq!(built.id, None);
        assert_eq!(sync.push(&queue(), &SPEC, Due::Now).unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(sync.size(&queue()).unwrap_err().to_string(), "size of `mail` on `c`: sync connections keep no jobs");
    }

    #[test]
    fn a_driver_without_words_for_operators_says_so() {
        let error = table().clear(&queue()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().starts_with("clear `mail` on `c`: "), "{error}");
    }

    #[test]
    fn a_drivers_error_says_what_was_attempted_and_where() {
        let broken = Connection::new(config("memory:"), Some(Arc::new(TableBroker::refusing())));
        let error = broken.push(&queue(), &SPEC, Due::Now).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Refused, "push to `mail` on `c`: the table is full"));
    }
}
