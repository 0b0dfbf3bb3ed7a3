//! The families of think-queue on the wire. A dialect owns key names, envelope and attempts accounting; a driver owns atomic primitives.

use crate::queue::QueueName;

/// Which think-queue the other side speaks (`../docs/wire-format.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Family {
    /// v3.0.5 and later: keys `{queues:NAME}`, attempts counted from 0 and raised when a job is reserved.
    #[default]
    Think3,
}

/// The Redis keys of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisKeys {
    /// List of ready jobs.
    pub ready: String,
    /// Sorted set of delayed jobs, by due second.
    pub delayed: String,
    /// Sorted set of reserved jobs, by the second their lease ends.
    pub reserved: String,
    /// List of failed jobs. Ours: think-queue never reads it.
    pub failed: String,
}

impl Family {
    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Family::Think3 => "think3",
        }
    }

    /// The keys of a queue. The braces are literal: they make one hash slot of them on a cluster.
    pub fn redis_keys(self, queue: &QueueName) -> RedisKeys {
        match self {
            Family::Think3 => {
                let ready = format!("{{queues:{queue}}}");
                RedisKeys {
                    delayed: format!("{ready}:delayed"),
                    reserved: format!("{ready}:reserved"),
                    failed: format!("{ready}:ferry:failed"),
                    ready,
                }
            }
        }
    }

    /// What `attempts` is in a payload that was never reserved.
    pub fn fresh_attempts(self) -> u32 {
        match self {
            Family::Think3 => 0,
        }
    }
}
