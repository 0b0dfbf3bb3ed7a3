//! One connection: checks arguments and builds payloads before the driver is called, and adds queue and connection to errors.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferry_core::broker::{Fact, JobRow, Sizes, State};
use ferry_core::clock::{Clock, SystemClock};
use ferry_core::config::{ConnectionConfig, DriverConfig};
use ferry_core::dialect::Family;
use ferry_core::failed::{FailedJob, Failure, Filter};
use ferry_core::job::{Due, NewJob, Reservation};
use ferry_core::payload::{Envelope, JobId, Limits, id_in};
use ferry_core::{Admin, Broker, Error, ErrorKind, QueueName, Result, id};

use crate::buffer::PushBuffer;
use crate::ids::Ids;
use crate::status_outage::StatusOutage;

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
    broker: Arc<dyn Broker>,
    ids: Ids,
    /// Jobs that wait to be sent. Used from PHP's thread only, as pushes are.
    pub(crate) buffer: Mutex<PushBuffer>,
    /// Whether the status store of its jobs answers.
    pub(crate) status_outage: StatusOutage,
    /// The tasks of a RabbitMQ server, made at first use.
    #[cfg(feature = "amqp")]
    pub(crate) tasks: once_cell::sync::OnceCell<Arc<ferry_driver_amqp::Tasks>>,
}

impl Connection {
    pub(crate) fn new(config: Arc<ConnectionConfig>, broker: Arc<dyn Broker>) -> Self {
        Self {
            config,
            broker,
            ids: Ids::new(),
            buffer: Mutex::default(),
            status_outage: StatusOutage::default(),
            #[cfg(feature = "amqp")]
            tasks: once_cell::sync::OnceCell::new(),
        }
    }

    /// How it was configured.
    pub fn config(&self) -> &Arc<ConnectionConfig> {
        &self.config
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.broker
    }

    /// The broker, for a worker. [`ErrorKind::Unsupported`] where jobs run inside push.
    pub fn broker_for_worker(&self) -> Result<&Arc<dyn Broker>> {
        if matches!(self.config.driver, DriverConfig::Sync) {
            return Err(Error::new(ErrorKind::Unsupported, "sync connections keep no jobs"));
        }
        Ok(&self.broker)
    }

    /// A new id for a job.
    pub fn new_id(&self) -> Result<String> {
        Ok(text_of(&self.ids.mint()?))
    }

    fn id_in_payload(&self) -> bool {
        self.broker.capabilities().id_in_payload
    }

    /// Whether the data of a [`JobSpec`] must be decoded and encoded once more, as the original does before it adds id and attempts.
    pub fn recodes_data(&self) -> bool {
        self.config.family.recodes_data() && self.id_in_payload()
    }

    /// The payload of a job, with an id and fresh attempts where this broker's payloads carry them. Checks its length.
    pub fn build(&self, spec: &JobSpec<'_>) -> Result<BuiltPayload> {
        let id = self.id_for_payload()?;
        let payload = self.envelope(spec, id.as_ref()).to_bytes(self.config.family);
        self.check_length(&payload)?;
        Ok(BuiltPayload { payload, id: id.as_ref().map(text_of) })
    }

    /// The id of a new job, where payloads carry one. An error where the family has no jobs.
    pub(crate) fn id_for_payload(&self) -> Result<Option<[u8; id::LENGTH]>> {
        self.config.family.check_takes_jobs()?;
        if self.broker.capabilities().id_in_payload { self.ids.mint().map(Some) } else { Ok(None) }
    }

    pub(crate) fn envelope<'a>(&self, spec: &JobSpec<'a>, id: Option<&'a [u8; id::LENGTH]>) -> Envelope<'a> {
        let counters = id.map(|id| (id.as_slice(), self.config.family.fresh_attempts()));
        Envelope { job: spec.job, limits: spec.limits, data: spec.data, counters }
    }

    /// Stores one job, or buffers it where that is configured. `None` where the original has no answer, and for a job that has no number yet.
    pub fn push(&self, queue: &QueueName, spec: &JobSpec<'_>, due: Due) -> Result<Option<JobId>> {
        self.in_place("push to", queue, || {
            check_due(due, &SystemClock)?;
            if self.is_buffering() {
                let id = self.push_to_buffer(queue, spec, due)?;
                return Ok(id.and_then(|id| self.answer_id(text_of(&id), due)));
            }
            let BuiltPayload { payload, id } = self.build(spec)?;
            let number = self.broker.push(queue, NewJob::due(payload, due))?;
            Ok(match id {
                Some(id) => self.answer_id(id, due),
                None => Some(self.answer_number(number.unwrap_or_default())),
            })
        })
    }

    /// v1 and v2 answer null for a delayed job (`redis/later-int-10` of v1).
    fn answer_id(&self, id: String, due: Due) -> Option<JobId> {
        let silent = match self.config.family {
            Family::Think3 | Family::Think3Legacy | Family::RedisTask => false,
            Family::Think1 => due != Due::Now,
        };
        (!silent).then_some(JobId::Text(id))
    }

    /// v1 and v2 answer how many rows they wrote (`mariadb/push-assoc` of v1).
    fn answer_number(&self, number: i64) -> JobId {
        JobId::Number(match self.config.family {
            Family::Think3 | Family::Think3Legacy | Family::RedisTask => number,
            Family::Think1 => 1,
        })
    }

    /// Stores jobs in order, behind those that are buffered, and returns how many. They are all checked first; an error says how many were stored.
    pub fn push_many(&self, queue: &QueueName, specs: &[JobSpec<'_>]) -> Result<u64> {
        self.in_place("push to", queue, || {
            let jobs = specs.iter().map(|spec| Ok(NewJob::ready(self.build(spec)?.payload))).collect::<Result<Vec<_>>>()?;
            self.flush()?;
            if jobs.is_empty() { Ok(0) } else { self.broker.push_many(queue, &jobs) }
        })
    }

    /// Stores a payload as it is, behind what is buffered. Returns its own id, or the number the broker gave it.
    pub fn push_raw(&self, queue: &QueueName, payload: &[u8], due: Due) -> Result<Option<JobId>> {
        self.in_place("push to", queue, || {
            check_due(due, &SystemClock)?;
            self.check_length(payload)?;
            self.flush()?;
            let number = self.broker.push(queue, NewJob::due(payload, due))?;
            Ok(if self.id_in_payload() { id_in(payload) } else { number.map(|number| self.answer_number(number)) })
        })
    }

    /// Adds a job to the failed store that its program took off the queue and gives up.
    pub fn mark_failed(&self, queue: &QueueName, failure: &Failure) -> Result<()> {
        self.in_place("mark as failed in", queue, || self.admin()?.add_failed(queue, failure))
    }

    /// Reserves the next job, if there is one now.
    pub fn reserve_one(&self, queue: &QueueName) -> Result<Option<Reservation>> {
        self.in_place("reserve from", queue, || {
            self.flush()?;
            Ok(self.broker.reserve(std::slice::from_ref(queue), 1, Duration::ZERO)?.into_iter().next())
        })
    }

    /// Counts the jobs of a queue by state.
    pub fn size(&self, queue: &QueueName) -> Result<Sizes> {
        self.in_place("size of", queue, || {
            self.flush()?;
            self.broker.size(queue)
        })
    }

    /// Failed jobs, newest first.
    pub fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        self.in_place("failed jobs of", queue, || self.admin()?.failed(queue, offset, limit))
    }

    /// The failed job with this id.
    pub fn failed_job(&self, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
        self.in_place("failed jobs of", queue, || self.admin()?.failed_job(queue, id))
    }

    /// Makes the failed jobs that match ready again, oldest first, with fresh attempts. Returns how many.
    ///
    /// Jobs that fail meanwhile are left alone. When several callers retry at the same time, each job is retried once.
    pub fn retry_failed(&self, queue: &QueueName, which: &Filter) -> Result<u64> {
        self.in_place("retry failed jobs of", queue, || self.admin()?.retry(queue, which, &mut |_| ()))
    }

    /// Removes the failed jobs that match for good and returns how many.
    pub fn forget_failed(&self, queue: &QueueName, which: &Filter) -> Result<u64> {
        self.in_place("forget failed jobs of", queue, || self.admin()?.forget(queue, which))
    }

    /// Payloads of a queue in one state, next first. Changes nothing.
    pub fn peek(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>> {
        self.in_place("peek into", queue, || {
            self.flush()?;
            self.admin()?.peek(queue, state, offset, limit)
        })
    }

    /// Removes every ready, delayed and reserved job and returns how many.
    pub fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.in_place("clear", queue, || {
            self.flush()?;
            self.admin()?.clear(queue)
        })
    }

    /// Stores what is buffered, then closes the sockets. The next operation opens them again. After an error nothing is closed.
    pub fn close(&self) -> Result<()> {
        self.flush()?;
        self.broker.close();
        Ok(())
    }

    /// Facts about the server.
    pub fn facts(&self) -> Result<Vec<(&'static str, Fact)>> {
        let facts = || self.admin()?.facts();
        facts().map_err(|error| error.within(format!("facts of connection `{}`", self.config.name)))
    }

    /// The statements that create the tables of the driver.
    pub fn schema(&self) -> Result<Vec<String>> {
        Ok(self.admin()?.schema())
    }

    /// The row of a job for a transaction of the caller's own. Stores nothing, nor a status: the worker's first update makes that, so
    /// with `track` the payload has an id, as that of a push.
    pub fn row(&self, queue: &QueueName, spec: &JobSpec<'_>, due: Due) -> Result<JobRow> {
        self.in_place("row of", queue, || {
            check_due(due, &SystemClock)?;
            let payload = if self.config.track { self.build_tracked(spec)?.0 } else { self.build(spec)?.payload };
            let job = NewJob::due(payload, due);
            let row = if let Some(admin) = self.broker.admin() { admin.row(queue, &job)? } else { None };
            row.ok_or_else(|| {
                let context = format!("the {} driver keeps no rows", self.config.driver.name());
                Error::new(ErrorKind::Unsupported, context).with_advice("push to a connection of a database")
            })
        })
    }

    pub(crate) fn admin(&self) -> Result<&dyn Admin> {
        let missing = || {
            Error::new(ErrorKind::Unsupported, format!("the {} driver has no operations of this kind", self.config.driver.name()))
        };
        self.broker.admin().ok_or_else(missing)
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

    /// Runs `operation`; an error of it gets the action, the queue and the connection.
    pub(crate) fn in_place<T>(&self, action: &str, queue: &QueueName, operation: impl FnOnce() -> Result<T>) -> Result<T> {
        self.config
            .family
            .check_queue(queue)
            .and_then(|()| operation())
            .map_err(|error| error.within(format!("{action} `{queue}` on `{}`", self.config.name)))
    }
}

fn text_of(id: &[u8; id::LENGTH]) -> String {
    // Letters only, so nothing is lost; by far faster than one by one.
    String::from_utf8_lossy(id).into_owned()
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
mod tests;
