//! Takes the deliveries of our subscriptions and the confirms of what we publish out of what the broker sends, so that lapin never sees
//! them. Pure: bytes in; deliveries, confirms and the bytes for lapin out.

use std::collections::VecDeque;
use std::mem;

use amq_protocol::protocol::basic::parse_properties;
use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection, parse_class};
use amq_protocol::types::parsing::{parse_long_long_uint, parse_short_short_uint, parse_short_string};
use lapin::message::Delivery;

use super::confirms::{ChannelEnd, Confirm, Confirms, ReturnedMessage};
use super::{BODY, FRAME_END, FRAME_HEAD, HEADER, HEARTBEAT, MAX_FRAME, METHOD};

/// A whole frame without content: the other side is there.
const HEARTBEAT_FRAME: [u8; 8] = [HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END];
/// Class 60, method 60.
const BASIC_DELIVER: [u8; 4] = [0, 60, 0, 60];
/// Class 10, method 50.
const CONNECTION_CLOSE: [u8; 4] = [0, 10, 0, 50];
/// Class and weight, before the size of the body.
const HEADER_BEGIN: usize = 4;

/// The reading half of a connection, up to frames.
#[derive(Default)]
pub struct FrameFilter {
    /// The beginning of a frame whose end has not come.
    begun: Vec<u8>,
    /// What is not ours, in order, and how much of it lapin has taken.
    for_lapin: Vec<u8>,
    taken: usize,
    subscribers: Vec<Subscriber>,
    channels: Vec<PublishChannel>,
    next_channel_id: u64,
    /// Messages whose end has not come, one of a channel at most: AMQP sends the frames of one without others of its channel in between.
    incomplete: Vec<Incomplete>,
    /// What comes is not for us to understand: it is encrypted, or no AMQP.
    is_transparent: bool,
}

/// Where the deliveries of one subscription go.
struct Subscriber {
    channel: u16,
    tag: String,
    arrived: VecDeque<Delivery>,
}

/// A channel of lapin's on which threads of ours publish.
struct PublishChannel {
    id: u64,
    number: u16,
    confirms: Confirms,
    /// The broker or lapin closed it: its number may be that of a new channel.
    is_closed: bool,
    /// Nobody asks for its confirms any more.
    is_unused: bool,
}

struct Incomplete {
    channel: u16,
    target: Target,
    delivery: Delivery,
    /// How many bytes of its body have not come; `None` before its header.
    missing: Option<u64>,
}

/// Where a message goes when it is whole.
enum Target {
    /// To the consumer with this tag.
    Consumer(String),
    /// Back to who published it.
    Publisher { id: u64, text: String },
}

impl FrameFilter {
    /// One that leaves everything to lapin.
    pub fn transparent() -> Self {
        Self { is_transparent: true, ..Self::default() }
    }

    /// Whether everything is left to lapin.
    pub fn is_transparent(&self) -> bool {
        self.is_transparent
    }

    /// Takes the deliveries of this consumer from now on.
    pub fn subscribe(&mut self, channel: u16, tag: &str) {
        self.subscribers.push(Subscriber { channel, tag: tag.to_owned(), arrived: VecDeque::new() });
    }

    /// Leaves them to lapin again, but for the end of one that has begun. Those that arrived are dropped.
    pub fn unsubscribe(&mut self, tag: &str) {
        self.subscribers.retain(|subscriber| subscriber.tag != tag);
    }

    /// Whether a delivery of this consumer arrived whole and was not taken.
    pub fn has_any(&self, tag: &str) -> bool {
        self.subscribers.iter().any(|subscriber| subscriber.tag == tag && !subscriber.arrived.is_empty())
    }

    /// The next delivery of this consumer that arrived whole.
    pub fn next(&mut self, tag: &str) -> Option<Delivery> {
        self.subscribers.iter_mut().find(|subscriber| subscriber.tag == tag)?.arrived.pop_front()
    }

    /// Takes the confirms of this channel from now on. Answers its id.
    pub fn take_confirms(&mut self, channel: u16) -> u64 {
        self.next_channel_id += 1;
        self.channels.push(PublishChannel {
            id: self.next_channel_id,
            number: channel,
            confirms: Confirms::default(),
            is_closed: false,
            is_unused: false,
        });
        self.next_channel_id
    }

    /// What came on the channel with this id, until it is left.
    pub fn confirms(&mut self, id: u64) -> Option<&mut Confirms> {
        self.channels.iter_mut().find(|channel| channel.id == id).map(|channel| &mut channel.confirms)
    }

    /// Nobody asks for the confirms of this channel any more. They are taken until it is closed, because lapin knows of no message on it.
    pub fn leave_confirms(&mut self, id: u64) {
        self.channels.iter_mut().filter(|channel| channel.id == id).for_each(|channel| channel.is_unused = true);
        self.drop_finished();
    }

    fn drop_finished(&mut self) {
        self.channels.retain(|channel| !(channel.is_closed && channel.is_unused));
    }

    /// Passes on what was read.
    pub fn pass(&mut self, bytes: &[u8]) {
        if self.is_transparent {
            self.for_lapin.extend_from_slice(bytes);
        } else if self.begun.is_empty() {
            let passed = self.pass_frames(bytes);
            self.begun.extend_from_slice(&bytes[passed..]);
        } else {
            let mut all = mem::take(&mut self.begun);
            all.extend_from_slice(bytes);
            let passed = self.pass_frames(&all);
            all.drain(..passed);
            self.begun = all;
        }
    }

    /// Nothing more will come: lapin gets the half of a frame too.
    pub fn end(&mut self) {
        self.is_transparent = true;
        self.for_lapin.append(&mut self.begun);
    }

    /// Lets lapin see a sign of life when all bytes were ours. A heartbeat may stand between any two frames.
    pub fn pass_heartbeat(&mut self) {
        self.for_lapin.extend_from_slice(&HEARTBEAT_FRAME);
    }

    /// Whether there are bytes for lapin.
    pub fn has_any_for_lapin(&self) -> bool {
        self.taken < self.for_lapin.len()
    }

    /// Moves bytes for lapin into `buffer`. Answers how many.
    pub fn take_for_lapin(&mut self, buffer: &mut [u8]) -> usize {
        let left = &self.for_lapin[self.taken..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        if self.taken == self.for_lapin.len() {
            self.for_lapin.clear();
            self.taken = 0;
        }
        count
    }

    /// Passes on whole frames. Answers how many bytes they have.
    fn pass_frames(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while let [kind, _, _, a, b, c, d, ..] = bytes[passed..] {
            let payload = u32::from_be_bytes([a, b, c, d]);
            if !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) || payload > MAX_FRAME {
                // No frame that was agreed on. lapin says what is wrong with it.
                self.is_transparent = true;
                self.for_lapin.extend_from_slice(&bytes[passed..]);
                return bytes.len();
            }
            let end = passed + FRAME_HEAD + payload as usize + 1;
            let Some(frame) = bytes.get(passed..end) else { break };
            if !self.take_frame(frame) {
                self.for_lapin.extend_from_slice(frame);
            }
            passed = end;
        }
        passed
    }

    /// Takes a frame that belongs to a delivery or a confirm of ours. `false` when it does not.
    fn take_frame(&mut self, frame: &[u8]) -> bool {
        let channel = u16::from_be_bytes([frame[1], frame[2]]);
        let [payload @ .., FRAME_END] = &frame[FRAME_HEAD..] else { return false };
        let begun = self.incomplete.iter().position(|message| message.channel == channel);
        match (frame[0], begun) {
            (METHOD, begun) => {
                // In the middle of a message it ends that: no more of it will come.
                begun.map(|at| self.incomplete.swap_remove(at));
                if channel == 0 && payload.starts_with(&CONNECTION_CLOSE) {
                    self.note_end(payload);
                    return false;
                }
                match self.channels.iter().position(|own| own.number == channel && !own.is_closed) {
                    Some(at) => self.take_method(at, payload),
                    None => self.begin(channel, payload),
                }
            }
            (kind @ (HEADER | BODY), Some(at)) => self.go_on(at, kind, payload),
            _ => false,
        }
    }

    /// Takes what the broker says of messages on a channel on which we publish. `false` for other methods: lapin opens and closes it.
    fn take_method(&mut self, at: usize, payload: &[u8]) -> bool {
        let channel = &mut self.channels[at];
        match parse_class(payload) {
            Ok((_, AMQPClass::Basic(basic::AMQPMethod::Ack(ack)))) => {
                channel.confirms.confirm(ack.delivery_tag, ack.multiple, Confirm::Ack);
            }
            Ok((_, AMQPClass::Basic(basic::AMQPMethod::Nack(nack)))) => {
                channel.confirms.confirm(nack.delivery_tag, nack.multiple, Confirm::Nack);
            }
            Ok((_, AMQPClass::Basic(basic::AMQPMethod::Return(returned)))) => self.incomplete.push(Incomplete {
                channel: channel.number,
                target: Target::Publisher { id: channel.id, text: returned.reply_text.to_string() },
                delivery: Delivery::mock(0, returned.exchange, returned.routing_key, false, Vec::new()),
                missing: None,
            }),
            // We asked for confirms past lapin.
            Ok((_, AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_)))) => {}
            Ok((_, AMQPClass::Channel(channel::AMQPMethod::Close(close)))) => {
                channel.confirms.end(ChannelEnd::Closed(close.reply_code, close.reply_text.to_string()));
                channel.is_closed = true;
                self.drop_finished();
                return false;
            }
            Ok((_, AMQPClass::Channel(channel::AMQPMethod::CloseOk(_)))) => {
                channel.confirms.end(ChannelEnd::Lost(None));
                channel.is_closed = true;
                self.drop_finished();
                return false;
            }
            _ => return false,
        }
        true
    }

    /// The broker closes the connection.
    fn note_end(&mut self, payload: &[u8]) {
        if let Ok((_, AMQPClass::Connection(connection::AMQPMethod::Close(close)))) = parse_class(payload) {
            let end = ChannelEnd::Lost(Some(close.reply_text.to_string()));
            self.channels.iter_mut().for_each(|channel| channel.confirms.end(end.clone()));
        }
    }

    /// Begins a delivery, if this method is the `basic.deliver` of one of our consumers.
    fn begin(&mut self, channel: u16, method: &[u8]) -> bool {
        let Some(arguments) = method.strip_prefix(&BASIC_DELIVER) else { return false };
        if !self.subscribers.iter().any(|subscriber| subscriber.channel == channel) {
            return false;
        }
        let Some((tag, delivery)) = parse_delivery(arguments) else { return false };
        let is_ours = |subscriber: &Subscriber| subscriber.channel == channel && subscriber.tag == tag;
        if !self.subscribers.iter().any(is_ours) {
            return false;
        }
        self.incomplete.push(Incomplete { channel, target: Target::Consumer(tag), delivery, missing: None });
        true
    }

    /// Adds a header or a part of the body to a message. One that breaks the rules of AMQP ends it, and is lapin's to complain about.
    fn go_on(&mut self, at: usize, kind: u8, payload: &[u8]) -> bool {
        let message = &mut self.incomplete[at];
        let is_valid = if kind == HEADER { message.add_header(payload).is_some() } else { message.add_body(payload) };
        if is_valid && message.missing != Some(0) {
            return true;
        }
        let message = self.incomplete.swap_remove(at);
        if is_valid {
            self.deliver(message);
        }
        is_valid
    }

    /// A message is whole. The subscription may have ended meanwhile, as in lapin, which drops such a delivery too.
    fn deliver(&mut self, message: Incomplete) {
        let Incomplete { target, delivery, .. } = message;
        match target {
            Target::Consumer(tag) => {
                if let Some(subscriber) = self.subscribers.iter_mut().find(|subscriber| subscriber.tag == tag) {
                    subscriber.arrived.push_back(delivery);
                }
            }
            Target::Publisher { id, text } => {
                if let Some(confirms) = self.confirms(id) {
                    let routing_key = delivery.routing_key.to_string();
                    confirms.add_returned(ReturnedMessage { routing_key, body: delivery.data, text });
                }
            }
        }
    }
}

impl Incomplete {
    /// `None` when this is no header, or a second one.
    fn add_header(&mut self, payload: &[u8]) -> Option<()> {
        let (_, sized) = payload.split_at_checked(HEADER_BEGIN)?;
        let (rest, size) = parse_long_long_uint(sized).ok()?;
        let (rest, properties) = parse_properties(rest).ok()?;
        if self.missing.is_some() || !rest.is_empty() {
            return None;
        }
        self.delivery.properties = properties;
        // A size is what the broker says; memory is for what comes.
        self.delivery.data.reserve_exact(size.min(u64::from(MAX_FRAME)) as usize);
        self.missing = Some(size);
        Some(())
    }

    /// `false` when the body would be longer than the header said.
    fn add_body(&mut self, payload: &[u8]) -> bool {
        let Some(left) = self.missing.and_then(|missing| missing.checked_sub(payload.len() as u64)) else { return false };
        self.delivery.data.extend_from_slice(payload);
        self.missing = Some(left);
        true
    }
}

/// The arguments of `basic.deliver`: for which consumer, and a delivery without its content.
fn parse_delivery(arguments: &[u8]) -> Option<(String, Delivery)> {
    let (rest, consumer) = parse_short_string(arguments).ok()?;
    let (rest, number) = parse_long_long_uint(rest).ok()?;
    let (rest, flags) = parse_short_short_uint(rest).ok()?;
    let (rest, exchange) = parse_short_string(rest).ok()?;
    let (rest, routing_key) = parse_short_string(rest).ok()?;
    // lapin's constructor for one without its acker: ours are settled over their channel.
    let delivery = Delivery::mock(number, exchange, routing_key, flags & 1 != 0, Vec::new());
    rest.is_empty().then(|| (consumer.as_str().to_owned(), delivery))
}

#[cfg(test)]
mod tests;
