//! One connection: checks arguments and builds payloads before the driver is called, and adds queue and connection to errors.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ferry_core::broker::{Fact, JobRow, Sizes, State};
use ferry_core::clock::{Clock, SystemClock};
use ferry_core::config::{ConnectionConfig, DriverConfig};
use ferry_core::dialect::Family;
use ferry_core::failed::{FailedJob, Failure, Filter};
use ferry_core::job::{Due, NewJob, Reservation};
use ferry_core::payload::{Envelope, JobId, Limits, id_in};
use ferry_core::{Admin, Broker, Error, ErrorKind, QueueName, Result};

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
        Ok(self.ids.mint()?.map(char::from).iter().collect())
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
        self.config.family.check_takes_jobs()?;
        let id = if self.id_in_payload() { Some(self.new_id()?) } else { None };
        let counters = id.as_ref().map(|id| (id.as_bytes(), self.config.family.fresh_attempts()));
        let envelope = Envelope { job: spec.job, limits: spec.limits, data: spec.data, counters };
        let payload = envelope.to_bytes(self.config.family);
        self.check_length(&payload)?;
        Ok(BuiltPayload { payload, id })
    }

    /// Stores one job. `None` where the original has no answer.
    pub fn push(&self, queue: &QueueName, spec: &JobSpec<'_>, due: Due) -> Result<Option<JobId>> {
        self.in_place("push to", queue, || {
            check_due(due, &SystemClock)?;
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

    /// Stores jobs in order and returns how many. They are all checked first; an error says how many were stored.
    pub fn push_many(&self, queue: &QueueName, specs: &[JobSpec<'_>]) -> Result<u64> {
        self.in_place("push to", queue, || {
            let jobs = specs.iter().map(|spec| Ok(NewJob::ready(self.build(spec)?.payload))).collect::<Result<Vec<_>>>()?;
            if jobs.is_empty() { Ok(0) } else { self.broker.push_many(queue, &jobs) }
        })
    }

    /// Stores a payload as it is. Returns its own id, or the number the broker gave it.
    pub fn push_raw(&self, queue: &QueueName, payload: &[u8], due: Due) -> Result<Option<JobId>> {
        self.in_place("push to", queue, || {
            check_due(due, &SystemClock)?;
            self.check_length(payload)?;
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
        let reserve = || Ok(self.broker.reserve(std::slice::from_ref(queue), 1, Duration::ZERO)?.into_iter().next());
        self.in_place("reserve from", queue, reserve)
    }

    /// Counts the jobs of a queue by state.
    pub fn size(&self, queue: &QueueName) -> Result<Sizes> {
        self.in_place("size of", queue, || self.broker.size(queue))
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
        self.in_place("peek into", queue, || self.admin()?.peek(queue, state, offset, limit))
    }

    /// Removes every ready, delayed and reserved job and returns how many.
    pub fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.in_place("clear", queue, || self.admin()?.clear(queue))
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

    /// The row of a job for a transaction of the caller's own. Stores nothing.
    pub fn row(&self, queue: &QueueName, spec: &JobSpec<'_>, due: Due) -> Result<JobRow> {
        self.in_place("row of", queue, || {
            check_due(due, &SystemClock)?;
            let job = NewJob::due(self.build(spec)?.payload, due);
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
