//! A driver on a virtual host of its own, on a node that the tests share.

use ferry_conformance::servers::{AmqpNodeExt, LinkExt};
use ferry_core::config::QueueType;
use ferry_driver_amqp::{AmqpBroker, Settings};
use ferry_testkit::{AmqpNode, Link};

/// One virtual host, reached by a link that can be cut.
pub struct Amqp {
    pub node: &'static AmqpNode,
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
        let node = AmqpNode::shared()?;
        Some(Self { node, vhost: node.vhost(), link: Link::to(node.port()), queue_type })
    }

    /// A worker with these settings.
    pub fn broker(&self, settings: Settings) -> AmqpBroker {
        let mut config = self.node.config_at(&self.vhost, self.link.address());
        config.queue_type = self.queue_type;
        AmqpBroker::new(config, settings)
    }
}
