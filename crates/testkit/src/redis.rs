//! A Redis server of our own: a free port, an empty folder, killed by its pid.

use std::fmt;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Client, Connection, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};

use crate::ports::free_port;
use crate::{TempDir, skip};

const PORTS_TO_TRY: u32 = 20;
const READY_WITHIN: Duration = Duration::from_secs(60);
const FREE_WITHIN: Duration = Duration::from_secs(20);

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// The password it asks for.
    pub password: Option<String>,
    /// Listen on a unix socket instead of a port.
    pub unix_socket: bool,
    /// Keep an append-only file, so that jobs survive [`RedisServer::restart`].
    pub append_only: bool,
    /// More arguments of `redis-server`; `{dir}` in them is its folder.
    pub arguments: Vec<String>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAddress {
    /// On this port of the loopback.
    Port(u16),
    /// On this socket.
    Socket(PathBuf),
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "{}:{port}", Ipv4Addr::LOCALHOST),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A running server. Dropping it kills the process and removes its files.
#[derive(Debug)]
pub struct RedisServer {
    options: RedisOptions,
    address: RedisAddress,
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
                RedisAddress::Socket(folder.path().join("redis.sock"))
            } else {
                RedisAddress::Port(free_port())
            };
            // When it ended by itself, somebody took the port between our look and its start: take another.
            if let Some(process) = launch(&options, &address, folder.path()) {
                return Some(Self { options, address, process, folder });
            }
        }
        panic!("redis-server ended {PORTS_TO_TRY} times before it was ready; start it by hand to see why");
    }

    /// Where it listens.
    pub fn address(&self) -> &RedisAddress {
        &self.address
    }

    /// The port, where it has one.
    pub fn port(&self) -> Option<u16> {
        match self.address {
            RedisAddress::Port(port) => Some(port),
            RedisAddress::Socket(_) => None,
        }
    }

    /// The password it asks for.
    pub fn password(&self) -> Option<&str> {
        self.options.password.as_deref()
    }

    /// Its working directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A connection for raw commands, apart from any driver.
    pub fn connect(&self) -> Connection {
        connect(&self.address, self.password()).expect("a server that was ready accepts connections")
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
        let deadline = Instant::now() + FREE_WITHIN;
        loop {
            if let Some(process) = launch(&self.options, &self.address, self.folder.path()) {
                self.process = process;
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

fn is_installed() -> bool {
    let answer = Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match answer {
        Ok(status) => status.success(),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => panic!("run redis-server --version: {error}"),
    }
}

/// Starts a server and waits until it has read its files and listens. `None` when it ended instead.
fn launch(options: &RedisOptions, address: &RedisAddress, folder: &Path) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.arg("--dir").arg(folder).args(["--save", "", "--daemonize", "no", "--loglevel", "notice"]);
    match address {
        RedisAddress::Port(port) => command.args(["--bind", &Ipv4Addr::LOCALHOST.to_string(), "--port", &port.to_string()]),
        RedisAddress::Socket(path) => command.args(["--port", "0", "--unixsocket"]).arg(path),
    };
    if let Some(password) = &options.password {
        command.args(["--requirepass", password]);
    }
    command.args(["--appendonly", if options.append_only { "yes" } else { "no" }]);
    let folder = folder.to_str().expect("the folder for temporary things has a name of text");
    command.args(options.arguments.iter().map(|argument| argument.replace("{dir}", folder)));
    let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut process = process.unwrap_or_else(|error| panic!("start redis-server: {error}"));
    let log = BufReader::new(process.stdout.take().expect("it was asked for"));
    let (say, ready) = mpsc::channel();
    // Reads to the end: a server whose log nobody reads would stop at a full pipe.
    thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            if line.contains("eady to accept connections") {
                // Nobody waits any more for what it says of a second port.
                let _ = say.send(());
            }
        }
    });
    match ready.recv_timeout(READY_WITHIN) {
        Ok(()) => Some(process),
        Err(RecvTimeoutError::Disconnected) => {
            let _ = process.wait();
            None
        }
        Err(RecvTimeoutError::Timeout) => {
            let _ = process.kill();
            panic!("redis-server on {address} was not ready within {READY_WITHIN:?}");
        }
    }
}

fn connect(address: &RedisAddress, password: Option<&str>) -> redis::RedisResult<Connection> {
    let address = match address {
        RedisAddress::Port(port) => ConnectionAddr::Tcp(Ipv4Addr::LOCALHOST.to_string(), *port),
        RedisAddress::Socket(path) => ConnectionAddr::Unix(path.clone()),
    };
    let mut settings = RedisConnectionInfo::default();
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    Client::open(address.into_connection_info()?.set_redis_settings(settings))?.get_connection()
}
