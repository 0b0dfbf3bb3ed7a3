//! The Redis driver sits the exam in the older families too.

#[path = "stages/from_one.rs"]
mod from_one;

use std::sync::Arc;

use ferry_conformance::servers::RedisServer;
use ferry_conformance::suite::{Exam, Terms};
use ferry_core::Broker;
use ferry_core::dialect::Family;
use ferry_driver_redis::{RedisBroker, Settings};
use from_one::FromOne;

mod think3_legacy {
    use super::{Family, Redis, RedisServer};

    ferry_conformance::exam!(RedisServer::start().map(|server| Redis(server, Family::Think3Legacy)));
}

mod think1 {
    use super::{Family, Redis, RedisServer};

    ferry_conformance::exam!(RedisServer::start().map(|server| Redis(server, Family::Think1)));
}

struct Redis(RedisServer, Family);

impl Exam for Redis {
    fn worker_with(&self, terms: Terms) -> Option<Arc<dyn Broker>> {
        let Terms { now, retry_after, failed } = terms;
        let settings = Settings { family: self.1, now, retry_after, failed, ..Settings::default() };
        let worker = Arc::new(RedisBroker::new(self.0.config(), settings));
        Some(match self.1 {
            Family::Think1 => Arc::new(FromOne(worker)),
            Family::Think3 | Family::Think3Legacy => worker,
        })
    }

    fn kill_connections(&self) {
        self.0.kill_connections();
    }

    /// The delayed jobs of `mail` lie where a queue called `mail:delayed` would lie, as in the original.
    fn names_can_collide(&self) -> bool {
        true
    }
}
