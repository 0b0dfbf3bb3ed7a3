//! A message and where it goes: the same value for pushed jobs, settled jobs and tasks.

use std::borrow::Cow;
use std::sync::Arc;

use lapin::BasicProperties;

use crate::names::{Names, QueueRole};
use crate::topology::{QueueTopology, TopologyItem};

/// One message to publish.
#[derive(Debug, Clone)]
pub struct Route<'a> {
    /// The exchange; empty is the default exchange.
    pub exchange: String,
    /// The routing key.
    pub key: String,
    /// The body.
    pub body: Cow<'a, [u8]>,
    /// Properties and headers.
    pub properties: BasicProperties,
    /// What must be declared before it is published.
    pub need: QueueTopology,
}

impl<'a> Route<'a> {
    /// Straight to the queue with this role, through the default exchange. Messages that are published again never take the configured
    /// exchange: it might route copies to other queues.
    pub fn to_queue(names: &Arc<Names>, role: QueueRole, properties: BasicProperties, body: Cow<'a, [u8]>) -> Self {
        let need = QueueTopology { names: Arc::clone(names), item: TopologyItem::Queue(role) };
        Self { exchange: String::new(), key: names.queue(role).to_owned(), body, properties, need }
    }

    /// Straight to the failed store.
    pub fn to_failed(names: &Arc<Names>, properties: BasicProperties, body: Cow<'a, [u8]>) -> Self {
        let need = QueueTopology { names: Arc::clone(names), item: TopologyItem::Failed };
        Self { exchange: String::new(), key: names.failed.clone(), body, properties, need }
    }

    /// What must be declared before `routes` are published, each item once.
    pub fn needs(routes: &[&Route<'_>]) -> Vec<QueueTopology> {
        let mut needs: Vec<QueueTopology> = Vec::new();
        for route in routes {
            if !needs.contains(&route.need) {
                needs.push(route.need.clone());
            }
        }
        needs
    }
}
