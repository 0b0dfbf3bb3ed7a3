//! The jobs of one queue as they are delivered: which may be handed out, which go to the retry queue, which go back.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::job::{Due, Reservation};
use ferry_core::{Error, Result, batch};
use lapin::message::Delivery;
use lapin::options::BasicGetOptions;

use crate::connections::AmqpConnections;
use crate::deliveries::{Deliveries, Unmoved};
use crate::message;
use crate::names::{QueueRole, short};
use crate::publisher::{LateConfirm, LateState};
use crate::reserve::QUEUES;
use crate::reserve_plan::{MAX_PREFETCH, PlanStep, View, next_step};
use crate::retry_queue::RetryQueuePoller;
use crate::unacked::Unacked;

/// An idle subscription is replaced this often, channel and all. RabbitMQ 3.10 does not tell a consumer of a quorum queue that its queue
/// was removed and made again, and delivers nothing to it any more.
const MAX_SILENCE: Duration = Duration::from_secs(5);
/// The pause before deliveries that could not be moved are moved again.
const MOVE_AGAIN: Duration = Duration::from_secs(1);

/// Where a delivery is published again, and with which counts.
#[derive(Clone, Copy)]
struct Target {
    role: QueueRole,
    due: Due,
    attempts: u32,
    presumed: u32,
}

/// The deliveries of one queue.
pub struct QueueDeliveries {
    pub deliveries: Deliveries,
    pub retry_queue: RetryQueuePoller,
    pub last_used: Instant,
    /// Jobs that may be handed out.
    ready: VecDeque<Delivery>,
    /// Deliveries to be moved when the broker accepts it, and the queue they came from.
    unmoved: Vec<(QueueRole, Unmoved)>,
    move_at: Instant,
    last_job: Instant,
    /// The queue was removed, or seems to be. A channel keeps to the removed one even when there is a new one of that name.
    is_stale: bool,
}

impl QueueDeliveries {
    pub fn new(deliveries: Deliveries, retry_queue_period: Duration) -> Self {
        let now = Instant::now();
        Self {
            deliveries,
            retry_queue: RetryQueuePoller::new(now, retry_queue_period),
            last_used: now,
            ready: VecDeque::new(),
            unmoved: Vec::new(),
            move_at: now,
            last_job: now,
            is_stale: false,
        }
    }

    /// Whether to begin anew on another channel.
    pub fn needs_new_channel(&self) -> bool {
        !self.deliveries.channel.was_alive() || (self.is_stale && !self.holds_any())
    }

    /// Whether there are deliveries or a subscription.
    pub fn holds_any(&self) -> bool {
        self.deliveries.prefetch().is_some() || !self.ready.is_empty() || !self.unmoved.is_empty()
    }

    /// Takes jobs by a subscription that stays.
    pub fn reserve_subscribed(&mut self, connections: &AmqpConnections, max: usize, prefetch: u16) -> Result<Vec<Reservation>> {
        self.collect(connections)?;
        let mut is_filled_up = false;
        loop {
            match next_step(&self.view(max, prefetch, is_filled_up)) {
                PlanStep::Resize => self.resize(connections, prefetch)?,
                PlanStep::Replace => self.replace(connections)?,
                PlanStep::PollRetryQueue => {
                    if self.poll_retry_queue(connections)? {
                        self.unsubscribe(connections)?;
                    }
                }
                PlanStep::FillUp(missing) => {
                    self.take_burst(connections, missing)?;
                    is_filled_up = true;
                }
                PlanStep::HandOut => return Ok(self.hand_out(connections, max)),
                PlanStep::TakeFromRetryQueue => match self.take_from_retry_queue(connections)? {
                    Some(job) => return Ok(vec![job]),
                    None => self.retry_queue.polled(Instant::now(), false),
                },
                PlanStep::Subscribe => self.subscribe(connections, prefetch)?,
                PlanStep::Wait => return Ok(Vec::new()),
            }
        }
    }

    fn view(&self, max: usize, wanted: u16, is_filled_up: bool) -> View {
        let now = Instant::now();
        View {
            prefetch: self.deliveries.prefetch(),
            wanted,
            max,
            ready: self.ready.len(),
            is_stale: self.is_stale,
            is_silent: self.last_job.elapsed() >= MAX_SILENCE,
            is_filled_up,
            retry_due: self.retry_queue.is_due(now),
            retry_due_when_idle: self.retry_queue.is_due_when_idle(now),
            retry_turn: self.retry_queue.has_turn(now),
        }
    }

    /// Takes what is there now; no subscription stays.
    pub fn reserve_burst(&mut self, connections: &AmqpConnections, max: usize) -> Result<Vec<Reservation>> {
        self.unsubscribe(connections)?;
        if self.ready.is_empty()
            && self.retry_queue.is_due(Instant::now())
            && let Some(job) = self.take_if_retry_queue_has_any(connections)?
        {
            return Ok(vec![job]);
        }
        if self.ready.is_empty() {
            self.take_burst(connections, max)?;
        }
        if !self.ready.is_empty() {
            return Ok(self.hand_out(connections, max));
        }
        Ok(self.take_if_retry_queue_has_any(connections)?.into_iter().collect())
    }

    fn take_if_retry_queue_has_any(&mut self, connections: &AmqpConnections) -> Result<Option<Reservation>> {
        if self.poll_retry_queue(connections)? { self.take_from_retry_queue(connections) } else { Ok(None) }
    }

    /// Takes up to `most` jobs of the main queue into `ready`.
    fn take_burst(&mut self, connections: &AmqpConnections, most: usize) -> Result<()> {
        let mut left = most.min(self.count_main_queue(connections)? as usize);
        while left > 0 {
            let window = left.min(usize::from(MAX_PREFETCH));
            let held = self.unacked_elsewhere();
            let came = self.deliveries.drain_burst(connections, u16::try_from(window).unwrap_or(MAX_PREFETCH), || held)?;
            // Other consumers were quicker, or the channel keeps to a queue that was removed.
            self.is_stale |= came == 0;
            left = if came < window { 0 } else { left - window };
        }
        self.sort(connections)
    }

    /// How many jobs the main queue has. A queue that was removed is declared again, if that is allowed: to subscribe to a missing queue
    /// would close the channel, and with it lose what it holds.
    fn count_main_queue(&mut self, connections: &AmqpConnections) -> Result<u32> {
        let channel = &self.deliveries.channel;
        if let Some(count) = connections.count(&channel.names.main)? {
            return Ok(count);
        }
        self.is_stale = true;
        connections.forget_topology();
        connections.ensure(&channel.link, &channel.names, &QUEUES)?;
        Ok(0)
    }

    /// Takes over and sorts what has arrived.
    fn collect(&mut self, connections: &AmqpConnections) -> Result<()> {
        if !self.deliveries.collect() {
            // The queue was removed, or its node went down.
            self.deliveries.drop_subscription();
            self.is_stale = true;
            connections.forget_topology();
        }
        self.sort(connections)
    }

    /// Cancels a subscription whose prefetch does not suit, and gives back what is too much.
    fn resize(&mut self, connections: &AmqpConnections, wanted: u16) -> Result<()> {
        let shrinks = self.deliveries.prefetch().is_some_and(|now| wanted < now);
        self.unsubscribe(connections)?;
        if shrinks && self.ready.len() > usize::from(wanted) {
            let rest: Vec<Delivery> = self.ready.drain(usize::from(wanted)..).collect();
            self.give_back(connections, rest)?;
        }
        Ok(())
    }

    /// Cancels a silent subscription; the next call begins on another channel, unless jobs came after all.
    fn replace(&mut self, connections: &AmqpConnections) -> Result<()> {
        self.unsubscribe(connections)?;
        if self.ready.is_empty() {
            self.is_stale = true;
            connections.forget_topology();
        }
        Ok(())
    }

    fn subscribe(&mut self, connections: &AmqpConnections, prefetch: u16) -> Result<()> {
        self.retry_queue.end_turn();
        self.count_main_queue(connections)?;
        if !self.is_stale {
            self.deliveries.subscribe(prefetch)?;
            self.retry_queue.defer(Instant::now());
        }
        Ok(())
    }

    /// Cancels the subscription; what it brought is sorted.
    fn unsubscribe(&mut self, connections: &AmqpConnections) -> Result<()> {
        let held = self.unacked_elsewhere();
        self.deliveries.cancel(connections, || held)?;
        self.sort(connections)
    }

    /// Unacked messages of the main queue that are not in `arrived`.
    fn unacked_elsewhere(&self) -> usize {
        let handed_out = self.deliveries.channel.held().values().filter(|job| job.role == QueueRole::Main).count();
        let unmoved = self.unmoved.iter().filter(|(role, _)| *role == QueueRole::Main).count();
        handed_out + self.ready.len() + unmoved
    }

    /// Sorts what has arrived. A job that was tried, or has one try, goes to the retry queue; one that is not due goes back to the
    /// delays; the others are ready.
    fn sort(&mut self, connections: &AmqpConnections) -> Result<()> {
        let mut to_move = if Instant::now() >= self.move_at { self.take_unmoved()? } else { Vec::new() };
        for delivery in self.deliveries.arrived.drain(..) {
            if is_early(&delivery) || delivery.redelivered || has_one_try(&delivery) {
                to_move.push(delivery);
            } else {
                self.ready.push_back(delivery);
            }
        }
        if to_move.is_empty() {
            return Ok(());
        }
        self.retry_queue.hint();
        let Some(error) = self.move_on(connections, to_move) else { return Ok(()) };
        self.move_at = Instant::now() + MOVE_AGAIN;
        // The others can be run meanwhile.
        if self.ready.is_empty() { Err(error) } else { Ok(()) }
    }

    /// Of the deliveries that could not be moved, those to be moved again. One whose confirm came after all is acked.
    fn take_unmoved(&mut self) -> Result<Vec<Delivery>> {
        let (mut again, mut moved, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for (role, unmoved) in std::mem::take(&mut self.unmoved) {
            match (unmoved.late.as_ref().map(LateConfirm::poll), role) {
                (Some(LateState::Confirmed), _) => moved.push(unmoved.delivery.delivery_tag),
                (Some(LateState::Waiting), _) => waiting.push((role, unmoved)),
                (Some(LateState::Gone) | None, QueueRole::Main) => again.push(unmoved.delivery),
                (Some(LateState::Gone) | None, QueueRole::Retry) => {
                    self.deliveries.channel.requeue(unmoved.delivery.delivery_tag)?;
                }
            }
        }
        self.unmoved = waiting;
        self.deliveries.channel.ack(moved)?;
        Ok(again)
    }

    fn move_on(&mut self, connections: &AmqpConnections, deliveries: Vec<Delivery>) -> Option<Error> {
        let (unmoved, error) = self.republish(connections, deliveries, |delivery| {
            let used = message::attempts(&delivery.properties);
            if is_early(delivery) {
                Target { role: QueueRole::Main, due: due_of(delivery), attempts: used, presumed: 0 }
            } else if has_one_try(delivery) {
                // It is never started from the main queue, so its redelivery says nothing.
                Target { role: QueueRole::Retry, due: Due::Now, attempts: used, presumed: 0 }
            } else {
                // The worker takes the attempt back if the handler class allows one try: see `settle::isolate`.
                Target { role: QueueRole::Retry, due: Due::Now, attempts: used.saturating_add(1), presumed: 1 }
            }
        });
        self.unmoved.extend(unmoved.into_iter().map(|unmoved| (QueueRole::Main, unmoved)));
        error
    }

    /// Publishes deliveries again, to the queue, at the time and with the attempts that `target` says.
    fn republish(
        &self,
        connections: &AmqpConnections,
        deliveries: Vec<Delivery>,
        target: impl Fn(&Delivery) -> Target,
    ) -> (Vec<Unmoved>, Option<Error>) {
        let names = &self.deliveries.channel.names;
        self.deliveries.republish(connections, deliveries, |delivery| {
            let Target { role, due, attempts, presumed } = target(delivery);
            let properties = message::with_presumed(message::with_attempts(&delivery.properties, attempts), presumed);
            connections.job_route(names, role, due, properties, Cow::Borrowed(&delivery.data))
        })
    }

    /// Publishes jobs that were never handed out behind the ready ones of the main queue.
    fn give_back(&mut self, connections: &AmqpConnections, deliveries: Vec<Delivery>) -> Result<()> {
        let (unmoved, error) = self.republish(connections, deliveries, |delivery| Target {
            role: QueueRole::Main,
            due: Due::Now,
            attempts: message::attempts(&delivery.properties),
            presumed: 0,
        });
        // Those that will certainly not be stored later may be handed out after all.
        for unmoved in unmoved {
            match unmoved.late {
                None => self.ready.push_back(unmoved.delivery),
                Some(_) => self.unmoved.push((QueueRole::Main, unmoved)),
            }
        }
        error.map_or(Ok(()), Err)
    }

    /// Cancels the subscription and gives back everything that was not handed out.
    pub fn release(&mut self, connections: &AmqpConnections) -> Result<()> {
        if !self.deliveries.channel.is_alive() {
            self.deliveries.drop_subscription();
            self.deliveries.arrived.clear();
            self.unmoved.clear();
            self.ready.clear();
            return Ok(());
        }
        self.unsubscribe(connections)?;
        let rest: Vec<Delivery> = self.ready.drain(..).collect();
        self.give_back(connections, rest)
    }

    fn hand_out(&mut self, connections: &AmqpConnections, max: usize) -> Vec<Reservation> {
        self.last_job = Instant::now();
        let count = max.min(self.ready.len());
        let jobs: Vec<Delivery> = self.ready.drain(..count).collect();
        jobs.into_iter().map(|delivery| self.reservation(connections, delivery, QueueRole::Main)).collect()
    }

    fn reservation(&self, connections: &AmqpConnections, delivery: Delivery, role: QueueRole) -> Reservation {
        let attempts = message::attempts(&delivery.properties);
        let job = Unacked {
            role,
            attempts,
            presumed: message::presumed(&delivery.properties),
            properties: delivery.properties,
            body: delivery.data.clone(),
            since: Instant::now(),
            warned: false,
            unsettled: None,
        };
        let claim = self.deliveries.channel.hand_out(delivery.delivery_tag, job);
        let attempts = Some(attempts.saturating_add(1));
        Reservation { claim, body: delivery.data, attempts, number: None, reserved_at: connections.now() }
    }

    /// Whether the retry queue has jobs.
    fn poll_retry_queue(&mut self, connections: &AmqpConnections) -> Result<bool> {
        let found = connections.count(&self.deliveries.channel.names.retry)?.is_some_and(|count| count > 0);
        self.retry_queue.polled(Instant::now(), found);
        Ok(found)
    }

    /// The next job of the retry queue. One that is redelivered was started by a worker that died: that is counted before it is started
    /// again.
    fn take_from_retry_queue(&mut self, connections: &AmqpConnections) -> Result<Option<Reservation>> {
        loop {
            let channel = &self.deliveries.channel;
            let get = channel.channel.basic_get(short(&channel.names.retry), BasicGetOptions::default());
            let Some(got) = channel.link.request(get)? else { return Ok(None) };
            let delivery = got.delivery;
            let used = message::attempts(&delivery.properties);
            let target = if is_early(&delivery) {
                let presumed = message::presumed(&delivery.properties);
                Target { role: QueueRole::Retry, due: due_of(&delivery), attempts: used, presumed }
            } else if delivery.redelivered {
                Target { role: QueueRole::Retry, due: Due::Now, attempts: used.saturating_add(1), presumed: 0 }
            } else {
                return Ok(Some(self.reservation(connections, delivery, QueueRole::Retry)));
            };
            self.move_within_retry_queue(connections, delivery, target)?;
        }
    }

    fn move_within_retry_queue(&mut self, connections: &AmqpConnections, delivery: Delivery, target: Target) -> Result<()> {
        let (unmoved, error) = self.republish(connections, vec![delivery], |_| target);
        // It goes back to its place, still redelivered, so that it is counted when the broker accepts publishes again.
        for unmoved in unmoved {
            match unmoved.late {
                None => self.deliveries.channel.requeue(unmoved.delivery.delivery_tag)?,
                Some(_) => self.unmoved.push((QueueRole::Retry, unmoved)),
            }
        }
        error.map_or(Ok(()), Err)
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
