//! The thread that renews the leases of held jobs, however long PHP is busy.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::broker::{Broker, ExtendResult, Settle, Settlement};
use ferry_core::{Claim, signals};

use crate::in_flight::{InFlightJob, InFlightJobs, LeaseAction};

/// How soon a renewal that failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Starts the keeper. It leaves when the hold is closed.
pub fn start(broker: Arc<dyn Broker>, hold: Arc<InFlightJobs>) -> std::io::Result<JoinHandle<()>> {
    signals::blocked(|| std::thread::Builder::new().name("ferry-lease".into()).spawn(move || keep(&*broker, &hold)))
}

fn keep(broker: &dyn Broker, hold: &InFlightJobs) {
    loop {
        match hold.next_action(Instant::now()) {
            LeaseAction::Leave => return,
            LeaseAction::Wait(time) => hold.sleep(time),
            LeaseAction::GiveBack(jobs) => give_back(broker, jobs),
            LeaseAction::Renew(claims) => {
                if !renew(broker, hold, &claims) {
                    hold.sleep(AGAIN);
                }
            }
        }
    }
}

fn renew(broker: &dyn Broker, hold: &InFlightJobs, claims: &[Claim]) -> bool {
    // The time before the call: a lease is never believed to be longer than it is.
    let asked = Instant::now();
    let Ok(answers) = broker.extend(claims) else { return false };
    let lost: Vec<Claim> =
        claims.iter().zip(answers).filter(|(_, answer)| *answer == ExtendResult::Lost).map(|(claim, _)| claim.clone()).collect();
    hold.renewed(asked, &lost);
    true
}

/// Gives jobs back that were never started. When that fails they are not started either: they may have been given back with
/// only the answer lost. Then they come back by their lease.
pub fn give_back(broker: &dyn Broker, jobs: Vec<Arc<InFlightJob>>) {
    let batch: Vec<Settle> =
        jobs.iter().map(|job| Settle { claim: job.reservation.claim.clone(), settlement: Settlement::GiveBack }).collect();
    if !batch.is_empty() {
        let _ = broker.settle(&batch);
    }
}
