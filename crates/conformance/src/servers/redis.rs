//! A Redis server of our own: a free port, an empty folder, killed by its pid.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ferry_core::config::{Address, RedisConfig, Secret};
use redis::{Client, Connection, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};

use super::{TempDir, skip};

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// The password it asks for.
    pub password: Option<String>,
    /// Listen on a unix socket instead of a port.
    pub unix_socket: bool,
    /// Keep an append-only file, so that jobs survive [`RedisServer::restart`].
    pub append_only: bool,
}

/// A running server. Dropping it kills the process and removes its files.
#[derive(Debug)]
pub struct RedisServer {
    options: RedisOptions,
    address: Address,
    process: Child,
    folder: TempDir,
}

impl RedisServer {
    /// Starts one on a free port. `None`, with a loud line, when there is no `redis-server` here.
    pub fn start() -> Option<Self> {
        Self::with(RedisOptions::default())
    }

    /// Starts one as told.
    pub fn with(options: RedisOptions) -> Option<Self> {
        if !is_installed() {
            skip("redis-server is not installed (Debian: apt-get install redis-server)");
            return None;
        }
        let folder = TempDir::new();
        for _ in 0..PORTS_TO_TRY {
            let address = if options.unix_socket {
                Address::Unix(folder.path().join("redis.sock"))
            } else {
                Address::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port: free_port() }
            };
            let mut process = launch(&options, &address, &folder);
            if is_ready(&mut process, &address, &options) {
                return Some(Self { options, address, process, folder });
            }
            // It ended by itself: somebody took the port between our look and its start. Take another.
        }
        panic!("redis-server ended {PORTS_TO_TRY} times before it answered; start it by hand to see why");
    }

    /// The configuration of a driver that talks to it.
    pub fn config(&self) -> RedisConfig {
        self.config_at(self.address.clone())
    }

    /// The same, by way of another address: a [`super::Link`].
    pub fn config_at(&self, address: Address) -> RedisConfig {
        RedisConfig {
            address,
            tls: None,
            username: None,
            password: self.options.password.clone().map(Secret::new),
            database: 0,
            connect_timeout: Duration::from_secs(5),
            io_timeout: Duration::from_secs(10),
        }
    }

    /// The port, where it has one.
    pub fn port(&self) -> Option<u16> {
        match self.address {
            Address::Tcp { port, .. } => Some(port),
            Address::Unix(_) => None,
        }
    }

    /// A connection for raw commands, apart from any driver.
    pub fn connect(&self) -> Connection {
        connect(&self.address, &self.options).expect("a server that was ready accepts connections")
    }

    /// Closes every connection but the one that says so; those of drivers among them.
    pub fn kill_connections(&self) {
        let mut command = redis::cmd("CLIENT");
        command.arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes");
        let _: u64 = command.query(&mut self.connect()).expect("CLIENT KILL is allowed on our own server");
    }

    /// Kills the process and starts it again at the same address. Without `append_only` the jobs are gone.
    pub fn restart(&mut self) {
        self.stop();
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.process = launch(&self.options, &self.address, &self.folder);
            if is_ready(&mut self.process, &self.address, &self.options) {
                return;
            }
            assert!(Instant::now() < deadline, "{} is taken by somebody else now", self.address);
        }
    }

    /// Kills the process; connections break and new ones are refused until [`RedisServer::restart`].
    pub fn stop(&mut self) {
        // It may be dead already; waiting then returns at once.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

const PORTS_TO_TRY: u32 = 20;
const READY_WITHIN: Duration = Duration::from_secs(20);

fn is_installed() -> bool {
    let answer = Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match answer {
        Ok(status) => status.success(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => panic!("run redis-server --version: {error}"),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn launch(options: &RedisOptions, address: &Address, folder: &TempDir) -> Child {
    let mut command = Command::new("redis-server");
    command.arg("--dir").arg(folder.path()).args(["--save", "", "--daemonize", "no"]);
    match address {
        Address::Tcp { host, port } => command.args(["--bind", host, "--port", &port.to_string()]),
        Address::Unix(path) => command.args(["--port", "0", "--unixsocket"]).arg(path),
    };
    if let Some(password) = &options.password {
        command.args(["--requirepass", password]);
    }
    if options.append_only {
        command.args(["--appendonly", "yes"]);
    }
    let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    process.unwrap_or_else(|error| panic!("start redis-server: {error}"))
}

/// Waits until the server answers. `false` when the process ended instead.
fn is_ready(process: &mut Child, address: &Address, options: &RedisOptions) -> bool {
    let deadline = Instant::now() + READY_WITHIN;
    while process.try_wait().expect("our own child can be waited for").is_none() {
        if answers_as(process.id(), address, options) {
            return true;
        }
        assert!(Instant::now() < deadline, "redis-server on {address} did not answer within {READY_WITHIN:?}");
        // There is no event to wait for: the socket does not exist yet.
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Whether the server at `address` is our process, not a stranger on the same port, and has read its files.
fn answers_as(pid: u32, address: &Address, options: &RedisOptions) -> bool {
    let Ok(mut connection) = connect(address, options) else { return false };
    let info: redis::RedisResult<String> = redis::cmd("INFO").query(&mut connection);
    let Ok(info) = info else { return false };
    [format!("process_id:{pid}"), "loading:0".to_owned()].iter().all(|fact| info.lines().any(|line| line.trim() == fact))
}

fn connect(address: &Address, options: &RedisOptions) -> redis::RedisResult<Connection> {
    let place = match address {
        Address::Tcp { host, port } => ConnectionAddr::Tcp(host.clone(), *port),
        Address::Unix(path) => ConnectionAddr::Unix(PathBuf::from(path)),
    };
    let mut settings = RedisConnectionInfo::default();
    if let Some(password) = &options.password {
        settings = settings.set_password(password);
    }
    Client::open(place.into_connection_info()?.set_redis_settings(settings))?.get_connection()
}
