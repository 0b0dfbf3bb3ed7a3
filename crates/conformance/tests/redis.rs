//! The Redis driver sits the exam, each behaviour with a server of its own.

use std::sync::Arc;

use ferry_conformance::servers::RedisServer;
use ferry_conformance::suite::{Exam, Terms};
use ferry_core::Broker;
use ferry_driver_redis::{RedisBroker, Settings};

ferry_conformance::exam!(RedisServer::start().map(Redis));

struct Redis(RedisServer);

impl Exam for Redis {
    fn worker_with(&self, terms: Terms) -> Option<Arc<dyn Broker>> {
        let Terms { now, retry_after, failed } = terms;
        Some(Arc::new(RedisBroker::new(self.0.config(), Settings { now, retry_after, failed, ..Settings::default() })))
    }

    fn kill_connections(&self) {
        self.0.kill_connections();
    }
}
