//! Waiting on a plain thread for futures of lapin.
//!
//! They need no runtime of their caller: lapin's I/O thread and our runtime thread do the work. So PHP's thread only parks.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Runs `future` on this thread until `deadline`. `None` when it is not ready by then.
pub fn until<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let parker = Arc::new(Parker { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&parker));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        while !parker.woken.swap(false, Ordering::Acquire) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            thread::park_timeout(left);
        }
    }
}

/// Polls `future` once. `None` when it is not ready then.
pub fn once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Starts all futures before it awaits the first; answers come in order. One after the other, each would cost a round trip.
pub async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut open = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => open = true,
                }
            }
        }
        if open { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// The same for two futures of different types.
pub async fn both<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut other) = (None, None);
    std::future::poll_fn(|context| {
        keep(&mut one, first.as_mut(), context);
        keep(&mut other, second.as_mut(), context);
        match (one.take(), other.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            (left, right) => {
                (one, other) = (left, right);
                Poll::Pending
            }
        }
    })
    .await
}

/// Polls a future unless its output is there.
fn keep<F: Future>(output: &mut Option<F::Output>, future: Pin<&mut F>, context: &mut Context<'_>) {
    if output.is_none()
        && let Poll::Ready(value) = future.poll(context)
    {
        *output = Some(value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_future_that_is_never_ready_ends_at_the_deadline() {
        let until_then = Instant::now() + Duration::from_millis(5);
        assert!(until(until_then, std::future::pending::<()>()).is_none());
        assert!(Instant::now() >= until_then);
    }

    #[test]
    fn a_wake_from_another_thread_ends_the_wait() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let waker = thread::spawn(move || sender.send(7));
        assert_eq!(until(Instant::now() + Duration::from_secs(60), receiver), Some(Ok(7)));
        waker.join().unwrap().unwrap();
    }

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        let (first, second) = (tokio::sync::oneshot::channel(), tokio::sync::oneshot::channel());
        second.0.send(2).unwrap();
        first.0.send(1).unwrap();
        let answers = until(Instant::now() + Duration::from_secs(1), all([first.1, second.1])).unwrap();
        assert_eq!(answers, [Ok(1), Ok(2)]);
    }
}
