//! The client: from a configuration to a broker, and what a push does before the driver sees it.
//!
//! | room | topic |
//! |---|---|
//! | `drivers` | which driver serves a configuration |
//! | `process` | the connections of this process, and what a fork makes of them |
//! | `handle` | what a PHP object holds |
//! | `connection` | the blocking calls: push, reserve, size, operators' words |
//! | `failed` | walking through the failed jobs of a queue |
//! | `tracking` | pushing jobs whose status is kept |
//! | `ids` | random ids for jobs |
//! | `tasks` | the tasks of a RabbitMQ connection |
//! | `raw` | the id inside a payload that somebody else built |
//!
//! Not done here: payload bytes and decisions (`ferry-core`), sockets (the drivers), the loop (`ferry-worker`), PHP (the border).

mod connection;
mod drivers;
mod failed;
mod handle;
mod ids;
pub mod process;
mod raw;
#[cfg(feature = "amqp")]
pub mod tasks;
#[cfg(test)]
mod testing;
mod tracking;

pub use connection::{BuiltPayload, Connection, JobSpec, Pushed};
pub use drivers::drivers;
pub use handle::Handle;
pub use tracking::Tracked;
