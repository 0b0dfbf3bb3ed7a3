//! The loop, and the way of one job through it.

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::broker::Broker;
use ferry_core::config::SettleMode;
use ferry_core::failed::Reason;
use ferry_core::policy::{Outcome, Settlement, Tries, decide};
use ferry_core::queue::QueueName;
use ferry_core::{Claim, Error, ErrorKind, Receipt, Reservation, Result};

use crate::hold::Hold;
use crate::host::{CallEnd, Event, Halt, Host, Why};
use crate::job::{Direct, Discarding, HeldJob, Settler};
use crate::lineage::Lineage;
use crate::options::Options;
use crate::pace::Pace;
use crate::pipeline::Pipeline;
use crate::{exit, keeper};

/// The longest wait in one piece: PHP's signal handlers run at least this often.
const SLICE: Duration = Duration::from_millis(200);
/// How long a broker that does not answer is left alone, doubling up to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How long the end of a worker waits for outstanding deletions.
const LAST_WORD: Duration = Duration::from_secs(10);

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
    pace: Pace,
    done: u64,
}

/// The threads of a running worker and what they share with it.
struct Crew {
    hold: Arc<Hold>,
    pipeline: Option<Arc<Pipeline>>,
    threads: Vec<JoinHandle<()>>,
    settler: Arc<dyn Settler>,
}

impl Worker {
    /// A worker that has not started: no thread, no I/O.
    pub fn new(broker: Arc<dyn Broker>, options: Options, generation: fn() -> u64) -> Self {
        let connection = Arc::from(options.connection.as_str());
        Self { broker, options, connection, lineage: Lineage::here(generation), pace: Pace::default(), done: 0 }
    }

    /// Works until somebody asks it to stop, or a limit is reached.
    pub fn run(&mut self, host: &mut dyn Host) -> End {
        let crew = match self.muster() {
            Ok(crew) => crew,
            Err(error) => return End::NotStarted(error),
        };
        let end = self.serve(&crew, host);
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
        crew.hold.fill(jobs, reserved);
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
        let failed = |e: std::io::Error| Error::new(ErrorKind::Refused, "start a thread of the worker").with_source(e);
        let hold = Arc::new(Hold::new(self.options.retry_after, self.options.max_lease));
        let mut threads = Vec::new();
        if self.broker.capabilities().leases {
            threads.push(keeper::start(self.broker.clone(), hold.clone()).map_err(failed)?);
        }
        let (settler, pipeline): (Arc<dyn Settler>, _) = match self.options.settle {
            SettleMode::Immediate => (Arc::new(Direct(self.broker.clone())), None),
            SettleMode::Pipelined => {
                let (pipeline, thread) = Pipeline::start(self.broker.clone()).map_err(failed)?;
                threads.push(thread);
                let pipeline = Arc::new(pipeline);
                (pipeline.clone(), Some(pipeline))
            }
        };
        Ok(Crew { hold, pipeline, threads, settler })
    }

    /// Settles what is open, lets the threads go and turns the end into the answer of `run`.
    fn dismiss(&mut self, crew: Crew, host: &mut dyn Host, end: End) -> End {
        if matches!(end, End::Halted(Halt::Forked)) {
            // The threads stayed with the parent, and one of them may have held a lock at the fork. Touch nothing, drop nothing.
            #[allow(clippy::mem_forget)]
            std::mem::forget(crew);
            return end;
        }
        crew.hold.close();
        keeper::give_back(&*self.broker, crew.hold.drain());
        let mut end = end;
        if let Some(pipeline) = &crew.pipeline {
            let (left, trouble) = pipeline.flush(LAST_WORD);
            if left > 0 {
                let context = format!("{left} finished jobs could not be deleted and will run again");
                let error = Error::new(ErrorKind::Connection, context).with_source(trouble.unwrap_or_default());
                end = after(end, host.event(Event::BrokerTrouble(&error)));
            }
            end = after(end, report_lost(pipeline, host));
            pipeline.close();
        }
        for thread in crew.threads {
            // A thread that panicked has nothing left to tell.
            let _ = thread.join();
        }
        if let End::Code(code) = end {
            end = after(end, host.event(Event::Stopping(code)));
        }
        end
    }

    fn serve(&mut self, crew: &Crew, host: &mut dyn Host) -> End {
        let started = Instant::now();
        match self.serve_until(crew, host, started) {
            Ok(end) => end,
            Err(halt) => End::Halted(halt),
        }
    }

    fn serve_until(&mut self, crew: &Crew, host: &mut dyn Host, started: Instant) -> Result<End, Halt> {
        let mut pause = AGAIN.0;
        let mut answered = false;
        loop {
            self.breathe(host)?;
            host.event(Event::Looping)?;
            if let Some(code) = self.reached(host, started) {
                return Ok(End::Code(code));
            }
            let asked = Instant::now();
            let (most, wait) = (self.batch_size(), self.patience(started));
            match self.broker.reserve(&self.options.queues, most, wait) {
                Ok(jobs) => {
                    if answered && pause > AGAIN.0 {
                        host.event(Event::BrokerBack)?;
                    }
                    (answered, pause) = (true, AGAIN.0);
                    let empty = jobs.is_empty();
                    crew.hold.fill(jobs, asked);
                    if let Some(code) = self.work_batch(crew, host, started)? {
                        return Ok(End::Code(code));
                    }
                    if empty && self.gives_up_when_empty(started) {
                        return Ok(End::Code(exit::STOPPED));
                    }
                }
                Err(error) if !answered => return Ok(End::NotStarted(error)),
                Err(error) => {
                    if pause == AGAIN.0 {
                        host.event(Event::BrokerTrouble(&error))?;
                    }
                    self.rest(host, pause)?;
                    pause = (pause * 2).min(AGAIN.1);
                }
            }
            if let Some(pipeline) = &crew.pipeline {
                report_lost(pipeline, host)?;
            }
        }
    }

    /// Works what is held. Answers an exit code when the worker should stop in the middle of a batch.
    fn work_batch(&mut self, crew: &Crew, host: &mut dyn Host, started: Instant) -> Result<Option<u8>, Halt> {
        while self.work_held(crew, host)? {
            self.breathe(host)?;
            if let Some(code) = self.reached(host, started) {
                return Ok(Some(code));
            }
        }
        Ok(None)
    }

    /// Works the next held job, if there is one.
    fn work_held(&mut self, crew: &Crew, host: &mut dyn Host) -> Result<bool, Halt> {
        let begun = Instant::now();
        let Some(reservation) = crew.hold.next(begun) else { return Ok(false) };
        let (job, poison) = HeldJob::open(reservation, self.connection.clone(), crew.settler.clone(), self.lineage);
        let job = Rc::new(job);
        let way = Way { options: &self.options, watch: Some(&crew.hold), job: &job };
        let result = way.walk(host, poison);
        if self.lineage.is_forked() {
            return Err(Halt::Forked);
        }
        crew.hold.finish();
        self.done += 1;
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
        let enough = options.max_jobs.is_some_and(|most| self.done >= most) || (options.once && self.done >= 1);
        let late = options.max_time.is_some_and(|time| started.elapsed() >= time);
        if host.stopping() || enough || late {
            return Some(exit::STOPPED);
        }
        options.memory.is_some_and(|most| host.memory() >= most).then_some(exit::MEMORY)
    }

    /// How many jobs to ask for. One when a job has one try: it must not be held beside others (promise 5).
    fn batch_size(&mut self) -> usize {
        let options = &self.options;
        if options.once || matches!(options.tries, Tries::Limit(tries) if tries <= 1) {
            return 1;
        }
        let left = options.max_jobs.map_or(usize::MAX, |most| usize::try_from(most - self.done).unwrap_or(usize::MAX));
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

fn report_lost(pipeline: &Pipeline, host: &mut dyn Host) -> Result<(), Halt> {
    for late in pipeline.take_lost() {
        host.event(Event::SettleLost { id: &late.id, queue: late.claim.queue.as_str() })?;
    }
    Ok(())
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
) -> Result<(), Halt> {
    let claim = Claim { queue: queue.clone(), receipt: Receipt(Vec::new()) };
    let reservation = Reservation { claim, body, attempts: Some(1), number: None, reserved_at: now };
    let (job, poison) = HeldJob::open(reservation, Arc::from(connection), Arc::new(Discarding), Lineage::here(generation));
    let options = Options { tries: Tries::Limit(1), ..Options::new(connection, vec![queue.clone()]) };
    Way { options: &options, watch: None, job: &Rc::new(job) }.walk(host, poison)
}

/// The way of one job: start it or not, run it, settle it, tell.
struct Way<'a> {
    options: &'a Options,
    /// Where the keeper notes a loss.
    watch: Option<&'a Hold>,
    job: &'a Rc<HeldJob>,
}

impl Way<'_> {
    fn walk(&self, host: &mut dyn Host, poison: Option<Error>) -> Result<(), Halt> {
        self.tell(host, Event::Processing(self.job))?;
        if let Some(error) = poison {
            return self.fail(host, &HeldJob::poison(&error));
        }
        let policy = self.job.policy(self.options.tries, self.options.delay);
        if !policy.may_start(self.job.attempts(), self.job.now()) {
            return self.fail(host, &exhausted(self.job));
        }
        let end = host.call(self.job);
        if self.job.is_inherited() {
            return Err(Halt::Forked);
        }
        if self.watch.is_some_and(Hold::finish) {
            self.job.note_lost();
        }
        self.conclude(host, end)
    }

    /// What follows from the end of the handler.
    fn conclude(&self, host: &mut dyn Host, end: CallEnd) -> Result<(), Halt> {
        let (outcome, why, halt) = match end {
            CallEnd::Returned => (Outcome::Returned, None, None),
            CallEnd::Threw(text) => (Outcome::Threw, Some(Why { reason: Reason::Exception, text }), None),
            CallEnd::NoHandler(text) => (Outcome::NoHandler, Some(Why { reason: Reason::NoHandler, text }), None),
            CallEnd::BadData(text) => return self.fail(host, &Why { reason: Reason::Poison, text }),
            CallEnd::Exited => (Outcome::Exited, Some(left("its handler called exit()")), Some(Halt::Exited)),
            CallEnd::Died(text) => (Outcome::Exited, Some(left(&text)), Some(Halt::Died)),
        };
        let outcome = if self.job.is_lost() {
            Outcome::Lost
        } else if self.job.is_held() {
            outcome
        } else {
            Outcome::Settled
        };
        let policy = self.job.policy(self.options.tries, self.options.delay);
        let settlement = decide(outcome, self.job.attempts(), &policy, self.options.on_return, self.job.now());
        if let Some(halt) = halt {
            // PHP is on its way out: settle, tell nobody.
            let _ = self.settle(settlement, why.as_ref());
            return Err(halt);
        }
        match (settlement, why) {
            (Settlement::Bury, Some(why)) => self.fail(host, &why),
            (settlement, Some(why)) => {
                self.tell(host, Event::Exception(self.job, &why))?;
                self.settle_and_tell(host, settlement)
            }
            (settlement, None) => {
                self.settle_and_tell(host, settlement)?;
                self.tell(host, Event::Processed(self.job))
            }
        }
    }

    /// Buries the job, then tells its handler and the listeners (`worker/worker-*-fails`).
    ///
    /// When the failed store refuses, the job stays where it is and nobody is told that it failed.
    fn fail(&self, host: &mut dyn Host, why: &Why) -> Result<(), Halt> {
        if let Err(error) = self.job.bury(why) {
            return self.trouble(host, &error);
        }
        let callback = host.failed(self.job, why)?;
        self.tell(host, Event::Failed(self.job, why))?;
        match callback {
            CallEnd::Exited => Err(Halt::Exited),
            CallEnd::Died(_) => Err(Halt::Died),
            // The exception of `failed()` was reported in place of this one.
            CallEnd::Threw(_) => Ok(()),
            CallEnd::Returned | CallEnd::NoHandler(_) | CallEnd::BadData(_) => self.tell(host, Event::Exception(self.job, why)),
        }
    }

    fn settle(&self, settlement: Settlement, why: Option<&Why>) -> Result<()> {
        match settlement {
            Settlement::Nothing => Ok(()),
            Settlement::Leave => self.job.leave(),
            Settlement::Delete => self.job.delete(),
            Settlement::Release(delay) => self.job.release(delay),
            Settlement::Bury => why.map_or(Ok(()), |why| self.job.bury(why)),
        }
    }

    fn settle_and_tell(&self, host: &mut dyn Host, settlement: Settlement) -> Result<(), Halt> {
        match self.settle(settlement, None) {
            Err(error) => self.trouble(host, &error),
            Ok(()) if self.job.is_lost() => self.tell(host, Event::Lost(self.job)),
            Ok(()) => match settlement {
                Settlement::Release(delay) => self.tell(host, Event::Released(self.job, delay)),
                Settlement::Nothing | Settlement::Leave | Settlement::Delete | Settlement::Bury => Ok(()),
            },
        }
    }

    /// A settlement that did not arrive: the job is lost to us, or stays reserved until its lease ends.
    fn trouble(&self, host: &mut dyn Host, error: &Error) -> Result<(), Halt> {
        if error.kind() == ErrorKind::Lost {
            return self.tell(host, Event::Lost(self.job));
        }
        self.tell(host, Event::BrokerTrouble(error))
    }

    fn tell(&self, host: &mut dyn Host, event: Event<'_>) -> Result<(), Halt> {
        let told = host.event(event);
        // A listener ended the worker before the job began: it goes back as it came.
        if told.is_err() && matches!(event, Event::Processing(_)) && !self.job.is_inherited() {
            let _ = self.job.give_back();
        }
        told
    }
}

fn exhausted(job: &HeldJob) -> Why {
    let text = format!(
        "{} has been attempted too many times or run too long. The job may have previously timed out.",
        job.payload().job
    );
    Why { reason: Reason::MaxAttempts, text }
}

fn left(how: &str) -> Why {
    Why { reason: Reason::Exited, text: format!("The worker process ended while this job ran: {how}") }
}
