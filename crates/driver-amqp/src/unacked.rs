//! The unacked jobs of this process: for each channel what was handed out, and which acks may share a frame.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ferry_core::job::{Claim, Receipt};
use ferry_core::{QueueName, Result};
use ferry_support::sync;
use lapin::options::{BasicAckOptions, BasicNackOptions, ChannelFlowOptions};
use lapin::{BasicProperties, Channel};

use crate::link::{AmqpLink, FRAME_END, METHOD};
use crate::names::{Names, QueueRole};
use crate::publisher::LateConfirm;
use crate::route::Route;
use crate::wait;

/// Class 60, method 80.
const BASIC_ACK: [u8; 4] = [0, 60, 0, 80];

/// All channels with unacked jobs.
#[derive(Default)]
pub struct UnackedRegistry(Mutex<HashMap<u64, Arc<ConsumerChannel>>>);

impl UnackedRegistry {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<ConsumerChannel>>> {
        sync::lock(&self.0)
    }

    /// Adds a channel.
    pub fn add(&self, channel: Arc<ConsumerChannel>) {
        self.lock().insert(channel.number, channel);
    }

    /// The channel and the delivery tag of a claim, if its channel is alive.
    pub fn find(&self, claim: &Claim) -> Option<(Arc<ConsumerChannel>, u64)> {
        self.find_if(claim, ConsumerChannel::is_alive)
    }

    /// The same, if its channel was alive a moment ago.
    pub fn find_recent(&self, claim: &Claim) -> Option<(Arc<ConsumerChannel>, u64)> {
        self.find_if(claim, ConsumerChannel::was_alive)
    }

    fn find_if(&self, claim: &Claim, is_alive: impl FnOnce(&ConsumerChannel) -> bool) -> Option<(Arc<ConsumerChannel>, u64)> {
        let (number, tag) = read(&claim.receipt)?;
        let channel = self.lock().get(&number).cloned()?;
        (channel.queue == claim.queue && is_alive(&channel)).then_some((channel, tag))
    }

    /// All channels, dead ones too.
    pub fn all(&self) -> Vec<Arc<ConsumerChannel>> {
        self.lock().values().cloned().collect()
    }

    /// Notes that a channel gets no new jobs. It is kept while it has unacked ones.
    pub fn retire(&self, channel: &ConsumerChannel) {
        channel.retired.store(true, Ordering::Relaxed);
        if channel.is_finished() {
            self.remove(channel);
        }
    }

    /// Forgets a channel.
    pub fn remove(&self, channel: &ConsumerChannel) {
        self.lock().remove(&channel.number);
    }
}

/// A job that was handed out.
#[derive(Debug)]
pub struct Unacked {
    /// The queue it came from.
    pub role: QueueRole,
    /// Attempts used before this one.
    pub attempts: u32,
    /// Those among them that are only presumed.
    pub presumed: u32,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
    pub since: Instant,
    /// Whether a notice says that it takes long.
    pub warned: bool,
    /// The settlement that was asked for and could not be carried out yet.
    pub unsettled: Option<Unsettled>,
}

/// A settlement that is carried out when the broker accepts it.
#[derive(Debug)]
pub struct Unsettled {
    /// Where the job is published before it is acked. Its body is here meanwhile.
    pub route: Route<'static>,
    /// The confirm of the last try, if that may still come.
    pub late: Option<LateConfirm>,
}

/// One channel that consumes, its deliveries and their acks.
pub struct ConsumerChannel {
    number: u64,
    pub queue: QueueName,
    pub names: Arc<Names>,
    pub link: Arc<AmqpLink>,
    pub channel: Channel,
    held: Mutex<HashMap<u64, Unacked>>,
    acked: Mutex<Acked>,
    /// Held while acks are sent, and while a consumer is cancelled.
    ack_gate: Mutex<()>,
    retired: AtomicBool,
    /// How many jobs are taken out of `held` because they are being settled.
    in_settlement: AtomicUsize,
}

impl ConsumerChannel {
    /// Wraps a new channel. Its number, and with it every receipt, is unique in this process.
    pub fn new(queue: &QueueName, names: Arc<Names>, link: Arc<AmqpLink>, channel: Channel) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            queue: queue.clone(),
            names,
            link,
            channel,
            held: Mutex::default(),
            acked: Mutex::default(),
            ack_gate: Mutex::default(),
            retired: AtomicBool::new(false),
            in_settlement: AtomicUsize::new(0),
        }
    }

    /// Whether its unacked jobs are still ours.
    pub fn is_alive(&self) -> bool {
        // In this order: the look at the link may show lapin that the channel was closed.
        self.link.is_alive() && self.channel.status().connected()
    }

    /// The same, perhaps as it was a moment ago: for taking more jobs, which meets an error then, and for an ack that nobody waits for, which may
    /// be lost with the connection at any moment.
    pub fn was_alive(&self) -> bool {
        self.link.was_alive() && self.channel.status().connected()
    }

    /// Whether it is retired and has no unacked job.
    pub fn is_finished(&self) -> bool {
        let held = self.held();
        self.retired.load(Ordering::Relaxed) && held.is_empty() && self.in_settlement.load(Ordering::Relaxed) == 0
    }

    pub fn held(&self) -> MutexGuard<'_, HashMap<u64, Unacked>> {
        sync::lock(&self.held)
    }

    /// Takes a job out, to settle it. [`ConsumerChannel::put_back`] or [`ConsumerChannel::end_settlement`] must follow.
    pub fn take_for_settlement(&self, tag: u64) -> Option<Unacked> {
        let mut held = self.held();
        let job = held.remove(&tag)?;
        self.in_settlement.fetch_add(1, Ordering::Relaxed);
        Some(job)
    }

    /// Puts a job back that could not be settled.
    pub fn put_back(&self, tag: u64, job: Unacked) {
        let mut held = self.held();
        held.insert(tag, job);
        self.in_settlement.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes that a job that was taken out is settled.
    pub fn end_settlement(&self) {
        self.in_settlement.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes that a job was handed out, and returns its claim.
    pub fn hand_out(&self, tag: u64, job: Unacked) -> Claim {
        self.held().insert(tag, job);
        Claim { queue: self.queue.clone(), receipt: write(self.number, tag) }
    }

    /// No ack is sent while this is held: each makes room for another delivery, and lapin drops a delivery that arrives after its consumer
    /// was cancelled. It would be redelivered, and cost an attempt.
    pub fn hold_acks(&self) -> MutexGuard<'_, ()> {
        sync::lock(&self.ack_gate)
    }

    /// Acks deliveries in as few frames as possible, without waiting for the broker.
    pub fn ack(&self, tags: impl IntoIterator<Item = u64>) -> Result<()> {
        let _gate = self.hold_acks();
        self.link.send(self.send_acks(tags))
    }

    /// Acks a delivery without waiting until that is written. `false` when nothing was sent: another thread sends acks, a consumer ends, or
    /// the channel has ended.
    pub fn try_ack(&self, tag: u64) -> bool {
        let Some(_gate) = sync::try_lock(&self.ack_gate) else { return false };
        let acks = sync::lock(&self.acked).add([tag]);
        acks.into_iter().all(|ack| self.write_ack(ack) || self.link.start(self.send_ack(ack)))
    }

    /// Writes an ack past lapin, whose I/O thread need not wake for it.
    fn write_ack(&self, ack: Ack) -> bool {
        self.link.try_write_frame(&ack.frame(self.channel.id()), || self.channel.status().connected())
    }

    fn send_ack(&self, ack: Ack) -> impl Future<Output = lapin::Result<()>> + use<'_> {
        self.channel.basic_ack(ack.tag, BasicAckOptions { multiple: ack.multiple })
    }

    /// Acks deliveries and waits until the broker has read the acks. They have no answer, but the request behind them has one.
    pub fn ack_and_wait(&self, tags: impl IntoIterator<Item = u64>) -> Result<()> {
        let _gate = self.hold_acks();
        self.link.request(async {
            let (sent, answered) = wait::both(self.send_acks(tags), self.round_trip()).await;
            sent.and(answered)
        })
    }

    async fn send_acks(&self, tags: impl IntoIterator<Item = u64>) -> lapin::Result<()> {
        let acks = sync::lock(&self.acked).add(tags);
        let frames = acks.into_iter().map(|ack| self.send_ack(ack));
        wait::all(frames).await.into_iter().collect()
    }

    /// `channel.flow` with `active` changes nothing.
    async fn round_trip(&self) -> lapin::Result<()> {
        self.channel.channel_flow(ChannelFlowOptions { active: true }).await.map(drop)
    }

    /// Puts a delivery back to its place in the queue. It will be redelivered.
    pub fn requeue(&self, tag: u64) -> Result<()> {
        let _gate = self.hold_acks();
        // A later frame with `multiple` may cover it; the broker ignores tags that are settled.
        drop(sync::lock(&self.acked).add([tag]));
        self.link.send(self.channel.basic_nack(tag, BasicNackOptions { multiple: false, requeue: true }))
    }

    /// Waits until the broker has read everything that was sent.
    pub fn sync(&self) -> Result<()> {
        self.link.request(self.round_trip())
    }

    /// The same, for at most `limit`.
    pub fn sync_within(&self, limit: Duration) -> Result<()> {
        self.link.request_within(limit, self.round_trip())
    }
}

/// One ack frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ack {
    tag: u64,
    /// All tags up to this one.
    multiple: bool,
}

impl Ack {
    /// `basic.ack` on this channel.
    fn frame(self, channel: u16) -> [u8; 21] {
        let mut frame = [0; 21];
        frame[0] = METHOD;
        frame[1..3].copy_from_slice(&channel.to_be_bytes());
        frame[3..7].copy_from_slice(&13_u32.to_be_bytes());
        frame[7..11].copy_from_slice(&BASIC_ACK);
        frame[11..19].copy_from_slice(&self.tag.to_be_bytes());
        frame[19] = u8::from(self.multiple);
        frame[20] = FRAME_END;
        frame
    }
}

/// The acked deliveries of a channel. Tags count from 1 without a gap.
#[derive(Debug, Default)]
struct Acked {
    /// All tags up to this one are acked.
    floor: u64,
    /// Acked tags behind the first gap.
    beyond: BTreeSet<u64>,
}

impl Acked {
    /// The frames that ack these tags. Tags that are contiguous from the floor share one frame; a tag that is not in `tags` is never acked.
    fn add(&mut self, tags: impl IntoIterator<Item = u64>) -> Vec<Ack> {
        let mut left: BTreeSet<u64> = tags.into_iter().filter(|tag| *tag > self.floor && !self.beyond.contains(tag)).collect();
        let before = self.floor;
        let mut covered = None;
        loop {
            let next = self.floor + 1;
            if left.remove(&next) {
                covered = Some(next);
            } else if !self.beyond.remove(&next) {
                break;
            }
            self.floor = next;
        }
        let together = covered.map(|tag| Ack { tag, multiple: tag > before + 1 });
        self.beyond.extend(&left);
        together.into_iter().chain(left.into_iter().map(|tag| Ack { tag, multiple: false })).collect()
    }
}

fn write(number: u64, tag: u64) -> Receipt {
    Receipt([number.to_le_bytes(), tag.to_le_bytes()].concat())
}

fn read(receipt: &Receipt) -> Option<(u64, u64)> {
    let (number, tag) = receipt.0.split_at_checked(8)?;
    Some((u64::from_le_bytes(number.try_into().ok()?), u64::from_le_bytes(tag.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(acked: &mut Acked, tags: &[u64]) -> Vec<(u64, bool)> {
        acked.add(tags.iter().copied()).into_iter().map(|ack| (ack.tag, ack.multiple)).collect()
    }

    #[test]
    fn contiguous_acks_go_in_one_frame_and_a_gap_ends_it() {
        let mut acked = Acked::default();
        assert_eq!(frames(&mut acked, &[1]), [(1, false)]);
        assert_eq!(frames(&mut acked, &[2, 3, 4, 6]), [(4, true), (6, false)]);
        assert_eq!(frames(&mut acked, &[5]), [(5, false)]);
        assert_eq!(frames(&mut acked, &[7, 8]), [(8, true)]);
    }

    #[test]
    fn a_tag_that_was_not_given_is_never_acked() {
        let mut acked = Acked::default();
        assert_eq!(frames(&mut acked, &[2, 3]), [(2, false), (3, false)]);
        assert_eq!(frames(&mut acked, &[5]), [(5, false)]);
        // 4 is unacked: the frame for 1 may not reach beyond 3.
        assert_eq!(frames(&mut acked, &[1]), [(1, false)]);
        assert_eq!(frames(&mut acked, &[4]), [(4, false)]);
        assert_eq!(frames(&mut acked, &[6]), [(6, false)]);
    }

    #[test]
    fn a_tag_given_again_sends_nothing() {
        let mut acked = Acked::default();
        assert_eq!(frames(&mut acked, &[1, 2]), [(2, true)]);
        assert_eq!(frames(&mut acked, &[1, 2]), []);
    }

    #[test]
    fn an_ack_is_one_method_frame_of_amqp_0_9_1() {
        let one = Ack { tag: 0x0102, multiple: false }.frame(3);
        assert_eq!(one, *b"\x01\0\x03\0\0\0\x0d\0\x3c\0\x50\0\0\0\0\0\0\x01\x02\0\xce");
        assert_eq!(Ack { tag: 0x0102, multiple: true }.frame(3)[19], 1);
    }

    #[test]
    fn a_receipt_is_read_as_it_was_written_and_foreign_bytes_are_not() {
        assert_eq!(read(&write(7, 9)), Some((7, 9)));
        assert_eq!(read(&Receipt(vec![1, 2, 3])), None);
        assert_eq!(read(&Receipt(vec![0; 17])), None);
    }
}
