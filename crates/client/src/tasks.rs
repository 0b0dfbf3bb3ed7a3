//! The tasks of a RabbitMQ connection. They have AMQP connections of their own, made when first used.

use std::sync::Arc;
use std::time::Duration;

use ferry_core::broker::tasks::{ReceivedTask, TaskReceiver, TaskSettlement};
use ferry_core::config::{AmqpConfig, ConnectionConfig, DriverConfig};
use ferry_core::status::{JobRef, StatusChange, StatusUpdate};
use ferry_core::task::{Task, TaskLevel};
use ferry_core::{Broker, Error, ErrorKind, Result};

use ferry_driver_amqp::{HeldMessage, HeldTask, Incoming, TaskDeliveries};
pub use ferry_driver_amqp::{Options, Requeued, StoredDeadLetter, TaskToPublish, Tasks};

use crate::connection::Connection;
use crate::tracking::Tracked;

impl Connection {
    /// The tasks that lie there. [`ErrorKind::Config`] where there are none.
    pub fn tasks(&self) -> Result<Arc<Tasks>> {
        let server = server(self.config())?;
        let make = || Arc::new(Tasks::new(server.clone(), self.config().max_payload));
        Ok(Arc::clone(self.tasks.get_or_init(make)))
    }
}

impl Connection {
    /// Publishes tasks whose status `statuses` keeps, under their ids.
    pub fn publish_tasks_tracked(&self, tasks: &[TaskToPublish], statuses: &dyn Broker) -> Result<Tracked<u64>> {
        let there = self.tasks()?;
        let updates: Vec<StatusUpdate> = tasks
            .iter()
            .filter_map(|task| self.task_update(&task.id, &task.kind, TaskLevel::of(task.priority.into()), StatusChange::Queued))
            .collect();
        let trouble = self.update_statuses(statuses, &updates);
        let published = there.publish(tasks).inspect_err(|error| {
            // Of several, some may be stored.
            if tasks.len() == 1 {
                self.take_back(error, statuses, &updates);
            }
        });
        Ok(Tracked { answer: published?, trouble })
    }

    /// Notes that tasks of dead letters are published again. An error that begins an outage is returned.
    pub fn note_requeued_tasks(&self, tasks: &[&Task], statuses: &dyn Broker) -> Option<Error> {
        let again = |task: &&Task| self.task_update(&task.id, &task.kind, task.level(), StatusChange::QueuedAgain);
        let updates: Vec<StatusUpdate> = tasks.iter().filter_map(again).collect();
        if updates.is_empty() { None } else { self.update_statuses(statuses, &updates) }
    }

    fn task_update(&self, id: &str, kind: &str, level: TaskLevel, change: StatusChange) -> Option<StatusUpdate> {
        let (queue, connection) = (level.queue().to_owned(), self.config().name.clone());
        StatusUpdate::can_be_about(id).then(|| StatusUpdate {
            id: id.to_owned(),
            job: JobRef { job: kind.to_owned(), queue, connection },
            change,
            ttl: self.config().status_ttl,
        })
    }
}

/// Starts to take tasks.
pub fn receive(tasks: &Arc<Tasks>, options: &Options) -> Result<Box<dyn TaskReceiver>> {
    Ok(Box::new(AmqpTaskReceiver { deliveries: Some(TaskDeliveries::open(tasks, options)?), at_hand: AtHand::Nothing }))
}

/// What was taken last and is not settled.
enum AtHand {
    Nothing,
    Task(HeldTask),
    Message(HeldMessage),
}

/// The deliveries of RabbitMQ, one at hand.
struct AmqpTaskReceiver {
    /// `None` once closed.
    deliveries: Option<TaskDeliveries>,
    at_hand: AtHand,
}

impl TaskReceiver for AmqpTaskReceiver {
    fn next(&mut self, wait: Duration, stamp: &dyn Fn() -> String) -> Result<Option<ReceivedTask>> {
        let Some(deliveries) = &mut self.deliveries else { return Ok(None) };
        let incoming = deliveries.next(wait, stamp)?;
        Ok(incoming.map(|incoming| self.hold(incoming)))
    }

    fn accept(&mut self, body: Vec<u8>, stamp: &dyn Fn() -> String) -> Result<ReceivedTask> {
        match (&mut self.deliveries, std::mem::replace(&mut self.at_hand, AtHand::Nothing)) {
            (Some(deliveries), AtHand::Message(held)) => {
                let incoming = deliveries.accept(held, body, stamp)?;
                Ok(self.hold(incoming))
            }
            _ => Err(Error::new(ErrorKind::Lost, "the message that was decoded is not held any more")),
        }
    }

    fn settle(&mut self, settlement: &TaskSettlement<'_>) -> Result<()> {
        let Some(deliveries) = &self.deliveries else { return Ok(()) };
        let held = match &self.at_hand {
            AtHand::Nothing => return Ok(()),
            AtHand::Task(held) => held,
            AtHand::Message(held) => return settle_message(deliveries, held, settlement),
        };
        match *settlement {
            TaskSettlement::Done => deliveries.done(held),
            TaskSettlement::Retry { body, pause } => deliveries.retry(held, body, pause),
            TaskSettlement::Dead { body, message, trace, stamp } => deliveries.dead(held, body, message, trace, stamp),
            TaskSettlement::Poison { why } => deliveries.poison(held, why),
            TaskSettlement::GiveBack => deliveries.give_back(held),
        }
    }

    fn close(&mut self) -> Result<()> {
        self.deliveries.take().map_or(Ok(()), TaskDeliveries::close)
    }
}

impl AmqpTaskReceiver {
    fn hold(&mut self, incoming: Incoming) -> ReceivedTask {
        match incoming {
            Incoming::Task(held) => {
                let (task, body) = (held.task.clone(), held.body.clone());
                self.at_hand = AtHand::Task(*held);
                ReceivedTask::Run { task, body }
            }
            Incoming::Foreign(held) => {
                let message = held.message.clone();
                self.at_hand = AtHand::Message(*held);
                ReceivedTask::Foreign(message)
            }
            Incoming::Expired(task) => ReceivedTask::Expired(task),
            Incoming::Poison { id, why } => ReceivedTask::Poison { id, why },
            Incoming::Counted(task, count) => ReceivedTask::Counted(task, count),
            Incoming::LastChance(task) => ReceivedTask::LastChance(task),
            Incoming::CrashLoop(task) => ReceivedTask::CrashLoop(task),
        }
    }
}

/// A message that was not decoded has no body that could be tried again, so it is kept or given back.
fn settle_message(deliveries: &TaskDeliveries, held: &HeldMessage, settlement: &TaskSettlement<'_>) -> Result<()> {
    match *settlement {
        TaskSettlement::Poison { why } => deliveries.poison_message(held, why),
        TaskSettlement::GiveBack | TaskSettlement::Done | TaskSettlement::Retry { .. } | TaskSettlement::Dead { .. } => {
            deliveries.give_back_message(held)
        }
    }
}

/// The server of a connection that can carry tasks.
pub fn server(config: &ConnectionConfig) -> Result<&AmqpConfig> {
    match &config.driver {
        DriverConfig::Amqp(server) => Ok(server),
        driver => {
            let context = format!("connection `{}`: tasks lie on RabbitMQ, and this is {}", config.name, driver.name());
            Err(Error::new(ErrorKind::Config, context)
                .with_advice("name a connection of `type` amqp, or give a DSN: amqp://user:password@host/vhost"))
        }
    }
}

#[cfg(test)]
mod tests {
    use ferry_core::config::connection_from_dsn;

    use super::*;

    #[test]
    fn only_rabbitmq_carries_tasks() {
        assert!(server(&connection_from_dsn("x", "amqp://h").unwrap()).is_ok());
        let error = server(&connection_from_dsn("x", "redis://h").unwrap()).unwrap_err();
        assert!(error.to_string().contains("tasks lie on RabbitMQ, and this is redis"), "{error}");
    }
}
