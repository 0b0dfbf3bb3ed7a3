//! A channel on which threads of ours publish past lapin.
//!
//! Through lapin a message wakes its I/O thread to write it, and its confirm wakes that thread to read it and then the one that waits. Here
//! the thread that publishes writes the frames and reads the confirm itself. The channel is lapin's for everything else: it opens and
//! closes it and declares on it.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use lapin::{BasicProperties, Channel};

use super::confirms::{ChannelEnd, Confirm, Confirms, ReturnedMessage};
use super::frame_reader::FrameReader;
use super::frame_writer::{FrameWriter, Written};
use super::publish_frames::{self, Publish};

/// So many bytes are collected before they are written; the last message may be of any size.
const MAX_BYTES: usize = 262_144;

/// How long lapin gets to read that the broker closed a channel.
const LAPIN_LEARNS: Duration = Duration::from_secs(1);

/// A channel in confirm mode. Dropping the last handle closes it, as with lapin's.
pub struct ConfirmChannel {
    channel: Channel,
    reader: FrameReader,
    writer: FrameWriter,
    frame_max: usize,
    /// Its id in the filter of what is read.
    id: u64,
    /// Confirms were asked for.
    is_selected: AtomicBool,
}

/// Finished frames of some messages.
pub struct MessageFrames {
    bytes: Vec<u8>,
    count: usize,
    /// One could not be written as AMQP.
    is_invalid: bool,
}

impl MessageFrames {
    /// Of how many messages.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl ConfirmChannel {
    /// For a new channel. Confirms are asked for together with the first message.
    pub fn new(channel: Channel, reader: FrameReader, writer: FrameWriter, frame_max: usize) -> Self {
        let id = reader.take_confirms(channel.id());
        Self { channel, reader, writer, frame_max, id, is_selected: AtomicBool::new(false) }
    }

    /// lapin's channel.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The beginning of messages that are sent together.
    pub fn frames(&self) -> MessageFrames {
        let is_selected = self.is_selected.load(Ordering::Relaxed);
        let bytes = if is_selected { Vec::new() } else { publish_frames::confirm_select(self.channel.id()) };
        MessageFrames { bytes, count: 0, is_invalid: false }
    }

    /// Adds a message to those that are sent together. `false` when there is no room for another one.
    pub fn add(&self, frames: &mut MessageFrames, exchange: &str, key: &str, properties: &BasicProperties, body: &[u8]) -> bool {
        let method = Publish { channel: self.channel.id(), exchange, key };
        let added = publish_frames::push_message(&mut frames.bytes, self.frame_max, &method, properties, body);
        frames.is_invalid |= added.is_err();
        frames.count += 1;
        frames.bytes.len() < MAX_BYTES
    }

    /// Writes messages until `deadline`, in part if need be. Answers the number of the first one; `None` when nothing of them was written, and
    /// nothing can be behind them.
    pub fn send(&self, frames: &MessageFrames, deadline: Instant) -> Option<u64> {
        if frames.is_invalid {
            return None;
        }
        let first = self.with(|confirms| confirms.publish(frames.count))?;
        let is_open = || self.end().is_none() && self.channel.status().connected();
        if self.writer.write_frames(&frames.bytes, deadline, is_open) == Written::Nothing {
            self.with(|confirms| confirms.unpublish(frames.count));
            return None;
        }
        self.is_selected.store(true, Ordering::Relaxed);
        Some(first)
    }

    /// Writes what the socket had no room for before, if it has room now.
    pub fn flush(&self) {
        self.writer.flush();
    }

    /// Waits until at most `left` messages are unconfirmed, nothing more will come, or `deadline`. Whether no more than that are unconfirmed.
    pub fn wait(&self, left: usize, deadline: Instant) -> bool {
        let is_confirmed = || self.with(|confirms| confirms.unconfirmed() <= left).unwrap_or(false);
        let is_done = || is_confirmed() || self.end().is_some();
        if !is_done() {
            self.reader.wait(deadline, poll_fn(|_| if is_done() { Poll::Ready(()) } else { Poll::Pending }));
        }
        is_confirmed()
    }

    /// What came for the message with this number.
    pub fn outcome(&self, number: u64) -> Option<Confirm> {
        self.with(|confirms| confirms.outcome(number)).flatten()
    }

    /// Takes the messages that came back.
    pub fn take_returned(&self) -> Vec<ReturnedMessage> {
        self.with(Confirms::take_returned).unwrap_or_default()
    }

    /// Forgets the messages that were sent, when there is an answer for each. Nobody may ask for one of them any more.
    pub fn forget_confirmed(&self) {
        self.with(Confirms::forget_confirmed);
    }

    /// Why nothing more comes, if that is so.
    pub fn end(&self) -> Option<ChannelEnd> {
        self.with(|confirms| confirms.ended().cloned()).unwrap_or(Some(ChannelEnd::Lost(None)))
    }

    fn with<T>(&self, with: impl FnOnce(&mut Confirms) -> T) -> Option<T> {
        self.reader.with_confirms(self.id, with)
    }
}

impl fmt::Debug for ConfirmChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfirmChannel").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl Drop for ConfirmChannel {
    fn drop(&mut self) {
        if let Some(ChannelEnd::Closed(..)) = self.end() {
            // We may know it before lapin. A channel that it believes open it would close, and then end the connection because it is closed.
            let deadline = Instant::now() + LAPIN_LEARNS;
            self.reader.wait_for_lapin(deadline, || !self.channel.status().connected());
        }
        self.reader.leave_confirms(self.id);
    }
}
