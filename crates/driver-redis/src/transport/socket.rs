//! One connected stream socket, TCP or unix: bounded reads and writes, and a check whether it is idle, with few system calls.
//!
//! Nothing here knows Redis or TLS. `SIGPIPE` is never raised and `EINTR` never ends a wait early.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use ferry_support::net;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, setsockopt, shutdown, sockopt};

use crate::wait_limits::{SLICE, WaitLimits};

/// What can be read from a socket now.
#[derive(Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing to read, still open.
    Quiet,
    /// Bytes to read.
    Bytes,
    /// Closed by the other side, or broken.
    Closed,
}

/// A connected socket. Its blocking calls end at the latest with its own receive and send timeouts, and begin again until their deadline.
pub struct ByteStream {
    fd: OwnedFd,
    wait_limits: WaitLimits,
}

impl ByteStream {
    /// Wraps a descriptor that is connected, blocking, and has its timeouts set.
    pub fn new(fd: OwnedFd, wait_limits: WaitLimits) -> Self {
        Self { fd, wait_limits }
    }

    /// Checks without waiting and without consuming a byte.
    pub fn readiness(&self) -> Readiness {
        loop {
            return match recv(self.fd.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
                Ok(0) => Readiness::Closed,
                Ok(_) => Readiness::Bytes,
                Err(Errno::EAGAIN) => Readiness::Quiet,
                Err(Errno::EINTR) => continue,
                Err(_) => Readiness::Closed,
            };
        }
    }

    /// Reads what is there without waiting. `None` when nothing is.
    pub fn read_now(&self, buffer: &mut [u8]) -> Option<Result<usize>> {
        match recv(self.fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EAGAIN | Errno::EINTR) => None,
            read => Some(read.map_err(Error::from)),
        }
    }

    /// Sends `bytes` if they are taken at once. `held` ones leave with the next that are sent, or within a fifth of a second.
    pub fn send_now(&self, bytes: &[u8], held: bool) -> bool {
        // On a unix socket nothing is held.
        let held = if held { MsgFlags::from_bits_retain(nix::libc::MSG_MORE) } else { MsgFlags::empty() };
        match send(self.fd.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT | held) {
            Ok(sent) if sent < bytes.len() => {
                // Half a request can be neither taken back nor followed by another one.
                let _ = shutdown(self.fd.as_raw_fd(), Shutdown::Both);
                false
            }
            sent => sent.is_ok(),
        }
    }

    /// Lets what is held leave.
    pub fn release_held(&self) {
        // Setting it again pushes out what waits. On a unix socket it fails, and nothing waits.
        let _ = setsockopt(&self.fd, sockopt::TcpNoDelay, &true);
    }

    /// Waits until one of `sockets` can be read, or ends, and answers which. `None` when `until` came first.
    pub fn wait_any_readable(sockets: &[&Self], until: Instant) -> Result<Option<usize>> {
        let mut polled: Vec<PollFd<'_>> =
            sockets.iter().map(|socket| PollFd::new(socket.fd.as_fd(), PollFlags::POLLIN)).collect();
        if !poll_until(&mut polled, until)? {
            return Ok(None);
        }
        Ok(polled.iter().position(|polled| polled.any().unwrap_or(true)))
    }

    /// Reading and writing that ends at `deadline`.
    pub fn until(&self, deadline: Instant) -> Timed<'_> {
        Timed { socket: self, deadline, polls: true }
    }

    /// The same for the first call of a request, which begins without a `poll`: most answers come before the socket's own timeout.
    pub fn directly_until(&self, deadline: Instant) -> Timed<'_> {
        Timed { socket: self, deadline, polls: false }
    }

    fn wait(&self, what: PollFlags, until: Instant) -> Result<bool> {
        poll_until(&mut [PollFd::new(self.fd.as_fd(), what)], until)
    }
}

/// Whether one of these was ready before `until`.
fn poll_until(polled: &mut [PollFd<'_>], until: Instant) -> Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match poll(polled, net::poll_timeout(left)) {
            Ok(0) if Instant::now() >= until => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A socket with a deadline.
pub struct Timed<'a> {
    socket: &'a ByteStream,
    deadline: Instant,
    polls: bool,
}

impl Timed<'_> {
    fn transfer(&mut self, readiness: PollFlags, mut call: impl FnMut(i32) -> nix::Result<usize>) -> Result<usize> {
        loop {
            if std::mem::replace(&mut self.polls, true) {
                self.wait(readiness)?;
            }
            match call(self.socket.fd.as_raw_fd()) {
                Ok(count) => return Ok(count),
                // Nothing within the socket's own timeout, or somebody was faster.
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits in slices. An error when the deadline passes, or an earlier one that somebody set meanwhile.
    fn wait(&self, readiness: PollFlags) -> Result<()> {
        let mut until = self.deadline.min(Instant::now() + SLICE);
        while !self.socket.wait(readiness, until)? {
            let deadline = self.socket.wait_limits.shorten(self.deadline);
            if Instant::now() >= deadline {
                return Err(timed_out());
            }
            until = deadline.min(Instant::now() + SLICE);
        }
        Ok(())
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.transfer(PollFlags::POLLIN, |fd| recv(fd, buffer, MsgFlags::empty()))
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.transfer(PollFlags::POLLOUT, |fd| send(fd, bytes, MsgFlags::MSG_NOSIGNAL))
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn timed_out() -> Error {
    Error::new(ErrorKind::TimedOut, "no answer within the time allowed")
}
