//! What this process holds: for each channel its unacked jobs, and which acks may go together.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ferry_core::job::{Claim, Receipt};
use ferry_core::{QueueName, Result};
use lapin::options::{BasicAckOptions, BasicNackOptions, ChannelFlowOptions};
use lapin::{BasicProperties, Channel};

use crate::link::AmqpLink;
use crate::names::{Names, QueueRole};
use crate::wait;

/// All channels that hold something, or may.
#[derive(Default)]
pub struct UnackedRegistry(Mutex<HashMap<u64, Arc<ConsumerChannel>>>);

impl UnackedRegistry {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<ConsumerChannel>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a ledger until its channel is dead.
    pub fn put(&self, ledger: Arc<ConsumerChannel>) {
        let mut all = self.lock();
        all.retain(|_, ledger| ledger.is_alive());
        all.insert(ledger.number, ledger);
    }

    /// The ledger and the tag of a claim, if its channel lives.
    pub fn find(&self, claim: &Claim) -> Option<(Arc<ConsumerChannel>, u64)> {
        let (number, tag) = read(&claim.receipt)?;
        let ledger = self.lock().get(&number).cloned()?;
        (ledger.queue == claim.queue && ledger.is_alive()).then_some((ledger, tag))
    }

    /// All ledgers, the dead ones too.
    pub fn all(&self) -> Vec<Arc<ConsumerChannel>> {
        self.lock().values().cloned().collect()
    }

    /// A ledger that gets no new jobs is kept while it holds old ones.
    pub fn retire(&self, ledger: &ConsumerChannel) {
        ledger.retired.store(true, Ordering::Relaxed);
        if ledger.held().is_empty() {
            self.remove(ledger);
        }
    }

    /// Forgets a ledger.
    pub fn remove(&self, ledger: &ConsumerChannel) {
        self.lock().remove(&ledger.number);
    }
}

/// A job that was handed out.
#[derive(Debug, Clone)]
pub struct Unacked {
    /// The queue it came from.
    pub side: QueueRole,
    /// Attempts used before this one.
    pub attempts: u32,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
    pub since: Instant,
    /// Whether somebody was told that it takes long.
    pub warned: bool,
}

/// One channel, its deliveries and their acks.
pub struct ConsumerChannel {
    number: u64,
    pub queue: QueueName,
    pub names: Names,
    pub link: Arc<AmqpLink>,
    pub channel: Channel,
    held: Mutex<HashMap<u64, Unacked>>,
    acked: Mutex<Acked>,
    /// Held while acks are sent, and while a consumer ends.
    still: Mutex<()>,
    retired: AtomicBool,
}

impl ConsumerChannel {
    /// A ledger for a new channel. Its number, and with it every receipt, is unique in this process.
    pub fn new(queue: &QueueName, names: Names, link: Arc<AmqpLink>, channel: Channel) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            queue: queue.clone(),
            names,
            link,
            channel,
            held: Mutex::default(),
            acked: Mutex::default(),
            still: Mutex::default(),
            retired: AtomicBool::new(false),
        }
    }

    /// Whether what it holds is still ours.
    pub fn is_alive(&self) -> bool {
        self.channel.status().connected() && self.link.is_alive()
    }

    /// Whether it will never hold anything again.
    pub fn is_over(&self) -> bool {
        self.retired.load(Ordering::Relaxed) && self.held().is_empty()
    }

    pub fn held(&self) -> MutexGuard<'_, HashMap<u64, Unacked>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a job out and returns its claim.
    pub fn hand_out(&self, tag: u64, held: Unacked) -> Claim {
        self.held().insert(tag, held);
        Claim { queue: self.queue.clone(), receipt: write(self.number, tag) }
    }

    /// No ack is sent while this is held: each makes room for another delivery, and one that meets the end of its consumer is dropped by the
    /// library. It would come again, redelivered, and cost an attempt.
    pub fn still(&self) -> MutexGuard<'_, ()> {
        self.still.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acks deliveries, as few frames as possible, without waiting for anything.
    pub fn ack(&self, tags: impl IntoIterator<Item = u64>) -> Result<()> {
        let _moving = self.still();
        self.link.tell(self.send_acks(tags))
    }

    /// Acks deliveries and waits until the broker has read it. An ack has no answer of its own; a question behind it has.
    pub fn ack_for_sure(&self, tags: impl IntoIterator<Item = u64>) -> Result<()> {
        let _moving = self.still();
        self.link.ask(async {
            let (sent, answered) = wait::both(self.send_acks(tags), self.ask_anything()).await;
            sent.and(answered)
        })
    }

    async fn send_acks(&self, tags: impl IntoIterator<Item = u64>) -> lapin::Result<()> {
        let acks = self.acked.lock().unwrap_or_else(PoisonError::into_inner).add(tags);
        let frames = acks.into_iter().map(|ack| self.channel.basic_ack(ack.tag, BasicAckOptions { multiple: ack.multiple }));
        wait::all(frames).await.into_iter().collect()
    }

    /// "Flow on" changes nothing: it always is.
    async fn ask_anything(&self) -> lapin::Result<()> {
        self.channel.channel_flow(ChannelFlowOptions { active: true }).await.map(drop)
    }

    /// Puts a delivery back where it lay. It will come redelivered.
    pub fn requeue(&self, tag: u64) -> Result<()> {
        let _moving = self.still();
        // A later frame for many may cover it; the broker ignores what is no longer out.
        drop(self.acked.lock().unwrap_or_else(PoisonError::into_inner).add([tag]));
        self.link.tell(self.channel.basic_nack(tag, BasicNackOptions { multiple: false, requeue: true }))
    }

    /// Waits until the broker has read what was sent, and answered.
    pub fn sync(&self) -> Result<()> {
        self.link.ask(self.ask_anything())
    }
}

/// One ack frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ack {
    tag: u64,
    /// Everything before it as well.
    multiple: bool,
}

/// Which deliveries of a channel are acked. Tags are numbered from 1 without a gap.
#[derive(Debug, Default)]
struct Acked {
    /// All up to this one are.
    floor: u64,
    /// Those beyond the first gap.
    beyond: BTreeSet<u64>,
}

impl Acked {
    /// The frames that ack these tags. What is known to be contiguous from the floor on goes in one; never a tag that was not named.
    fn add(&mut self, tags: impl IntoIterator<Item = u64>) -> Vec<Ack> {
        let mut named: BTreeSet<u64> = tags.into_iter().filter(|tag| *tag > self.floor && !self.beyond.contains(tag)).collect();
        let before = self.floor;
        let mut covered = None;
        loop {
            let next = self.floor + 1;
            if named.remove(&next) {
                covered = Some(next);
            } else if !self.beyond.remove(&next) {
                break;
            }
            self.floor = next;
        }
        let together = covered.map(|tag| Ack { tag, multiple: tag > before + 1 });
        self.beyond.extend(&named);
        together.into_iter().chain(named.into_iter().map(|tag| Ack { tag, multiple: false })).collect()
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
    fn a_tag_that_nobody_named_is_never_acked() {
        let mut acked = Acked::default();
        assert_eq!(frames(&mut acked, &[2, 3]), [(2, false), (3, false)]);
        assert_eq!(frames(&mut acked, &[5]), [(5, false)]);
        // 4 is still out: the frame for 1 may not reach beyond 3.
        assert_eq!(frames(&mut acked, &[1]), [(1, false)]);
        assert_eq!(frames(&mut acked, &[4]), [(4, false)]);
        assert_eq!(frames(&mut acked, &[6]), [(6, false)]);
    }

    #[test]
    fn a_tag_named_again_sends_nothing() {
        let mut acked = Acked::default();
        assert_eq!(frames(&mut acked, &[1, 2]), [(2, true)]);
        assert_eq!(frames(&mut acked, &[1, 2]), []);
    }

    #[test]
    fn a_receipt_is_read_as_it_was_written_and_anything_else_is_none_of_ours() {
        assert_eq!(read(&write(7, 9)), Some((7, 9)));
        assert_eq!(read(&Receipt(vec![1, 2, 3])), None);
        assert_eq!(read(&Receipt(vec![0; 17])), None);
    }
}
