//! What stands beside the body of a task, and which way it goes.

use std::borrow::Cow;

use ferry_core::Result;
use ferry_core::task::{CONTENT_TYPE, DEAD_EXCHANGE, DEAD_KEY, EXCHANGE, Task, TaskLevel, expiration};
use lapin::BasicProperties;
use lapin::types::FieldTable;

use super::{TaskToPublish, names_of};
use crate::names::{Names, QueueRole};
use crate::publisher::Publish as Item;
use crate::topology::TopologyItem;
use crate::{delay, message};

/// A task whose worker died runs alone: `yes`, or `last` for the last time.
const ALONE: &str = "x-ferry-alone";
/// Why something is a dead letter that no consumer wrapped.
pub const REASON: &str = "x-ferry-reason";
/// What was wrong with it.
pub const ERROR: &str = "x-ferry-error";
/// The most that is kept of what was wrong, in bytes.
const LONGEST_ERROR: usize = 4096;

/// A message on its way.
pub struct TaskPublish<'a> {
    exchange: String,
    key: String,
    body: Cow<'a, [u8]>,
    properties: BasicProperties,
    /// The delay level it enters, and where it is led from there.
    delayed: Option<(usize, TaskLevel)>,
}

/// Those of every task: `delivery_mode` 2, no headers (flags 0x99c0 with priority, expiration, message id and timestamp).
fn plain(packed: bool) -> BasicProperties {
    let properties = BasicProperties::default().with_content_type(CONTENT_TYPE.into()).with_delivery_mode(2);
    if packed { properties.with_content_encoding("gzip".into()) } else { properties }
}

fn of_task(id: &str, priority: u8, now: i64, packed: bool) -> BasicProperties {
    plain(packed).with_priority(priority).with_message_id(id.into()).with_timestamp(u64::try_from(now).unwrap_or(0))
}

/// Whether a task may be one that kills its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashMark {
    /// No worker died with it.
    None,
    /// One did, so it runs alone.
    Alone,
    /// The same, for the last time.
    Last,
}

impl CrashMark {
    /// What its headers say.
    pub fn of(properties: &BasicProperties) -> Self {
        match message::words(properties, ALONE).as_deref() {
            None => CrashMark::None,
            Some("last") => CrashMark::Last,
            Some(_) => CrashMark::Alone,
        }
    }
}

/// Headers of the one who published it, and ours.
fn with_headers(properties: BasicProperties, original: &BasicProperties, suspicion: CrashMark) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (key, value) in message::foreign_headers(original).inner() {
        if ![ALONE, REASON, ERROR].contains(&key.as_str()) {
            headers.insert(key.clone(), value.clone());
        }
    }
    let word = match suspicion {
        CrashMark::None => None,
        CrashMark::Alone => Some("yes"),
        CrashMark::Last => Some("last"),
    };
    if let Some(word) = word {
        headers.insert(ALONE.into(), message::text(word));
    }
    if headers.inner().is_empty() { properties } else { properties.with_headers(headers) }
}

impl<'a> TaskPublish<'a> {
    fn to(exchange: &str, key: &str, body: Cow<'a, [u8]>, properties: BasicProperties) -> Self {
        Self { exchange: exchange.to_owned(), key: key.to_owned(), body, properties, delayed: None }
    }

    /// A new task.
    pub fn fresh(task: &'a TaskToPublish, now: i64) -> Self {
        let properties = of_task(&task.id, task.priority, now, task.packed).with_expiration(task.expiration.as_str().into());
        Self::to(EXCHANGE, TaskLevel::of(task.priority.into()).queue(), Cow::Borrowed(&task.body), properties)
    }

    /// A task that goes to `queue` once more, at its tail.
    pub fn again(
        task: &Task,
        body: Cow<'a, [u8]>,
        packed: bool,
        original: &BasicProperties,
        queue: &str,
        suspicion: CrashMark,
        now: i64,
    ) -> Self {
        let mut properties = of_task(&task.id, task.priority, now, packed);
        // One that expired or cannot say so lives as long as its queue lets it.
        if let Ok(left) = expiration(task.expire_at, now) {
            properties = properties.with_expiration(left.into());
        }
        Self::to("", queue, body, with_headers(properties, original, suspicion))
    }

    /// The same in `pause` seconds, kept by the broker. It has no expiration, which would end the pause; its body has one.
    pub fn later(
        task: &Task,
        body: Cow<'a, [u8]>,
        packed: bool,
        original: &BasicProperties,
        pause: i64,
        now: i64,
    ) -> Result<Self> {
        let level = task.level();
        let properties = with_headers(of_task(&task.id, task.priority, now, packed), original, CrashMark::None);
        let Some(pass) =
            delay::pass(pause.saturating_mul(1000), now.saturating_add(pause), &names_of(level)?.address(QueueRole::Fresh)?)
        else {
            return Ok(Self::to(EXCHANGE, level.queue(), body, properties));
        };
        let delayed = Some((pass.top, level));
        Ok(Self { delayed, ..Self::to(&delay::name(pass.top), &pass.key, body, properties) })
    }

    /// A dead letter in the one format; `reason` where it is not a failure.
    pub fn dead(body: Vec<u8>, reason: Option<&str>) -> Self {
        let mut properties = plain(false);
        if let Some(reason) = reason {
            let mut headers = FieldTable::default();
            headers.insert(REASON.into(), message::text(reason));
            properties = properties.with_headers(headers);
        }
        Self::to(DEAD_EXCHANGE, DEAD_KEY, Cow::Owned(body), properties)
    }

    /// What is no task, raw, with what stood beside it.
    pub fn poison(body: &'a [u8], original: &BasicProperties, why: &str) -> Self {
        let mut headers = message::foreign_headers(original);
        headers.insert(REASON.into(), message::text("poison"));
        let end = why.floor_char_boundary(LONGEST_ERROR);
        headers.insert(ERROR.into(), message::text(&why[..end]));
        let properties = message::with_attempts(original, 0).with_headers(headers);
        Self::to(DEAD_EXCHANGE, DEAD_KEY, Cow::Borrowed(body), properties)
    }

    /// What is no task, back to its queue as it was.
    pub fn back(body: &'a [u8], original: &BasicProperties, queue: &str) -> Self {
        Self::to("", queue, Cow::Borrowed(body), message::with_attempts(original, 0))
    }

    /// What must be there before it is sent.
    pub fn needs(&self) -> Result<Vec<(Names, TopologyItem)>> {
        let level = self.delayed.map_or(TaskLevel::Normal, |(_, level)| level);
        let names = names_of(level)?;
        let mut needs = vec![(names.clone(), TopologyItem::Tasks)];
        if let Some((top, _)) = self.delayed {
            needs.push((names, TopologyItem::TaskDelay(top)));
        }
        Ok(needs)
    }

    /// As the outbox takes it.
    pub fn item(&self) -> Item<'_> {
        Item { exchange: self.exchange.clone(), key: self.key.clone(), body: &self.body, properties: self.properties.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"task_id":"i","task_type":"t","priority":9,"expire_at":100}"#;

    fn task() -> Task {
        Task::decode(BODY.as_bytes(), None, 0).unwrap()
    }

    #[test]
    fn a_fresh_task_has_the_recorded_properties_and_no_header() {
        let outgoing =
            TaskToPublish { id: "i".into(), body: BODY.into(), priority: 9, expiration: "10000".into(), packed: false };
        let parcel = TaskPublish::fresh(&outgoing, 7);
        assert_eq!((parcel.exchange.as_str(), parcel.key.as_str()), ("task.exchange", "task.high"));
        assert!(parcel.properties.headers().is_none() && parcel.properties.content_encoding().is_none());
        assert_eq!((*parcel.properties.timestamp(), *parcel.properties.priority()), (Some(7), Some(9)));
    }

    #[test]
    fn a_retry_waits_in_the_levels_without_an_expiration() {
        let original = BasicProperties::default();
        let parcel = TaskPublish::later(&task(), BODY.as_bytes().into(), false, &original, 2, 7).unwrap();
        assert_eq!(parcel.exchange, "ferry.delay.01");
        assert!(parcel.key.ends_with("task%2Ehigh.q") && parcel.properties.expiration().is_none());
        assert_eq!(parcel.needs().unwrap().len(), 2);
    }

    #[test]
    fn what_is_given_back_keeps_the_time_it_has_left_and_the_headers_of_others() {
        let mut headers = FieldTable::default();
        headers.insert("x-mine".into(), message::text("kept"));
        headers.insert("x-death".into(), message::text("the broker's"));
        let original = BasicProperties::default().with_headers(headers);
        let parcel = TaskPublish::again(&task(), BODY.as_bytes().into(), false, &original, "task.high", CrashMark::Last, 40);
        assert_eq!(parcel.properties.expiration().as_ref().map(|text| text.as_str()), Some("60000"));
        assert_eq!(message::words(&parcel.properties, "x-mine").as_deref(), Some("kept"));
        assert!(message::words(&parcel.properties, "x-death").is_none() && CrashMark::of(&parcel.properties) == CrashMark::Last);
        let late = TaskPublish::again(&task(), BODY.as_bytes().into(), false, &original, "task.high", CrashMark::None, 101);
        assert!(late.properties.expiration().is_none() && CrashMark::of(&late.properties) == CrashMark::None);
    }
}
