//! `Ferry\Connection`: one configured connection. `Ferry\Queue` has the same methods for the default one.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendHashTable, Zval};
use ferry_client::{Connection, Handle, JobSpec, process};
use ferry_core::broker::{RowValue, SettleResult, Settlement, State};
use ferry_core::config::{self, DriverConfig, Value};
use ferry_core::control::ControlCommand;
use ferry_core::payload::JobId;
use ferry_core::{Claim, Due, QueueName, Result};
use ferry_worker::{Direct, ForkGeneration, HeldJob, InFlightJob, Settler};

use crate::classes::job::PhpJob;
use crate::classes::queue_interface;
use crate::classes::queue_methods::queue_methods;
use crate::classes::status::PhpStatus;
use crate::convert::arguments::{Data, Maybe, Mixed, OptionalText, Text};
use crate::convert::errors::{exception, invalid};
use crate::convert::spec::{EncodedJob, SharedData};
use crate::convert::which::Which;
use crate::convert::{self, delay};
use crate::handler::{Resolver, sync};
use crate::request;
use crate::zend::dates;
use crate::zend::memory::MemoryRoom;
use crate::zend::objects::{self, text};

/// One connection.
#[php_class]
#[php(name = "Ferry\\Connection")]
#[php(implements(ce = queue_interface::interface, stub = "\\Ferry\\QueueInterface"))]
pub struct PhpConnection {
    link: ConnectionHandle,
}

/// Settles a popped job once the jobs that its handler pushed are stored.
struct FlushFirst(Direct);

impl Settler for FlushFirst {
    fn delete(&self, job: &Arc<InFlightJob>) -> Result<SettleResult> {
        process::flush()?;
        self.0.delete(job)
    }

    fn settle(&self, claim: &Claim, settlement: Settlement) -> Result<SettleResult> {
        process::flush()?;
        self.0.settle(claim, settlement)
    }
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

queue_methods!(PhpConnection, [&self,], self.link, {
    /// A connection of its own, from a DSN or the array of one connection.
    pub fn __construct(config: Mixed<'_>, name: OptionalText) -> PhpResult<Self> {
        objects::construct(|| {
            let name = name.text().unwrap_or_else(|| config::DEFAULT_CONNECTION.to_owned());
            let config = match convert::config::value(config.0) {
                Value::Text(dsn) => config::connection_from_dsn(&name, &String::from_utf8_lossy(&dsn)),
                Value::Map(entries) => one_of(&name, entries),
                _ => return Err(invalid("a connection is configured by a DSN or an array")),
            };
            Ok(Self::of(Rc::new(Handle::new(Arc::new(config.map_err(|error| exception(&error))?)))))
        })
    }

    /// Its name in the configuration.
    pub fn get_name(&self) -> Zval {
        text(self.link.0.config().name.as_bytes())
    }

    /// Stores the buffered jobs, then closes the sockets.
    pub fn close(&self) -> PhpResult<()> {
        self.link.client()?.close().map_err(|error| exception(&error))
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

    /// The row of a job, for a transaction of the caller's own.
    #[php(defaults(data = Data(None)))]
    pub fn row(&self, job: Mixed<'_>, data: Data<'_>, queue: OptionalText, delay: Maybe<'_>) -> PhpResult<ZBox<ZendHashTable>> {
        self.link.row(job.0, data.0, queue.bytes(), delay.0)
    }
});

impl ConnectionHandle {
    /// The connection in this process.
    pub fn client(&self) -> PhpResult<Arc<Connection>> {
        self.0.get().map_err(|error| exception(&error))
    }

    /// A queue by name, the connection's own without.
    pub fn queue(&self, name: Option<&[u8]>) -> PhpResult<QueueName> {
        QueueName::or_default(name, &self.0.config().queue).map_err(|error| exception(&error))
    }

    /// Whether jobs run inside push.
    fn is_sync(&self) -> bool {
        matches!(self.0.config().driver, DriverConfig::Sync)
    }

    /// Encodes first: that may run PHP code which pushes too, or forks. So the connection is asked for again after it. Then one
    /// round trip.
    pub fn push(&self, job: &Zval, data: Option<&Zval>, queue: Option<&[u8]>, due: Due) -> PhpResult<Zval> {
        let queue = self.queue(queue)?;
        // Most families never do, whatever the broker.
        let recode = self.0.config().family.recodes_data() && self.client()?.recodes_data();
        let job = EncodedJob::of(job, &SharedData::new(data, recode))?;
        if self.is_sync() {
            return self.run_sync(&queue, &job);
        }
        if self.is_tracked() {
            return self.push_tracked(&queue, &job.spec(), due);
        }
        let pushed = self.client()?.push(&queue, &job.spec(), due).map_err(|error| exception(&error))?;
        Ok(pushed.map_or_else(Zval::null, shown))
    }

    /// `['table' => string, 'values' => array<string, int|string|null>]`
    fn row(&self, job: &Zval, data: Option<&Zval>, queue: Option<&[u8]>, delay: Option<&Zval>) -> PhpResult<ZBox<ZendHashTable>> {
        let (queue, recode) = (self.queue(queue)?, self.client()?.recodes_data());
        let due = match delay.filter(|delay| !delay.is_null()) {
            Some(delay) => delay::due(delay, self.0.config().family)?,
            None => Due::Now,
        };
        let job = EncodedJob::of(job, &SharedData::new(data, recode))?;
        let row = self.client()?.row(&queue, &job.spec(), due).map_err(|error| exception(&error))?;
        let mut values = ZendHashTable::new();
        for (column, value) in &row.values {
            values.insert(
                *column,
                match value {
                    RowValue::Null => Zval::null(),
                    RowValue::Int(number) => objects::number(*number),
                    RowValue::Bytes(bytes) => text(bytes),
                },
            )?;
        }
        let mut answer = ZendHashTable::new();
        answer.insert("table", row.table)?;
        answer.insert("values", values)?;
        Ok(answer)
    }

    /// The same, ready after a delay.
    pub fn later(&self, delay: &Zval, job: &Zval, data: Option<&Zval>, queue: Option<&[u8]>) -> PhpResult<Zval> {
        self.push(job, data, queue, delay::due(delay, self.0.config().family)?)
    }

    /// Answers null where the broker gives no numbers, else how many were stored (`redis/bulk-three`, `sqlite/bulk-three`).
    pub fn bulk(&self, list: &Zval, data: Option<&Zval>, queue: Option<&[u8]>) -> PhpResult<Zval> {
        let queue = self.queue(queue)?;
        if !list.is_array() {
            return Err(invalid("bulk() takes an array of jobs"));
        }
        let (mut jobs, mut room) = (Vec::new(), MemoryRoom::now());
        let data = SharedData::new(data, self.client()?.recodes_data());
        objects::each(list, |_, job| {
            let job = EncodedJob::of(job, &data)?;
            room.take(job.size(), "jobs")?;
            jobs.push(job);
            PhpResult::Ok(())
        })?;
        if self.is_sync() {
            let mut ids = Vec::with_capacity(jobs.len());
            for job in &jobs {
                ids.push(self.run_sync(&queue, job)?);
            }
            let mut list = Zval::null();
            if self.is_tracked() {
                list.set_array(ids)?;
            }
            return Ok(list);
        }
        let specs: Vec<JobSpec<'_>> = jobs.iter().map(EncodedJob::spec).collect();
        if self.is_tracked() {
            return self.bulk_tracked(&queue, &specs);
        }
        let client = self.client()?;
        let stored = client.push_many(&queue, &specs).map_err(|error| exception(&error))?;
        let numbered = !client.broker().capabilities().id_in_payload;
        Ok(if numbered { objects::number(i64::try_from(stored).unwrap_or(i64::MAX)) } else { Zval::null() })
    }

    /// Stores bytes as they are.
    pub fn push_raw(&self, payload: &[u8], queue: Option<&[u8]>, due: Due) -> PhpResult<Zval> {
        let queue = self.queue(queue)?;
        if self.is_sync() {
            self.run_payload(&queue, payload.to_vec())?;
            return Ok(Zval::null());
        }
        let pushed = self.client()?.push_raw(&queue, payload, due).map_err(|error| exception(&error))?;
        Ok(pushed.map_or_else(Zval::null, shown))
    }

    /// The same, ready after a delay.
    pub fn later_raw(&self, delay: &Zval, payload: &[u8], queue: Option<&[u8]>) -> PhpResult<Zval> {
        self.push_raw(payload, queue, delay::due(delay, self.0.config().family)?)
    }

    /// Stores what the connection buffered; answers how many jobs that were.
    pub fn flush(&self) -> PhpResult<i64> {
        let stored = self.client()?.flush().map_err(|error| exception(&error))?;
        Ok(i64::try_from(stored).unwrap_or(i64::MAX))
    }

    /// The next job, without waiting. It is not renewed: settle it within `retry_after`.
    pub fn pop(&self, queue: Option<&[u8]>) -> PhpResult<Option<PhpJob>> {
        let queue = self.queue(queue)?;
        dates::share_timezone();
        let client = self.client()?;
        let Some(reservation) = client.reserve_one(&queue).map_err(|error| exception(&error))? else { return Ok(None) };
        let name = Arc::from(self.0.config().name.as_str());
        let lease = InFlightJob::new(reservation, Instant::now(), self.0.config().family);
        let job = HeldJob::open(
            lease,
            name,
            Arc::new(FlushFirst(Direct(client.broker().clone()))),
            ForkGeneration::here(process::generation),
        );
        let job = job.with_status_unattended(self.status_reporter()?);
        Ok(Some(PhpJob::new(Rc::new(job), self.resolver(), None)))
    }

    /// Ready, delayed and reserved jobs together.
    pub fn size(&self, queue: Option<&[u8]>) -> PhpResult<i64> {
        Ok(i64::try_from(self.sizes(queue)?.total()).unwrap_or(i64::MAX))
    }

    fn sizes(&self, queue: Option<&[u8]>) -> PhpResult<ferry_core::broker::Sizes> {
        let queue = self.queue(queue)?;
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
        let bodies = self.client()?.peek(&queue, state, count(offset)?, count(limit)?).map_err(|error| exception(&error))?;
        Ok(bodies.iter().map(|body| text(body)).collect())
    }

    fn clear(&self, queue: Option<&[u8]>) -> PhpResult<i64> {
        let queue = self.queue(queue)?;
        let removed = self.client()?.clear(&queue).map_err(|error| exception(&error))?;
        Ok(i64::try_from(removed).unwrap_or(i64::MAX))
    }

    /// Runs a job inside push and returns 0 (`sync/sync-push`), or its id when its status is kept. What its handler throws goes to
    /// the caller.
    fn run_sync(&self, queue: &QueueName, job: &EncodedJob) -> PhpResult<Zval> {
        if self.is_tracked() {
            let (payload, id) = self.client()?.build_tracked(&job.spec()).map_err(|error| exception(&error))?;
            self.run_payload(queue, payload)?;
            return Ok(text(id.as_bytes()));
        }
        let payload = self.client()?.build(&job.spec()).map_err(|error| exception(&error))?.payload;
        self.run_payload(queue, payload)?;
        Ok(objects::number(0))
    }

    fn run_payload(&self, queue: &QueueName, payload: Vec<u8>) -> PhpResult<()> {
        sync::run(&self.0.config().name, queue, payload, self.resolver(), self.status_reporter()?)
    }

    /// How handlers are found outside a worker.
    fn resolver(&self) -> Rc<Resolver> {
        Rc::new(Resolver { family: self.0.config().family, options: request::handlers(), ..Resolver::default() })
    }
}

/// An array that is one connection: with or without the wrapping of a whole configuration.
pub fn one_of(name: &str, entries: Vec<(String, Value)>) -> Result<config::ConnectionConfig> {
    let connection = (name.to_owned(), Value::Map(entries));
    let whole = Value::Map(vec![(String::from("connections"), Value::Map(vec![connection]))]);
    config::parse(&whole)?.find(name).cloned()
}

fn shown(id: JobId) -> Zval {
    match id {
        JobId::Text(id) => text(id.as_bytes()),
        JobId::Number(number) => objects::number(number),
    }
}

/// A number of jobs.
pub fn count(number: i64) -> PhpResult<u64> {
    u64::try_from(number).map_err(|_| invalid(format!("{number} is negative; limit and offset count jobs")))
}
