//! The one node that the tests of a file share, and a driver on a virtual host of its own.

use std::sync::{Arc, LazyLock};

use ferry_conformance::servers::{AmqpServer, Link};
use ferry_conformance::suite::{ClaimTtl, Exam};
use ferry_core::Broker;
use ferry_core::config::QueueType;
use ferry_driver_amqp::{AmqpBroker, Settings, Transport};

/// Ends with our process: see `AmqpServer`. Each file says how many virtual hosts its tests need: they make the start slow.
static NODE: LazyLock<Option<AmqpServer>> = LazyLock::new(|| AmqpServer::start(crate::VHOSTS, &[]));

/// The shared node, if there is RabbitMQ here.
pub fn node() -> Option<&'static AmqpServer> {
    NODE.as_ref()
}

/// One virtual host, reached by a link that can be cut.
pub struct Amqp {
    pub node: &'static AmqpServer,
    pub vhost: String,
    pub link: Link,
    pub queue_type: QueueType,
}

impl Amqp {
    /// A new one with quorum queues.
    pub fn quorum() -> Option<Self> {
        Self::of(QueueType::Quorum)
    }

    /// A new one with classic queues.
    pub fn classic() -> Option<Self> {
        Self::of(QueueType::Classic)
    }

    fn of(queue_type: QueueType) -> Option<Self> {
        let node = node()?;
        Some(Self { node, vhost: node.vhost(), link: Link::to(node.port()), queue_type })
    }

    /// A worker with these settings.
    pub fn broker(&self, settings: Settings) -> AmqpBroker {
        let mut config = self.node.config_at(&self.vhost, self.link.address());
        config.queue_type = self.queue_type;
        AmqpBroker::new(config, settings)
    }
}

impl Exam for Amqp {
    fn worker_with(&self, terms: ClaimTtl) -> Option<Arc<dyn Broker>> {
        let ClaimTtl { now, retry_after, failed } = terms;
        // On a busy machine two calls may lie more than a second apart; then the retry queue would be polled between them.
        let retry_queue_period = std::time::Duration::from_secs(30);
        // Both transports pass every behaviour, one with each queue type.
        let transport = match self.queue_type {
            QueueType::Classic => Transport::Tokio,
            QueueType::Quorum => Transport::Blocking,
        };
        Some(Arc::new(self.broker(Settings { now, retry_after, failed, retry_queue_period, transport })))
    }

    fn kill_connections(&self) {
        self.link.cut();
    }

    fn time_can_be_turned(&self) -> bool {
        false
    }

    fn longest_name(&self) -> usize {
        243
    }

    fn lone_jobs_keep_their_place(&self) -> bool {
        false
    }
}
