//! From an address to a connected socket, within a deadline.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::config::Address;
use ferry_core::signals;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt};

use super::socket::ByteStream;

/// Connects to `address` before `deadline`; each later read or write on the socket may block for `io_timeout`.
pub fn open(address: &Address, deadline: Instant, io_timeout: Duration) -> Result<ByteStream> {
    let fd: OwnedFd = match address {
        Address::Tcp { host, port } => tcp(host, *port, deadline, io_timeout)?.into(),
        Address::Unix(path) => unix(path, deadline, io_timeout)?.into(),
    };
    Ok(ByteStream::new(fd))
}

/// Tries every address of the host; each gets an equal share of the time that is left.
fn tcp(host: &str, port: u16, deadline: Instant, io_timeout: Duration) -> Result<TcpStream> {
    let addresses = resolve(host, port, deadline)?;
    let mut failure = Error::new(ErrorKind::NotFound, "the host name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(address, time_left(deadline)? / untried) {
            Ok(stream) => return tuned(stream, io_timeout),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn tuned(stream: TcpStream, io_timeout: Duration) -> Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(io_timeout))?;
    stream.set_write_timeout(Some(io_timeout))?;
    // A kernel that refuses one of these still has a working socket: they only find dead peers sooner.
    let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(&stream, sockopt::TcpKeepIdle, &60);
    let _ = setsockopt(&stream, sockopt::TcpKeepInterval, &15);
    let _ = setsockopt(&stream, sockopt::TcpKeepCount, &4);
    Ok(stream)
}

/// Name resolution has no timeout of its own, so it runs on a thread that we may leave behind.
fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let (answer, asked) = mpsc::sync_channel(1);
    let host = host.to_owned();
    let ask = move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // Nobody listens any more when it took too long.
        let _ = answer.send(found);
    };
    signals::blocked(|| thread::Builder::new().name("ferry-resolve".into()).spawn(ask))?;
    asked
        .recv_timeout(time_left(deadline)?)
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::TimedOut, "the host name could not be resolved in time")))
}

/// The standard library cannot bound a connect to a unix socket whose backlog is full; `SO_SNDTIMEO`, set before, can.
fn unix(path: &Path, deadline: Instant, io_timeout: Duration) -> Result<UnixStream> {
    let stream = UnixStream::from(socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?);
    let address = UnixAddr::new(path)?;
    loop {
        stream.set_write_timeout(Some(time_left(deadline)?))?;
        match connect(stream.as_raw_fd(), &address) {
            Ok(()) => break,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Err(ErrorKind::TimedOut.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
    stream.set_read_timeout(Some(io_timeout))?;
    stream.set_write_timeout(Some(io_timeout))?;
    Ok(stream)
}

fn time_left(deadline: Instant) -> Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}
