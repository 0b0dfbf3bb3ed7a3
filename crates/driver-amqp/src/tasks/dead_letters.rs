//! Dead letters: looking at them, publishing their tasks again, removing them.

use std::collections::HashSet;

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::task::{DeadLetter, Task, TaskLevel, expiration, unpack};
use ferry_core::{Error, ErrorKind, Result};
use lapin::message::Delivery;
use lapin::options::QueuePurgeOptions;

use super::publish::{self, ERROR, REASON};
use super::{TaskToPublish, Tasks};
use crate::connections::PublishRole;
use crate::message;
use crate::names::short;
use crate::queue_scan::{Access, QueueScan, Visit};

/// One dead letter.
#[derive(Debug, Clone)]
pub struct StoredDeadLetter {
    /// What could be read of it.
    pub letter: DeadLetter,
    /// The id of its task; without a task, its message id or a hash of its bytes.
    pub id: String,
    /// `failed`, `expired`, `rejected`, `maxlen` or `poison`.
    pub reason: String,
    /// The error, when it is no task.
    pub error: String,
    /// Its bytes as stored.
    pub raw: Vec<u8>,
}

impl Tasks {
    /// The oldest dead letters of `queue`.
    pub fn letters(&self, queue: &str, limit: usize) -> Result<Vec<StoredDeadLetter>> {
        let mut found = Vec::new();
        self.visit_letters(queue, limit, |letter| {
            found.push(letter);
            Ok(false)
        })?;
        Ok(found)
    }

    /// The dead letter of the task with this id.
    pub fn letter(&self, queue: &str, id: &str) -> Result<Option<StoredDeadLetter>> {
        let mut found = None;
        self.visit_letters(queue, usize::MAX, |letter| {
            if found.is_none() && letter.id == id {
                found = Some(letter);
            }
            Ok(false)
        })?;
        Ok(found)
    }

    /// Publishes the tasks of the `wanted` letters again, with no failed execution, and removes a letter when its task is confirmed.
    /// Answers how many tasks. What is no task stays; several letters of one task, as old consumers leave them, make one task.
    pub fn requeue(&self, queue: &str, wanted: &dyn Fn(&StoredDeadLetter) -> bool) -> Result<u64> {
        let mut sent = HashSet::new();
        self.visit_letters(queue, usize::MAX, |letter| {
            let Some(task) = letter.letter.task.as_ref().filter(|_| wanted(&letter)) else { return Ok(false) };
            if !sent.contains(&task.id) {
                self.revive(task, &letter.letter.body).map_err(|error| error.within(format!("requeue task {}", task.id)))?;
                sent.insert(task.id.clone());
            }
            Ok(true)
        })?;
        Ok(sent.len() as u64)
    }

    fn revive(&self, task: &Task, body: &[u8]) -> Result<()> {
        let now = SystemClock.now();
        let body = task.revived(body, now);
        let expires = Task::decode(&body, Some(&task.id), now)?.expire_at;
        let (id, priority) = (task.id.clone(), task.priority);
        let outgoing = TaskToPublish { id, body, priority, expiration: expiration(expires, now)?, packed: false };
        self.send(PublishRole::Push, &[publish::new_task(&outgoing, now)?]).map(drop)
    }

    /// Removes all dead letters of `queue` and answers how many.
    pub fn purge(&self, queue: &str) -> Result<u64> {
        if TaskLevel::named(queue).is_some() {
            return Err(Error::new(ErrorKind::InvalidArgument, format!("`{queue}` holds tasks, not dead letters")));
        }
        let link = self.connections.consumer()?;
        let channel = link.channel()?;
        link.request(channel.queue_purge(short(queue), QueuePurgeOptions::default())).map(u64::from)
    }

    /// Visits the letters that are there now, up to `limit`, and removes those for which `visit` answers true.
    fn visit_letters(&self, queue: &str, limit: usize, mut visit: impl FnMut(StoredDeadLetter) -> Result<bool>) -> Result<()> {
        let Some(mut scan) = QueueScan::begin(&self.connections, queue, Access::Shared)? else { return Ok(()) };
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        loop {
            let mut result = Ok(());
            scan.visit(limit, |_, delivery| match visit(self.read_letter(delivery)) {
                Ok(false) => Visit::Keep,
                Ok(true) => Visit::TakeAndPause,
                Err(error) => {
                    result = Err(error);
                    Visit::Pause
                }
            })?;
            let removed = std::mem::take(&mut scan.taken);
            removed.iter().try_for_each(|delivery| scan.ack(delivery))?;
            if removed.is_empty() {
                return result;
            }
        }
    }

    fn read_letter(&self, delivery: &Delivery) -> StoredDeadLetter {
        let properties = &delivery.properties;
        let packed = properties.content_encoding().as_ref().is_some_and(|encoding| encoding.as_str() == "gzip");
        let unpacked = if packed { unpack(&delivery.data, self.limit).ok() } else { None };
        let id = properties.message_id().as_ref().map(|id| id.as_str().to_owned());
        let letter = DeadLetter::read(unpacked.as_ref().unwrap_or(&delivery.data), id.as_deref(), SystemClock.now());
        let header = |key| message::header_text(properties, key);
        let reason = header(REASON).or_else(|| header("x-first-death-reason").filter(|_| letter.message.is_empty()));
        let task_id = letter.task.as_ref().map(|task| task.id.clone());
        StoredDeadLetter {
            id: task_id.unwrap_or_else(|| message::id_of(properties, &delivery.data)),
            reason: reason.unwrap_or_else(|| "failed".to_owned()),
            error: header(ERROR).unwrap_or_default(),
            raw: delivery.data.clone(),
            letter,
        }
    }
}
