//! One reserved job, as its handler holds it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use ferry_core::backoff::Backoff;
use ferry_core::broker::{Broker, Settle, SettleResult, Settlement};
use ferry_core::failed::{Failure, Reason};
use ferry_core::payload::Payload;
use ferry_core::policy::{HandlerLimits, RetryPolicy, Tries};
use ferry_core::status::{Ending, State, StatusChange};
use ferry_core::{Claim, Error, ErrorKind, Result};

use crate::fork_generation::ForkGeneration;
use crate::host::FailureCause;
use crate::in_flight::InFlightJob;
use crate::status_writer::{StatusReporter, id_of};

/// Who carries the end of a reservation to the broker.
pub trait Settler {
    /// Deletes a finished job. A pipelined settler answers `Done` at once and reports a loss later.
    fn delete(&self, claim: &Claim, id: &str) -> Result<SettleResult>;

    /// Ends the reservation in any other way, with the broker's answer.
    fn settle(&self, claim: &Claim, settlement: Settlement) -> Result<SettleResult>;
}

/// Settles with the broker's answer each time: for jobs popped outside a worker, and for `settle: immediate`.
pub struct Direct(pub Arc<dyn Broker>);

impl Settler for Direct {
    fn delete(&self, claim: &Claim, _id: &str) -> Result<SettleResult> {
        self.settle(claim, Settlement::Delete)
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
    fn delete(&self, _claim: &Claim, _id: &str) -> Result<SettleResult> {
        Ok(SettleResult::Applied)
    }

    fn settle(&self, _claim: &Claim, _how: Settlement) -> Result<SettleResult> {
        Ok(SettleResult::Applied)
    }
}

/// Where a job stands, as far as we brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Held,
    Deleted,
    Released,
    Buried,
    Lost,
}

/// A job that is ours. It can be settled once; what comes after is ignored, because the first word is already on its way.
///
/// think-queue lets a second word win and so revives deleted jobs (`docs/deviations.md`).
pub struct HeldJob {
    lease: Arc<InFlightJob>,
    connection: Arc<str>,
    settler: Arc<dyn Settler>,
    generation: ForkGeneration,
    standing: Cell<Standing>,
    marked_failed: Cell<bool>,
    last_attempt: Cell<bool>,
    /// Why its handler failed it.
    asked: RefCell<Option<FailureCause>>,
    /// Where it is written down what becomes of it.
    chronicle: Option<StatusReporter>,
    /// Whether its settlement is all there is to tell: no worker looks after it.
    alone: bool,
    /// JSON text that its handler left.
    result: RefCell<Option<String>>,
}

impl HeldJob {
    /// Takes charge of a reservation.
    pub fn open(lease: Arc<InFlightJob>, connection: Arc<str>, settler: Arc<dyn Settler>, generation: ForkGeneration) -> Self {
        let standing = Cell::new(Standing::Held);
        let (marked_failed, last_attempt) = (Cell::new(false), Cell::new(false));
        Self {
            lease,
            connection,
            settler,
            generation,
            standing,
            marked_failed,
            last_attempt,
            asked: RefCell::default(),
            chronicle: None,
            alone: false,
            result: RefCell::default(),
        }
    }

    /// Lets a worker write down what becomes of it.
    #[must_use]
    pub fn told(self, chronicle: Option<StatusReporter>) -> Self {
        Self { chronicle, ..self }
    }

    /// The same outside a worker: it runs from now on, and its settlement is its end.
    #[must_use]
    pub fn told_alone(self, chronicle: Option<StatusReporter>) -> Self {
        let job = Self { chronicle, alone: true, ..self };
        job.say(StatusChange::Running { attempts: job.attempts() });
        job
    }

    /// The id of its status, when it has one.
    pub fn status_id(&self) -> Option<&str> {
        self.chronicle.as_ref().and_then(|_| id_of(&self.lease))
    }

    /// Says something of it. Who lost it, or inherited it, has nothing to say.
    pub fn say(&self, change: StatusChange) {
        if let Some(chronicle) = &self.chronicle
            && !self.is_inherited()
            && !self.is_lost()
        {
            chronicle.say(&self.lease, change);
        }
    }

    /// Says that this attempt is over.
    pub fn say_ended(&self, state: State, error: Option<String>) {
        let result = self.result.borrow().clone();
        self.say(StatusChange::Ended { attempts: self.attempts(), ending: Ending { state, error, result } });
    }

    /// Says how far it is, in percent.
    pub fn say_progress(&self, percent: u8, message: Option<String>) {
        self.say(StatusChange::Progress { attempts: self.attempts(), percent, message });
    }

    /// Keeps a result, as JSON text, until this attempt is over.
    pub fn keep_result(&self, json: String) {
        self.result.replace(Some(json));
    }

    /// The envelope.
    pub fn payload(&self) -> &Payload {
        &self.lease.payload
    }

    /// The reservation with its envelope.
    pub fn lease(&self) -> &InFlightJob {
        &self.lease
    }

    /// The payload as popped, byte for byte.
    pub fn body(&self) -> &[u8] {
        &self.lease.reservation.body
    }

    /// The JSON text of `data`.
    pub fn data(&self) -> Option<&[u8]> {
        self.lease.data()
    }

    /// Which attempt this is, 1 for the first.
    pub fn attempts(&self) -> u32 {
        self.lease.reservation.attempts.unwrap_or(1)
    }

    /// The number the broker gave it, where it gives one.
    pub fn number(&self) -> Option<i64> {
        self.lease.reservation.number
    }

    /// The queue it was reserved from.
    pub fn queue(&self) -> &str {
        self.lease.reservation.claim.queue.as_str()
    }

    /// The connection it was reserved on.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// The id shown in logs: the row number, or the payload's id.
    pub fn id(&self) -> String {
        match self.lease.reservation.number {
            Some(number) => number.to_string(),
            None => self.lease.payload.id.clone().unwrap_or_default(),
        }
    }

    /// The broker's clock, as far as we can tell without asking it.
    pub fn now(&self) -> i64 {
        let since = i64::try_from(self.lease.since.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.lease.reservation.reserved_at.saturating_add(since)
    }

    /// What this job may do: its payload's word counts before its handler's, and that before the worker's.
    pub fn policy(&self, handler: &HandlerLimits, tries: Tries, backoff: &Backoff) -> RetryPolicy {
        RetryPolicy {
            tries: self.lease.payload.tries.or(handler.tries).unwrap_or(tries),
            deadline: self.lease.payload.timeout_at,
            backoff: handler.backoff.as_ref().unwrap_or(backoff).clone(),
            ..RetryPolicy::default()
        }
    }

    /// How long it may run: its payload's word counts before its handler's, and that before the worker's. `None`: no limit.
    pub fn timeout(&self, handler: &HandlerLimits, worker: Option<Duration>) -> Option<Duration> {
        self.lease.payload.timeout.or(handler.timeout).or(worker).filter(|timeout| !timeout.is_zero())
    }

    /// Whether it was deleted, here.
    pub fn is_deleted(&self) -> bool {
        matches!(self.standing.get(), Standing::Deleted | Standing::Buried)
    }

    /// Whether it was released, here.
    pub fn is_released(&self) -> bool {
        self.standing.get() == Standing::Released
    }

    /// Whether nobody settled it yet.
    pub fn is_held(&self) -> bool {
        self.standing.get() == Standing::Held && !self.lease.is_lost()
    }

    /// Whether it turned out to be somebody else's, before anybody settled it.
    pub fn is_lost(&self) -> bool {
        match self.standing.get() {
            Standing::Held => self.lease.is_lost(),
            Standing::Lost => true,
            Standing::Deleted | Standing::Released | Standing::Buried => false,
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

    /// Notes that there will be no further attempt. Its deletion is then sent at once: were it lost with the process, the job
    /// would come back only to be buried, although it is done.
    pub fn note_last_attempt(&self) {
        self.last_attempt.set(true);
    }

    /// Deletes it: it is done.
    pub fn delete(&self) -> Result<()> {
        let claim = &self.lease.reservation.claim;
        self.end(Standing::Deleted, || match self.last_attempt.get() {
            true => self.settler.settle(claim, Settlement::Delete),
            false => self.settler.delete(claim, &self.id()),
        })
    }

    /// Lets it come back after `delay` seconds.
    pub fn release(&self, delay: i64) -> Result<()> {
        self.end(Standing::Released, || self.settler.settle(&self.lease.reservation.claim, Settlement::Release { delay }))
    }

    /// Puts it into the failed store.
    pub fn bury(&self, why: &FailureCause) -> Result<()> {
        let failure = Failure {
            connection: self.connection.to_string(),
            payload: self.lease.reservation.body.clone(),
            reason: why.reason,
            exception: why.text.clone(),
            attempts: self.attempts(),
        };
        self.end(Standing::Buried, || self.settler.settle(&self.lease.reservation.claim, Settlement::Bury(Box::new(failure))))?;
        self.mark_failed();
        Ok(())
    }

    /// Buries it at the wish of its handler, which the worker tells when the handler is finished. False when it was settled before:
    /// the first word counts.
    pub fn fail(&self, text: String) -> Result<bool> {
        if self.is_deleted() || self.is_released() {
            return Ok(false);
        }
        let why = FailureCause { reason: Reason::Asked, text };
        self.asked.replace(Some(why.clone()));
        if let Err(error) = self.bury(&why) {
            self.asked.take();
            return Err(error);
        }
        Ok(true)
    }

    /// Why its handler failed it, if it did.
    pub fn asked_to_fail(&self) -> Option<FailureCause> {
        self.asked.borrow().clone()
    }

    /// Gives it back untouched: its handler was never started, or does not count.
    pub fn give_back(&self) -> Result<()> {
        // Beforehand: who takes it next has the same number of attempts.
        self.say(StatusChange::GivenBack { attempts: self.attempts() });
        self.end(Standing::Released, || self.settler.settle(&self.lease.reservation.claim, Settlement::GiveBack))
    }

    /// Leaves it reserved; it comes back after `retry_after`. On brokers without leases the driver sees to that.
    pub fn leave(&self) -> Result<()> {
        if !self.is_held() {
            return Ok(());
        }
        self.check_lineage()?;
        match self.settler.settle(&self.lease.reservation.claim, Settlement::Leave)? {
            SettleResult::Applied => Ok(()),
            SettleResult::Lost => Err(self.lost()),
        }
    }

    fn end(&self, standing: Standing, settle: impl FnOnce() -> Result<SettleResult>) -> Result<()> {
        self.check_lineage()?;
        match self.standing.get() {
            _ if self.is_lost() => return Err(self.lost()),
            Standing::Held | Standing::Lost => {}
            Standing::Deleted | Standing::Released | Standing::Buried => return Ok(()),
        }
        match settle()? {
            SettleResult::Applied => self.standing.set(standing),
            SettleResult::Lost => return Err(self.lost()),
        }
        if self.alone {
            self.say_settled(None, standing);
        }
        Ok(())
    }

    /// Says how the attempt ended that was settled so far.
    ///
    /// `why` it did not end well. A job that was deleted and failed after that failed, because it will not be tried again.
    pub fn say_end(&self, why: Option<&FailureCause>) {
        self.say_settled(why, self.standing.get());
    }

    fn say_settled(&self, why: Option<&FailureCause>, standing: Standing) {
        let asked = self.asked_to_fail();
        let text = asked.as_ref().or(why).map(|why| why.text.clone());
        match (standing, why) {
            (Standing::Lost, _) => {}
            (Standing::Deleted, None) => self.say_ended(State::Succeeded, None),
            (Standing::Held | Standing::Released, _) => self.say_ended(State::Retrying, text),
            (Standing::Buried, Some(why)) if why.reason == Reason::MaxAttempts => self.say_ended(State::Expired, text),
            (Standing::Deleted | Standing::Buried, _) => self.say_ended(State::Failed, text),
        }
    }

    fn lost(&self) -> Error {
        self.standing.set(Standing::Lost);
        let context = format!("job {} of `{}` on `{}` is no longer ours", self.id(), self.queue(), self.connection);
        Error::new(ErrorKind::Lost, context).with_advice(
            "its lease ended and another worker may be running it; raise retry_after if its handler blocks the process",
        )
    }

    fn check_lineage(&self) -> Result<()> {
        if !self.is_inherited() {
            return Ok(());
        }
        let context = format!("job {} of `{}` was reserved before this process was forked", self.id(), self.queue());
        Err(Error::new(ErrorKind::Lost, context).with_advice("only the parent may settle it"))
    }
}
