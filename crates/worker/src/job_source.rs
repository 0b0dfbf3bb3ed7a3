//! The jobs of a broker, as an engine runs them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::broker::{Broker, Capabilities, Isolation};
use ferry_core::policy::Tries;
use ferry_core::queue::QueueName;
use ferry_core::{Claim, Reservation, Result};

use crate::batch_sizer::BatchSizer;
use crate::engine::{Engine, LoopAction, Source, UnitEnd};
use crate::execution::JobExecution;
use crate::fork_generation::ForkGeneration;
use crate::host::{Event, Halt, JobHost};
use crate::in_flight::InFlightJob;
use crate::job::HeldJob;
use crate::lease_renewer;
use crate::options::Options;
use crate::shutdown::ShutdownDeadline;
use crate::threads::WorkerThreads;

/// How often a job may be moved before [`JobSource::reserve_one`] leaves it to the next call.
const MOST_MOVES: usize = 3;
/// So many failed jobs may return at once, in a row, before lower queues get a turn.
const RETURNS_BEFORE_LOWER_QUEUES: u32 = 10;

/// How long a job that is there may take to arrive over a subscription. A guess: the broker is asked before a queue counts as empty.
const ARRIVAL: Duration = Duration::from_millis(20);

/// Reserves jobs in batches and executes them.
pub struct JobSource<'a> {
    host: &'a dyn JobHost,
    options: &'a Options,
    connection: Arc<str>,
    broker: Arc<dyn Broker>,
    generation: ForkGeneration,
    /// `None` once they ended.
    threads: Option<WorkerThreads>,
    /// The queue of the job at hand, and of the next one in a batch of many queues.
    queue: QueueName,
    /// Whether the batch comes from many queues.
    is_mixed: bool,
    /// Jobs of the batch that were not started; fewer when some were given back.
    in_hand: usize,
    /// Whether the first queue gave as many jobs as it was last asked for.
    gives_enough: bool,
    /// Whether jobs were asked for ahead since the last batch.
    asked_ahead: bool,
    /// Some handler here allows one try only.
    one_by_one: bool,
    /// Whether reservations have leases.
    leases: bool,
    /// Whether jobs come over a subscription.
    subscribes: bool,
    sizer: BatchSizer,
    /// The classes of jobs that were left unsettled.
    left_unsettled: RefCell<HashSet<String>>,
    /// Jobs in a row that failed and were ready again at once.
    returned_in_a_row: u32,
}

impl<'a> JobSource<'a> {
    /// A source that has its threads.
    pub fn new(
        host: &'a dyn JobHost,
        options: &'a Options,
        broker: Arc<dyn Broker>,
        generation: ForkGeneration,
        threads: WorkerThreads,
    ) -> Self {
        let (connection, threads) = (Arc::from(options.connection.as_str()), Some(threads));
        let (queue, sizer) = (QueueName::default(), BatchSizer::default());
        let Capabilities { leases, subscribes, .. } = broker.capabilities();
        let (left_unsettled, returned_in_a_row) = (RefCell::default(), 0);
        Self {
            host,
            options,
            connection,
            broker,
            generation,
            threads,
            queue,
            is_mixed: false,
            in_hand: 0,
            gives_enough: false,
            asked_ahead: false,
            one_by_one: false,
            leases,
            subscribes,
            sizer,
            left_unsettled,
            returned_in_a_row,
        }
    }

    /// Reserves one job without waiting. Returns whether there was one. A job that is moved to be held alone is reserved from there.
    pub fn reserve_one(&mut self) -> Result<bool> {
        for _ in 0..MOST_MOVES {
            let asked = Instant::now();
            let jobs = self.broker.reserve(&self.options.queues, 1, Duration::ZERO)?;
            let found = !jobs.is_empty();
            self.accept_batch(jobs, asked, asked)?;
            if !found || self.threads.as_ref().is_some_and(|threads| threads.shared.jobs.has_waiting()) {
                return Ok(found);
            }
        }
        Ok(true)
    }

    /// Reserves without waiting for jobs that are not there yet. Those that are there come over the subscription, and only when none has
    /// come is it asked whether there is none.
    fn reserve_arriving(&self, queues: &[QueueName], size: usize) -> Result<Vec<Reservation>> {
        let jobs = self.broker.reserve(queues, size, ARRIVAL)?;
        if jobs.is_empty() { self.broker.reserve(queues, size, Duration::ZERO) } else { Ok(jobs) }
    }

    /// The queues in the order in which they are asked. Jobs that fail and are ready again at once (a `delay` of 0) would keep all lower
    /// queues from running, so after ten in a row the lower ones come first, once.
    fn in_turn<'q>(&mut self, queues: &'q [QueueName]) -> Cow<'q, [QueueName]> {
        let Some(at) = queues.iter().position(|queue| *queue == self.queue) else { return Cow::Borrowed(queues) };
        if self.returned_in_a_row < RETURNS_BEFORE_LOWER_QUEUES || at + 1 == queues.len() {
            return Cow::Borrowed(queues);
        }
        self.returned_in_a_row = 0;
        Cow::Owned([&queues[at + 1..], &queues[..=at]].concat())
    }

    /// How many jobs to ask for. One when a job has one try: it must not be held beside others (promise 5).
    fn batch_size(&mut self, left: usize) -> usize {
        let one_try = matches!(self.options.tries, Tries::Limit(tries) if tries <= 1);
        if self.leases && (self.one_by_one || one_try) {
            return 1;
        }
        self.sizer.next(self.options.prefetch.min(left))
    }

    /// Holds a fresh batch that was asked for at `asked`, and whose leases were whole at `leased`.
    ///
    /// A job whose handler allows one try must not be held beside others, and the broker cannot know that
    /// (promise 5): such a batch goes back but for its first job, and from then on jobs are reserved one by one. Without leases, such
    /// jobs are isolated instead.
    fn accept_batch(&mut self, jobs: Vec<Reservation>, asked: Instant, leased: Instant) -> Result<()> {
        if let Some(first) = jobs.first() {
            self.queue.clone_from(&first.claim.queue);
            self.is_mixed = jobs.iter().any(|job| job.claim.queue != self.queue);
        }
        let mut fresh: Vec<Arc<InFlightJob>> =
            jobs.into_iter().map(|job| InFlightJob::new(job, asked, self.options.family)).collect();
        if !self.leases {
            fresh = self.isolate(fresh)?;
        } else if fresh.len() > 1 && fresh.iter().any(|job| self.has_one_try(job)) {
            self.one_by_one = true;
            lease_renewer::give_back(&*self.broker, claims(&fresh.split_off(1)));
        }
        self.in_hand = fresh.len();
        if let Some(threads) = &self.threads {
            threads.shared.jobs.fill(fresh, leased);
        }
        Ok(())
    }

    /// Asks for the next jobs while those in hand are worked, so that the broker and PHP work at the same time. Only in the steady state,
    /// where jobs are fast and the first queue has enough of them; and the worker never holds more than `prefetch`.
    fn reserve_ahead(&mut self, engine: &Engine<'_>) {
        let (prefetch, size) = (self.options.prefetch, self.options.prefetch / 2);
        let is_steady = self.gives_enough && !self.asked_ahead && self.leases && !self.one_by_one && self.returned_in_a_row == 0;
        // A batch of one would never show that its handlers allow one try only.
        let fits = size > 1 && self.in_hand > 0 && self.in_hand + size <= prefetch;
        if !(is_steady && fits && self.sizer.is_at(prefetch) && engine.units_left() >= self.in_hand + size) {
            return;
        }
        let asked = Instant::now();
        let Some(request) = self.broker.clone().reserve_ahead(&self.queue, size) else {
            self.gives_enough = false;
            return;
        };
        if let Some(threads) = &self.threads {
            threads.shared.jobs.ask_ahead(request, asked);
            self.asked_ahead = true;
        }
    }

    /// Holds what was reserved ahead. Returns whether that was anything.
    fn accept_ahead(&mut self, queues: &[QueueName]) -> Result<bool> {
        self.asked_ahead = false;
        let Some(threads) = &self.threads else { return Ok(false) };
        let Some(batch) = threads.shared.jobs.take_ahead()? else { return Ok(false) };
        // A queue above it may have been resumed.
        let is_first = batch.jobs.first().is_some_and(|job| queues.first() == Some(&job.claim.queue));
        self.gives_enough = is_first && batch.jobs.len() == self.options.prefetch / 2;
        let Some(first) = batch.jobs.first() else { return Ok(false) };
        if !queues.contains(&first.claim.queue) {
            // It was paused meanwhile.
            lease_renewer::give_back(&*self.broker, batch.jobs.into_iter().map(|job| job.claim));
            return Ok(false);
        }
        self.accept_batch(batch.jobs, batch.asked, batch.leased)?;
        Ok(true)
    }

    /// Those of a batch that may be started now. A job with one try is held alone before, so that a death of its worker costs it nothing
    /// until it was started.
    fn isolate(&self, jobs: Vec<Arc<InFlightJob>>) -> Result<Vec<Arc<InFlightJob>>> {
        let (one_try, mut startable): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| self.has_one_try(job));
        if one_try.is_empty() {
            return Ok(startable);
        }
        let answers = match self.broker.isolate(&claims(&one_try)) {
            Ok(answers) => answers,
            Err(error) => {
                lease_renewer::give_back(&*self.broker, claims(&startable));
                return Err(error);
            }
        };
        startable.extend(one_try.iter().zip(answers).filter_map(|(job, answer)| match answer {
            Isolation::Alone { uncounted } => Some(job.with_fewer_attempts(uncounted)),
            Isolation::Moved | Isolation::Lost => None,
        }));
        Ok(startable)
    }

    fn has_one_try(&self, job: &InFlightJob) -> bool {
        // A handler that cannot be found allows no try at all; its job is buried when its turn comes.
        let limits = self.host.prepare(job).unwrap_or_default();
        let tries = job.payload.tries.or(limits.tries).unwrap_or(self.options.tries);
        job.poison.is_none() && matches!(tries, Tries::Limit(tries) if tries <= 1)
    }

    /// Runs the next job of the batch. Returns how it counts, or `None` when the batch is done.
    pub fn run_next(&mut self) -> std::result::Result<Option<UnitEnd>, Halt> {
        let Some(threads) = &self.threads else { return Ok(None) };
        self.in_hand = self.in_hand.saturating_sub(1);
        let started = Instant::now();
        let Some(in_flight) = self.next_held(threads, started) else { return Ok(None) };
        let job = HeldJob::open(in_flight, self.connection.clone(), threads.settler.clone(), self.generation);
        let job = Rc::new(job.with_status(threads.shared.reporter().cloned()));
        let result =
            JobExecution { options: self.options, threads: Some(threads), job: &job, left_unsettled: Some(&self.left_unsettled) }
                .execute(self.host);
        if self.generation.is_forked() {
            return result.and(Err(Halt::Forked));
        }
        threads.shared.jobs.finish();
        if let Some(next) = self.is_mixed.then(|| threads.shared.jobs.next_queue()).flatten() {
            self.queue = next;
        }
        self.sizer.record(started.elapsed());
        self.returned_in_a_row = if job.returned_at_once() { self.returned_in_a_row.saturating_add(1) } else { 0 };
        result.map(|()| Some(job.unit_end()))
    }

    /// The next job of the batch that may still be ours. The others are at the broker again, because their connection broke.
    fn next_held(&self, threads: &WorkerThreads, now: Instant) -> Option<Arc<InFlightJob>> {
        let jobs = &threads.shared.jobs;
        while let Some(job) = jobs.next(now) {
            if self.broker.may_hold(&job.reservation.claim) {
                return Some(job);
            }
            jobs.finish();
        }
        None
    }
}

fn claims(jobs: &[Arc<InFlightJob>]) -> Vec<Claim> {
    jobs.iter().map(|job| job.reservation.claim.clone()).collect()
}

impl Source for JobSource<'_> {
    fn reserve(&mut self, engine: &Engine<'_>, queues: &[QueueName], wait: Duration) -> Result<bool> {
        if let Some(threads) = &self.threads {
            threads.flush_soon();
        }
        if self.accept_ahead(queues)? {
            return Ok(true);
        }
        let asked = Instant::now();
        let size = self.batch_size(engine.units_left());
        let in_turn = self.in_turn(queues);
        // Of several queues a lower one may be first to deliver, so these are asked in turn.
        let jobs = match self.subscribes && self.options.stop_when_empty && in_turn.len() == 1 {
            true => self.reserve_arriving(&in_turn, size)?,
            false => self.broker.reserve(&in_turn, size, wait)?,
        };
        let found = !jobs.is_empty();
        self.gives_enough = jobs.len() == size && jobs.iter().all(|job| job.claim.queue == queues[0]);
        self.accept_batch(jobs, asked, asked)?;
        Ok(found)
    }

    fn run_batch(&mut self, engine: &mut Engine<'_>) -> std::result::Result<LoopAction, Halt> {
        loop {
            self.reserve_ahead(engine);
            let Some(end) = self.run_next()? else { break };
            match engine.after_unit(end, Some(&self.queue), &*self)? {
                LoopAction::Continue => {}
                LoopAction::Pause => {
                    if let Some(threads) = &self.threads {
                        threads.shared.give_back();
                    }
                    return Ok(LoopAction::Pause);
                }
                stop @ LoopAction::Stop(_) => return Ok(stop),
            }
        }
        Ok(LoopAction::Continue)
    }

    fn broker_recovered(&mut self) {
        if let Some(threads) = &self.threads {
            threads.repeat_now();
        }
    }

    fn release_prefetched(&mut self) {
        if let Some(threads) = &self.threads {
            threads.shared.give_back();
            threads.flush_sent();
        }
        self.broker.release_prefetched();
    }

    fn pending(&self, queues: &[QueueName]) -> Option<u64> {
        let sizes = queues.iter().map(|queue| self.broker.size(queue));
        sizes.map(|sizes| sizes.map(|sizes| sizes.total())).sum::<Result<u64>>().ok()
    }

    fn report(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        let Some(threads) = &self.threads else { return };
        for late in threads.take_lost() {
            emit(Event::SettleLost { id: &late.job.id(), queue: late.job.reservation.claim.queue.as_str() });
        }
        if let Some(error) = threads.take_status_failure() {
            emit(Event::StatusError(&error));
        }
        for notice in self.broker.notices() {
            emit(Event::Notice(&notice));
        }
    }

    fn close(&mut self, deadline: &ShutdownDeadline, emit: &mut dyn FnMut(Event<'_>)) {
        if let Some(threads) = &self.threads {
            if let Some(error) = threads.settle_all(deadline) {
                emit(Event::BrokerLost(&error));
            }
            threads.flush_statuses(deadline);
        }
        self.report(emit);
        self.broker.release_prefetched();
        if let Some(threads) = self.threads.take() {
            threads.shutdown();
        }
    }

    fn forget(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.forget();
        }
    }
}
