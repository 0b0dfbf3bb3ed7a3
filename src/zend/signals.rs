//! SIGTERM, SIGINT and SIGQUIT while a worker runs: finish the current job, then leave.
//!
//! PHP's own handlers win: a signal that pcntl (or anybody) has taken is left alone, before and during the run.
//!
//! Most builds of PHP put a handler of the engine in front of everybody's (Zend signals); then the engine must be asked who
//! handles a signal, and told. Builds without it lack the function, so it is looked up when first needed.

use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

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
    taken: Vec<c_int>,
}

impl Watch {
    /// Takes over the signals that nobody handles yet.
    pub fn start() -> Self {
        CAUGHT.store(false, Ordering::Relaxed);
        let signals = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT];
        let taken = signals.into_iter().filter(|signal| handler(*signal) == Some(libc::SIG_DFL)).collect::<Vec<_>>();
        for signal in &taken {
            handle(*signal, note as extern "C" fn(c_int) as libc::sighandler_t);
        }
        Self { taken }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for signal in &self.taken {
            // Whoever took the signal over meanwhile keeps it.
            if handler(*signal) == Some(note as extern "C" fn(c_int) as libc::sighandler_t) {
                handle(*signal, libc::SIG_DFL);
            }
        }
    }
}

type Sigaction = unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;

/// The engine's `zend_sigaction`, where it has one, else the system's.
fn sigaction() -> Sigaction {
    static FOUND: OnceLock<Sigaction> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // SAFETY: looks a name up among the symbols of the process; when it is there it is the engine's function, which has the
        // signature of sigaction(2).
        unsafe {
            let found = libc::dlsym(libc::RTLD_DEFAULT, c"zend_sigaction".as_ptr());
            if found.is_null() { libc::sigaction } else { std::mem::transmute::<*mut libc::c_void, Sigaction>(found) }
        }
    })
}

/// Who handles a signal now.
fn handler(signal: c_int) -> Option<libc::sighandler_t> {
    // SAFETY: an all-zero sigaction is a valid one to be filled; nothing is changed.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        (sigaction()(signal, std::ptr::null(), &raw mut now) == 0).then_some(now.sa_sigaction)
    }
}

/// Lets `handler` handle a signal, without SA_RESTART: a handler of PHP that sleeps or polls is woken, as pcntl would.
fn handle(signal: c_int, handler: libc::sighandler_t) {
    // SAFETY: `note` is async-signal-safe, one atomic store, and SIG_DFL is always valid.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        libc::sigemptyset(&raw mut action.sa_mask);
        sigaction()(signal, &raw const action, std::ptr::null_mut());
    }
}
