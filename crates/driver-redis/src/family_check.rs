//! Checks a family that nobody configured against the keys on the server.
//!
//! think-queue v3.0.5 moved its keys from `queues:NAME` to `{queues:NAME}`. Without a configured family a worker assumes
//! the newer ones; beside an older application it would wait for ever, silently. So it checks once, when its queues are empty and
//! nothing shows that the default is right. A configured family is not checked: two of them may be used side by side.

use std::sync::atomic::{AtomicBool, Ordering};

use ferry_core::dialect::{Family, RedisKeys};
use ferry_core::{Error, ErrorKind, QueueName, Result};
use redis::{Value, cmd};

use crate::RedisBroker;
use crate::link::{Effect, RedisRequest};

/// Whether the family still has to be checked.
#[derive(Debug)]
pub struct FamilyCheck {
    open: AtomicBool,
}

impl FamilyCheck {
    /// Open for a default, settled for a configured family.
    pub fn new(open: bool) -> Self {
        Self { open: AtomicBool::new(open) }
    }

    /// Whether the check is still to be done.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// The family is right.
    pub fn settle(&self) {
        self.open.store(false, Ordering::Relaxed);
    }
}

impl RedisBroker {
    /// Called when all `queues` were found empty. An error when their jobs lie under the keys of an older family.
    pub(crate) fn check_family(&self, queues: &[QueueName]) -> Result<()> {
        if !self.family_check.is_open() {
            return Ok(());
        }
        for queue in queues {
            if let Some(family) = self.family_beside(queue) {
                return Err(self.other_family(queue, family));
            }
        }
        self.family_check.settle();
        Ok(())
    }

    /// The older family whose jobs wait under its own keys of `queue`, while ours were never used.
    fn family_beside(&self, queue: &QueueName) -> Option<Family> {
        let (ours, theirs) = (self.keys(queue), Family::Think3Legacy.redis_keys(queue));
        if ours == theirs || self.is_used(&ours)? {
            return None;
        }
        let ready = self.lookup(cmd("LINDEX").arg(&theirs.ready).arg(0));
        let delayed = || self.lookup(cmd("ZRANGE").arg(&theirs.delayed).arg(0).arg(0));
        let body = ready.and_then(first_text).or_else(|| delayed().and_then(first_text))?;
        // v1 and v2 name no limits in their payloads; v3 always does.
        let limits = body.windows(11).any(|window| window == b"\"maxTries\":");
        Some(if limits { Family::Think3Legacy } else { Family::Think1 })
    }

    fn is_used(&self, keys: &RedisKeys) -> Option<bool> {
        let exists = cmd("EXISTS").arg(&keys.ready).arg(&keys.delayed).arg(&keys.reserved).arg(&keys.failed).clone();
        self.lookup(&exists).map(|count| count != Value::Int(0))
    }

    /// The answer to a read. A refusal (rights, another type, another node of a cluster) counts as no answer: this read is only for
    /// advice, and the reserve before it was served.
    fn lookup(&self, command: &redis::Cmd) -> Option<Value> {
        let bytes = command.get_packed_command();
        let request = RedisRequest { bytes: &bytes, replies: 1, effect: Effect::Reads, doubt: "" };
        let answer = self.settle.exchange(&request).ok()?.pop()?;
        (!matches!(answer, Value::ServerError(_))).then_some(answer)
    }

    fn other_family(&self, queue: &QueueName, found: Family) -> Error {
        let (ours, theirs) = (self.keys(queue).ready, found.redis_keys(queue).ready);
        let context = format!(
            "Redis at {} has jobs under `{theirs}` and nothing under `{ours}`: they belong to the family `{}`, and this connection uses \
             `{}`, the default",
            self.config.address,
            found.name(),
            self.settings.family.name()
        );
        Error::new(ErrorKind::Config, context).with_advice(format!(
            "set `family` to `{}`, or write `family` => '{}' if those jobs belong to another application",
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
