//! `Ferry\RedisTask\QueueManager`: pushes plain Redis tasks, takes them, counts them.

// PHP callers name arguments.
#![allow(non_snake_case)]

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendHashTable, ZendObject, Zval};
use ferry_client::{Connection, Handle};
use ferry_core::broker::{Settle, Settlement};
use ferry_core::config::{DEFAULT_CONNECTION, Value};
use ferry_core::dialect::Family;
use ferry_core::failed::{Failure, Reason};
use ferry_core::job::{Due, Reservation};

use crate::classes::connection::{ConnectionHandle, PhpConnection, one_of};
use crate::classes::plain_task;
use crate::convert::arguments::{Maybe, Mixed, OptionalText, Whole};
use crate::convert::errors::{exception, invalid, pending};
use crate::handler::Resolver;
use crate::handler::plain_task::build;
use crate::zend::call::{self, CallFailure};
use crate::zend::{dates, objects};

/// Queues of plain tasks on one server.
#[php_class]
#[php(name = "Ferry\\RedisTask\\QueueManager")]
pub struct QueueManager {
    link: ConnectionHandle,
}

/// How long the original waits for a task.
const WAIT: i64 = 5;
/// How long PHP's signals wait meanwhile.
const SLICE: Duration = Duration::from_millis(200);

#[php_impl]
impl QueueManager {
    /// Of a server, or of a connection with `family` => 'redis-task'. No I/O yet.
    #[php(defaults(port = Whole(6379)))]
    pub fn __construct(host: Maybe<'_>, port: Whole) -> PhpResult<Self> {
        objects::construct(|| {
            let handle = match host.0 {
                Some(given) if given.extract::<&PhpConnection>().is_some() => {
                    given.extract::<&PhpConnection>().map(PhpConnection::handle).ok_or_else(pending)?
                }
                given => of_host(given, port.0)?,
            };
            if handle.config().family != Family::RedisTask {
                return Err(invalid(format!("the connection `{}` needs `family` => 'redis-task'", handle.config().name)));
            }
            Ok(Self { link: ConnectionHandle(handle) })
        })
    }

    /// Stores a task: at once, or after its `$delay`.
    pub fn push(&self, task: Mixed<'_>, queue: OptionalText) -> PhpResult<bool> {
        let mut task = task.0.shallow_clone();
        let (body, delay) = {
            let object = object_of(&mut task)?;
            (plain_task::bytes(object)?, plain_task::delay(object))
        };
        let due = if delay > 0 { Due::After(delay) } else { Due::Now };
        let queue = self.link.queue(queue.bytes())?;
        self.link.client()?.push_raw(&queue, &body, due).map_err(|error| exception(&error))?;
        Ok(true)
    }

    /// Takes the next task off a queue for good, waiting for one. What cannot be built goes to the failed list.
    #[php(defaults(timeout = Whole(WAIT)))]
    pub fn pop(&self, queue: OptionalText, timeout: Whole) -> PhpResult<Zval> {
        let queue = self.link.queue(queue.bytes())?;
        dates::share_timezone();
        let until = Instant::now() + Duration::from_secs(u64::try_from(timeout.0).unwrap_or(0).min(3600));
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(SLICE);
            let client = self.link.client()?;
            let taken = client.broker().reserve(std::slice::from_ref(&queue), 1, left).map_err(|error| exception(&error))?;
            if let Some(reservation) = taken.into_iter().next() {
                if let Some(task) = self.open(&client, &reservation)? {
                    return Ok(task);
                }
                continue;
            }
            // Calling an internal function lets PHP serve its signals.
            call::guarded(|| call::function("gc_enabled", &mut [])).map_err(|trouble| {
                call::rethrow(trouble);
                pending()
            })?;
            if Instant::now() >= until {
                return Ok(Zval::null());
            }
        }
    }

    /// Adds a task to the failed list of a queue.
    pub fn mark_as_failed(&self, task: Mixed<'_>, error: Maybe<'_>, queue: OptionalText) -> PhpResult<bool> {
        dates::share_timezone();
        let mut task = task.0.shallow_clone();
        let payload = plain_task::bytes(object_of(&mut task)?)?;
        let attempts = ferry_core::redis_task::counters(&payload).map_err(|error| exception(&error))?.attempts;
        let text = error.0.map(|error| objects::to_bytes(error).ok_or_else(pending)).transpose()?.unwrap_or_default();
        let failure = Failure {
            connection: self.link.0.config().name.clone(),
            payload,
            reason: Reason::Asked,
            exception: String::from_utf8_lossy(&text).into_owned(),
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        };
        let queue = self.link.queue(queue.bytes())?;
        self.link.client()?.mark_failed(&queue, &failure).map_err(|error| exception(&error))?;
        Ok(true)
    }

    /// `['pending' => int, 'delayed' => int, 'failed' => int]`
    pub fn get_stats(&self, queue: OptionalText) -> PhpResult<ZBox<ZendHashTable>> {
        let queue = self.link.queue(queue.bytes())?;
        let sizes = self.link.client()?.size(&queue).map_err(|error| exception(&error))?;
        let mut table = ZendHashTable::new();
        for (state, count) in [("pending", sizes.ready), ("delayed", sizes.delayed), ("failed", sizes.failed)] {
            table.insert(state, i64::try_from(count).unwrap_or(i64::MAX))?;
        }
        Ok(table)
    }
}

impl QueueManager {
    /// Its connection.
    pub fn handle(&self) -> Rc<Handle> {
        self.link.0.clone()
    }

    /// Builds the task of a reservation and ends the reservation: the caller settles nothing. A task that cannot be built is parked.
    fn open(&self, client: &Arc<Connection>, reservation: &Reservation) -> PhpResult<Option<Zval>> {
        let body = &reservation.body;
        let decoded = ferry_core::redis_task::decode(body).map_err(|error| (Reason::Poison, error.to_string()));
        let built = decoded.and_then(|payload| {
            let before =
                i64::from(reservation.attempts.ok_or((Reason::Poison, "the task has no plain `attempts`".to_owned()))?) - 1;
            let resolver = Resolver { family: Family::RedisTask, ..Resolver::default() };
            let data = payload.data.clone().and_then(|range| body.get(range));
            match call::guarded(|| build(&resolver, payload.target().0, body, data, before)) {
                Ok(Ok(task)) => Ok(Ok(task)),
                Ok(Err(why)) => Err((Reason::Poison, why)),
                Err(CallFailure::Missing(why)) => Err((Reason::NoHandler, why)),
                Err(trouble) => Ok(Err(trouble)),
            }
        });
        let (settlement, built) = match built {
            Ok(Ok(task)) => (Settlement::Delete, Some(task)),
            // Its constructor threw or ended the process: the task stays where it was, and its lease brings it back.
            Ok(Err(trouble)) => {
                call::rethrow(trouble);
                return Err(pending());
            }
            Err((reason, exception)) => {
                let connection = self.link.0.config().name.clone();
                let attempts = reservation.attempts.unwrap_or(1);
                (Settlement::Bury(Box::new(Failure { connection, payload: body.clone(), reason, exception, attempts })), None)
            }
        };
        let item = [Settle { claim: reservation.claim.clone(), settlement }];
        client.broker().settle(&item).map_err(|error| exception(&error))?;
        Ok(built)
    }
}

fn object_of(task: &mut Zval) -> PhpResult<&mut ZendObject> {
    let is_task = task.object().is_some_and(|object| object.instance_of(plain_task::class()));
    task.object_mut().filter(|_| is_task).ok_or_else(|| invalid("a task is an object of a subclass of Ferry\\RedisTask\\Task"))
}

/// The connection of a host and a port.
fn of_host(host: Option<&Zval>, port: i64) -> PhpResult<Rc<Handle>> {
    let host = match host.filter(|host| !host.is_null()) {
        None => "127.0.0.1".to_owned(),
        Some(host) => host.string().ok_or_else(|| invalid("the server is a host name or a Ferry\\Connection"))?,
    };
    let entries: Vec<(String, Value)> = vec![
        ("type".to_owned(), "redis".into()),
        ("family".to_owned(), Family::RedisTask.name().into()),
        ("host".to_owned(), host.as_str().into()),
        ("port".to_owned(), Value::Int(port)),
    ];
    let config = one_of(DEFAULT_CONNECTION, entries).map_err(|error| exception(&error))?;
    Ok(Rc::new(Handle::new(Arc::new(config))))
}
