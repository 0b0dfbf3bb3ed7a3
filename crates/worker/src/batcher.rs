//! A queue of items and the thread that sends them in batches. Deletions and statuses are sent this way.
//!
//! A batch that fails is sent again until it succeeds, is refused for good, or the batcher closes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::{Error, Result};
use ferry_support::pause::GrowingPause;
use ferry_support::sync;
use ferry_support::threads::{self, PanicSlot};

/// The sizes and times of one batcher.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// The most items of one batch.
    pub batch: usize,
    /// The most items that wait for the thread; as many as a batch may be on their way besides.
    pub waiting: usize,
    /// How long an incomplete batch waits for more items.
    pub gather: Duration,
    /// How long `push` blocks while no more may wait; after that the oldest item is dropped. `None`: until there is room.
    ///
    /// While sending fails `push` never blocks.
    pub block: Option<Duration>,
    /// The pause before a batch is sent again.
    pub retry: GrowingPause,
}

/// How a batch was sent.
pub enum Sent {
    /// It is done.
    Done,
    /// Send it again.
    Retry(Error),
    /// It was refused and would be refused again.
    Refused(Error),
}

/// What the thread of a batcher does with a batch.
pub trait BatchSink<T>: Send + 'static {
    /// Sends a batch. Called with the same batch again after [`Sent::Retry`].
    fn send(&mut self, batch: &[T]) -> Sent;
}

/// The queue. The thread holds a clone of its `Arc`.
pub struct Batcher<T> {
    limits: BatchLimits,
    state: Mutex<State<T>>,
    filled: Condvar,
    emptied: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// Items of the batch on its way.
    sending: usize,
    /// Why the last batch failed; `None` once one was sent.
    failure: Option<String>,
    /// The first error of an outage, until it is taken.
    unreported: Option<Error>,
    /// How many times sending failed.
    failures: u64,
    idle: bool,
    /// The next batch does not wait for more items.
    urgent: bool,
    closed: bool,
    /// The thread panicked: nothing is sent any more.
    dead: bool,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            sending: 0,
            failure: None,
            unreported: None,
            failures: 0,
            idle: false,
            urgent: false,
            closed: false,
            dead: false,
        }
    }
}

impl<T: Send + 'static> Batcher<T> {
    /// Starts the thread. A panic of it closes the batcher and is reported to `panics`.
    pub fn start(
        name: &'static str,
        limits: BatchLimits,
        sink: impl BatchSink<T>,
        panics: &PanicSlot,
    ) -> Result<(Arc<Self>, JoinHandle<()>)> {
        let batcher = Arc::new(Self::new(limits));
        let (running, panicked, panics) = (batcher.clone(), batcher.clone(), panics.clone());
        let on_panic = move |panic| {
            panics.report(panic);
            panicked.lock().dead = true;
            panicked.close();
        };
        let thread = threads::spawn(name, move || running.serve(sink), on_panic)?;
        Ok((batcher, thread))
    }

    fn serve(&self, mut sink: impl BatchSink<T>) {
        let mut batch = Vec::with_capacity(self.limits.batch);
        while self.next_batch(&mut batch) {
            self.send(&mut sink, &batch);
            batch.clear();
        }
    }

    /// Waits for the first item, then up to `gather` for more. False when the batcher is closed and nothing is left.
    fn next_batch(&self, batch: &mut Vec<T>) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return false;
            }
            state.idle = true;
            state = sync::wait(&self.filled, state);
        }
        state.idle = false;
        if state.waiting.len() < self.limits.batch && !self.limits.gather.is_zero() && !state.closed && !state.urgent {
            state = sync::wait_timeout(&self.filled, state, self.limits.gather);
        }
        state.urgent = false;
        let count = state.waiting.len().min(self.limits.batch);
        batch.extend(state.waiting.drain(..count));
        state.sending = count;
        drop(state);
        self.emptied.notify_all();
        true
    }

    /// Sends one batch until it succeeds, is refused, or the batcher closes.
    fn send(&self, sink: &mut impl BatchSink<T>, batch: &[T]) {
        let mut retry = self.limits.retry;
        loop {
            let (error, again) = match sink.send(batch) {
                Sent::Done => return self.finish_batch(true),
                Sent::Retry(error) => (error, true),
                Sent::Refused(error) => (error, false),
            };
            let mut state = self.lock();
            state.note_failure(error);
            self.emptied.notify_all();
            if !state.closed {
                state = sync::wait_timeout(&self.filled, state, retry.next_pause());
            }
            if state.closed || !again {
                drop(state);
                return self.finish_batch(false);
            }
        }
    }

    fn finish_batch(&self, sent: bool) {
        let mut state = self.lock();
        state.sending = 0;
        if sent {
            state.failure = None;
        } else if state.closed {
            // The process is about to end, and what failed once would only delay it.
            state.waiting.clear();
        }
        drop(state);
        self.emptied.notify_all();
    }
}

impl<T> Batcher<T> {
    fn new(limits: BatchLimits) -> Self {
        Self { limits, state: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// Hands over an item. `merge` may put it into the item that was handed over last, while that one still waits.
    pub fn push(&self, item: T, merge: impl FnOnce(&mut T, T) -> Option<T>) {
        let mut state = self.make_room();
        let rest = match state.waiting.back_mut() {
            Some(last) => merge(last, item),
            None => Some(item),
        };
        state.waiting.extend(rest);
        if self.limits.block.is_some() {
            // The newest items say most.
            let surplus = state.waiting.len().saturating_sub(self.limits.waiting);
            state.waiting.drain(..surplus);
        }
        if state.idle || state.waiting.len() == self.limits.batch {
            state.idle = false;
            self.filled.notify_one();
        }
    }

    /// Blocks while no more items may wait. While sending fails nobody is blocked: the worker must get on to notice the outage.
    fn make_room(&self) -> MutexGuard<'_, State<T>> {
        let mut state = self.lock();
        if state.waiting.len() < self.limits.waiting {
            return state;
        }
        let deadline = self.limits.block.map(|block| Instant::now() + block);
        while state.waiting.len() >= self.limits.waiting && !state.closed && state.failure.is_none() {
            self.filled.notify_one();
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => sync::wait(&self.emptied, state),
                Some(left) if left.is_zero() => break,
                Some(left) => sync::wait_timeout(&self.emptied, state, left),
            };
        }
        state
    }

    /// Whether nothing waits and nothing is on its way.
    pub fn is_empty(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && state.sending == 0
    }

    /// Sends what waits without waiting for more.
    pub fn flush_soon(&self) {
        let mut state = self.lock();
        if !state.waiting.is_empty() && !state.urgent {
            state.urgent = true;
            self.filled.notify_one();
        }
    }

    /// Ends the pause before a batch is sent again.
    pub fn repeat_now(&self) {
        // Under the lock: the thread decides under it to pause.
        drop(self.lock());
        self.filled.notify_all();
    }

    /// Waits until every item is sent, for at most `limit`. Returns how many are left, and why the last batch failed.
    pub fn flush(&self, limit: Duration) -> (usize, Option<String>) {
        self.flush_while(limit, |_| true)
    }

    /// The same, but gives up once sending fails.
    pub fn flush_unless_failing(&self, limit: Duration) {
        let failures = self.lock().failures;
        self.flush_while(limit, |now| now == failures);
    }

    fn flush_while(&self, limit: Duration, goes_on: impl Fn(u64) -> bool) -> (usize, Option<String>) {
        let state = self.lock();
        self.filled.notify_all();
        let is_unsent = |state: &State<T>| !state.waiting.is_empty() || state.sending > 0;
        let waits = |state: &mut State<T>| is_unsent(state) && !state.dead && goes_on(state.failures);
        let state = sync::wait_timeout_while(&self.emptied, state, limit, waits);
        (state.waiting.len() + state.sending, state.failure.clone())
    }

    /// The first error of an outage, once.
    pub fn take_failure(&self) -> Option<Error> {
        self.lock().unreported.take()
    }

    /// Ends the thread: it sends what waits, unless sending fails.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        drop(state);
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        sync::lock(&self.state)
    }
}

impl<T> State<T> {
    fn note_failure(&mut self, error: Error) {
        self.failures += 1;
        if self.failure.replace(error.to_string()).is_none() {
            self.unreported = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_core::ErrorKind;
    use std::sync::mpsc::{Receiver, Sender, channel};

    fn limits() -> BatchLimits {
        let retry = GrowingPause::new(Duration::from_millis(1), Duration::from_millis(1));
        BatchLimits { batch: 2, waiting: 3, gather: Duration::ZERO, block: Some(Duration::ZERO), retry }
    }

    fn append(_: &mut u32, item: u32) -> Option<u32> {
        Some(item)
    }

    /// Shows each batch, then does as the test says.
    struct Scripted(Sender<Vec<u32>>, Receiver<Sent>);

    impl BatchSink<u32> for Scripted {
        fn send(&mut self, batch: &[u32]) -> Sent {
            self.0.send(batch.to_vec()).unwrap();
            self.1.recv().unwrap_or(Sent::Done)
        }
    }

    fn refusal() -> Error {
        Error::new(ErrorKind::Refused, "no")
    }

    #[test]
    fn the_oldest_items_are_dropped_when_too_many_wait_and_items_can_be_merged() {
        let batcher = Batcher::new(limits());
        (0..5).for_each(|item| batcher.push(item, append));
        assert_eq!(batcher.lock().waiting, [2, 3, 4]);
        batcher.push(40, |last, item| {
            *last = item;
            None
        });
        assert_eq!(batcher.lock().waiting, [2, 3, 40]);
    }

    #[test]
    fn a_batch_is_sent_again_until_it_succeeds_and_a_refused_one_holds_up_no_other() {
        let ((shows, shown), (says, script)) = (channel(), channel());
        let (batcher, thread) = Batcher::start("ferry-test", limits(), Scripted(shows, script), &PanicSlot::default()).unwrap();
        batcher.push(1, append);
        for _ in 0..3 {
            assert_eq!(shown.recv().unwrap(), [1]);
            says.send(Sent::Retry(refusal())).unwrap();
        }
        assert_eq!(shown.recv().unwrap(), [1]);
        assert!(batcher.take_failure().is_some() && batcher.take_failure().is_none(), "an outage is reported once");
        batcher.push(2, append);
        says.send(Sent::Refused(refusal())).unwrap();
        assert_eq!(shown.recv().unwrap(), [2]);
        says.send(Sent::Done).unwrap();
        assert_eq!(batcher.flush(Duration::from_secs(60)), (0, None));
        batcher.close();
        thread.join().unwrap();
    }

    #[test]
    fn the_pause_before_a_batch_is_sent_again_can_be_cut_short() {
        let ((shows, shown), (says, script)) = (channel(), channel());
        let retry = GrowingPause::new(Duration::from_secs(600), Duration::from_secs(600));
        let limits = BatchLimits { retry, ..limits() };
        let (batcher, thread) = Batcher::start("ferry-test", limits, Scripted(shows, script), &PanicSlot::default()).unwrap();
        batcher.push(1, append);
        assert_eq!(shown.recv().unwrap(), [1]);
        says.send(Sent::Retry(refusal())).unwrap();
        while shown.try_recv().is_err() {
            batcher.repeat_now();
        }
        says.send(Sent::Done).unwrap();
        assert_eq!(batcher.flush(Duration::from_secs(60)), (0, None));
        batcher.close();
        thread.join().unwrap();
    }

    #[test]
    fn a_batcher_that_closes_while_sending_fails_lets_go() {
        let ((shows, shown), (says, script)) = (channel(), channel());
        let (batcher, thread) = Batcher::start("ferry-test", limits(), Scripted(shows, script), &PanicSlot::default()).unwrap();
        batcher.push(1, append);
        shown.recv().unwrap();
        batcher.close();
        says.send(Sent::Retry(refusal())).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn a_thread_that_panics_is_reported_and_blocks_nobody() {
        struct Panics;
        impl BatchSink<u32> for Panics {
            fn send(&mut self, _: &[u32]) -> Sent {
                panic!("while sending")
            }
        }
        let panics = PanicSlot::default();
        let forever = BatchLimits { block: None, ..limits() };
        let (batcher, thread) = Batcher::start("ferry-test", forever, Panics, &panics).unwrap();
        (0..9).for_each(|item| batcher.push(item, append));
        assert!(batcher.flush(Duration::from_secs(60)).0 > 0);
        thread.join().unwrap();
        assert_eq!(panics.get().unwrap().message, "while sending");
    }
}
