//! The execution of one job: start it or not, run its handler, settle it, report it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;

use ferry_core::broker::Settlement;
use ferry_core::failed::{Failure, Reason};
use ferry_core::policy::{HandlerLimits, Outcome, RetryPolicy, Tries, decide};
use ferry_core::status::{State, StatusChange};
use ferry_core::{Error, ErrorKind};

use crate::abort_settler::KILLED;
use crate::host::{CallEnd, Event, FailureCause, Halt, JobHost};
use crate::job::HeldJob;
use crate::options::Options;
use crate::threads::WorkerThreads;

/// One job under one worker.
pub struct JobExecution<'a> {
    /// The options of the worker.
    pub options: &'a Options,
    /// The threads that watch the job; none inside push.
    pub threads: Option<&'a WorkerThreads>,
    /// The job.
    pub job: &'a Rc<HeldJob>,
    /// The classes of jobs that were left unsettled; none inside push.
    pub left_unsettled: Option<&'a RefCell<HashSet<String>>>,
}

/// How the call of a handler counts.
struct Attempt {
    outcome: Outcome,
    /// Why it failed.
    cause: Option<FailureCause>,
    /// PHP is on its way out: no more of its code may run.
    halt: Option<Halt>,
}

impl Attempt {
    fn failed(reason: Reason, text: String) -> Self {
        Self { outcome: Outcome::Failed, cause: Some(FailureCause { reason, text }), halt: None }
    }

    fn not_callable(reason: Reason, text: String) -> Self {
        Self { outcome: Outcome::NotCallable, ..Self::failed(reason, text) }
    }

    /// The job in whose handler this one ran was stopped. In a worker this one is not to blame and goes back as it came; inside push it is
    /// gone with the push.
    fn unwinding(inside_push: bool) -> Self {
        let text = "The job whose handler pushed this one was stopped while it ran".to_owned();
        match inside_push {
            true => Self { halt: Some(Halt::Exited), ..Self::failed(Reason::Exited, text) },
            false => Self { outcome: Outcome::Interrupted, cause: None, halt: Some(Halt::Exited) },
        }
    }

    fn ended_process(how: &str, halt: Halt) -> Self {
        Self { halt: Some(halt), ..Self::failed(Reason::Exited, worker_ended(how)) }
    }
}

impl JobExecution<'_> {
    /// From the reservation to the end.
    pub fn execute(&self, host: &dyn JobHost) -> Result<(), Halt> {
        self.emit(host, Event::Processing(self.job))?;
        if let Some(text) = self.job.in_flight().poison.clone() {
            return self.fail(host, &FailureCause { reason: Reason::Poison, text });
        }
        let limits = match host.prepare(self.job.in_flight()) {
            Ok(limits) => limits,
            Err(end) => return self.conclude(host, end, &HandlerLimits::default()),
        };
        let policy = self.policy(&limits);
        let now = self.job.now();
        match self.may_start(host, &policy, now) {
            Ok(true) => {}
            Ok(false) => return self.exhaust(host, &limits),
            Err(end) => return self.conclude(host, end, &limits),
        }
        if policy.is_last(self.job.attempts(), now) {
            self.job.mark_last_attempt();
        }
        self.job.report(StatusChange::Running { attempts: self.job.attempts() });
        let end = self.call(host, &limits, &policy, now);
        self.conclude(host, end, &limits)
    }

    /// No attempt is left. A job whose class a factory does not know was never run, and waits for its class longer than its tries last.
    fn exhaust(&self, host: &dyn JobHost, limits: &HandlerLimits) -> Result<(), Halt> {
        match host.lacks_handler(self.job.in_flight()) {
            Ok(false) => self.fail(host, &exhausted(self.job)),
            Ok(true) => {
                let text = format!("class {} does not exist", self.job.payload().target().0);
                self.conclude(host, CallEnd::NoHandler(text), limits)
            }
            Err(end) => self.conclude(host, end, limits),
        }
    }

    /// Whether this attempt may start. The job itself may allow one beyond its tries.
    fn may_start(&self, host: &dyn JobHost, policy: &RetryPolicy, now: i64) -> Result<bool, CallEnd> {
        if policy.may_start(self.job.attempts(), now) {
            return Ok(true);
        }
        match self.threads {
            Some(_) => Ok(host.can_retry(self.job, self.job.attempts().saturating_sub(1))? == Some(true)),
            None => Ok(false),
        }
    }

    /// Inside push there is one attempt: what the handler throws is the caller's.
    fn policy(&self, limits: &HandlerLimits) -> RetryPolicy {
        let policy = self.job.policy(limits, self.options);
        match self.threads {
            Some(_) => policy,
            None => RetryPolicy { tries: Tries::Limit(1), deadline: None, ..policy },
        }
    }

    /// Runs the handler, watched.
    fn call(&self, host: &dyn JobHost, limits: &HandlerLimits, policy: &RetryPolicy, now: i64) -> CallEnd {
        let Some(threads) = self.threads else { return host.call(self.job) };
        let timeout = self.job.timeout(limits, self.options.timeout);
        let killed = || FailureCause { reason: Reason::Timeout, text: KILLED.to_owned() };
        let abort = (timeout.is_some() && threads.has_watchdog()).then(|| self.decide(Outcome::Failed, policy, now, killed));
        threads.watch(timeout, self.options, abort);
        let end = host.call(self.job);
        let interrupted = !self.job.is_inherited() && threads.disarm();
        match end {
            CallEnd::TimedOut if interrupted => CallEnd::Interrupted,
            end => end,
        }
    }

    fn decide(&self, outcome: Outcome, policy: &RetryPolicy, now: i64, cause: impl FnOnce() -> FailureCause) -> Settlement {
        let job = self.job;
        decide(outcome, job.attempts(), policy, now, random(), || job.failure(&cause()))
    }

    /// Settles the job by how its handler ended, and reports it.
    fn conclude(&self, host: &dyn JobHost, end: CallEnd, limits: &HandlerLimits) -> Result<(), Halt> {
        self.leave_child(matches!(end, CallEnd::Died(_)))?;
        if end == CallEnd::TimedOut {
            let timeout = self.job.timeout(limits, self.options.timeout).unwrap_or_default();
            self.emit(host, Event::TimedOut(self.job, timeout))?;
        }
        let mut attempt = self.assess(end, limits);
        if attempt.cause.is_some() {
            self.job.mark_attempt_failed();
        }
        let again = self.ask_to_retry(host, &mut attempt, limits)?;
        let settlement = self.settlement(host, &attempt, limits, again);
        if let Some(halt) = attempt.halt {
            self.settle_silently(settlement, attempt.cause.as_ref());
            return Err(halt);
        }
        if let Some(cause) = self.job.asked_to_fail() {
            self.emit(host, Event::Failed(self.job, &cause))?;
        }
        match (settlement, attempt.cause) {
            (Some(Settlement::Bury(failure)), Some(cause)) => self.bury(host, failure, &cause),
            (settlement, Some(cause)) => {
                self.emit(host, Event::Exception(self.job, &cause))?;
                self.settle(host, settlement, Some(&cause))
            }
            // Its handler did not finish, so nothing was processed.
            (Some(Settlement::GiveBack), None) => self.settle(host, Some(Settlement::GiveBack), None),
            (settlement, None) => {
                let is_left = matches!(settlement, Some(Settlement::Leave));
                self.settle(host, settlement, self.interrupted_after_deletion(attempt.outcome).as_ref())?;
                if is_left && self.is_first_of_its_class() {
                    self.emit(host, Event::NotSettled(self.job))?;
                }
                self.emit(host, Event::Processed(self.job))
            }
        }
    }

    /// A child that PHP code forked leaves the job to its parent. A fatal error ends it, as it would have without us; PHP must not go on
    /// after one.
    fn leave_child(&self, has_died: bool) -> Result<(), Halt> {
        match self.job.is_inherited() {
            true => Err(if has_died { Halt::Died } else { Halt::Forked }),
            false => Ok(()),
        }
    }

    /// What a job that failed says of another attempt. Where it ends the process instead, its tries decide.
    fn ask_to_retry(&self, host: &dyn JobHost, attempt: &mut Attempt, limits: &HandlerLimits) -> Result<Option<bool>, Halt> {
        let is_asked =
            attempt.outcome == Outcome::Failed && attempt.halt.is_none() && self.threads.is_some() && self.job.is_held();
        if !is_asked {
            return Ok(None);
        }
        let answer = host.can_retry(self.job, self.job.attempts());
        self.leave_child(matches!(answer, Err(CallEnd::Died(_))))?;
        Ok(answer.unwrap_or_else(|end| {
            attempt.halt = self.assess(end, limits).halt;
            None
        }))
    }

    /// How the call counts, and why it failed if it did.
    fn assess(&self, end: CallEnd, limits: &HandlerLimits) -> Attempt {
        match end {
            CallEnd::Returned => Attempt { outcome: Outcome::Returned, cause: None, halt: None },
            CallEnd::Interrupted => Attempt { outcome: Outcome::Interrupted, cause: None, halt: None },
            CallEnd::Threw(text) => Attempt::failed(Reason::Exception, text),
            CallEnd::TimedOut => Attempt::failed(Reason::Timeout, self.timed_out(limits)),
            // Nobody waits for a class inside push: its caller gets the exception.
            CallEnd::NoHandler(text) if self.threads.is_none() => Attempt::not_callable(Reason::NoHandler, text),
            CallEnd::NoHandler(text) => Attempt { outcome: Outcome::NoHandler, ..Attempt::failed(Reason::NoHandler, text) },
            CallEnd::Refused(text) => Attempt::not_callable(Reason::NoHandler, text),
            CallEnd::BadData(text) => Attempt::not_callable(Reason::Poison, text),
            CallEnd::Unwinding => Attempt::unwinding(self.threads.is_none()),
            CallEnd::Exited => Attempt::ended_process("its handler called exit()", Halt::Exited),
            CallEnd::Died(text) => Attempt::ended_process(&text, Halt::Died),
        }
    }

    fn timed_out(&self, limits: &HandlerLimits) -> String {
        let timeout = self.job.timeout(limits, self.options.timeout).unwrap_or_default();
        format!("{} ran longer than its timeout of {} s and was stopped", self.job.payload().job, timeout.as_secs_f64())
    }

    /// How the reservation ends. `None` when it ended already: its handler settled the job, or it is somebody else's.
    fn settlement(
        &self,
        host: &dyn JobHost,
        attempt: &Attempt,
        limits: &HandlerLimits,
        again: Option<bool>,
    ) -> Option<Settlement> {
        let asked = host.backoff();
        if !self.job.is_held() {
            return None;
        }
        let mut policy = self.policy(limits);
        if let Some(backoff) = asked {
            policy.backoff = backoff;
        }
        if let Some(again) = again {
            policy = policy.answered(again, self.job.attempts());
        }
        let cause = || attempt.cause.clone().unwrap_or_else(|| exhausted(self.job));
        Some(self.decide(attempt.outcome, &policy, self.job.now(), cause))
    }

    /// Whether no job of this class was left unsettled before. Inside push that is how handlers end.
    fn is_first_of_its_class(&self) -> bool {
        self.left_unsettled.is_some_and(|classes| classes.borrow_mut().insert(self.job.payload().job.clone()))
    }

    /// A job that was deleted before its worker interrupted it is not done, and will not be tried again.
    fn interrupted_after_deletion(&self, outcome: Outcome) -> Option<FailureCause> {
        let interrupted = outcome == Outcome::Interrupted && self.job.is_deleted();
        interrupted.then(|| FailureCause { reason: Reason::Exited, text: worker_ended("its worker was asked to stop") })
    }

    /// Settles while PHP is on its way out: no event fires, only the status is written.
    fn settle_silently(&self, settlement: Option<Settlement>, cause: Option<&FailureCause>) {
        let is_given_back = matches!(settlement, Some(Settlement::GiveBack));
        let settled = settlement.map_or(Ok(()), |settlement| self.job.settle(settlement));
        if settled.is_ok() && !is_given_back {
            self.report_end(cause);
        }
    }

    /// Settles the job, writes its status and fires the event.
    fn settle(&self, host: &dyn JobHost, settlement: Option<Settlement>, cause: Option<&FailureCause>) -> Result<(), Halt> {
        let (is_given_back, delay) = match &settlement {
            Some(Settlement::Release { delay }) => (false, Some(*delay)),
            Some(Settlement::GiveBack) => (true, Some(0)),
            Some(Settlement::Delete | Settlement::Leave | Settlement::Bury(_)) | None => (false, None),
        };
        if let Err(error) = settlement.map_or(Ok(()), |settlement| self.job.settle(settlement)) {
            return self.report_unsettled(host, &error);
        }
        if !is_given_back {
            self.report_end(cause);
        }
        match delay {
            _ if self.job.is_lost() => self.emit(host, Event::Lost(self.job)),
            Some(delay) => self.emit(host, Event::Released(self.job, delay)),
            None => Ok(()),
        }
    }

    fn fail(&self, host: &dyn JobHost, cause: &FailureCause) -> Result<(), Halt> {
        self.bury(host, Box::new(self.job.failure(cause)), cause)
    }

    /// Buries the job, then calls its handler's `failed()` and the listeners (`worker/worker-*-fails`).
    ///
    /// When the failed store refuses, the job stays where it is and no event says that it failed.
    fn bury(&self, host: &dyn JobHost, failure: Box<Failure>, cause: &FailureCause) -> Result<(), Halt> {
        if let Err(error) = self.job.settle(Settlement::Bury(failure)) {
            return self.report_unsettled(host, &error);
        }
        self.job.report_end(Some(cause));
        let callback = host.failed(self.job, cause)?;
        self.emit(host, Event::Failed(self.job, cause))?;
        match callback {
            CallEnd::Exited | CallEnd::Unwinding => Err(Halt::Exited),
            CallEnd::Died(_) => Err(Halt::Died),
            // The exception of `failed()` was reported in place of this one.
            CallEnd::Threw(_) => Ok(()),
            CallEnd::Returned
            | CallEnd::TimedOut
            | CallEnd::Interrupted
            | CallEnd::NoHandler(_)
            | CallEnd::Refused(_)
            | CallEnd::BadData(_) => self.emit(host, Event::Exception(self.job, cause)),
        }
    }

    /// Writes how the attempt ended. Inside push there is no other: a handler that returns is done, whatever it settled.
    fn report_end(&self, cause: Option<&FailureCause>) {
        if self.threads.is_some() {
            return self.job.report_end(cause);
        }
        let asked = self.job.asked_to_fail();
        match asked.as_ref().or(cause) {
            None => self.job.report_ending(State::Succeeded, None),
            Some(cause) => self.job.report_ending(State::Failed, Some(cause.text.clone())),
        }
    }

    /// A settlement that did not arrive: the job is lost to us, or stays reserved until its lease ends.
    fn report_unsettled(&self, host: &dyn JobHost, error: &Error) -> Result<(), Halt> {
        if error.kind() == ErrorKind::Lost {
            return self.emit(host, Event::Lost(self.job));
        }
        self.emit(host, Event::Unsettled(self.job, error))
    }

    fn emit(&self, host: &dyn JobHost, event: Event<'_>) -> Result<(), Halt> {
        let emitted = host.event(event);
        if self.job.is_inherited() {
            // A listener forked, and this is the child.
            return Err(if matches!(emitted, Err(Halt::Died)) { Halt::Died } else { Halt::Forked });
        }
        // A listener ended the worker before the job began: it goes back as it came.
        if emitted.is_err() && matches!(event, Event::Processing(_)) {
            let _ = self.job.give_back();
        }
        emitted
    }
}

fn exhausted(job: &HeldJob) -> FailureCause {
    let name = &job.payload().job;
    let text = format!("{name} has been attempted too many times or run too long. The job may have previously timed out.");
    FailureCause { reason: Reason::MaxAttempts, text }
}

fn worker_ended(how: &str) -> String {
    format!("The worker process ended while this job ran: {how}")
}

/// From 0.0 to 1.0, for jitter. The standard library seeds its hashers randomly, which is all the randomness a delay needs.
pub fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
