//! The failed store: a RabbitMQ queue that is walked from its oldest message on.

use std::sync::Arc;

use ferry_core::failed::{FailedJob, Filter};
use ferry_core::{Error, QueueName, Result};
use lapin::message::Delivery;

use crate::connections::{AmqpConnections, PublishRole};
use crate::message;
use crate::names::{Names, QueueRole};
use crate::publisher::first_error;
use crate::queue_scan::{Access, QueueScan, Visit};
use crate::route::Route;

/// How many failed jobs are retried together; their bodies are held meanwhile.
const RETRY_BATCH: usize = 256;

/// Failed jobs, newest first.
pub fn failed(connections: &AmqpConnections, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
    let names = Names::of(queue)?;
    let Some(mut scan) = QueueScan::begin(connections, &names.failed, Access::Exclusive)? else { return Ok(Vec::new()) };
    let newest = scan.count.saturating_sub(offset);
    let oldest = newest.saturating_sub(limit);
    let mut page = Vec::new();
    scan.visit(newest, |at, delivery| {
        if at >= oldest {
            page.push(record(delivery, queue));
        }
        Visit::Keep
    })?;
    page.reverse();
    Ok(page)
}

/// The oldest failed job with this id.
pub fn failed_job(connections: &AmqpConnections, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
    let names = Names::of(queue)?;
    let Some(mut scan) = QueueScan::begin(connections, &names.failed, Access::Exclusive)? else { return Ok(None) };
    let mut found = None;
    scan.visit(u64::MAX, |_, delivery| {
        let job = record(delivery, queue);
        if job.id != id {
            return Visit::Keep;
        }
        found = Some(job);
        Visit::Pause
    })?;
    Ok(found)
}

/// Makes failed jobs ready again: published, confirmed, then acked. A process that dies in between leaves the job in both queues.
pub fn retry(
    connections: &AmqpConnections,
    queue: &QueueName,
    which: &Filter,
    before: &mut dyn FnMut(&[FailedJob]),
) -> Result<u64> {
    let names = Arc::new(Names::of(queue)?);
    remove(connections, &names, queue, which, |taken| {
        before(&taken.iter().map(|delivery| record(delivery, queue)).collect::<Vec<_>>());
        let routes: Vec<Route<'_>> = taken
            .iter()
            .map(|delivery| {
                let properties = message::revived(&delivery.properties);
                Route::to_queue(&names, QueueRole::Main, properties, delivery.data.as_slice().into())
            })
            .collect();
        let outcomes = connections.publish(PublishRole::Settle, &routes.iter().collect::<Vec<&Route<'_>>>())?;
        Ok(Removal { error: first_error(&outcomes), allowed: outcomes.iter().map(|outcome| outcome.is_confirmed()).collect() })
    })
}

/// Removes failed jobs for good.
pub fn forget(connections: &AmqpConnections, queue: &QueueName, which: &Filter) -> Result<u64> {
    let names = Names::of(queue)?;
    remove(connections, &names, queue, which, |taken| Ok(Removal { allowed: vec![true; taken.len()], error: None }))
}

fn record(delivery: &Delivery, queue: &QueueName) -> FailedJob {
    message::record(&delivery.properties, &delivery.data, queue.as_str())
}

/// Which of the taken jobs may be removed, and why others may not.
struct Removal {
    allowed: Vec<bool>,
    error: Option<Error>,
}

/// Removes what matches, in one scan. Jobs that fail after the first batch was removed are left alone: they may be of that batch.
fn remove(
    connections: &AmqpConnections,
    names: &Names,
    queue: &QueueName,
    which: &Filter,
    mut before: impl FnMut(&[Delivery]) -> Result<Removal>,
) -> Result<u64> {
    let mut left = which.most().unwrap_or(usize::MAX);
    if left == 0 {
        return Ok(0);
    }
    let Some(mut scan) = QueueScan::begin(connections, &names.failed, Access::Exclusive)? else { return Ok(0) };
    let mut removed = 0;
    loop {
        let batch = left.min(RETRY_BATCH);
        let mut count = 0;
        scan.visit(u64::MAX, |_, delivery| {
            if !which.matches(&record(delivery, queue)) {
                return Visit::Keep;
            }
            count += 1;
            if count == batch { Visit::TakeAndPause } else { Visit::Take }
        })?;
        let taken = std::mem::take(&mut scan.taken);
        if taken.is_empty() {
            return Ok(removed);
        }
        scan.end_at_present()?;
        let Removal { allowed, error } = before(&taken)?;
        for (delivery, _) in taken.iter().zip(allowed).filter(|(_, allowed)| *allowed) {
            scan.ack(delivery)?;
            removed += 1;
        }
        left -= taken.len();
        match error {
            Some(error) => return Err(error),
            None if left == 0 => return Ok(removed),
            None => {}
        }
    }
}
