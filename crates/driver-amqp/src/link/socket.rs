//! Opening a socket, and knowing later whether the other side hung up.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferry_support::{net, sync};

use async_rs::Tokio;
use async_rs::traits::Reactor;
use futures_io::{AsyncRead, AsyncWrite};
use lapin::AsyncTcpStream;
use lapin::tcp::RustlsConnector;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::ClientConfig;

use super::blocking_stream::BlockingStream;
use super::frame_reader::FrameReader;
use super::frame_writer::FrameWriter;
use super::io_waker::IoWaker;

/// Opens the socket of one connection, on lapin's thread.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    host: String,
    port: u16,
    timeout: Duration,
    tls: Option<(Arc<ClientConfig>, String)>,
    opened: Mutex<Option<TcpStream>>,
    frames: Mutex<Option<(FrameReader, FrameWriter)>>,
}

impl Connector {
    pub fn new(host: String, port: u16, timeout: Duration, tls: Option<(Arc<ClientConfig>, String)>) -> Self {
        Self(Arc::new(Inner { host, port, timeout, tls, opened: Mutex::new(None), frames: Mutex::new(None) }))
    }

    /// Connects a socket on which lapin's thread sleeps.
    pub async fn open_blocking(&self, waker: &Arc<IoWaker>) -> lapin::Result<AsyncTcpStream<BlockingStream>> {
        let socket = net::connect_tcp(&self.0.host, self.0.port, Instant::now() + self.0.timeout)?;
        socket.set_nonblocking(true)?;
        self.note_opened(socket.try_clone()?);
        let writer = FrameWriter::new(socket.try_clone()?);
        let reader = if self.0.tls.is_none() {
            let reader = FrameReader::new(socket.try_clone()?, Arc::clone(waker))?;
            *sync::lock(&self.0.frames) = Some((reader.clone(), writer.clone()));
            reader
        } else {
            FrameReader::transparent(socket.try_clone()?, Arc::clone(waker))?
        };
        self.with_tls(BlockingStream::new(socket, reader, writer, Arc::clone(waker))).await
    }

    /// Connects a socket for which the reactor of tokio waits.
    pub async fn open_tokio(&self, kit: &Tokio) -> lapin::Result<AsyncTcpStream<<Tokio as Reactor>::TcpStream>> {
        let mut last = None;
        for address in self.addresses()? {
            match kit.tcp_connect_addr(address).await {
                Ok(socket) => {
                    self.note_opened(socket.get_ref().as_fd().try_clone_to_owned()?.into());
                    return self.with_tls(socket).await;
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_address).into())
    }

    /// A second handle on the socket that was opened.
    pub fn hangup_probe(&self) -> Option<HangupProbe> {
        sync::lock(&self.0.opened).take().map(HangupProbe)
    }

    /// What reads and writes frames of ours past lapin. `None` where TLS encrypts what lapin writes, or the socket is tokio's.
    pub fn frames(&self) -> Option<(FrameReader, FrameWriter)> {
        sync::lock(&self.0.frames).take()
    }

    fn note_opened(&self, socket: TcpStream) {
        *sync::lock(&self.0.opened) = Some(socket);
    }

    async fn with_tls<S>(&self, socket: S) -> lapin::Result<AsyncTcpStream<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let plain = AsyncTcpStream::Plain(socket);
        match &self.0.tls {
            None => Ok(plain),
            Some((config, name)) => Ok(plain.into_rustls(&RustlsConnector::from(Arc::clone(config)), name).await?),
        }
    }

    fn addresses(&self) -> io::Result<impl Iterator<Item = SocketAddr> + use<>> {
        (self.0.host.as_str(), self.0.port).to_socket_addrs()
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the host name has no address")
}

/// A second handle on the socket, which reads nothing.
pub struct HangupProbe(TcpStream);

impl HangupProbe {
    /// Shuts the socket down for all its handles.
    pub fn cut(&self) {
        // One that is shut already is what we want.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Whether the other side closed its end. So a connection that died while idle is found before anything is written to it.
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
