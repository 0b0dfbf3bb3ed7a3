//! One connection to one Redis server: requests as packed bytes out, parsed replies in.
//!
//! Packing and parsing are redis-rs's; the socket is ours, because its `Connection` hides three things that decide what an error
//! means: whether an idle connection was closed before we wrote, whether a request was out when it broke, and every timeout.
//! What to do about a broken connection is decided in `link`, what a server's refusal means in `refusal`.

mod login;
mod resp;
mod socket;

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ferry_core::config::{Address, RedisConfig};
use ferry_core::{Error, ErrorKind, Result};
use redis::{Parser, Value};

use self::resp::RespStream;
use self::socket::ByteStream;

/// An open, logged-in connection. Not shared: one request at a time.
pub struct RedisSocket {
    stream: RespStream,
    parser: Parser,
    io_timeout: Duration,
}

/// A connection that broke during a request. It must be dropped.
#[derive(Debug)]
pub struct Broken {
    /// Some of the request had left: the server may have acted on it.
    pub request_out: bool,
    /// The server did not answer in time; the connection itself may be intact.
    pub timed_out: bool,
    /// The failure, without secrets.
    pub cause: String,
}

impl RedisSocket {
    /// Connects, secures and logs in within the configured time.
    pub fn open(config: &RedisConfig) -> Result<Self> {
        let deadline = Instant::now() + config.connect_timeout;
        let unreached = |e: io::Error| {
            let advice = advice_on_connect(&e, config);
            Error::new(ErrorKind::Connection, format!("connect to Redis at {}", config.address))
                .with_source(e)
                .with_advice(advice)
        };
        let tls = config.tls.as_ref().map(|tls| ferry_support::tls::client(tls, &config.address)).transpose()?;
        let socket = ferry_support::net::connect(&config.address, deadline, config.io_timeout).map_err(unreached)?;
        let socket = ByteStream::new(socket);
        let stream = match tls {
            None => RespStream::Plain(socket),
            Some(tls) => RespStream::secured(socket, tls, deadline).map_err(unreached)?,
        };
        let mut socket = Self { stream, parser: Parser::new(), io_timeout: config.io_timeout };
        login::log_in(&mut socket, config, deadline)?;
        Ok(socket)
    }

    /// Whether the connection is open and silent. Does not wait: one cheap system call.
    pub fn is_idle(&mut self) -> bool {
        self.stream.is_idle()
    }

    /// Sends a request, which may be several commands, and reads as many replies.
    pub fn exchange(&mut self, request: &[u8], replies: usize) -> Result<Vec<Value>, Broken> {
        self.send(request)?;
        let deadline = Instant::now() + self.io_timeout;
        self.receive_all(replies, deadline, true)
    }

    /// The same with a deadline that is sharper than the socket's own timeout.
    fn exchange_before(&mut self, deadline: Instant, request: &[u8], replies: usize) -> Result<Vec<Value>, Broken> {
        self.send(request)?;
        self.receive_all(replies, deadline, false)
    }

    /// Sends a request without waiting for its reply.
    pub fn send(&mut self, request: &[u8]) -> Result<(), Broken> {
        self.stream.write_all(request, Instant::now() + self.io_timeout).map_err(|unsent| Broken {
            request_out: unsent.partly_out,
            timed_out: unsent.error.kind() == io::ErrorKind::TimedOut,
            cause: unsent.error.to_string(),
        })
    }

    /// Waits until a reply to what was sent begins to arrive, or the connection ends. False when `until` came first.
    pub fn wait_readable(&mut self, until: Instant) -> io::Result<bool> {
        self.stream.wait_readable(until)
    }

    /// Reads one reply.
    pub fn receive(&mut self) -> Result<Value, Broken> {
        let deadline = Instant::now() + self.io_timeout;
        let mut incoming = Incoming { stream: &mut self.stream, deadline, direct: true, failure: None };
        parse(&mut self.parser, &mut incoming)
    }

    fn receive_all(&mut self, replies: usize, deadline: Instant, direct: bool) -> Result<Vec<Value>, Broken> {
        let mut incoming = Incoming { stream: &mut self.stream, deadline, direct, failure: None };
        (0..replies).map(|_| parse(&mut self.parser, &mut incoming)).collect()
    }
}

fn parse(parser: &mut Parser, incoming: &mut Incoming<'_>) -> Result<Value, Broken> {
    parser.parse_value(&mut *incoming).map_err(|error| match incoming.failure.take() {
        Some(failure) => {
            Broken { request_out: true, timed_out: failure.kind() == io::ErrorKind::TimedOut, cause: failure.to_string() }
        }
        None => Broken { request_out: true, timed_out: false, cause: format!("the answer is not Redis protocol: {error}") },
    })
}

/// The receiving side of a stream, as the parser reads it. Keeps the failure that the parser would wrap.
struct Incoming<'a> {
    stream: &'a mut RespStream,
    deadline: Instant,
    direct: bool,
    failure: Option<io::Error>,
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let direct = std::mem::replace(&mut self.direct, false);
        let failure = match self.stream.read(buffer, self.deadline, direct) {
            Ok(0) => io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"),
            Ok(count) => return Ok(count),
            Err(error) => error,
        };
        let kind = failure.kind();
        self.failure = Some(failure);
        Err(kind.into())
    }
}

fn advice_on_connect(error: &io::Error, config: &RedisConfig) -> String {
    match (error.kind(), &config.address) {
        (io::ErrorKind::TimedOut, _) => {
            let tls = if config.tls.is_some() { ", whether this port speaks TLS" } else { "" };
            format!("nothing within {:?}: check host, port{tls} and firewall, or raise `timeout`", config.connect_timeout)
        }
        (io::ErrorKind::InvalidData, _) => {
            "the TLS certificate or protocol was not accepted: check `tls` (`ca_file`, `server_name`) and the port".to_owned()
        }
        (io::ErrorKind::PermissionDenied, Address::Unix(_)) => "this process may not open the socket file".to_owned(),
        (_, Address::Unix(_)) => "is Redis running, with `unixsocket` at this path?".to_owned(),
        _ if config.tls.is_some() => "is Redis running there, and does this port speak TLS?".to_owned(),
        _ => "is Redis running there? check `host` and `port`".to_owned(),
    }
}
