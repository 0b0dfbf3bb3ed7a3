//! The consumer of one RabbitMQ queue: its subscription, what was delivered, and how deliveries are published again. Under jobs and tasks.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use ferry_core::{Error, Result};
use lapin::message::Delivery;

use crate::connections::{AmqpConnections, PublishRole};
use crate::publisher::{LateConfirm, PublishOutcome, first_error};
use crate::route::Route;
use crate::subscription::Subscription;
use crate::unacked::ConsumerChannel;
use crate::wait;

/// Deliveries of one queue.
pub struct Deliveries {
    pub channel: Arc<ConsumerChannel>,
    subscription: Option<Subscription>,
    /// Delivered and not taken yet, in order.
    pub arrived: VecDeque<Delivery>,
}

/// A delivery that could not be published again.
pub struct Unmoved<D = Delivery> {
    pub delivery: D,
    /// The confirm of the try, if that may still come.
    pub late: Option<LateConfirm>,
}

impl Deliveries {
    pub fn new(channel: Arc<ConsumerChannel>) -> Self {
        Self { channel, subscription: None, arrived: VecDeque::new() }
    }

    /// Subscribes with this prefetch.
    pub fn subscribe(&mut self, prefetch: u16) -> Result<()> {
        self.subscription = Some(Subscription::open(&self.channel, prefetch)?);
        Ok(())
    }

    /// The prefetch of the subscription, if there is one.
    pub fn prefetch(&self) -> Option<u16> {
        self.subscription.as_ref().map(Subscription::prefetch)
    }

    /// Takes over what has arrived. Whether the subscription goes on.
    pub fn collect(&mut self) -> bool {
        let Some(subscription) = &mut self.subscription else { return true };
        self.arrived.extend(subscription.take_some());
        !subscription.has_ended()
    }

    /// Forgets a subscription that has ended.
    pub fn drop_subscription(&mut self) {
        self.subscription = None;
    }

    /// Whether a delivery has arrived or the subscription has ended; `context` is woken for both.
    fn poll(&mut self, context: &mut Context<'_>) -> bool {
        let Some(Poll::Ready(delivery)) = self.subscription.as_mut().map(|subscription| subscription.poll(context)) else {
            return false;
        };
        self.arrived.extend(delivery);
        true
    }

    /// Waits for a moment until `most` more have arrived, for deliveries that are known to be on their way.
    pub fn wait_for(&mut self, most: usize) {
        if let Some(subscription) = &mut self.subscription {
            self.arrived.extend(subscription.wait_for(&self.channel.link, most));
        }
    }

    /// Cancels the subscription; `arrived` gets what it still brings. `held` is how many of its deliveries are unacked elsewhere.
    pub fn cancel(&mut self, connections: &AmqpConnections, held: impl FnOnce() -> usize) -> Result<()> {
        let Some(subscription) = self.subscription.take() else { return Ok(()) };
        let arrived = self.arrived.len();
        let rest = subscription.cancel(connections, &self.channel, || held() + arrived)?;
        self.arrived.extend(rest);
        Ok(())
    }

    /// Takes up to `most` that are ready now, by a subscription that is cancelled at once. Answers how many came.
    pub fn drain_burst(&mut self, connections: &AmqpConnections, most: u16, held: impl FnOnce() -> usize) -> Result<usize> {
        let before = self.arrived.len();
        let mut subscription = Subscription::open(&self.channel, most)?;
        self.arrived.extend(subscription.wait_for(&self.channel.link, usize::from(most)));
        let arrived = self.arrived.len();
        // Other consumers may have been quicker.
        let rest = if arrived - before >= usize::from(most) {
            subscription.cancel_full(&self.channel)?
        } else {
            subscription.cancel(connections, &self.channel, || held() + arrived)?
        };
        self.arrived.extend(rest);
        Ok(self.arrived.len() - before)
    }

    /// Publishes deliveries again, each by its route, and acks those that are confirmed. The others are returned, with the first error.
    pub fn republish<D: Borrow<Delivery>>(
        &self,
        connections: &AmqpConnections,
        deliveries: Vec<D>,
        route: impl for<'d> Fn(&'d Delivery) -> Result<Route<'d>>,
    ) -> (Vec<Unmoved<D>>, Option<Error>) {
        if deliveries.is_empty() {
            return (Vec::new(), None);
        }
        let published = (|| {
            let routes: Vec<Route<'_>> = deliveries.iter().map(|delivery| route(delivery.borrow())).collect::<Result<_>>()?;
            connections.publish(PublishRole::Move, &routes.iter().collect::<Vec<&Route<'_>>>())
        })();
        let (outcomes, error) = match published {
            Ok(outcomes) => {
                let error = first_error(&outcomes);
                (outcomes, error)
            }
            Err(error) => (Vec::new(), Some(error)),
        };
        let (mut moved, mut unmoved) = (Vec::new(), Vec::new());
        let mut outcomes = outcomes.into_iter();
        for delivery in deliveries {
            match outcomes.next() {
                Some(PublishOutcome::Confirmed) => moved.push(delivery.borrow().delivery_tag),
                Some(PublishOutcome::Unknown { late, .. }) => unmoved.push(Unmoved { delivery, late }),
                _ => unmoved.push(Unmoved { delivery, late: None }),
            }
        }
        (unmoved, error.or(self.channel.ack(moved).err()))
    }
}

/// Waits until one of these has a delivery or loses its subscription, at most until `deadline`.
pub fn wait_any<'a>(deliveries: impl Iterator<Item = &'a mut Deliveries>, deadline: Instant) {
    let mut watched: Vec<&mut Deliveries> = deliveries.collect();
    let link = watched.first().map(|deliveries| Arc::clone(&deliveries.channel.link));
    let any = std::future::poll_fn(|context| {
        // Each of them is polled, so that each wakes us.
        let mut is_ready = false;
        for deliveries in &mut watched {
            is_ready |= deliveries.poll(context);
        }
        if is_ready { Poll::Ready(()) } else { Poll::Pending }
    });
    // Nothing until the deadline is an answer too.
    let _ = match link {
        Some(link) => link.wait_for_delivery(deadline, any),
        None => wait::until(deadline, any),
    };
}
