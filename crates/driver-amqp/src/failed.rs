//! The failed store: a RabbitMQ queue that is walked from its oldest message on.

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
            page.push(message::record(&delivery.properties, &delivery.data, queue.as_str()));
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
        let job = message::record(&delivery.properties, &delivery.data, queue.as_str());
        if job.id != id {
            return Visit::Keep;
        }
        found = Some(job);
        Visit::TakeAndPause
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
    let names = std::sync::Arc::new(Names::of(queue)?);
    remove(connections, queue, &names, which, |taken| {
        let record = |delivery: &Delivery| message::record(&delivery.properties, &delivery.data, queue.as_str());
        before(&taken.iter().map(record).collect::<Vec<_>>());
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
    remove(connections, queue, &names, which, |taken| Ok(Removal { allowed: vec![true; taken.len()], error: None }))
}

/// Which of the taken jobs may be removed, and why others may not.
struct Removal {
    allowed: Vec<bool>,
    error: Option<Error>,
}

/// Removes the jobs that match, of those that there are when it begins.
fn remove(
    connections: &AmqpConnections,
    queue: &QueueName,
    names: &Names,
    which: &Filter,
    mut before: impl FnMut(&[Delivery]) -> Result<Removal>,
) -> Result<u64> {
    let most = which.most().unwrap_or(usize::MAX);
    if most == 0 {
        return Ok(0);
    }
    let Some(mut scan) = QueueScan::begin(connections, &names.failed, Access::Exclusive)? else { return Ok(0) };
    let (mut removed, mut matching) = (0, 0);
    loop {
        let mut count = 0;
        scan.visit(u64::MAX, |_, delivery| {
            if !which.matches(&message::record(&delivery.properties, &delivery.data, queue.as_str())) {
                return Visit::Keep;
            }
            (count, matching) = (count + 1, matching + 1);
            if matching == most || count == RETRY_BATCH { Visit::TakeAndPause } else { Visit::Take }
        })?;
        let taken = std::mem::take(&mut scan.taken);
        if taken.is_empty() {
            return Ok(removed);
        }
        let Removal { allowed, error } = before(&taken)?;
        for (delivery, _) in taken.iter().zip(allowed).filter(|(_, allowed)| *allowed) {
            scan.ack(delivery)?;
            removed += 1;
        }
        match error {
            Some(error) => return Err(error),
            None if matching == most => return Ok(removed),
            None => {}
        }
    }
}
