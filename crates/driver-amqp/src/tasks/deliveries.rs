//! Taking tasks from several queues, the highest first, and ending them.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::task::{self, Arrival, Task, TaskLevel, Turns};
use ferry_core::{Error, ErrorKind, QueueName, Result};
use lapin::message::Delivery;

use super::Tasks;
use super::publish::{CrashMark, TaskPublish};
use crate::connections::{AmqpConnections, PublishRole};
use crate::link::AmqpLink;
use crate::names::Names;
use crate::subscription::Subscription;
use crate::topology::TopologyItem;
use crate::unacked::ConsumerChannel;
use crate::wait;

/// How long to wait for a task that is known to be on its way.
const NEARLY_THERE: usize = 1;

/// What to take.
#[derive(Debug, Clone)]
pub struct Options {
    /// The queues, the highest first.
    pub queues: Vec<String>,
    /// Tasks held of each queue.
    pub prefetch: u16,
}

/// One that came.
#[derive(Debug)]
pub enum Incoming {
    /// A task to be run.
    Task(Box<HeldTask>),
    /// Its time was over: it is a dead letter now.
    Expired(Task),
    /// It was no task: it is a dead letter now, raw.
    Poison {
        /// What named the message, if anything did.
        id: String,
        /// What was wrong with it.
        why: String,
    },
    /// Its worker died: it was published again, with so many failed executions.
    Counted(Task, i64),
    /// The same, on its last try: it gets one more run.
    LastChance(Task),
    /// Its workers died too often: it is a dead letter now.
    CrashLoop(Task),
}

/// A task that is held.
#[derive(Debug)]
pub struct HeldTask {
    /// What was read.
    pub task: Task,
    /// Its bytes, unpacked.
    pub body: Vec<u8>,
    packed: bool,
    queue: usize,
    delivery: Delivery,
}

struct Source {
    ledger: ConsumerChannel,
    flow: Option<Subscription>,
    buffer: VecDeque<Delivery>,
    /// Its last held one was taken, and nobody looked whether it has more.
    spent: bool,
}

/// Takes tasks. Belongs to one thread.
pub struct TaskDeliveries {
    tasks: Arc<Tasks>,
    link: Arc<AmqpLink>,
    sources: Vec<Source>,
    turns: Turns,
    prefetch: u16,
}

impl TaskDeliveries {
    /// Starts to take.
    pub fn open(tasks: &Arc<Tasks>, options: &Options) -> Result<Self> {
        let link = tasks.hub.consumer()?;
        let mut sources = Vec::with_capacity(options.queues.len());
        for queue in &options.queues {
            let queue = QueueName::new(queue.as_bytes())?;
            let names = Names::of(&queue)?;
            if TaskLevel::named(queue.as_str()).is_some() {
                tasks.hub.ensure(&link, &names, &[TopologyItem::Tasks])?;
            }
            let ledger = ConsumerChannel::new(&queue, names, Arc::clone(&link), link.channel()?);
            let flow =
                Subscription::open(&ledger, options.prefetch).map_err(|error| error.within(format!("consume `{queue}`")))?;
            sources.push(Source { ledger, flow: Some(flow), buffer: VecDeque::new(), spent: false });
        }
        Ok(Self { tasks: Arc::clone(tasks), link, sources, turns: Turns::default(), prefetch: options.prefetch })
    }

    /// The next one, waiting up to `wait`. `stamp` tells the time as `Y-m-d H:i:s`.
    ///
    /// What needs no run is settled already when it is returned. After an error of publishing it is still held and comes once more.
    pub fn next(&mut self, wait: Duration, stamp: &dyn Fn() -> String) -> Result<Option<Incoming>> {
        let Some((queue, delivery)) = self.take(wait)? else { return Ok(None) };
        let now = SystemClock.now();
        match self.read(&delivery, now) {
            Ok((task, body, packed)) => {
                let taken = HeldTask { task, body, packed, queue, delivery };
                match self.judge(&taken, now, stamp) {
                    Ok(None) => Ok(Some(Incoming::Task(Box::new(taken)))),
                    Ok(arrived) => Ok(arrived),
                    Err(error) => self.keep(queue, taken.delivery, error),
                }
            }
            Err(error) => {
                let (why, properties) = (error.to_string(), &delivery.properties);
                let id = properties.message_id().as_ref().map_or_else(String::new, |id| id.as_str().to_owned());
                match self.settle(queue, &delivery, TaskPublish::poison(&delivery.data, properties, &why)) {
                    Ok(()) => Ok(Some(Incoming::Poison { id, why })),
                    Err(error) => self.keep(queue, delivery, error),
                }
            }
        }
    }

    /// Holds on to a delivery that could not be settled.
    fn keep<T>(&mut self, queue: usize, delivery: Delivery, error: Error) -> Result<T> {
        self.sources[queue].buffer.push_front(delivery);
        Err(error)
    }

    /// The task is done.
    pub fn done(&self, taken: &HeldTask) -> Result<()> {
        self.ack(taken.queue, &taken.delivery)
    }

    /// The task is run again in `pause` seconds. `body` is the one with its count raised.
    pub fn retry(&self, taken: &HeldTask, body: &[u8], pause: i64) -> Result<()> {
        let now = SystemClock.now();
        // The handler may have given it another priority.
        let task = Task::decode(body, Some(&taken.task.id), now)?;
        let parcel = TaskPublish::later(&task, packed(body, taken.packed), taken.packed, &taken.delivery.properties, pause, now)?;
        self.settle(taken.queue, &taken.delivery, parcel)
    }

    /// The task failed for good: one dead letter, confirmed, then the ack. `body` is the one with its count raised.
    pub fn dead(&self, taken: &HeldTask, body: &[u8], message: &str, trace: &str, stamp: &str) -> Result<()> {
        self.settle(taken.queue, &taken.delivery, TaskPublish::dead(task::dead_body(body, message, trace, stamp), None))
    }

    /// PHP cannot read the task after all: it is a dead letter, raw.
    pub fn poison(&self, taken: &HeldTask, why: &str) -> Result<()> {
        let delivery = &taken.delivery;
        self.settle(taken.queue, delivery, TaskPublish::poison(&delivery.data, &delivery.properties, why))
    }

    /// The task was not begun: it goes back to its queue, and nothing is counted.
    pub fn give_back(&self, taken: &HeldTask) -> Result<()> {
        self.put_back(taken.queue, std::slice::from_ref(&taken.delivery))
    }

    /// Stops taking. What was not begun goes back.
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

    /// Stops the consumers of a queue and gives back what they had. The channel stays, for what is being worked.
    fn end(&mut self, at: usize) -> Result<()> {
        let source = &mut self.sources[at];
        let mut held: Vec<Delivery> = source.buffer.drain(..).collect();
        if let Some(flow) = source.flow.take() {
            // A task at hand may not be counted here; then one more is waited for than can come, for a moment.
            held.extend(flow.cancel(&self.tasks.hub, &source.ledger, || held.len())?);
        }
        source.spent = false;
        let back = self.put_back(at, &held);
        if back.is_err() {
            self.sources[at].buffer.extend(held);
        }
        back
    }

    /// Gives back what is held beside the task at hand: should that one kill us, nobody else is delivered again. The next `take` goes on.
    fn stand_alone(&mut self) -> Result<()> {
        (0..self.sources.len()).try_for_each(|at| self.end(at))
    }

    fn put_back(&self, at: usize, held: &[Delivery]) -> Result<()> {
        if held.is_empty() {
            return Ok(());
        }
        let now = SystemClock.now();
        let queue = self.sources[at].ledger.queue.as_str();
        let parcels: Vec<TaskPublish<'_>> = held
            .iter()
            .map(|delivery| {
                let properties = &delivery.properties;
                match self.read(delivery, now) {
                    Ok((task, _, packed)) => {
                        let suspicion = CrashMark::of(properties);
                        TaskPublish::again(&task, Cow::Borrowed(&delivery.data), packed, properties, queue, suspicion, now)
                    }
                    Err(_) => TaskPublish::back(&delivery.data, properties, queue),
                }
            })
            .collect();
        self.tasks.send(PublishRole::Move, &parcels)?;
        self.sources[at].ledger.ack(held.iter().map(|delivery| delivery.delivery_tag))
    }

    fn ack(&self, queue: usize, delivery: &Delivery) -> Result<()> {
        self.sources[queue].ledger.ack([delivery.delivery_tag])
    }

    /// Publishes what follows from a delivery, confirmed, then acks it.
    fn settle(&self, queue: usize, delivery: &Delivery, parcel: TaskPublish<'_>) -> Result<()> {
        self.tasks.send(PublishRole::Settle, std::slice::from_ref(&parcel))?;
        self.ack(queue, delivery)
    }

    fn read(&self, delivery: &Delivery, now: i64) -> Result<(Task, Vec<u8>, bool)> {
        let properties = &delivery.properties;
        let encoding = properties.content_encoding().as_ref().map_or("", |encoding| encoding.as_str());
        let packed = encoding.eq_ignore_ascii_case("gzip");
        if !packed && !matches!(encoding.to_ascii_lowercase().as_str(), "" | "identity" | "utf-8" | "utf8") {
            return Err(Error::new(ErrorKind::Poison, format!("its content encoding is `{encoding}`; gzip and none are read")));
        }
        if let Some(kind) = properties.content_type().as_ref().map(|kind| kind.as_str())
            && !is_json(kind)
        {
            return Err(Error::new(ErrorKind::Poison, format!("its content type is `{kind}`, not {}", task::CONTENT_TYPE)));
        }
        let body = if packed { task::unpack(&delivery.data, self.tasks.limit)? } else { delivery.data.clone() };
        if body.len() > self.tasks.limit {
            let context = format!("the body has {} bytes, more than `max_payload`, {}", body.len(), self.tasks.limit);
            return Err(Error::new(ErrorKind::Poison, context));
        }
        let id = properties.message_id().as_ref().map(|id| id.as_str());
        let task = Task::decode(&body, id, now)?;
        Ok((task, body, packed))
    }

    /// Settles what needs no run; `None` for what does.
    fn judge(&mut self, taken: &HeldTask, now: i64, stamp: &dyn Fn() -> String) -> Result<Option<Incoming>> {
        let HeldTask { task, body, packed: is_packed, queue, delivery } = taken;
        let properties = &delivery.properties;
        let again = |body: &[u8], suspicion: CrashMark| {
            let name = self.sources[*queue].ledger.queue.as_str().to_owned();
            let body = packed(body, *is_packed);
            TaskPublish::again(task, Cow::Owned(body.into_owned()), *is_packed, properties, &name, suspicion, now)
        };
        let suspicion = CrashMark::of(properties);
        let (parcel, arrived) = match task::arrival(task, delivery.redelivered, suspicion == CrashMark::Last, now) {
            Arrival::Run => {
                if suspicion != CrashMark::None {
                    self.stand_alone()?;
                }
                return Ok(None);
            }
            Arrival::Expired => {
                let why = format!("the task expired {} s ago", now - task.expire_at);
                let letter = task::dead_body(body, &why, "", &stamp());
                (TaskPublish::dead(letter, Some("expired")), Incoming::Expired(task.clone()))
            }
            Arrival::Counted(count) => {
                (again(&task.with_retry(body, count), CrashMark::Alone), Incoming::Counted(task.clone(), count))
            }
            Arrival::LastChance => (again(body, CrashMark::Last), Incoming::LastChance(task.clone())),
            Arrival::CrashLoop => {
                let raised = task.with_retry(body, task.current_retry.saturating_add(1));
                let why = "every worker that held the task died before it was settled";
                (TaskPublish::dead(task::dead_body(&raised, why, "", &stamp()), None), Incoming::CrashLoop(task.clone()))
            }
        };
        self.settle(*queue, delivery, parcel)?;
        Ok(Some(arrived))
    }

    /// The next delivery by turn.
    fn take(&mut self, wait: Duration) -> Result<Option<(usize, Delivery)>> {
        self.collect()?;
        if self.sources.iter().all(|source| source.buffer.is_empty()) {
            self.wait(wait)?;
        }
        loop {
            let full: Vec<bool> = self.sources.iter().map(|source| !source.buffer.is_empty()).collect();
            let Some(at) = self.turns.peek(&full) else { return Ok(None) };
            // Of the queues above, one that ran dry may have more, on its way or waiting for our ack.
            if let Some(above) = (0..at).find(|above| self.sources[*above].spent && !full[*above]) {
                self.sources[above].spent = false;
                if self.sources[above].looks_for_more(&self.tasks.hub)? {
                    continue;
                }
            }
            self.turns.took(&full, at);
            let source = &mut self.sources[at];
            let delivery = source.buffer.pop_front();
            source.spent = source.buffer.is_empty();
            return Ok(delivery.map(|delivery| (at, delivery)));
        }
    }

    fn collect(&mut self) -> Result<()> {
        for source in &mut self.sources {
            match &mut source.flow {
                Some(flow) => source.buffer.extend(flow.take_all()),
                // It was stopped for a task that ran alone.
                None => source.flow = Some(Subscription::open(&source.ledger, self.prefetch)?),
            }
        }
        Ok(())
    }

    /// Waits until some queue has something.
    fn wait(&mut self, wait: Duration) -> Result<()> {
        let sources = &mut self.sources;
        let any = std::future::poll_fn(|context| {
            let mut ready = false;
            for source in sources.iter_mut() {
                let Some(flow) = &mut source.flow else { continue };
                match flow.poll(context) {
                    Poll::Ready(Some(delivery)) => {
                        source.buffer.push_back(delivery);
                        ready = true;
                    }
                    Poll::Ready(None) => ready = true,
                    Poll::Pending => {}
                }
            }
            if ready { Poll::Ready(()) } else { Poll::Pending }
        });
        // Nothing within the time is an answer too.
        let _ = wait::until(Instant::now() + wait, any);
        self.collect()?;
        if !self.link.is_alive() {
            let why = self.link.end().unwrap_or_else(|| "the connection ended".to_owned());
            let context = format!("the connection to RabbitMQ at {} broke", self.link.address());
            return Err(Error::new(ErrorKind::Connection, context).with_source(why));
        }
        match self
            .sources
            .iter()
            .find(|source| source.buffer.is_empty() && source.flow.as_ref().is_some_and(Subscription::has_ended))
        {
            Some(source) => {
                let context = format!("RabbitMQ ended the consumer of `{}`", source.ledger.queue);
                Err(Error::new(ErrorKind::Connection, context)
                    .with_advice("the queue was deleted, or a task took longer than the broker's `consumer_timeout`"))
            }
            None => Ok(()),
        }
    }
}

impl Drop for TaskDeliveries {
    /// Lets the broker have what is still held. Nobody waits for a connection that is gone.
    fn drop(&mut self) {
        for source in self.sources.drain(..).filter(|source| source.ledger.is_alive()) {
            // It comes again all the same, once the connection ends.
            let _ = self.link.ask(source.ledger.channel.close(200, "OK".into()));
        }
    }
}

impl Source {
    /// Asks the broker whether the queue has more, and waits for it when it has. The questions are also what acks and deliveries
    /// under way have to overtake, so that what was there is here afterwards.
    fn looks_for_more(&mut self, hub: &AmqpConnections) -> Result<bool> {
        self.ledger.sync()?;
        let waiting = hub.count(self.ledger.queue.as_str())?.unwrap_or(0);
        self.ledger.sync()?;
        let Some(flow) = &mut self.flow else { return Ok(false) };
        self.buffer.extend(flow.take_all());
        if waiting > 0 && self.buffer.is_empty() {
            self.buffer.extend(flow.wait_for(NEARLY_THERE));
        }
        Ok(!self.buffer.is_empty())
    }
}

fn packed(body: &[u8], packed: bool) -> Cow<'_, [u8]> {
    if packed { Cow::Owned(task::pack(body)) } else { Cow::Borrowed(body) }
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
