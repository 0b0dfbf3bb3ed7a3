//! Dead letters: looking at them, publishing their tasks again, removing them.

use std::collections::{HashMap, HashSet};

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::task::{DeadLetter, LetterFacts, LetterSelection, Task, TaskLevel, unpack};
use ferry_core::{Error, ErrorKind, Result};
use lapin::message::Delivery;
use lapin::options::QueuePurgeOptions;

use super::Tasks;
use super::publish::{self, ERROR, REASON};
use crate::connections::PublishRole;
use crate::message;
use crate::names::short;
use crate::publisher::first_error;
use crate::queue_scan::{Access, QueueScan, Visit};
use crate::route::Route;

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

/// So many letters are read before those among them that were selected are published.
const CHUNK: u64 = 512;

/// Writes a unix second as local time, `Y-m-d H:i:s`.
pub type Stamp<'a> = &'a dyn Fn(i64) -> String;

/// What became of the letters whose tasks were to be published again.
#[derive(Debug, Default)]
pub struct Requeued {
    /// How many tasks were published.
    pub tasks: u64,
    /// Ids of tasks that no queue accepted, and why. Their letters stay.
    pub refused: Vec<(String, Error)>,
}

/// How many refused tasks an error names.
const NAMED: usize = 3;

impl Requeued {
    /// How many tasks were published; an error when some were refused, which says how many were not.
    pub fn complete(self) -> Result<u64> {
        let Self { tasks, refused } = self;
        let count = refused.len();
        let names: Vec<String> = refused.iter().take(NAMED).map(|(id, why)| format!("{id}: {why}")).collect();
        match count {
            0 => Ok(tasks),
            _ => Err(Error::new(
                ErrorKind::Refused,
                format!("{tasks} tasks were published again, {count} were refused and stay: {}", names.join("; ")),
            )),
        }
    }
}

impl StoredDeadLetter {
    fn facts(&self) -> LetterFacts<'_> {
        let kind = self.letter.task.as_ref().map(|task| task.kind.as_str());
        LetterFacts { id: &self.id, kind, reason: &self.reason, failed_at: &self.letter.failed_at }
    }
}

impl Tasks {
    /// The oldest selected dead letters of `queue`, up to `limit`.
    pub fn letters(
        &self,
        queue: &str,
        selection: &LetterSelection,
        limit: usize,
        stamp: Stamp<'_>,
    ) -> Result<Vec<StoredDeadLetter>> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        if let Some(mut scan) = QueueScan::begin(&self.connections, queue, Access::Shared)? {
            scan.visit(u64::MAX, |_, delivery| {
                found.extend(self.selected(delivery, selection, stamp));
                if found.len() < limit { Visit::Keep } else { Visit::Pause }
            })?;
            scan.finish(&self.connections, 0)?;
        }
        Ok(found)
    }

    /// The dead letter of the task with this id. Letters behind it are not read.
    pub fn letter(&self, queue: &str, id: &str, stamp: Stamp<'_>) -> Result<Option<StoredDeadLetter>> {
        Ok(self.letters(queue, &LetterSelection::ids([id.to_owned()]), 1, stamp)?.pop())
    }

    /// Publishes the tasks of the selected letters again, with no failed execution, and removes a letter when its task is confirmed.
    /// What is no task stays; several letters of one task, as old consumers leave them, make one task. A task that no queue accepts
    /// stays and does not stop those behind it. After an error the letters that were not confirmed stay. `before` gets the tasks that are
    /// published next.
    pub fn requeue(
        &self,
        queue: &str,
        selection: &LetterSelection,
        stamp: Stamp<'_>,
        before: &mut dyn FnMut(&[&Task]),
    ) -> Result<Requeued> {
        let mut requeue = Requeue { tasks: self, outcomes: HashMap::new(), requeued: Requeued::default() };
        let Some(mut scan) = QueueScan::begin(&self.connections, queue, Access::Shared)? else { return Ok(requeue.requeued) };
        let mut removed = 0;
        loop {
            let (start, mut batch) = (scan.position(), Vec::new());
            scan.visit(start.saturating_add(CHUNK), |_, delivery| {
                if let Some(StoredDeadLetter { letter: DeadLetter { task: Some(task), body, .. }, .. }) =
                    self.selected(delivery, selection, stamp)
                {
                    batch.push(Candidate { task, body, tag: delivery.delivery_tag });
                }
                Visit::Keep
            })?;
            let read = scan.position() - start;
            if read == 0 {
                scan.finish(&self.connections, removed)?;
                return Ok(requeue.requeued);
            }
            let published = requeue.publish(&batch, before);
            let settled = requeue.settled(&batch);
            scan.ack_all(&settled)?;
            removed += settled.len() as u64;
            published.map_err(|error| error.within(format!("{} tasks were published again before", requeue.requeued.tasks)))?;
            if (settled.len() as u64) < read {
                scan.change_channel()?;
            }
        }
    }

    fn selected(&self, delivery: &Delivery, selection: &LetterSelection, stamp: Stamp<'_>) -> Option<StoredDeadLetter> {
        let is_plain = delivery.properties.content_encoding().is_none() && delivery.properties.message_id().is_none();
        if is_plain && !selection.may_match(&delivery.data) {
            return None;
        }
        Some(self.read_letter(delivery, stamp)).filter(|found| selection.matches(found.facts()))
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

    fn read_letter(&self, delivery: &Delivery, stamp: Stamp<'_>) -> StoredDeadLetter {
        let properties = &delivery.properties;
        let packed = properties.content_encoding().as_ref().is_some_and(|encoding| encoding.as_str() == "gzip");
        let unpacked = if packed { unpack(&delivery.data, self.limit).ok() } else { None };
        let id = properties.message_id().as_ref().map(|id| id.as_str().to_owned());
        let mut letter = DeadLetter::read(unpacked.as_ref().unwrap_or(&delivery.data), id.as_deref(), SystemClock.now());
        if letter.failed_at.is_empty() {
            letter.failed_at = message::first_death(properties).map(stamp).unwrap_or_default();
        }
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

/// A letter whose task is to be published again.
struct Candidate {
    task: Task,
    body: Vec<u8>,
    tag: u64,
}

/// One call of [`Tasks::requeue`].
struct Requeue<'a> {
    tasks: &'a Tasks,
    /// Whether the task with this id was confirmed; those that no queue accepted are false.
    outcomes: HashMap<String, bool>,
    requeued: Requeued,
}

impl Requeue<'_> {
    /// Publishes each task of a batch that was not published before. An error means that nothing more can be published.
    fn publish(&mut self, batch: &[Candidate], before: &mut dyn FnMut(&[&Task])) -> Result<()> {
        let now = SystemClock.now();
        let mut seen = HashSet::new();
        let first: Vec<&Candidate> =
            batch.iter().filter(|one| !self.outcomes.contains_key(&one.task.id) && seen.insert(&one.task.id)).collect();
        let revived = |one: &&Candidate| {
            let (body, expire_at) = one.task.revived(&one.body, now);
            publish::revived(&one.task, body, expire_at, now)
        };
        let routes: Vec<Route<'_>> = first.iter().map(revived).collect::<Result<_>>()?;
        before(&first.iter().map(|one| &one.task).collect::<Vec<&Task>>());
        let outcomes = self.tasks.connections.publish(PublishRole::Push, &routes.iter().collect::<Vec<_>>())?;
        let mut broken = Ok(());
        for (one, outcome) in first.iter().zip(&outcomes) {
            let Some(error) = first_error(std::slice::from_ref(outcome)) else {
                self.outcomes.insert(one.task.id.clone(), true);
                self.requeued.tasks += 1;
                continue;
            };
            if outcome.is_returned() || outcome.is_nacked() {
                self.outcomes.insert(one.task.id.clone(), false);
                self.requeued.refused.push((one.task.id.clone(), error));
            } else if broken.is_ok() {
                broken = Err(error);
            }
        }
        broken
    }

    /// The tags of the letters whose tasks are confirmed.
    fn settled(&self, batch: &[Candidate]) -> Vec<u64> {
        batch.iter().filter(|one| self.outcomes.get(&one.task.id) == Some(&true)).map(|one| one.tag).collect()
    }
}
