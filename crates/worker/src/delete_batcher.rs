//! The thread that sends deletions in batches: within 1 ms, or 64 together, whichever is first.
//!
//! A process that dies inside that millisecond runs those jobs again: 64 that waited and 64 on their way at the most. A deletion that comes too late is reported, never silent.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::broker::{Broker, Settle, SettleResult, Settlement};
use ferry_core::{Claim, ErrorKind, Result, signals};

use crate::job::{Settler, settle_one};

/// How long a deletion waits for company.
const GATHER: Duration = Duration::from_millis(1);
/// How many go together at once.
const FULL: usize = 64;
/// How many may wait before PHP's thread has to: on a busy machine this thread may get no turn for long, and what waits here runs
/// again when the process dies. As many more may be on their way.
const MOST: usize = FULL;
/// How soon a batch that failed is sent again, doubling up to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// A job that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Our hold on it.
    pub claim: Claim,
    /// Its id, for the report.
    pub id: String,
}

/// A settle thread and the way to it.
pub struct DeleteBatcher {
    broker: Arc<dyn Broker>,
    desk: Arc<DeleteQueue>,
}

struct DeleteQueue {
    papers: Mutex<DeleteQueueState>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct DeleteQueueState {
    pending: Vec<Deletion>,
    in_flight: usize,
    lost: Vec<Deletion>,
    trouble: Option<String>,
    failing: bool,
    closing: bool,
    sleeping: bool,
    /// Nobody else will come soon: what is there goes at once.
    hurried: bool,
}

impl DeleteQueue {
    fn lock(&self) -> MutexGuard<'_, DeleteQueueState> {
        // Nothing below can panic half-way through a change.
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeleteBatcher {
    /// Starts the settle thread.
    pub fn start(broker: Arc<dyn Broker>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let desk = Arc::new(DeleteQueue { papers: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() });
        let (there, at) = (broker.clone(), desk.clone());
        let spawn = || std::thread::Builder::new().name("ferry-settle".into()).spawn(move || serve(&*there, &at));
        let thread = signals::blocked(spawn)?;
        Ok((Self { broker, desk }, thread))
    }

    /// Deletions that came too late since the last call.
    pub fn take_lost(&self) -> Vec<Deletion> {
        std::mem::take(&mut self.desk.lock().lost)
    }

    /// Waits until everything handed over is settled, at most `limit`. Answers what is left, and the last trouble.
    pub fn flush(&self, limit: Duration) -> (usize, Option<String>) {
        let deadline = Instant::now() + limit;
        let mut papers = self.desk.lock();
        self.desk.filled.notify_all();
        loop {
            let left = papers.pending.len() + papers.in_flight;
            let now = Instant::now();
            if left == 0 || now >= deadline {
                return (left, papers.trouble.clone());
            }
            papers = self.desk.emptied.wait_timeout(papers, deadline - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What is there goes without waiting for company.
    pub fn flush_soon(&self) {
        let mut papers = self.desk.lock();
        if !papers.pending.is_empty() && !papers.hurried {
            papers.hurried = true;
            self.desk.filled.notify_one();
        }
    }

    /// Tells the thread to leave; what is outstanding is not sent any more.
    pub fn close(&self) {
        self.desk.lock().closing = true;
        self.desk.filled.notify_all();
    }
}

impl Settler for DeleteBatcher {
    fn delete(&self, claim: &Claim, id: &str) -> Result<SettleResult> {
        let mut papers = self.desk.lock();
        // While the broker is away nobody waits: the loop must get on to notice it, and takes no new jobs meanwhile.
        while papers.pending.len() >= MOST && !papers.closing && !papers.failing {
            self.desk.filled.notify_one();
            papers = self.desk.emptied.wait(papers).unwrap_or_else(PoisonError::into_inner);
        }
        papers.pending.push(Deletion { claim: claim.clone(), id: id.to_owned() });
        if papers.sleeping || papers.pending.len() == FULL {
            papers.sleeping = false;
            self.desk.filled.notify_one();
        }
        Ok(SettleResult::Applied)
    }

    fn settle(&self, claim: &Claim, settlement: Settlement) -> Result<SettleResult> {
        settle_one(&*self.broker, claim, settlement)
    }
}

fn serve(broker: &dyn Broker, desk: &DeleteQueue) {
    while let Some(batch) = next_batch(desk) {
        let lost = send(broker, desk, &batch);
        let mut papers = desk.lock();
        papers.in_flight = 0;
        papers.failing = false;
        papers.lost.extend(lost);
        drop(papers);
        desk.emptied.notify_all();
    }
}

/// Waits for the first deletion, then up to [`GATHER`] for more. `None` when the pipeline closes.
fn next_batch(desk: &DeleteQueue) -> Option<Vec<Deletion>> {
    let mut papers = desk.lock();
    while papers.pending.is_empty() {
        if papers.closing {
            return None;
        }
        papers.sleeping = true;
        papers = desk.filled.wait(papers).unwrap_or_else(PoisonError::into_inner);
    }
    papers.sleeping = false;
    if papers.pending.len() < FULL && !papers.closing && !papers.hurried {
        papers = desk.filled.wait_timeout(papers, GATHER).unwrap_or_else(PoisonError::into_inner).0;
    }
    papers.hurried = false;
    let batch = std::mem::take(&mut papers.pending);
    papers.in_flight = batch.len();
    drop(papers);
    desk.emptied.notify_all();
    Some(batch)
}

/// Sends one batch until the broker has answered. The jobs are done; giving up would run them again.
fn send(broker: &dyn Broker, desk: &DeleteQueue, batch: &[Deletion]) -> Vec<Deletion> {
    let items: Vec<Settle> =
        batch.iter().map(|done| Settle { claim: done.claim.clone(), settlement: Settlement::Delete }).collect();
    let mut pause = AGAIN.0;
    let mut uncertain = false;
    loop {
        match broker.settle(&items) {
            // After a lost answer "no longer there" may well be our own doing.
            Ok(_) if uncertain => return Vec::new(),
            Ok(answers) => return lost(batch, &answers),
            Err(error) => {
                uncertain |= error.kind() == ErrorKind::Uncertain;
                let mut papers = desk.lock();
                papers.trouble = Some(error.to_string());
                papers.failing = true;
                desk.emptied.notify_all();
                if papers.closing {
                    return Vec::new();
                }
                drop(desk.filled.wait_timeout(papers, pause));
                pause = (pause * 2).min(AGAIN.1);
            }
        }
    }
}

fn lost(batch: &[Deletion], answers: &[SettleResult]) -> Vec<Deletion> {
    let late = batch.iter().zip(answers).filter(|(_, answer)| **answer == SettleResult::Lost);
    late.map(|(done, _)| done.clone()).collect()
}
