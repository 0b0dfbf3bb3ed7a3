//! The socket and the runtime that lapin gets, so that its I/O thread waits for the socket itself.
//!
//! lapin reads and writes on a thread of its own, but leaves the waiting for the socket to a reactor: then each answer wakes the
//! reactor's thread, which wakes lapin's, which wakes ours. Here lapin's thread sleeps in `poll_read`, and an [`IoWaker`] wakes it when a
//! thread of ours or a task of lapin's has something to send.

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

use super::frame_reader::FrameReader;
use super::frame_writer::FrameWriter;
use super::io_waker::IoWaker;
use super::socket_watch::SocketWatch;

/// A socket whose reader sleeps until it is readable.
pub struct BlockingStream {
    socket: TcpStream,
    reader: FrameReader,
    writer: FrameWriter,
    io_waker: Arc<IoWaker>,
    watch: SocketWatch,
    stage: Stage,
    /// Set while the send buffer is full.
    blocked_writer: Option<Waker>,
}

/// How far the bytes that were read last have come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// lapin parses them before it reads more.
    Read,
    /// lapin has parsed them; the threads that wait for an answer still sleep.
    Parsed,
    /// Those threads are woken.
    Announced,
}

impl BlockingStream {
    /// Wraps a non-blocking socket, which is read through `reader` and written through `writer`.
    pub fn new(socket: TcpStream, reader: FrameReader, writer: FrameWriter, io_waker: Arc<IoWaker>) -> Self {
        Self { socket, reader, writer, io_waker, watch: SocketWatch::default(), stage: Stage::Announced, blocked_writer: None }
    }

    /// Sleeps until something can be read. `false` when it was woken for another reason.
    fn sleep(&mut self) -> io::Result<bool> {
        let ready = self.reader.sleep(&mut self.watch, self.blocked_writer.is_some())?;
        if !ready.is_empty()
            && let Some(writer) = self.blocked_writer.take()
        {
            writer.wake();
        }
        Ok(ready.intersects(!PollFlags::POLLOUT))
    }
}

/// Pending, to be polled again at once: the I/O loop has other things to do first.
fn later<T>(context: &Context<'_>) -> Poll<io::Result<T>> {
    context.waker().wake_by_ref();
    Poll::Pending
}

impl AsyncRead for BlockingStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.stage {
            Stage::Read => {
                self.stage = Stage::Parsed;
                return later(context);
            }
            Stage::Parsed => {
                self.stage = Stage::Announced;
                self.io_waker.announce();
            }
            Stage::Announced => {}
        }
        let read = match self.reader.take_for_lapin(buffer) {
            Some(taken) => taken,
            None if self.sleep()? => self.reader.read(buffer),
            None => return later(context),
        };
        match read {
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
        match self.writer.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked_writer = Some(context.waker().clone());
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
        // lapin is done with it, perhaps without a word to the broker, while other handles keep the socket open.
        let _ = self.socket.shutdown(Shutdown::Both);
        // Threads that still wait find an error.
        self.reader.announce_end();
        self.io_waker.announce();
    }
}

/// The runtime of one connection: tokio's, but each task wakes the I/O thread after it has run.
#[derive(Clone)]
pub struct WakingRuntime {
    tokio: Tokio,
    io_waker: Arc<IoWaker>,
}

impl WakingRuntime {
    /// Tasks run on the runtime of `handle`.
    pub fn new(handle: Handle, io_waker: Arc<IoWaker>) -> Self {
        Self { tokio: Tokio::default().with_handle(handle), io_waker }
    }
}

impl std::fmt::Debug for WakingRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WakingRuntime").finish_non_exhaustive()
    }
}

impl RuntimeKit for WakingRuntime {}

impl Executor for WakingRuntime {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.tokio.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        let io_waker = Arc::clone(&self.io_waker);
        let mut future = Box::pin(future);
        self.tokio.spawn(std::future::poll_fn(move |context| {
            let answer = future.as_mut().poll(context);
            io_waker.wake();
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

    /// Unsupported: there is no reactor.
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
        let io_waker = Arc::clone(&self.io_waker);
        async move {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            let reader = FrameReader::transparent(socket.try_clone()?, Arc::clone(&io_waker))?;
            let writer = FrameWriter::new(socket.try_clone()?);
            Ok(BlockingStream::new(socket, reader, writer, io_waker))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_stream_that_is_dropped_ends_the_connection_although_other_handles_are_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut broker, _) = listener.accept().unwrap();
        broker.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (other, waker) = (socket.try_clone().unwrap(), Arc::new(IoWaker::new().unwrap()));
        let reader = FrameReader::new(socket.try_clone().unwrap(), Arc::clone(&waker)).unwrap();
        let writer = FrameWriter::new(socket.try_clone().unwrap());
        drop(BlockingStream::new(socket, reader.clone(), writer.clone(), waker));
        assert_eq!(broker.read(&mut [0]).unwrap(), 0);
        drop((other, reader, writer));
    }
}
