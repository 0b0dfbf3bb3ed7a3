//! The Redis driver, each behaviour with a server of its own.

use std::sync::Arc;

use ferry_conformance::servers::{RedisServerExt, local, redis_config};
use ferry_conformance::suite::{Driver, Store, Terms};
use ferry_core::Broker;
use ferry_core::dialect::Family;
use ferry_driver_redis::{RedisBroker, Settings};
use ferry_testkit::RedisServer;

use crate::from_one::FromOne;

pub struct Redis(pub Family);

struct Running(RedisServer, Family);

impl Driver for Redis {
    fn unconnected(&self) -> Arc<dyn Broker> {
        Arc::new(RedisBroker::new(redis_config(local(0)), Settings { family: self.0, ..Settings::default() }))
    }

    fn store(&self) -> Option<Box<dyn Store>> {
        Some(Box::new(Running(RedisServer::start()?, self.0)))
    }

    /// In the older families the delayed jobs of `mail` lie where a queue called `mail:delayed` would lie, as in the original.
    fn names_can_collide(&self) -> bool {
        match self.0 {
            Family::Think3 => false,
            Family::Think3Legacy | Family::Think1 | Family::RedisTask => true,
        }
    }

    /// The payloads of the behaviours are think-queue's; plain tasks name their tries otherwise.
    fn reads_max_tries(&self) -> bool {
        match self.0 {
            Family::Think3 | Family::Think3Legacy | Family::Think1 => true,
            Family::RedisTask => false,
        }
    }
}

impl Store for Running {
    fn worker_with(&self, terms: Terms) -> Arc<dyn Broker> {
        let Terms { now, retry_after, failed } = terms;
        let settings = Settings { family: self.1, now, retry_after, failed, ..Settings::default() };
        let worker = Arc::new(RedisBroker::new(self.0.config(), settings));
        match self.1 {
            Family::Think1 => Arc::new(FromOne(worker)),
            Family::Think3 | Family::Think3Legacy | Family::RedisTask => worker,
        }
    }

    fn kill_connections(&self) {
        self.0.kill_connections();
    }
}
