//! How the worker's clock reaches PHP: it sets the engine's interrupt flag, and our hook, on PHP's thread, raises what is due.
//!
//! The clock's thread touches two things of PHP's: the atomic interrupt flag, and the thread's id for one signal that ends
//! blocking calls. It is never sent twice for one step: PHP restarts a poll with its full time after each interruption.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};

use ext_php_rs::ffi::{executor_globals, zend_execute_data, zend_interrupt_function};
use ferry_worker::{Interrupter, StopRequest, TimeoutStage, exit};

use crate::classes::exceptions::{self, Class};
use crate::handler::StopRequests;
use crate::zend::engine::{zend_throw_graceful_exit, zend_throw_unwind_exit};
use crate::zend::{call, signals};

type Hook = unsafe extern "C" fn(*mut zend_execute_data);

const QUIET: u8 = 0;
const WARN: u8 = 1;
const ASK: u8 = 2;
const MAKE: u8 = 3;

/// The step that the hook still has to carry out.
static DUE: AtomicU8 = AtomicU8::new(QUIET);
/// Whether the job at hand was asked to leave.
static ASKED: AtomicBool = AtomicBool::new(false);
/// Whether that was because the worker was told to leave.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The engine's interrupt flag.
static FLAG: AtomicPtr<AtomicBool> = AtomicPtr::new(std::ptr::null_mut());
/// PHP's thread.
static THREAD: AtomicU64 = AtomicU64::new(0);
/// The hook that was there before us.
static FORMER: std::sync::OnceLock<Option<Hook>> = std::sync::OnceLock::new();

/// The way from the clock to PHP's thread.
pub struct PhpInterrupter {
    wishes: Arc<StopRequests>,
}

impl PhpInterrupter {
    /// Gets ready to ring. Called on PHP's thread, before the clock starts.
    pub fn hang(wishes: Arc<StopRequests>) -> Self {
        // SAFETY: the flag lives as long as the process; on its own address it is only ever read and written atomically, here
        // and in the engine. The handler does nothing, so it is safe whenever it runs.
        unsafe {
            FLAG.store((&raw mut executor_globals.vm_interrupt).cast::<AtomicBool>(), Ordering::Relaxed);
            THREAD.store(libc::pthread_self(), Ordering::Relaxed);
            let mut action: libc::sigaction = std::mem::zeroed();
            // Without SA_RESTART: a blocking call is to return.
            action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
            libc::sigaction(kick(), &raw const action, std::ptr::null_mut());
        }
        DUE.store(QUIET, Ordering::Relaxed);
        ASKED.store(false, Ordering::Relaxed);
        INTERRUPTED.store(false, Ordering::Relaxed);
        Self { wishes }
    }
}

extern "C" fn nothing(_: c_int) {}

/// A real-time signal that neither PHP nor common extensions use.
fn kick() -> c_int {
    libc::SIGRTMIN() + 7
}

impl Interrupter for PhpInterrupter {
    fn enter(&self, stage: TimeoutStage) {
        let due = match stage {
            TimeoutStage::Warn => WARN,
            TimeoutStage::GracefulExit => ASK,
            TimeoutStage::UnwindExit => MAKE,
            TimeoutStage::KillProcess => leave(),
        };
        if stage == TimeoutStage::GracefulExit {
            ASKED.store(true, Ordering::SeqCst);
        }
        DUE.store(due, Ordering::SeqCst);
        // SAFETY: the flag's address is the engine's, which outlives every thread of ours.
        if let Some(flag) = unsafe { FLAG.load(Ordering::Relaxed).as_ref() } {
            flag.store(true, Ordering::SeqCst);
        }
        if stage != TimeoutStage::UnwindExit {
            // SAFETY: PHP's thread runs the worker for as long as its clock rings; the signal has a handler.
            unsafe { libc::pthread_kill(THREAD.load(Ordering::Relaxed), kick()) };
        }
    }

    fn stop_request(&self) -> StopRequest {
        match signals::asked() {
            StopRequest::No if self.wishes.stops() => StopRequest::Politely,
            asked => asked,
        }
    }

    fn begin_interruption(&self) {
        INTERRUPTED.store(true, Ordering::SeqCst);
    }

    fn clear(&self) {
        clear();
    }
}

/// The job did not leave. Everything is settled; other threads may be anywhere, so nothing is torn down.
fn leave() -> ! {
    use std::io::Write;
    let when = if INTERRUPTED.load(Ordering::SeqCst) { "its worker was told to leave" } else { "its time was over" };
    let _ = writeln!(std::io::stderr(), "ferry: a job did not leave when {when}; the process ends with {}", exit::TIMED_OUT);
    // SAFETY: ends the process without running any destructor or exit handler, which is the point.
    unsafe { libc::_exit(exit::TIMED_OUT.into()) }
}

/// Whether the job at hand was asked to leave, so that an exit on its way is ours and not the handler's.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Forgets what is due: the job is over.
pub fn clear() {
    DUE.store(QUIET, Ordering::SeqCst);
    ASKED.store(false, Ordering::SeqCst);
    INTERRUPTED.store(false, Ordering::SeqCst);
}

/// Chains our hook. Called at module start.
pub fn install() {
    // SAFETY: module start runs on one thread before any code; the former hook is kept for ever.
    unsafe {
        FORMER.get_or_init(|| zend_interrupt_function);
        zend_interrupt_function = Some(on_interrupt);
    }
}

/// Raises what is due, on PHP's thread, between two instructions of PHP.
unsafe extern "C" fn on_interrupt(execute_data: *mut zend_execute_data) {
    if let Some(Some(former)) = FORMER.get() {
        // SAFETY: the engine's own argument, passed on.
        unsafe { former(execute_data) };
    }
    if DUE.load(Ordering::Relaxed) == QUIET {
        return;
    }
    if call::has_exception() {
        // Something else is on its way; come again.
        // SAFETY: as in `ring`.
        if let Some(flag) = unsafe { FLAG.load(Ordering::Relaxed).as_ref() } {
            flag.store(true, Ordering::SeqCst);
        }
        return;
    }
    // A panic must not cross into the engine; nothing below has reason to.
    let _ = std::panic::catch_unwind(|| raise(DUE.swap(QUIET, Ordering::SeqCst)));
}

fn raise(due: u8) {
    match due {
        WARN => exceptions::make(Class::Timeout, "this job's timeout is near".to_owned()).throw(),
        // SAFETY: on PHP's thread, called by the engine where it expects exceptions; none is pending.
        ASK => unsafe { zend_throw_graceful_exit() },
        // SAFETY: as above.
        MAKE => unsafe { zend_throw_unwind_exit() },
        _ => {}
    }
}
