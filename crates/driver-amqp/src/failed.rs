//! The failed store: a RabbitMQ queue that is walked from its oldest message on.

use std::collections::HashSet;

use ferry_core::failed::{FailedJob, FailedPosition};
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
            page.push(message::record(&delivery.properties, &delivery.data, queue.as_str(), at));
        }
        Visit::Keep
    })?;
    page.reverse();
    Ok(page)
}

/// Failed jobs, oldest first, behind those that were passed.
pub fn oldest_failed(
    connections: &AmqpConnections,
    queue: &QueueName,
    passed: Option<&FailedPosition>,
    limit: u64,
) -> Result<Option<Vec<FailedJob>>> {
    let begin = passed.map_or(0, |passed| passed.count);
    let names = Names::of(queue)?;
    let Some(mut scan) = QueueScan::begin(connections, &names.failed, Access::Exclusive)? else {
        return Ok((begin == 0).then(Vec::new));
    };
    let (mut page, mut is_found) = (Vec::new(), begin == 0);
    scan.visit(begin.saturating_add(limit), |at, delivery| {
        if at >= begin {
            page.push(message::record(&delivery.properties, &delivery.data, queue.as_str(), at));
        } else if at + 1 == begin {
            is_found = passed.is_some_and(|passed| message::id_of(&delivery.properties, &delivery.data) == passed.last);
        }
        Visit::Keep
    })?;
    Ok(is_found.then_some(page))
}

/// Makes failed jobs ready again: published, confirmed, then acked. A process that dies in between leaves the job in both queues.
pub fn retry(connections: &AmqpConnections, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64> {
    let names = std::sync::Arc::new(Names::of(queue)?);
    remove(connections, &names, jobs, |taken| {
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
pub fn forget(connections: &AmqpConnections, queue: &QueueName, jobs: &[FailedJob]) -> Result<u64> {
    let names = Names::of(queue)?;
    remove(connections, &names, jobs, |taken| Ok(Removal { allowed: vec![true; taken.len()], error: None }))
}

/// Which of the taken jobs may be removed, and why others may not.
struct Removal {
    allowed: Vec<bool>,
    error: Option<Error>,
}

fn remove(
    connections: &AmqpConnections,
    names: &Names,
    jobs: &[FailedJob],
    before: impl Fn(&[Delivery]) -> Result<Removal>,
) -> Result<u64> {
    let mut wanted: HashSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    if wanted.is_empty() {
        return Ok(0);
    }
    let Some(mut scan) = QueueScan::begin(connections, &names.failed, Access::Exclusive)? else { return Ok(0) };
    let mut removed = 0;
    loop {
        let mut count = 0;
        scan.visit(u64::MAX, |_, delivery| {
            if !wanted.remove(message::id_of(&delivery.properties, &delivery.data).as_str()) {
                return Visit::Keep;
            }
            count += 1;
            if wanted.is_empty() || count == RETRY_BATCH { Visit::TakeAndPause } else { Visit::Take }
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
            None if wanted.is_empty() => return Ok(removed),
            None => {}
        }
    }
}
