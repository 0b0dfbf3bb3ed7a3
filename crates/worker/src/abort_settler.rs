//! What is settled when the process has to end while a job runs: its handler did not leave when it was made to.

use std::sync::Arc;
use std::time::Duration;

use ferry_core::broker::{Broker, Settle, SettleResult, Settlement};
use ferry_core::failed::{Failure, Reason};
use ferry_core::policy::Decision;
use ferry_core::status::{Ending, State, StatusChange};

use crate::delete_batcher::DeleteBatcher;
use crate::in_flight::{InFlightJob, InFlightJobs};
use crate::lease_renewer;
use crate::status_writer::{StatusQueue, StatusReporter};
use crate::watchdog::{Interrupter, StopRequest, TimeoutStage};

/// How long finished jobs may take to be deleted.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long what is said of jobs may take to be written.
const LAST_NOTE: Duration = Duration::from_millis(500);
/// Why the job failed.
const OVERDUE: &str = "The job ran longer than its timeout and did not leave; its process was ended";

/// An alarm that settles before it lets the process end.
pub struct AbortSettler {
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// What this worker holds.
    pub hold: Arc<InFlightJobs>,
    /// Deletions under way.
    pub pipeline: Option<Arc<DeleteBatcher>>,
    /// What is said of jobs, where that is written down.
    pub scribe: Option<(StatusReporter, Arc<StatusQueue>)>,
    /// The name of the connection, for the failed store.
    pub connection: Arc<str>,
    /// The way to PHP's thread.
    pub alarm: Arc<dyn Interrupter>,
}

impl Interrupter for AbortSettler {
    fn ring(&self, step: TimeoutStage) {
        if step == TimeoutStage::End {
            self.settle();
        }
        self.alarm.ring(step);
    }

    fn asked(&self) -> StopRequest {
        self.alarm.asked()
    }

    fn interrupt(&self) {
        self.hold.set_abort_settlement(Decision::GiveBack);
        self.alarm.interrupt();
    }

    fn clear(&self) {
        self.alarm.clear();
    }
}

impl AbortSettler {
    /// Errors are not told: there is nobody left to hear, and what could not be settled comes back by its lease.
    fn settle(&self) {
        if let Some((lease, verdict)) = self.hold.take_running()
            && let Some(settlement) = self.settlement(&lease, verdict)
        {
            if verdict == Decision::GiveBack {
                // Beforehand: who takes it next has the same number of attempts.
                self.say(&lease, verdict);
            }
            let answer = self.broker.settle(&[Settle { claim: lease.reservation.claim.clone(), settlement }]);
            if answer.is_ok_and(|settled| settled == [SettleResult::Applied]) && verdict != Decision::GiveBack {
                self.say(&lease, verdict);
            }
        }
        if let Some(pipeline) = &self.pipeline {
            pipeline.flush(LAST_WORD);
        }
        lease_renewer::give_back(&*self.broker, self.hold.drain());
        if let Some((_, desk)) = &self.scribe {
            desk.flush(LAST_NOTE);
        }
    }

    fn say(&self, lease: &InFlightJob, verdict: Decision) {
        let attempts = lease.reservation.attempts.unwrap_or(1);
        let ended =
            |state| StatusChange::Ended { attempts, ending: Ending { state, error: Some(OVERDUE.to_owned()), result: None } };
        let change = match verdict {
            Decision::Nothing | Decision::Leave | Decision::Delete => return,
            Decision::GiveBack => StatusChange::GivenBack { attempts },
            Decision::Release(_) => ended(State::Retrying),
            Decision::Bury => ended(State::Failed),
        };
        if let Some((chronicle, _)) = &self.scribe {
            chronicle.say(lease, change);
        }
    }

    fn settlement(&self, lease: &InFlightJob, verdict: Decision) -> Option<Settlement> {
        match verdict {
            Decision::Nothing | Decision::Leave | Decision::Delete => None,
            Decision::Release(delay) => Some(Settlement::Release { delay }),
            Decision::GiveBack => Some(Settlement::GiveBack),
            Decision::Bury => Some(Settlement::Bury(Box::new(Failure {
                connection: self.connection.to_string(),
                payload: lease.reservation.body.clone(),
                reason: Reason::Timeout,
                exception: OVERDUE.to_owned(),
                attempts: lease.reservation.attempts.unwrap_or(1),
            }))),
        }
    }
}
