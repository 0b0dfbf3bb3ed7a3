//! From an address to a connected socket, before a deadline.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ferry_core::config::Address;
use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, setsockopt, socket, sockopt};

use crate::threads;

/// For `poll(2)`, in milliseconds, rounded up: rounding down would turn the last millisecond into a busy loop.
pub fn poll_timeout(left: Duration) -> PollTimeout {
    PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
}

/// Connects to `address` before `deadline`; each later read or write on the socket may block for `io_timeout`, which is not zero.
pub fn connect(address: &Address, deadline: Instant, io_timeout: Duration) -> Result<OwnedFd> {
    match address {
        Address::Tcp { host, port } => {
            let stream = connect_tcp(host, *port, deadline)?;
            stream.set_read_timeout(Some(io_timeout))?;
            stream.set_write_timeout(Some(io_timeout))?;
            Ok(stream.into())
        }
        Address::Unix(path) => {
            let stream = connect_unix(path, deadline)?;
            stream.set_read_timeout(Some(io_timeout))?;
            stream.set_write_timeout(Some(io_timeout))?;
            Ok(stream.into())
        }
    }
}

/// Connects to a host and port before `deadline`, and tries every address of the host.
///
/// Small writes are sent at once, and a peer that died is noticed within two minutes. Reads and writes have no timeout.
pub fn connect_tcp(host: &str, port: u16, deadline: Instant) -> Result<TcpStream> {
    let stream = connect_any(&resolve(host, port, deadline)?, deadline)?;
    stream.set_nodelay(true)?;
    // A kernel that refuses one of these still has a working socket: they only find dead peers sooner.
    let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(&stream, sockopt::TcpKeepIdle, &60);
    let _ = setsockopt(&stream, sockopt::TcpKeepInterval, &15);
    let _ = setsockopt(&stream, sockopt::TcpKeepCount, &4);
    Ok(stream)
}

/// Tries `addresses` in order; each gets an equal share of the time that is left. The error is that of the last one.
fn connect_any(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream> {
    let mut failure = Error::new(ErrorKind::NotFound, "the host name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(address, (time_left(deadline)? / untried).max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = host.to_owned();
    in_time(deadline, move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect))
}

/// Name resolution has no timeout of its own, so it runs on a thread that we may leave behind.
fn in_time<T: Send + 'static>(deadline: Instant, ask: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (answer, answered) = mpsc::sync_channel(2);
    let panicked = answer.clone();
    // Nobody listens any more when it took too long.
    let run = move || drop(answer.send(ask()));
    let on_panic = move |panic| drop(panicked.send(Err(Error::other(panic))));
    threads::spawn("ferry-resolve", run, on_panic).map_err(Error::other)?;
    answered
        .recv_timeout(time_left(deadline)?)
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::TimedOut, "the host name could not be resolved in time")))
}

/// Connects to a unix socket before `deadline`. Writes are left with a timeout, reads without.
///
/// The standard library cannot bound a connect to a unix socket whose backlog is full; `SO_SNDTIMEO`, set before, can.
fn connect_unix(path: &Path, deadline: Instant) -> Result<UnixStream> {
    let stream = UnixStream::from(socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?);
    let address = UnixAddr::new(path)?;
    loop {
        stream.set_write_timeout(Some(time_left(deadline)?))?;
        match nix::sys::socket::connect(stream.as_raw_fd(), &address) {
            Ok(()) => return Ok(stream),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Err(ErrorKind::TimedOut.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn time_left(deadline: Instant) -> Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::unix::net::UnixListener;

    use nix::sys::socket::{Backlog, SockaddrIn, bind, getsockname, getsockopt, listen};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn a_poll_timeout_is_rounded_up_and_never_without_end() {
        let in_ms = |micros| poll_timeout(Duration::from_micros(micros)).as_millis();
        assert_eq!([0, 1, 999, 1000, 1001].map(in_ms), [0, 1, 1, 1, 2].map(Some));
        assert_eq!(poll_timeout(Duration::from_secs(1 << 40)), PollTimeout::MAX);
    }

    fn soon() -> Instant {
        Instant::now() + SHORT
    }

    fn later() -> Instant {
        Instant::now() + LONG
    }

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn bound() -> (OwnedFd, SocketAddr) {
        let server = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(server.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let port = getsockname::<SockaddrIn>(server.as_raw_fd()).unwrap().port();
        (server, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// An address that answers nothing: its queue of connections is full. It lasts as long as what it comes with.
    fn silent() -> (SocketAddr, OwnedFd, Vec<TcpStream>) {
        let (server, address) = bound();
        listen(&server, Backlog::new(0).unwrap()).unwrap();
        let queued = std::iter::from_fn(|| TcpStream::connect_timeout(&address, SHORT).ok()).collect();
        (address, server, queued)
    }

    #[test]
    fn a_host_is_reached_by_its_name_and_by_its_address() {
        let (listener, address) = listener();
        for host in ["127.0.0.1", "localhost"] {
            connect_tcp(host, address.port(), later()).unwrap();
            listener.accept().unwrap();
        }
    }

    #[test]
    fn an_address_that_refuses_is_followed_by_the_next() {
        // Taken by nobody else, and nobody listens.
        let (_server, refusing) = bound();
        let (_listener, address) = listener();
        assert_eq!(connect_any(&[refusing, address], later()).unwrap().peer_addr().unwrap(), address);
        assert_eq!(connect_any(&[refusing], later()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(connect_any(&[], later()).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn an_address_that_is_silent_leaves_time_for_the_next() {
        let (silent, _server, _queued) = silent();
        let (_listener, address) = listener();
        let begun = Instant::now();
        assert_eq!(connect_any(&[silent, address], begun + SHORT * 40).unwrap().peer_addr().unwrap(), address);
        assert!(begun.elapsed() >= SHORT * 20, "the silent one had its half");
    }

    #[test]
    fn a_connect_ends_at_its_deadline() {
        let (silent, _server, _queued) = silent();
        assert_eq!(connect_any(&[silent], soon()).unwrap_err().kind(), ErrorKind::TimedOut);
        let over = connect_tcp("127.0.0.1", silent.port(), Instant::now()).unwrap_err();
        assert_eq!(over.kind(), ErrorKind::TimedOut);
        let over = connect_tcp("localhost", silent.port(), Instant::now()).unwrap_err();
        assert_eq!(over.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_tcp_socket_sends_at_once_and_finds_dead_peers() {
        let (_listener, address) = listener();
        let stream = connect_tcp("127.0.0.1", address.port(), later()).unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(getsockopt(&stream, sockopt::KeepAlive).unwrap());
        assert_eq!(getsockopt(&stream, sockopt::TcpKeepIdle).unwrap(), 60);
        assert_eq!((stream.read_timeout().unwrap(), stream.write_timeout().unwrap()), (None, None));
    }

    #[test]
    fn a_name_that_is_not_resolved_in_time_is_left_to_its_thread() {
        let (end, ended) = mpsc::channel::<()>();
        let slow = move || {
            let _ = ended.recv();
            Ok(())
        };
        let error = in_time(soon(), slow).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "the host name could not be resolved in time");
        drop(end);
    }

    #[test]
    fn a_resolver_that_fails_or_panics_is_not_waited_for() {
        // Refused by the standard library before anybody is asked.
        assert_eq!(resolve("no\0name", 1, later()).unwrap_err().kind(), ErrorKind::InvalidInput);
        let error = in_time::<()>(later(), || panic!("in the resolver")).unwrap_err();
        assert_eq!(error.to_string(), "the thread `ferry-resolve` panicked: in the resolver");
    }

    #[test]
    fn reads_on_either_kind_of_socket_end_after_the_io_timeout() {
        let (_tcp, address) = listener();
        let path = socket_file();
        let _unix = UnixListener::bind(&path.0).unwrap();
        let tcp = Address::Tcp { host: "127.0.0.1".to_owned(), port: address.port() };
        for address in [tcp, Address::Unix(path.0.clone())] {
            // One type is enough to read from either.
            let mut stream = UnixStream::from(connect(&address, later(), SHORT).unwrap());
            assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
            assert_eq!(stream.write_timeout().unwrap(), stream.read_timeout().unwrap());
        }
    }

    #[test]
    fn a_unix_socket_that_accepts_nobody_is_given_up_at_the_deadline() {
        let path = socket_file();
        let server = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(server.as_raw_fd(), &UnixAddr::new(&path.0).unwrap()).unwrap();
        listen(&server, Backlog::new(0).unwrap()).unwrap();
        let queued: Vec<_> = std::iter::from_fn(|| connect_unix(&path.0, soon()).ok()).collect();
        assert!(!queued.is_empty());
        assert_eq!(connect_unix(&path.0, soon()).unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_socket_file_that_is_not_there_is_not_found() {
        let error = connect(&Address::Unix(socket_file().0.clone()), later(), LONG).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    /// A path that goes away with the test.
    struct SocketFile(std::path::PathBuf);

    fn socket_file() -> SocketFile {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ferry-support-{}-{}.sock", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        SocketFile(std::env::temp_dir().join(name))
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            // It is not there where nobody listened.
            let _ = std::fs::remove_file(&self.0);
        }
    }
}
