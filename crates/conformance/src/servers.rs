//! The configurations of our drivers for the servers that tests start.

use std::net::Ipv4Addr;
use std::time::Duration;

use ferry_core::config::{Address, AmqpConfig, Declare, QueueType, RedisConfig, Secret, SqlServerConfig};
use ferry_testkit::{AmqpNode, Link, RedisAddress, RedisServer};

/// How long a server may take in a test that is about something else. A busy machine is no fault; tests of timeouts set their own.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// This port of the loopback.
pub fn local(port: u16) -> Address {
    Address::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port }
}

/// Where a [`Link`] can be reached.
pub trait LinkExt {
    /// Where clients connect.
    fn address(&self) -> Address;
}

impl LinkExt for Link {
    fn address(&self) -> Address {
        local(self.port())
    }
}

/// Configurations for a Redis server.
pub trait RedisServerExt {
    /// That of a driver that talks to it.
    fn config(&self) -> RedisConfig;

    /// The same, by way of another address: a [`Link`].
    fn config_at(&self, address: Address) -> RedisConfig;
}

impl RedisServerExt for RedisServer {
    fn config(&self) -> RedisConfig {
        self.config_at(match RedisServer::address(self) {
            RedisAddress::Port(port) => local(*port),
            RedisAddress::Socket(path) => Address::Unix(path.clone()),
        })
    }

    fn config_at(&self, address: Address) -> RedisConfig {
        RedisConfig { password: self.password().map(Secret::new), ..redis_config(address) }
    }
}

/// The configuration of a Redis without a password.
pub fn redis_config(address: Address) -> RedisConfig {
    RedisConfig {
        address,
        tls: None,
        username: None,
        password: None,
        database: 0,
        connect_timeout: PATIENCE,
        io_timeout: PATIENCE,
    }
}

/// Configurations for a RabbitMQ node.
pub trait AmqpNodeExt {
    /// That of a driver that talks to it.
    fn config(&self, vhost: &str) -> AmqpConfig;

    /// The same, by way of another address: a [`Link`].
    fn config_at(&self, vhost: &str, address: Address) -> AmqpConfig;
}

impl AmqpNodeExt for AmqpNode {
    fn config(&self, vhost: &str) -> AmqpConfig {
        self.config_at(vhost, local(self.port()))
    }

    fn config_at(&self, vhost: &str, address: Address) -> AmqpConfig {
        amqp_config(vhost, address)
    }
}

/// The configuration of a RabbitMQ as it is installed.
pub fn amqp_config(vhost: &str, address: Address) -> AmqpConfig {
    AmqpConfig {
        addresses: vec![address],
        tls: None,
        username: "guest".into(),
        password: Secret::new("guest"),
        vhost: vhost.to_owned(),
        heartbeat: 60,
        connect_timeout: PATIENCE,
        io_timeout: PATIENCE,
        consumer_timeout: 1800,
        exchange: String::new(),
        exchange_type: "direct".into(),
        queue_type: QueueType::Quorum,
        arguments: Vec::new(),
        priority: None,
        declare: Declare::Yes,
    }
}

/// The configuration for the user of a [`ferry_testkit::MariaDb`].
pub fn mysql_config(address: Address, database: &str) -> SqlServerConfig {
    SqlServerConfig {
        address,
        tls: None,
        username: Some("ferry".into()),
        password: Some(Secret::new("secret")),
        database: database.to_owned(),
        table: "jobs".into(),
        failed_table: "failed_jobs".into(),
        connect_timeout: PATIENCE,
        io_timeout: PATIENCE,
        poll_interval: Duration::from_millis(250),
    }
}
