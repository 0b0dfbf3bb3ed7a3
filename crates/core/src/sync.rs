//! The broker of connections that run a job inside the push. It keeps no jobs, so its queues are always empty.

use std::time::Duration;

use crate::broker::{Admin, Broker, Capabilities, ExtendResult, Settle, SettleResult, Sizes, State};
use crate::error::{Error, ErrorKind, Result};
use crate::failed::{FailedJob, Filter};
use crate::job::{Claim, NewJob, Reservation};
use crate::queue::QueueName;

/// Answers every operation of an empty broker, and refuses to push: whoever pushes runs the job itself.
#[derive(Debug, Default)]
pub struct SyncBroker;

fn refused<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "sync connections keep no jobs"))
}

impl Broker for SyncBroker {
    fn push(&self, _queue: &QueueName, _job: NewJob<'_>) -> Result<Option<i64>> {
        refused()
    }

    fn push_many(&self, _queue: &QueueName, _jobs: &[NewJob<'_>]) -> Result<u64> {
        refused()
    }

    fn reserve(&self, _queues: &[QueueName], _max: usize, _wait: Duration) -> Result<Vec<Reservation>> {
        Ok(Vec::new())
    }

    fn settle(&self, batch: &[Settle]) -> Result<Vec<SettleResult>> {
        Ok(vec![SettleResult::Lost; batch.len()])
    }

    fn extend(&self, claims: &[Claim]) -> Result<Vec<ExtendResult>> {
        Ok(vec![ExtendResult::Lost; claims.len()])
    }

    fn size(&self, _queue: &QueueName) -> Result<Sizes> {
        Ok(Sizes::default())
    }

    fn close(&self) {}

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            id_in_payload: false,
            counts_in_payload: false,
            leases: false,
            sees_all_states: true,
            gives_back_to_head: true,
            subscribes: false,
        }
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }
}

impl Admin for SyncBroker {
    fn failed(&self, _queue: &QueueName, _offset: u64, _limit: u64) -> Result<Vec<FailedJob>> {
        Ok(Vec::new())
    }

    fn failed_job(&self, _queue: &QueueName, _id: &str) -> Result<Option<FailedJob>> {
        Ok(None)
    }

    fn retry(&self, _queue: &QueueName, _which: &Filter, _before: &mut dyn FnMut(&[FailedJob])) -> Result<u64> {
        Ok(0)
    }

    fn forget(&self, _queue: &QueueName, _which: &Filter) -> Result<u64> {
        Ok(0)
    }

    fn peek(&self, _queue: &QueueName, _state: State, _offset: u64, _limit: u64) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    fn clear(&self, _queue: &QueueName) -> Result<u64> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_broker_is_empty_and_refuses_a_push() {
        let queue = QueueName::default();
        let error = SyncBroker.push(&queue, NewJob::ready(&b"{}"[..])).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unsupported, "sync connections keep no jobs"));
        assert!(SyncBroker.push_many(&queue, &[]).is_err());
        assert_eq!(SyncBroker.size(&queue).unwrap(), Sizes::default());
        assert!(SyncBroker.reserve(&[queue], 9, Duration::from_secs(1)).unwrap().is_empty());
    }
}
