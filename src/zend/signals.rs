//! SIGTERM, SIGINT and SIGQUIT while a worker runs: finish the current job, then leave.
//!
//! PHP's own handlers win: a signal that pcntl (or anybody) has taken is left alone, before and during the run.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static CAUGHT: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: c_int) {
    CAUGHT.store(true, Ordering::Relaxed);
}

/// Whether a signal asked the worker to stop.
pub fn caught() -> bool {
    CAUGHT.load(Ordering::Relaxed)
}

/// Our handlers, from now until this is dropped.
pub struct Watch {
    taken: Vec<Signal>,
}

impl Watch {
    /// Takes over the signals that nobody handles yet.
    pub fn start() -> Self {
        CAUGHT.store(false, Ordering::Relaxed);
        let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];
        Self { taken: signals.into_iter().filter(|signal| take(*signal)).collect() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for signal in &self.taken {
            give_back(*signal);
        }
    }
}

fn ours() -> SigAction {
    // Without SA_RESTART: a handler that sleeps or polls is woken, as pcntl would.
    SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty())
}

fn default() -> SigAction {
    SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty())
}

fn take(signal: Signal) -> bool {
    // SAFETY: `note` is async-signal-safe, one atomic store. What was there before is put back when it was not the default.
    unsafe {
        match sigaction(signal, &ours()) {
            Ok(before) if matches!(before.handler(), SigHandler::SigDfl) => true,
            Ok(before) => {
                let _ = sigaction(signal, &before);
                false
            }
            Err(_) => false,
        }
    }
}

fn give_back(signal: Signal) {
    // SAFETY: restores the default, unless somebody took the signal over meanwhile.
    unsafe {
        if let Ok(now) = sigaction(signal, &default())
            && !matches!(now.handler(), SigHandler::Handler(handler) if std::ptr::fn_addr_eq(handler, note as extern "C" fn(c_int)))
        {
            let _ = sigaction(signal, &now);
        }
    }
}
