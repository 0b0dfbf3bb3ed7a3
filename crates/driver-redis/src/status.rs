//! `StatusStore`: statuses of jobs, under `{ferry}:*`: one slot, and no key that think-queue reads.
//!
//! They have a connection of their own, so that they delay neither a settlement nor a push.

use std::borrow::Cow;

use ferry_core::broker::PushedWithStatus;
use ferry_core::status::{FieldPatch, JobRef, State, Status, StatusChange, StatusFields, StatusUpdate};
use ferry_core::{NewJob, QueueName, Result, StatusStore};
use redis::{Value, cmd};
use serde_json::json;

use crate::RedisBroker;
use crate::link::Effect;
use crate::packing;
use crate::push;
use crate::reply::{self, bulks, integer, pairs, text};
use crate::script::{self, Call, Operation};

const IN_DOUBT: &str = "the statuses may or may not be written";

/// The most updates in one script: it runs for a fraction of a millisecond, and holds up the server so long.
const SCRIPT_UPDATES: usize = 50;
/// The most scripts in one write.
const SCRIPTS: usize = 10;

/// The key of each update.
pub fn status_keys(updates: &[StatusUpdate]) -> Vec<String> {
    updates.iter().map(|update| status_key(&update.id)).collect()
}

fn status_key(id: &str) -> String {
    format!("{{ferry}}:status:{id}")
}

impl StatusStore for RedisBroker {
    fn update(&self, updates: &[StatusUpdate]) -> Result<()> {
        for chunk in updates.chunks(SCRIPT_UPDATES * SCRIPTS) {
            let keys = status_keys(chunk);
            script::run(&self.status, self.update_calls(chunk, &keys).collect(), Effect::Repeatable, IN_DOUBT)?;
        }
        Ok(())
    }

    fn update_and_push(&self, updates: &[StatusUpdate], queue: &QueueName, jobs: &[NewJob<'_>]) -> Option<PushedWithStatus> {
        (updates.len() == jobs.len()).then(|| push::push_with_status(self, updates, queue, jobs))
    }

    fn find(&self, id: &str) -> Result<Option<Status>> {
        // Without a fixed now the key itself expires in time.
        let key = status_key(id);
        let commands = [cmd("HGETALL").arg(&key).clone(), cmd("PTTL").arg(&key).clone(), cmd("TIME")];
        let mut answers = self.status.read(&commands)?.into_iter();
        let (fields, left, time) = (answers.next().and_then(pairs), answers.next().and_then(integer), answers.next());
        let mut fields: StatusFields =
            fields.ok_or_else(|| self.unexpected_answer())?.into_iter().map(|(n, v)| (text(n), text(v))).collect();
        if let (Some(left), Some(now)) = (left, time.and_then(milliseconds)) {
            fill_queued_at(&mut fields, now + left);
        }
        let expires = fields.get("expires_at").and_then(|expires| expires.parse::<i64>().ok()).unwrap_or_default();
        let gone = self.settings.now.is_some_and(|now| expires <= now * 1000);
        Ok(if gone { None } else { Status::of(id, &fields) })
    }
}

impl RedisBroker {
    /// What writes `updates`, whose keys are `keys`, before their jobs are pushed. Nothing can be known of a job with a new id, so that takes
    /// no script, which would cost the server three times as much.
    pub fn queued_operations<'a>(&self, updates: &'a [StatusUpdate], keys: &'a [String]) -> Vec<Operation<'a>> {
        let are_new = updates.iter().all(|update| update.change == StatusChange::Queued);
        if self.settings.now.is_some() || !are_new {
            return self.update_calls(updates, keys).map(Operation::Call).collect();
        }
        let mut commands = Vec::with_capacity(updates.len() * 256);
        updates.iter().zip(keys).for_each(|(update, key)| pack_queued(update, key, &mut commands));
        vec![Operation::Packed { commands, replies: 2 * updates.len() }]
    }

    /// Calls that apply `updates`, whose keys are `keys`.
    pub fn update_calls<'a>(&self, updates: &'a [StatusUpdate], keys: &'a [String]) -> impl Iterator<Item = Call<'a>> {
        let parts = updates.chunks(SCRIPT_UPDATES).zip(keys.chunks(SCRIPT_UPDATES));
        parts.map(|(updates, keys)| {
            let mut args = vec![self.now_ms_argument()];
            args.extend(updates.iter().map(argument));
            Call { script: &script::UPDATE, keys: keys.iter().map(String::as_str).collect(), args }
        })
    }
}

fn pack_queued(update: &StatusUpdate, key: &str, commands: &mut Vec<u8>) {
    let JobRef { job, queue, connection } = &update.job;
    let (ttl, milliseconds) = (update.ttl.to_string(), (u64::from(update.ttl) * 1000).to_string());
    let fields = ["state", State::Queued.name(), "job", job, "queue", queue, "connection", connection, "ttl", &ttl];
    packing::begin(commands, fields.len() + 2);
    [&["HSET", key][..], &fields].concat().iter().for_each(|word| packing::word(commands, word.as_bytes()));
    packing::command(commands, &[b"PEXPIRE", key.as_bytes(), milliseconds.as_bytes()]);
}

/// What was queued with its job has no times of its own. The key goes `ttl` seconds after it was written, by the clock of the server.
fn fill_queued_at(fields: &mut StatusFields, expires: i64) {
    let ttl = fields.get("ttl").and_then(|ttl| ttl.parse::<i64>().ok());
    if let Some(ttl) = ttl.filter(|_| !fields.contains_key("queued_at")) {
        let queued_at = (expires - ttl * 1000).to_string();
        fields.entry("updated_at".to_owned()).or_insert_with(|| queued_at.clone());
        fields.insert("queued_at".to_owned(), queued_at);
    }
}

/// The answer of `TIME`, in milliseconds.
fn milliseconds(time: Value) -> Option<i64> {
    let parts = bulks(time)?;
    Some(reply::number(parts.first()?) * 1000 + reply::number(parts.get(1)?) / 1000)
}

/// An update as the script reads it, in one argument.
fn argument(update: &StatusUpdate) -> Cow<'static, [u8]> {
    let FieldPatch { removes, set, stamped, dropped } = update.patch();
    let set: Vec<&str> = set.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
    let rule = update.precondition().name();
    let text = json!([rule, update.attempts(), update.ttl, removes, stamped, dropped, set]).to_string();
    Cow::Owned(text.into_bytes())
}

/// An argument of a script.
pub fn number(number: u32) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}
