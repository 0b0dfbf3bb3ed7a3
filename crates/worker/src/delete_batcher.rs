//! Sends deletions in batches: within 1 ms, or 64 together, whichever is first.
//!
//! The last job in hand has no company to wait for: where the broker can send its deletion without waiting for an answer, that is done
//! on PHP's thread, and no other thread is woken. What became of it is asked before the next one is sent, and in every turn of the loop.
//!
//! A process that dies inside that millisecond runs those jobs again: at most 64 that wait and 64 on their way. A deletion that comes
//! too late is reported, never silent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::broker::{Broker, SentDeletion, Settle, SettleResult, Settlement};
use ferry_core::{Claim, ErrorKind, Result};
use ferry_support::pause::GrowingPause;
use ferry_support::sync;
use ferry_support::threads::PanicSlot;

use crate::batcher::{BatchLimits, BatchSink, Batcher, Sent};
use crate::in_flight::{InFlightJob, InFlightJobs};
use crate::job::{Settler, settle_one};

/// A full queue blocks PHP's thread: on a busy machine the sending thread may get no turn for long, and what waits here runs again when
/// the process dies.
const LIMITS: BatchLimits = BatchLimits {
    batch: 64,
    waiting: 64,
    gather: Duration::from_millis(1),
    block: None,
    retry: GrowingPause::new(Duration::from_millis(10), Duration::from_secs(1)),
};

/// A job that is done.
#[derive(Clone)]
pub struct Deletion {
    /// Its reservation, and its id for the report.
    pub job: Arc<InFlightJob>,
    /// It was sent before, and the answer was lost.
    pub in_doubt: bool,
}

/// Deletes jobs on a thread of its own.
pub struct DeleteBatcher {
    broker: Arc<dyn Broker>,
    jobs: Arc<InFlightJobs>,
    batcher: Arc<Batcher<Deletion>>,
    lost: Arc<Mutex<Vec<Deletion>>>,
    /// Whether a deletion was sent on PHP's thread that the broker may not have read.
    unread: AtomicBool,
    /// The deletion that was sent last on PHP's thread, until its answer is known.
    sent: Mutex<Option<Deletion>>,
}

impl DeleteBatcher {
    /// Starts the thread. `jobs` are those in hand.
    pub fn start(broker: Arc<dyn Broker>, jobs: Arc<InFlightJobs>, panics: &PanicSlot) -> Result<(Self, JoinHandle<()>)> {
        let lost = Arc::default();
        let sink = DeleteSink { broker: broker.clone(), lost: Arc::clone(&lost), items: Vec::new(), uncertain: false };
        let (batcher, thread) = Batcher::start("ferry-settle", LIMITS, sink, panics)?;
        Ok((Self { broker, jobs, batcher, lost, unread: AtomicBool::new(false), sent: Mutex::default() }, thread))
    }

    /// Takes the deletions that came too late since the last call.
    pub fn take_lost(&self) -> Vec<Deletion> {
        self.resolve_sent();
        std::mem::take(&mut sync::lock(&self.lost))
    }

    /// Waits until everything is deleted, for at most `limit`. Returns how many jobs are left, and why the last batch failed.
    pub fn flush(&self, limit: Duration) -> (usize, Option<String>) {
        let begun = Instant::now();
        let (left, failure) = self.batcher.flush(limit);
        let rest = || limit.saturating_sub(begun.elapsed());
        if let Err(error) = self.flush_unread(rest()) {
            return (left + 1, failure.or_else(|| Some(error.to_string())));
        }
        self.resolve_sent();
        // One whose answer was lost is repeated.
        if self.batcher.is_empty() { (left, failure) } else { self.batcher.flush(rest()) }
    }

    fn flush_unread(&self, limit: Duration) -> Result<()> {
        if !self.unread.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        self.broker.flush_deletions(limit).inspect_err(|_| self.unread.store(true, Ordering::Relaxed))
    }

    /// Waits for what became of the deletion that was sent last, for at most `limit`: nobody will ask for a while.
    pub fn flush_sent(&self, limit: Duration) {
        // An error is met again by the flush at the end.
        let _ = self.flush_unread(limit);
        self.resolve_sent();
    }

    /// Sends the deletion of the last job in hand at once, if the broker can do that without waiting.
    fn send_last(&self, job: &Arc<InFlightJob>) -> bool {
        self.resolve_sent();
        let mut sent = sync::lock(&self.sent);
        let is_last = sent.is_none() && !self.jobs.has_waiting() && self.batcher.is_empty();
        let is_sent = is_last && self.broker.send_deletion(&job.reservation.claim);
        if is_sent {
            self.unread.store(true, Ordering::Relaxed);
            *sent = Some(Deletion { job: job.clone(), in_doubt: false });
        }
        is_sent
    }

    /// Does what the answer to the deletion that was sent last asks for, if there is one by now.
    fn resolve_sent(&self) {
        let mut sent = sync::lock(&self.sent);
        if sent.is_none() {
            return;
        }
        match (self.broker.sent_deletion(), sent.take()) {
            (SentDeletion::Unread, unread) => *sent = unread,
            (SentDeletion::Settled(SettleResult::Lost), lost) => sync::lock(&self.lost).extend(lost),
            (SentDeletion::InDoubt, Some(deletion)) => self.hand_over(Deletion { in_doubt: true, ..deletion }),
            (SentDeletion::Settled(SettleResult::Applied), _) | (SentDeletion::InDoubt, None) => {}
        }
    }

    fn hand_over(&self, deletion: Deletion) {
        self.batcher.push(deletion, |_, deletion| Some(deletion));
    }

    /// Sends what waits without waiting for more.
    pub fn flush_soon(&self) {
        self.batcher.flush_soon();
    }

    /// Sends a batch that failed again at once.
    pub fn repeat_now(&self) {
        self.batcher.repeat_now();
    }

    /// Ends the thread.
    pub fn close(&self) {
        self.batcher.close();
    }
}

impl Settler for DeleteBatcher {
    fn delete(&self, job: &Arc<InFlightJob>) -> Result<SettleResult> {
        if !self.send_last(job) {
            self.hand_over(Deletion { job: job.clone(), in_doubt: false });
        }
        Ok(SettleResult::Applied)
    }

    fn settle(&self, claim: &Claim, settlement: Settlement) -> Result<SettleResult> {
        settle_one(&*self.broker, claim, settlement)
    }
}

struct DeleteSink {
    broker: Arc<dyn Broker>,
    lost: Arc<Mutex<Vec<Deletion>>>,
    /// The batch as the broker takes it.
    items: Vec<Settle>,
    /// Whether an answer about this batch was lost.
    uncertain: bool,
}

impl BatchSink<Deletion> for DeleteSink {
    /// Every error is retried: the jobs are done, and giving up would run them again.
    fn send(&mut self, batch: &[Deletion]) -> Sent {
        if self.items.is_empty() {
            let items =
                batch.iter().map(|done| Settle { claim: done.job.reservation.claim.clone(), settlement: Settlement::Delete });
            self.items.extend(items);
        }
        match self.broker.settle(&self.items) {
            Ok(answers) => {
                // After a lost answer "no longer there" may well be our own doing.
                if !std::mem::take(&mut self.uncertain) && answers.contains(&SettleResult::Lost) {
                    let is_late = |(done, answer): &(&Deletion, SettleResult)| *answer == SettleResult::Lost && !done.in_doubt;
                    let late = batch.iter().zip(answers).filter(is_late);
                    sync::lock(&self.lost).extend(late.map(|(done, _)| done.clone()));
                }
                self.items.clear();
                Sent::Done
            }
            Err(error) => {
                self.uncertain |= error.kind() == ErrorKind::Uncertain;
                Sent::Retry(error)
            }
        }
    }
}
