//! What stands beside the body of a task, and which way it goes.

use std::borrow::Cow;

use ferry_core::Result;
use ferry_core::task::{CONTENT_TYPE, DEAD_EXCHANGE, DEAD_KEY, EXCHANGE, Level, Task, expiration};
use lapin::BasicProperties;
use lapin::types::FieldTable;

use super::{Outgoing, names_of};
use crate::names::{Names, Side};
use crate::outbox::Outgoing as Item;
use crate::topology::Need;
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
pub struct Parcel<'a> {
    exchange: String,
    key: String,
    body: Cow<'a, [u8]>,
    properties: BasicProperties,
    /// The delay level it enters, and where it is led from there.
    delayed: Option<(usize, Level)>,
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
pub enum Suspicion {
    /// No worker died with it.
    None,
    /// One did, so it runs alone.
    Alone,
    /// The same, for the last time.
    Last,
}

impl Suspicion {
    /// What its headers say.
    pub fn of(properties: &BasicProperties) -> Self {
        match message::words(properties, ALONE).as_deref() {
            None => Suspicion::None,
            Some("last") => Suspicion::Last,
            Some(_) => Suspicion::Alone,
        }
    }
}

/// Headers of the one who published it, and ours.
fn with_headers(properties: BasicProperties, original: &BasicProperties, suspicion: Suspicion) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (key, value) in message::foreign_headers(original).inner() {
        if ![ALONE, REASON, ERROR].contains(&key.as_str()) {
            headers.insert(key.clone(), value.clone());
        }
    }
    let word = match suspicion {
        Suspicion::None => None,
        Suspicion::Alone => Some("yes"),
        Suspicion::Last => Some("last"),
    };
    if let Some(word) = word {
        headers.insert(ALONE.into(), message::text(word));
    }
    if headers.inner().is_empty() { properties } else { properties.with_headers(headers) }
}

impl<'a> Parcel<'a> {
    fn to(exchange: &str, key: &str, body: Cow<'a, [u8]>, properties: BasicProperties) -> Self {
        Self { exchange: exchange.to_owned(), key: key.to_owned(), body, properties, delayed: None }
    }

    /// A new task.
    pub fn fresh(task: &'a Outgoing, now: i64) -> Self {
        let properties = of_task(&task.id, task.priority, now, task.packed).with_expiration(task.expiration.as_str().into());
        Self::to(EXCHANGE, Level::of(task.priority.into()).queue(), Cow::Borrowed(&task.body), properties)
    }

    /// A task that goes to `queue` once more, at its tail.
    pub fn again(
        task: &Task,
        body: Cow<'a, [u8]>,
        packed: bool,
        original: &BasicProperties,
        queue: &str,
        suspicion: Suspicion,
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
        let properties = with_headers(of_task(&task.id, task.priority, now, packed), original, Suspicion::None);
        let Some(pass) =
            delay::pass(pause.saturating_mul(1000), now.saturating_add(pause), &names_of(level)?.address(Side::Fresh)?)
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
    pub fn needs(&self) -> Result<Vec<(Names, Need)>> {
        let level = self.delayed.map_or(Level::Normal, |(_, level)| level);
        let names = names_of(level)?;
        let mut needs = vec![(names.clone(), Need::Tasks)];
        if let Some((top, _)) = self.delayed {
            needs.push((names, Need::TaskDelay(top)));
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
        let outgoing = Outgoing { id: "i".into(), body: BODY.into(), priority: 9, expiration: "10000".into(), packed: false };
        let parcel = Parcel::fresh(&outgoing, 7);
        assert_eq!((parcel.exchange.as_str(), parcel.key.as_str()), ("task.exchange", "task.high"));
        assert!(parcel.properties.headers().is_none() && parcel.properties.content_encoding().is_none());
        assert_eq!((*parcel.properties.timestamp(), *parcel.properties.priority()), (Some(7), Some(9)));
    }

    #[test]
    fn a_retry_waits_in_the_levels_without_an_expiration() {
        let original = BasicProperties::default();
        let parcel = Parcel::later(&task(), BODY.as_bytes().into(), false, &original, 2, 7).unwrap();
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
        let parcel = Parcel::again(&task(), BODY.as_bytes().into(), false, &original, "task.high", Suspicion::Last, 40);
        assert_eq!(parcel.properties.expiration().as_ref().map(|text| text.as_str()), Some("60000"));
        assert_eq!(message::words(&parcel.properties, "x-mine").as_deref(), Some("kept"));
        assert!(message::words(&parcel.properties, "x-death").is_none() && Suspicion::of(&parcel.properties) == Suspicion::Last);
        let late = Parcel::again(&task(), BODY.as_bytes().into(), false, &original, "task.high", Suspicion::None, 101);
        assert!(late.properties.expiration().is_none() && Suspicion::of(&late.properties) == Suspicion::None);
    }
}
