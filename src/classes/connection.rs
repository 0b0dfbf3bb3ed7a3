//! `Ferry\Connection`: one configured connection. `Ferry\Queue` offers the same words for the default one.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendHashTable, Zval};
use ferry_client::{Connection, Handle, JobSpec, Pushed, process};
use ferry_core::broker::State;
use ferry_core::config::{self, DriverConfig, Value};
use ferry_core::control::ControlCommand;
use ferry_core::payload::Envelope;
use ferry_core::{Due, QueueName, Result};
use ferry_worker::{Direct, ForkGeneration, Halt, HeldJob, InFlightJob, work_now};

use crate::classes::job::PhpJob;
use crate::classes::status::PhpStatus;
use crate::convert::arguments::{Data, Maybe, Mixed, OptionalText, Text};
use crate::convert::errors::{exception, invalid, pending};
use crate::convert::spec::{EncodedJob, SharedData};
use crate::convert::which::Which;
use crate::convert::{self, delay};
use crate::handler::{PhpHost, Resolver};
use crate::zend::call::{self, CallFailure};
use crate::zend::memory::MemoryRoom;
use crate::zend::objects::{self, text};

/// One connection, and everything one can ask of it.
#[php_class]
#[php(name = "Ferry\\Connection")]
pub struct PhpConnection {
    link: ConnectionHandle,
}

/// What `Ferry\Connection` and `Ferry\Queue` share.
#[derive(Clone)]
pub struct ConnectionHandle(pub Rc<Handle>);

impl PhpConnection {
    /// The PHP object of a handle.
    pub fn of(handle: Rc<Handle>) -> Self {
        Self { link: ConnectionHandle(handle) }
    }

    /// Its handle, for a worker.
    pub fn handle(&self) -> Rc<Handle> {
        self.link.0.clone()
    }
}

#[php_impl]
impl PhpConnection {
    /// A connection of its own, from a DSN or the array of one connection.
    pub fn __construct(config: Mixed<'_>) -> PhpResult<Self> {
        objects::construct(|| {
            let config = match convert::config::value(config.0) {
                Value::Text(dsn) => config::connection_from_dsn("default", &String::from_utf8_lossy(&dsn)),
                Value::Map(entries) => one_of(entries),
                _ => return Err(invalid("a connection is configured by a DSN or an array")),
            };
            Ok(Self::of(Rc::new(Handle::new(Arc::new(config.map_err(|error| exception(&error))?)))))
        })
    }

    /// Its name in the configuration.
    pub fn get_name(&self) -> Zval {
        text(self.link.0.config().name.as_bytes())
    }

    /// Pushes a job that is ready at once.
    #[php(defaults(data = Data(None)))]
    pub fn push(&self, job: Mixed<'_>, data: Data<'_>, queue: OptionalText) -> PhpResult<Zval> {
        self.link.push(job.0, data.0, queue.bytes(), Due::Now)
    }

    /// Pushes a job that is ready after a delay.
    #[php(defaults(data = Data(None)))]
    pub fn later(&self, delay: Mixed<'_>, job: Mixed<'_>, data: Data<'_>, queue: OptionalText) -> PhpResult<Zval> {
        self.link.later(delay.0, job.0, data.0, queue.bytes())
    }

    /// Pushes many jobs with the same data.
    #[php(defaults(data = Data(None)))]
    pub fn bulk(&self, jobs: Mixed<'_>, data: Data<'_>, queue: OptionalText) -> PhpResult<Zval> {
        self.link.bulk(jobs.0, data.0, queue.bytes())
    }

    /// `push` with the queue first.
    #[php(defaults(data = Data(None)))]
    pub fn push_on(&self, queue: OptionalText, job: Mixed<'_>, data: Data<'_>) -> PhpResult<Zval> {
        self.link.push(job.0, data.0, queue.bytes(), Due::Now)
    }

    /// `later` with the queue first.
    #[php(defaults(data = Data(None)))]
    pub fn later_on(&self, queue: OptionalText, delay: Mixed<'_>, job: Mixed<'_>, data: Data<'_>) -> PhpResult<Zval> {
        self.link.later(delay.0, job.0, data.0, queue.bytes())
    }

    /// Pushes a payload as it is.
    pub fn push_raw(&self, payload: Text, queue: OptionalText, options: Maybe<'_>) -> PhpResult<Zval> {
        // think-queue takes options and reads none.
        let _ = options;
        self.link.push_raw(&payload.0, queue.bytes())
    }

    /// Reserves the next job.
    pub fn pop(&self, queue: OptionalText) -> PhpResult<Option<PhpJob>> {
        self.link.pop(queue.bytes())
    }

    /// Jobs that still have to be worked.
    pub fn size(&self, queue: OptionalText) -> PhpResult<i64> {
        self.link.size(queue.bytes())
    }

    /// Jobs by state.
    pub fn stats(&self, queue: OptionalText) -> PhpResult<ZBox<ZendHashTable>> {
        self.link.stats(queue.bytes())
    }

    /// Failed jobs, newest first.
    #[php(defaults(limit = 100, offset = 0))]
    pub fn failed(&self, queue: OptionalText, limit: i64, offset: i64) -> PhpResult<Vec<ZBox<ZendHashTable>>> {
        self.link.failed(queue.bytes(), limit, offset)
    }

    /// The failed job with this id, null when there is none.
    pub fn failed_job(&self, id: Mixed<'_>, queue: OptionalText) -> PhpResult<Option<ZBox<ZendHashTable>>> {
        self.link.failed_job(id.0, queue.bytes())
    }

    /// Makes failed jobs ready again.
    #[php(defaults(which = Which(None)))]
    pub fn retry_failed(&self, which: Which<'_>, queue: OptionalText) -> PhpResult<i64> {
        self.link.retry_failed(&which, queue.bytes())
    }

    /// Removes failed jobs for good.
    pub fn forget_failed(&self, which: Mixed<'_>, queue: OptionalText) -> PhpResult<i64> {
        self.link.forget_failed(&Which(Some(which.0)), queue.bytes())
    }

    /// Payloads that lie in a queue, next first.
    #[php(defaults(limit = 10, offset = 0))]
    pub fn peek(&self, queue: OptionalText, state: OptionalText, limit: i64, offset: i64) -> PhpResult<Vec<Zval>> {
        self.link.peek(queue.bytes(), state.bytes(), limit, offset)
    }

    /// Removes every ready, delayed and reserved job.
    pub fn clear(&self, queue: OptionalText) -> PhpResult<i64> {
        self.link.clear(queue.bytes())
    }

    /// Asks workers to leave a queue alone.
    pub fn pause(&self, queue: OptionalText) -> PhpResult<()> {
        self.link.pause(queue.bytes())
    }

    /// Lets workers take from a queue again.
    pub fn resume(&self, queue: OptionalText) -> PhpResult<()> {
        self.link.resume(queue.bytes())
    }

    /// Asks all workers to leave and be started again.
    pub fn restart_workers(&self) -> PhpResult<()> {
        self.link.command(ControlCommand::Restart)
    }

    /// Asks all workers to leave and stay away.
    pub fn stop_workers(&self) -> PhpResult<()> {
        self.link.command(ControlCommand::Stop)
    }

    /// What the workers are asked for.
    pub fn flags(&self) -> PhpResult<ZBox<ZendHashTable>> {
        self.link.flags()
    }

    /// Who works.
    pub fn workers(&self) -> PhpResult<Vec<ZBox<ZendHashTable>>> {
        self.link.workers()
    }

    /// What is known of a job.
    pub fn status(&self, id: Text) -> PhpResult<Option<PhpStatus>> {
        self.link.status(&id.0)
    }

    /// What the server says of itself.
    pub fn facts(&self) -> PhpResult<ZBox<ZendHashTable>> {
        self.link.facts()
    }

    /// The statements that make the tables.
    pub fn schema(&self) -> PhpResult<Vec<String>> {
        self.link.schema()
    }
}

impl ConnectionHandle {
    /// The connection in this process.
    pub fn client(&self) -> PhpResult<Arc<Connection>> {
        self.0.get().map_err(|error| exception(&error))
    }

    /// A queue by name, the connection's own without.
    pub fn queue(&self, name: Option<&[u8]>) -> PhpResult<QueueName> {
        QueueName::or_default(name, &self.0.config().queue).map_err(|error| exception(&error))
    }

    /// Whether jobs run inside push and none is kept.
    pub fn is_sync(&self) -> bool {
        matches!(self.0.config().driver, DriverConfig::Sync)
    }

    /// Encodes first: that may run PHP code which pushes too, or forks. So the connection is asked for again after it. Then one
    /// round trip.
    pub fn push(&self, job: &Zval, data: Option<&Zval>, queue: Option<&[u8]>, due: Due) -> PhpResult<Zval> {
        let (queue, recode) = (self.queue(queue)?, self.client()?.recodes_data());
        let job = EncodedJob::of(job, &SharedData::new(data, recode))?;
        if self.is_sync() {
            return self.run(&queue, &job.spec());
        }
        if self.is_tracked() {
            return self.push_tracked(&queue, &job.spec(), due);
        }
        let pushed = self.client()?.push(&queue, &job.spec(), due).map_err(|error| exception(&error))?;
        Ok(pushed.map_or_else(Zval::null, shown))
    }

    /// The same, ready after a delay.
    pub fn later(&self, delay: &Zval, job: &Zval, data: Option<&Zval>, queue: Option<&[u8]>) -> PhpResult<Zval> {
        self.push(job, data, queue, delay::due(delay, self.0.config().family)?)
    }

    /// Answers null where the broker gives no numbers, else how many were stored (`redis/bulk-three`, `sqlite/bulk-three`).
    pub fn bulk(&self, jobs: &Zval, data: Option<&Zval>, queue: Option<&[u8]>) -> PhpResult<Zval> {
        let queue = self.queue(queue)?;
        if !jobs.is_array() {
            return Err(invalid("bulk() takes an array of jobs"));
        }
        let (mut texts, mut room) = (Vec::new(), MemoryRoom::now());
        let data = SharedData::new(data, self.client()?.recodes_data());
        objects::each(jobs, |_, job| {
            let job = EncodedJob::of(job, &data)?;
            room.take(job.size(), "jobs")?;
            texts.push(job);
            PhpResult::Ok(())
        })?;
        if self.is_sync() {
            let mut ids = Vec::with_capacity(texts.len());
            for text in &texts {
                ids.push(self.run(&queue, &text.spec())?);
            }
            let mut list = Zval::null();
            if self.is_tracked() {
                list.set_array(ids)?;
            }
            return Ok(list);
        }
        let specs: Vec<JobSpec<'_>> = texts.iter().map(EncodedJob::spec).collect();
        if self.is_tracked() {
            return self.bulk_tracked(&queue, &specs);
        }
        let client = self.client()?;
        let stored = client.push_many(&queue, &specs).map_err(|error| exception(&error))?;
        let numbered = !client.broker().map_err(|error| exception(&error))?.capabilities().id_in_payload;
        Ok(if numbered { objects::number(i64::try_from(stored).unwrap_or(i64::MAX)) } else { Zval::null() })
    }

    /// Stores bytes as they are.
    pub fn push_raw(&self, payload: &[u8], queue: Option<&[u8]>) -> PhpResult<Zval> {
        let queue = self.queue(queue)?;
        if self.is_sync() {
            self.work(&queue, payload.to_vec())?;
            return Ok(Zval::null());
        }
        let pushed = self.client()?.push_raw(&queue, payload, Due::Now).map_err(|error| exception(&error))?;
        Ok(pushed.map_or_else(Zval::null, shown))
    }

    /// The next job, without waiting. It is not renewed: settle it within `retry_after`.
    pub fn pop(&self, queue: Option<&[u8]>) -> PhpResult<Option<PhpJob>> {
        let queue = self.queue(queue)?;
        if self.is_sync() {
            return Ok(None);
        }
        let client = self.client()?;
        let Some(reservation) = client.reserve_one(&queue).map_err(|error| exception(&error))? else { return Ok(None) };
        let broker = client.broker().map_err(|error| exception(&error))?;
        let name = Arc::from(self.0.config().name.as_str());
        let lease = InFlightJob::new(reservation, Instant::now());
        let job = HeldJob::open(lease, name, Arc::new(Direct(broker.clone())), ForkGeneration::here(process::generation));
        let job = job.with_status_unattended(self.chronicle()?);
        Ok(Some(PhpJob::new(Rc::new(job), self.resolver(), None)))
    }

    /// Ready, delayed and reserved jobs together.
    pub fn size(&self, queue: Option<&[u8]>) -> PhpResult<i64> {
        Ok(i64::try_from(self.sizes(queue)?.total()).unwrap_or(i64::MAX))
    }

    fn sizes(&self, queue: Option<&[u8]>) -> PhpResult<ferry_core::broker::Sizes> {
        let queue = self.queue(queue)?;
        if self.is_sync() {
            return Ok(ferry_core::broker::Sizes::default());
        }
        self.client()?.size(&queue).map_err(|error| exception(&error))
    }

    /// `['ready' => int, 'delayed' => int, 'reserved' => int, 'failed' => int]`
    pub fn stats(&self, queue: Option<&[u8]>) -> PhpResult<ZBox<ZendHashTable>> {
        let sizes = self.sizes(queue)?;
        let mut table = ZendHashTable::new();
        for (state, count) in
            [("ready", sizes.ready), ("delayed", sizes.delayed), ("reserved", sizes.reserved), ("failed", sizes.failed)]
        {
            table.insert(state, i64::try_from(count).unwrap_or(i64::MAX))?;
        }
        Ok(table)
    }

    fn peek(&self, queue: Option<&[u8]>, state: Option<&[u8]>, limit: i64, offset: i64) -> PhpResult<Vec<Zval>> {
        let queue = self.queue(queue)?;
        let state = match state {
            None | Some(b"ready") => State::Ready,
            Some(b"delayed") => State::Delayed,
            Some(b"reserved") => State::Reserved,
            Some(_) => return Err(invalid("the state is one of ready, delayed, reserved")),
        };
        if self.is_sync() {
            return Ok(Vec::new());
        }
        let bodies = self.client()?.peek(&queue, state, count(offset)?, count(limit)?).map_err(|error| exception(&error))?;
        Ok(bodies.iter().map(|body| text(body)).collect())
    }

    fn clear(&self, queue: Option<&[u8]>) -> PhpResult<i64> {
        let queue = self.queue(queue)?;
        if self.is_sync() {
            return Ok(0);
        }
        let removed = self.client()?.clear(&queue).map_err(|error| exception(&error))?;
        Ok(i64::try_from(removed).unwrap_or(i64::MAX))
    }

    /// Runs a job inside push and answers 0 (`sync/sync-push`), or its id when its status is kept. What its handler throws is the caller's.
    fn run(&self, queue: &QueueName, spec: &JobSpec<'_>) -> PhpResult<Zval> {
        if self.is_tracked() {
            let (body, id) = self.client()?.build_tracked(spec).map_err(|error| exception(&error))?;
            self.work(queue, body)?;
            return Ok(text(id.as_bytes()));
        }
        let envelope = Envelope { job: spec.job, limits: spec.limits, data: spec.data, counters: None };
        self.work(queue, envelope.to_bytes(self.0.config().family))?;
        Ok(objects::number(0))
    }

    /// How handlers are found outside a worker.
    fn resolver(&self) -> Rc<Resolver> {
        Rc::new(Resolver { family: self.0.config().family, ..Resolver::default() })
    }

    fn work(&self, queue: &QueueName, body: Vec<u8>) -> PhpResult<()> {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        let chronicle = self.chronicle()?;
        let (end, thrown) = {
            let host = PhpHost::inside_push(self.resolver());
            let end = work_now(&self.0.config().name, queue, body, now, &host, process::generation, chronicle);
            (end, host.take_thrown().or_else(|| host.take_ending()))
        };
        call::die_if_dead();
        match (end, thrown) {
            (Err(Halt::Died), _) => call::die(),
            // The exception that ends the process is pending.
            (Err(Halt::Exited), _) => Err(pending()),
            (_, Some(exception)) => {
                call::rethrow(CallFailure::Threw(exception));
                Err(pending())
            }
            (_, None) => Ok(()),
        }
    }
}

/// An array that is one connection: with or without the wrapping of a whole configuration.
pub fn one_of(entries: Vec<(String, Value)>) -> Result<config::ConnectionConfig> {
    let connection = (String::from("default"), Value::Map(entries));
    let whole = Value::Map(vec![(String::from("connections"), Value::Map(vec![connection]))]);
    config::parse(&whole)?.find("default").cloned()
}

fn shown(pushed: Pushed) -> Zval {
    match pushed {
        Pushed::Id(id) => text(id.as_bytes()),
        Pushed::Number(number) => objects::number(number),
    }
}

/// A number of jobs.
pub fn count(number: i64) -> PhpResult<u64> {
    u64::try_from(number).map_err(|_| invalid(format!("{number} is negative; limit and offset count jobs")))
}
