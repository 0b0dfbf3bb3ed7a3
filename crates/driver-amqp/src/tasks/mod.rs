//! The tasks of `Ferry\Task`: published, delivered, retried, dead. `core::task` decides; `docs/decisions/0010-tasks.md` says why.
//!
//! | module | topic |
//! |---|---|
//! | `declare` | the recorded topology |
//! | `publish` | routes and properties of task messages |
//! | `deliveries` | tasks of several queues, the highest first |
//! | `foreign` | a message of another program, as a decoder sees it |
//! | `dead_letters` | looking at dead letters, and publishing them again |

mod dead_letters;
mod declare;
mod deliveries;
mod foreign;
mod publish;

use std::sync::atomic::{AtomicBool, Ordering};

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::config::AmqpConfig;
use ferry_core::task::{DEAD_EXCHANGE, EXCHANGE, LONGEST_PAUSE, TaskLevel};
use ferry_core::{Error, ErrorKind, Result};

use crate::Settings;
use crate::connections::{AmqpConnections, PublishRole};
use crate::delay::{self, DelaySpace};
use crate::publisher::first_error;
use crate::route::Route;
use crate::topology::TopologyItem;

pub use dead_letters::{Requeued, StoredDeadLetter};
pub use declare::{declare, declare_kept};
pub use deliveries::{HeldMessage, HeldTask, Incoming, Options, TaskDeliveries};
pub use publish::names_of;

/// A task on its way to its queue.
#[derive(Debug, Clone)]
pub struct TaskToPublish {
    /// Its id, which is the message id too.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its bytes.
    pub body: Vec<u8>,
    /// 1 to 10.
    pub priority: u8,
    /// Milliseconds as text.
    pub expiration: String,
    /// Seconds until it is put into its queue; 0 is at once.
    pub delay: i64,
    /// Whether the bytes are gzip.
    pub packed: bool,
}

/// The tasks of a connection. It connects at its first operation; any thread may call any method.
pub struct Tasks {
    connections: AmqpConnections,
    limit: usize,
    /// Whether a consumer was found to have all its rights.
    is_prepared: AtomicBool,
}

/// The delay levels that retries wait in.
fn retry_delay() -> TopologyItem {
    TopologyItem::TaskDelay(delay::top_of(LONGEST_PAUSE))
}

impl Tasks {
    /// Tasks of up to `limit` bytes on this server.
    pub fn new(config: AmqpConfig, limit: usize) -> Self {
        Self { connections: AmqpConnections::new(config, Settings::default()), limit, is_prepared: AtomicBool::new(false) }
    }

    /// Publishes tasks, pipelined, and waits until the broker has them all. An error says how many it had before.
    pub fn publish(&self, tasks: &[TaskToPublish]) -> Result<u64> {
        let now = SystemClock.now();
        let routes: Vec<Route<'_>> = tasks.iter().map(|task| publish::new_task(task, now)).collect::<Result<_>>()?;
        self.send(PublishRole::Push, &routes)
    }

    /// Declares everything now, also the queue for kept dead letters. Otherwise the first task does, without that queue.
    pub fn declare(&self) -> Result<()> {
        // Somebody may have removed a queue since.
        self.connections.forget_topology();
        self.ensure(&[TopologyItem::Tasks, TopologyItem::KeptTasks, retry_delay()])
    }

    /// Declares what a consumer of `queues` needs and looks for missing rights, once: an error at the start is better than a task that
    /// cannot be settled. A broker that blocks publishers answers nothing: then the next consumer looks.
    fn prepare_consumer(&self, queues: &[String]) -> Result<()> {
        if self.is_prepared.load(Ordering::Relaxed) {
            return Ok(());
        }
        let is_level = |queue: &&String| TaskLevel::named(queue).is_some();
        self.ensure(&[TopologyItem::Tasks, retry_delay()])?;
        if self.connections.is_blocked() {
            return Ok(());
        }
        let by_name = queues.iter().any(|queue| !is_level(&queue)).then(String::new);
        let delays = DelaySpace::Tasks.name(delay::top_of(LONGEST_PAUSE));
        let exchanges = [EXCHANGE.to_owned(), DEAD_EXCHANGE.to_owned(), delays].into_iter().chain(by_name);
        match missing_rights(exchanges.map(|exchange| self.connections.probe_write(&exchange)), || self.connections.is_blocked())
        {
            Probed::Complete => {
                self.is_prepared.store(true, Ordering::Relaxed);
                Ok(())
            }
            Probed::Unanswered => Ok(()),
            Probed::Refused(error) => Err(error),
        }
    }

    fn ensure(&self, items: &[TopologyItem]) -> Result<()> {
        let link = self.connections.consumer()?;
        let names = publish::names_of(TaskLevel::Normal)?;
        self.connections.ensure(&link, &names, items)
    }

    /// Closes the connections.
    pub fn close(&self) {
        self.connections.close();
    }

    fn send(&self, role: PublishRole, routes: &[Route<'_>]) -> Result<u64> {
        let outcomes = self.connections.publish(role, &routes.iter().collect::<Vec<&Route<'_>>>())?;
        match first_error(&outcomes) {
            None => Ok(outcomes.len() as u64),
            Some(error) if outcomes.len() == 1 => Err(error),
            Some(error) => {
                let stored = outcomes.iter().filter(|outcome| outcome.is_confirmed()).count();
                Err(error.within(format!("{stored} of {} tasks were confirmed", outcomes.len())))
            }
        }
    }
}

/// What probing several exchanges showed.
enum Probed {
    /// All can be written to.
    Complete,
    /// The broker gave no answer.
    Unanswered,
    /// What is refused, as one error.
    Refused(Error),
}

/// Probes exchanges until one gives no answer: each of the others would be waited for as long. RabbitMQ takes the first publish of a
/// connection that it is going to block, and answers no request behind it.
fn missing_rights(probes: impl Iterator<Item = Result<()>>, is_blocked: impl Fn() -> bool) -> Probed {
    let mut refused: Option<Error> = None;
    let mut texts = Vec::new();
    for error in probes.filter_map(Result::err) {
        match error.kind() {
            ErrorKind::Uncertain => return Probed::Unanswered,
            ErrorKind::Connection if is_blocked() => return Probed::Unanswered,
            ErrorKind::Connection => return Probed::Refused(error),
            _ => texts.push(error.to_string()),
        }
        refused.get_or_insert(error);
    }
    match refused {
        None => Probed::Complete,
        Some(first) => {
            let all = texts.join("; ");
            Probed::Refused(Error::new(
                first.kind(),
                format!("a consumer of tasks cannot publish retries and dead letters: {all}"),
            ))
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> Result<()> {
        Err(Error::new(kind, format!("{kind:?}")))
    }

    #[test]
    fn a_consumer_starts_beside_a_broker_that_blocks_publishers_and_not_without_its_rights() {
        let probed_while = |probes: Vec<Result<()>>, blocked: bool| missing_rights(probes.into_iter(), || blocked);
        let probed = |probes: Vec<Result<()>>| probed_while(probes, false);
        assert!(matches!(probed(vec![Ok(()), Ok(())]), Probed::Complete));
        assert!(matches!(probed(vec![Ok(()), error(ErrorKind::Uncertain)]), Probed::Unanswered));
        assert!(matches!(probed_while(vec![Ok(()), error(ErrorKind::Connection)], true), Probed::Unanswered));
        let Probed::Refused(both) = probed(vec![error(ErrorKind::Denied), error(ErrorKind::Denied)]) else {
            panic!("both are refused")
        };
        assert_eq!(both.to_string().matches("Denied").count(), 2, "{both}");
        let Probed::Refused(broken) = probed(vec![error(ErrorKind::Denied), error(ErrorKind::Connection)]) else {
            panic!("the connection broke")
        };
        assert_eq!(broken.kind(), ErrorKind::Connection);
    }
}
