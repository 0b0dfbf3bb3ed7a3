//! Statuses of jobs, under `{ferry}:*`: one slot, and no key that think-queue reads.
//!
//! A link of their own: a worker's words about its jobs delay no settlement, and a producer's no push.

use std::borrow::Cow;

use ferry_core::status::{Status, StatusFields, StatusUpdate};
use ferry_core::{Result, StatusStore};
use redis::cmd;

use crate::RedisBroker;
use crate::control::pairs;
use crate::link::{Effect, RedisRequest, accepted};
use crate::script::{self, Call};

const NOTE_IN_DOUBT: &str = "the statuses may or may not be written";

/// So many go in one write.
const CHUNK: usize = 500;

fn status_key(id: &str) -> String {
    format!("{{ferry}}:status:{id}")
}

impl StatusStore for RedisBroker {
    fn update(&self, updates: &[StatusUpdate]) -> Result<()> {
        for chunk in updates.chunks(CHUNK) {
            let keys: Vec<String> = chunk.iter().map(|update| status_key(&update.id)).collect();
            let call = |(update, key)| Call { script: &script::NOTE, keys: vec![key], args: self.update_arguments(update) };
            let calls: Vec<Call<'_>> = chunk.iter().zip(keys.iter().map(String::as_str)).map(call).collect();
            script::run(&self.status, &self.config, &calls, Effect::Repeatable, NOTE_IN_DOUBT)?;
        }
        Ok(())
    }

    fn find(&self, id: &str) -> Result<Option<Status>> {
        // Without a fixed now the key itself goes in time.
        let bytes = cmd("HGETALL").arg(status_key(id)).get_packed_command();
        let request = RedisRequest { bytes: &bytes, replies: 1, effect: Effect::Reads, doubt: "" };
        let fields = accepted(self.status.exchange(&self.config, &request)?, &self.config)?.pop().and_then(pairs);
        let fields: StatusFields =
            fields.ok_or_else(|| self.odd_answer())?.into_iter().map(|(n, v)| (text(n), text(v))).collect();
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
            self.millisecond_argument(),
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

    pub(crate) fn millisecond_argument(&self) -> Cow<'static, [u8]> {
        crate::number_or_empty(self.settings.now.map(|now| now * 1000))
    }
}

pub(crate) fn number(number: u32) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}

pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
