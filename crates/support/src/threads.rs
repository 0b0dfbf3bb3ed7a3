//! Threads of our own: they have a name, leave all signals to PHP's thread, and do not panic silently.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};

use ferry_core::{Error, ErrorKind, Result};
use nix::sys::signal::{SigSet, SigmaskHow};

thread_local! {
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread was started by [`spawn`]. Otherwise it is PHP's, for which somebody waits, or one of the AMQP driver's runtime.
pub fn is_ours() -> bool {
    IS_OURS.get()
}

/// Starts the thread `name` with all signals blocked.
///
/// When `run` panics, `on_panic` is called on that thread, after everything that `run` owned was dropped. It is for those who
/// would otherwise wait for the thread for ever or go on without it: mark the state they share as closed, notify them, and hand
/// the panic to a [`PanicSlot`] or a channel that they look at.
pub fn spawn(
    name: &'static str,
    run: impl FnOnce() + Send + 'static,
    on_panic: impl FnOnce(ThreadPanic) + Send + 'static,
) -> Result<JoinHandle<()>> {
    let watched = move || {
        IS_OURS.set(true);
        // Unwind safe: `run` is gone afterwards, and what it shares lies behind locks, see `sync`.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
            on_panic(ThreadPanic { thread: name, message: message_of(&*payload) });
        }
    };
    with_signals_blocked(|| Builder::new().name(name.to_owned()).spawn(watched)).map_err(|error| not_started(name, error))
}

fn not_started(name: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Refused, format!("start the thread `{name}`"))
        .with_source(error)
        .with_advice("check the limits on threads and memory of this process")
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(message), _) => (*message).to_owned(),
        (None, Some(message)) => message.clone(),
        (None, None) => "no message".to_owned(),
    }
}

/// Runs `start` with all signals blocked, and restores the mask after, also when `start` panics.
///
/// Threads that are started inside inherit the block. Without it, pcntl's C handler could run on a thread that PHP does not
/// know. This is for libraries that start threads themselves; a thread of ours is started by [`spawn`].
pub fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    let _restored = SignalMask(SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).ok());
    start()
}

/// A mask that is set again when this is dropped.
struct SignalMask(Option<SigSet>);

impl Drop for SignalMask {
    fn drop(&mut self) {
        if let Some(mask) = &self.0 {
            // Setting a mask that the kernel just handed out cannot fail.
            let _ = mask.thread_set_mask();
        }
    }
}

/// A panic of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadPanic {
    /// The name of the thread.
    pub thread: &'static str,
    /// What it panicked with. Where, the standard library wrote to stderr.
    pub message: String,
}

impl fmt::Display for ThreadPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the thread `{}` panicked: {}", self.thread, self.message)
    }
}

impl std::error::Error for ThreadPanic {}

/// Where threads report a panic to their owner. Clones share it. Looking costs one atomic load.
#[derive(Debug, Clone, Default)]
pub struct PanicSlot(Arc<OnceLock<ThreadPanic>>);

impl PanicSlot {
    /// Keeps the first panic. Those that follow are most likely its consequences.
    pub fn report(&self, panic: ThreadPanic) {
        // Refused means that another thread was first.
        let _ = self.0.set(panic);
    }

    /// The first panic, once there was one.
    pub fn get(&self) -> Option<&ThreadPanic> {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use nix::sys::signal::Signal;

    use super::*;

    #[test]
    fn a_thread_of_ours_knows_that_it_is() {
        let (sender, receiver) = channel();
        let thread = spawn("ferry-test", move || sender.send(is_ours()).unwrap(), |_| ()).unwrap();
        thread.join().unwrap();
        assert!(receiver.recv().unwrap() && !is_ours());
    }

    /// The signals that are blocked in the calling thread. SIGKILL and SIGSTOP never are.
    fn blocked() -> Vec<Signal> {
        let mask = SigSet::thread_get_mask().unwrap();
        Signal::iterator().filter(|signal| mask.contains(*signal)).collect()
    }

    fn can_be_blocked() -> Vec<Signal> {
        Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)).collect()
    }

    fn unexpected(panic: ThreadPanic) {
        unreachable!("{panic}");
    }

    fn panics(sender: Sender<ThreadPanic>) -> impl FnOnce(ThreadPanic) + Send {
        move |panic| sender.send(panic).unwrap()
    }

    #[test]
    fn a_thread_has_its_name_and_blocks_every_signal_and_its_starter_none() {
        // Whatever the test runner was started with.
        SigSet::empty().thread_set_mask().unwrap();
        let (sender, seen) = channel();
        let look = move || sender.send((std::thread::current().name().map(str::to_owned), blocked())).unwrap();
        let thread = spawn("ferry-test", look, unexpected).unwrap();
        assert_eq!(seen.recv().unwrap(), (Some("ferry-test".to_owned()), can_be_blocked()));
        thread.join().unwrap();
        assert_eq!(blocked(), []);
    }

    #[test]
    fn threads_of_a_library_inherit_the_block() {
        let inside = with_signals_blocked(|| std::thread::spawn(blocked)).join().unwrap();
        assert_eq!(inside, can_be_blocked());
    }

    #[test]
    fn the_mask_is_restored_when_the_start_panics() {
        SigSet::empty().thread_set_mask().unwrap();
        assert!(catch_unwind(|| with_signals_blocked(|| panic!("while starting"))).is_err());
        assert_eq!(blocked(), []);
    }

    #[test]
    fn a_panic_reaches_the_owner_with_the_name_of_the_thread() {
        let (sender, seen) = channel();
        let thread = spawn("ferry-literal", || panic!("a literal"), panics(sender.clone())).unwrap();
        assert_eq!(seen.recv().unwrap().to_string(), "the thread `ferry-literal` panicked: a literal");
        thread.join().unwrap();
        let number = 7;
        let thread = spawn("ferry-format", move || panic!("number {number}"), panics(sender.clone())).unwrap();
        assert_eq!(seen.recv().unwrap().message, "number 7");
        thread.join().unwrap();
        let thread = spawn("ferry-other", || std::panic::panic_any(7), panics(sender)).unwrap();
        assert_eq!(seen.recv().unwrap().message, "no message");
        thread.join().unwrap();
    }

    #[test]
    fn the_owner_hears_of_a_panic_after_the_thread_let_go_of_everything() {
        let held = Arc::new(());
        let (theirs, counted) = (Arc::clone(&held), Arc::clone(&held));
        let (sender, seen) = channel();
        let run = move || {
            let _owned = theirs;
            panic!("with something in hand");
        };
        let thread = spawn("ferry-test", run, move |_| sender.send(Arc::strong_count(&counted)).unwrap()).unwrap();
        // Ours and the counting one.
        assert_eq!(seen.recv().unwrap(), 2);
        thread.join().unwrap();
    }

    #[test]
    fn a_slot_keeps_the_first_panic() {
        let slot = PanicSlot::default();
        assert!(slot.get().is_none());
        for (name, message) in [("ferry-first", "one"), ("ferry-second", "two")] {
            let theirs = slot.clone();
            spawn(name, move || panic!("{message}"), move |panic| theirs.report(panic)).unwrap().join().unwrap();
        }
        assert_eq!(slot.get(), Some(&ThreadPanic { thread: "ferry-first", message: "one".to_owned() }));
    }

    #[test]
    fn a_thread_that_cannot_start_is_an_error_with_its_name() {
        let error = not_started("ferry-test", std::io::ErrorKind::OutOfMemory.into());
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(
            error.to_string(),
            "start the thread `ferry-test`: out of memory (check the limits on threads and memory of this process)"
        );
    }
}
