//! Routes and properties of task messages.

use std::borrow::Cow;
use std::sync::Arc;

use ferry_core::task::{CONTENT_TYPE, DEAD_EXCHANGE, DEAD_KEY, EXCHANGE, LONGEST_PAUSE, Task, TaskLevel, expiration};
use ferry_core::{QueueName, Result};
use lapin::BasicProperties;
use lapin::types::FieldTable;

use super::TaskToPublish;
use crate::delay::DelaySpace;
use crate::names::{Names, QueueRole};
use crate::route::Route;
use crate::topology::{QueueTopology, TopologyItem};
use crate::{delay, message};

/// The header of a task whose worker died and which runs alone: `yes`, or `last` for the last time.
const ALONE: &str = "x-ferry-alone";
/// The header for the reason of a dead letter that no consumer wrapped.
pub const REASON: &str = "x-ferry-reason";
/// The header for the error of such a dead letter.
pub const ERROR: &str = "x-ferry-error";
/// The longest error text that is kept, in bytes.
const LONGEST_ERROR: usize = 4096;

/// A task as it was delivered, to be published again.
#[derive(Clone, Copy)]
pub struct DeliveredTask<'a> {
    pub task: &'a Task,
    /// Whether its body is gzip.
    pub packed: bool,
    pub properties: &'a BasicProperties,
}

/// Whether a task may be one that kills its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashMark {
    /// No worker died with it.
    None,
    /// A worker died with it, so it runs alone.
    Alone,
    /// The same, for the last time.
    Last,
}

impl CrashMark {
    /// The mark in the headers of a message.
    pub fn of(properties: &BasicProperties) -> Self {
        match message::header_text(properties, ALONE).as_deref() {
            None => CrashMark::None,
            Some("last") => CrashMark::Last,
            Some(_) => CrashMark::Alone,
        }
    }

    fn header(self) -> Option<&'static str> {
        match self {
            CrashMark::None => None,
            CrashMark::Alone => Some("yes"),
            CrashMark::Last => Some("last"),
        }
    }
}

/// The properties of every task: `delivery_mode` 2, no headers (flags 0x99c0 with priority, expiration, message id and timestamp).
fn plain(packed: bool) -> BasicProperties {
    let properties = BasicProperties::default().with_content_type(CONTENT_TYPE.into()).with_delivery_mode(2);
    if packed { properties.with_content_encoding("gzip".into()) } else { properties }
}

fn of_task(id: &str, priority: u8, now: i64, packed: bool) -> BasicProperties {
    plain(packed).with_priority(priority).with_message_id(id.into()).with_timestamp(u64::try_from(now).unwrap_or(0))
}

/// Properties with the original headers of other programs, and our crash mark.
fn with_headers(properties: BasicProperties, original: &BasicProperties, mark: CrashMark) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (key, value) in message::foreign_headers(original).inner() {
        if ![ALONE, REASON, ERROR].contains(&key.as_str()) {
            headers.insert(key.clone(), value.clone());
        }
    }
    if let Some(text) = mark.header() {
        headers.insert(ALONE.into(), message::text(text));
    }
    if headers.inner().is_empty() { properties } else { properties.with_headers(headers) }
}

/// The names of a level's queue.
pub fn names_of(level: TaskLevel) -> Result<Arc<Names>> {
    Ok(Arc::new(Names::of(&QueueName::new(level.queue().as_bytes())?)?))
}

fn route<'a>(exchange: &str, key: &str, body: Cow<'a, [u8]>, properties: BasicProperties) -> Result<Route<'a>> {
    let need = QueueTopology { names: names_of(TaskLevel::Normal)?, item: TopologyItem::Tasks };
    Ok(Route { exchange: exchange.to_owned(), key: key.to_owned(), body, properties, need })
}

/// A new task. A delayed one has no expiration property, which would end its delay; its body has one.
pub fn new_task(task: &TaskToPublish, now: i64) -> Result<Route<'_>> {
    let (level, body) = (TaskLevel::of(task.priority.into()), Cow::Borrowed(task.body.as_slice()));
    let properties = of_task(&task.id, task.priority, now, task.packed);
    if task.delay > 0 {
        return delayed(level, body, properties, task.delay, now);
    }
    route(EXCHANGE, level.queue(), body, properties.with_expiration(task.expiration.as_str().into()))
}

/// A message that goes to the queue of a level in `pause` seconds, which it spends in the delay levels.
fn delayed<'a>(level: TaskLevel, body: Cow<'a, [u8]>, properties: BasicProperties, pause: i64, now: i64) -> Result<Route<'a>> {
    let names = names_of(level)?;
    let due = now.saturating_add(pause);
    let Some(pass) = delay::pass(pause.saturating_mul(1000), due, &names.address(QueueRole::Main)?) else {
        return route(EXCHANGE, level.queue(), body, properties);
    };
    // Never fewer levels than retries need: those are declared already when a consumer runs.
    let top = pass.top.max(delay::top_of(LONGEST_PAUSE));
    let need = QueueTopology { names, item: TopologyItem::TaskDelay(top) };
    Ok(Route { exchange: DelaySpace::Tasks.name(pass.top), key: pass.key, body, properties, need })
}

/// A task of a dead letter, published like a new one. One that expires later than RabbitMQ can carry lives as long as its queue allows.
pub fn revived(task: &Task, body: Vec<u8>, expire_at: i64, now: i64) -> Result<Route<'static>> {
    let mut properties = of_task(&task.id, task.priority, now, false);
    if let Ok(left) = expiration(expire_at, now) {
        properties = properties.with_expiration(left.into());
    }
    route(EXCHANGE, task.level().queue(), Cow::Owned(body), properties)
}

/// A task that goes to the tail of `queue` again.
pub fn again<'a>(delivered: DeliveredTask<'_>, body: Cow<'a, [u8]>, queue: &str, mark: CrashMark, now: i64) -> Result<Route<'a>> {
    let task = delivered.task;
    let mut properties = of_task(&task.id, task.priority, now, delivered.packed);
    // Without an expiration, because it has passed or does not fit, the task lives as long as its queue allows.
    if let Ok(left) = expiration(task.expire_at, now) {
        properties = properties.with_expiration(left.into());
    }
    let (exchange, key) = place(queue);
    route(exchange, key, body, with_headers(properties, delivered.properties, mark))
}

/// Where a message is published that goes back to `queue`. The three queues are reached as new tasks reach them: the default exchange
/// would need a right that the design needs nowhere else. A queue of another name has no such binding.
fn place(queue: &str) -> (&str, &str) {
    if TaskLevel::named(queue).is_some() { (EXCHANGE, queue) } else { ("", queue) }
}

/// A task that goes to its queue again in `pause` seconds, which it spends in the delay levels. It has no expiration property, which
/// would end the pause; its body has one.
pub fn later<'a>(delivered: DeliveredTask<'_>, body: Cow<'a, [u8]>, pause: i64, now: i64) -> Result<Route<'a>> {
    let DeliveredTask { task, packed, properties } = delivered;
    let properties = with_headers(of_task(&task.id, task.priority, now, packed), properties, CrashMark::None);
    delayed(task.level(), body, properties, pause, now)
}

/// A dead letter in the recorded format; `reason` where it is not a failure.
pub fn dead(body: Vec<u8>, reason: Option<&str>) -> Result<Route<'static>> {
    let mut properties = plain(false);
    if let Some(reason) = reason {
        let mut headers = FieldTable::default();
        headers.insert(REASON.into(), message::text(reason));
        properties = properties.with_headers(headers);
    }
    route(DEAD_EXCHANGE, DEAD_KEY, Cow::Owned(body), properties)
}

/// A dead letter of bytes that are no task, with their original headers.
pub fn poison<'a>(body: &'a [u8], original: &BasicProperties, error: &str) -> Result<Route<'a>> {
    let mut headers = message::foreign_headers(original);
    headers.insert(REASON.into(), message::text("poison"));
    let end = error.floor_char_boundary(LONGEST_ERROR);
    headers.insert(ERROR.into(), message::text(&error[..end]));
    let properties = message::with_attempts(original, 0).with_headers(headers);
    route(DEAD_EXCHANGE, DEAD_KEY, Cow::Borrowed(body), properties)
}

/// Bytes that are no task, back to their queue.
pub fn back<'a>(body: &'a [u8], original: &BasicProperties, queue: &str) -> Result<Route<'a>> {
    let (exchange, key) = place(queue);
    route(exchange, key, Cow::Borrowed(body), message::with_attempts(original, 0))
}

/// The same with the mark that their worker died.
pub fn marked<'a>(body: &'a [u8], original: &BasicProperties, queue: &str) -> Result<Route<'a>> {
    let mut route = back(body, original, queue)?;
    let mut headers = message::foreign_headers(original);
    headers.insert(ALONE.into(), message::text("yes"));
    route.properties = route.properties.with_headers(headers);
    Ok(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"task_id":"i","task_type":"t","priority":9,"expire_at":100}"#;

    fn task() -> Task {
        Task::decode(BODY.as_bytes(), None, 0).unwrap()
    }

    fn delivered<'a>(task: &'a Task, properties: &'a BasicProperties) -> DeliveredTask<'a> {
        DeliveredTask { task, packed: false, properties }
    }

    #[test]
    fn a_new_task_has_the_recorded_properties_and_no_header() {
        let outgoing = TaskToPublish {
            id: "i".into(),
            kind: "t".into(),
            body: BODY.into(),
            priority: 9,
            expiration: "10000".into(),
            delay: 0,
            packed: false,
        };
        let route = new_task(&outgoing, 7).unwrap();
        assert_eq!((route.exchange.as_str(), route.key.as_str()), ("task.exchange", "task.high"));
        assert!(route.properties.headers().is_none() && route.properties.content_encoding().is_none());
        assert_eq!((*route.properties.timestamp(), *route.properties.priority()), (Some(7), Some(9)));
        let later = TaskToPublish { delay: 300, ..outgoing };
        let route = new_task(&later, 7).unwrap();
        assert!(route.exchange.starts_with("task.delay.") && route.properties.expiration().is_none(), "{}", route.exchange);
    }

    #[test]
    fn a_retry_waits_in_the_levels_without_an_expiration() {
        let original = BasicProperties::default();
        let route = later(delivered(&task(), &original), BODY.as_bytes().into(), 2, 7).unwrap();
        assert_eq!(route.exchange, "task.delay.01");
        assert!(route.key.ends_with("task%2Ehigh.q") && route.properties.expiration().is_none());
        assert_eq!(route.need.item, TopologyItem::TaskDelay(5), "all levels of retries are declared together");
    }

    #[test]
    fn what_is_given_back_keeps_the_time_it_has_left_and_the_headers_of_others() {
        let mut headers = FieldTable::default();
        headers.insert("x-mine".into(), message::text("kept"));
        headers.insert("x-death".into(), message::text("the broker's"));
        let original = BasicProperties::default().with_headers(headers);
        let task = task();
        let again = |mark, now| again(delivered(&task, &original), BODY.as_bytes().into(), "task.high", mark, now).unwrap();
        let route = again(CrashMark::Last, 40);
        assert_eq!((route.exchange.as_str(), route.key.as_str()), ("task.exchange", "task.high"));
        assert_eq!(place("orders"), ("", "orders"));
        assert_eq!(route.properties.expiration().as_ref().map(|text| text.as_str()), Some("60000"));
        assert_eq!(message::header_text(&route.properties, "x-mine").as_deref(), Some("kept"));
        assert!(
            message::header_text(&route.properties, "x-death").is_none() && CrashMark::of(&route.properties) == CrashMark::Last
        );
        let late = again(CrashMark::None, 101);
        assert!(late.properties.expiration().is_none() && CrashMark::of(&late.properties) == CrashMark::None);
    }
}
