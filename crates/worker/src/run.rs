//! The loop.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::broker::Broker;
use ferry_core::fleet::Occupation;
use ferry_core::policy::Tries;
use ferry_core::queue::QueueName;
use ferry_core::{Claim, Error, Receipt, Reservation, Result};

use crate::crew::{Crew, Keeping};
use crate::fleet::{Identity, Membership, Place};
use crate::health::Health;
use crate::hold::Lease;
use crate::host::{Event, Halt, Host, Summary};
use crate::job::{Discarding, HeldJob};
use crate::lineage::Lineage;
use crate::link::{Link, Verdict};
use crate::options::Options;
use crate::pace::Pace;
use crate::scribe::Chronicle;
use crate::tally::Tally;
use crate::timer::Alarm;
use crate::way::{Way, random};
use crate::{exit, keeper};

/// The longest wait in one piece: PHP's signal handlers run at least this often.
const SLICE: Duration = Duration::from_millis(200);
/// How a worker ended.
#[derive(Debug)]
pub enum End {
    /// With an exit code.
    Code(u8),
    /// It could not start: exit code 1.
    NotStarted(Error),
    /// PHP ended it.
    Halted(Halt),
}

/// A worker on one connection.
pub struct Worker {
    broker: Arc<dyn Broker>,
    options: Options,
    connection: Arc<str>,
    lineage: Lineage,
    alarm: Option<Arc<dyn Alarm>>,
    fleet: Membership,
    /// Where the flags of the fleet are.
    flags_at: Option<Arc<dyn Broker>>,
    keeping: Option<Keeping>,
    occupation: Occupation,
    /// The queue of the batch at hand.
    serving: Option<QueueName>,
    /// Whether some handler here allows one try only.
    one_by_one: bool,
    pace: Pace,
    tally: Tally,
    /// When the memory is looked at next, for the fleet to see.
    memory_due: Instant,
}

impl Worker {
    /// A worker that has not started: no thread, no I/O.
    pub fn new(broker: Arc<dyn Broker>, options: Options, generation: fn() -> u64) -> Self {
        let connection = Arc::from(options.connection.as_str());
        Self {
            broker,
            options,
            connection,
            lineage: Lineage::here(generation),
            alarm: None,
            fleet: Membership::none(),
            flags_at: None,
            keeping: None,
            occupation: Occupation::Idle,
            serving: None,
            one_by_one: false,
            pace: Pace::default(),
            tally: Tally::new(Instant::now()),
            memory_due: Instant::now(),
        }
    }

    /// Obeys the flags that `broker` keeps, if it keeps any, and reports there.
    #[must_use]
    pub fn with_fleet(mut self, broker: Option<Arc<dyn Broker>>) -> Self {
        self.flags_at = broker.filter(|broker| broker.fleet().is_some());
        self
    }

    /// Writes down what becomes of jobs in the ledger of `broker`, if it has one, for `ttl` seconds.
    #[must_use]
    pub fn with_ledger(mut self, broker: Option<Arc<dyn Broker>>, ttl: u32) -> Self {
        self.keeping = broker.filter(|broker| broker.ledger().is_some()).map(|ledger| Keeping { ledger, ttl });
        self
    }

    /// Lets a clock stop jobs that run too long; `alarm` reaches them.
    #[must_use]
    pub fn with_alarm(mut self, alarm: Arc<dyn Alarm>) -> Self {
        self.alarm = Some(alarm);
        self
    }

    /// Works until somebody asks it to stop, or a limit is reached.
    pub fn run(&mut self, host: &mut dyn Host) -> End {
        let crew = match self.muster() {
            Ok(crew) => crew,
            Err(error) => return End::NotStarted(error),
        };
        if let Err(error) = self.join_fleet(&crew) {
            return self.dismiss(crew, host, End::NotStarted(error));
        }
        let end = self.serve(&crew, host);
        if !self.lineage.is_forked() {
            self.fleet.leave();
        }
        self.dismiss(crew, host, end)
    }

    /// Works one job if one is ready. Answers whether there was one.
    pub fn work_one(&mut self, host: &mut dyn Host) -> Result<bool, (Option<Error>, Halt)> {
        let crew = self.muster().map_err(|error| (Some(error), Halt::Threw))?;
        let reserved = Instant::now();
        let jobs = match self.broker.reserve(&self.options.queues, 1, Duration::ZERO) {
            Ok(jobs) => jobs,
            Err(error) => {
                self.dismiss(crew, host, End::Code(exit::STOPPED));
                return Err((Some(error), Halt::Threw));
            }
        };
        let found = !jobs.is_empty();
        crew.hold.fill(jobs.into_iter().map(|job| Lease::new(job, reserved)).collect(), reserved);
        let end = match self.work_held(&crew, host) {
            Ok(_) => End::Code(exit::STOPPED),
            Err(halt) => End::Halted(halt),
        };
        match self.dismiss(crew, host, end) {
            End::Halted(halt) => Err((None, halt)),
            End::NotStarted(error) => Err((Some(error), Halt::Threw)),
            End::Code(_) => Ok(found),
        }
    }

    fn muster(&self) -> Result<Crew> {
        Crew::muster(&self.broker, &self.options, &self.connection, self.alarm.clone(), self.keeping.as_ref())
    }

    /// Settles what is open, lets the threads go and turns the end into the answer of `run`.
    fn dismiss(&mut self, crew: Crew, host: &mut dyn Host, end: End) -> End {
        if self.lineage.is_forked() {
            crew.forget();
            return end;
        }
        let mut end = end;
        if let Some(error) = crew.settle_all() {
            end = after(end, host.event(Event::BrokerGone(&error)));
        }
        end = after(end, report_lost(&crew, host));
        crew.write_down();
        end = after(end, report_ledger(&crew, host));
        self.broker.rest();
        crew.dismiss();
        if let End::Code(code) = end {
            end = after(end, host.event(Event::Stopping(code)));
        }
        end
    }

    fn join_fleet(&mut self, crew: &Crew) -> Result<()> {
        let Some(broker) = self.flags_at.clone() else { return Ok(()) };
        let elsewhere = !Arc::ptr_eq(&broker, &self.broker);
        let identity = Identity::here(&self.options.queues, (random() * 65536.0) as u64);
        self.fleet = Membership::join(Place { broker, elsewhere }, identity, crew.hold.clone())?;
        Ok(())
    }

    fn serve(&mut self, crew: &Crew, host: &mut dyn Host) -> End {
        let started = Instant::now();
        match self.serve_until(crew, host, started) {
            Ok(end) => end,
            Err(halt) => End::Halted(halt),
        }
    }

    fn serve_until(&mut self, crew: &Crew, host: &mut dyn Host, started: Instant) -> Result<End, Halt> {
        let mut link = Link::new(self.options.max_outage);
        let mut health = Health::new(self.options.health_file.clone());
        let mut ready = false;
        let end = loop {
            self.breathe(host)?;
            host.event(Event::Looping)?;
            if self.lineage.is_forked() {
                return Err(Halt::Forked);
            }
            self.look_around(host)?;
            if let Some(code) = self.reached(host, started) {
                break End::Code(code);
            }
            let queues = self.open_queues(host);
            if queues.is_empty() {
                self.pause(host, true)?;
                if self.gives_up_when_empty(started) {
                    break End::Code(exit::STOPPED);
                }
                health.alive(Instant::now());
                self.rest(host, SLICE)?;
                continue;
            }
            self.pause(host, false)?;
            crew.hurry();
            let asked = Instant::now();
            let (most, wait) = (self.batch_size(), self.patience(started));
            match self.broker.reserve(&queues, most, wait) {
                Ok(jobs) => {
                    if link.answered() {
                        host.event(Event::BrokerBack)?;
                    }
                    if !std::mem::replace(&mut ready, true) {
                        host.event(Event::Ready)?;
                    }
                    health.alive(Instant::now());
                    let empty = jobs.is_empty();
                    if empty {
                        self.occupation = Occupation::Idle;
                        host.idle()?;
                    }
                    self.take_charge(crew, host, jobs, asked);
                    if let Some(code) = self.work_batch(crew, host, started)? {
                        break End::Code(code);
                    }
                    if empty && self.gives_up_when_empty(started) {
                        break End::Code(exit::STOPPED);
                    }
                }
                Err(error) => match link.failed(Instant::now()) {
                    Verdict::NeverWorked => break End::NotStarted(error),
                    Verdict::GiveUp => break self.unreachable(host, &error)?,
                    Verdict::Again { pause, first } => {
                        if first {
                            host.event(Event::BrokerTrouble(&error))?;
                        }
                        self.rest(host, pause)?;
                    }
                },
            }
            report_lost(crew, host)?;
            report_ledger(crew, host)?;
        };
        health.gone();
        Ok(end)
    }

    /// Looks what the fleet is asked for, and sums up, when it is time.
    fn look_around(&mut self, host: &mut dyn Host) -> Result<(), Halt> {
        let now = Instant::now();
        if let Some(error) = self.fleet.note(self.tally.processed, self.tally.failed, self.occupation) {
            host.event(Event::FleetTrouble(&error))?;
        }
        if now >= self.memory_due {
            self.memory_due = now + Duration::from_secs(1);
            self.fleet.note_memory(host.memory());
        }
        if let Some(rate) = self.tally.rate_when_due(self.options.status, now) {
            self.sum_up(host, rate, now)?;
        }
        Ok(())
    }

    fn sum_up(&self, host: &mut dyn Host, rate: f64, now: Instant) -> Result<(), Halt> {
        let sizes = self.options.queues.iter().map(|queue| self.broker.size(queue));
        let pending = sizes.map(|sizes| sizes.map(|sizes| sizes.total())).sum::<Result<u64>>().ok();
        let Tally { processed, failed, .. } = self.tally;
        let (memory, uptime) = (host.memory(), self.tally.uptime(now));
        host.event(Event::Status(&Summary { processed, failed, pending, rate, memory, uptime }))
    }

    /// The queues that may be worked now: none while this worker is paused.
    fn open_queues(&self, host: &dyn Host) -> Vec<QueueName> {
        let open = |queue: &&QueueName| !self.fleet.is_paused(queue);
        if host.paused() { Vec::new() } else { self.options.queues.iter().filter(open).cloned().collect() }
    }

    /// Tells when a pause begins and when it ends.
    fn pause(&mut self, host: &mut dyn Host, paused: bool) -> Result<(), Halt> {
        if paused == (self.occupation == Occupation::Paused) {
            return Ok(());
        }
        self.occupation = if paused { Occupation::Paused } else { Occupation::Idle };
        if paused {
            self.broker.rest();
        }
        host.event(if paused { Event::Paused } else { Event::Resumed })
    }

    fn unreachable(&self, host: &mut dyn Host, error: &Error) -> Result<End, Halt> {
        host.event(Event::BrokerGone(error))?;
        Ok(End::Code(exit::UNREACHABLE))
    }

    /// Holds a fresh batch. A job whose handler allows one try must not be held beside others, and the broker cannot know that
    /// (promise 5): such a batch goes back but for its first job, and from then on jobs are taken one by one.
    fn take_charge(&mut self, crew: &Crew, host: &mut dyn Host, jobs: Vec<Reservation>, asked: Instant) {
        self.serving = jobs.first().map(|job| job.claim.queue.clone());
        let mut leases: Vec<Arc<Lease>> = jobs.into_iter().map(|job| Lease::new(job, asked)).collect();
        if leases.len() > 1 && leases.iter().any(|lease| self.has_one_try(lease, host)) {
            self.one_by_one = true;
            keeper::give_back(&*self.broker, leases.split_off(1));
        }
        crew.hold.fill(leases, asked);
    }

    fn has_one_try(&self, lease: &Lease, host: &mut dyn Host) -> bool {
        // A handler that cannot be found allows no try at all; its job is buried when its turn comes.
        let handler = host.prepare(lease).unwrap_or_default();
        let tries = lease.payload.tries.or(handler.tries).unwrap_or(self.options.tries);
        lease.poison.is_none() && matches!(tries, Tries::Limit(tries) if tries <= 1)
    }

    /// Works what is held. Answers an exit code when the worker should stop in the middle of a batch.
    fn work_batch(&mut self, crew: &Crew, host: &mut dyn Host, started: Instant) -> Result<Option<u8>, Halt> {
        while self.work_held(crew, host)? {
            self.breathe(host)?;
            self.look_around(host)?;
            if let Some(code) = self.reached(host, started) {
                return Ok(Some(code));
            }
            if host.paused() || self.serving.as_ref().is_some_and(|queue| self.fleet.is_paused(queue)) {
                crew.give_back();
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Works the next held job, if there is one.
    fn work_held(&mut self, crew: &Crew, host: &mut dyn Host) -> Result<bool, Halt> {
        let begun = Instant::now();
        let Some(lease) = crew.hold.next(begun) else { return Ok(false) };
        self.occupation = Occupation::Working;
        let job = HeldJob::open(lease, self.connection.clone(), crew.settler.clone(), self.lineage);
        let job = Rc::new(job.told(crew.chronicle.clone()));
        let result = Way { options: &self.options, crew: Some(crew), job: &job }.walk(host);
        if self.lineage.is_forked() {
            return result.and(Err(Halt::Forked));
        }
        crew.hold.finish();
        self.tally.count(job.has_failed());
        self.pace.note(begun.elapsed());
        result?;
        Ok(true)
    }

    fn breathe(&self, host: &mut dyn Host) -> Result<(), Halt> {
        host.breathe()?;
        if self.lineage.is_forked() { Err(Halt::Forked) } else { Ok(()) }
    }

    /// Waits in slices, so that signals are served.
    fn rest(&self, host: &mut dyn Host, time: Duration) -> Result<(), Halt> {
        let until = Instant::now() + time;
        while !host.stopping() && Instant::now() < until {
            std::thread::sleep((until - Instant::now()).min(SLICE));
            self.breathe(host)?;
        }
        Ok(())
    }

    /// The exit code of the first limit that is reached.
    fn reached(&self, host: &dyn Host, started: Instant) -> Option<u8> {
        let options = &self.options;
        let done = self.tally.processed;
        let enough = options.max_jobs.is_some_and(|most| done >= most) || (options.once && done >= 1);
        let late = options.max_time.is_some_and(|time| started.elapsed() >= time);
        if host.stopping() || enough || late || self.fleet.asks_to_leave() {
            return Some(exit::STOPPED);
        }
        options.memory.is_some_and(|most| host.memory() >= most).then_some(exit::MEMORY)
    }

    /// How many jobs to ask for. One when a job has one try: it must not be held beside others (promise 5).
    fn batch_size(&mut self) -> usize {
        let options = &self.options;
        if options.once || self.one_by_one || matches!(options.tries, Tries::Limit(tries) if tries <= 1) {
            return 1;
        }
        let left = options.max_jobs.map_or(usize::MAX, |most| usize::try_from(most - self.tally.processed).unwrap_or(usize::MAX));
        self.pace.next(options.prefetch.min(left))
    }

    /// How long the next look may wait.
    fn patience(&self, started: Instant) -> Duration {
        let options = &self.options;
        let limit = if options.stop_when_empty {
            Duration::ZERO
        } else if options.once {
            options.sleep
        } else {
            options.max_time.unwrap_or(Duration::MAX)
        };
        limit.saturating_sub(started.elapsed()).min(SLICE)
    }

    fn gives_up_when_empty(&self, started: Instant) -> bool {
        self.options.stop_when_empty || (self.options.once && started.elapsed() >= self.options.sleep)
    }
}

/// A halt on the way out does not undo the end that led there, unless that was an ordinary one.
fn after(end: End, result: Result<(), Halt>) -> End {
    match (end, result) {
        (End::Code(_), Err(halt)) => End::Halted(halt),
        (end, _) => end,
    }
}

fn report_lost(crew: &Crew, host: &mut dyn Host) -> Result<(), Halt> {
    for late in crew.take_lost() {
        host.event(Event::SettleLost { id: &late.id, queue: late.claim.queue.as_str() })?;
    }
    Ok(())
}

fn report_ledger(crew: &Crew, host: &mut dyn Host) -> Result<(), Halt> {
    match crew.take_ledger_trouble() {
        Some(error) => host.event(Event::LedgerTrouble(&error)),
        None => Ok(()),
    }
}

/// Runs a job inside push, for the `sync` connection: nothing is reserved and nothing is settled.
///
/// A handler that throws fails its job at once: `failed()` is called and the exception is the caller's.
pub fn work_now(
    connection: &str,
    queue: &QueueName,
    body: Vec<u8>,
    now: i64,
    host: &mut dyn Host,
    generation: fn() -> u64,
    chronicle: Option<Chronicle>,
) -> Result<(), Halt> {
    let claim = Claim { queue: queue.clone(), receipt: Receipt(Vec::new()) };
    let reservation = Reservation { claim, body, attempts: Some(1), number: None, reserved_at: now };
    let lease = Lease::new(reservation, Instant::now());
    let job = HeldJob::open(lease, Arc::from(connection), Arc::new(Discarding), Lineage::here(generation)).told(chronicle);
    let options = Options::new(connection, vec![queue.clone()]);
    Way { options: &options, crew: None, job: &Rc::new(job) }.walk(host)
}
