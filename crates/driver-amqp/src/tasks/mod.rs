//! The tasks of `Ferry\Task`: published, taken, tried again, dead. `core::task` decides; `docs/decisions/0010-tasks.md` says why.
//!
//! | room | topic |
//! |---|---|
//! | `declare` | the recorded topology |
//! | `parcel` | what stands beside a body, and its way |
//! | `puller` | taking from several queues, the highest first |
//! | `letters` | looking at dead letters, and sending them back |

mod declare;
mod letters;
mod parcel;
mod puller;

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::config::AmqpConfig;
use ferry_core::task::Level;
use ferry_core::{QueueName, Result};

use crate::Settings;
use crate::hub::{Hub, Lane};
use crate::names::Names;
use crate::outbox::{Fate, Outgoing as Item, trouble};
use crate::topology::Need;

pub use declare::{declare, declare_kept};
pub use letters::Letter;
pub use puller::{Arrived, Options, Puller, Taken};

use parcel::Parcel;

/// A task on its way to its queue.
#[derive(Debug, Clone)]
pub struct Outgoing {
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
    hub: Hub,
    limit: usize,
}

impl Tasks {
    /// Tasks of up to `limit` bytes on this server.
    pub fn new(config: AmqpConfig, limit: usize) -> Self {
        Self { hub: Hub::new(config, Settings::default()), limit }
    }

    /// Publishes tasks, pipelined, and waits until the broker has them all. An error says how many it had before.
    pub fn publish(&self, tasks: &[Outgoing]) -> Result<u64> {
        let now = SystemClock.now();
        let parcels: Vec<Parcel<'_>> = tasks.iter().map(|task| Parcel::fresh(task, now)).collect();
        self.send(Lane::Push, &parcels)
    }

    /// Declares everything now, the queue for kept dead letters too. Otherwise the first task does, without that queue.
    pub fn declare(&self) -> Result<()> {
        let link = self.hub.consumer()?;
        let names = names_of(Level::Normal)?;
        self.hub.ensure(&link, &names, &[Need::Tasks, Need::KeptTasks])
    }

    /// Lets go of the connections.
    pub fn close(&self) {
        self.hub.close();
    }

    fn send(&self, lane: Lane, parcels: &[Parcel<'_>]) -> Result<u64> {
        let mut needs: Vec<(Names, Need)> = Vec::new();
        for parcel in parcels {
            for need in parcel.needs()? {
                if !needs.contains(&need) {
                    needs.push(need);
                }
            }
        }
        let items: Vec<Item<'_>> = parcels.iter().map(Parcel::item).collect();
        let fates = self.hub.send(lane, &items, &needs)?;
        match trouble(&fates) {
            None => Ok(fates.len() as u64),
            Some(error) if fates.len() == 1 => Err(error),
            Some(error) => {
                let stored = fates.iter().filter(|fate| **fate == Fate::Confirmed).count();
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
fn names_of(level: Level) -> Result<Names> {
    Names::of(&QueueName::new(level.queue().as_bytes())?)
}
