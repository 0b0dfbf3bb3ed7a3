//! `StatusStore`: statuses of jobs, under `{ferry}:*`: one slot, and no key that think-queue reads.
//!
//! They have a connection of their own, so that they delay neither a settlement nor a push.

use std::borrow::Cow;

use ferry_core::status::{Status, StatusFields, StatusUpdate};
use ferry_core::{Result, StatusStore};
use redis::cmd;

use crate::RedisBroker;
use crate::link::Effect;
use crate::reply::{pairs, text};
use crate::script::{self, Call};

const IN_DOUBT: &str = "the statuses may or may not be written";

/// The most updates in one write.
const CHUNK: usize = 500;

fn status_key(id: &str) -> String {
    format!("{{ferry}}:status:{id}")
}

impl StatusStore for RedisBroker {
    fn update(&self, updates: &[StatusUpdate]) -> Result<()> {
        for chunk in updates.chunks(CHUNK) {
            let keys: Vec<String> = chunk.iter().map(|update| status_key(&update.id)).collect();
            let call = |(update, key)| Call { script: &script::UPDATE, keys: vec![key], args: self.update_arguments(update) };
            let calls: Vec<Call<'_>> = chunk.iter().zip(keys.iter().map(String::as_str)).map(call).collect();
            script::run(&self.status, calls, Effect::Repeatable, IN_DOUBT)?;
        }
        Ok(())
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
    fn update_arguments(&self, update: &StatusUpdate) -> Vec<Cow<'static, [u8]>> {
        let patch = update.patch();
        let removes: &[u8] = if patch.removes { b"1" } else { b"0" };
        let mut args = vec![
            self.now_ms_argument(),
            Cow::Borrowed(update.precondition().name().as_bytes()),
            number(update.attempts()),
            number(update.ttl),
            Cow::Borrowed(removes),
            Cow::Owned(patch.stamped.len().to_string().into_bytes()),
            Cow::Owned(patch.dropped.len().to_string().into_bytes()),
        ];
        args.extend(patch.stamped.iter().chain(&patch.dropped).map(|name| Cow::Borrowed(name.as_bytes())));
        for (name, value) in patch.set {
            args.extend([Cow::Borrowed(name.as_bytes()), Cow::Owned(value.into_bytes())]);
        }
        args
    }
}

/// An argument of a script.
pub fn number(number: u32) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}
