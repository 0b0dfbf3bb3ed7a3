//! Writing a whole frame between two of lapin's, from another thread than its I/O thread.
//!
//! An ack through lapin wakes the I/O thread to write 21 bytes, while it sleeps and waits for the next delivery. What lapin writes is
//! followed to the end of each frame; between two frames another thread may write one of its own.

use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use ferry_support::sync;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::FRAME_HEAD;

/// The bytes with which a client begins: `AMQP` and the version.
const PROTOCOL_HEADER: usize = 8;
/// How long a thread of ours waits to write the rest of a frame.
const WAIT_FOR_ROOM_MS: u8 = 200;

/// The writing half of a socket, shared by lapin's stream and the threads that write frames of their own.
#[derive(Clone)]
pub struct FrameWriter(Arc<Mutex<Shared>>);

struct Shared {
    socket: TcpStream,
    boundary: FrameBoundary,
    /// The end of a frame of ours that the send buffer had no room for. It goes before anything else.
    rest: Vec<u8>,
}

impl FrameWriter {
    /// The writer of a socket on which nothing was written.
    pub fn new(socket: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(Shared { socket, boundary: FrameBoundary::default(), rest: Vec::new() })))
    }

    /// Writes bytes of lapin's, as `Write::write` does.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut shared = sync::lock(&self.0);
        shared.write_rest()?;
        let written = shared.socket.write(bytes)?;
        shared.boundary.pass(&bytes[..written]);
        Ok(written)
    }

    /// Writes a frame, unless another one is on its way, or its channel is not open. `false` when nothing of it was written.
    ///
    /// `is_open` is asked when lapin can write nothing: it notes that a channel closes before it answers that, and a frame behind that answer would
    /// end the connection.
    pub fn try_write_frame(&self, frame: &[u8], is_open: impl FnOnce() -> bool) -> bool {
        let Some(mut shared) = sync::try_lock(&self.0) else { return false };
        if !shared.boundary.is_between_frames() || !shared.rest.is_empty() || !is_open() {
            return false;
        }
        let Ok(written) = shared.socket.write(frame) else { return false };
        shared.rest.extend_from_slice(&frame[written..]);
        if shared.write_rest().is_err() {
            shared.wait_for_room();
        }
        true
    }
}

impl Shared {
    fn write_rest(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            let written = self.socket.write(&self.rest)?;
            self.rest.drain(..written);
        }
        Ok(())
    }

    /// The broker reads slowly: a part of a frame was written, and the rest must follow. What is left even so goes before lapin's next bytes.
    fn wait_for_room(&mut self) {
        let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut polled, PollTimeout::from(WAIT_FOR_ROOM_MS)).is_ok() {
            let _ = self.write_rest();
        }
    }
}

/// Where in a frame the bytes written so far end.
#[derive(Debug)]
struct FrameBoundary {
    /// The head of the frame, as far as it was written.
    head: Vec<u8>,
    /// How many bytes follow until the next frame begins.
    left: usize,
}

impl Default for FrameBoundary {
    fn default() -> Self {
        Self { head: Vec::with_capacity(FRAME_HEAD), left: PROTOCOL_HEADER }
    }
}

impl FrameBoundary {
    fn is_between_frames(&self) -> bool {
        self.left == 0 && self.head.is_empty()
    }

    /// These bytes were written.
    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let behind = self.left.min(bytes.len());
            self.left -= behind;
            bytes = &bytes[behind..];
            let (head, rest) = bytes.split_at(bytes.len().min(FRAME_HEAD - self.head.len()));
            self.head.extend_from_slice(head);
            bytes = rest;
            if let &[_, _, _, a, b, c, d] = self.head.as_slice() {
                // The payload and the byte behind it.
                self.left = u32::from_be_bytes([a, b, c, d]) as usize + 1;
                self.head.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    /// A frame with so long a payload.
    fn frame(payload: u8) -> Vec<u8> {
        let head = [1, 0, 1, 0, 0, 0, payload];
        [&head[..], &vec![7; usize::from(payload)], &[0xCE]].concat()
    }

    #[test]
    fn the_end_of_each_frame_is_found_however_its_bytes_are_cut() {
        let bytes = [b"AMQP\0\0\x09\x01".as_slice(), &frame(0), &frame(5), &frame(200)].concat();
        let ends = [8, 16, 29, 237];
        for step in [1, 2, 3, 5, 7, 8, 13, 100, bytes.len()] {
            let (mut boundary, mut passed) = (FrameBoundary::default(), 0);
            for part in bytes.chunks(step) {
                boundary.pass(part);
                passed += part.len();
                assert_eq!(boundary.is_between_frames(), ends.contains(&passed), "{passed} bytes by {step}");
            }
        }
    }

    #[test]
    fn a_frame_of_ours_goes_out_between_two_of_lapins_and_never_inside() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let writer = FrameWriter::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (mut broker, _) = listener.accept().unwrap();

        assert!(!writer.try_write_frame(&frame(1), || true), "the header comes first");
        writer.write(b"AMQP\0\0\x09\x01").unwrap();
        let (theirs, ours) = (frame(9), frame(3));
        writer.write(&theirs[..4]).unwrap();
        assert!(!writer.try_write_frame(&ours, || true));
        writer.write(&theirs[4..]).unwrap();
        assert!(!writer.try_write_frame(&ours, || false), "its channel is closed");
        assert!(writer.try_write_frame(&ours, || true));
        writer.write(&theirs).unwrap();

        let expected = [b"AMQP\0\0\x09\x01".as_slice(), &theirs, &ours, &theirs].concat();
        let mut arrived = vec![0; expected.len()];
        broker.read_exact(&mut arrived).unwrap();
        assert_eq!(arrived, expected);
    }

    #[test]
    fn the_end_of_a_frame_that_found_no_room_goes_before_lapins_next_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut broker, _) = listener.accept().unwrap();
        let writer = FrameWriter(Arc::new(Mutex::new(Shared {
            socket,
            boundary: FrameBoundary { head: Vec::new(), left: 0 },
            rest: vec![1, 2, 3],
        })));
        assert!(!writer.try_write_frame(&frame(1), || true));
        writer.write(&[4]).unwrap();
        let mut arrived = [0; 4];
        broker.read_exact(&mut arrived).unwrap();
        assert_eq!(arrived, [1, 2, 3, 4]);
    }
}
