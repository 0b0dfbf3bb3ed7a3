//! A consumer, and taking from it what is there.

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
use crate::names::short;
use crate::unacked::ConsumerChannel;
use crate::wait;

/// How long deliveries may pause before a burst is taken for complete.
const PAUSE: Duration = Duration::from_millis(30);
/// How often a consumer that is to be cancelled is asked for what is on its way. Acks that go on meanwhile make room for ever more.
const MOST_ROUNDS: usize = 8;

/// Deliveries that come by themselves.
pub struct Subscription {
    consumer: Consumer,
    tag: String,
    prefetch: u16,
    ended: bool,
}

impl Subscription {
    /// Starts one on the fresh jobs of this ledger.
    pub fn open(ledger: &ConsumerChannel, prefetch: u16) -> Result<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let tag = format!("ferry-{}", NUMBERS.fetch_add(1, Ordering::Relaxed));
        let channel = &ledger.channel;
        let queue = short(&ledger.names.fresh);
        let consumer = ledger.link.ask(async {
            let qos = channel.basic_qos(prefetch, BasicQosOptions::default());
            let consume = channel.basic_consume(queue, short(&tag), BasicConsumeOptions::default(), FieldTable::default());
            let (limited, consumer) = wait::both(qos, consume).await;
            limited.and(consumer)
        })?;
        Ok(Self { consumer, tag, prefetch, ended: false })
    }

    /// How many unacked messages it may have.
    pub fn prefetch(&self) -> u16 {
        self.prefetch
    }

    /// Whether nothing more will come: the broker cancelled it, or the channel is gone.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next delivery, when `context` is to be woken for it.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.consumer).poll_next(context) {
            Poll::Ready(Some(Ok(delivery))) => Poll::Ready(Some(delivery)),
            Poll::Ready(None | Some(Err(_))) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// What is there now.
    pub fn take_all(&mut self) -> Vec<Delivery> {
        let mut context = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Some(delivery)) = self.poll(&mut context) {
            all.push(delivery);
        }
        all
    }

    /// Waits until `most` deliveries are there, or none comes for a moment.
    pub fn wait_for(&mut self, most: usize) -> Vec<Delivery> {
        let mut all = Vec::new();
        while all.len() < most && !self.ended {
            let next = std::future::poll_fn(|context| self.poll(context));
            match wait::until(Instant::now() + PAUSE, next) {
                Some(delivery) => all.extend(delivery),
                None => break,
            }
        }
        all
    }

    /// Ends it and returns what was delivered before.
    ///
    /// The broker may say that it is cancelled before it has sent what it had taken out for us (seen with 1000 at once on a quorum queue), and
    /// then the library drops that. So the queue and the channel are each asked something first, until nothing more comes and nothing is owed:
    /// a consumer that has `unacked` messages and may have more gets them while there are some. They are counted when no ack can come between.
    pub fn cancel(
        mut self,
        hub: &AmqpConnections,
        ledger: &ConsumerChannel,
        unacked: impl FnOnce() -> usize,
    ) -> Result<Vec<Delivery>> {
        let _still = ledger.still();
        let unacked = unacked();
        let mut all = self.take_all();
        for _ in 0..MOST_ROUNDS {
            if self.ended {
                return Ok(all);
            }
            let left = hub.count(&ledger.names.fresh)?.unwrap_or(0);
            ledger.sync()?;
            let mut more = self.take_all();
            let room = usize::from(self.prefetch).saturating_sub(unacked + all.len() + more.len());
            let owed = room.min(left as usize);
            if more.is_empty() && owed == 0 {
                break;
            }
            more.extend(self.wait_for(owed));
            if more.is_empty() {
                // Others were quicker.
                break;
            }
            all.extend(more);
        }
        all.extend(self.end(ledger)?);
        Ok(all)
    }

    /// The same, when everything it may have is here.
    pub fn cancel_full(self, ledger: &ConsumerChannel) -> Result<Vec<Delivery>> {
        let _still = ledger.still();
        self.end(ledger)
    }

    fn end(mut self, ledger: &ConsumerChannel) -> Result<Vec<Delivery>> {
        if self.ended {
            return Ok(self.take_all());
        }
        ledger.link.ask(ledger.channel.basic_cancel(short(&self.tag), BasicCancelOptions::default()))?;
        Ok(self.take_all())
    }
}
