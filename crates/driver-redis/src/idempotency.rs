//! `IdempotencyStore`: claims of work, under `{ferry}:once:*`, on the connection of the statuses.

use std::borrow::Cow;

use ferry_core::idempotency::{ClaimOutcome, ClaimTtl};
use ferry_core::{IdempotencyStore, Result};
use redis::{Value, cmd};

use crate::RedisBroker;
use crate::link::Effect;
use crate::reply::{bulks, text};
use crate::script::{self, Call, Script};

const CLAIM_IN_DOUBT: &str = "the work may or may not be claimed; if it is, the claim expires by itself";
const COMPLETE_IN_DOUBT: &str = "the work may or may not be marked as done; check with `isDone`";
const RELEASE_IN_DOUBT: &str = "the claim may or may not be released; if not, it expires by itself";
const FORGET_IN_DOUBT: &str = "the work may or may not be forgotten; calling again is safe";

fn once_key(key: &str) -> String {
    format!("{{ferry}}:once:{key}")
}

impl IdempotencyStore for RedisBroker {
    fn claim(&self, key: &str, token: &str, ttl: ClaimTtl) -> Result<ClaimOutcome> {
        let args = vec![number(ttl.lease), number(ttl.ttl)];
        let Value::Array(answer) =
            self.run_once_script(&script::CLAIM, key, Some(token), args, Effect::Repeatable, CLAIM_IN_DOUBT)?
        else {
            return Err(self.unexpected_answer());
        };
        let mut parts = answer.into_iter().map(|part| if let Value::BulkString(bytes) = part { Some(text(bytes)) } else { None });
        let (outcome, detail) = (parts.next().flatten(), parts.next().flatten());
        match outcome.as_deref() {
            Some("yours") => Ok(ClaimOutcome::Yours),
            Some("held") => Ok(ClaimOutcome::Held { left: detail.and_then(|left| left.parse().ok()).unwrap_or_default() }),
            Some("done") => Ok(ClaimOutcome::Done(detail)),
            _ => Err(self.unexpected_answer()),
        }
    }

    fn complete(&self, key: &str, token: &str, result: Option<&str>, ttl: u32) -> Result<bool> {
        let kept: &[u8] = if result.is_some() { b"1" } else { b"0" };
        let args = vec![number(ttl), Cow::Borrowed(kept), Cow::Borrowed(result.unwrap_or_default().as_bytes())];
        let answer = self.run_once_script(&script::COMPLETE, key, Some(token), args, Effect::Repeatable, COMPLETE_IN_DOUBT)?;
        Ok(answer == Value::Int(1))
    }

    fn release(&self, key: &str, token: &str) -> Result<bool> {
        // Not repeated when the answer is lost: the second would deny what the first did.
        let answer = self.run_once_script(&script::RELEASE, key, Some(token), Vec::new(), Effect::Once, RELEASE_IN_DOUBT)?;
        Ok(answer == Value::Int(1))
    }

    fn is_done(&self, key: &str) -> Result<bool> {
        let command = cmd("HMGET").arg(once_key(key)).arg("done").arg("expires_at").clone();
        let answer = self.status.read(&[command])?.pop();
        // Nils where the key is unknown.
        let Some([done, expires]) = answer.and_then(bulks).and_then(|parts| <[Vec<u8>; 2]>::try_from(parts).ok()) else {
            return Ok(false);
        };
        let expires = text(expires).parse::<i64>().unwrap_or_default();
        Ok(done == b"1" && self.settings.now.is_none_or(|now| expires > now * 1000))
    }

    fn forget(&self, key: &str) -> Result<bool> {
        let answer = self.run_once_script(&script::FORGET, key, None, Vec::new(), Effect::Once, FORGET_IN_DOUBT)?;
        Ok(answer == Value::Int(1))
    }
}

impl RedisBroker {
    /// Runs a script about one piece of work. Its first arguments are now, and the token where it takes one.
    fn run_once_script<'a>(
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
        let args = std::iter::once(self.now_ms_argument()).chain(token).chain(rest).collect();
        let call = Call { script, keys: vec![&key], args };
        let answer = script::run(&self.status, vec![call], effect, doubt)?.pop();
        answer.ok_or_else(|| self.unexpected_answer())
    }
}

/// An argument of a script.
fn number(number: u32) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}
