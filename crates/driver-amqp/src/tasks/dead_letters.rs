//! Dead letters: looked at, sent back, thrown away. AMQP has no looking: they are taken and put back.

use std::collections::HashSet;

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::task::{DeadLetter, Task, TaskLevel, expiration, unpack};
use ferry_core::{Error, ErrorKind, Result};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueuePurgeOptions};

use super::publish::{ERROR, REASON, TaskPublish};
use super::{TaskToPublish, Tasks};
use crate::connections::PublishRole;
use crate::message;
use crate::names::short;

/// One dead letter.
#[derive(Debug, Clone)]
pub struct StoredDeadLetter {
    /// What was read of it.
    pub letter: DeadLetter,
    /// The id of its task; of what is no task, its message id or what its bytes sum up to.
    pub id: String,
    /// `failed`, `expired`, `rejected`, `maxlen` or `poison`.
    pub reason: String,
    /// What was wrong with what is no task.
    pub error: String,
    /// Its bytes as they lie there.
    pub raw: Vec<u8>,
}

/// What becomes of a letter that is looked at.
enum Verdict {
    Keep,
    Remove,
}

impl Tasks {
    /// The oldest dead letters of `queue`.
    pub fn letters(&self, queue: &str, limit: usize) -> Result<Vec<StoredDeadLetter>> {
        let mut found = Vec::new();
        self.walk(queue, limit, |letter, _| {
            found.push(letter);
            Ok(Verdict::Keep)
        })?;
        Ok(found)
    }

    /// The dead letter of the task with this id.
    pub fn letter(&self, queue: &str, id: &str) -> Result<Option<StoredDeadLetter>> {
        let mut found = None;
        self.walk(queue, usize::MAX, |letter, _| {
            if found.is_none() && letter.id == id {
                found = Some(letter);
            }
            Ok(Verdict::Keep)
        })?;
        Ok(found)
    }

    /// Publishes the tasks of the letters that are `wanted` again, with no failed execution, confirmed, then removes the letters.
    /// Answers how many tasks. What is no task stays; several letters of one task, as the original leaves them, make one task.
    pub fn requeue(&self, queue: &str, wanted: &dyn Fn(&StoredDeadLetter) -> bool) -> Result<u64> {
        let mut sent = HashSet::new();
        self.walk(queue, usize::MAX, |letter, _| {
            let Some(task) = letter.letter.task.as_ref().filter(|_| wanted(&letter)) else { return Ok(Verdict::Keep) };
            if !sent.contains(&task.id) {
                self.revive(task, &letter.letter.body).map_err(|error| error.within(format!("requeue task {}", task.id)))?;
                sent.insert(task.id.clone());
            }
            Ok(Verdict::Remove)
        })?;
        Ok(sent.len() as u64)
    }

    fn revive(&self, task: &Task, body: &[u8]) -> Result<()> {
        let now = SystemClock.now();
        let body = task.revived(body, now);
        let expires = Task::decode(&body, Some(&task.id), now)?.expire_at;
        let (id, priority) = (task.id.clone(), task.priority);
        let outgoing = TaskToPublish { id, body, priority, expiration: expiration(expires, now)?, packed: false };
        self.send(PublishRole::Push, &[TaskPublish::fresh(&outgoing, now)]).map(drop)
    }

    /// Removes all dead letters of `queue` and answers how many.
    pub fn purge(&self, queue: &str) -> Result<u64> {
        if TaskLevel::named(queue).is_some() {
            return Err(Error::new(ErrorKind::InvalidArgument, format!("`{queue}` holds tasks, not dead letters")));
        }
        let link = self.hub.consumer()?;
        let channel = link.channel()?;
        link.ask(channel.queue_purge(short(queue), QueuePurgeOptions::default())).map(u64::from)
    }

    /// Shows each of the letters that lie there now, up to `limit`. What is kept goes back where it lay.
    fn walk(
        &self,
        queue: &str,
        limit: usize,
        mut visit: impl FnMut(StoredDeadLetter, &Delivery) -> Result<Verdict>,
    ) -> Result<()> {
        let link = self.hub.consumer()?;
        let there = self.hub.count(queue)?.unwrap_or(0);
        let channel = link.channel()?;
        let mut looked = Ok(());
        for _ in 0..limit.min(usize::try_from(there).unwrap_or(usize::MAX)) {
            let Some(got) = link.ask(channel.basic_get(short(queue), BasicGetOptions::default()))? else { break };
            let delivery = got.delivery;
            match visit(self.read_letter(&delivery), &delivery) {
                Ok(Verdict::Keep) => {}
                Ok(Verdict::Remove) => link.ask(channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default()))?,
                Err(error) => {
                    looked = Err(error);
                    break;
                }
            }
        }
        // What is still out goes back with the channel.
        link.ask(channel.close(200, "OK".into())).and(looked)
    }

    fn read_letter(&self, delivery: &Delivery) -> StoredDeadLetter {
        let properties = &delivery.properties;
        let packed = properties.content_encoding().as_ref().is_some_and(|encoding| encoding.as_str() == "gzip");
        let unpacked = if packed { unpack(&delivery.data, self.limit).ok() } else { None };
        let id = properties.message_id().as_ref().map(|id| id.as_str().to_owned());
        let letter = DeadLetter::read(unpacked.as_ref().unwrap_or(&delivery.data), id.as_deref(), SystemClock.now());
        let said = |key| message::words(properties, key);
        let reason = said(REASON).or_else(|| said("x-first-death-reason").filter(|_| letter.message.is_empty()));
        let named = letter.task.as_ref().map(|task| task.id.clone());
        StoredDeadLetter {
            id: named.unwrap_or_else(|| message::id_of(properties, &delivery.data)),
            reason: reason.unwrap_or_else(|| "failed".to_owned()),
            error: said(ERROR).unwrap_or_default(),
            raw: delivery.data.clone(),
            letter,
        }
    }
}
