//! Reading the socket from another thread than lapin's, for deliveries of our subscriptions and for confirms.
//!
//! Through lapin each of them wakes its I/O thread, which wakes the thread that waits. Here that thread waits for the socket itself and
//! takes what is its own; whatever else comes it hands to lapin. While no thread of ours waits, lapin's thread reads, and leaves what is
//! ours here: a [`FrameFilter`] sees every byte, whoever reads.

use std::future::Future;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use ferry_support::{net, sync};
use lapin::message::Delivery;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::confirms::{ChannelEnd, Confirms};
use super::frame_filter::FrameFilter;
use super::io_waker::IoWaker;
use super::socket_watch::{SocketWatch, Watch};

/// How much is read at once.
const BUFFER: usize = 32_768;
/// How often in a row: a thread of ours has a deadline, and lapin's waits for the lock.
const MAX_READS: usize = 32;
/// For so long a look at the socket waits until lapin has read its part.
const LAPIN_READS: Duration = Duration::from_millis(50);
/// How often to look whether a task of lapin's has run.
const LAPIN_TASK_RUNS: Duration = Duration::from_millis(5);
/// For so long a thread waits beside another one that reads and says when it has, before it looks for itself.
const BESIDE_ANOTHER: Duration = Duration::from_millis(20);
/// lapin ends a connection of which it sees no byte for two heartbeats, and the shortest heartbeat is a second.
const SIGN_OF_LIFE: Duration = Duration::from_millis(250);

/// The reading half of a socket, shared by lapin's stream and the threads that wait for what is ours.
#[derive(Clone)]
pub struct FrameReader(Arc<Shared>);

struct Shared {
    socket: TcpStream,
    state: Mutex<ReadState>,
    /// A thread of ours waits for the socket: lapin's thread leaves it alone. Changes under the lock of `state`.
    is_ours: AtomicBool,
    /// How often a thread of ours has waited for the socket.
    turns: AtomicU64,
    /// lapin's thread sleeps on the socket, or is about to.
    is_watched: AtomicBool,
    /// Wakes the thread of ours.
    event: EventFd,
    /// Wakes threads of ours that wait beside that one.
    changed: Condvar,
    io_waker: Arc<IoWaker>,
}

struct ReadState {
    filter: FrameFilter,
    buffer: Vec<u8>,
    /// How the socket ended when a thread of ours read it. lapin is told.
    end: Option<io::Result<()>>,
    has_ended: bool,
    /// When lapin last got bytes.
    lapin_read: Instant,
    /// How often there was something new for threads that wait beside the one that reads, and how many wait.
    changes: u64,
    beside: usize,
}

impl FrameReader {
    /// The reader of a non-blocking socket of which nothing was read.
    pub fn new(socket: TcpStream, io_waker: Arc<IoWaker>) -> io::Result<Self> {
        Self::with_filter(socket, io_waker, FrameFilter::default())
    }

    /// One that leaves everything to lapin, for bytes that are encrypted.
    pub fn transparent(socket: TcpStream, io_waker: Arc<IoWaker>) -> io::Result<Self> {
        Self::with_filter(socket, io_waker, FrameFilter::transparent())
    }

    fn with_filter(socket: TcpStream, io_waker: Arc<IoWaker>, filter: FrameFilter) -> io::Result<Self> {
        let state = ReadState {
            filter,
            buffer: Vec::new(),
            end: None,
            has_ended: false,
            lapin_read: Instant::now(),
            changes: 0,
            beside: 0,
        };
        Ok(Self(Arc::new(Shared {
            socket,
            state: Mutex::new(state),
            is_ours: AtomicBool::new(false),
            turns: AtomicU64::new(0),
            is_watched: AtomicBool::new(false),
            event: EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            changed: Condvar::new(),
            io_waker,
        })))
    }

    /// Takes the deliveries of a consumer from now on, until what this answers is dropped. To be called before the broker knows the tag.
    pub fn subscribe(&self, channel: u16, tag: &str) -> ArrivedDeliveries {
        self.0.lock().filter.subscribe(channel, tag);
        ArrivedDeliveries { reader: self.clone(), tag: tag.to_owned() }
    }

    /// Takes the confirms of a channel from now on. Answers its id.
    pub fn take_confirms(&self, channel: u16) -> u64 {
        self.0.lock().filter.take_confirms(channel)
    }

    /// What came on the channel with this id. `None` when it was left.
    pub fn with_confirms<T>(&self, id: u64, with: impl FnOnce(&mut Confirms) -> T) -> Option<T> {
        let mut state = self.0.lock();
        let is_over = state.is_over();
        let confirms = state.filter.confirms(id)?;
        if is_over {
            confirms.end(ChannelEnd::Lost(None));
        }
        Some(with(confirms))
    }

    /// Nobody asks for the confirms of this channel any more.
    pub fn leave_confirms(&self, id: u64) {
        self.0.lock().filter.leave_confirms(id);
    }

    /// Runs `future`, which is ready when something of ours has arrived or ended, until `deadline`. This thread reads the socket meanwhile,
    /// unless another one of ours does.
    pub fn wait<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        let waker = Waker::from(Arc::clone(&self.0));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        let mut turn = None;
        loop {
            // Before the turn is asked for: that the other thread ends its own is a change too.
            let seen = self.0.lock().changes;
            turn = turn.or_else(|| Turn::begin(&self.0));
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Some(output);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            if turn.is_some() {
                self.0.wait_for_bytes(left);
                // The rest is lapin's to read, and to tell the future of.
                turn = turn.filter(|_| !self.0.lock().is_over());
            } else {
                self.0.wait_for_change(seen, left.min(BESIDE_ANOTHER));
            }
        }
    }

    /// Reads what the socket has, and waits for a moment until lapin has seen its part of that: its state of channels and connection is then
    /// that of now, although its thread leaves the socket alone. Whether the socket is open; `None` when lapin's thread watches it, or another
    /// thread of ours reads it.
    pub fn look(&self) -> Option<bool> {
        let shared = &self.0;
        if shared.turns.load(Ordering::SeqCst) == 0 || shared.is_ours() || shared.lock().is_over() {
            return None;
        }
        let before = shared.io_waker.reads();
        if shared.read_ours(Until::Empty) {
            shared.io_waker.wait_for_read(before, Instant::now() + LAPIN_READS, || ());
        }
        Some(!shared.lock().has_ended)
    }

    /// Waits until lapin has read what makes `is_known` true, or until `deadline`.
    pub fn wait_for_lapin(&self, deadline: Instant, is_known: impl Fn() -> bool) {
        loop {
            let before = self.0.io_waker.reads();
            if is_known() || Instant::now() >= deadline {
                return;
            }
            // A task of lapin's may be what makes it true, and nobody says when that has run.
            let until = deadline.min(Instant::now() + LAPIN_TASK_RUNS);
            self.0.io_waker.wait_for_read(before, until, || self.0.io_waker.wake());
        }
    }

    /// For lapin's thread: sleeps until there is something to read or to do, or room to write if it `writes`. Answers what the socket is
    /// ready for.
    pub fn sleep(&self, watch: &mut SocketWatch, writes: bool) -> io::Result<PollFlags> {
        let shared = &self.0;
        let mut plan = watch.plan(shared.is_ours(), shared.turns.load(Ordering::SeqCst));
        shared.is_watched.store(plan.watch == Watch::Socket, Ordering::SeqCst);
        if plan.watch == Watch::Socket && shared.is_ours() {
            // A turn began just now, perhaps before it could see that the socket is watched.
            plan = watch.plan(true, shared.turns.load(Ordering::SeqCst));
            shared.is_watched.store(false, Ordering::SeqCst);
        }
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::POLLIN, plan.watch == Watch::Socket);
        wanted.set(PollFlags::POLLOUT, writes);
        let socket = (!wanted.is_empty()).then_some((&shared.socket, wanted));
        let slept = shared.io_waker.sleep(socket, plan.longest);
        shared.is_watched.store(false, Ordering::SeqCst);
        Ok(slept?.map_or(PollFlags::empty(), |ready| {
            watch.was_woken();
            ready
        }))
    }

    /// For lapin's thread: takes bytes that a thread of ours read.
    pub fn take_for_lapin(&self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        self.0.lock().take_for_lapin(buffer)
    }

    /// For lapin's thread: reads, unless a thread of ours does.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if let Some(taken) = state.take_for_lapin(buffer) {
            return taken;
        }
        if self.0.is_ours() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if state.filter.is_transparent() {
            return (&self.0.socket).read(buffer);
        }
        let read = state.read(&self.0.socket);
        let taken = state.take_for_lapin(buffer);
        drop(state);
        match (taken, read) {
            (Some(taken), _) => taken,
            (None, Ok(0)) => Ok(0),
            // Only what is ours.
            (None, Ok(_)) => Err(io::ErrorKind::WouldBlock.into()),
            (None, Err(error)) => Err(error),
        }
    }

    /// For lapin's thread: wakes the threads of ours that wait, because the connection ended.
    pub fn announce_end(&self) {
        self.0.lock().has_ended = true;
        self.0.wake_all();
    }
}

/// The deliveries of one consumer that arrived and were not taken.
pub struct ArrivedDeliveries {
    reader: FrameReader,
    tag: String,
}

impl ArrivedDeliveries {
    /// Reads what the socket has, without waiting. What this consumer got of it is there then.
    pub fn read(&self) {
        self.reader.0.read_ours(Until::Short);
    }

    /// The same, unless something is there already.
    pub fn read_if_none(&self) {
        let has_any = self.reader.0.lock().filter.has_any(&self.tag);
        if !has_any {
            self.read();
        }
    }

    /// Takes the next one of those that were read.
    pub fn next(&self) -> Option<Delivery> {
        self.reader.0.lock().filter.next(&self.tag)
    }
}

impl Drop for ArrivedDeliveries {
    fn drop(&mut self) {
        self.reader.0.lock().filter.unsubscribe(&self.tag);
    }
}

impl Shared {
    fn is_ours(&self) -> bool {
        self.is_ours.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, ReadState> {
        sync::lock(&self.state)
    }

    /// Waits for bytes, for a wake-up or for so long, and reads.
    fn wait_for_bytes(&self, longest: Duration) {
        let mut polled =
            [PollFd::new(self.event.as_fd(), PollFlags::POLLIN), PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        // It fails when a signal interrupts it, and is repeated.
        let _ = poll(&mut polled, net::poll_timeout(longest));
        if polled[0].any().unwrap_or(true) {
            // Nothing to read means that it is reset already.
            let _ = self.event.read();
        }
        if polled[1].any().unwrap_or(true) {
            self.read_in_turn(Until::Short);
        }
    }

    /// Waits until there is something new since there had been so many changes, or for so long.
    fn wait_for_change(&self, seen: u64, longest: Duration) {
        let mut state = self.lock();
        if state.changes == seen {
            state.beside += 1;
            state = sync::wait_timeout(&self.changed, state, longest);
            state.beside -= 1;
        }
    }

    /// Wakes the threads that wait beside the one that reads: there may be something for them, or nobody reads any more.
    fn change(&self, state: &mut ReadState) {
        state.changes += 1;
        if state.beside > 0 {
            self.changed.notify_all();
        }
    }

    /// Reads what the socket has, on a thread of ours, and wakes lapin's for what is not ours. Whether there was any of that.
    fn read_ours(&self, until: Until) -> bool {
        let is_for_lapin = self.read_in_turn(until);
        if self.is_ours() {
            // Another thread waits for the socket, and this one may have read what is for that.
            self.wake_turn();
        }
        is_for_lapin
    }

    fn read_in_turn(&self, until: Until) -> bool {
        let mut state = self.lock();
        for _ in 0..MAX_READS {
            if state.is_over() {
                break;
            }
            let end = match state.read(&self.socket) {
                Ok(0) => Ok(()),
                Ok(count) if count == BUFFER || until == Until::Empty => continue,
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            state.has_ended = true;
            state.end = Some(end);
            break;
        }
        let is_for_lapin = state.filter.has_any_for_lapin() || state.end.is_some();
        self.change(&mut state);
        drop(state);
        if is_for_lapin {
            self.io_waker.wake();
        }
        is_for_lapin
    }
}

/// When to stop reading.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// When less comes than was asked for, which is most often all.
    Short,
    /// When the socket is empty or ended: an end behind what was read is seen.
    Empty,
}

/// For a future that a thread of ours waits for.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

impl Shared {
    /// Wakes all threads of ours.
    fn wake_all(&self) {
        self.change(&mut self.lock());
        self.wake_turn();
    }

    /// Wakes the thread of ours that reads.
    fn wake_turn(&self) {
        // It fails only when it would overflow, and then the thread wakes anyway.
        let _ = self.event.write(1);
    }
}

impl ReadState {
    /// Whether threads of ours have nothing to read any more.
    fn is_over(&self) -> bool {
        self.has_ended || self.filter.is_transparent()
    }

    /// Reads once. 0 is the end.
    fn read(&mut self, mut socket: &TcpStream) -> io::Result<usize> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; BUFFER];
        }
        let count = socket.read(&mut self.buffer)?;
        if count == 0 {
            self.filter.end();
            return Ok(0);
        }
        self.filter.pass(&self.buffer[..count]);
        if !self.filter.has_any_for_lapin() && !self.filter.is_transparent() && self.lapin_read.elapsed() >= SIGN_OF_LIFE {
            self.filter.pass_heartbeat();
        }
        Ok(count)
    }

    fn take_for_lapin(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let taken =
            if self.filter.has_any_for_lapin() { Ok(self.filter.take_for_lapin(buffer)) } else { self.end.take()?.map(|()| 0) };
        self.lapin_read = Instant::now();
        Some(taken)
    }
}

/// While it lives a thread of ours reads the socket, and lapin's does not.
struct Turn<'a>(&'a Shared);

impl<'a> Turn<'a> {
    /// `None` while another thread of ours reads.
    fn begin(shared: &'a Shared) -> Option<Self> {
        let state = shared.lock();
        if state.is_over() || shared.is_ours() {
            return None;
        }
        shared.turns.fetch_add(1, Ordering::SeqCst);
        shared.is_ours.store(true, Ordering::SeqCst);
        drop(state);
        if shared.is_watched.load(Ordering::SeqCst) {
            // It would wake for our bytes too.
            shared.io_waker.wake();
        }
        Some(Self(shared))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        self.0.is_ours.store(false, Ordering::SeqCst);
        let is_over = state.is_over();
        self.0.change(&mut state);
        drop(state);
        // An answer or the end is to be read. For anything else lapin's thread looks after the socket soon.
        if is_over || self.0.io_waker.has_requests() {
            self.0.io_waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
