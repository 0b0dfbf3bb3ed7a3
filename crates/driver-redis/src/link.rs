//! A lane: one lazily opened link behind a mutex, and the rules for what happens when it breaks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ferry_core::config::RedisConfig;
use ferry_core::{Error, ErrorKind, Result};
use redis::Value;

use crate::refusal;
use crate::transport::{Broken, RedisSocket};

/// What a request does on the server, which decides what its lost reply means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It only reads: repeated after any loss.
    Reads,
    /// It changes something, and doing it twice is as good as once: repeated after a loss.
    Repeatable,
    /// It changes something more each time: repeated only when nothing of it had left.
    Once,
}

/// A request that can be sent: its packed bytes, how many replies it has, and what its loss means.
pub struct RedisRequest<'a> {
    /// Packed commands.
    pub bytes: &'a [u8],
    /// How many commands.
    pub replies: usize,
    /// What it does.
    pub effect: Effect,
    /// What the reader must know when the reply was lost: `the job may or may not be stored`.
    pub doubt: &'a str,
}

/// One link, made when first needed and again after it broke.
#[derive(Default)]
pub struct RedisLink(Mutex<Option<RedisSocket>>);

impl RedisLink {
    /// Sends a request and reads its replies; refusals are among them.
    ///
    /// A link that was closed while idle is noticed before anything is written and replaced in silence.
    pub fn exchange(&self, config: &RedisConfig, request: &RedisRequest<'_>) -> Result<Vec<Value>> {
        let mut slot = self.lock();
        let first = match attempt(&mut slot, config, request)? {
            Ok(values) => return Ok(values),
            Err(broken) => broken,
        };
        let may_repeat = !first.request_out || (request.effect != Effect::Once && !first.timed_out);
        if !may_repeat {
            return Err(lost(&first, config, request));
        }
        match attempt(&mut slot, config, request) {
            Ok(Ok(values)) => Ok(values),
            Ok(Err(second)) => {
                Err(lost(&Broken { request_out: first.request_out || second.request_out, ..second }, config, request))
            }
            Err(unreached) if first.request_out && request.effect != Effect::Reads => {
                Err(unreached.within(&first.cause).into_kind(ErrorKind::Uncertain))
            }
            Err(unreached) => Err(unreached),
        }
    }

    /// Drops the link.
    pub fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<RedisSocket>> {
        // The link is out of the slot while it is used, so a panic leaves an empty slot behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One try over an idle link, or a new one.
///
/// After a failover an idle link may lead to a server that is a replica by now. That one refuses and carries nothing out, so the
/// request goes over a new link, which finds the primary where the address follows it.
fn attempt(
    slot: &mut Option<RedisSocket>,
    config: &RedisConfig,
    request: &RedisRequest<'_>,
) -> Result<Result<Vec<Value>, Broken>> {
    if let Some(link) = slot.take().and_then(|mut link| link.is_idle().then_some(link)) {
        let outcome = carry(slot, link, request);
        if !outcome.as_ref().is_ok_and(|values| values.iter().all(unseats)) {
            return Ok(outcome);
        }
    }
    Ok(carry(slot, RedisSocket::open(config)?, request))
}

/// Sends over this link. It returns to its slot only if it ended well.
fn carry(slot: &mut Option<RedisSocket>, mut link: RedisSocket, request: &RedisRequest<'_>) -> Result<Vec<Value>, Broken> {
    let values = link.exchange(request.bytes, request.replies)?;
    if !values.iter().any(unseats) {
        *slot = Some(link);
    }
    Ok(values)
}

fn unseats(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if refusal::unseats(error))
}

fn lost(broken: &Broken, config: &RedisConfig, request: &RedisRequest<'_>) -> Error {
    let at = &config.address;
    let error = match (broken.request_out, request.effect) {
        (false, _) => Error::new(ErrorKind::Connection, format!("the link to Redis at {at} broke before anything was sent")),
        (true, Effect::Reads) => Error::new(ErrorKind::Connection, format!("Redis at {at} did not answer")),
        (true, _) => Error::new(ErrorKind::Uncertain, format!("the answer of Redis at {at} was lost")).with_advice(request.doubt),
    };
    error.with_source(broken.cause.clone())
}

/// The values, or the first refusal among them as an error.
pub fn accepted(values: Vec<Value>, config: &RedisConfig) -> Result<Vec<Value>> {
    match values.iter().find_map(|value| if let Value::ServerError(error) = value { Some(error) } else { None }) {
        Some(error) => Err(refusal::explain(error, config)),
        None => Ok(values),
    }
}
