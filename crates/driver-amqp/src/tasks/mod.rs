//! The tasks of `Ferry\Task`: published, taken, tried again, dead. `core::task` decides; `docs/decisions/0010-tasks.md` says why.
//!
//! | room | topic |
//! |---|---|
//! | `declare` | the recorded topology |
//! | `parcel` | what stands beside a body, and its way |
//! | `puller` | taking from several queues, the highest first |
//! | `letters` | looking at dead letters, and sending them back |

mod dead_letters;
mod declare;
mod deliveries;
mod publish;

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::config::AmqpConfig;
use ferry_core::task::TaskLevel;
use ferry_core::{QueueName, Result};

use crate::Settings;
use crate::connections::{AmqpConnections, PublishRole};
use crate::names::Names;
use crate::publisher::{Publish as Item, PublishOutcome, trouble};
use crate::topology::TopologyItem;

pub use dead_letters::StoredDeadLetter;
pub use declare::{declare, declare_kept};
pub use deliveries::{HeldTask, Incoming, Options, TaskDeliveries};

use publish::TaskPublish;

/// A task on its way to its queue.
#[derive(Debug, Clone)]
pub struct TaskToPublish {
    /// Its id, which is the message id too.
    pub id: String,
    /// Its bytes.
    pub body: Vec<u8>,
    /// 1 to 10.
    pub priority: u8,
    /// Milliseconds as text.
    pub expiration: String,
    /// Whether the bytes are gzip.
    pub packed: bool,
}

/// The tasks of a connection. Connects when it is first asked for something; any thread may call any word.
pub struct Tasks {
    hub: AmqpConnections,
    limit: usize,
}

impl Tasks {
    /// Tasks of up to `limit` bytes on this server.
    pub fn new(config: AmqpConfig, limit: usize) -> Self {
        Self { hub: AmqpConnections::new(config, Settings::default()), limit }
    }

    /// Publishes tasks, pipelined, and waits until the broker has them all. An error says how many it had before.
    pub fn publish(&self, tasks: &[TaskToPublish]) -> Result<u64> {
        let now = SystemClock.now();
        let parcels: Vec<TaskPublish<'_>> = tasks.iter().map(|task| TaskPublish::fresh(task, now)).collect();
        self.send(PublishRole::Push, &parcels)
    }

    /// Declares everything now, the queue for kept dead letters too. Otherwise the first task does, without that queue.
    pub fn declare(&self) -> Result<()> {
        let link = self.hub.consumer()?;
        let names = names_of(TaskLevel::Normal)?;
        self.hub.ensure(&link, &names, &[TopologyItem::Tasks, TopologyItem::KeptTasks])
    }

    /// Lets go of the connections.
    pub fn close(&self) {
        self.hub.close();
    }

    fn send(&self, lane: PublishRole, parcels: &[TaskPublish<'_>]) -> Result<u64> {
        let mut needs: Vec<(Names, TopologyItem)> = Vec::new();
        for parcel in parcels {
            for need in parcel.needs()? {
                if !needs.contains(&need) {
                    needs.push(need);
                }
            }
        }
        let items: Vec<Item<'_>> = parcels.iter().map(TaskPublish::item).collect();
        let fates = self.hub.send(lane, &items, &needs)?;
        match trouble(&fates) {
            None => Ok(fates.len() as u64),
            Some(error) if fates.len() == 1 => Err(error),
            Some(error) => {
                let stored = fates.iter().filter(|fate| **fate == PublishOutcome::Confirmed).count();
                Err(error.within(format!("{stored} of {} tasks were confirmed", fates.len())))
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.close();
    }
}

/// The names of a level's queue.
fn names_of(level: TaskLevel) -> Result<Names> {
    Names::of(&QueueName::new(level.queue().as_bytes())?)
}
