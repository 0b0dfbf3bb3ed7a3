//! `Admin`: the operations for operators. Those on failed jobs are in `failed`.

use std::time::Instant;

use ferry_core::broker::{Admin, Fact, Sizes, State};
use ferry_core::failed::{FailedJob, Filter};
use ferry_core::task::{DEAD_QUEUE, KEPT_QUEUE};
use ferry_core::{Error, ErrorKind, QueueName, Result};
use lapin::options::{BasicQosOptions, QueuePurgeOptions};

use crate::connections::AmqpConnections;
use crate::names::{Names, QueueRole, short};
use crate::{AmqpBroker, failed};

impl Admin for AmqpBroker {
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        failed::failed(&self.connections, queue, offset, limit)
    }

    fn failed_job(&self, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
        failed::failed_job(&self.connections, queue, id)
    }

    fn retry(&self, queue: &QueueName, which: &Filter, before: &mut dyn FnMut(&[FailedJob])) -> Result<u64> {
        failed::retry(&self.connections, queue, which, before)
    }

    fn forget(&self, queue: &QueueName, which: &Filter) -> Result<u64> {
        failed::forget(&self.connections, queue, which)
    }

    fn peek(&self, _queue: &QueueName, _state: State, _offset: u64, _limit: u64) -> Result<Vec<Vec<u8>>> {
        Err(Error::new(ErrorKind::Unsupported, "RabbitMQ cannot show waiting jobs: looking at one costs it an attempt")
            .with_advice("`size` counts them; failed jobs can be shown"))
    }

    /// Removes what is ready. What is delayed or held cannot be reached.
    fn clear(&self, queue: &QueueName) -> Result<u64> {
        let names = Names::of(queue)?;
        let link = self.connections.consumer()?;
        let mut removed = 0;
        for name in [names.queue(QueueRole::Main), names.queue(QueueRole::Retry)] {
            if self.connections.count(name)?.is_some() {
                let channel = link.channel()?;
                removed += u64::from(link.request(channel.queue_purge(short(name), QueuePurgeOptions::default()))?);
            }
        }
        Ok(removed)
    }

    /// What the connections know. lapin does not pass on the version of the server.
    fn facts(&self) -> Result<Vec<(&'static str, Fact)>> {
        let connections = &self.connections;
        let link = connections.consumer()?;
        let channel = link.channel()?;
        let asked = Instant::now();
        link.request(channel.basic_qos(0, BasicQosOptions::default()))?;
        let rtt = asked.elapsed().as_secs_f64();
        let config = &connections.config;
        let mut facts = vec![
            ("driver", Fact::Text("amqp".into())),
            ("host", Fact::Text(link.address().to_string())),
            ("vhost", Fact::Text(config.vhost.clone())),
            ("tls", Fact::Flag(config.tls.is_some())),
            ("rtt", Fact::Seconds(rtt)),
            ("heartbeat", Fact::Seconds(f64::from(link.heartbeat()))),
            ("consumer_timeout", Fact::Seconds(f64::from(config.consumer_timeout))),
            ("blocked", Fact::Flag(connections.is_blocked() || link.blocked().is_some())),
        ];
        for (name, queue) in [("task_letters", DEAD_QUEUE), ("task_letters_kept", KEPT_QUEUE)] {
            let count = match connections.count(queue) {
                // A user of jobs needs no right on queues of tasks.
                Err(error) if error.kind() == ErrorKind::Denied => None,
                count => count?,
            };
            facts.extend(count.map(|count| (name, Fact::Number(count.into()))));
        }
        Ok(facts)
    }
}

/// `Broker::size`. AMQP does not count delayed and held jobs; they are 0.
pub fn size(connections: &AmqpConnections, queue: &QueueName) -> Result<Sizes> {
    let names = Names::of(queue)?;
    let count = |name: &str| connections.count(name).map(|count| u64::from(count.unwrap_or(0)));
    Ok(Sizes { ready: count(&names.main)? + count(&names.retry)?, failed: count(&names.failed)?, ..Sizes::default() })
}
