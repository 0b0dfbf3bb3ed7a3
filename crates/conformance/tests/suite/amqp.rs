//! The AMQP driver, each behaviour on a virtual host of its own.

use std::sync::Arc;
use std::time::Duration;

use ferry_conformance::servers::{AmqpNodeExt, LinkExt, amqp_config, local};
use ferry_conformance::suite::{Driver, Store, Terms};
use ferry_core::Broker;
use ferry_core::config::{AmqpConfig, QueueType};
use ferry_driver_amqp::{AmqpBroker, Settings, Transport};
use ferry_testkit::{AmqpNode, Link};

pub struct Amqp(pub QueueType);

/// One virtual host, reached by a link that can be cut.
struct Vhost {
    config: AmqpConfig,
    link: Link,
}

impl Driver for Amqp {
    fn unconnected(&self) -> Arc<dyn Broker> {
        Arc::new(AmqpBroker::new(amqp_config("/", local(0)), Settings::default()))
    }

    fn store(&self) -> Option<Box<dyn Store>> {
        let node = AmqpNode::shared()?;
        let link = Link::to(node.port());
        let config = AmqpConfig { queue_type: self.0, ..node.config_at(&node.vhost(), link.address()) };
        Some(Box::new(Vhost { config, link }))
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

impl Store for Vhost {
    fn worker_with(&self, terms: Terms) -> Arc<dyn Broker> {
        let Terms { now, retry_after, failed } = terms;
        // On a busy machine two calls may lie more than a second apart; then the retry queue would be polled between them.
        let retry_queue_period = Duration::from_secs(30);
        // Both transports pass every behaviour, one with each queue type.
        let transport = match self.config.queue_type {
            QueueType::Classic => Transport::Tokio,
            QueueType::Quorum => Transport::Blocking,
        };
        let settings = Settings { now, retry_after, failed, retry_queue_period, transport };
        Arc::new(AmqpBroker::new(self.config.clone(), settings))
    }

    fn kill_connections(&self) {
        self.link.cut();
    }
}
