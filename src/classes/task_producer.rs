//! `Ferry\Task\TaskProducer`: publishes tasks.

use std::rc::Rc;

use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::Zval;
use ferry_client::Handle;
use ferry_client::tasks::TaskToPublish;
use ferry_core::config::nearest;
use ferry_core::task::{clamp, expiration, pack};

use crate::classes::connection::ConnectionHandle;
use crate::classes::task_message::TaskMessage;
use crate::classes::tracking::tell;
use crate::convert::arguments::{List, MaybeList, Mixed, Whole, integer, truth};
use crate::convert::errors::{exception, invalid};
use crate::convert::task::{TaskFields, connection};
use crate::zend::dates;
use crate::zend::memory::MemoryRoom;
use crate::zend::objects::{self, PropertyKey};

/// Bodies from this size on are packed, when packing is asked for without a size.
const LARGE: usize = 8 * 1024;

/// Publishes tasks by one connection.
#[php_class]
#[php(name = "Ferry\\Task\\TaskProducer")]
pub struct TaskProducer {
    handle: Rc<Handle>,
    /// Bytes from which a body is packed.
    gzip: Option<usize>,
}

#[php_impl]
impl TaskProducer {
    /// Opens nothing yet.
    #[php(defaults(options = MaybeList(None)))]
    pub fn __construct(connection: Mixed<'_>, options: MaybeList<'_>) -> PhpResult<Self> {
        objects::construct(|| {
            let handle = self::connection(connection.0, "TaskProducer")?;
            Ok(Self { handle, gzip: options.0.map_or(Ok(None), packing)? })
        })
    }

    /// Publishes a task and waits until the broker has it. Anything else is an exception.
    #[php(defaults(delay = Whole(0)))]
    pub fn publish(&self, task: Mixed<'_>, delay: Whole) -> PhpResult<bool> {
        let task = self.outgoing(task.0, checked(delay.0)?)?;
        self.send(&[task]).map(|_| true)
    }

    /// Publishes many, all on their way before the first is waited for, and answers how many.
    #[php(defaults(delay = Whole(0)))]
    pub fn publish_batch(&self, tasks: List<'_>, delay: Whole) -> PhpResult<i64> {
        let (mut all, mut room, delay) = (Vec::new(), MemoryRoom::now(), checked(delay.0)?);
        objects::each(tasks.0, |_, task| {
            let task = self.outgoing(task, delay)?;
            room.take(task.body.len(), "tasks")?;
            all.push(task);
            PhpResult::Ok(())
        })?;
        if all.is_empty() {
            return Ok(0);
        }
        self.send(&all).map(|count| i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Nothing to do: the connection is shared by all producers of the process. For drop-in callers.
    pub fn close(&self) {}
}

impl TaskProducer {
    /// Encodes, which may run PHP code; the connection is asked for after that.
    fn outgoing(&self, task: &Zval, delay: i64) -> PhpResult<TaskToPublish> {
        let Some(object) = task.object().filter(|_| task.extract::<&TaskMessage>().is_some()) else {
            return Err(invalid("publish() takes a Ferry\\Task\\TaskMessage"));
        };
        let fields = TaskFields::read(object)?;
        let now = dates::now();
        let expiration = expiration(fields.expire_at, now)
            .map_err(|error| exception(&error.within(format!("publish task {} ({})", fields.id, fields.kind))))?;
        if delay > 0 && now.saturating_add(delay) >= fields.expire_at {
            let left = fields.expire_at.saturating_sub(now);
            let advice = "give it a ttl that is longer than its delay";
            return Err(invalid(format!(
                "task {} would expire in {left} s, before its delay of {delay} s is over; {advice}",
                fields.id
            )));
        }
        let body = fields.to_bytes()?;
        let most = self.handle.config().max_payload;
        if body.len() > most {
            return Err(invalid(format!("task {} has {} bytes, more than `max_payload`, {most}", fields.id, body.len())));
        }
        let is_large = self.gzip.is_some_and(|least| body.len() >= least);
        let body = if is_large { pack(&body) } else { body };
        Ok(TaskToPublish {
            priority: clamp(fields.priority),
            id: fields.id,
            kind: fields.kind,
            body,
            expiration,
            delay,
            packed: is_large,
        })
    }

    fn send(&self, tasks: &[TaskToPublish]) -> PhpResult<u64> {
        let place = |error: ferry_core::Error| match tasks {
            [task] => exception(&error.within(format!("publish task {} on `{}`", task.id, self.handle.config().name))),
            many => exception(&error.within(format!("publish {} tasks on `{}`", many.len(), self.handle.config().name))),
        };
        let connection = ConnectionHandle(self.handle.clone());
        if !connection.is_tracked() {
            return self.handle.get().and_then(|client| client.tasks()).and_then(|there| there.publish(tasks)).map_err(place);
        }
        let statuses = connection.status_broker()?;
        let published = self.handle.get().and_then(|client| client.publish_tasks_tracked(tasks, &*statuses)).map_err(place)?;
        tell(published.trouble);
        Ok(published.answer)
    }
}

/// A delay in seconds.
fn checked(delay: i64) -> PhpResult<i64> {
    if delay < 0 { Err(invalid(format!("the delay is 0 seconds or more, not {delay}"))) } else { Ok(delay) }
}

/// `['gzip' => true]`, or the number of bytes from which a body is packed.
fn packing(options: &Zval) -> PhpResult<Option<usize>> {
    let mut gzip = None;
    objects::each(options, |key, value| {
        let name = match key {
            PropertyKey::Name(name) => String::from_utf8_lossy(name).into_owned(),
            PropertyKey::Index(index) => index.to_string(),
        };
        if name != "gzip" {
            let near = nearest(&name, ["gzip"].into_iter()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(invalid(format!("there is no producer option `{name}`{near}")));
        }
        gzip = match (value.bool(), integer(value)) {
            (Some(wanted), _) => wanted.then_some(LARGE),
            (None, Some(bytes)) if bytes >= 0 => Some(usize::try_from(bytes).unwrap_or(usize::MAX)),
            _ if truth(value) == Some(false) => None,
            _ => return Err(invalid("the producer option `gzip` must be true, false, or a number of bytes")),
        };
        PhpResult::Ok(())
    })?;
    Ok(gzip)
}
