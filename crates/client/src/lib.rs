//! The client: from a configuration to a broker, and the part of a push before the driver.
//!
//! | module | topic |
//! |---|---|
//! | `drivers` | the driver of a configuration |
//! | `process` | the connections of this process, and what a fork makes of them |
//! | `handle` | what a PHP object holds |
//! | `connection` | the blocking calls: push, reserve, size, operations for operators |
//! | `buffer`, `request_end`, `spool` | jobs that wait in the process, and what becomes of them |
//! | `tracking`, `status_outage` | pushing jobs whose status is kept |
//! | `ids` | random ids for jobs |
//! | `tasks` | the tasks of a RabbitMQ connection |
//!
//! Not done here: payload bytes and decisions (`ferry-core`), sockets (the drivers), the loop (`ferry-worker`), PHP (the extension).

mod buffer;
mod connection;
mod drivers;
mod handle;
mod ids;
pub mod process;
mod request_end;
mod spool;
mod status_outage;
#[cfg(feature = "amqp")]
pub mod tasks;
#[cfg(test)]
mod testing;
mod tracking;

pub use buffer::UnbufferedGuard;
pub use connection::{BuiltPayload, Connection, JobSpec};
pub use drivers::drivers;
pub use handle::Handle;
pub use ids::random;
pub use tracking::Tracked;
