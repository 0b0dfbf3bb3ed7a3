//! Opening a socket, and knowing later whether the other side hung up.

use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::AsyncTcpStream;
use lapin::tcp::RustlsConnector;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::ClientConfig;

use super::blocking_stream::BlockingStream;
use super::io_waker::IoWaker;

/// What connects, on the library's thread.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    host: String,
    port: u16,
    timeout: Duration,
    tls: Option<(Arc<ClientConfig>, String)>,
    bell: Arc<IoWaker>,
    opened: Mutex<Option<TcpStream>>,
}

impl Connector {
    /// A door that is still shut.
    pub fn new(host: String, port: u16, timeout: Duration, tls: Option<(Arc<ClientConfig>, String)>, bell: Arc<IoWaker>) -> Self {
        Self(Arc::new(Inner { host, port, timeout, tls, bell, opened: Mutex::new(None) }))
    }

    /// Connects, and shakes hands where TLS is wanted.
    pub async fn open(&self) -> lapin::Result<AsyncTcpStream<BlockingStream>> {
        let Inner { host, port, timeout, tls, bell, opened } = &*self.0;
        let socket = connect(host, *port, *timeout)?;
        *opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket.try_clone()?);
        let plain = AsyncTcpStream::Plain(BlockingStream::new(socket, Arc::clone(bell)));
        match tls {
            None => Ok(plain),
            Some((config, name)) => Ok(plain.into_rustls(&RustlsConnector::from(Arc::clone(config)), name).await?),
        }
    }

    /// What watches the socket that was opened.
    pub fn sentinel(&self) -> Option<HangupProbe> {
        self.0.opened.lock().unwrap_or_else(PoisonError::into_inner).take().map(HangupProbe)
    }
}

fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = None;
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                socket.set_nonblocking(true)?;
                return Ok(socket);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host name has no address")))
}

/// A second handle on the socket, which reads nothing.
pub struct HangupProbe(TcpStream);

impl HangupProbe {
    /// Shuts the socket for everybody.
    pub fn cut(&self) {
        // One that is shut already is what we want.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Whether the other side closed its end. An idle connection that died is found before anything is written to it.
    pub fn hung_up(&self) -> bool {
        let closed = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
        let signs = closed | PollFlags::POLLHUP | PollFlags::POLLERR;
        let mut polled = [PollFd::new(self.0.as_fd(), closed)];
        match poll(&mut polled, PollTimeout::ZERO) {
            // `None` is a flag without a name, and we asked for one.
            Ok(_) => polled[0].revents().is_none_or(|seen| seen.intersects(signs)),
            Err(_) => false,
        }
    }
}
