//! `Ferry\Guard`: keeps work from being done twice. `docs/decisions/0009-status-and-guard.md` says what it promises.

use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::Zval;
use ferry_client::process;
use ferry_core::idempotency::{ClaimOutcome, ClaimTtl};
use ferry_core::status;
use ferry_core::{Error, IdempotencyStore, Result};

use crate::classes::connection::ConnectionHandle;
use crate::classes::exceptions::{self, Class};
use crate::convert::arguments::{Maybe, Mixed, Text};
use crate::convert::errors::{exception, invalid, pending};
use crate::convert::kept;
use crate::zend::call::{self, CallFailure, guarded};
use crate::zend::{json, objects};

/// The longest time that a claim or an outcome is kept: a year.
const LONGEST: i64 = 31_536_000;

/// Claims of work on one connection.
#[php_class]
#[php(name = "Ferry\\Guard")]
pub struct PhpGuard {
    link: ConnectionHandle,
    terms: ClaimTtl,
}

#[php_impl]
impl PhpGuard {
    /// A guard whose claims lie on this connection. No I/O yet.
    #[php(defaults(ttl = 86400, lease = 300))]
    pub fn __construct(connection: Maybe<'_>, ttl: i64, lease: i64) -> PhpResult<Self> {
        objects::construct(|| {
            let terms = ClaimTtl { lease: seconds("lease", lease)?, ttl: seconds("ttl", ttl)? };
            Ok(Self { link: ConnectionHandle::named(connection.0)?, terms })
        })
    }

    /// Does the work unless it is done, and answers its result.
    pub fn once(&self, key: Text, work: Mixed<'_>) -> PhpResult<Zval> {
        if !work.0.is_callable() {
            return Err(invalid("the work is not callable"));
        }
        let key = status::key(&key.0).map_err(|error| exception(&error))?;
        let token = self.token()?;
        match self.ask("claim", key, |store| store.claim(key, &token, self.terms))? {
            ClaimOutcome::Yours => self.work(key, &token, work.0),
            ClaimOutcome::Done(result) => Ok(value(result)),
            ClaimOutcome::Held { left } => Err(busy(key, left)),
        }
    }

    /// Claims the work. The token is for `complete()` and `release()`; null when it is done or somebody else is at it.
    pub fn claim(&self, key: Text) -> PhpResult<Option<String>> {
        let key = status::key(&key.0).map_err(|error| exception(&error))?;
        let token = self.token()?;
        let claimed = self.ask("claim", key, |store| store.claim(key, &token, self.terms))?;
        Ok((claimed == ClaimOutcome::Yours).then_some(token))
    }

    /// Marks claimed work as done.
    pub fn complete(&self, key: Text, token: Text, result: Maybe<'_>) -> PhpResult<bool> {
        let key = status::key(&key.0).map_err(|error| exception(&error))?;
        // This may run PHP code; nothing of ours is borrowed.
        let result = result.0.filter(|result| !result.is_null()).map(|result| kept::json(result, "the result")).transpose()?;
        let Ok(token) = std::str::from_utf8(&token.0) else { return Ok(false) };
        self.ask("complete", key, |store| store.complete(key, token, result.as_deref(), self.terms.ttl))
    }

    /// Gives a claim up.
    pub fn release(&self, key: Text, token: Text) -> PhpResult<bool> {
        let key = status::key(&key.0).map_err(|error| exception(&error))?;
        let Ok(token) = std::str::from_utf8(&token.0) else { return Ok(false) };
        self.ask("release", key, |store| store.release(key, token))
    }

    /// Whether the work is done.
    pub fn is_done(&self, key: Text) -> PhpResult<bool> {
        let key = status::key(&key.0).map_err(|error| exception(&error))?;
        self.ask("look up", key, |store| store.is_done(key))
    }

    /// Forgets that the work is claimed or done.
    pub fn forget(&self, key: Text) -> PhpResult<bool> {
        let key = status::key(&key.0).map_err(|error| exception(&error))?;
        self.ask("forget", key, |store| store.forget(key))
    }
}

impl PhpGuard {
    /// Does claimed work. What it throws gives the claim up; an exit or a fatal error leaves it, and it lapses.
    fn work(&self, key: &str, token: &str, work: &Zval) -> PhpResult<Zval> {
        let born = process::generation();
        let done = guarded(|| call::callable(work, &mut []));
        let is_parent = process::generation() == born;
        match done {
            // A child that was forked inside the work: the claim is its parent's.
            Ok(result) if !is_parent => Ok(result),
            Ok(result) => self.finish(key, token, result),
            Err(CallFailure::Died) => call::die(),
            Err(CallFailure::Exited) => Err(pending()),
            Err(trouble @ (CallFailure::Threw(_) | CallFailure::Missing(_))) => {
                if is_parent {
                    // The exception counts. A claim that could not be given up lapses.
                    let _ = self.asked(|store| store.release(key, token));
                }
                call::rethrow(trouble);
                Err(pending())
            }
        }
    }

    /// The work is done, whatever can be kept of its result.
    fn finish(&self, key: &str, token: &str, result: Zval) -> PhpResult<Zval> {
        let kept = if result.is_null() { None } else { self.keepable(&result) };
        let asked = self.asked(|store| store.complete(key, token, kept.as_deref(), self.terms.ttl));
        if call::has_exception() {
            // The result's own code threw while it was encoded.
            return Err(pending());
        }
        match asked {
            Ok(true) => Ok(result),
            Ok(false) => Err(exceptions::make(Class::LostReservation, outrun(key, self.terms.lease))),
            Err(error) => {
                let error = error.within(format!("the work `{key}` is done, but that could not be noted, and it may run again"));
                Err(exception(&error))
            }
        }
    }

    /// The JSON text of a result that can be kept. One that cannot is the caller's alone.
    fn keepable(&self, result: &Zval) -> Option<String> {
        let text = json::encode(result).ok()?;
        (text.len() <= status::MOST_RESULT).then(|| String::from_utf8_lossy(&text).into_owned())
    }

    fn token(&self) -> PhpResult<String> {
        self.link.client()?.new_id().map_err(|error| exception(&error))
    }

    fn ask<T>(&self, what: &str, key: &str, ask: impl FnOnce(&dyn IdempotencyStore) -> Result<T>) -> PhpResult<T> {
        let place = || format!("{what} `{key}` on `{}`", self.link.0.config().name);
        self.asked(ask).map_err(|error| exception(&error.within(place())))
    }

    /// Nothing of the connection is held between two words: PHP code runs there, which may fork.
    fn asked<T>(&self, ask: impl FnOnce(&dyn IdempotencyStore) -> Result<T>) -> Result<T> {
        let broker = self.link.find_status_broker()?;
        let missing = || Error::new(ferry_core::ErrorKind::Unsupported, "no place for claims");
        ask(broker.idempotency().ok_or_else(missing)?)
    }
}

fn seconds(name: &str, number: i64) -> PhpResult<u32> {
    let wrong = || invalid(format!("`{name}` is {number}; it must be from 1 to {LONGEST} seconds"));
    u32::try_from(number).ok().filter(|_| (1..=LONGEST).contains(&number)).ok_or_else(wrong)
}

/// A kept result as PHP sees it.
fn value(result: Option<String>) -> Zval {
    let json = result.map(|json| [json.as_bytes(), b"\0"].concat());
    json.and_then(|json| json::decode(&json).ok()).unwrap_or_else(Zval::null)
}

fn busy(key: &str, left: i64) -> ext_php_rs::exception::PhpException {
    let seconds = left.saturating_add(999) / 1000;
    let text = format!("somebody else is at the work `{key}`, for {seconds} s more at most (try again later: release the job)");
    exceptions::make(Class::Busy, text)
}

fn outrun(key: &str, lease: u32) -> String {
    format!(
        "the work `{key}` took longer than its lease of {lease} s and somebody else has begun it (raise the lease of the guard; \
         this result was not kept)"
    )
}
