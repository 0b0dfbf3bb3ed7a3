//! Signals while a worker runs: TERM, INT, QUIT and HUP let it finish the current job and leave, a second one at once; USR2 lets it
//! pause and CONT go on.
//!
//! PHP's own handlers win: a signal that pcntl (or anybody) has taken is left alone, before and during the run.
//!
//! Most builds of PHP put a handler of the engine in front of everybody's (Zend signals); then the engine must be asked who
//! handles a signal, and told. Builds without it lack the function, so it is looked up when first needed.

use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use ferry_client::process;
use ferry_worker::StopRequest;

use crate::zend::engine::ZendSigaction;

/// How many watches are open: a handler may run another worker.
static OPEN: AtomicU32 = AtomicU32::new(0);
/// When a signal first asked the worker to leave, in milliseconds since the machine started; 0 for never.
static FIRST: AtomicI64 = AtomicI64::new(0);
/// Whether a second one came.
static AGAIN: AtomicBool = AtomicBool::new(false);
/// Whether a signal asked it to pause.
static PAUSED: AtomicBool = AtomicBool::new(false);
/// Whether CONT is ours to handle.
static MAY_CONTINUE: AtomicBool = AtomicBool::new(false);

/// One Ctrl-C reaches a whole process group, and a supervisor may pass it on: signals so close together are one.
const TOGETHER_MS: i64 = 500;

extern "C" fn leave(_: c_int) {
    let now = milliseconds().max(1);
    match FIRST.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
        Err(first) if now - first >= TOGETHER_MS => AGAIN.store(true, Ordering::Relaxed),
        _ => {}
    }
}

extern "C" fn pause(_: c_int) {
    PAUSED.store(true, Ordering::Relaxed);
    if MAY_CONTINUE.load(Ordering::Relaxed) {
        continue_with(go_on as extern "C" fn(c_int) as libc::sighandler_t);
    }
}

extern "C" fn go_on(_: c_int) {
    PAUSED.store(false, Ordering::Relaxed);
    continue_with(libc::SIG_DFL);
}

/// Handles CONT only while paused: a handler would cut short the `sleep()` of a job whose process was stopped and continued.
///
/// The engine does not stand before CONT, so the system is told directly, which a signal handler may do.
fn continue_with(handler: libc::sighandler_t) {
    // SAFETY: sigaction(2) is async-signal-safe; the action is a valid one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGCONT, &raw const action, std::ptr::null_mut());
    }
}

fn milliseconds() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime(2) is async-signal-safe and fills what it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

/// Whether signals asked the worker to leave, and how urgently.
pub fn asked() -> StopRequest {
    match (FIRST.load(Ordering::Relaxed), AGAIN.load(Ordering::Relaxed)) {
        (0, _) => StopRequest::No,
        (_, false) => StopRequest::Politely,
        (_, true) => StopRequest::Again,
    }
}

/// Whether a signal asked it to pause.
pub fn paused() -> bool {
    PAUSED.load(Ordering::Relaxed)
}

/// Forgets what the parent was asked: this is a forked child. Nothing but atomic operations, as a child needs it.
pub fn forked() {
    OPEN.store(0, Ordering::Relaxed);
    forget_requests();
    PAUSED.store(false, Ordering::Relaxed);
}

fn forget_requests() {
    FIRST.store(0, Ordering::Relaxed);
    AGAIN.store(false, Ordering::Relaxed);
}

/// Our handlers, from now until this is dropped. A request to leave reaches every worker that is open, the outer one of a nested one too,
/// and is answered when the outermost ends.
pub struct SignalWatch {
    taken: Vec<(c_int, libc::sighandler_t)>,
    born: u64,
    keeps_request: bool,
}

impl SignalWatch {
    /// Takes over the signals that nobody handles yet.
    pub fn start() -> Self {
        if OPEN.fetch_add(1, Ordering::Relaxed) == 0 {
            PAUSED.store(false, Ordering::Relaxed);
            MAY_CONTINUE.store(handler(libc::SIGCONT) == Some(libc::SIG_DFL), Ordering::Relaxed);
        }
        let leave = leave as extern "C" fn(c_int) as libc::sighandler_t;
        let pause = pause as extern "C" fn(c_int) as libc::sighandler_t;
        let leaving = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP].map(|signal| (signal, leave));
        let signals = leaving.into_iter().chain([(libc::SIGUSR2, pause)]);
        let taken = signals.filter(|(signal, _)| handler(*signal) == Some(libc::SIG_DFL)).collect::<Vec<_>>();
        for (signal, ours) in &taken {
            handle(*signal, *ours);
        }
        Self { taken, born: process::generation(), keeps_request: false }
    }

    /// A watch for one job of a loop that PHP code writes: a request to leave is kept for the next call.
    pub fn start_for_one() -> Self {
        let mut watch = Self::start();
        watch.keeps_request = true;
        watch
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        for (signal, ours) in &self.taken {
            // Whoever took the signal over meanwhile keeps it.
            if handler(*signal) == Some(*ours) {
                handle(*signal, libc::SIG_DFL);
            }
        }
        let is_parent = process::generation() == self.born;
        if !is_parent || OPEN.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        if paused() {
            go_on(libc::SIGCONT);
        }
        if !self.keeps_request {
            forget_requests();
        }
    }
}

/// The engine's `zend_sigaction`, where it has one. It answers nothing: what it did is seen in what it filled in.
fn zend_sigaction() -> Option<ZendSigaction> {
    static FOUND: OnceLock<Option<ZendSigaction>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // SAFETY: looks a name up among the symbols of the process; when it is there it is the engine's function, whose type the
        // build compared with the headers.
        unsafe {
            let found = libc::dlsym(libc::RTLD_DEFAULT, c"zend_sigaction".as_ptr());
            (!found.is_null()).then(|| std::mem::transmute::<*mut libc::c_void, ZendSigaction>(found))
        }
    })
}

/// sigaction(2), through the engine where the engine stands before everybody's handlers.
///
/// # Safety
///
/// Both are null or point to a valid action, and a new handler is async-signal-safe.
unsafe fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) {
    // SAFETY: as the caller says.
    unsafe {
        match zend_sigaction() {
            Some(ask) => ask(signal, new, old),
            None => {
                libc::sigaction(signal, new, old);
            }
        }
    }
}

/// No handler: what is still there when nothing was filled in.
const UNKNOWN: libc::sighandler_t = libc::sighandler_t::MAX;

/// Who handles a signal now. `None` when the system does not say.
fn handler(signal: c_int) -> Option<libc::sighandler_t> {
    // SAFETY: an all-zero sigaction is a valid one to be filled; nothing is changed.
    let now = unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        now.sa_sigaction = UNKNOWN;
        sigaction(signal, std::ptr::null(), &raw mut now);
        now.sa_sigaction
    };
    (now != UNKNOWN).then_some(now)
}

/// Lets `handler` handle a signal, without SA_RESTART: a handler of PHP that sleeps or polls is woken, as pcntl would.
fn handle(signal: c_int, handler: libc::sighandler_t) {
    // SAFETY: our handlers are async-signal-safe: atomic stores, a clock, sigaction(2). SIG_DFL is always valid.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        libc::sigemptyset(&raw mut action.sa_mask);
        sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}
