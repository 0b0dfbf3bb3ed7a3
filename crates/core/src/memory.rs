//! The memory broker: the reference for every driver, and the connection type `memory`.
//!
//! Jobs live in this process and die with it. Due times and leases follow an injected [`Clock`].

mod status;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::batch;
use crate::broker::{
    Admin, Broker, Capabilities, ExtendResult, IdempotencyStore, Settle, SettleResult, Settlement, Sizes, State, StatusStore,
};
use crate::clock::Clock;
use crate::control::{ControlCommand, FleetFlags, GONE_AFTER, WorkerControl, WorkerReport};
use crate::dialect::{Counting, Family};
use crate::error::Result;
use crate::failed::{FailedJob, Filter};
use crate::job::{Claim, Due, NewJob, Receipt, Reservation};
use crate::payload::{find_attempts, with_attempts, with_fresh_attempts};
use crate::queue::QueueName;

/// A broker in memory, in the manner of Redis: attempts are part of the payload, counted as its family does.
pub struct MemoryBroker<C> {
    clock: C,
    family: Family,
    /// Seconds a reservation lasts; `None` for ever.
    retry_after: Option<u32>,
    queues: Mutex<HashMap<QueueName, Queue>>,
    /// Numbers failed jobs, of all queues together.
    burials: AtomicU64,
    pushed: Condvar,
    control: Mutex<ControlState>,
    statuses: Mutex<status::MemoryStatuses>,
}

/// Flags, and reports of workers.
#[derive(Default)]
struct ControlState {
    flags: FleetFlags,
    workers: BTreeMap<String, WorkerReport>,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Vec<u8>>,
    /// By due second, then in the order of arrival.
    delayed: BTreeMap<(i64, u64), Vec<u8>>,
    reserved: HashMap<u64, ReservedJob>,
    /// By the number of their burial.
    failed: BTreeMap<u64, FailedJob>,
    /// Numbers arrivals and reservations.
    counter: u64,
}

struct ReservedJob {
    original: Vec<u8>,
    /// The body when it returns, with one attempt more.
    raised: Vec<u8>,
    ends: Option<i64>,
}

impl ReservedJob {
    /// The body that `peek` shows.
    fn peeked(&self, family: Family) -> Vec<u8> {
        match family.counting() {
            Counting::AtReserve => self.raised.clone(),
            Counting::AtReturn => self.original.clone(),
        }
    }
}

impl Queue {
    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn store(&mut self, job: &NewJob<'_>, now: i64) {
        let payload = job.payload.to_vec();
        if job.due == Due::Now {
            self.ready.push_back(payload);
        } else {
            let order = self.next();
            self.delayed.insert((job.due.at(now), order), payload);
        }
    }

    /// Due jobs, then expired reservations, go to the tail of the ready jobs.
    fn migrate(&mut self, now: i64) {
        let later = self.delayed.split_off(&(now + 1, 0));
        self.ready.extend(std::mem::replace(&mut self.delayed, later).into_values());
        let mut expired: Vec<(i64, u64)> =
            self.reserved.iter().filter_map(|(id, held)| held.ends.filter(|ends| *ends <= now).map(|ends| (ends, *id))).collect();
        expired.sort_unstable();
        for (_, id) in expired {
            if let Some(held) = self.reserved.remove(&id) {
                self.ready.push_back(held.raised);
            }
        }
    }

    fn reserve(&mut self, name: &QueueName, max: usize, now: i64, terms: Terms) -> Vec<Reservation> {
        let tried = |body: &[u8]| find_attempts(body).map_or(1, |at| terms.family.tried(at.value));
        let taken = batch::take(max, self.ready.iter().map(|body| batch::stands_alone(tried(body), body)));
        let bodies: Vec<Vec<u8>> = self.ready.drain(..taken).collect();
        bodies.into_iter().map(|body| self.reserve_one(name, body, now, terms)).collect()
    }

    /// Takes the failed jobs with these numbers out of the store, if they are still there.
    fn take_failed(&mut self, numbers: &[u64]) -> Vec<FailedJob> {
        numbers.iter().filter_map(|number| self.failed.remove(number)).collect()
    }

    fn reserve_one(&mut self, name: &QueueName, body: Vec<u8>, now: i64, terms: Terms) -> Reservation {
        let at = find_attempts(&body);
        let raised = at.map_or_else(|| body.clone(), |at| with_attempts(&body, at, at.value + 1));
        let ends = terms.retry_after.map(|seconds| now + i64::from(seconds));
        let id = self.next();
        self.reserved.insert(id, ReservedJob { original: body.clone(), raised, ends });
        Reservation {
            claim: Claim { queue: name.clone(), receipt: Receipt(id.to_le_bytes().to_vec()) },
            body,
            attempts: at.map(|at| terms.family.attempt_number(at.value)),
            number: None,
            reserved_at: now,
        }
    }
}

/// The terms of a reservation.
#[derive(Clone, Copy)]
struct Terms {
    family: Family,
    retry_after: Option<u32>,
}

impl<C: Clock> MemoryBroker<C> {
    /// An empty broker of the default family whose reservations last `retry_after` seconds, for ever with `None`.
    pub fn new(clock: C, retry_after: Option<u32>) -> Self {
        Self::of_family(Family::default(), clock, retry_after)
    }

    /// An empty broker that counts attempts as `family` does.
    pub fn of_family(family: Family, clock: C, retry_after: Option<u32>) -> Self {
        let (queues, control, statuses) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { clock, family, retry_after, queues, burials: AtomicU64::new(1), pushed: Condvar::new(), control, statuses }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueName, Queue>> {
        // A panic elsewhere leaves whole jobs behind: every change below is one move.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn control_state(&self) -> MutexGuard<'_, ControlState> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_queue<T>(&self, name: &QueueName, work: impl FnOnce(&mut Queue, i64) -> T) -> T {
        let now = self.clock.now();
        work(self.lock().entry(name.clone()).or_default(), now)
    }

    /// The failed jobs that match, oldest first, and the numbers of their burials.
    fn matching(&self, queue: &QueueName, which: &Filter) -> (Vec<u64>, Vec<FailedJob>) {
        self.with_queue(queue, |queue, _| {
            let matching = queue.failed.iter().filter(|(_, job)| which.matches(job));
            matching.map(|(number, job)| (*number, job.clone())).unzip()
        })
    }

    fn settle_one(&self, item: &Settle) -> SettleResult {
        self.with_queue(&item.claim.queue, |queue, now| {
            let id = id_of(&item.claim);
            if let Settlement::Leave = item.settlement {
                return if queue.reserved.contains_key(&id) { SettleResult::Applied } else { SettleResult::Lost };
            }
            let Some(held) = queue.reserved.remove(&id) else { return SettleResult::Lost };
            match &item.settlement {
                Settlement::Delete | Settlement::Leave => {}
                Settlement::Release { delay } => {
                    let order = queue.next();
                    queue.delayed.insert((now.saturating_add(*delay), order), held.raised);
                }
                Settlement::GiveBack => queue.ready.push_front(held.original),
                Settlement::Bury(failure) => {
                    let number = self.burials.fetch_add(1, Ordering::Relaxed);
                    let job = FailedJob::of(failure, number.to_string(), item.claim.queue.as_str(), now);
                    queue.failed.insert(number, job.named_by_job());
                }
            }
            SettleResult::Applied
        })
    }
}

fn id_of(claim: &Claim) -> u64 {
    claim.receipt.0.as_slice().try_into().map_or(0, u64::from_le_bytes)
}

impl<C: Clock> Broker for MemoryBroker<C> {
    fn push(&self, queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>> {
        self.push_many(queue, &[job]).map(|_| None)
    }

    fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
        self.with_queue(queue, |queue, now| jobs.iter().for_each(|job| queue.store(job, now)));
        self.pushed.notify_all();
        Ok(jobs.len() as u64)
    }

    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
        let terms = Terms { family: self.family, retry_after: self.retry_after };
        let take = |all: &mut HashMap<QueueName, Queue>| {
            let now = self.clock.now();
            for name in queues {
                if let Some(queue) = all.get_mut(name) {
                    queue.migrate(now);
                    let jobs = queue.reserve(name, max, now, terms);
                    if !jobs.is_empty() {
                        return jobs;
                    }
                }
            }
            Vec::new()
        };
        let mut all = self.lock();
        let jobs = take(&mut all);
        if !jobs.is_empty() || wait.is_zero() {
            return Ok(jobs);
        }
        let waited = self.pushed.wait_timeout(all, wait.min(Duration::from_secs(1)));
        let (mut all, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Ok(take(&mut all))
    }

    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
        // Given-back jobs go to the head one by one, so the last goes first; everything else does not care for order.
        let mut settled: Vec<SettleResult> = batch.iter().rev().map(|item| self.settle_one(item)).collect();
        settled.reverse();
        self.pushed.notify_all();
        Ok(settled)
    }

    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
        let extend = |claim: &Claim| {
            self.with_queue(&claim.queue, |queue, now| match queue.reserved.get_mut(&id_of(claim)) {
                Some(held) => {
                    held.ends = self.retry_after.map(|seconds| now + i64::from(seconds));
                    ExtendResult::Kept
                }
                None => ExtendResult::Lost,
            })
        };
        Ok(claims.iter().map(extend).collect())
    }

    fn size(&self, queue: &QueueName) -> Result<Sizes> {
        Ok(self.with_queue(queue, |queue, _| Sizes {
            ready: queue.ready.len() as u64,
            delayed: queue.delayed.len() as u64,
            reserved: queue.reserved.len() as u64,
            failed: queue.failed.len() as u64,
        }))
    }

    fn close(&self) {}

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            id_in_payload: true,
            counts_in_payload: true,
            leases: true,
            sees_all_states: true,
            gives_back_to_head: true,
            subscribes: false,
        }
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }

    fn control(&self) -> Option<&dyn WorkerControl> {
        Some(self)
    }

    fn status(&self) -> Option<&dyn StatusStore> {
        Some(self)
    }

    fn idempotency(&self) -> Option<&dyn IdempotencyStore> {
        Some(self)
    }
}

impl<C: Clock> Admin for MemoryBroker<C> {
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        Ok(self.with_queue(queue, |queue, _| page(queue.failed.values().rev().cloned(), offset, limit)))
    }

    fn failed_job(&self, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
        Ok(self.with_queue(queue, |queue, _| queue.failed.values().find(|job| job.id == id).cloned()))
    }

    fn retry(&self, queue: &QueueName, which: &Filter, before: &mut dyn FnMut(&[FailedJob])) -> Result<u64> {
        let (numbers, jobs) = self.matching(queue, which);
        if jobs.is_empty() {
            return Ok(0);
        }
        // Not beneath the lock: the caller may write statuses to this very broker.
        before(&jobs);
        let fresh = self.family.fresh_attempts();
        let retried = self.with_queue(queue, |queue, _| {
            let jobs = queue.take_failed(&numbers);
            queue.ready.extend(jobs.iter().map(|job| with_fresh_attempts(&job.payload, fresh)));
            jobs.len() as u64
        });
        self.pushed.notify_all();
        Ok(retried)
    }

    fn forget(&self, queue: &QueueName, which: &Filter) -> Result<u64> {
        let (numbers, _) = self.matching(queue, which);
        Ok(self.with_queue(queue, |queue, _| queue.take_failed(&numbers).len() as u64))
    }

    fn peek(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>> {
        Ok(self.with_queue(queue, |queue, _| match state {
            State::Ready => page(queue.ready.iter().cloned(), offset, limit),
            State::Delayed => page(queue.delayed.values().cloned(), offset, limit),
            State::Reserved => {
                let mut held: Vec<_> = queue.reserved.iter().collect();
                held.sort_unstable_by_key(|(id, held)| (held.ends, **id));
                page(held.into_iter().map(|(_, held)| held.peeked(self.family)), offset, limit)
            }
        }))
    }

    fn clear(&self, queue: &QueueName) -> Result<u64> {
        Ok(self.with_queue(queue, |queue, _| {
            let removed = queue.ready.len() + queue.delayed.len() + queue.reserved.len();
            queue.ready.clear();
            queue.delayed.clear();
            queue.reserved.clear();
            removed as u64
        }))
    }
}

impl<C: Clock> WorkerControl for MemoryBroker<C> {
    fn flags(&self) -> Result<FleetFlags> {
        Ok(self.control_state().flags.clone())
    }

    fn pause(&self, queue: &QueueName) -> Result<()> {
        self.control_state().flags.paused.entry(queue.as_str().to_owned()).or_insert(self.clock.now());
        Ok(())
    }

    fn resume(&self, queue: &QueueName) -> Result<()> {
        self.control_state().flags.paused.remove(queue.as_str());
        Ok(())
    }

    fn command(&self, command: ControlCommand) -> Result<()> {
        let flags = &mut self.control_state().flags;
        match command {
            ControlCommand::Restart => flags.restart += 1,
            ControlCommand::Stop => flags.stop += 1,
        }
        Ok(())
    }

    fn report(&self, report: &WorkerReport) -> Result<()> {
        let report = WorkerReport { seen: self.clock.now(), ..report.clone() };
        self.control_state().workers.insert(report.id.clone(), report);
        Ok(())
    }

    fn deregister(&self, id: &str) -> Result<()> {
        self.control_state().workers.remove(id);
        Ok(())
    }

    fn workers(&self) -> Result<Vec<WorkerReport>> {
        let since = self.clock.now() - GONE_AFTER;
        let mut workers: Vec<WorkerReport> =
            self.control_state().workers.values().filter(|report| report.seen > since).cloned().collect();
        workers.sort_by_key(|report| report.started);
        Ok(workers)
    }
}

fn page<T>(items: impl Iterator<Item = T>, offset: u64, limit: u64) -> Vec<T> {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    items.skip(count(offset)).take(count(limit)).collect()
}
