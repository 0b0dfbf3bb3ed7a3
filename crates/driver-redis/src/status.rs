//! `StatusStore`: statuses of jobs, under `{ferry}:*`: one slot, and no key that think-queue reads.
//!
//! They have a connection of their own, so that they delay neither a settlement nor a push.

use std::borrow::Cow;

use ferry_core::broker::PushedWithStatus;
use ferry_core::status::{Status, StatusFields, StatusUpdate};
use ferry_core::{NewJob, QueueName, Result, StatusStore};
use redis::cmd;

use crate::RedisBroker;
use crate::link::Effect;
use crate::push;
use crate::reply::{pairs, text};
use crate::script::{self, Call};

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
        let fields = self.status.read(&[cmd("HGETALL").arg(status_key(id)).clone()])?.pop().and_then(pairs);
        let fields: StatusFields =
            fields.ok_or_else(|| self.unexpected_answer())?.into_iter().map(|(n, v)| (text(n), text(v))).collect();
        let expires = fields.get("expires_at").and_then(|expires| expires.parse::<i64>().ok()).unwrap_or_default();
        let gone = self.settings.now.is_some_and(|now| expires <= now * 1000);
        Ok(if gone { None } else { Status::of(id, &fields) })
    }
}

impl RedisBroker {
    /// Calls that apply `updates`, whose keys are `keys`.
    pub fn update_calls<'a>(&self, updates: &'a [StatusUpdate], keys: &'a [String]) -> impl Iterator<Item = Call<'a>> {
        let parts = updates.chunks(SCRIPT_UPDATES).zip(keys.chunks(SCRIPT_UPDATES));
        parts.map(|(updates, keys)| {
            let mut args = vec![self.now_ms_argument()];
            updates.iter().for_each(|update| push_arguments(update, &mut args));
            Call { script: &script::UPDATE, keys: keys.iter().map(String::as_str).collect(), args }
        })
    }
}

fn push_arguments<'a>(update: &StatusUpdate, args: &mut Vec<Cow<'a, [u8]>>) {
    let patch = update.patch();
    let count = |length: usize| Cow::Owned(length.to_string().into_bytes());
    args.extend([
        Cow::Borrowed(update.precondition().name().as_bytes()),
        number(update.attempts()),
        number(update.ttl),
        Cow::Borrowed(if patch.removes { &b"1"[..] } else { b"0" }),
        count(patch.stamped.len()),
        count(patch.dropped.len()),
        count(patch.set.len()),
    ]);
    args.extend(patch.stamped.iter().chain(&patch.dropped).map(|name| Cow::Borrowed(name.as_bytes())));
    for (name, value) in patch.set {
        args.extend([Cow::Borrowed(name.as_bytes()), Cow::Owned(value.into_bytes())]);
    }
}

/// An argument of a script.
pub fn number(number: u32) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}
