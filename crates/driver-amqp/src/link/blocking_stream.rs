//! The socket as the library sees it, and the runtime it is told to live in.
//!
//! The library reads and writes on a thread of its own, but leaves the waiting for the socket to a reactor: then each answer wakes the
//! reactor's thread, which wakes the library's, which wakes ours. So its thread waits for the socket itself, inside `poll_read`, and is called away
//! by a [`IoWaker`] that everybody rings who has something to send: our words, and the library's own tasks.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use nix::poll::PollFlags;
use tokio::runtime::Handle;

use super::io_waker::IoWaker;

/// A socket whose reader sleeps on it.
pub struct BlockingStream {
    socket: TcpStream,
    bell: Arc<IoWaker>,
    stage: Stage,
    /// Who wants to write more than the system takes.
    writer: Option<Waker>,
}

/// What became of what was read last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is looked at before more is read.
    Read,
    /// It was handed out, and those who wait for it are not told yet.
    HandedOut,
    /// They are.
    Told,
}

impl BlockingStream {
    /// A pipe around a socket that does not block.
    pub fn new(socket: TcpStream, bell: Arc<IoWaker>) -> Self {
        Self { socket, bell, stage: Stage::Told, writer: None }
    }

    /// Sleeps until something can be read. `false` when it is called away.
    fn sleep(&mut self) -> io::Result<bool> {
        let wanted = if self.writer.is_some() { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        let ready = self.bell.sleep(&self.socket, wanted)?;
        if !ready.is_empty()
            && let Some(writer) = self.writer.take()
        {
            writer.wake();
        }
        Ok(ready.intersects(!PollFlags::POLLOUT))
    }
}

/// The caller asks again at once: it has other things to do first.
fn later<T>(context: &Context<'_>) -> Poll<io::Result<T>> {
    context.waker().wake_by_ref();
    Poll::Pending
}

impl AsyncRead for BlockingStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.stage {
            Stage::Read => {
                self.stage = Stage::HandedOut;
                return later(context);
            }
            Stage::HandedOut => {
                self.stage = Stage::Told;
                self.bell.tell();
            }
            Stage::Told => {}
        }
        if !self.sleep()? {
            return later(context);
        }
        match self.socket.read(buffer) {
            Ok(count) => {
                self.stage = Stage::Read;
                Poll::Ready(Ok(count))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => later(context),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for BlockingStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.socket.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writer = Some(context.waker().clone());
                Poll::Pending
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => later(context),
            answer => Poll::Ready(answer),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // One that is shut already is what we want.
        let _ = self.socket.shutdown(Shutdown::Both);
        Poll::Ready(Ok(()))
    }
}

impl Drop for BlockingStream {
    fn drop(&mut self) {
        // Whoever still waits finds an error.
        self.bell.tell();
    }
}

/// The runtime of one connection: tokio's, whose tasks ring when they have run.
#[derive(Clone)]
pub struct WakingRuntime {
    tokio: Tokio,
    bell: Arc<IoWaker>,
}

impl WakingRuntime {
    /// Tasks run on the runtime of `handle`.
    pub fn new(handle: Handle, bell: Arc<IoWaker>) -> Self {
        Self { tokio: Tokio::default().with_handle(handle), bell }
    }
}

impl std::fmt::Debug for WakingRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kit").finish_non_exhaustive()
    }
}

impl RuntimeKit for WakingRuntime {}

impl Executor for WakingRuntime {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.tokio.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        let bell = Arc::clone(&self.bell);
        let mut future = Box::pin(future);
        self.tokio.spawn(std::future::poll_fn(move |context| {
            let answer = future.as_mut().poll(context);
            bell.ring();
            answer
        }))
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(work)
    }
}

impl Reactor for WakingRuntime {
    type TcpStream = BlockingStream;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// Not for sockets of others: there is no reactor behind it.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<BlockingStream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.tokio.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(time)
    }

    fn tcp_connect_addr(&self, address: SocketAddr) -> impl Future<Output = io::Result<BlockingStream>> + Send + 'static {
        let bell = Arc::clone(&self.bell);
        async move {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            Ok(BlockingStream::new(socket, bell))
        }
    }
}
