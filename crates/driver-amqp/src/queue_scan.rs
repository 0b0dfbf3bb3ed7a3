//! Looking at the messages of a queue: they are taken in order, and what is not acked goes back to its place. AMQP has no other way.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::{Error, ErrorKind, Result};
use futures_core::Stream;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions, ChannelFlowOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};

use crate::connections::AmqpConnections;
use crate::link::AmqpLink;
use crate::names::short;
use crate::wait;

/// How many messages are requested together.
const PAGE: u64 = 64;
/// The pause before a queue that another process scans is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// How long a shared scan waits for its messages to be put back.
const PUT_BACK_TIMEOUT: Duration = Duration::from_secs(2);

/// Who else may use the queue meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No other scan, so that each sees all messages. An exclusive consumer keeps them out; the broker ends it with the connection.
    Exclusive,
    /// Consumers of other programs. Messages that they hold are not seen.
    Shared,
}

/// What becomes of a message that was visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// It goes back to its place.
    Keep,
    /// It goes to `taken`.
    Take,
    /// The same, and the scan pauses behind it.
    TakeAndPause,
    /// It goes back to its place, and the scan pauses behind it.
    Pause,
}

/// A scan on a channel of its own, from the oldest message on.
pub struct QueueScan {
    link: Arc<AmqpLink>,
    channel: Channel,
    /// Channels that hold messages which go back at the end.
    held: Vec<Channel>,
    queue: String,
    /// How many messages there were at the beginning, says the broker. A quorum queue counts those that another scan put back a little
    /// later than it hands them out, so this does not bound an exclusive scan.
    pub count: u64,
    at: u64,
    /// The number from which on nothing is visited.
    end: u64,
    /// Read and not visited yet. The exclusive consumer gets the first message.
    read: VecDeque<Delivery>,
    pub taken: Vec<Delivery>,
    /// Keeps other scans out. lapin cancels it when it is dropped.
    _consumer: Option<Consumer>,
    /// The message of the consumer, once it was acked. That goes out at the end: the broker would give the consumer another one for it, which
    /// no scan sees.
    consumed: Option<u64>,
    /// The tag of that message.
    first: Option<u64>,
}

impl QueueScan {
    /// `None` when the queue is missing, or empty for a shared scan.
    pub fn begin(connections: &AmqpConnections, queue: &str, access: Access) -> Result<Option<Self>> {
        let Some(ready) = connections.count(queue)? else { return Ok(None) };
        let link = connections.consumer()?;
        let (channel, count, first, consumer) = match access {
            Access::Shared if ready == 0 => return Ok(None),
            Access::Shared => (link.channel()?, u64::from(ready), None, None),
            Access::Exclusive => {
                let deadline = Instant::now() + connections.config.io_timeout;
                let (channel, mut consumer) = exclusive_consumer(&link, queue, deadline)?;
                let (left, first) = first_and_rest(&link, &channel, &mut consumer, queue, deadline)?;
                (channel, left + u64::from(first.is_some()), first, Some(consumer))
            }
        };
        Ok(Some(Self {
            link,
            channel,
            held: Vec::new(),
            queue: queue.to_owned(),
            count,
            at: 0,
            end: if access == Access::Shared { count } else { u64::MAX },
            first: first.as_ref().map(|first| first.delivery_tag),
            consumed: None,
            read: first.into_iter().collect(),
            taken: Vec::new(),
            _consumer: consumer,
        }))
    }

    /// How many messages were visited.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Goes on with a new channel; the old one keeps its messages until the end. For each single ack RabbitMQ walks through the older unacked
    /// messages of a channel, so acks behind many that are kept would take time that grows with their square.
    pub fn change_channel(&mut self) -> Result<()> {
        let next = self.link.channel()?;
        self.held.push(std::mem::replace(&mut self.channel, next));
        Ok(())
    }

    /// Leaves out what joins the queue from here on.
    pub fn end_at_present(&mut self) -> Result<()> {
        if self.end == u64::MAX {
            let unread = message_count(&self.link, &self.channel, &self.queue)?;
            self.end = self.at + self.read.len() as u64 + u64::from(unread);
        }
        Ok(())
    }

    /// Visits messages from where the scan stands up to number `end`, or up to the last one.
    pub fn visit(&mut self, end: u64, mut visit: impl FnMut(u64, &Delivery) -> Visit) -> Result<()> {
        while self.at < end.min(self.end) {
            let Some(delivery) = self.read.pop_front() else {
                self.read_page(end.min(self.end))?;
                if self.read.is_empty() {
                    return Ok(());
                }
                continue;
            };
            let wish = visit(self.at, &delivery);
            self.at += 1;
            if matches!(wish, Visit::Take | Visit::TakeAndPause) {
                self.taken.push(delivery);
            }
            if matches!(wish, Visit::Pause | Visit::TakeAndPause) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn read_page(&mut self, end: u64) -> Result<()> {
        let gets = (0..PAGE.min(end - self.at)).map(|_| self.channel.basic_get(short(&self.queue), BasicGetOptions::default()));
        let answers: lapin::Result<Vec<Option<BasicGetMessage>>> =
            self.link.request(async { Ok(wait::all(gets).await.into_iter().collect()) })?;
        let messages = answers.map_err(|error| {
            Error::new(ErrorKind::Connection, format!("the messages of `{}` could not be read", self.queue))
                .with_source(error.to_string())
        })?;
        let is_empty = messages.iter().any(Option::is_none);
        self.read.extend(messages.into_iter().flatten().map(|message| message.delivery));
        let read = self.at + self.read.len() as u64;
        // A queue that still puts messages back may answer that it is empty before all of those that it counted were read.
        if is_empty && read >= self.count {
            self.end = read;
        }
        Ok(())
    }

    /// Removes a message for good.
    pub fn ack(&mut self, delivery: &Delivery) -> Result<()> {
        if self.first == Some(delivery.delivery_tag) {
            self.consumed = self.first;
            return Ok(());
        }
        self.send_ack(delivery.delivery_tag)
    }

    /// Removes many messages that a shared scan visited on its present channel, with one wait.
    pub fn ack_all(&self, tags: &[u64]) -> Result<()> {
        let acks = tags.iter().map(|tag| self.channel.basic_ack(*tag, BasicAckOptions { multiple: false }));
        self.link.send(async { wait::all(acks).await.into_iter().collect() })
    }

    /// Ends a shared scan that removed so many messages. The broker puts the others back a moment after it confirmed the close, so this
    /// waits until it counts them again, for a while: some may have expired or gone to a consumer.
    pub fn finish(self, connections: &AmqpConnections, removed: u64) -> Result<()> {
        let (queue, kept) = (self.queue.clone(), self.count.saturating_sub(removed));
        drop(self);
        let deadline = Instant::now() + PUT_BACK_TIMEOUT;
        while Instant::now() < deadline && connections.count(&queue)?.is_some_and(|ready| u64::from(ready) < kept) {
            std::thread::sleep(BUSY_PAUSE);
        }
        Ok(())
    }

    fn send_ack(&self, tag: u64) -> Result<()> {
        self.link.send(self.channel.basic_ack(tag, BasicAckOptions { multiple: false }))
    }
}

impl Drop for QueueScan {
    /// Everything else goes back to its place. The broker confirms the close after that, so the next scan finds it there; a passive declare
    /// would not do, because the queue answers it ahead of what it has to requeue.
    fn drop(&mut self) {
        // When these fail the channel is gone, and the broker requeues by itself.
        let _ = self.consumed.map(|tag| self.send_ack(tag));
        let channels = self.held.iter().chain([&self.channel]);
        let closes = channels.map(|channel| channel.close(200, "OK".into()));
        let _ = self.link.request(async { wait::all(closes).await.into_iter().collect::<lapin::Result<()>>() });
    }
}

/// Subscribes exclusively, with a prefetch of one. While another process does, this waits until `deadline`.
fn exclusive_consumer(link: &AmqpLink, queue: &str, deadline: Instant) -> Result<(Channel, Consumer)> {
    loop {
        let channel = link.channel()?;
        let options = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
        let answer = link.request(async {
            let qos = channel.basic_qos(1, BasicQosOptions::default());
            let consume = channel.basic_consume(short(queue), short(""), options, FieldTable::default());
            let (limited, consumer) = wait::both(qos, consume).await;
            limited.and(consumer)
        });
        match answer {
            Ok(consumer) => return Ok((channel, consumer)),
            Err(error) if error.kind() == ErrorKind::Refused && Instant::now() < deadline => std::thread::sleep(BUSY_PAUSE),
            Err(error) => {
                return Err(error
                    .within(format!("look at the messages of `{queue}`"))
                    .with_advice("is another process looking at them? Try again; if not, grant the user the right to read"));
            }
        }
    }
}

/// The message that went to the consumer, if there is any, and the number of those behind it.
fn first_and_rest(
    link: &AmqpLink,
    channel: &Channel,
    consumer: &mut Consumer,
    queue: &str,
    deadline: Instant,
) -> Result<(u64, Option<Delivery>)> {
    let left = message_count(link, channel, queue)?;
    // The delivery was sent before this answer, if the queue had a message.
    link.request(channel.channel_flow(ChannelFlowOptions { active: true }))?;
    let until = if left > 0 { deadline } else { Instant::now() };
    let next = std::future::poll_fn(|context| Pin::new(&mut *consumer).poll_next(context));
    match link.wait_for_answer(until, next) {
        Some(Some(Ok(delivery))) => Ok((u64::from(left), Some(delivery))),
        Some(Some(Err(error))) => Err(Error::new(ErrorKind::Connection, format!("the messages of `{queue}` could not be read"))
            .with_source(error.to_string())),
        Some(None) | None => Ok((u64::from(left), None)),
    }
}

fn message_count(link: &AmqpLink, channel: &Channel, queue: &str) -> Result<u32> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    Ok(link.request(channel.queue_declare(short(queue), passive, FieldTable::default()))?.message_count())
}
