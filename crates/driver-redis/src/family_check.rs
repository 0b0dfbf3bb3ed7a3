//! Whether a family that nobody configured fits what lies on the server.
//!
//! think-queue v3.0.5 moved its keys from `queues:NAME` to `{queues:NAME}`. A worker that was told nothing guesses the newer
//! ones; beside an older application it would wait for ever, in silence. So it looks once, when its queues are empty and nothing
//! shows that the guess is right. A family that is configured is not doubted: two of them may well live side by side.

use std::sync::atomic::{AtomicBool, Ordering};

use ferry_core::dialect::{Family, RedisKeys};
use ferry_core::{Error, ErrorKind, QueueName, Result};
use redis::{Value, cmd};

use crate::RedisBroker;
use crate::link::{Effect, RedisRequest};

/// What is known of the family.
#[derive(Debug)]
pub struct FamilyCheck {
    open: AtomicBool,
}

impl FamilyCheck {
    /// A guess to be checked, or a certainty.
    pub fn new(open: bool) -> Self {
        Self { open: AtomicBool::new(open) }
    }

    /// Whether nothing has shown yet that it is right.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Settles it.
    pub fn settle(&self) {
        self.open.store(false, Ordering::Relaxed);
    }
}

impl RedisBroker {
    /// Called when all `queues` were found empty. An error when their jobs lie under the keys of an older family.
    pub(crate) fn doubt_family(&self, queues: &[QueueName]) -> Result<()> {
        if !self.guess.is_open() {
            return Ok(());
        }
        for queue in queues {
            if let Some(family) = self.family_beside(queue) {
                return Err(self.other_family(queue, family));
            }
        }
        self.guess.settle();
        Ok(())
    }

    /// The older family whose jobs wait under its own keys of `queue`, while ours were never used.
    fn family_beside(&self, queue: &QueueName) -> Option<Family> {
        let (ours, theirs) = (self.keys(queue), Family::Think3Legacy.redis_keys(queue));
        if ours == theirs || self.is_used(&ours)? {
            return None;
        }
        let ready = self.ask(cmd("LINDEX").arg(&theirs.ready).arg(0));
        let delayed = || self.ask(cmd("ZRANGE").arg(&theirs.delayed).arg(0).arg(0));
        let body = ready.and_then(first_text).or_else(|| delayed().and_then(first_text))?;
        // v1 and v2 name no limits in their payloads; v3 always does.
        let limits = body.windows(11).any(|window| window == b"\"maxTries\":");
        Some(if limits { Family::Think3Legacy } else { Family::Think1 })
    }

    fn is_used(&self, keys: &RedisKeys) -> Option<bool> {
        let exists = cmd("EXISTS").arg(&keys.ready).arg(&keys.delayed).arg(&keys.reserved).arg(&keys.failed).clone();
        self.ask(&exists).map(|count| count != Value::Int(0))
    }

    /// The answer to a read. A refusal (rights, another type, another node of a cluster) is no answer: the look that went before
    /// was served, and this one is only for advice.
    fn ask(&self, command: &redis::Cmd) -> Option<Value> {
        let bytes = command.get_packed_command();
        let request = RedisRequest { bytes: &bytes, replies: 1, effect: Effect::Reads, doubt: "" };
        let answer = self.settle.exchange(&self.config, &request).ok()?.pop()?;
        (!matches!(answer, Value::ServerError(_))).then_some(answer)
    }

    fn other_family(&self, queue: &QueueName, found: Family) -> Error {
        let (ours, theirs) = (self.keys(queue).ready, found.redis_keys(queue).ready);
        let context = format!(
            "Redis at {} has jobs under `{theirs}` and nothing under `{ours}`: they are of the family `{}`, and this connection is \
             of `{}`, the default",
            self.config.address,
            found.name(),
            self.settings.family.name()
        );
        Error::new(ErrorKind::Config, context).with_advice(format!(
            "set `family` to `{}`, or write `family` => '{}' if those jobs are somebody else's",
            found.name(),
            self.settings.family.name()
        ))
    }
}

fn first_text(answer: Value) -> Option<Vec<u8>> {
    match answer {
        Value::BulkString(bytes) => Some(bytes),
        Value::Array(items) => items.into_iter().next().and_then(first_text),
        _ => None,
    }
}
