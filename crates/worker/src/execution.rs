//! The way of one job: start it or not, run it, settle it, tell.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;

use ferry_core::failed::Reason;
use ferry_core::policy::{Decision, HandlerLimits, Outcome, RetryPolicy, Tries, decide};
use ferry_core::status::{State, StatusChange};
use ferry_core::{Error, ErrorKind, Result};

use crate::host::{CallEnd, Event, FailureCause, Halt, Host};
use crate::job::HeldJob;
use crate::options::Options;
use crate::threads::WorkerThreads;

/// One job under one worker.
pub struct JobExecution<'a> {
    /// What the worker was asked to do.
    pub options: &'a Options,
    /// Who watches over the job; nobody inside push.
    pub threads: Option<&'a WorkerThreads>,
    /// The job.
    pub job: &'a Rc<HeldJob>,
}

impl JobExecution<'_> {
    /// From the reservation to the end.
    pub fn execute(&self, host: &mut dyn Host) -> Result<(), Halt> {
        self.tell(host, Event::Processing(self.job))?;
        if let Some(text) = self.job.lease().poison.clone() {
            return self.fail(host, &FailureCause { reason: Reason::Poison, text });
        }
        let handler = match host.prepare(self.job.lease()) {
            Ok(handler) => handler,
            Err(end) => return self.conclude(host, end, &HandlerLimits::default()),
        };
        let policy = self.policy(&handler);
        if !policy.may_start(self.job.attempts(), self.job.now()) {
            return self.fail(host, &exhausted(self.job));
        }
        if policy.is_last(self.job.attempts(), self.job.now()) {
            self.job.note_last_attempt();
        }
        self.job.say(StatusChange::Running { attempts: self.job.attempts() });
        let end = self.call(host, &handler, &policy);
        if self.job.is_inherited() {
            // A fatal error ends the child, as it would have without us; PHP must not go on after one.
            return Err(if matches!(end, CallEnd::Died(_)) { Halt::Died } else { Halt::Forked });
        }
        self.conclude(host, end, &handler)
    }

    /// Runs the handler, under the clock.
    fn call(&self, host: &mut dyn Host, handler: &HandlerLimits, policy: &RetryPolicy) -> CallEnd {
        let Some(threads) = self.threads else { return host.call(self.job) };
        let timeout = self.job.timeout(handler, self.options.timeout);
        threads.watch(timeout, self.options, self.settlement(Outcome::TimedOut, policy));
        let end = host.call(self.job);
        let interrupted = !self.job.is_inherited() && threads.disarm();
        match end {
            CallEnd::TimedOut if interrupted => CallEnd::Interrupted,
            end => end,
        }
    }

    /// Inside push there is one attempt: what the handler throws is the caller's.
    fn policy(&self, handler: &HandlerLimits) -> RetryPolicy {
        let policy = self.job.policy(handler, self.options.tries, &self.options.backoff);
        if self.threads.is_some() {
            RetryPolicy { verdict: self.options.verdict, ..policy }
        } else {
            RetryPolicy { tries: Tries::Limit(1), deadline: None, ..policy }
        }
    }

    fn settlement(&self, outcome: Outcome, policy: &RetryPolicy) -> Decision {
        decide(outcome, self.job.attempts(), policy, self.options.on_return, self.job.now(), random())
    }

    /// What follows from the end of the handler.
    fn conclude(&self, host: &mut dyn Host, end: CallEnd, handler: &HandlerLimits) -> Result<(), Halt> {
        let because = |reason, text| Some(FailureCause { reason, text });
        // A job that was deleted before it was stopped is not done, and will not be tried again.
        let stopped = (end == CallEnd::Interrupted && self.job.is_deleted()).then(|| left("its worker was told to leave"));
        let (outcome, why, halt) = match end {
            CallEnd::Returned => (Outcome::Returned, None, None),
            CallEnd::Threw(text) => (Outcome::Threw, because(Reason::Exception, text), None),
            CallEnd::TimedOut => (Outcome::TimedOut, Some(self.overdue(host, handler)?), None),
            CallEnd::Interrupted => (Outcome::Interrupted, None, None),
            CallEnd::NoHandler(text) => (Outcome::NoHandler, because(Reason::NoHandler, text), None),
            CallEnd::BadData(text) => return self.fail(host, &FailureCause { reason: Reason::Poison, text }),
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
        let mut policy = self.policy(handler);
        if let Some(backoff) = host.backoff() {
            policy.backoff = backoff;
        }
        let settlement = self.settlement(outcome, &policy);
        if let Some(halt) = halt {
            // PHP is on its way out: settle, tell nobody but the status store.
            if self.settle(settlement, why.as_ref()).is_ok() {
                self.write_down(settlement, why.as_ref());
            }
            return Err(halt);
        }
        if let Some(asked) = self.job.asked_to_fail() {
            self.tell(host, Event::Failed(self.job, &asked))?;
        }
        match (settlement, why) {
            (Decision::Bury, Some(why)) => self.fail(host, &why),
            (settlement, Some(why)) => {
                self.tell(host, Event::Exception(self.job, &why))?;
                self.settle_and_tell(host, settlement, Some(&why))
            }
            // Its handler did not finish, so nothing was processed.
            (Decision::GiveBack, None) => self.settle_and_tell(host, settlement, None),
            (settlement, None) => {
                self.settle_and_tell(host, settlement, stopped.as_ref())?;
                self.tell(host, Event::Processed(self.job))
            }
        }
    }

    /// Tells that the clock stopped the job, and says why it counts as failed.
    fn overdue(&self, host: &mut dyn Host, handler: &HandlerLimits) -> Result<FailureCause, Halt> {
        let timeout = self.job.timeout(handler, self.options.timeout).unwrap_or_default();
        self.tell(host, Event::TimedOut(self.job, timeout))?;
        let text =
            format!("{} ran longer than its timeout of {} s and was stopped", self.job.payload().job, timeout.as_secs_f64());
        Ok(FailureCause { reason: Reason::Timeout, text })
    }

    /// Buries the job, then tells its handler and the listeners (`worker/worker-*-fails`).
    ///
    /// When the failed store refuses, the job stays where it is and nobody is told that it failed.
    fn fail(&self, host: &mut dyn Host, why: &FailureCause) -> Result<(), Halt> {
        if let Err(error) = self.job.bury(why) {
            return self.trouble(host, &error);
        }
        self.job.say_end(Some(why));
        let callback = host.failed(self.job, why)?;
        self.tell(host, Event::Failed(self.job, why))?;
        match callback {
            CallEnd::Exited => Err(Halt::Exited),
            CallEnd::Died(_) => Err(Halt::Died),
            // The exception of `failed()` was reported in place of this one.
            CallEnd::Threw(_) => Ok(()),
            CallEnd::Returned | CallEnd::TimedOut | CallEnd::Interrupted | CallEnd::NoHandler(_) | CallEnd::BadData(_) => {
                self.tell(host, Event::Exception(self.job, why))
            }
        }
    }

    fn settle(&self, settlement: Decision, why: Option<&FailureCause>) -> Result<()> {
        match settlement {
            Decision::Nothing => Ok(()),
            Decision::Leave => self.job.leave(),
            Decision::Delete => self.job.delete(),
            Decision::Release(delay) => self.job.release(delay),
            Decision::GiveBack => self.job.give_back(),
            Decision::Bury => why.map_or(Ok(()), |why| self.job.bury(why)),
        }
    }

    /// Writes down how the attempt ended. Inside push there is no other: a handler that returns is done, whatever it settled.
    fn write_down(&self, settlement: Decision, why: Option<&FailureCause>) {
        if settlement == Decision::GiveBack {
            return;
        }
        if self.threads.is_some() {
            return self.job.say_end(why);
        }
        let asked = self.job.asked_to_fail();
        match asked.as_ref().or(why) {
            None => self.job.say_ended(State::Succeeded, None),
            Some(why) => self.job.say_ended(State::Failed, Some(why.text.clone())),
        }
    }

    fn settle_and_tell(&self, host: &mut dyn Host, settlement: Decision, why: Option<&FailureCause>) -> Result<(), Halt> {
        let settled = self.settle(settlement, None);
        if settled.is_ok() {
            self.write_down(settlement, why);
        }
        match settled {
            Err(error) => self.trouble(host, &error),
            Ok(()) if self.job.is_lost() => self.tell(host, Event::Lost(self.job)),
            Ok(()) => match settlement {
                Decision::Release(delay) => self.tell(host, Event::Released(self.job, delay)),
                Decision::GiveBack => self.tell(host, Event::Released(self.job, 0)),
                Decision::Nothing | Decision::Leave | Decision::Delete | Decision::Bury => Ok(()),
            },
        }
    }

    /// A settlement that did not arrive: the job is lost to us, or stays reserved until its lease ends.
    fn trouble(&self, host: &mut dyn Host, error: &Error) -> Result<(), Halt> {
        if error.kind() == ErrorKind::Lost {
            return self.tell(host, Event::Lost(self.job));
        }
        self.tell(host, Event::Unsettled(self.job, error))
    }

    fn tell(&self, host: &mut dyn Host, event: Event<'_>) -> Result<(), Halt> {
        let told = host.event(event);
        if self.job.is_inherited() {
            // A listener forked, and this is the child.
            return Err(if matches!(told, Err(Halt::Died)) { Halt::Died } else { Halt::Forked });
        }
        // A listener ended the worker before the job began: it goes back as it came.
        if told.is_err() && matches!(event, Event::Processing(_)) {
            let _ = self.job.give_back();
        }
        told
    }
}

fn exhausted(job: &HeldJob) -> FailureCause {
    let name = &job.payload().job;
    let text = format!("{name} has been attempted too many times or run too long. The job may have previously timed out.");
    FailureCause { reason: Reason::MaxAttempts, text }
}

fn left(how: &str) -> FailureCause {
    FailureCause { reason: Reason::Exited, text: format!("The worker process ended while this job ran: {how}") }
}

/// From 0.0 to 1.0, for jitter. The standard library seeds its hashers randomly, which is all the randomness a delay needs.
pub fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
