//! The memory broker, in both ways of counting.

use std::sync::{Arc, OnceLock};

use ferry_conformance::suite::{Driver, START, Store, Terms};
use ferry_core::Broker;
use ferry_core::clock::{Clock, HandClock, SystemClock};
use ferry_core::dialect::Family;
use ferry_core::memory::MemoryBroker;

use crate::from_one::FromOne;

pub struct Memory(pub Family);

/// All workers share one broker, for it is the store. Asking for a worker in another second turns its clock.
struct Shared {
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

impl Driver for Memory {
    fn unconnected(&self) -> Arc<dyn Broker> {
        Arc::new(MemoryBroker::of_family(self.0, SystemClock, None))
    }

    fn store(&self) -> Option<Box<dyn Store>> {
        Some(Box::new(Shared { family: self.0, clock: Arc::new(HandClock::at(START)), broker: OnceLock::new() }))
    }

    fn can_discard_failed_jobs(&self) -> bool {
        false
    }
}

impl Store for Shared {
    fn worker_with(&self, terms: Terms) -> Arc<dyn Broker> {
        let second = terms.now.unwrap_or_else(|| SystemClock.now());
        self.clock.advance(second - self.clock.now());
        let make = || Arc::new(MemoryBroker::of_family(self.family, SharedClock(Arc::clone(&self.clock)), terms.retry_after));
        let broker: Arc<dyn Broker> = self.broker.get_or_init(make).clone();
        if self.family == Family::Think1 { Arc::new(FromOne(broker)) } else { broker }
    }

    fn kill_connections(&self) {}
}
