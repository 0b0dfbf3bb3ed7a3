//! One reserved job, as its handler holds it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::broker::{Broker, Settle, SettleResult, Settlement};
use ferry_core::failed::{Failure, Reason, class_of};
use ferry_core::payload::{Payload, is_object_handler};
use ferry_core::policy::{HandlerLimits, RetryPolicy};
use ferry_core::status::{Ending, State, StatusChange};
use ferry_core::{Claim, Error, ErrorKind, Result};

use crate::engine::UnitEnd;
use crate::fork_generation::ForkGeneration;
use crate::host::FailureCause;
use crate::in_flight::InFlightJob;
use crate::options::Options;
use crate::status_writer::{StatusReporter, id_of};

/// Carries the end of a reservation to the broker.
pub trait Settler {
    /// Deletes a finished job. A pipelined settler answers `Applied` at once and reports a loss later.
    fn delete(&self, job: &Arc<InFlightJob>) -> Result<SettleResult>;

    /// Ends the reservation in any other way, with the broker's answer.
    fn settle(&self, claim: &Claim, settlement: Settlement) -> Result<SettleResult>;
}

/// Settles with the broker's answer each time: for jobs popped outside a worker, and for `settle: immediate`.
pub struct Direct(pub Arc<dyn Broker>);

impl Settler for Direct {
    fn delete(&self, job: &Arc<InFlightJob>) -> Result<SettleResult> {
        self.settle(&job.reservation.claim, Settlement::Delete)
    }

    fn settle(&self, claim: &Claim, settlement: Settlement) -> Result<SettleResult> {
        settle_one(&*self.0, claim, settlement)
    }
}

/// Settles one reservation, once more when the answer was lost.
///
/// The second try is fenced like the first: "no longer ours" is then our own doing. A job that is given back is the exception:
/// its next holder has the same receipt, so it is tried once only.
pub fn settle_one(broker: &dyn Broker, claim: &Claim, settlement: Settlement) -> Result<SettleResult> {
    let again = !matches!(settlement, Settlement::GiveBack);
    let item = [Settle { claim: claim.clone(), settlement }];
    let first = |answers: Vec<SettleResult>| answers.first().copied().unwrap_or(SettleResult::Lost);
    match broker.settle(&item) {
        Err(error) if again && error.kind() == ErrorKind::Uncertain => broker.settle(&item).map(|_| SettleResult::Applied),
        result => result.map(first),
    }
}

/// Settles nothing: the job of a sync connection lies nowhere.
pub struct Discarding;

impl Settler for Discarding {
    fn delete(&self, _job: &Arc<InFlightJob>) -> Result<SettleResult> {
        Ok(SettleResult::Applied)
    }

    fn settle(&self, _claim: &Claim, _settlement: Settlement) -> Result<SettleResult> {
        Ok(SettleResult::Applied)
    }
}

/// How far we settled a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SettleState {
    Unsettled,
    Deleted,
    Released,
    Buried,
    Lost,
}

/// A job that is ours. It can be settled once; a later call is ignored, because the first settlement is already on its way.
///
/// In think-queue the last call wins and so revives deleted jobs (`docs/deviations.md`).
pub struct HeldJob {
    job: Arc<InFlightJob>,
    opened: Instant,
    connection: Arc<str>,
    settler: Arc<dyn Settler>,
    generation: ForkGeneration,
    state: Cell<SettleState>,
    marked_failed: Cell<bool>,
    last_attempt: Cell<bool>,
    attempt_failed: Cell<bool>,
    /// The delay of its release.
    delay: Cell<Option<i64>>,
    /// Why its handler failed it.
    asked: RefCell<Option<FailureCause>>,
    /// Reports what becomes of it, where its status is kept.
    reporter: Option<StatusReporter>,
    /// No worker runs it: its settlement is its end.
    unattended: bool,
    /// JSON text, from its handler.
    result: RefCell<Option<String>>,
}

impl HeldJob {
    /// The job of a reservation.
    pub fn open(job: Arc<InFlightJob>, connection: Arc<str>, settler: Arc<dyn Settler>, generation: ForkGeneration) -> Self {
        let state = Cell::new(SettleState::Unsettled);
        let (marked_failed, last_attempt) = (Cell::new(false), Cell::new(false));
        Self {
            job,
            opened: Instant::now(),
            connection,
            settler,
            generation,
            state,
            marked_failed,
            last_attempt,
            attempt_failed: Cell::new(false),
            delay: Cell::new(None),
            asked: RefCell::default(),
            reporter: None,
            unattended: false,
            result: RefCell::default(),
        }
    }

    /// Reports what becomes of it under a worker.
    #[must_use]
    pub fn with_status(self, reporter: Option<StatusReporter>) -> Self {
        Self { reporter, ..self }
    }

    /// The same outside a worker: it runs from now on, and its settlement is its end.
    #[must_use]
    pub fn with_status_unattended(self, reporter: Option<StatusReporter>) -> Self {
        let job = Self { reporter, unattended: true, ..self };
        job.report(StatusChange::Running { attempts: job.attempts() });
        job
    }

    /// The id of its status, when it has one.
    pub fn status_id(&self) -> Option<&str> {
        self.reporter.as_ref().and_then(|_| id_of(&self.job))
    }

    /// Reports a change. Nothing when it is lost or belongs to a parent process: its status is somebody else's.
    pub fn report(&self, change: StatusChange) {
        if let Some(reporter) = &self.reporter
            && !self.is_inherited()
            && !self.is_lost()
        {
            reporter.report(&self.job, change);
        }
    }

    /// Reports that this attempt is over.
    pub fn report_ending(&self, state: State, error: Option<String>) {
        let result = self.result.borrow().clone();
        self.report(StatusChange::ended(self.attempts(), Ending { state, error, result }));
    }

    /// Reports how far it is, in percent.
    pub fn report_progress(&self, percent: u8, message: Option<String>) {
        self.report(StatusChange::Progress { attempts: self.attempts(), percent, message });
    }

    /// Keeps a result, as JSON text, until this attempt is over.
    pub fn keep_result(&self, json: String) {
        self.result.replace(Some(json));
    }

    /// The envelope.
    pub fn payload(&self) -> &Payload {
        &self.job.payload
    }

    /// What people call it: its name, and for an object job the class of the object.
    pub fn display_name(&self) -> Cow<'_, str> {
        let payload = self.payload();
        let carried = is_object_handler(payload.target().0).then(|| class_of(self.body())).flatten();
        carried.map_or(Cow::Borrowed(&payload.job), Cow::Owned)
    }

    /// For how long it has been in hand.
    pub fn elapsed(&self) -> Duration {
        self.opened.elapsed()
    }

    /// The reservation with its envelope.
    pub fn in_flight(&self) -> &InFlightJob {
        &self.job
    }

    /// The payload as popped, byte for byte.
    pub fn body(&self) -> &[u8] {
        &self.job.reservation.body
    }

    /// The JSON text of `data`.
    pub fn data(&self) -> Option<&[u8]> {
        self.job.data()
    }

    /// Which attempt this is, 1 for the first.
    pub fn attempts(&self) -> u32 {
        self.job.reservation.attempts.unwrap_or(1)
    }

    /// The number the broker gave it, where it gives one.
    pub fn number(&self) -> Option<i64> {
        self.job.reservation.number
    }

    /// The queue it was reserved from.
    pub fn queue(&self) -> &str {
        self.job.reservation.claim.queue.as_str()
    }

    /// The connection it was reserved on.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    fn claim(&self) -> &Claim {
        &self.job.reservation.claim
    }

    /// The id shown in logs: the row number, or the payload's id.
    pub fn id(&self) -> String {
        self.job.id()
    }

    /// The broker's clock, as far as we can tell without asking it.
    pub fn now(&self) -> i64 {
        let since = i64::try_from(self.job.since.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.job.reservation.reserved_at.saturating_add(since)
    }

    /// What this job may do: its payload is asked first, then its handler, then the worker.
    pub fn policy(&self, limits: &HandlerLimits, options: &Options) -> RetryPolicy {
        RetryPolicy {
            tries: self.job.payload.tries.or(limits.tries).unwrap_or(options.tries),
            deadline: self.job.payload.timeout_at,
            backoff: limits.backoff.as_ref().unwrap_or(&options.backoff).clone(),
            exhaustion: options.exhaustion,
            on_return: options.on_return,
        }
    }

    /// How long it may run: its payload is asked first, then its handler, then the worker. `None`: no limit.
    pub fn timeout(&self, limits: &HandlerLimits, worker: Option<Duration>) -> Option<Duration> {
        self.job.payload.timeout.or(limits.timeout).or(worker).filter(|timeout| !timeout.is_zero())
    }

    /// Whether it was deleted, here.
    pub fn is_deleted(&self) -> bool {
        matches!(self.state.get(), SettleState::Deleted | SettleState::Buried)
    }

    /// Whether it was released, here.
    pub fn is_released(&self) -> bool {
        self.state.get() == SettleState::Released
    }

    /// Whether it is not settled yet.
    pub fn is_held(&self) -> bool {
        self.state.get() == SettleState::Unsettled && !self.job.is_lost()
    }

    /// Whether it turned out to be somebody else's, before anybody settled it.
    pub fn is_lost(&self) -> bool {
        match self.state.get() {
            SettleState::Unsettled => self.job.is_lost(),
            SettleState::Lost => true,
            SettleState::Deleted | SettleState::Released | SettleState::Buried => false,
        }
    }

    /// Whether it is marked as failed.
    pub fn has_failed(&self) -> bool {
        self.marked_failed.get()
    }

    /// Marks it as failed, which settles nothing.
    pub fn mark_failed(&self) {
        self.marked_failed.set(true);
    }

    /// Whether it belongs to a parent of this process.
    pub fn is_inherited(&self) -> bool {
        self.generation.is_forked()
    }

    /// There will be no further attempt. Its deletion is then sent at once: were it lost with the process, the job would come back only
    /// to be buried, although it is done.
    pub fn mark_last_attempt(&self) {
        self.last_attempt.set(true);
    }

    /// Its handler threw, or could not be called.
    pub fn mark_attempt_failed(&self) {
        self.attempt_failed.set(true);
    }

    /// How the attempt counts.
    pub fn unit_end(&self) -> UnitEnd {
        match self.attempt_failed.get() {
            _ if self.has_failed() => UnitEnd::Failed,
            true => UnitEnd::Retried,
            false => UnitEnd::Done,
        }
    }

    /// Whether its attempt failed and it is ready again already.
    pub fn returned_at_once(&self) -> bool {
        self.attempt_failed.get() && self.is_released() && self.delay.get().is_some_and(|delay| delay <= 0)
    }

    /// Deletes it: it is done.
    pub fn delete(&self) -> Result<()> {
        self.end(SettleState::Deleted, || match self.last_attempt.get() {
            true => self.settler.settle(self.claim(), Settlement::Delete),
            false => self.settler.delete(&self.job),
        })
    }

    /// Lets it come back after `delay` seconds.
    pub fn release(&self, delay: i64) -> Result<()> {
        self.settle(Settlement::Release { delay })
    }

    /// Gives it back untouched: its handler was never started, or does not count.
    pub fn give_back(&self) -> Result<()> {
        self.settle(Settlement::GiveBack)
    }

    /// Puts it into the failed store.
    pub fn bury(&self, cause: &FailureCause) -> Result<()> {
        self.settle(Settlement::Bury(Box::new(self.failure(cause))))
    }

    /// What the failed store keeps of it.
    pub fn failure(&self, cause: &FailureCause) -> Failure {
        Failure {
            connection: self.connection.to_string(),
            payload: self.body().to_vec(),
            reason: cause.reason,
            exception: cause.text.clone(),
            attempts: self.attempts(),
        }
    }

    /// Ends its reservation.
    pub fn settle(&self, settlement: Settlement) -> Result<()> {
        let state = match &settlement {
            Settlement::Delete => return self.delete(),
            Settlement::Leave => return self.leave(),
            Settlement::Release { delay } => {
                self.delay.set(Some(*delay));
                SettleState::Released
            }
            Settlement::Bury(_) => SettleState::Buried,
            Settlement::GiveBack => {
                // Reported before: whoever reserves it next has the same number of attempts.
                self.report(StatusChange::GivenBack { attempts: self.attempts() });
                SettleState::Released
            }
        };
        self.end(state, || self.settler.settle(self.claim(), settlement))?;
        if state == SettleState::Buried {
            self.mark_failed();
        }
        Ok(())
    }

    /// Leaves it reserved; it comes back after `retry_after`. On brokers without leases the driver sees to that.
    fn leave(&self) -> Result<()> {
        if !self.is_held() {
            return Ok(());
        }
        self.check_process()?;
        match self.settler.settle(self.claim(), Settlement::Leave)? {
            SettleResult::Applied => Ok(()),
            SettleResult::Lost => Err(self.lost()),
        }
    }

    /// Buries it because its handler asks for it; the worker fires the event when the handler has ended. False when it was settled
    /// before.
    pub fn fail(&self, text: String) -> Result<bool> {
        if self.is_deleted() || self.is_released() {
            return Ok(false);
        }
        let cause = FailureCause { reason: Reason::Asked, text };
        self.asked.replace(Some(cause.clone()));
        if let Err(error) = self.bury(&cause) {
            self.asked.take();
            return Err(error);
        }
        Ok(true)
    }

    /// Why its handler failed it, if it did.
    pub fn asked_to_fail(&self) -> Option<FailureCause> {
        self.asked.borrow().clone()
    }

    fn end(&self, state: SettleState, settle: impl FnOnce() -> Result<SettleResult>) -> Result<()> {
        self.check_process()?;
        match self.state.get() {
            _ if self.is_lost() => return Err(self.lost()),
            SettleState::Unsettled | SettleState::Lost => {}
            SettleState::Deleted | SettleState::Released | SettleState::Buried => return Ok(()),
        }
        match settle()? {
            SettleResult::Applied => self.state.set(state),
            SettleResult::Lost => return Err(self.lost()),
        }
        if self.unattended {
            self.report_settled(None, state);
        }
        Ok(())
    }

    /// Reports how the attempt ended.
    ///
    /// `cause` is why it did not end well. A job that was deleted and failed after that has failed: it will not be tried again.
    pub fn report_end(&self, cause: Option<&FailureCause>) {
        self.report_settled(cause, self.state.get());
    }

    fn report_settled(&self, cause: Option<&FailureCause>, state: SettleState) {
        let asked = self.asked_to_fail();
        let text = asked.as_ref().or(cause).map(|cause| cause.text.clone());
        match (state, cause) {
            (SettleState::Lost, _) => {}
            (SettleState::Deleted, None) => self.report_ending(State::Succeeded, None),
            (SettleState::Unsettled | SettleState::Released, _) => self.report_ending(State::Retrying, text),
            (SettleState::Buried, Some(cause)) if cause.reason == Reason::MaxAttempts => self.report_ending(State::Expired, text),
            (SettleState::Deleted | SettleState::Buried, _) => self.report_ending(State::Failed, text),
        }
    }

    fn lost(&self) -> Error {
        self.state.set(SettleState::Lost);
        let context = format!("job {} of `{}` on `{}` is no longer ours", self.id(), self.queue(), self.connection);
        Error::new(ErrorKind::Lost, context).with_advice(
            "its lease ended and another worker may be running it; raise retry_after if its handler blocks the process",
        )
    }

    fn check_process(&self) -> Result<()> {
        if !self.is_inherited() {
            return Ok(());
        }
        let context = format!("job {} of `{}` was reserved before this process was forked", self.id(), self.queue());
        Err(Error::new(ErrorKind::Lost, context).with_advice("only the parent may settle it"))
    }
}
