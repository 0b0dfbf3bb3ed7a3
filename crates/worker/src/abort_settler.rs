//! Settles what the worker holds when the process has to end while a job runs: its handler did not exit when it was interrupted.

use std::sync::Arc;
use std::time::Duration;

use ferry_core::broker::{Settle, SettleResult, Settlement};
use ferry_core::status::{Ending, State, StatusChange};

use crate::in_flight::InFlightJob;
use crate::threads::Shared;
use crate::watchdog::{Interrupter, StopRequest, TimeoutStage};

/// How long the deletion of finished jobs may take.
const DELETE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long writing statuses may take.
const STATUS_TIMEOUT: Duration = Duration::from_millis(500);
/// Why the job failed.
pub const KILLED: &str = "The job ran longer than its timeout and did not exit; its process was ended";

/// An interrupter that settles before it lets the process end.
pub struct AbortSettler {
    /// What the worker holds.
    pub shared: Arc<Shared>,
    /// Interrupts PHP's thread.
    pub interrupter: Arc<dyn Interrupter>,
}

impl Interrupter for AbortSettler {
    fn enter(&self, stage: TimeoutStage) {
        if stage == TimeoutStage::KillProcess {
            self.settle();
        }
        self.interrupter.enter(stage);
    }

    fn remind(&self) {
        self.interrupter.remind();
    }

    fn stop_request(&self) -> StopRequest {
        self.interrupter.stop_request()
    }

    fn begin_interruption(&self) {
        self.shared.jobs.set_abort_settlement(Settlement::GiveBack);
        self.interrupter.begin_interruption();
    }

    fn clear(&self) {
        self.interrupter.clear();
    }
}

impl AbortSettler {
    /// Errors are dropped: nobody is left to read them, and what could not be settled comes back by its lease.
    fn settle(&self) {
        if let Some((job, settlement)) = self.shared.jobs.take_running() {
            self.settle_running(&job, settlement);
        }
        if let Some(deletions) = &self.shared.deletions {
            deletions.flush(DELETE_TIMEOUT);
        }
        self.shared.give_back();
        if let Some((_, statuses)) = &self.shared.statuses {
            statuses.flush(STATUS_TIMEOUT);
        }
    }

    fn settle_running(&self, job: &InFlightJob, settlement: Settlement) {
        let change = status_after(job, &settlement);
        // Reported before: whoever reserves it next has the same number of attempts.
        let early = matches!(settlement, Settlement::GiveBack);
        if early {
            self.report(job, change.clone());
        }
        let answer = self.shared.broker.settle(&[Settle { claim: job.reservation.claim.clone(), settlement }]);
        if !early && answer.is_ok_and(|answers| answers == [SettleResult::Applied]) {
            self.report(job, change);
        }
    }

    fn report(&self, job: &InFlightJob, change: Option<StatusChange>) {
        if let (Some(reporter), Some(change)) = (self.shared.reporter(), change) {
            reporter.report(job, change);
        }
    }
}

fn status_after(job: &InFlightJob, settlement: &Settlement) -> Option<StatusChange> {
    let attempts = job.reservation.attempts.unwrap_or(1);
    let ended = |state| StatusChange::ended(attempts, Ending { state, error: Some(KILLED.to_owned()), result: None });
    match settlement {
        Settlement::Leave | Settlement::Delete => None,
        Settlement::GiveBack => Some(StatusChange::GivenBack { attempts }),
        Settlement::Release { .. } => Some(ended(State::Retrying)),
        Settlement::Bury(_) => Some(ended(State::Failed)),
    }
}
