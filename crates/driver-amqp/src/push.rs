//! `Broker::push`, `push_many` and `push_batch`.

use std::sync::Arc;

use ferry_core::broker::{BatchPush, QueuedJob, groups};
use ferry_core::{ErrorKind, NewJob, QueueName, Result};

use crate::connections::{AmqpConnections, PublishRole};
use crate::message;
use crate::names::{Names, QueueRole};
use crate::publisher::{PublishOutcome, first_error};
use crate::route::Route;

/// Publishes one job and waits for its confirm. RabbitMQ numbers no jobs.
pub fn push(connections: &AmqpConnections, queue: &QueueName, job: &NewJob<'_>) -> Result<Option<i64>> {
    push_many(connections, queue, std::slice::from_ref(job)).map(|_| None)
}

/// Publishes jobs in order, with an error that says how many of them were stored.
pub fn push_many(connections: &AmqpConnections, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
    let outcomes = publish(connections, queue, jobs)?;
    match first_error(&outcomes) {
        None => Ok(outcomes.len() as u64),
        Some(error) if outcomes.len() == 1 => Err(error),
        Some(error) => {
            let stored = outcomes.iter().take_while(|outcome| outcome.is_confirmed()).count();
            Err(error.within(format!("{stored} of {} jobs were confirmed", outcomes.len())))
        }
    }
}

/// Publishes jobs of several queues, one queue after the other: what is wrong with one fails no other.
pub fn push_batch(connections: &AmqpConnections, batch: &[QueuedJob<'_>]) -> BatchPush {
    let mut report = BatchPush::default();
    let mut is_unreachable = false;
    for group in groups(batch) {
        if is_unreachable {
            report.missing.extend(group.positions);
            continue;
        }
        let (missing, error) = match publish(connections, &group.queue, &group.jobs(batch)) {
            Err(error) => (group.positions, error),
            Ok(outcomes) => {
                let Some(error) = first_error(&outcomes) else { continue };
                let unconfirmed = group.positions.iter().zip(&outcomes).filter(|(_, outcome)| !outcome.is_confirmed());
                (unconfirmed.map(|(at, _)| *at).collect(), error)
            }
        };
        is_unreachable = matches!(error.kind(), ErrorKind::Connection | ErrorKind::Uncertain) || connections.is_blocked();
        report.fail(missing, error.within(format!("push to `{}`", group.queue)));
    }
    report
}

fn publish(connections: &AmqpConnections, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<Vec<PublishOutcome>> {
    let names = Arc::new(Names::of(queue)?);
    let mut routes = Vec::with_capacity(jobs.len());
    for job in jobs {
        let properties = message::pushed(connections.config.priority);
        let mut route = connections.job_route(&names, QueueRole::Main, job.due, properties, job.payload.as_ref().into())?;
        if route.exchange.is_empty() {
            route.exchange.clone_from(&connections.config.exchange);
        }
        routes.push(route);
    }
    connections.publish(PublishRole::Push, &routes.iter().collect::<Vec<&Route<'_>>>())
}
