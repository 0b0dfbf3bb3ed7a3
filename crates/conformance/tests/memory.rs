//! The memory broker sits the exam, in both ways of counting.

#[path = "stages/from_one.rs"]
mod from_one;

use std::sync::{Arc, OnceLock};

use ferry_conformance::suite::{Exam, START, Terms};
use ferry_core::Broker;
use ferry_core::clock::{Clock, HandClock, SystemClock};
use ferry_core::config::FailedStore;
use ferry_core::dialect::Family;
use ferry_core::memory::MemoryBroker;
use from_one::FromOne;

ferry_conformance::exam!(Some(Memory::of(Family::Think3)));

mod think1 {
    use super::{Family, Memory};

    ferry_conformance::exam!(Some(Memory::of(Family::Think1)));
}

/// All workers share one broker, for it is the store. Asking for a worker in another second turns its clock.
struct Memory {
    family: Family,
    clock: Arc<HandClock>,
    broker: OnceLock<Arc<MemoryBroker<SharedClock>>>,
}

struct SharedClock(Arc<HandClock>);

impl Clock for SharedClock {
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }
}

impl Memory {
    fn of(family: Family) -> Self {
        Self { family, clock: Arc::new(HandClock::at(START)), broker: OnceLock::new() }
    }
}

impl Exam for Memory {
    fn worker_with(&self, terms: Terms) -> Option<Arc<dyn Broker>> {
        if terms.failed == FailedStore::Discard {
            return None;
        }
        let second = terms.now.unwrap_or_else(|| SystemClock.now());
        self.clock.advance(second - self.clock.now());
        let make = || Arc::new(MemoryBroker::of_family(self.family, SharedClock(Arc::clone(&self.clock)), terms.retry_after));
        let broker: Arc<dyn Broker> = self.broker.get_or_init(make).clone();
        Some(if self.family == Family::Think1 { Arc::new(FromOne(broker)) } else { broker })
    }

    fn kill_connections(&self) {}
}
