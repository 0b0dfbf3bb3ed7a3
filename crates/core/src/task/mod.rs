//! Tasks: the messages of `Ferry\Task` on RabbitMQ. What they look like and what becomes of them; no sockets, no clock, no PHP.
//!
//! | module | topic |
//! |---|---|
//! | `level` | high, normal, low: which priority goes where, whose turn it is |
//! | `body` | the bytes of a task, written and read |
//! | `text` | JSON strings as PHP writes them |
//! | `rule` | tries, pauses, expiry |
//! | `dead` | what lies in the dead-letter queue |
//! | `selection` | which of that an operator means |
//! | `topology` | the declarations, as data |
//! | `gzip` | large bodies made small, with a limit on the way back |
//!
//! The law is `fixtures/task-message.json`; `docs/decisions/0010-tasks.md` says where we leave it.

mod body;
mod dead;
mod gzip;
mod level;
mod rule;
mod selection;
mod text;
mod topology;

pub use body::{CONTENT_TYPE, DEFAULT_MAX_RETRIES, DEFAULT_TTL, Draft, Task, id};
pub use dead::{DeadLetter, dead_body};
pub use gzip::{pack, unpack};
pub use level::{DEFAULT_PRIORITY, LEVELS, TaskLevel, Turns, clamp};
pub use rule::{Arrival, ForeignArrival, LONGEST_PAUSE, Next, TaskLimits, arrival, expiration, foreign_arrival, next};
pub use selection::{LetterFacts, LetterSelection};
pub use text::{quoted, quoted_raw};
pub use topology::{
    Argument, Binding, DEAD_EXCHANGE, DEAD_KEY, DEAD_QUEUE, EXCHANGE, KEPT_QUEUE, TaskExchange, TaskQueue, TaskTopology,
    declarations, kept, policies, topology,
};
