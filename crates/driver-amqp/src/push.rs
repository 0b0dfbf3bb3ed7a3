//! `Broker::push` and `Broker::push_many`.

use std::sync::Arc;

use ferry_core::{NewJob, QueueName, Result};

use crate::connections::{AmqpConnections, PublishRole};
use crate::message;
use crate::names::{Names, QueueRole};
use crate::publisher::first_error;
use crate::route::Route;

/// Publishes one job and waits for its confirm. RabbitMQ numbers no jobs.
pub fn push(connections: &AmqpConnections, queue: &QueueName, job: &NewJob<'_>) -> Result<Option<i64>> {
    push_many(connections, queue, std::slice::from_ref(job)).map(|_| None)
}

/// Publishes jobs in order, with an error that says how many of them were stored.
pub fn push_many(connections: &AmqpConnections, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
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
    let outcomes = connections.publish(PublishRole::Push, &routes.iter().collect::<Vec<&Route<'_>>>())?;
    match first_error(&outcomes) {
        None => Ok(outcomes.len() as u64),
        Some(error) if outcomes.len() == 1 => Err(error),
        Some(error) => {
            let stored = outcomes.iter().take_while(|outcome| outcome.is_confirmed()).count();
            Err(error.within(format!("{stored} of {} jobs were confirmed", outcomes.len())))
        }
    }
}
