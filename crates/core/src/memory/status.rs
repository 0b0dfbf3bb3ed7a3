//! Statuses and claims in memory: the reference for the stores.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use super::MemoryBroker;
use crate::broker::{IdempotencyStore, StatusStore};
use crate::clock::Clock;
use crate::error::Result;
use crate::idempotency::{ClaimOutcome, ClaimRecord, ClaimTtl};
use crate::status::{Status, StatusFields, StatusUpdate};

/// Statuses and claims.
#[derive(Default)]
pub(super) struct MemoryStatuses {
    statuses: HashMap<String, StatusEntry>,
    claims: HashMap<String, ClaimRecord>,
    /// How many entries there may be before expired ones are removed.
    limit: usize,
}

/// The fields of a status, and when it expires.
struct StatusEntry {
    fields: StatusFields,
    expires: i64,
}

/// With so few entries none is removed.
const FEW: usize = 1024;

impl MemoryStatuses {
    fn known(&self, id: &str, now: i64) -> Option<&StatusFields> {
        self.statuses.get(id).filter(|entry| entry.expires > now).map(|entry| &entry.fields)
    }

    fn write(&mut self, update: &StatusUpdate, now: i64) {
        let known = self.known(&update.id, now);
        if !update.is_admitted(known) {
            return;
        }
        let patch = update.patch();
        if patch.removes {
            self.statuses.remove(&update.id);
            return;
        }
        let mut fields = known.cloned().unwrap_or_default();
        patch.apply(&mut fields, now);
        let expires = now.saturating_add(i64::from(update.ttl) * 1000);
        self.statuses.insert(update.id.clone(), StatusEntry { fields, expires });
    }

    fn remove_expired(&mut self, now: i64) {
        if self.statuses.len() + self.claims.len() < self.limit.max(FEW) {
            return;
        }
        self.statuses.retain(|_, entry| entry.expires > now);
        self.claims.retain(|_, claim| claim.expires > now);
        self.limit = 2 * (self.statuses.len() + self.claims.len());
    }
}

impl<C: Clock> MemoryBroker<C> {
    fn statuses(&self) -> MutexGuard<'_, MemoryStatuses> {
        // Nothing above can panic half-way through a change.
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clock> StatusStore for MemoryBroker<C> {
    fn update(&self, updates: &[StatusUpdate]) -> Result<()> {
        let (now, mut statuses) = (self.clock.now_ms(), self.statuses());
        statuses.remove_expired(now);
        updates.iter().for_each(|update| statuses.write(update, now));
        Ok(())
    }

    fn find(&self, id: &str) -> Result<Option<Status>> {
        Ok(self.statuses().known(id, self.clock.now_ms()).and_then(|fields| Status::of(id, fields)))
    }
}

impl<C: Clock> IdempotencyStore for MemoryBroker<C> {
    fn claim(&self, key: &str, token: &str, terms: ClaimTtl) -> Result<ClaimOutcome> {
        let (now, mut statuses) = (self.clock.now_ms(), self.statuses());
        statuses.remove_expired(now);
        let answer = ClaimRecord::answer(statuses.claims.get(key), token, now);
        if answer == ClaimOutcome::Yours {
            statuses.claims.insert(key.to_owned(), ClaimRecord::claimed(token, terms, now));
        }
        Ok(answer)
    }

    fn complete(&self, key: &str, token: &str, result: Option<&str>, ttl: u32) -> Result<bool> {
        let (now, mut statuses) = (self.clock.now_ms(), self.statuses());
        let may = ClaimRecord::may_complete(statuses.claims.get(key), token, now);
        if may {
            statuses.claims.insert(key.to_owned(), ClaimRecord::completed(token, result, ttl, now));
        }
        Ok(may)
    }

    fn release(&self, key: &str, token: &str) -> Result<bool> {
        let (now, mut statuses) = (self.clock.now_ms(), self.statuses());
        let may = ClaimRecord::may_release(statuses.claims.get(key), token, now);
        if may {
            statuses.claims.remove(key);
        }
        Ok(may)
    }

    fn is_done(&self, key: &str) -> Result<bool> {
        Ok(ClaimRecord::is_done(self.statuses().claims.get(key), self.clock.now_ms()))
    }

    fn forget(&self, key: &str) -> Result<bool> {
        let now = self.clock.now_ms();
        Ok(self.statuses().claims.remove(key).is_some_and(|claim| claim.expires > now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::HandClock;
    use crate::status::{JobRef, StatusChange};

    #[test]
    fn expired_entries_are_removed() {
        let broker = MemoryBroker::new(HandClock::at(1), None);
        for number in 0..5 * FEW {
            let update = StatusUpdate { id: number.to_string(), job: JobRef::default(), change: StatusChange::Queued, ttl: 1 };
            broker.update(&[update]).unwrap();
            broker.claim(&number.to_string(), "t", ClaimTtl { lease: 1, ttl: 1 }).unwrap();
            broker.clock.advance(1);
        }
        let statuses = broker.statuses();
        assert!(statuses.statuses.len() + statuses.claims.len() <= FEW);
    }
}
