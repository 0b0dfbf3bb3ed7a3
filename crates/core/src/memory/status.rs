//! Statuses and claims in memory: the reference for the stores.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use super::MemoryBroker;
use crate::broker::{IdempotencyStore, StatusStore};
use crate::clock::Clock;
use crate::error::Result;
use crate::idempotency::{ClaimOutcome, ClaimRecord, ClaimTtl};
use crate::status::{Status, StatusFields, StatusUpdate};

/// What is written down.
#[derive(Default)]
pub(super) struct MemoryStatuses {
    statuses: HashMap<String, Page>,
    claims: HashMap<String, ClaimRecord>,
    /// How many entries there may be before the old ones are looked for.
    room: usize,
}

/// Fields, and when they go.
struct Page {
    fields: StatusFields,
    expires: i64,
}

/// So few need no tidying.
const FEW: usize = 1024;

impl MemoryStatuses {
    fn status(&self, id: &str, now: i64) -> Option<Status> {
        let page = self.statuses.get(id).filter(|page| page.expires > now)?;
        Status::of(id, &page.fields)
    }

    fn write(&mut self, update: &StatusUpdate, now: i64) {
        let known = self.status(&update.id, now);
        if !update.precondition().admits(known.as_ref().map(|status| (status.state, status.attempts)), update.attempts()) {
            return;
        }
        let patch = update.patch();
        if patch.removes {
            self.statuses.remove(&update.id);
            return;
        }
        let mut fields = match known {
            Some(_) => self.statuses.remove(&update.id).map(|page| page.fields).unwrap_or_default(),
            None => StatusFields::new(),
        };
        patch.apply(&mut fields, now);
        let expires = now.saturating_add(i64::from(update.ttl) * 1000);
        self.statuses.insert(update.id.clone(), Page { fields, expires });
    }

    fn tidy(&mut self, now: i64) {
        if self.statuses.len() + self.claims.len() < self.room.max(FEW) {
            return;
        }
        self.statuses.retain(|_, page| page.expires > now);
        self.claims.retain(|_, once| once.expires > now);
        self.room = 2 * (self.statuses.len() + self.claims.len());
    }
}

impl<C: Clock> MemoryBroker<C> {
    fn book(&self) -> MutexGuard<'_, MemoryStatuses> {
        // Nothing above can panic half-way through a change.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clock> StatusStore for MemoryBroker<C> {
    fn update(&self, updates: &[StatusUpdate]) -> Result<()> {
        let (now, mut book) = (self.clock.now_ms(), self.book());
        book.tidy(now);
        updates.iter().for_each(|update| book.write(update, now));
        Ok(())
    }

    fn find(&self, id: &str) -> Result<Option<Status>> {
        Ok(self.book().status(id, self.clock.now_ms()))
    }
}

impl<C: Clock> IdempotencyStore for MemoryBroker<C> {
    fn claim(&self, key: &str, token: &str, terms: ClaimTtl) -> Result<ClaimOutcome> {
        let (now, mut book) = (self.clock.now_ms(), self.book());
        book.tidy(now);
        let answer = ClaimRecord::answer(book.claims.get(key), token, now);
        if answer == ClaimOutcome::Yours {
            book.claims.insert(key.to_owned(), ClaimRecord::claimed(token, terms, now));
        }
        Ok(answer)
    }

    fn complete(&self, key: &str, token: &str, result: Option<&str>, ttl: u32) -> Result<bool> {
        let (now, mut book) = (self.clock.now_ms(), self.book());
        let may = ClaimRecord::may_complete(book.claims.get(key), token, now);
        if may {
            book.claims.insert(key.to_owned(), ClaimRecord::completed(token, result, ttl, now));
        }
        Ok(may)
    }

    fn release(&self, key: &str, token: &str) -> Result<bool> {
        let (now, mut book) = (self.clock.now_ms(), self.book());
        let may = ClaimRecord::may_release(book.claims.get(key), token, now);
        if may {
            book.claims.remove(key);
        }
        Ok(may)
    }

    fn is_done(&self, key: &str) -> Result<bool> {
        Ok(ClaimRecord::is_done(self.book().claims.get(key), self.clock.now_ms()))
    }

    fn forget(&self, key: &str) -> Result<bool> {
        let now = self.clock.now_ms();
        Ok(self.book().claims.remove(key).is_some_and(|once| once.expires > now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::HandClock;
    use crate::status::{JobRef, StatusChange};

    #[test]
    fn what_is_over_does_not_pile_up() {
        let broker = MemoryBroker::new(HandClock::at(1), None);
        for number in 0..5 * FEW {
            let note = StatusUpdate { id: number.to_string(), job: JobRef::default(), change: StatusChange::Queued, ttl: 1 };
            broker.update(&[note]).unwrap();
            broker.claim(&number.to_string(), "t", ClaimTtl { lease: 1, ttl: 1 }).unwrap();
            broker.clock.advance(1);
        }
        let book = broker.book();
        assert!(book.statuses.len() + book.claims.len() <= FEW);
    }
}
