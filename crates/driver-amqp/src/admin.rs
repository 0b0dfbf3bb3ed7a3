//! Counting, clearing, and the failed store: a queue that is walked by taking its messages and putting them back.

use std::collections::VecDeque;
use std::time::Instant;

use ferry_core::broker::{Fact, Sizes};
use ferry_core::failed::{FailedJob, Filter};
use ferry_core::{Error, ErrorKind, QueueName, Result};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, message as lapin_message};

use crate::connections::{AmqpConnections, PublishRole};
use crate::link::AmqpLink;
use crate::names::{Names, QueueRole, short};
use crate::publisher::{Publish, PublishOutcome, trouble};
use crate::topology::TopologyItem;
use crate::{message, wait};

/// How many messages are asked for together.
const PAGE: u64 = 64;
/// How many messages are published together, their bodies being held meanwhile.
const RETRIED: usize = 256;

/// Jobs by state; what AMQP does not tell is 0.
pub fn size(hub: &AmqpConnections, queue: &QueueName) -> Result<Sizes> {
    let names = Names::of(queue)?;
    let count = |name: &str| hub.count(name).map(|count| u64::from(count.unwrap_or(0)));
    Ok(Sizes { ready: count(&names.fresh)? + count(&names.again)?, failed: count(&names.failed)?, ..Sizes::default() })
}

/// What the connections know. The library keeps the server's own words about itself (version, product, cluster) to itself.
pub fn facts(hub: &AmqpConnections) -> Result<Vec<(&'static str, Fact)>> {
    let link = hub.consumer()?;
    let channel = link.channel()?;
    let asked = Instant::now();
    link.ask(channel.basic_qos(0, BasicQosOptions::default()))?;
    let rtt = asked.elapsed().as_secs_f64();
    let config = &hub.config;
    Ok(vec![
        ("driver", Fact::Text("amqp".into())),
        ("host", Fact::Text(link.address().to_string())),
        ("vhost", Fact::Text(config.vhost.clone())),
        ("tls", Fact::Flag(config.tls.is_some())),
        ("rtt", Fact::Seconds(rtt)),
        ("heartbeat", Fact::Seconds(f64::from(link.heartbeat()))),
        ("consumer_timeout", Fact::Seconds(f64::from(config.consumer_timeout))),
        ("blocked", Fact::Flag(hub.blocked() || link.blocked().is_some())),
    ])
}

/// Removes what is ready.
pub fn clear(hub: &AmqpConnections, queue: &QueueName) -> Result<u64> {
    let names = Names::of(queue)?;
    let link = hub.consumer()?;
    let mut removed = 0;
    for name in [names.on(QueueRole::Fresh), names.on(QueueRole::Again)] {
        if hub.count(name)?.is_some() {
            let purge = link.channel()?;
            removed += u64::from(link.ask(purge.queue_purge(short(name), QueuePurgeOptions::default()))?);
        }
    }
    Ok(removed)
}

/// Failed jobs, newest first. The queue is walked from the oldest on, so this takes all there are.
pub fn failed(hub: &AmqpConnections, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
    let Some(walk) = Walk::begin(hub, queue)? else { return Ok(Vec::new()) };
    let newest = walk.count.saturating_sub(offset);
    let oldest = newest.saturating_sub(limit);
    let mut page = Vec::new();
    let mut walk = walk;
    walk.each(newest, |at, delivery| {
        if at >= oldest {
            page.push(message::record(&delivery.properties, &delivery.data, queue.as_str()));
        }
        Visit::Keep
    })?;
    page.reverse();
    Ok(page)
}

/// The oldest failed job with this id.
pub fn failed_job(hub: &AmqpConnections, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
    let Some(mut walk) = Walk::begin(hub, queue)? else { return Ok(None) };
    let mut found = None;
    walk.each(u64::MAX, |_, delivery| {
        if message::id_of(&delivery.properties, &delivery.data) != id {
            return Visit::Keep;
        }
        found = Some(message::record(&delivery.properties, &delivery.data, queue.as_str()));
        Visit::TakeAndStop
    })?;
    Ok(found)
}

/// Makes failed jobs ready again: published, confirmed, then acked. A process that dies between leaves the job in both queues.
pub fn retry(hub: &AmqpConnections, queue: &QueueName, which: &Filter, before: &mut dyn FnMut(&[FailedJob])) -> Result<u64> {
    remove(hub, queue, which, |names, taken| {
        let jobs: Vec<FailedJob> =
            taken.iter().map(|delivery| message::record(&delivery.properties, &delivery.data, queue.as_str())).collect();
        before(&jobs);
        let items: Vec<Publish<'_>> = taken
            .iter()
            .map(|delivery| Publish {
                exchange: String::new(),
                key: names.fresh.clone(),
                body: &delivery.data,
                properties: message::revived(&delivery.properties),
            })
            .collect();
        let fates = hub.send(PublishRole::Settle, &items, &[(names.clone(), TopologyItem::Queue(QueueRole::Fresh))])?;
        let confirmed = fates.iter().map(|fate| *fate == PublishOutcome::Confirmed).collect();
        Ok((confirmed, trouble(&fates)))
    })
}

/// Removes failed jobs for good.
pub fn forget(hub: &AmqpConnections, queue: &QueueName, which: &Filter) -> Result<u64> {
    remove(hub, queue, which, |_, taken| Ok((vec![true; taken.len()], None)))
}

/// Which of the taken ones may go, and why others may not.
type Verdict = (Vec<bool>, Option<Error>);

/// Removes what matches, of the messages that there are when it begins.
fn remove(
    hub: &AmqpConnections,
    queue: &QueueName,
    which: &Filter,
    mut before: impl FnMut(&Names, &[Delivery]) -> Result<Verdict>,
) -> Result<u64> {
    let most = which.most().unwrap_or(usize::MAX);
    if most == 0 {
        return Ok(0);
    }
    let Some(mut walk) = Walk::begin(hub, queue)? else { return Ok(0) };
    let (mut removed, mut met) = (0, 0);
    loop {
        let mut taken = 0;
        walk.each(u64::MAX, |_, delivery| {
            if !which.matches(&message::record(&delivery.properties, &delivery.data, queue.as_str())) {
                return Visit::Keep;
            }
            (taken, met) = (taken + 1, met + 1);
            if met == most || taken == RETRIED { Visit::TakeAndStop } else { Visit::Take }
        })?;
        let taken = std::mem::take(&mut walk.taken);
        if taken.is_empty() {
            return Ok(removed);
        }
        let (may_go, error) = before(&walk.names, &taken)?;
        for (delivery, may_go) in taken.iter().zip(may_go) {
            if may_go {
                walk.ack(delivery)?;
                removed += 1;
            }
        }
        match error {
            Some(error) => return Err(error),
            None if met == most => return Ok(removed),
            None => {}
        }
    }
}

/// What a visitor of a message wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// Go on.
    Keep,
    /// Give it to me whole, and go on.
    Take,
    /// Give it to me whole, and stop here.
    TakeAndStop,
}

/// A walk through the failed store, on a channel of its own. What was taken and not acked goes back to its place at the end.
struct Walk {
    link: std::sync::Arc<AmqpLink>,
    channel: Channel,
    names: Names,
    /// Messages there were at the beginning.
    count: u64,
    at: u64,
    /// Got with a page, not yet visited.
    unseen: VecDeque<Delivery>,
    taken: Vec<Delivery>,
    took: bool,
}

impl Walk {
    /// `None` when there is no failed job.
    fn begin(hub: &AmqpConnections, queue: &QueueName) -> Result<Option<Self>> {
        let names = Names::of(queue)?;
        let Some(count @ 1..) = hub.count(&names.failed)? else { return Ok(None) };
        let link = hub.consumer()?;
        let channel = link.channel()?;
        Ok(Some(Self {
            link,
            channel,
            names,
            count: u64::from(count),
            at: 0,
            unseen: VecDeque::new(),
            taken: Vec::new(),
            took: false,
        }))
    }

    /// Shows messages from where the walk stands up to number `end`.
    fn each(&mut self, end: u64, mut visit: impl FnMut(u64, &Delivery) -> Visit) -> Result<()> {
        let end = end.min(self.count);
        while self.at < end {
            if self.unseen.is_empty() {
                self.get(PAGE.min(end - self.at))?;
            }
            let Some(delivery) = self.unseen.pop_front() else { return Ok(()) };
            let wish = visit(self.at, &delivery);
            self.at += 1;
            if wish != Visit::Keep {
                self.taken.push(delivery);
            }
            if wish == Visit::TakeAndStop {
                return Ok(());
            }
        }
        Ok(())
    }

    fn get(&mut self, count: u64) -> Result<()> {
        let gets = (0..count).map(|_| self.channel.basic_get(short(&self.names.failed), BasicGetOptions::default()));
        let page: lapin::Result<Vec<Option<lapin_message::BasicGetMessage>>> =
            self.link.ask(async { Ok(wait::all(gets).await.into_iter().collect()) })?;
        let page = page.map_err(|error| {
            Error::new(ErrorKind::Connection, "the walk through failed jobs broke").with_source(error.to_string())
        })?;
        self.unseen.extend(page.into_iter().flatten().map(|message| message.delivery));
        self.took |= !self.unseen.is_empty();
        Ok(())
    }

    fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.link.tell(self.channel.basic_ack(delivery.delivery_tag, BasicAckOptions { multiple: false }))
    }
}

impl Drop for Walk {
    /// Everything goes back in its order.
    fn drop(&mut self) {
        if !self.took {
            return;
        }
        let back = BasicNackOptions { multiple: true, requeue: true };
        // When this fails the channel is gone, and the broker does it by itself. The question to the same queue waits until it is done.
        // Tag 0 is all that is out.
        let _ = self.link.tell(self.channel.basic_nack(0, back));
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let _ = self.link.ask(self.channel.queue_declare(short(&self.names.failed), passive, FieldTable::default()));
    }
}
