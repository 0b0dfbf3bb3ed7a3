//! What is settled when the process has to end while a job runs: its handler did not leave when it was made to.

use std::sync::Arc;
use std::time::Duration;

use ferry_core::broker::{Broker, How, Settle, Settled};
use ferry_core::failed::{Failure, Reason};
use ferry_core::ledger::{Ending, Said, State};
use ferry_core::policy::Settlement;

use crate::hold::{Hold, Lease};
use crate::keeper;
use crate::pipeline::Pipeline;
use crate::scribe::{Chronicle, Desk};
use crate::timer::{Alarm, Asked, Step};

/// How long finished jobs may take to be deleted.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long what is said of jobs may take to be written.
const LAST_NOTE: Duration = Duration::from_millis(500);
/// Why the job failed.
const OVERDUE: &str = "The job ran longer than its timeout and did not leave; its process was ended";

/// An alarm that settles before it lets the process end.
pub struct Emergency {
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// What this worker holds.
    pub hold: Arc<Hold>,
    /// Deletions under way.
    pub pipeline: Option<Arc<Pipeline>>,
    /// What is said of jobs, where that is written down.
    pub scribe: Option<(Chronicle, Arc<Desk>)>,
    /// The name of the connection, for the failed store.
    pub connection: Arc<str>,
    /// The way to PHP's thread.
    pub alarm: Arc<dyn Alarm>,
}

impl Alarm for Emergency {
    fn ring(&self, step: Step) {
        if step == Step::End {
            self.settle();
        }
        self.alarm.ring(step);
    }

    fn asked(&self) -> Asked {
        self.alarm.asked()
    }

    fn interrupt(&self) {
        self.hold.sentence(Settlement::GiveBack);
        self.alarm.interrupt();
    }

    fn clear(&self) {
        self.alarm.clear();
    }
}

impl Emergency {
    /// Errors are not told: there is nobody left to hear, and what could not be settled comes back by its lease.
    fn settle(&self) {
        if let Some((lease, verdict)) = self.hold.condemned()
            && let Some(how) = self.how(&lease, verdict)
        {
            if verdict == Settlement::GiveBack {
                // Beforehand: who takes it next has the same number of attempts.
                self.say(&lease, verdict);
            }
            let answer = self.broker.settle(&[Settle { claim: lease.reservation.claim.clone(), how }]);
            if answer.is_ok_and(|settled| settled == [Settled::Done]) && verdict != Settlement::GiveBack {
                self.say(&lease, verdict);
            }
        }
        if let Some(pipeline) = &self.pipeline {
            pipeline.flush(LAST_WORD);
        }
        keeper::give_back(&*self.broker, self.hold.drain());
        if let Some((_, desk)) = &self.scribe {
            desk.flush(LAST_NOTE);
        }
    }

    fn say(&self, lease: &Lease, verdict: Settlement) {
        let attempts = lease.reservation.attempts.unwrap_or(1);
        let ended = |state| Said::Ended { attempts, ending: Ending { state, error: Some(OVERDUE.to_owned()), result: None } };
        let said = match verdict {
            Settlement::Nothing | Settlement::Leave | Settlement::Delete => return,
            Settlement::GiveBack => Said::GivenBack { attempts },
            Settlement::Release(_) => ended(State::Retrying),
            Settlement::Bury => ended(State::Failed),
        };
        if let Some((chronicle, _)) = &self.scribe {
            chronicle.say(lease, said);
        }
    }

    fn how(&self, lease: &Lease, verdict: Settlement) -> Option<How> {
        match verdict {
            Settlement::Nothing | Settlement::Leave | Settlement::Delete => None,
            Settlement::Release(delay) => Some(How::Release { delay }),
            Settlement::GiveBack => Some(How::GiveBack),
            Settlement::Bury => Some(How::Bury(Box::new(Failure {
                connection: self.connection.to_string(),
                payload: lease.reservation.body.clone(),
                reason: Reason::Timeout,
                exception: OVERDUE.to_owned(),
                attempts: lease.reservation.attempts.unwrap_or(1),
            }))),
        }
    }
}
