//! Two threads wake each other: ours, which waits for an answer, and lapin's, which sleeps on the socket.
//!
//! A request costs two wake-ups: of lapin's thread, when there is something to send, and of ours, when the answer was read.

use std::future::{Future, poll_fn};
use std::io;
use std::iter;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use ferry_support::sync;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::wait;

/// How long to wait for bytes from the broker. Then the future is polled: it may be ready for another reason.
const READ_WAIT: Duration = Duration::from_millis(100);

/// Wakes the I/O thread of one connection, and the threads that wait for its answers.
pub struct IoWaker {
    event: EventFd,
    /// Something may have to be sent.
    requested: AtomicBool,
    /// lapin's thread sleeps, or is about to.
    asleep: AtomicBool,
    /// How often bytes that were read have been parsed.
    reads: AtomicU64,
    waiting: Mutex<Vec<Thread>>,
    /// How many threads wait for something that was sent, and for its answer.
    requests: AtomicUsize,
}

impl IoWaker {
    /// One that nothing has woken yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            event: EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            requested: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            waiting: Mutex::default(),
            requests: AtomicUsize::new(0),
        })
    }

    /// Wakes lapin's thread, if it sleeps.
    pub fn wake(&self) {
        self.requested.store(true, Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            // It fails only when it would overflow, and then the thread wakes anyway.
            let _ = self.event.write(1);
        }
    }

    /// Sleeps until [`IoWaker::wake`], until `socket` is ready for what is wanted of it, or for so long: `None`. Answers what it is ready for.
    pub fn sleep(&self, socket: Option<(impl AsFd, PollFlags)>, longest: Duration) -> io::Result<Option<PollFlags>> {
        self.asleep.store(true, Ordering::SeqCst);
        if self.requested.swap(false, Ordering::SeqCst) {
            self.asleep.store(false, Ordering::SeqCst);
            return Ok(Some(PollFlags::empty()));
        }
        let event = PollFd::new(self.event.as_fd(), PollFlags::POLLIN);
        let socket = socket.as_ref().map(|(socket, wanted)| PollFd::new(socket.as_fd(), *wanted));
        let mut polled: Vec<PollFd<'_>> = iter::once(event).chain(socket).collect();
        let answer = poll(&mut polled, PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX));
        self.asleep.store(false, Ordering::SeqCst);
        match answer {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(Some(PollFlags::empty())),
            Err(error) => return Err(error.into()),
        }
        if polled[0].any().unwrap_or(true) {
            // Nothing to read means that it is reset already.
            let _ = self.event.read();
        }
        // What is to be sent was queued before each wake so far.
        self.requested.store(false, Ordering::SeqCst);
        Ok(Some(polled.get(1).map_or(PollFlags::empty(), |socket| socket.revents().unwrap_or(socket.events()))))
    }

    /// Wakes the threads that wait for an answer: bytes were read and parsed, or the connection ended.
    pub fn announce(&self) {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *sync::lock(&self.waiting));
        waiting.iter().for_each(Thread::unpark);
    }

    /// Whether a thread waits for something that was sent. lapin's thread has to read the answer.
    pub fn has_requests(&self) -> bool {
        self.requests.load(Ordering::SeqCst) > 0
    }

    /// Runs `future`, which may have something to send, until `deadline`.
    pub fn wait<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        let _request = Request::begin(&self.requests);
        let mut future = pin!(future);
        let waking = poll_fn(|context| {
            let answer = future.as_mut().poll(context);
            // One that is ready has sent nothing: lapin's futures wait at least until what they send is written.
            if answer.is_pending() {
                self.wake();
            }
            answer
        });
        wait::until(deadline, waking)
    }

    /// The same for a future that ends with an answer of the broker. lapin would also wake us when a frame was written; that wake-up is
    /// avoided: the future is polled again after bytes were read.
    pub fn wait_for_answer<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        let _request = Request::begin(&self.requests);
        let mut future = pin!(future);
        let until = deadline.min(Instant::now() + READ_WAIT);
        if let Poll::Ready(output) = self.poll_until_read(until, future.as_mut(), || self.wake()) {
            return Some(output);
        }
        self.wait(deadline, future)
    }

    /// The same for a future that sends nothing. lapin would wake us for the first of several deliveries, and while it holds the lock that
    /// we need to take it. The end of a connection counts as bytes, see [`IoWaker::announce`].
    pub fn wait_for_delivery<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        if let Poll::Ready(output) = self.poll_until_read(deadline, future.as_mut(), || ()) {
            return Some(output);
        }
        wait::until(deadline, future)
    }

    /// Polls `future`; when it is pending, does what `begin` says and waits until bytes were read, or the time is over.
    fn poll_until_read<F: Future>(&self, until: Instant, future: Pin<&mut F>, begin: impl FnOnce()) -> Poll<F::Output> {
        let before = self.reads();
        let answer = future.poll(&mut Context::from_waker(Waker::noop()));
        if answer.is_pending() {
            self.wait_for_read(before, until, begin);
        }
        answer
    }

    /// How often bytes that were read have been parsed.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    /// Does what `begin` says and waits until bytes were parsed after there had been so many `reads`, or the time is over.
    pub fn wait_for_read(&self, before: u64, until: Instant, begin: impl FnOnce()) {
        sync::lock(&self.waiting).push(thread::current());
        begin();
        while self.reads() == before {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
    }
}

/// One thread that waits for something that was sent.
struct Request<'a>(&'a AtomicUsize);

impl<'a> Request<'a> {
    fn begin(requests: &'a AtomicUsize) -> Self {
        requests.fetch_add(1, Ordering::SeqCst);
        Self(requests)
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_wake_before_the_sleep_ends_it_at_once() {
        let (socket, _other) = UnixStream::pair().unwrap();
        let waker = IoWaker::new().unwrap();
        waker.wake();
        let begun = Instant::now();
        assert_eq!(waker.sleep(Some((&socket, PollFlags::POLLIN)), LONG).unwrap(), Some(PollFlags::empty()));
        assert!(begun.elapsed() < LONG);
    }

    #[test]
    fn bytes_on_the_socket_end_the_sleep_and_say_so() {
        let (socket, mut other) = UnixStream::pair().unwrap();
        other.write_all(b"x").unwrap();
        let slept = IoWaker::new().unwrap().sleep(Some((&socket, PollFlags::POLLIN)), LONG).unwrap();
        assert!(slept.unwrap().contains(PollFlags::POLLIN));
    }

    #[test]
    fn a_sleep_without_the_socket_ends_in_time() {
        let waker = IoWaker::new().unwrap();
        assert_eq!(waker.sleep(None::<(UnixStream, PollFlags)>, Duration::from_millis(5)).unwrap(), None);
    }

    #[test]
    fn thousands_of_requests_are_answered_by_a_thread_that_sleeps_in_between() {
        let waker = Arc::new(IoWaker::new().unwrap());
        let (asking, asked) = std::sync::mpsc::channel::<tokio::sync::oneshot::Sender<u32>>();
        let (socket, other) = UnixStream::pair().unwrap();
        let io_thread = thread::spawn({
            let waker = Arc::clone(&waker);
            move || {
                let mut answered = 0;
                while answered < 5000 {
                    waker.sleep(Some((&socket, PollFlags::POLLIN)), LONG).unwrap();
                    while let Ok(question) = asked.try_recv() {
                        question.send(answered).unwrap();
                        answered += 1;
                    }
                    waker.announce();
                }
            }
        });
        for number in 0..5000 {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            asking.send(sender).unwrap();
            assert_eq!(waker.wait_for_answer(Instant::now() + LONG, receiver), Some(Ok(number)));
        }
        io_thread.join().unwrap();
        drop(other);
    }

    #[test]
    fn deliveries_are_waited_for_without_waking_the_io_thread_and_the_end_of_the_connection_ends_the_wait() {
        let waker = Arc::new(IoWaker::new().unwrap());
        let (sender, receiver) = tokio::sync::oneshot::channel::<u32>();
        let io_thread = thread::spawn({
            let waker = Arc::clone(&waker);
            move || {
                while sync::lock(&waker.waiting).is_empty() {
                    thread::yield_now();
                }
                // As when the socket is dropped: what waited is told a moment later.
                waker.announce();
                drop(sender);
            }
        });
        assert!(waker.wait_for_delivery(Instant::now() + LONG, receiver).unwrap().is_err());
        assert!(!waker.requested.load(Ordering::SeqCst));
        io_thread.join().unwrap();
    }

    #[test]
    fn a_future_that_is_ready_wakes_no_io_thread() {
        let waker = IoWaker::new().unwrap();
        assert_eq!(waker.wait_for_answer(Instant::now() + LONG, std::future::ready(7)), Some(7));
        assert_eq!(waker.wait(Instant::now() + LONG, std::future::ready(8)), Some(8));
        assert!(!waker.requested.load(Ordering::SeqCst));
    }

    #[test]
    fn a_future_that_needs_no_bytes_is_polled_again_all_the_same() {
        let waker = IoWaker::new().unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let other = thread::spawn(move || sender.send(7));
        assert_eq!(waker.wait_for_answer(Instant::now() + LONG, receiver), Some(Ok(7)));
        other.join().unwrap().unwrap();
    }
}
