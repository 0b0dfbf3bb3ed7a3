//! One connection to one Redis server: requests as packed bytes out, parsed replies in.
//!
//! Packing and parsing are redis-rs's, but for what is usual; the socket is ours, because its `Connection` hides three things that decide
//! what an error means: whether an idle connection was closed before we wrote, whether a request was out when it broke, and every timeout.
//! Whether a reply is polled for or slept for is decided in `busy_poll`, what to do about a broken connection in `link`, what a server's
//! refusal means in `refusal`.

mod bounds;
mod busy_poll;
mod login;
mod replies;
mod resp;
mod socket;
mod unread;

use std::io;
use std::time::{Duration, Instant};

use ferry_core::config::{Address, RedisConfig};
use ferry_core::{Error, ErrorKind, Result};
use ferry_support::threads;
use redis::Value;

use self::busy_poll::BusyPoll;
use self::replies::ReplyBuffer;
use self::resp::RespStream;
use self::socket::ByteStream;
use self::unread::ReplySlot;
pub use self::unread::{UnreadReply, UnreadState};
use crate::wait_limits::{self, WaitLimits};

/// An open, logged-in connection. Not shared: one request at a time.
pub struct RedisSocket {
    stream: RespStream,
    replies: ReplyBuffer,
    /// The reply to what was sent before the next request, which is read with that.
    unread: Option<ReplySlot>,
    io_timeout: Duration,
    busy_poll: BusyPoll,
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
    /// Connects, secures and logs in within `limit`, or `wait_limits` where they leave less. They hold for the socket's requests too.
    pub fn open(config: &RedisConfig, limit: Duration, wait_limits: &WaitLimits) -> Result<Self> {
        let deadline = wait_limits.shorten(Instant::now() + limit);
        let unreached = |e: io::Error| {
            let advice = advice_on_connect(&e, config);
            Error::new(ErrorKind::Connection, format!("connect to Redis at {}", config.address))
                .with_source(e)
                .with_advice(advice)
        };
        let tls = config.tls.as_ref().map(|tls| ferry_support::tls::client(tls, &config.address)).transpose()?;
        // Longer waits are made of slices.
        let slice = config.io_timeout.min(wait_limits::SLICE);
        let socket = ferry_support::net::connect(&config.address, deadline, slice).map_err(unreached)?;
        let socket = ByteStream::new(socket, wait_limits.clone());
        let stream = match tls {
            None => RespStream::Plain(socket),
            Some(tls) => RespStream::secured(socket, tls, deadline).map_err(unreached)?,
        };
        let busy_poll = BusyPoll::on_cores(if config.tls.is_some() { 1 } else { busy_poll::cores() });
        let replies = ReplyBuffer::default();
        let mut socket = Self { stream, replies, unread: None, io_timeout: config.io_timeout, busy_poll };
        login::log_in(&mut socket, config, deadline)?;
        Ok(socket)
    }

    /// Whether the connection is open and silent. Does not wait: one cheap system call.
    pub fn is_idle(&mut self) -> bool {
        // An unread reply that has arrived, or the end of the connection.
        if self.unread.is_some() && !self.stream.is_idle() && self.read_unread(self.io_timeout, false).is_err() {
            return false;
        }
        self.stream.is_idle()
    }

    /// Sends a command whose reply is a number, and is read with the reply to the next request. With `held` the command may leave together
    /// with that, within a fifth of a second; it leaves also when the process dies. `None`: nothing was sent.
    pub fn send_unread(&mut self, command: &[u8], held: bool) -> Option<UnreadReply> {
        if self.unread.is_some() || !self.stream.is_idle() || !self.stream.send_now(command, held) {
            return None;
        }
        let (reply, slot) = unread::unread_reply();
        self.unread = Some(slot);
        Some(reply)
    }

    /// Reads the reply to what [`RedisSocket::send_unread`] sent.
    pub fn flush_unread(&mut self, limit: Duration) -> Result<(), Broken> {
        self.stream.release_held();
        self.read_unread(limit, false)
    }

    fn read_unread(&mut self, limit: Duration, direct: bool) -> Result<(), Broken> {
        if let Some(unread) = self.unread.take() {
            unread.note(&self.receive_before(Instant::now() + limit, direct)?);
        }
        Ok(())
    }

    /// Sends a request, which may be several commands, and reads as many replies. Each reply may take `limit`.
    pub fn exchange(&mut self, request: &[u8], replies: usize, limit: Duration) -> Result<Vec<Value>, Broken> {
        self.send(request)?;
        let is_short = request.len() <= SHORT;
        (0..replies).map(|index| if index == 0 && is_short { self.receive_soon(limit) } else { self.receive(limit) }).collect()
    }

    /// Reads the reply to what was sent just now, within `limit`; it is polled for where that pays. Not on threads of ours, for which nobody
    /// waits: they would take the core from the server.
    fn receive_soon(&mut self, limit: Duration) -> Result<Value, Broken> {
        let Some(polls) = (!threads::is_ours()).then(|| self.busy_poll.next()).flatten() else { return self.receive(limit) };
        let begun = Instant::now();
        if polls {
            self.poll_until(begun + busy_poll::LONGEST)?;
        }
        let value = self.receive(limit)?;
        self.busy_poll.note(polls, begun.elapsed());
        Ok(value)
    }

    /// Asks for bytes again and again, without sleeping, until some are there.
    fn poll_until(&mut self, end: Instant) -> Result<(), Broken> {
        while Instant::now() < end {
            if let Some(read) = self.stream.read_now(self.replies.room()) {
                return self.received(read).map(drop);
            }
        }
        Ok(())
    }

    /// The same with one deadline for all replies.
    fn exchange_before(&mut self, deadline: Instant, request: &[u8], replies: usize) -> Result<Vec<Value>, Broken> {
        self.send(request)?;
        (0..replies).map(|_| self.receive_before(deadline, false)).collect()
    }

    /// Sends a request without waiting for its reply.
    pub fn send(&mut self, request: &[u8]) -> Result<(), Broken> {
        self.stream.write_all(request, Instant::now() + self.io_timeout).map_err(|unsent| Broken {
            request_out: unsent.partly_out,
            timed_out: unsent.error.kind() == io::ErrorKind::TimedOut,
            cause: unsent.error.to_string(),
        })
    }

    /// Waits until a reply to what was sent begins to arrive on one of `sockets`, or one ends, and answers which. `None` when `until` came
    /// first.
    pub fn wait_any_readable(sockets: &mut [&mut Self], until: Instant) -> io::Result<Option<usize>> {
        let mut streams: Vec<&mut RespStream> = sockets.iter_mut().map(|socket| &mut socket.stream).collect();
        RespStream::wait_any_readable(&mut streams, until)
    }

    /// Reads one reply within `limit`.
    pub fn receive(&mut self, limit: Duration) -> Result<Value, Broken> {
        let direct = limit >= self.io_timeout;
        self.read_unread(limit, direct)?;
        match self.next_reply()? {
            Some(reply) => Ok(reply),
            None => self.receive_before(Instant::now() + limit, direct),
        }
    }

    /// `direct` as in [`ByteStream::directly_until`].
    fn receive_before(&mut self, deadline: Instant, mut direct: bool) -> Result<Value, Broken> {
        let mut late = 0;
        loop {
            if let Some(reply) = self.next_reply()? {
                return Ok(reply);
            }
            let count = self.read(deadline, std::mem::take(&mut direct))?;
            if Instant::now() > deadline {
                late += count;
            }
            if late > LATE {
                return Err(Broken::during_reply(&timed_out()));
            }
        }
    }

    fn next_reply(&mut self) -> Result<Option<Value>, Broken> {
        self.replies.next().map_err(|reason| {
            let cause = format!("the answer is not Redis protocol: {reason}");
            Broken { request_out: true, timed_out: false, cause }
        })
    }

    fn read(&mut self, deadline: Instant, direct: bool) -> Result<usize, Broken> {
        let read = self.stream.read(self.replies.room(), deadline, direct);
        self.received(read)
    }

    /// Takes what was read into the buffer.
    fn received(&mut self, read: io::Result<usize>) -> Result<usize, Broken> {
        let count = read.map_err(|error| Broken::during_reply(&error))?;
        if count == 0 {
            let closed = io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection");
            return Err(Broken::during_reply(&closed));
        }
        self.replies.received(count);
        Ok(count)
    }
}

impl Broken {
    fn during_reply(error: &io::Error) -> Self {
        Self { request_out: true, timed_out: error.kind() == io::ErrorKind::TimedOut, cause: error.to_string() }
    }
}

/// A longer request holds many jobs, which take the server longer than a reply is polled for.
const SHORT: usize = 32 << 10;
/// So many bytes of a reply may be read after its deadline: those that came in while this process was stopped.
const LATE: usize = 8 << 20;

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the answer did not end within the time allowed")
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    /// A socket to a server that answers with what `answer` writes.
    fn socket_to(answer: impl FnOnce(TcpStream) + Send + 'static) -> RedisSocket {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || answer(listener.accept().unwrap().0));
        let address = Address::Tcp { host: "127.0.0.1".into(), port };
        let socket = ferry_support::net::connect(&address, Instant::now() + Duration::from_secs(5), LIMIT).unwrap();
        let stream = RespStream::Plain(ByteStream::new(socket, WaitLimits::default()));
        RedisSocket { stream, replies: ReplyBuffer::default(), unread: None, io_timeout: LIMIT, busy_poll: BusyPoll::on_cores(2) }
    }

    fn repeat(mut stream: TcpStream, bytes: &[u8], pause: Duration) {
        while stream.write_all(bytes).is_ok() {
            thread::sleep(pause);
        }
    }

    #[test]
    fn a_server_that_never_ends_a_line_is_refused_and_not_read_for_ever() {
        let mut socket = socket_to(|stream| repeat(stream, &[b'+'; 4096], Duration::ZERO));
        let broken = socket.exchange(b"PING", 1, LIMIT).unwrap_err();
        assert!(broken.cause.contains("a line is longer than 16 KiB"), "{}", broken.cause);
    }

    #[test]
    fn a_server_that_drips_has_one_deadline_for_an_answer() {
        let mut socket = socket_to(|stream| repeat(stream, b"+", LIMIT / 30));
        let begun = Instant::now();
        let broken = socket.exchange(b"PING", 1, LIMIT).unwrap_err();
        assert!(broken.timed_out, "{}", broken.cause);
        assert!(begun.elapsed() >= LIMIT);
    }

    #[test]
    fn an_endless_list_ends_with_its_deadline() {
        let mut socket = socket_to(|mut stream| {
            stream.write_all(b"*9999999\r\n").unwrap();
            repeat(stream, b":1\r\n", LIMIT / 30);
        });
        assert!(socket.exchange(b"PING", 1, LIMIT).unwrap_err().timed_out);
    }

    #[test]
    fn replies_that_are_polled_for_and_those_that_are_slept_for_are_the_same_and_so_is_the_end() {
        const REQUESTS: usize = 20;
        let mut socket = socket_to(|mut stream| {
            for number in 0..REQUESTS {
                stream.read_exact(&mut [0; 4]).unwrap();
                // Some come while they are polled for, others later, or in two pieces.
                thread::sleep(Duration::from_micros(number as u64 % 3 * 300));
                stream.write_all(b"$2\r\n").unwrap();
                stream.write_all(format!("{number:02}\r\n").as_bytes()).unwrap();
            }
            stream.read_exact(&mut [0; 4]).unwrap();
        });
        for number in 0..REQUESTS {
            let expected = Value::BulkString(format!("{number:02}").into_bytes());
            assert_eq!(socket.exchange(b"PING", 1, LIMIT).unwrap(), [expected]);
        }
        let broken = socket.exchange(b"PING", 1, LIMIT).unwrap_err();
        assert!(broken.request_out && !broken.timed_out, "{}", broken.cause);
    }

    #[test]
    fn each_of_several_answers_has_a_deadline_of_its_own() {
        let mut socket = socket_to(|mut stream| {
            for _ in 0..3 {
                thread::sleep(LIMIT * 2 / 3);
                stream.write_all(b"+OK\r\n").unwrap();
            }
            thread::sleep(LIMIT);
        });
        assert_eq!(socket.exchange(b"PING", 3, LIMIT).unwrap().len(), 3);
    }
}
