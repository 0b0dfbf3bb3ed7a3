//! The behaviours speak of payloads that count from 0. Here a broker of v1 and v2, which counts from 1, is made to look so: what goes
//! in says one more, what comes out one less. Nothing else is touched, so the driver below is examined as it is.

use std::sync::Arc;
use std::time::Duration;

use ferry_core::broker::{Admin, Capabilities, ExtendResult, Settle, SettleResult, Settlement, Sizes, State};
use ferry_core::control::WorkerControl;
use ferry_core::failed::{FailedJob, Failure, Filter};
use ferry_core::job::{Claim, NewJob, Reservation};
use ferry_core::payload::{find_attempts, with_attempts};
use ferry_core::{Broker, IdempotencyStore, QueueName, Result, StatusStore};

/// A broker whose payloads count from 1.
pub struct FromOne(pub Arc<dyn Broker>);

/// No payload of a behaviour counts so far but the one whose next count would have too many digits to be read as one.
const TOO_FAR: u32 = 999_999_998;

fn outside(body: &[u8]) -> Vec<u8> {
    match find_attempts(body) {
        Some(at) if at.value > 0 => with_attempts(body, at, at.value - 1),
        _ => body.to_vec(),
    }
}

fn inside(body: &[u8]) -> Vec<u8> {
    match find_attempts(body) {
        Some(at) if at.value < TOO_FAR => with_attempts(body, at, at.value + 1),
        _ => body.to_vec(),
    }
}

fn job_inside<'a>(job: &NewJob<'_>) -> NewJob<'a> {
    NewJob::due(inside(&job.payload), job.due)
}

fn failed_outside(jobs: Vec<FailedJob>) -> Vec<FailedJob> {
    jobs.into_iter().map(|job| FailedJob { payload: outside(&job.payload), ..job }).collect()
}

fn how_inside(settlement: &Settlement) -> Settlement {
    match settlement {
        Settlement::Bury(failure) => {
            Settlement::Bury(Box::new(Failure { payload: inside(&failure.payload), ..(**failure).clone() }))
        }
        other => other.clone(),
    }
}

impl Broker for FromOne {
    fn push(&self, queue: &QueueName, job: NewJob<'_>) -> Result<Option<i64>> {
        self.0.push(queue, job_inside(&job))
    }

    fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
        self.0.push_many(queue, &jobs.iter().map(job_inside).collect::<Vec<_>>())
    }

    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> Result<Vec<Reservation>> {
        let jobs = self.0.reserve(queues, max, wait)?;
        Ok(jobs.into_iter().map(|job| Reservation { body: outside(&job.body), ..job }).collect())
    }

    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
        let batch: Vec<Settle> =
            batch.iter().map(|item| Settle { claim: item.claim.clone(), settlement: how_inside(&item.settlement) }).collect();
        self.0.settle(&batch)
    }

    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
        self.0.extend(claims)
    }

    fn size(&self, queue: &QueueName) -> Result<Sizes> {
        self.0.size(queue)
    }

    fn close(&self) {
        self.0.close();
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }

    fn control(&self) -> Option<&dyn WorkerControl> {
        self.0.control()
    }

    fn status(&self) -> Option<&dyn StatusStore> {
        self.0.status()
    }

    fn idempotency(&self) -> Option<&dyn IdempotencyStore> {
        self.0.idempotency()
    }
}

impl FromOne {
    fn operator(&self) -> &dyn Admin {
        self.0.admin().expect("our drivers have words for operators")
    }
}

impl Admin for FromOne {
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        self.operator().failed(queue, offset, limit).map(failed_outside)
    }

    fn failed_job(&self, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
        Ok(self.operator().failed_job(queue, id)?.map(|job| FailedJob { payload: outside(&job.payload), ..job }))
    }

    fn retry(&self, queue: &QueueName, which: &Filter, before: &mut dyn FnMut(&[FailedJob])) -> Result<u64> {
        self.operator().retry(queue, which, before)
    }

    fn forget(&self, queue: &QueueName, which: &Filter) -> Result<u64> {
        self.operator().forget(queue, which)
    }

    fn peek(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>> {
        let bodies = self.operator().peek(queue, state, offset, limit)?;
        Ok(bodies.iter().map(|body| outside(body)).collect())
    }

    fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.operator().clear(queue)
    }
}
