//! Tasks of several queues as they are delivered, the highest queue first, and how they are settled.

use std::borrow::{Borrow, Cow};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::broker::tasks::ForeignMessage;
use ferry_core::clock::{Clock, SystemClock};
use ferry_core::task::{self, Arrival, ForeignArrival, Task, TaskLevel, Turns};
use ferry_core::{Error, ErrorKind, QueueName, Result};
use lapin::BasicProperties;
use lapin::message::Delivery;

use super::publish::{self, CrashMark, DeliveredTask};
use super::{Tasks, foreign};
use crate::connections::{AmqpConnections, PublishRole};
use crate::deliveries::{Deliveries, wait_any};
use crate::link::AmqpLink;
use crate::names::Names;
use crate::route::Route;
use crate::topology::TopologyItem;
use crate::unacked::ConsumerChannel;

/// What to consume.
#[derive(Debug, Clone)]
pub struct Options {
    /// The queues, the highest first.
    pub queues: Vec<String>,
    /// Tasks held of each queue.
    pub prefetch: u16,
    /// Whether a decoder is asked about messages that are no tasks.
    pub has_decoder: bool,
}

/// A message that came.
#[derive(Debug)]
pub enum Incoming {
    /// A task to be run.
    Task(Box<HeldTask>),
    /// It had expired: it is a dead letter now.
    Expired(Task),
    /// It was no task: it is a dead letter now, unchanged.
    Poison {
        /// The message id, if it had one.
        id: String,
        /// Why it is no task.
        why: String,
    },
    /// Its worker died: it was published again, with so many failed executions.
    Counted(Task, i64),
    /// The same on its last try: it gets one more run.
    LastChance(Task),
    /// Its workers died too often: it is a dead letter now.
    CrashLoop(Task),
    /// It is no task, but a decoder may know it.
    Foreign(Box<HeldMessage>),
}

/// A message that is ours and no task.
#[derive(Debug)]
pub struct HeldMessage {
    /// What a decoder is told.
    pub message: ForeignMessage,
    queue: usize,
    delivery: Delivery,
}

/// A task that is ours.
#[derive(Debug)]
pub struct HeldTask {
    /// The task.
    pub task: Task,
    /// Its bytes, unpacked.
    pub body: Vec<u8>,
    packed: bool,
    /// A decoder made it of a message that was no task, so its bytes are not those of the delivery.
    is_decoded: bool,
    queue: usize,
    delivery: Delivery,
}

/// One queue.
struct Source {
    deliveries: Deliveries,
    /// Its last held task was taken, and nobody looked whether the queue has more.
    is_drained: bool,
}

/// The consumer of tasks. It belongs to one thread.
pub struct TaskDeliveries {
    tasks: Arc<Tasks>,
    link: Arc<AmqpLink>,
    sources: Vec<Source>,
    turns: Turns,
    prefetch: u16,
    has_decoder: bool,
}

impl TaskDeliveries {
    /// Subscribes to the queues.
    pub fn open(tasks: &Arc<Tasks>, options: &Options) -> Result<Self> {
        tasks.prepare_consumer(&options.queues)?;
        let link = tasks.connections.consumer()?;
        let mut sources = Vec::with_capacity(options.queues.len());
        for queue in &options.queues {
            let queue = QueueName::new(queue.as_bytes())?;
            let names = Arc::new(Names::of(&queue)?);
            if TaskLevel::named(queue.as_str()).is_some() {
                tasks.connections.ensure(&link, &names, &[TopologyItem::Tasks])?;
            }
            let channel = ConsumerChannel::new(&queue, names, Arc::clone(&link), link.channel()?);
            let mut deliveries = Deliveries::new(Arc::new(channel));
            deliveries.subscribe(options.prefetch).map_err(|error| error.within(format!("consume `{queue}`")))?;
            sources.push(Source { deliveries, is_drained: false });
        }
        let Options { prefetch, has_decoder, .. } = *options;
        Ok(Self { tasks: Arc::clone(tasks), link, sources, turns: Turns::default(), prefetch, has_decoder })
    }

    /// The next message, waiting up to `wait`. `stamp` gives the time as `Y-m-d H:i:s`.
    ///
    /// What needs no run is settled when it is returned. After an error of publishing it is still held and comes again.
    pub fn next(&mut self, wait: Duration, stamp: &dyn Fn() -> String) -> Result<Option<Incoming>> {
        while let Some((queue, delivery)) = self.take(wait)? {
            let now = SystemClock.now();
            match self.read(&delivery, now) {
                Ok((task, body, packed)) => {
                    let held = HeldTask { task, body, packed, is_decoded: false, queue, delivery };
                    return self.hold(held, now, stamp).map(Some);
                }
                Err(error) => {
                    if let Some(incoming) = self.unreadable(queue, delivery, error.to_string())? {
                        return Ok(Some(incoming));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The message stands for the task with these bytes.
    pub fn accept(&mut self, held: HeldMessage, body: Vec<u8>, stamp: &dyn Fn() -> String) -> Result<Incoming> {
        let (HeldMessage { queue, delivery, .. }, now) = (held, SystemClock.now());
        match Task::decode(&body, None, now) {
            Ok(task) => self.hold(HeldTask { task, body, packed: false, is_decoded: true, queue, delivery }, now, stamp),
            Err(error) => self.bury(queue, delivery, error.to_string()),
        }
    }

    /// Holds a task that is to be run, and settles any other.
    fn hold(&mut self, held: HeldTask, now: i64, stamp: &dyn Fn() -> String) -> Result<Incoming> {
        match self.settle_unless_runnable(&held, now, stamp) {
            Ok(None) => Ok(Incoming::Task(Box::new(held))),
            Ok(Some(incoming)) => Ok(incoming),
            Err(error) => self.keep(held.queue, held.delivery, error),
        }
    }

    /// What becomes of a message that is no task. `None`: it was published again, to come alone.
    fn unreadable(&mut self, queue: usize, delivery: Delivery, why: String) -> Result<Option<Incoming>> {
        // Nobody is asked about what cannot be unpacked, or is too large.
        let Some(body) = Some(&delivery).filter(|_| self.has_decoder).and_then(|delivery| self.unpacked(delivery).ok()) else {
            return self.bury(queue, delivery, why).map(Some);
        };
        let name = self.sources[queue].deliveries.channel.queue.clone();
        let properties = &delivery.properties;
        let prepared = match task::foreign_arrival(delivery.redelivered, CrashMark::of(properties) != CrashMark::None) {
            ForeignArrival::Decode => Ok(()),
            ForeignArrival::DecodeCounted => self.release_others(),
            ForeignArrival::CrashLoop => {
                let why = format!("every worker that held the message died before it was decoded ({why})");
                return self.bury(queue, delivery, why).map(Some);
            }
            ForeignArrival::Mark => {
                let marked = publish::marked(&delivery.data, properties, name.as_str());
                return match marked.and_then(|route| self.settle(queue, &delivery, route)) {
                    Ok(()) => Ok(None),
                    Err(error) => self.keep(queue, delivery, error),
                };
            }
        };
        if let Err(error) = prepared {
            return self.keep(queue, delivery, error);
        }
        let message = foreign::message(&delivery, name.as_str(), body.0, why);
        Ok(Some(Incoming::Foreign(Box::new(HeldMessage { message, queue, delivery }))))
    }

    /// A message that is no task becomes a dead letter, unchanged.
    fn bury(&mut self, queue: usize, delivery: Delivery, why: String) -> Result<Incoming> {
        let poison = publish::poison(&delivery.data, &delivery.properties, &why);
        match poison.and_then(|route| self.settle(queue, &delivery, route)) {
            Ok(()) => Ok(Incoming::Poison { id: foreign::id(&delivery.properties), why }),
            Err(error) => self.keep(queue, delivery, error),
        }
    }

    /// Keeps a delivery that could not be settled, to be tried first.
    fn keep<T>(&mut self, queue: usize, delivery: Delivery, error: Error) -> Result<T> {
        self.sources[queue].deliveries.arrived.push_front(delivery);
        Err(error)
    }

    /// The task is done.
    pub fn done(&self, held: &HeldTask) -> Result<()> {
        self.ack(held.queue, &held.delivery)
    }

    /// The task runs again in `pause` seconds. `body` has its count raised.
    pub fn retry(&self, held: &HeldTask, body: &[u8], pause: i64) -> Result<()> {
        let now = SystemClock.now();
        // The handler may have given it another priority.
        let task = Task::decode(body, Some(&held.task.id), now)?;
        let delivered = DeliveredTask { task: &task, packed: held.packed, properties: &held.delivery.properties };
        let route = publish::later(delivered, packed(body, held.packed), pause, now)?;
        self.settle(held.queue, &held.delivery, route)
    }

    /// The task failed for good: one dead letter, confirmed, then the ack. `body` has its count raised.
    pub fn dead(&self, held: &HeldTask, body: &[u8], message: &str, trace: &str, stamp: &str) -> Result<()> {
        self.settle(held.queue, &held.delivery, publish::dead(task::dead_body(body, message, trace, stamp), None)?)
    }

    /// PHP cannot read the task after all: it becomes a dead letter, unchanged.
    pub fn poison(&self, held: &HeldTask, why: &str) -> Result<()> {
        self.poison_delivery(held.queue, &held.delivery, why)
    }

    /// No decoder knows the message: it becomes a dead letter, unchanged.
    pub fn poison_message(&self, held: &HeldMessage, why: &str) -> Result<()> {
        self.poison_delivery(held.queue, &held.delivery, why)
    }

    fn poison_delivery(&self, queue: usize, delivery: &Delivery, why: &str) -> Result<()> {
        self.settle(queue, delivery, publish::poison(&delivery.data, &delivery.properties, why)?)
    }

    /// The task was not started: it goes back to its queue, and nothing is counted.
    pub fn give_back(&self, held: &HeldTask) -> Result<()> {
        self.give_back_delivery(held.queue, &held.delivery)
    }

    /// The message was not decoded: it goes back to its queue.
    pub fn give_back_message(&self, held: &HeldMessage) -> Result<()> {
        self.give_back_delivery(held.queue, &held.delivery)
    }

    fn give_back_delivery(&self, queue: usize, delivery: &Delivery) -> Result<()> {
        let (_, error) = self.put_back(queue, vec![delivery]);
        error.map_or(Ok(()), Err)
    }

    /// Stops consuming. What was not started goes back.
    pub fn close(mut self) -> Result<()> {
        let mut first = Ok(());
        for at in 0..self.sources.len() {
            let ended = self.end(at);
            if first.is_ok() {
                first = ended;
            }
        }
        first
    }

    /// Cancels the subscription of a queue and gives back what it delivered. The channel stays open for the running task.
    fn end(&mut self, at: usize) -> Result<()> {
        let source = &mut self.sources[at];
        // The running task is not counted; then one delivery more is waited for than can come, for a moment.
        source.deliveries.cancel(&self.tasks.connections, || 0)?;
        source.is_drained = false;
        let held: Vec<Delivery> = source.deliveries.arrived.drain(..).collect();
        let (unmoved, error) = self.put_back(at, held);
        self.sources[at].deliveries.arrived.extend(unmoved);
        error.map_or(Ok(()), Err)
    }

    /// Gives back everything beside the running task: should that one kill us, nothing else is redelivered. The next `take` subscribes
    /// again.
    fn release_others(&mut self) -> Result<()> {
        (0..self.sources.len()).try_for_each(|at| self.end(at))
    }

    /// Publishes deliveries to their queue again. Those that could not be published are returned.
    fn put_back<D: Borrow<Delivery>>(&self, at: usize, held: Vec<D>) -> (Vec<D>, Option<Error>) {
        let source = &self.sources[at].deliveries;
        let (now, queue) = (SystemClock.now(), source.channel.queue.as_str());
        let (unmoved, error) = source.republish(&self.tasks.connections, held, |delivery| {
            let properties = &delivery.properties;
            match self.read(delivery, now) {
                Ok((task, _, packed)) => {
                    let delivered = DeliveredTask { task: &task, packed, properties };
                    publish::again(delivered, Cow::Borrowed(&delivery.data), queue, CrashMark::of(properties), now)
                }
                Err(_) => publish::back(&delivery.data, properties, queue),
            }
        });
        (unmoved.into_iter().map(|unmoved| unmoved.delivery).collect(), error)
    }

    fn ack(&self, queue: usize, delivery: &Delivery) -> Result<()> {
        self.sources[queue].deliveries.channel.ack([delivery.delivery_tag])
    }

    /// Publishes what follows from a delivery, confirmed, then acks it.
    fn settle(&self, queue: usize, delivery: &Delivery, route: Route<'_>) -> Result<()> {
        self.tasks.send(PublishRole::Settle, std::slice::from_ref(&route))?;
        self.ack(queue, delivery)
    }

    fn read(&self, delivery: &Delivery, now: i64) -> Result<(Task, Vec<u8>, bool)> {
        let properties = &delivery.properties;
        let encoding = encoding_of(properties);
        if !is_gzip(properties) && !matches!(encoding.to_ascii_lowercase().as_str(), "" | "identity" | "utf-8" | "utf8") {
            return Err(Error::new(ErrorKind::Poison, format!("its content encoding is `{encoding}`; gzip and none are read")));
        }
        if let Some(kind) = properties.content_type().as_ref().map(|kind| kind.as_str())
            && !is_json(kind)
        {
            return Err(Error::new(ErrorKind::Poison, format!("its content type is `{kind}`, not {}", task::CONTENT_TYPE)));
        }
        let (body, packed) = self.unpacked(delivery)?;
        let id = properties.message_id().as_ref().map(|id| id.as_str());
        let task = Task::decode(&body, id, now)?;
        Ok((task, body, packed))
    }

    /// The bytes of a message, and whether they came as gzip.
    fn unpacked(&self, delivery: &Delivery) -> Result<(Vec<u8>, bool)> {
        let packed = is_gzip(&delivery.properties);
        let body = if packed { task::unpack(&delivery.data, self.tasks.limit)? } else { delivery.data.clone() };
        if body.len() > self.tasks.limit {
            let context = format!("the body has {} bytes, more than `max_payload`, {}", body.len(), self.tasks.limit);
            return Err(Error::new(ErrorKind::Poison, context));
        }
        Ok((body, packed))
    }

    /// Settles a task that is not to be run; `None` for one that is.
    fn settle_unless_runnable(&mut self, held: &HeldTask, now: i64, stamp: &dyn Fn() -> String) -> Result<Option<Incoming>> {
        let HeldTask { task, body, packed: is_packed, is_decoded, queue, delivery } = held;
        let properties = &delivery.properties;
        let name = self.sources[*queue].deliveries.channel.queue.clone();
        // The queue of another program is no place for a task in our format.
        let place = if *is_decoded { task.level().queue() } else { name.as_str() };
        let again = |body: &[u8], mark: CrashMark| {
            let delivered = DeliveredTask { task, packed: *is_packed, properties };
            publish::again(delivered, Cow::Owned(packed(body, *is_packed).into_owned()), place, mark, now)
        };
        let mark = CrashMark::of(properties);
        let has_crashed = delivery.redelivered || (*is_decoded && mark != CrashMark::None);
        let (route, incoming) = match task::arrival(task, has_crashed, mark == CrashMark::Last, now) {
            Arrival::Run => {
                if mark != CrashMark::None {
                    self.release_others()?;
                }
                return Ok(None);
            }
            Arrival::Expired => {
                let why = format!("the task expired {} s ago", now - task.expire_at);
                let letter = task::dead_body(body, &why, "", &stamp());
                (publish::dead(letter, Some("expired"))?, Incoming::Expired(task.clone()))
            }
            Arrival::Counted(count) => {
                (again(&task.with_retry(body, count), CrashMark::Alone)?, Incoming::Counted(task.clone(), count))
            }
            Arrival::LastChance => (again(body, CrashMark::Last)?, Incoming::LastChance(task.clone())),
            Arrival::CrashLoop => {
                let raised = task.with_retry(body, task.current_retry.saturating_add(1));
                let why = "every worker that held the task died before it was settled";
                (publish::dead(task::dead_body(&raised, why, "", &stamp()), None)?, Incoming::CrashLoop(task.clone()))
            }
        };
        self.settle(*queue, delivery, route)?;
        Ok(Some(incoming))
    }

    /// The next delivery by turn.
    fn take(&mut self, wait: Duration) -> Result<Option<(usize, Delivery)>> {
        self.collect()?;
        if self.sources.iter().all(|source| source.deliveries.arrived.is_empty()) {
            self.wait(wait)?;
        }
        loop {
            let has_any: Vec<bool> = self.sources.iter().map(|source| !source.deliveries.arrived.is_empty()).collect();
            let Some(at) = self.turns.peek(&has_any) else { return Ok(None) };
            // A higher queue that ran dry may have more, on its way or waiting for our ack.
            if let Some(above) = (0..at).find(|above| self.sources[*above].is_drained && !has_any[*above]) {
                self.sources[above].is_drained = false;
                if self.sources[above].looks_for_more(&self.tasks.connections)? {
                    continue;
                }
            }
            self.turns.took(&has_any, at);
            let source = &mut self.sources[at];
            let delivery = source.deliveries.arrived.pop_front();
            source.is_drained = source.deliveries.arrived.is_empty();
            return Ok(delivery.map(|delivery| (at, delivery)));
        }
    }

    /// Takes over what has arrived, and subscribes again where that was ended for a task that ran alone.
    fn collect(&mut self) -> Result<()> {
        for source in &mut self.sources {
            if source.deliveries.prefetch().is_none() {
                source.deliveries.subscribe(self.prefetch)?;
            }
            source.deliveries.collect();
        }
        Ok(())
    }

    /// Waits until some queue has a delivery.
    fn wait(&mut self, wait: Duration) -> Result<()> {
        wait_any(self.sources.iter_mut().map(|source| &mut source.deliveries), Instant::now() + wait);
        if !self.link.is_alive() {
            let why = self.link.end_reason().unwrap_or_else(|| "the connection ended".to_owned());
            let context = format!("the connection to RabbitMQ at {} broke", self.link.address());
            return Err(Error::new(ErrorKind::Connection, context).with_source(why));
        }
        for Source { deliveries, .. } in &mut self.sources {
            if !deliveries.collect() && deliveries.arrived.is_empty() {
                let context = format!("RabbitMQ ended the consumer of `{}`", deliveries.channel.queue);
                return Err(Error::new(ErrorKind::Connection, context)
                    .with_advice("the queue was deleted, or a task took longer than the broker's `consumer_timeout`"));
            }
        }
        Ok(())
    }
}

impl Drop for TaskDeliveries {
    /// Closes the channels, so that the broker gets back what is still held. Nobody waits for a connection that is gone.
    fn drop(&mut self) {
        for source in self.sources.drain(..).filter(|source| source.deliveries.channel.is_alive()) {
            // When this fails it goes back when the connection ends.
            let _ = self.link.request(source.deliveries.channel.channel.close(200, "OK".into()));
        }
    }
}

impl Source {
    /// Asks the broker whether the queue has more, and waits for it when it has. Acks and deliveries that were on their way are processed
    /// before these requests are answered.
    fn looks_for_more(&mut self, connections: &AmqpConnections) -> Result<bool> {
        let channel = Arc::clone(&self.deliveries.channel);
        channel.sync()?;
        let waiting = connections.count(channel.queue.as_str())?.unwrap_or(0);
        channel.sync()?;
        self.deliveries.collect();
        if waiting > 0 && self.deliveries.arrived.is_empty() {
            self.deliveries.wait_for(1);
        }
        Ok(!self.deliveries.arrived.is_empty())
    }
}

fn packed(body: &[u8], packed: bool) -> Cow<'_, [u8]> {
    if packed { Cow::Owned(task::pack(body)) } else { Cow::Borrowed(body) }
}

fn encoding_of(properties: &BasicProperties) -> &str {
    properties.content_encoding().as_ref().map_or("", |encoding| encoding.as_str())
}

fn is_gzip(properties: &BasicProperties) -> bool {
    encoding_of(properties).eq_ignore_ascii_case("gzip")
}

/// `application/json`, with or without parameters, and its relatives.
fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.is_empty() || kind == task::CONTENT_TYPE || kind == "text/json" || kind == "text/plain" || kind.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_json_are_read_and_others_are_not() {
        for kind in ["application/json", "Application/JSON; charset=utf-8", "", "text/plain", "application/task+json"] {
            assert!(is_json(kind), "{kind}");
        }
        assert!(!is_json("application/x-php-serialized") && !is_json("image/png"));
    }
}
