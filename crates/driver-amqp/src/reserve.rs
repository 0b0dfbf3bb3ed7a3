//! `Broker::reserve` and `Broker::release_prefetched`. `docs/decisions/0007-amqp.md` says why it goes this way.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::job::Reservation;
use ferry_core::{ErrorKind, QueueName, Result};

use crate::connections::AmqpConnections;
use crate::deliveries::{Deliveries, wait_any};
use crate::names::{Names, QueueRole};
use crate::queue_deliveries::QueueDeliveries;
use crate::reserve_plan::prefetch_for;
use crate::topology::TopologyItem;
use crate::unacked::{ConsumerChannel, UnackedRegistry};

/// The longest wait of one call.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// How long to wait before a reservation that was cut goes on. A broker that is down answers none of these: that is the worker's to wait for.
const PAUSES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(100)];
/// The most jobs of one call.
const MAX_JOBS: usize = 10_000;

/// The deliveries of all queues that this process reserves from.
#[derive(Default)]
pub struct JobDeliveries {
    queues: HashMap<QueueName, QueueDeliveries>,
}

/// What one call asks of one queue.
#[derive(Clone, Copy)]
struct ReserveRequest {
    max: usize,
    /// The prefetch of a subscription that stays; `None` for a burst.
    prefetch: Option<u16>,
}

impl JobDeliveries {
    /// Takes up to `max` jobs from the first of `queues` that has any. When the broker ends the connection or a channel meanwhile (a
    /// shutdown, an operator, an internal error, a queue that has no leader for a moment), this goes on with a new one: nothing of this
    /// call is lost with it.
    pub fn reserve(
        &mut self,
        connections: &AmqpConnections,
        registry: &UnackedRegistry,
        queues: &[QueueName],
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Reservation>> {
        for pause in PAUSES {
            match self.try_reserve(connections, registry, queues, max, wait) {
                Err(error) if error.kind() == ErrorKind::Connection && self.was_cut(connections) => thread::sleep(pause),
                answer => return answer,
            }
        }
        self.try_reserve(connections, registry, queues, max, wait)
    }

    /// Whether the connection or a channel has ended. A broker that does not answer is no such case: asking again takes as long.
    fn was_cut(&self, connections: &AmqpConnections) -> bool {
        connections.consumer_broke() || self.queues.values().any(|queue| !queue.deliveries.channel.is_alive())
    }

    fn try_reserve(
        &mut self,
        connections: &AmqpConnections,
        registry: &UnackedRegistry,
        queues: &[QueueName],
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Reservation>> {
        if max == 0 || queues.is_empty() {
            return Ok(Vec::new());
        }
        let max = max.min(MAX_JOBS);
        // From the first look on, which may have to subscribe: over a slow link that takes longer than a short wait.
        let mut deadline = None;
        loop {
            for (at, queue) in queues.iter().enumerate() {
                // A lower queue wakes us with one message at most, so that its jobs are not held while those of higher queues run.
                let prefetch = (!wait.is_zero()).then(|| if at == 0 { prefetch_for(max) } else { 1 });
                let jobs = self.reserve_from(connections, registry, queue, ReserveRequest { max, prefetch })?;
                if !jobs.is_empty() {
                    return Ok(jobs);
                }
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + wait.min(MAX_WAIT));
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            self.wait(queues, deadline);
        }
    }

    fn reserve_from(
        &mut self,
        connections: &AmqpConnections,
        registry: &UnackedRegistry,
        queue: &QueueName,
        request: ReserveRequest,
    ) -> Result<Vec<Reservation>> {
        let deliveries = self.queue(connections, registry, queue)?;
        deliveries.last_used = Instant::now();
        if connections.take_retry_hint(queue) {
            deliveries.retry_queue.hint();
        }
        match request.prefetch {
            Some(prefetch) => deliveries.reserve_subscribed(connections, request.max, prefetch),
            None => deliveries.reserve_burst(connections, request.max),
        }
    }

    /// The deliveries of a queue, on a channel that is open.
    fn queue(
        &mut self,
        connections: &AmqpConnections,
        registry: &UnackedRegistry,
        queue: &QueueName,
    ) -> Result<&mut QueueDeliveries> {
        if self.queues.get(queue).is_none_or(QueueDeliveries::needs_new_channel) {
            if let Some(old) = self.queues.remove(queue) {
                registry.retire(&old.deliveries.channel);
            }
            let names = Arc::new(Names::of(queue)?);
            let link = connections.consumer()?;
            connections.ensure(&link, &names, &QUEUES)?;
            let channel = link.channel()?;
            let channel = Arc::new(ConsumerChannel::new(queue, names, link, channel));
            registry.add(Arc::clone(&channel));
            let new = QueueDeliveries::new(Deliveries::new(channel), connections.settings.retry_queue_period);
            self.queues.insert(queue.clone(), new);
        }
        Ok(self.queues.get_mut(queue).expect("it was there or was just inserted"))
    }

    /// Waits for a delivery, or until a retry queue is to be polled.
    fn wait(&mut self, queues: &[QueueName], deadline: Instant) {
        let mut watched: Vec<&mut QueueDeliveries> =
            self.queues.iter_mut().filter(|(queue, _)| queues.contains(queue)).map(|(_, deliveries)| deliveries).collect();
        let next_poll = watched.iter().map(|deliveries| deliveries.retry_queue.when_idle()).min();
        let until = next_poll.map_or(deadline, |poll| poll.min(deadline));
        wait_any(watched.iter_mut().map(|deliveries| &mut deliveries.deliveries), until);
    }

    /// Gives back the deliveries of queues that were not asked for since `idle`, and cancels their subscriptions.
    pub fn release_idle(&mut self, connections: &AmqpConnections, idle: Duration) {
        for deliveries in self.queues.values_mut().filter(|deliveries| deliveries.last_used.elapsed() >= idle) {
            // What cannot be given back now is kept, and the monitor tries again.
            let _ = deliveries.release(connections);
        }
    }

    /// Whether any queue has deliveries or a subscription.
    pub fn holds_any(&self) -> bool {
        self.queues.values().any(QueueDeliveries::holds_any)
    }

    /// Forgets all queues. Their deliveries go back to the broker when the channels close.
    pub fn forget(&mut self) {
        self.queues.clear();
    }
}

/// The two queues that every worker of a job queue needs.
pub const QUEUES: [TopologyItem; 2] = [TopologyItem::Queue(QueueRole::Main), TopologyItem::Queue(QueueRole::Retry)];
