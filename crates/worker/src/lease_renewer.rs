//! The thread that renews the leases of reserved jobs, however long PHP is busy.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::broker::{Broker, ExtendResult, Settle, Settlement};
use ferry_core::{Claim, Result};
use ferry_support::threads::{self, PanicSlot};

use crate::in_flight::{InFlightJobs, LeaseAction};

/// How soon a renewal that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Starts the thread. It ends when `jobs` is closed.
pub fn start(broker: Arc<dyn Broker>, jobs: Arc<InFlightJobs>, panics: &PanicSlot) -> Result<JoinHandle<()>> {
    let panics = panics.clone();
    threads::spawn("ferry-lease", move || serve(&*broker, &jobs), move |panic| panics.report(panic))
}

fn serve(broker: &dyn Broker, jobs: &InFlightJobs) {
    loop {
        match jobs.next_action(Instant::now()) {
            LeaseAction::Exit => return,
            LeaseAction::Wait(time) => jobs.sleep(time),
            LeaseAction::GiveBack(unstarted) => give_back(broker, unstarted),
            // An error is met again by the next reserve call.
            LeaseAction::Receive => drop(jobs.receive_ahead()),
            LeaseAction::Renew(claims) => {
                if !renew(broker, jobs, &claims) {
                    jobs.sleep(RETRY);
                }
            }
        }
    }
}

fn renew(broker: &dyn Broker, jobs: &InFlightJobs, claims: &[Claim]) -> bool {
    // The time before the call: a lease is never believed to be longer than it is.
    let asked = Instant::now();
    let Ok(answers) = broker.extend(claims) else { return false };
    let lost: Vec<Claim> =
        claims.iter().zip(answers).filter(|(_, answer)| *answer == ExtendResult::Lost).map(|(claim, _)| claim.clone()).collect();
    jobs.renewed(asked, &lost);
    true
}

/// Gives unstarted jobs back. When that fails they are not started either: they may have been given back with only the answer lost.
/// Then they come back by their lease.
pub fn give_back(broker: &dyn Broker, jobs: impl IntoIterator<Item = Claim>) {
    let batch: Vec<Settle> = jobs.into_iter().map(|claim| Settle { claim, settlement: Settlement::GiveBack }).collect();
    if !batch.is_empty() {
        let _ = broker.settle(&batch);
    }
}
