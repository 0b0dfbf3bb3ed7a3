//! Taking jobs. `docs/decisions/0007-amqp.md` says why it goes this way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::job::{Due, Reservation};
use ferry_core::{Error, QueueName, Result, batch};
use lapin::message::Delivery;
use lapin::options::BasicGetOptions;

use crate::connections::{AmqpConnections, PublishRole};
use crate::names::{Names, QueueRole, short};
use crate::publisher::{Publish, PublishOutcome, trouble};
use crate::retry_queue::RetryQueuePoller;
use crate::subscription::Subscription;
use crate::topology::TopologyItem;
use crate::unacked::{ConsumerChannel, Unacked, UnackedRegistry};
use crate::{message, wait};

/// The longest wait of one call.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The deepest prefetch. Cancelling a consumer that was just sent more loses sight of some, see `stream`.
const DEEPEST: u16 = 256;
/// The most jobs of one call, whatever it is asked for.
const MOST: usize = 10_000;
/// An idle consumer is replaced so often, channel and all. One whose queue was removed and made again is not told so by RabbitMQ 3.10, and gets
/// nothing any more (seen on quorum queues).
const HEARING: Duration = Duration::from_secs(5);
/// How soon messages are moved again that could not be.
const AGAIN: Duration = Duration::from_secs(1);

/// All queues this process takes from.
#[derive(Default)]
pub struct JobDeliveries {
    places: HashMap<QueueName, QueueDeliveries>,
}

/// One queue.
struct QueueDeliveries {
    ledger: Arc<ConsumerChannel>,
    flow: Option<Subscription>,
    /// Delivered, not looked at.
    incoming: Vec<Delivery>,
    /// Fresh jobs that may be handed out.
    ready: VecDeque<Delivery>,
    /// To be moved, when the broker lets us.
    stuck: Vec<Delivery>,
    stuck_until: Instant,
    lone: RetryQueuePoller,
    touched: Instant,
    /// When a job last came.
    heard: Instant,
    /// The queue went away, or seems to have: a channel remembers the old one even when there is a new one of its name.
    stale: bool,
}

/// What one call wants of one queue.
#[derive(Clone, Copy)]
struct ReserveRequest {
    max: usize,
    /// The prefetch of a consumer that stays; `None` for a burst.
    keep: Option<u16>,
}

/// The prefetch for a worker that asks for `max`, in coarse steps: each change costs two round trips.
fn step(max: usize) -> u16 {
    [1, 4, 16, 64].into_iter().find(|step| usize::from(*step) >= max).unwrap_or(DEEPEST)
}

/// Whether a consumer of `now` messages is to be replaced by one of `wanted`. Small changes downwards are not worth it; one at a time is a
/// promise.
fn unfit(now: u16, wanted: u16) -> bool {
    wanted > now || (wanted == 1 && now > 1) || u32::from(wanted) * 16 <= u32::from(now)
}

impl JobDeliveries {
    /// Takes up to `max` jobs from the first of `queues` that has any.
    pub fn reserve(
        &mut self,
        hub: &AmqpConnections,
        shelf: &UnackedRegistry,
        queues: &[QueueName],
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Reservation>> {
        if max == 0 || queues.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        let max = max.min(MOST);
        loop {
            for (at, queue) in queues.iter().enumerate() {
                // Lower queues have a bell only, so that nothing of theirs lies here while higher jobs run.
                let keep = (!wait.is_zero()).then(|| if at == 0 { step(max) } else { 1 });
                let jobs = self.take_from(hub, shelf, queue, ReserveRequest { max, keep })?;
                if !jobs.is_empty() {
                    return Ok(jobs);
                }
            }
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            self.wait(queues, deadline);
        }
    }

    fn take_from(
        &mut self,
        hub: &AmqpConnections,
        shelf: &UnackedRegistry,
        queue: &QueueName,
        wish: ReserveRequest,
    ) -> Result<Vec<Reservation>> {
        let place = self.place(hub, shelf, queue)?;
        place.touched = Instant::now();
        if hub.take_hint(queue) {
            place.lone.hint();
        }
        match wish.keep {
            Some(prefetch) => place.take_steadily(hub, wish.max, prefetch),
            None => place.take_burst(hub, wish.max),
        }
    }

    /// The place of a queue, with a channel that lives.
    fn place(&mut self, hub: &AmqpConnections, shelf: &UnackedRegistry, queue: &QueueName) -> Result<&mut QueueDeliveries> {
        if self.places.get(queue).is_none_or(QueueDeliveries::is_worn_out) {
            if let Some(old) = self.places.remove(queue) {
                shelf.retire(&old.ledger);
            }
            let names = Names::of(queue)?;
            let link = hub.consumer()?;
            hub.ensure(&link, &names, &[TopologyItem::Queue(QueueRole::Fresh), TopologyItem::Queue(QueueRole::Again)])?;
            let channel = link.channel()?;
            let ledger = Arc::new(ConsumerChannel::new(queue, names, link, channel));
            shelf.put(Arc::clone(&ledger));
            self.places.insert(queue.clone(), QueueDeliveries::new(ledger, hub.settings.lone_period));
        }
        Ok(self.places.get_mut(queue).expect("it was there or was just made"))
    }

    /// Waits for a delivery, or until lone jobs should be looked for.
    fn wait(&mut self, queues: &[QueueName], deadline: Instant) {
        let mut watched: Vec<&mut QueueDeliveries> =
            self.places.iter_mut().filter(|(queue, _)| queues.contains(queue)).map(|(_, place)| place).collect();
        let looks = watched.iter().map(|place| place.lone.when_idle()).min();
        let until = looks.map_or(deadline, |look| look.min(deadline));
        wait::until(
            until,
            std::future::poll_fn(|context| {
                let mut woken = false;
                for place in &mut watched {
                    if let Some(Poll::Ready(delivery)) = place.flow.as_mut().map(|flow| flow.poll(context)) {
                        place.incoming.extend(delivery);
                        woken = true;
                    }
                }
                if woken { Poll::Ready(()) } else { Poll::Pending }
            }),
        );
    }

    /// Gives back what nobody asked for since `idle`, and ends its consumers.
    pub fn give_back_idle(&mut self, hub: &AmqpConnections, idle: Duration) {
        for place in self.places.values_mut().filter(|place| place.touched.elapsed() >= idle) {
            // What cannot be given back now stays where it is, and is tried again.
            let _ = place.give_back_all(hub);
        }
    }

    /// Whether anything lies here, or may come.
    pub fn is_open(&self) -> bool {
        self.places.values().any(|place| place.flow.is_some() || !place.ready.is_empty() || !place.stuck.is_empty())
    }

    /// Forgets all places. What they hold goes back to the broker when their channels close.
    pub fn forget(&mut self) {
        self.places.clear();
    }
}

impl QueueDeliveries {
    fn new(ledger: Arc<ConsumerChannel>, lone_period: Duration) -> Self {
        let now = Instant::now();
        Self {
            ledger,
            flow: None,
            incoming: Vec::new(),
            ready: VecDeque::new(),
            stuck: Vec::new(),
            stuck_until: now,
            lone: RetryQueuePoller::new(now, lone_period),
            touched: now,
            heard: now,
            stale: false,
        }
    }

    /// Whether to begin anew on another channel.
    fn is_worn_out(&self) -> bool {
        !self.ledger.is_alive() || (self.stale && self.flow.is_none() && self.ready.is_empty() && self.stuck.is_empty())
    }

    /// From a consumer that stays.
    fn take_steadily(&mut self, hub: &AmqpConnections, max: usize, prefetch: u16) -> Result<Vec<Reservation>> {
        self.pull(hub)?;
        self.fit(hub, prefetch)?;
        let now = Instant::now();
        // Without a consumer nobody knows whether there are fresh jobs, and they come first: a killer that is tried for ever must not keep
        // every new process to itself.
        let idle = self.flow.is_some() && self.ready.is_empty() && self.lone.is_due_when_idle(now);
        if idle && self.heard.elapsed() >= HEARING {
            self.stop(hub)?;
            if self.ready.is_empty() {
                // The next look begins anew, on another channel.
                self.stale = true;
                hub.forget_topology();
                return Ok(Vec::new());
            }
        }
        if (self.lone.is_due(now) || idle) && self.look_for_lone(hub)? {
            // What is held is handed out first; then nothing but lone jobs, one at a time.
            self.stop(hub)?;
        }
        if !self.ready.is_empty() {
            if self.flow.as_ref().is_some_and(|flow| flow.prefetch() == 1) && max > self.ready.len() {
                self.burst(hub, max - self.ready.len())?;
            }
            return Ok(self.hand_out(hub, max));
        }
        if self.flow.is_none() && self.lone.has_turn(now) {
            if let Some(job) = self.take_lone(hub)? {
                return Ok(vec![job]);
            }
            self.lone.looked(now, false);
        }
        if self.flow.is_none() {
            self.lone.end_turn();
            self.see_to_queue(hub)?;
            if self.stale {
                // The next look begins anew.
                return Ok(Vec::new());
            }
            self.flow = Some(Subscription::open(&self.ledger, prefetch)?);
            self.lone.defer(Instant::now());
        }
        Ok(Vec::new())
    }

    /// What is there now; nothing stays behind.
    fn take_burst(&mut self, hub: &AmqpConnections, max: usize) -> Result<Vec<Reservation>> {
        self.stop(hub)?;
        if self.ready.is_empty()
            && self.lone.is_due(Instant::now())
            && let Some(job) = self.take_lone_if_any(hub)?
        {
            return Ok(vec![job]);
        }
        if self.ready.is_empty() {
            self.burst(hub, max)?;
        }
        if !self.ready.is_empty() {
            return Ok(self.hand_out(hub, max));
        }
        Ok(self.take_lone_if_any(hub)?.into_iter().collect())
    }

    fn take_lone_if_any(&mut self, hub: &AmqpConnections) -> Result<Option<Reservation>> {
        if self.look_for_lone(hub)? { self.take_lone(hub) } else { Ok(None) }
    }

    /// Takes up to `most` fresh jobs into `ready`: consumers that are cancelled at once.
    fn burst(&mut self, hub: &AmqpConnections, most: usize) -> Result<()> {
        let mut open = most.min(self.see_to_queue(hub)? as usize);
        while open > 0 {
            let some = open.min(usize::from(DEEPEST));
            let came = self.drain_burst(hub, some)?;
            // Others were quicker, or this channel means a queue that is gone.
            self.stale |= came == 0;
            open = if came < some { 0 } else { open - some };
        }
        self.sort(hub)
    }

    fn drain_burst(&mut self, hub: &AmqpConnections, most: usize) -> Result<usize> {
        let before = self.incoming.len();
        let mut flow = Subscription::open(&self.ledger, u16::try_from(most).unwrap_or(DEEPEST))?;
        self.incoming.extend(flow.wait_for(most));
        // Others may have been quicker.
        let full = self.incoming.len() - before >= most;
        let rest = if full { flow.cancel_full(&self.ledger)? } else { flow.cancel(hub, &self.ledger, || self.unacked())? };
        self.incoming.extend(rest);
        Ok(self.incoming.len() - before)
    }

    /// How many fresh jobs there are. A queue that somebody removed is made again, if we may: to consume from none would close the channel, and
    /// lose what it holds.
    fn see_to_queue(&mut self, hub: &AmqpConnections) -> Result<u32> {
        if let Some(there) = hub.count(&self.ledger.names.fresh)? {
            return Ok(there);
        }
        self.stale = true;
        hub.forget_topology();
        hub.ensure(
            &self.ledger.link,
            &self.ledger.names,
            &[TopologyItem::Queue(QueueRole::Fresh), TopologyItem::Queue(QueueRole::Again)],
        )?;
        Ok(0)
    }

    /// Sorts what was delivered meanwhile.
    fn pull(&mut self, hub: &AmqpConnections) -> Result<()> {
        if let Some(flow) = &mut self.flow {
            self.incoming.extend(flow.take_all());
            if flow.has_ended() {
                // The queue was removed, or its node went away.
                self.flow = None;
                self.stale = true;
                hub.forget_topology();
            }
        }
        self.sort(hub)
    }

    /// Replaces a consumer whose prefetch does not suit.
    fn fit(&mut self, hub: &AmqpConnections, wanted: u16) -> Result<()> {
        if !self.flow.as_ref().is_some_and(|flow| unfit(flow.prefetch(), wanted)) {
            return Ok(());
        }
        let shrinks = self.flow.as_ref().is_some_and(|flow| wanted < flow.prefetch());
        self.stop(hub)?;
        if shrinks && self.ready.len() > usize::from(wanted) {
            let rest: Vec<Delivery> = self.ready.drain(usize::from(wanted)..).collect();
            self.give_back(hub, rest)?;
        }
        Ok(())
    }

    /// Fresh messages of this channel that are not acked, as far as they were looked at.
    fn unacked(&self) -> usize {
        let held = self.ledger.held().values().filter(|held| held.side == QueueRole::Fresh).count();
        held + self.incoming.len() + self.ready.len() + self.stuck.len()
    }

    /// Ends the consumer; what it brought is sorted.
    fn stop(&mut self, hub: &AmqpConnections) -> Result<()> {
        if let Some(flow) = self.flow.take() {
            let rest = flow.cancel(hub, &self.ledger, || self.unacked())?;
            self.incoming.extend(rest);
        }
        self.sort(hub)
    }

    /// Fresh jobs are ready; what was tried, or has one try, goes to the lone ones; what comes too early goes round again.
    fn sort(&mut self, hub: &AmqpConnections) -> Result<()> {
        let retry = !self.stuck.is_empty() && Instant::now() >= self.stuck_until;
        let mut aside = if retry { std::mem::take(&mut self.stuck) } else { Vec::new() };
        for delivery in self.incoming.drain(..) {
            if is_early(&delivery) || delivery.redelivered || has_one_try(&delivery) {
                aside.push(delivery);
            } else {
                self.ready.push_back(delivery);
            }
        }
        let Some(error) = self.move_aside(hub, aside) else { return Ok(()) };
        self.stuck_until = Instant::now() + AGAIN;
        // Others can be run meanwhile.
        if self.ready.is_empty() { Err(error) } else { Ok(()) }
    }

    fn move_aside(&mut self, hub: &AmqpConnections, deliveries: Vec<Delivery>) -> Option<Error> {
        if deliveries.is_empty() {
            return None;
        }
        self.lone.hint();
        let moved = deliveries.iter().map(|delivery| {
            let used = message::attempts(&delivery.properties);
            if is_early(delivery) {
                (QueueRole::Fresh, due_of(delivery), used)
            } else if has_one_try(delivery) {
                // It is never started from here, so its redelivery says nothing.
                (QueueRole::Again, Due::Now, used)
            } else {
                (QueueRole::Again, Due::Now, used.saturating_add(1))
            }
        });
        let moved: Vec<_> = moved.collect();
        self.republish(hub, deliveries, &moved)
    }

    /// Publishes deliveries anew, and acks what is confirmed. The rest is stuck.
    fn republish(&mut self, hub: &AmqpConnections, deliveries: Vec<Delivery>, to: &[(QueueRole, Due, u32)]) -> Option<Error> {
        let names = &self.ledger.names;
        let sent = (|| {
            let (mut items, mut needs) = (Vec::new(), Vec::new());
            for (delivery, (side, due, attempts)) in deliveries.iter().zip(to) {
                let route = hub.route(names, *side, *due, message::with_attempts(&delivery.properties, *attempts))?;
                if !needs.contains(&(names.clone(), route.need)) {
                    needs.push((names.clone(), route.need));
                }
                // Never through a configured exchange: it might hand copies to others.
                let exchange = if matches!(route.need, TopologyItem::Delay(..)) { route.exchange } else { String::new() };
                items.push(Publish { exchange, key: route.key, body: &delivery.data, properties: route.properties });
            }
            hub.send(PublishRole::Move, &items, &needs)
        })();
        let (fates, error) = match sent {
            Ok(fates) => {
                let error = trouble(&fates);
                (fates, error)
            }
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut done = Vec::new();
        for (at, delivery) in deliveries.into_iter().enumerate() {
            if fates.get(at) == Some(&PublishOutcome::Confirmed) {
                done.push(delivery.delivery_tag);
            } else {
                self.stuck.push(delivery);
            }
        }
        error.or(self.ledger.ack(done).err())
    }

    /// Puts jobs that were never handed out behind the ready ones of the broker.
    fn give_back(&mut self, hub: &AmqpConnections, deliveries: Vec<Delivery>) -> Result<()> {
        let to: Vec<_> =
            deliveries.iter().map(|delivery| (QueueRole::Fresh, Due::Now, message::attempts(&delivery.properties))).collect();
        let before = self.stuck.len();
        let error = if deliveries.is_empty() { None } else { self.republish(hub, deliveries, &to) };
        // These are as good as before: they may be handed out.
        self.ready.extend(self.stuck.drain(before..));
        error.map_or(Ok(()), Err)
    }

    /// Everything that lies here goes back.
    fn give_back_all(&mut self, hub: &AmqpConnections) -> Result<()> {
        if !self.ledger.is_alive() {
            (self.flow, self.incoming, self.stuck) = (None, Vec::new(), Vec::new());
            self.ready.clear();
            return Ok(());
        }
        self.stop(hub)?;
        let rest: Vec<Delivery> = self.ready.drain(..).collect();
        self.give_back(hub, rest)
    }

    fn hand_out(&mut self, hub: &AmqpConnections, max: usize) -> Vec<Reservation> {
        self.heard = Instant::now();
        let count = max.min(self.ready.len());
        let jobs: Vec<Delivery> = self.ready.drain(..count).collect();
        jobs.into_iter().map(|delivery| self.reservation(hub, delivery, QueueRole::Fresh)).collect()
    }

    fn reservation(&self, hub: &AmqpConnections, delivery: Delivery, side: QueueRole) -> Reservation {
        let attempts = message::attempts(&delivery.properties);
        let held = Unacked {
            side,
            attempts,
            properties: delivery.properties,
            body: delivery.data.clone(),
            since: Instant::now(),
            warned: false,
        };
        let claim = self.ledger.hand_out(delivery.delivery_tag, held);
        let attempts = Some(attempts.saturating_add(1));
        Reservation { claim, body: delivery.data, attempts, number: None, reserved_at: hub.now() }
    }

    fn look_for_lone(&mut self, hub: &AmqpConnections) -> Result<bool> {
        let found = hub.count(&self.ledger.names.again)?.is_some_and(|count| count > 0);
        self.lone.looked(Instant::now(), found);
        Ok(found)
    }

    /// The next lone job. One that comes redelivered was started by somebody who died: that is written down before it is started again.
    fn take_lone(&mut self, hub: &AmqpConnections) -> Result<Option<Reservation>> {
        loop {
            let get = self.ledger.channel.basic_get(short(&self.ledger.names.again), BasicGetOptions::default());
            let Some(got) = self.ledger.link.ask(get)? else { return Ok(None) };
            let delivery = got.delivery;
            let used = message::attempts(&delivery.properties);
            let to = if is_early(&delivery) {
                (QueueRole::Again, due_of(&delivery), used)
            } else if delivery.redelivered {
                (QueueRole::Again, Due::Now, used.saturating_add(1))
            } else {
                return Ok(Some(self.reservation(hub, delivery, QueueRole::Again)));
            };
            self.move_lone(hub, delivery, to)?;
        }
    }

    fn move_lone(&mut self, hub: &AmqpConnections, delivery: Delivery, to: (QueueRole, Due, u32)) -> Result<()> {
        let before = self.stuck.len();
        let Some(error) = self.republish(hub, vec![delivery], &[to]) else { return Ok(()) };
        // It stays where it was, still redelivered, so that it is counted when the broker takes publishes again.
        for delivery in self.stuck.drain(before..) {
            self.ledger.requeue(delivery.delivery_tag)?;
        }
        Err(error)
    }
}

fn is_early(delivery: &Delivery) -> bool {
    message::due(&delivery.properties).is_some_and(|second| second > SystemClock.now())
}

fn due_of(delivery: &Delivery) -> Due {
    message::due(&delivery.properties).map_or(Due::Now, Due::At)
}

fn has_one_try(delivery: &Delivery) -> bool {
    batch::stands_alone(message::attempts(&delivery.properties), &delivery.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefetch_follows_in_coarse_steps_and_one_means_one() {
        assert_eq!([1, 2, 4, 5, 64, 65, 1000, 10_000].map(step), [1, 4, 4, 16, 64, 256, 256, 256]);
        assert!(unfit(4, 16) && unfit(64, 1) && unfit(4, 1) && unfit(64, 4));
        assert!(!unfit(64, 64) && !unfit(64, 16) && !unfit(16, 4) && !unfit(1, 1));
    }
}
