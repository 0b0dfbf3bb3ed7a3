//! Bytes out, bytes in, with or without TLS in between.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::time::Instant;

use rustls::ClientConnection;

use super::socket::{ByteStream, Readiness};

/// A connected stream of plain bytes.
pub enum RespStream {
    /// The socket itself.
    Plain(ByteStream),
    /// TLS over the socket.
    Tls(ByteStream, Box<ClientConnection>),
}

/// A write that failed, and whether any byte of it had left.
pub struct Unsent {
    /// Some bytes were sent: the other side may act on them.
    pub partly_out: bool,
    /// Why.
    pub error: Error,
}

impl RespStream {
    /// TLS over `socket`; the handshake ends before `deadline`.
    pub fn secured(socket: ByteStream, mut tls: ClientConnection, deadline: Instant) -> Result<Self> {
        while tls.is_handshaking() {
            tls.complete_io(&mut socket.until(deadline))?;
        }
        Ok(RespStream::Tls(socket, Box::new(tls)))
    }

    /// Whether the stream is open and silent, as it must be before a request. Does not wait.
    pub fn is_idle(&mut self) -> bool {
        match self {
            RespStream::Plain(socket) => socket.readiness() == Readiness::Quiet,
            RespStream::Tls(socket, tls) => loop {
                match socket.readiness() {
                    Readiness::Quiet => return true,
                    Readiness::Closed => return false,
                    // Session tickets and key updates are no replies; an alert is the end.
                    Readiness::Bytes if !absorb(socket, tls, Instant::now()).is_ok_and(|open| open) => return false,
                    Readiness::Bytes => {}
                }
            },
        }
    }

    /// Waits until a reply begins to arrive on one of `streams`, or one ends, and answers which. `None` when `until` came first.
    pub fn wait_any_readable(streams: &mut [&mut Self], until: Instant) -> Result<Option<usize>> {
        loop {
            let sockets: Vec<&ByteStream> = streams.iter().map(|stream| stream.socket()).collect();
            let Some(index) = ByteStream::wait_any_readable(&sockets, until)? else { return Ok(None) };
            // Session tickets and key updates are no replies.
            let has_reply = match streams[index] {
                RespStream::Plain(_) => true,
                RespStream::Tls(socket, tls) => !absorb(socket, tls, until)?,
            };
            if has_reply {
                return Ok(Some(index));
            }
        }
    }

    fn socket(&self) -> &ByteStream {
        match self {
            RespStream::Plain(socket) | RespStream::Tls(socket, _) => socket,
        }
    }

    /// Writes all of `bytes`.
    pub fn write_all(&mut self, bytes: &[u8], deadline: Instant) -> std::result::Result<(), Unsent> {
        let mut partly_out = false;
        let written = match self {
            RespStream::Plain(socket) => write_plain(socket, bytes, deadline, &mut partly_out),
            RespStream::Tls(socket, tls) => write_tls(socket, tls, bytes, deadline, &mut partly_out),
        };
        written.map_err(|error| Unsent { partly_out, error })
    }

    /// Sends all of a short request without waiting, or nothing. `held` as in [`ByteStream::send_now`]. Not over TLS, where a record that is
    /// partly out cannot be taken back.
    pub fn send_now(&mut self, bytes: &[u8], held: bool) -> bool {
        match self {
            RespStream::Plain(socket) => socket.send_now(bytes, held),
            RespStream::Tls(..) => false,
        }
    }

    /// Lets what is held leave.
    pub fn release_held(&self) {
        self.socket().release_held();
    }

    /// Reads what is there without waiting. `None` when nothing is. Not over TLS.
    pub fn read_now(&self, buffer: &mut [u8]) -> Option<Result<usize>> {
        match self {
            RespStream::Plain(socket) => socket.read_now(buffer),
            RespStream::Tls(..) => None,
        }
    }

    /// Reads what is there, waiting until `deadline` for the first byte. `direct` as in [`ByteStream::directly_until`].
    pub fn read(&mut self, buffer: &mut [u8], deadline: Instant, direct: bool) -> Result<usize> {
        match self {
            RespStream::Plain(socket) if direct => socket.directly_until(deadline).read(buffer),
            RespStream::Plain(socket) => socket.until(deadline).read(buffer),
            RespStream::Tls(socket, tls) => loop {
                match tls.reader().read(buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        read_records(socket, tls, deadline)?;
                    }
                    read => return read,
                }
            },
        }
    }
}

fn write_plain(socket: &ByteStream, mut bytes: &[u8], deadline: Instant, partly_out: &mut bool) -> Result<()> {
    let mut timed = socket.directly_until(deadline);
    while !bytes.is_empty() {
        let count = timed.write(bytes)?;
        *partly_out = true;
        bytes = &bytes[count..];
    }
    Ok(())
}

fn write_tls(
    socket: &ByteStream,
    tls: &mut ClientConnection,
    mut bytes: &[u8],
    deadline: Instant,
    partly_out: &mut bool,
) -> Result<()> {
    let mut timed = socket.until(deadline);
    while !bytes.is_empty() {
        let count = tls.writer().write(bytes)?;
        bytes = &bytes[count..];
        while tls.wants_write() {
            tls.write_tls(&mut timed)?;
            *partly_out = true;
        }
    }
    Ok(())
}

/// Reads what the other side sent. False when that holds a reply or the end of the stream.
fn absorb(socket: &ByteStream, tls: &mut ClientConnection, deadline: Instant) -> Result<bool> {
    let state = read_records(socket, tls, deadline)?;
    Ok(state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed())
}

fn read_records(socket: &ByteStream, tls: &mut ClientConnection, deadline: Instant) -> Result<rustls::IoState> {
    let mut timed = socket.until(deadline);
    if tls.read_tls(&mut timed)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let state = tls.process_new_packets().map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    while tls.wants_write() {
        tls.write_tls(&mut timed)?;
    }
    Ok(state)
}
