//! A subscription (`basic.consume`) to one queue, and how it is cancelled without losing deliveries.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use std::time::{Duration, Instant};

use ferry_core::Result;
use futures_core::Stream;
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;

use crate::connections::AmqpConnections;
use crate::link::{AmqpLink, ArrivedDeliveries};
use crate::names::short;
use crate::unacked::ConsumerChannel;
use crate::wait;

/// A burst is complete when no delivery comes for this long.
const PAUSE: Duration = Duration::from_millis(30);
/// How often deliveries on their way are waited for before a cancel.
const MAX_ROUNDS: usize = 8;

/// A subscription of one channel. Deliveries are pushed to it.
pub struct Subscription {
    consumer: Consumer,
    /// Where its deliveries arrive, unless lapin's consumer gets them.
    arrived: Option<ArrivedDeliveries>,
    tag: String,
    prefetch: u16,
    ended: bool,
}

impl Subscription {
    /// Subscribes to the main queue of this channel.
    pub fn open(consumer_channel: &ConsumerChannel, prefetch: u16) -> Result<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let tag = format!("ferry-{}", NUMBERS.fetch_add(1, Ordering::Relaxed));
        let channel = &consumer_channel.channel;
        let queue = short(&consumer_channel.names.main);
        let arrived = consumer_channel.link.subscribe(channel.id(), &tag);
        let consumer = consumer_channel.link.request(async {
            let qos = channel.basic_qos(prefetch, BasicQosOptions::default());
            let consume = channel.basic_consume(queue, short(&tag), BasicConsumeOptions::default(), FieldTable::default());
            let (limited, consumer) = wait::both(qos, consume).await;
            limited.and(consumer)
        })?;
        Ok(Self { consumer, arrived, tag, prefetch, ended: false })
    }

    /// How many unacked messages it may have.
    pub fn prefetch(&self) -> u16 {
        self.prefetch
    }

    /// Whether nothing more will come: the broker cancelled it, or the channel is closed.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next delivery; `context` is woken for it.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if let Some(delivery) = self.arrived.as_ref().and_then(ArrivedDeliveries::next) {
            return Poll::Ready(Some(delivery));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.consumer).poll_next(context) {
            Poll::Ready(Some(Ok(delivery))) => Poll::Ready(Some(delivery)),
            Poll::Ready(None | Some(Err(_))) => {
                self.ended = true;
                // What was sent before the end is there by now, if it was not a moment ago.
                Poll::Ready(self.arrived.as_ref().and_then(ArrivedDeliveries::next))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// The deliveries that have arrived, as far as one may be wanted: none only if none has.
    pub fn take_some(&mut self) -> Vec<Delivery> {
        if let Some(arrived) = &self.arrived {
            // With a prefetch of one there is nothing behind it.
            if self.prefetch > 1 { arrived.read() } else { arrived.read_if_none() }
        }
        self.take_read()
    }

    /// The deliveries that have arrived.
    fn take_all(&mut self) -> Vec<Delivery> {
        self.arrived.iter().for_each(ArrivedDeliveries::read);
        self.take_read()
    }

    fn take_read(&mut self) -> Vec<Delivery> {
        let mut context = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Some(delivery)) = self.poll(&mut context) {
            all.push(delivery);
        }
        all
    }

    /// Waits until `most` deliveries have arrived, or none comes for a moment.
    pub fn wait_for(&mut self, link: &AmqpLink, most: usize) -> Vec<Delivery> {
        let mut all = Vec::new();
        while all.len() < most && !self.ended {
            let next = std::future::poll_fn(|context| self.poll(context));
            match link.wait_for_delivery(Instant::now() + PAUSE, next) {
                Some(delivery) => all.extend(delivery),
                None => break,
            }
        }
        all
    }

    /// Cancels it and returns what was delivered before.
    ///
    /// The broker may confirm the cancel before it has sent what it had taken out for us (seen with 1000 at once on a quorum queue), and
    /// lapin drops what comes later. So the queue and the channel each get a request first, until nothing more comes and nothing is owed:
    /// a consumer with `unacked` messages below its prefetch gets more while there are any. They are counted when no ack can go between.
    pub fn cancel(
        mut self,
        connections: &AmqpConnections,
        channel: &ConsumerChannel,
        unacked: impl FnOnce() -> usize,
    ) -> Result<Vec<Delivery>> {
        let _gate = channel.hold_acks();
        let unacked = unacked();
        let mut all = self.take_all();
        for _ in 0..MAX_ROUNDS {
            if self.ended {
                all.extend(self.take_all());
                return Ok(all);
            }
            let left = connections.count(&channel.names.main)?.unwrap_or(0);
            channel.sync()?;
            let mut more = self.take_all();
            let room = usize::from(self.prefetch).saturating_sub(unacked + all.len() + more.len());
            let owed = room.min(left as usize);
            if more.is_empty() && owed == 0 {
                break;
            }
            more.extend(self.wait_for(&channel.link, owed));
            if more.is_empty() {
                // Other consumers were quicker.
                break;
            }
            all.extend(more);
        }
        all.extend(self.end(channel)?);
        Ok(all)
    }

    /// The same for a subscription whose prefetch is used up.
    pub fn cancel_full(self, channel: &ConsumerChannel) -> Result<Vec<Delivery>> {
        let _gate = channel.hold_acks();
        self.end(channel)
    }

    fn end(mut self, channel: &ConsumerChannel) -> Result<Vec<Delivery>> {
        if self.ended {
            return Ok(self.take_all());
        }
        channel.link.request(channel.channel.basic_cancel(short(&self.tag), BasicCancelOptions::default()))?;
        Ok(self.take_all())
    }
}
