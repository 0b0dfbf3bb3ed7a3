//! Statuses of jobs and claims of work, under `{ferry}:*`: one slot, and no key that think-queue reads.
//!
//! A link of their own: a worker's words about its jobs delay no settlement, and a producer's no push.

use std::borrow::Cow;

use ferry_core::Result;
use ferry_core::ledger::{ClaimOutcome, ClaimTtl, Ledger, Status, StatusFields, StatusUpdate};
use redis::{Value, cmd};

use crate::RedisBroker;
use crate::admin::bulks;
use crate::control::pairs;
use crate::link::{Effect, RedisRequest, accepted};
use crate::script::{self, Call, Script};

const NOTE_IN_DOUBT: &str = "the statuses may or may not be written";
const CLAIM_IN_DOUBT: &str = "the work may or may not be claimed; if it is, the claim lapses by itself";
const COMPLETE_IN_DOUBT: &str = "the work may or may not be marked as done; `isDone` tells";
const RELEASE_IN_DOUBT: &str = "the claim may or may not be given up; if not, it lapses by itself";
const FORGET_IN_DOUBT: &str = "the work may or may not be forgotten; asking again is safe";

/// So many go in one write.
const CHUNK: usize = 500;

fn status_key(id: &str) -> String {
    format!("{{ferry}}:status:{id}")
}

fn once_key(key: &str) -> String {
    format!("{{ferry}}:once:{key}")
}

impl Ledger for RedisBroker {
    fn note(&self, notes: &[StatusUpdate]) -> Result<()> {
        for chunk in notes.chunks(CHUNK) {
            let keys: Vec<String> = chunk.iter().map(|note| status_key(&note.id)).collect();
            let call = |(note, key)| Call { script: &script::NOTE, keys: vec![key], args: self.note_arguments(note) };
            let calls: Vec<Call<'_>> = chunk.iter().zip(keys.iter().map(String::as_str)).map(call).collect();
            script::run(&self.ledger, &self.config, &calls, Effect::Repeatable, NOTE_IN_DOUBT)?;
        }
        Ok(())
    }

    fn status(&self, id: &str) -> Result<Option<Status>> {
        // Without a fixed now the key itself goes in time.
        let bytes = cmd("HGETALL").arg(status_key(id)).get_packed_command();
        let request = RedisRequest { bytes: &bytes, replies: 1, effect: Effect::Reads, doubt: "" };
        let fields = accepted(self.ledger.exchange(&self.config, &request)?, &self.config)?.pop().and_then(pairs);
        let fields: StatusFields =
            fields.ok_or_else(|| self.odd_answer())?.into_iter().map(|(n, v)| (text(n), text(v))).collect();
        let expires = fields.get("expires_at").and_then(|expires| expires.parse::<i64>().ok()).unwrap_or_default();
        let gone = self.settings.now.is_some_and(|now| expires <= now * 1000);
        Ok(if gone { None } else { Status::of(id, &fields) })
    }

    fn claim(&self, key: &str, token: &str, terms: ClaimTtl) -> Result<ClaimOutcome> {
        let args = vec![number(terms.lease), number(terms.ttl)];
        let Value::Array(answer) = self.once(&script::CLAIM, key, Some(token), args, Effect::Repeatable, CLAIM_IN_DOUBT)? else {
            return Err(self.odd_answer());
        };
        let mut words = answer.into_iter().map(|word| if let Value::BulkString(bytes) = word { Some(text(bytes)) } else { None });
        let (word, detail) = (words.next().flatten(), words.next().flatten());
        match word.as_deref() {
            Some("yours") => Ok(ClaimOutcome::Yours),
            Some("held") => Ok(ClaimOutcome::Held { left: detail.and_then(|left| left.parse().ok()).unwrap_or_default() }),
            Some("done") => Ok(ClaimOutcome::Done(detail)),
            _ => Err(self.odd_answer()),
        }
    }

    fn complete(&self, key: &str, token: &str, result: Option<&str>, ttl: u32) -> Result<bool> {
        let kept: &[u8] = if result.is_some() { b"1" } else { b"0" };
        let args = vec![number(ttl), Cow::Borrowed(kept), Cow::Borrowed(result.unwrap_or_default().as_bytes())];
        let answer = self.once(&script::COMPLETE, key, Some(token), args, Effect::Repeatable, COMPLETE_IN_DOUBT)?;
        Ok(answer == Value::Int(1))
    }

    fn release(&self, key: &str, token: &str) -> Result<bool> {
        // Not repeated when the answer is lost: the second would deny what the first did.
        let answer = self.once(&script::RELEASE, key, Some(token), Vec::new(), Effect::Once, RELEASE_IN_DOUBT)?;
        Ok(answer == Value::Int(1))
    }

    fn is_done(&self, key: &str) -> Result<bool> {
        let bytes = cmd("HMGET").arg(once_key(key)).arg("done").arg("expires_at").get_packed_command();
        let request = RedisRequest { bytes: &bytes, replies: 1, effect: Effect::Reads, doubt: "" };
        let answer = accepted(self.ledger.exchange(&self.config, &request)?, &self.config)?.pop();
        // Nils where nothing is known.
        let Some([done, expires]) = answer.and_then(bulks).and_then(|words| <[Vec<u8>; 2]>::try_from(words).ok()) else {
            return Ok(false);
        };
        let expires = text(expires).parse::<i64>().unwrap_or_default();
        Ok(done == b"1" && self.settings.now.is_none_or(|now| expires > now * 1000))
    }

    fn forget(&self, key: &str) -> Result<bool> {
        let answer = self.once(&script::FORGET, key, None, Vec::new(), Effect::Once, FORGET_IN_DOUBT)?;
        Ok(answer == Value::Int(1))
    }
}

impl RedisBroker {
    fn note_arguments(&self, note: &StatusUpdate) -> Vec<Cow<'static, [u8]>> {
        let edit = note.edit();
        let removes: &[u8] = if edit.removes { b"1" } else { b"0" };
        let mut args = vec![
            self.millisecond_argument(),
            Cow::Borrowed(note.rule().name().as_bytes()),
            number(note.attempts()),
            number(note.ttl),
            Cow::Borrowed(removes),
            Cow::Owned(edit.stamped.len().to_string().into_bytes()),
            Cow::Owned(edit.dropped.len().to_string().into_bytes()),
        ];
        args.extend(edit.stamped.iter().chain(&edit.dropped).map(|name| Cow::Borrowed(name.as_bytes())));
        for (name, value) in edit.set {
            args.extend([Cow::Borrowed(name.as_bytes()), Cow::Owned(value.into_bytes())]);
        }
        args
    }

    /// Runs a script about one piece of work: now and the token come first, where it wants one.
    fn once<'a>(
        &self,
        script: &'static Script,
        key: &str,
        token: Option<&'a str>,
        rest: Vec<Cow<'a, [u8]>>,
        effect: Effect,
        doubt: &str,
    ) -> Result<Value> {
        let key = once_key(key);
        let token = token.map(|token| Cow::Borrowed(token.as_bytes()));
        let args = std::iter::once(self.millisecond_argument()).chain(token).chain(rest).collect();
        let call = Call { script, keys: vec![&key], args };
        let answer = script::run(&self.ledger, &self.config, &[call], effect, doubt)?.pop();
        answer.ok_or_else(|| self.odd_answer())
    }

    fn millisecond_argument(&self) -> Cow<'static, [u8]> {
        crate::number_or_empty(self.settings.now.map(|now| now * 1000))
    }
}

fn number(number: u32) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
