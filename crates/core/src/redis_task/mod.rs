//! Plain Redis tasks: bodies on bare lists that name a class with `handle()`, as PHP shops copy them from article to article.
//!
//! The bytes are recorded in `fixtures/redis-task.json`; `docs/decisions/0015-plain-redis-tasks.md` says what is kept and what is not.

mod body;
mod date;
mod failed;

pub use body::{DEFAULT_MAX_ATTEMPTS, TaskBody, TaskCounters, counters, decode, task_id, with_delay};
pub use failed::{FailedRecord, read_failed};

use crate::dialect::RedisKeys;
use crate::error::{Error, ErrorKind, Result};
use crate::queue::QueueName;

/// The queue of tasks that name none.
pub const DEFAULT_QUEUE: &str = "default_queue";

const DELAYED: &str = "delayed_queue:";
const FAILED: &str = "failed_queue:";
/// Ours: what was taken and is not settled. Nothing of ours is written into a key that the original reads but tasks and failure records.
const RESERVED: &str = ":ferry:reserved";

/// The keys of a queue (`stats`, `pop-moves-due`). They have no hash tag in common, so a cluster cannot hold them.
pub fn keys(queue: &QueueName) -> RedisKeys {
    let ready = queue.as_str().to_owned();
    let [delayed, failed] = [DELAYED, FAILED].map(|prefix| [prefix, &ready].concat());
    RedisKeys { delayed, reserved: [&ready, RESERVED].concat(), failed, ready }
}

/// A queue must not be called like a key of another queue: this format has no prefix that tells them apart.
pub fn check_queue(queue: &QueueName) -> Result<()> {
    let name = queue.as_str();
    let taken = if name.ends_with(RESERVED) {
        format!("ends in `{RESERVED}`, where Ferry keeps the tasks that were taken from a queue")
    } else if let Some(prefix) = [DELAYED, FAILED].into_iter().find(|prefix| name.starts_with(prefix)) {
        format!("begins with `{prefix}`, which is a key of another queue")
    } else if name.starts_with("{ferry}:") {
        "begins with `{ferry}:`, where the flags of the workers are".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidArgument, format!("the queue name `{name}` {taken}")).with_advice("choose another name"))
}

#[cfg(test)]
mod tests;
