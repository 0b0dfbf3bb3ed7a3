//! Writing whole frames between two of lapin's, from another thread than its I/O thread.
//!
//! An ack through lapin wakes the I/O thread to write 21 bytes, while it sleeps and waits for the next delivery. What lapin writes is
//! followed to the end of each frame; between two frames another thread may write some of its own.

use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ferry_support::{net, sync};
use nix::poll::{PollFd, PollFlags, poll};

use super::FRAME_HEAD;

/// The bytes with which a client begins: `AMQP` and the version.
const PROTOCOL_HEADER: usize = 8;
/// How long a thread of ours waits to write the rest of a frame that has no answer.
const WAIT_FOR_ROOM: Duration = Duration::from_millis(200);
/// How long it leaves the socket to lapin, which is about to write the rest of a frame.
const LAPIN_WRITES: Duration = Duration::from_millis(1);

/// The writing half of a socket, shared by lapin's stream and the threads that write frames of their own.
#[derive(Clone)]
pub struct FrameWriter(Arc<Mutex<Shared>>);

struct Shared {
    socket: Arc<TcpStream>,
    boundary: FrameBoundary,
    /// The end of frames of ours that the send buffer had no room for, and how much of it is written. It goes before anything else.
    rest: Vec<u8>,
    written: usize,
}

/// How much of some frames was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All of them.
    All,
    /// The beginning, and the rest goes before lapin's next bytes, unless the connection broke.
    Part,
    /// Nothing: the connection broke before, it had no room, or it is closed for such frames.
    Nothing,
}

impl FrameWriter {
    /// The writer of a socket on which nothing was written.
    pub fn new(socket: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(Shared::new(socket, FrameBoundary::default()))))
    }

    /// Writes bytes of lapin's, as `Write::write` does.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut shared = sync::lock(&self.0);
        shared.write_rest()?;
        let written = (&*shared.socket).write(bytes)?;
        shared.boundary.pass(&bytes[..written]);
        Ok(written)
    }

    /// Writes a frame, unless another one is on its way, or its channel is not open. `false` when nothing of it was written.
    ///
    /// `is_open` is asked when lapin can write nothing: it notes that a channel closes before it answers that, and a frame behind that answer would
    /// end the connection.
    pub fn try_write_frame(&self, frame: &[u8], is_open: impl FnOnce() -> bool) -> bool {
        let Some(mut shared) = sync::try_lock(&self.0) else { return false };
        if !shared.has_turn() || !is_open() {
            return false;
        }
        let Ok(written) = (&*shared.socket).write(frame) else { return false };
        shared.keep_rest(&frame[written..]);
        if !shared.rest.is_empty() {
            // The broker reads slowly: a part of a frame was written, and the rest must follow. What is left even so goes before lapin's next bytes.
            wait_for_room(&shared.socket, WAIT_FOR_ROOM);
            let _ = shared.write_rest();
        }
        true
    }

    /// Writes what frames of ours left, as far as there is room.
    pub fn flush(&self) {
        // Whoever writes next meets the same error.
        let _ = sync::lock(&self.0).write_rest();
    }

    /// Writes frames, and waits until `deadline` for lapin's last frame to end and for room. `is_open` as for one frame.
    pub fn write_frames(&self, frames: &[u8], deadline: Instant, is_open: impl Fn() -> bool) -> Written {
        let mut written = Written::Nothing;
        loop {
            let mut shared = sync::lock(&self.0);
            let step = if written == Written::Nothing { shared.begin(frames, &is_open) } else { shared.write_rest() };
            match step {
                Ok(()) => written = Written::Part,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return written,
            }
            if written == Written::Part && shared.rest.is_empty() {
                return Written::All;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return written;
            }
            let (socket, is_lapins) = (Arc::clone(&shared.socket), !shared.boundary.is_between_frames());
            drop(shared);
            wait_for_room(&socket, left);
            if is_lapins {
                thread::sleep(LAPIN_WRITES);
            }
        }
    }
}

impl Shared {
    fn new(socket: TcpStream, boundary: FrameBoundary) -> Self {
        Self { socket: Arc::new(socket), boundary, rest: Vec::new(), written: 0 }
    }

    /// Whether frames of ours may begin now.
    fn has_turn(&self) -> bool {
        self.boundary.is_between_frames() && self.rest.is_empty()
    }

    /// Writes the beginning of `frames`, or all, and keeps the rest.
    fn begin(&mut self, frames: &[u8], is_open: impl Fn() -> bool) -> io::Result<()> {
        self.write_rest()?;
        if !self.has_turn() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if !is_open() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let written = (&*self.socket).write(frames)?;
        self.keep_rest(&frames[written..]);
        Ok(())
    }

    fn keep_rest(&mut self, rest: &[u8]) {
        self.rest.extend_from_slice(rest);
    }

    fn write_rest(&mut self) -> io::Result<()> {
        while self.written < self.rest.len() {
            self.written += (&*self.socket).write(&self.rest[self.written..])?;
        }
        // A large one is not kept.
        self.rest = Vec::new();
        self.written = 0;
        Ok(())
    }
}

/// Waits until something can be written, or for so long.
fn wait_for_room(socket: &TcpStream, longest: Duration) {
    let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    // It fails when a signal interrupts it, and is repeated.
    let _ = poll(&mut polled, net::poll_timeout(longest));
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

    /// A writer of which lapin has written whole frames.
    fn between_frames(socket: TcpStream) -> FrameWriter {
        FrameWriter(Arc::new(Mutex::new(Shared::new(socket, FrameBoundary { head: Vec::new(), left: 0 }))))
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
        let writer = between_frames(socket);
        sync::lock(&writer.0).keep_rest(&[1, 2, 3]);
        assert!(!writer.try_write_frame(&frame(1), || true));
        writer.write(&[4]).unwrap();
        let mut arrived = [0; 4];
        broker.read_exact(&mut arrived).unwrap();
        assert_eq!(arrived, [1, 2, 3, 4]);
    }

    const LONG: Duration = Duration::from_secs(60);

    fn non_blocking() -> (FrameWriter, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        (between_frames(socket), listener.accept().unwrap().0)
    }

    #[test]
    fn frames_wait_for_room_and_arrive_whole_with_lapins_behind_them() {
        let (writer, mut broker) = non_blocking();
        let frames = vec![7; 20_000_000];
        let theirs = frame(3);
        let reading = thread::spawn({
            let expected = frames.len() + theirs.len();
            move || {
                let mut arrived = vec![0; expected];
                broker.read_exact(&mut arrived).unwrap();
                arrived
            }
        });
        assert_eq!(writer.write_frames(&frames, Instant::now() + LONG, || true), Written::All);
        assert_eq!(writer.write(&theirs).unwrap(), theirs.len());
        assert_eq!(reading.join().unwrap(), [frames, theirs].concat());
    }

    #[test]
    fn frames_without_room_are_kept_for_lapins_thread_to_write() {
        let (writer, mut broker) = non_blocking();
        let frames = vec![7; 20_000_000];
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(writer.write_frames(&frames, soon, || true), Written::Part);
        assert_eq!(writer.write_frames(&frame(1), soon, || true), Written::Nothing, "the rest goes before");
        let reading = thread::spawn(move || {
            let mut arrived = vec![0; 20_000_001];
            broker.read_exact(&mut arrived).unwrap();
            arrived
        });
        while writer.write(&[8]).is_err() {
            thread::yield_now();
        }
        assert_eq!(reading.join().unwrap(), [frames, vec![8]].concat());
    }

    #[test]
    fn frames_wait_for_the_end_of_lapins() {
        let (writer, mut broker) = non_blocking();
        let (theirs, ours) = (frame(9), frame(3));
        writer.write(&theirs[..4]).unwrap();
        assert_eq!(writer.write_frames(&ours, Instant::now() + Duration::from_millis(5), || true), Written::Nothing);
        let lapin = thread::spawn({
            let (writer, end) = (writer.clone(), theirs[4..].to_vec());
            move || writer.write(&end).unwrap()
        });
        assert_eq!(writer.write_frames(&ours, Instant::now() + LONG, || true), Written::All);
        lapin.join().unwrap();
        let mut arrived = vec![0; theirs.len() + ours.len()];
        broker.read_exact(&mut arrived).unwrap();
        assert_eq!(arrived, [theirs, ours].concat());
    }

    #[test]
    fn nothing_is_written_on_a_closed_channel_or_a_broken_connection() {
        let (writer, broker) = non_blocking();
        assert_eq!(writer.write_frames(&frame(1), Instant::now() + LONG, || false), Written::Nothing);
        drop(broker);
        // The first write may still be taken.
        while writer.write_frames(&frame(1), Instant::now() + LONG, || true) != Written::Nothing {
            thread::yield_now();
        }
    }
}
