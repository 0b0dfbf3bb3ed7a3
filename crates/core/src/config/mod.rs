//! Configuration: parsed and validated once, then held in structs that cannot be wrong.
//!
//! `parse` turns think-queue's `config/queue.php` array, a DSN or an ini string into a [`Config`]. This file holds what comes
//! out; drivers and worker read these structs and nothing else.

mod coerce;
mod connection;
mod docs;
mod dsn;
mod flat;
mod host;
mod keys;
mod lookalike;
mod parse;
mod secret;
mod settings;
mod value;
mod words;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

pub use docs::{Language, markdown};
pub use dsn::masked;
pub use keys::{ConfigKey, Fallback, Group, Holds, KEYS, Kind};
pub use parse::{DEFAULT_CONNECTION, config_from_dsn, connection_from_dsn, not_configured, parse};
pub use secret::Secret;
pub use value::Value;
pub use words::nearest;

use crate::dialect::Family;
use crate::error::{Error, ErrorKind, Result};
use crate::queue::QueueName;

/// Everything an application configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// The connection used when none is named.
    pub default: String,
    /// All connections, in the order given.
    pub connections: Vec<ConnectionConfig>,
    /// Connections with something wrong, which is an error only when they are used.
    pub unusable: Vec<Unusable>,
    /// What was given and is not read, a sentence each: keys of nobody we know. Worth a look, never an error.
    pub ignored: Vec<String>,
}

/// A connection that cannot be used as it is configured.
///
/// A configuration belongs to a whole application: connectors that are not ours, and think-queue's shipped `database` connection
/// without a database, must not keep other connections from working.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unusable {
    /// Its name in the configuration.
    pub name: String,
    /// What is wrong, and what to do.
    pub why: String,
}

impl Config {
    /// The connection called `name`.
    pub fn connection(&self, name: &str) -> Option<&ConnectionConfig> {
        self.connections.iter().find(|connection| connection.name == name)
    }

    /// The connection called `name`, or an error that says why there is none.
    pub fn find(&self, name: &str) -> Result<&ConnectionConfig> {
        if let Some(connection) = self.connection(name) {
            return Ok(connection);
        }
        Err(match self.unusable.iter().find(|unusable| unusable.name == name) {
            Some(unusable) => Error::new(ErrorKind::Config, unusable.why.clone()),
            None => self.unknown(name),
        })
    }

    fn unknown(&self, name: &str) -> Error {
        words::error(format!("the connection `{}` is not configured", words::shown(name)))
            .with_advice(format!("configured are {}", words::listed(self.names())))
    }

    /// What a doctor mentions: what is not read, and why connections cannot be used. A sentence each.
    pub fn notices(&self) -> impl Iterator<Item = &str> {
        let unusable = self.unusable.iter().map(|unusable| unusable.why.as_str());
        self.ignored.iter().map(String::as_str).chain(unusable)
    }

    /// The names of all connections, those that cannot be used too.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let usable = self.connections.iter().map(|connection| connection.name.as_str());
        usable.chain(self.unusable.iter().map(|unusable| unusable.name.as_str()))
    }

    /// The connections whose failed jobs may lie beside those of `connection` without being its own: all others, where failed jobs
    /// lie in a table that an application has once. Elsewhere they lie beside the jobs of one broker.
    pub fn others_in_failed_table(&self, connection: &ConnectionConfig) -> HashSet<String> {
        match connection.driver {
            DriverConfig::Sqlite(_) | DriverConfig::Mysql(_) | DriverConfig::Postgres(_) => {
                self.names().filter(|name| *name != connection.name).map(str::to_owned).collect()
            }
            DriverConfig::Sync | DriverConfig::Memory | DriverConfig::Redis(_) | DriverConfig::Amqp(_) => HashSet::new(),
        }
    }
}

/// One named connection.
///
/// Equal configurations share their sockets, across the requests of a PHP-FPM process too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectionConfig {
    /// Its name in the configuration.
    pub name: String,
    /// The queue used when none is named. Defaults to `default`.
    pub queue: QueueName,
    /// Seconds a reservation lasts before the job becomes available again.
    ///
    /// `None` keeps it for ever. Defaults to 60, as think-queue does.
    pub retry_after: Option<u32>,
    /// The largest payload in bytes that is accepted. Defaults to 16 MiB.
    pub max_payload: usize,
    /// The most jobs a worker holds at once. 1 to 10,000, defaults to 64.
    pub prefetch: usize,
    /// How a worker settles a deleted job. Defaults to pipelined.
    pub settle: SettleMode,
    /// The connection that keeps flags and reports of workers. `None`: this one.
    pub control: Option<String>,
    /// How many pushed jobs may wait in this process before they are sent together. Defaults to 0: each is sent at once.
    pub push_buffer: usize,
    /// Whether the status of its jobs is kept. Defaults to not.
    pub track: bool,
    /// Seconds that a status is kept after its last word. Defaults to a day.
    pub status_ttl: u32,
    /// Which think-queue the other side speaks. Defaults to `think3`.
    pub family: Family,
    /// Whether the configuration says so, with `family` or by being a flat array of v1. A default is a guess, which the Redis
    /// driver compares with what it finds.
    pub family_given: bool,
    /// Whether failed jobs are kept. Defaults to keeping them where the jobs are.
    pub failed: FailedStore,
    /// The broker.
    pub driver: DriverConfig,
}

/// How a worker settles a deleted job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SettleMode {
    /// By the settle thread, within 1 ms or together with 64 others.
    #[default]
    Pipelined,
    /// Before `delete()` returns.
    Immediate,
}

/// Where failed jobs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FailedStore {
    /// Where the jobs are.
    #[default]
    Keep,
    /// Nowhere: buried jobs are deleted. Must be asked for with `failed => ['type' => 'discard']`.
    Discard,
}

/// The broker of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DriverConfig {
    /// Jobs run inside push.
    Sync,
    /// Jobs live in this process.
    Memory,
    /// Redis.
    Redis(RedisConfig),
    /// SQLite, in a file.
    Sqlite(SqliteConfig),
    /// MySQL or MariaDB.
    Mysql(SqlServerConfig),
    /// PostgreSQL.
    Postgres(SqlServerConfig),
    /// RabbitMQ.
    Amqp(AmqpConfig),
}

impl DriverConfig {
    /// The name in configuration (`type`).
    pub fn name(&self) -> &'static str {
        match self {
            DriverConfig::Sync => "sync",
            DriverConfig::Memory => "memory",
            DriverConfig::Redis(_) => "redis",
            DriverConfig::Sqlite(_) => "sqlite",
            DriverConfig::Mysql(_) => "mysql",
            DriverConfig::Postgres(_) => "postgres",
            DriverConfig::Amqp(_) => "amqp",
        }
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// Host and port.
    Tcp {
        /// Name or IP address; IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// TLS to a server. The certificate is always checked unless `verify` is off.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsConfig {
    /// Check chain and host name. Defaults to true.
    pub verify: bool,
    /// PEM file with the authorities to trust. Defaults to the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with our certificate, when the server wants one.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the key of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// The name the certificate must hold. Defaults to the host.
    pub server_name: Option<String>,
}

/// A Redis server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RedisConfig {
    /// Where it listens. Defaults to 127.0.0.1:6379.
    pub address: Address,
    /// TLS, when wanted.
    pub tls: Option<TlsConfig>,
    /// ACL user (Redis 6). Defaults to none.
    pub username: Option<String>,
    /// Password. Defaults to none.
    pub password: Option<Secret>,
    /// Database number. Defaults to 0.
    pub database: u32,
    /// How long connecting may take, TLS and login included. Defaults to 5 s. Never zero.
    pub connect_timeout: Duration,
    /// How long an answer may take. Defaults to 10 s. Never zero.
    pub io_timeout: Duration,
}

/// A SQLite file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SqliteConfig {
    /// The file; created when missing, its folder is not.
    pub path: PathBuf,
    /// The table of jobs. Defaults to `jobs`. Letters, digits and underscores only.
    pub table: String,
    /// The table of failed jobs. Defaults to `failed_jobs`. Letters, digits and underscores only.
    pub failed_table: String,
    /// How long a write may wait for other writers. Defaults to 10 s. Never zero.
    pub busy_timeout: Duration,
}

/// A database server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SqlServerConfig {
    /// Where it listens.
    pub address: Address,
    /// TLS, when wanted.
    pub tls: Option<TlsConfig>,
    /// User.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Database.
    pub database: String,
    /// The table of jobs. Defaults to `jobs`.
    pub table: String,
    /// The table of failed jobs. Defaults to `failed_jobs`.
    pub failed_table: String,
    /// How long connecting may take. Defaults to 5 s.
    pub connect_timeout: Duration,
    /// How long an answer may take. Defaults to 10 s. Never zero.
    pub io_timeout: Duration,
    /// The longest pause between two looks of an idle worker. Defaults to 250 ms. Never zero.
    pub poll_interval: Duration,
}

/// A RabbitMQ server or several.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AmqpConfig {
    /// Where it listens; tried in order.
    pub addresses: Vec<Address>,
    /// TLS, when wanted.
    pub tls: Option<TlsConfig>,
    /// User. Defaults to `guest`.
    pub username: String,
    /// Password. Defaults to `guest`.
    pub password: Secret,
    /// Virtual host. Defaults to `/`.
    pub vhost: String,
    /// Seconds between heartbeats. Defaults to 60; 0 turns them off.
    pub heartbeat: u16,
    /// How long connecting may take. Defaults to 5 s.
    pub connect_timeout: Duration,
    /// How long an answer may take. Defaults to 10 s.
    pub io_timeout: Duration,
    /// Seconds after which the broker takes a running job away. Defaults to 1800; 0 is never.
    pub consumer_timeout: u32,
    /// Exchange to publish to. Defaults to the default exchange.
    pub exchange: String,
    /// Its type. Defaults to `direct`.
    pub exchange_type: String,
    /// Type of the queues we declare. Defaults to quorum.
    pub queue_type: QueueType,
    /// Arguments of the queues we declare.
    pub arguments: Vec<(String, Value)>,
    /// Priority of what is pushed. Defaults to none, which counts as 0.
    pub priority: Option<u8>,
    /// Whether we declare queues.
    pub declare: Declare,
}

/// Type of an AMQP queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum QueueType {
    /// Replicated.
    #[default]
    Quorum,
    /// One node; knows priorities.
    Classic,
}

/// Whether we declare queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Declare {
    /// Create what is missing.
    #[default]
    Yes,
    /// Check that it is there.
    Passive,
    /// Leave it alone.
    No,
}
