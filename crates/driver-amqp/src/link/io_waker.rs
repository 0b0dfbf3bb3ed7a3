//! Two threads wake each other: ours, which waits for an answer, and the library's, which sleeps on the socket.
//!
//! A word should cost two wake-ups: the library's thread once, when there is something to send, and ours once, when the answer was read.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::wait;

/// The longest sleep. Nobody who has something to send forgets to ring; this is for what the library does on its own account.
const LONGEST_SLEEP: u16 = 1000;
/// How long to wait for the first news. A future that is ready for another reason than news is asked then.
const PATIENCE: Duration = Duration::from_millis(100);

/// One connection's bell.
pub struct IoWaker {
    event: EventFd,
    /// Something may be there to be sent.
    rung: AtomicBool,
    /// The library's thread sleeps, or is about to.
    asleep: AtomicBool,
    /// How often what was read has been handed out.
    news: AtomicU64,
    waiting: Mutex<Vec<Thread>>,
}

impl IoWaker {
    /// A bell that nobody rang.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            event: EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            rung: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            news: AtomicU64::new(0),
            waiting: Mutex::default(),
        })
    }

    /// Wakes the library's thread, if it sleeps.
    pub fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            // It fails only when it would overflow, and then it is rung already.
            let _ = self.event.write(1);
        }
    }

    /// Sleeps until the bell is rung or `socket` is ready for `wanted`. Answers what it is ready for.
    pub fn sleep(&self, socket: impl AsFd, wanted: PollFlags) -> io::Result<PollFlags> {
        self.asleep.store(true, Ordering::SeqCst);
        if self.rung.swap(false, Ordering::SeqCst) {
            self.asleep.store(false, Ordering::SeqCst);
            return Ok(PollFlags::empty());
        }
        let mut polled = [PollFd::new(socket.as_fd(), wanted), PollFd::new(self.event.as_fd(), PollFlags::POLLIN)];
        let answer = poll(&mut polled, PollTimeout::from(LONGEST_SLEEP));
        self.asleep.store(false, Ordering::SeqCst);
        match answer {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(PollFlags::empty()),
            Err(error) => return Err(error.into()),
        }
        if polled[1].any().unwrap_or(true) {
            // Nothing to read means that it is as silent as it should be.
            let _ = self.event.read();
        }
        // Whoever rang so far has put down before what is to be sent.
        self.rung.store(false, Ordering::SeqCst);
        Ok(polled[0].revents().unwrap_or(wanted))
    }

    /// What was read has been handed out.
    pub fn tell(&self) {
        self.news.fetch_add(1, Ordering::SeqCst);
        for thread in std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)) {
            thread.unpark();
        }
    }

    /// Runs `future`, which may have something to send, until `deadline`.
    pub fn wait<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let ringing = poll_fn(|context| {
            let answer = future.as_mut().poll(context);
            self.ring();
            answer
        });
        wait::until(deadline, ringing)
    }

    /// The same for a future that ends with an answer of the broker. The library also wakes whoever waits when a frame was written; that wake-up
    /// is spared: the future is asked again after the first news.
    pub fn wait_for_answer<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let before = self.news.load(Ordering::SeqCst);
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            self.ring();
            return Some(output);
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(thread::current());
        self.ring();
        let patience = deadline.min(Instant::now() + PATIENCE);
        while self.news.load(Ordering::SeqCst) == before {
            let left = patience.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        self.wait(deadline, future)
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
    fn a_ring_before_the_sleep_is_not_slept_through() {
        let (socket, _other) = UnixStream::pair().unwrap();
        let bell = IoWaker::new().unwrap();
        bell.ring();
        let begun = Instant::now();
        assert!(bell.sleep(&socket, PollFlags::POLLIN).unwrap().is_empty());
        assert!(begun.elapsed() < Duration::from_millis(u64::from(LONGEST_SLEEP)));
    }

    #[test]
    fn bytes_on_the_socket_end_the_sleep_and_say_so() {
        let (socket, mut other) = UnixStream::pair().unwrap();
        other.write_all(b"x").unwrap();
        assert!(IoWaker::new().unwrap().sleep(&socket, PollFlags::POLLIN).unwrap().contains(PollFlags::POLLIN));
    }

    #[test]
    fn thousands_of_words_are_answered_by_a_thread_that_sleeps_in_between() {
        let bell = Arc::new(IoWaker::new().unwrap());
        let (asking, asked) = std::sync::mpsc::channel::<tokio::sync::oneshot::Sender<u32>>();
        let (socket, other) = UnixStream::pair().unwrap();
        let library = thread::spawn({
            let bell = Arc::clone(&bell);
            move || {
                let mut answered = 0;
                while answered < 5000 {
                    bell.sleep(&socket, PollFlags::POLLIN).unwrap();
                    while let Ok(question) = asked.try_recv() {
                        question.send(answered).unwrap();
                        answered += 1;
                    }
                    bell.tell();
                }
            }
        });
        for number in 0..5000 {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            asking.send(sender).unwrap();
            assert_eq!(bell.wait_for_answer(Instant::now() + LONG, receiver), Some(Ok(number)));
        }
        library.join().unwrap();
        drop(other);
    }

    #[test]
    fn a_future_that_needs_no_news_is_asked_again_all_the_same() {
        let bell = IoWaker::new().unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let other = thread::spawn(move || sender.send(7));
        assert_eq!(bell.wait_for_answer(Instant::now() + LONG, receiver), Some(Ok(7)));
        other.join().unwrap().unwrap();
    }
}
