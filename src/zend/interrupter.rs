//! How the worker's clock reaches PHP: it sets the engine's interrupt flag, and our hook, on PHP's thread, raises what is due.
//!
//! The clock's thread touches two things of PHP's: the atomic interrupt flag, and the thread's id for one signal that ends
//! blocking calls. It is never sent twice for one step: PHP restarts a poll with its full time after each interruption.
//!
//! A handler may run another worker, which has a clock of its own: each has its alarm, and what one raised is told from what the other
//! did.

use std::cell::RefCell;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU64, Ordering};

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

/// The engine's interrupt flag.
static FLAG: AtomicPtr<AtomicBool> = AtomicPtr::new(std::ptr::null_mut());
/// PHP's thread.
static THREAD: AtomicU64 = AtomicU64::new(0);
/// The signal that ends blocking calls.
static KICK: AtomicI32 = AtomicI32::new(0);
/// The hook that was there before us.
static FORMER: std::sync::OnceLock<Option<Hook>> = std::sync::OnceLock::new();

thread_local! {
    /// The alarms of the workers that run, the outermost first.
    static ALARMS: RefCell<Vec<Arc<JobInterrupt>>> = const { RefCell::new(Vec::new()) };
}

/// What the clock of one worker asks of its job.
#[derive(Default)]
struct JobInterrupt {
    /// The step that the hook still has to carry out.
    due: AtomicU8,
    /// Whether the hook made the job leave: an exit on its way is ours and not the handler's.
    raised: AtomicBool,
    /// Whether that was because the worker was told to leave.
    interrupted: AtomicBool,
    /// The call of PHP in which the worker runs.
    frame: AtomicPtr<zend_execute_data>,
}

impl JobInterrupt {
    fn clear(&self) {
        self.due.store(QUIET, Ordering::SeqCst);
        self.raised.store(false, Ordering::SeqCst);
        self.interrupted.store(false, Ordering::SeqCst);
    }

    /// Whether the worker is beneath the code that runs now. In a fiber that is suspended it is not.
    fn is_beneath(&self) -> bool {
        let wanted = self.frame.load(Ordering::Relaxed);
        // SAFETY: on PHP's thread: the frames from the current one on are live, and each points to its caller. A fiber's bottom frame
        // points to the frame that resumed it.
        unsafe {
            let mut frame = executor_globals.current_execute_data;
            while !frame.is_null() && frame != wanted {
                frame = (*frame).prev_execute_data;
            }
            !frame.is_null()
        }
    }
}

/// The way from the clock to PHP's thread.
pub struct PhpInterrupter {
    wishes: Arc<StopRequests>,
    alarm: Arc<JobInterrupt>,
}

/// The interrupter of a worker, on PHP's thread, until the worker ends.
pub struct Hung(Arc<PhpInterrupter>);

impl Hung {
    /// Gets ready to ring. Called in the method that runs the worker, before its clock starts.
    pub fn new(wishes: Arc<StopRequests>) -> Self {
        let alarm = Arc::new(JobInterrupt::default());
        // SAFETY: on PHP's thread. The flag lives as long as the process; on its own address it is only ever read and written
        // atomically, here and in the engine.
        unsafe {
            FLAG.store((&raw mut executor_globals.vm_interrupt).cast::<AtomicBool>(), Ordering::Relaxed);
            THREAD.store(libc::pthread_self(), Ordering::Relaxed);
            alarm.frame.store(executor_globals.current_execute_data, Ordering::Relaxed);
        }
        KICK.store(free_signal(), Ordering::Relaxed);
        ALARMS.with_borrow_mut(|alarms| alarms.push(alarm.clone()));
        Self(Arc::new(PhpInterrupter { wishes, alarm }))
    }

    /// For the clock.
    pub fn interrupter(&self) -> Arc<PhpInterrupter> {
        self.0.clone()
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        ALARMS.with_borrow_mut(|alarms| alarms.retain(|alarm| !Arc::ptr_eq(alarm, &self.0.alarm)));
    }
}

extern "C" fn nothing(_: c_int) {}

/// The first real-time signal from the eighth on that nobody handles, with a handler of ours that does nothing. Whoever took one keeps it.
fn free_signal() -> c_int {
    let ours = nothing as extern "C" fn(c_int) as libc::sighandler_t;
    let first = libc::SIGRTMIN() + 7;
    let is_free = |signal: &c_int| {
        // SAFETY: an all-zero sigaction is a valid one to be filled; nothing is changed.
        let now = unsafe {
            let mut now: libc::sigaction = std::mem::zeroed();
            libc::sigaction(*signal, std::ptr::null(), &raw mut now);
            now.sa_sigaction
        };
        now == libc::SIG_DFL || now == ours
    };
    let signal = (first..libc::SIGRTMAX()).find(is_free).unwrap_or(first);
    // SAFETY: the handler does nothing, so it is safe whenever it runs.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        // Without SA_RESTART: a blocking call is to return.
        action.sa_sigaction = ours;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
    signal
}

impl Interrupter for PhpInterrupter {
    fn enter(&self, stage: TimeoutStage) {
        let due = match stage {
            TimeoutStage::Warn => WARN,
            TimeoutStage::GracefulExit => ASK,
            TimeoutStage::UnwindExit => MAKE,
            TimeoutStage::KillProcess => leave(self.alarm.interrupted.load(Ordering::SeqCst)),
        };
        self.alarm.due.store(due, Ordering::SeqCst);
        set_flag();
        if stage != TimeoutStage::UnwindExit {
            // SAFETY: PHP's thread runs the worker for as long as its clock rings; the signal has a handler.
            unsafe { libc::pthread_kill(THREAD.load(Ordering::Relaxed), KICK.load(Ordering::Relaxed)) };
        }
    }

    fn remind(&self) {
        if self.alarm.due.load(Ordering::SeqCst) != QUIET {
            set_flag();
        }
    }

    fn stop_request(&self) -> StopRequest {
        match signals::asked() {
            StopRequest::No if self.wishes.stops() => StopRequest::Politely,
            asked => asked,
        }
    }

    fn begin_interruption(&self) {
        self.alarm.interrupted.store(true, Ordering::SeqCst);
    }

    fn clear(&self) {
        self.alarm.clear();
    }
}

impl PhpInterrupter {
    /// Whether the job at hand was made to leave, so that an exit on its way is ours and not the handler's.
    pub fn has_raised(&self) -> bool {
        self.alarm.raised.load(Ordering::SeqCst)
    }
}

/// Whether any worker that runs made its job leave: the exit on its way may be for the job of an outer worker.
pub fn any_has_raised() -> bool {
    ALARMS.with_borrow(|alarms| alarms.iter().any(|alarm| alarm.raised.load(Ordering::SeqCst)))
}

/// Lets the engine come to our hook.
fn set_flag() {
    // SAFETY: the flag's address is the engine's, which outlives every thread of ours.
    if let Some(flag) = unsafe { FLAG.load(Ordering::Relaxed).as_ref() } {
        flag.store(true, Ordering::SeqCst);
    }
}

/// The job did not leave. Everything is settled; other threads may be anywhere, so nothing is torn down.
fn leave(interrupted: bool) -> ! {
    use std::io::Write;
    let when = if interrupted { "its worker was told to leave" } else { "its time was over" };
    let _ = writeln!(std::io::stderr(), "ferry: a job did not leave when {when}; the process ends with {}", exit::TIMED_OUT);
    // SAFETY: ends the process without running any destructor or exit handler, which is the point.
    unsafe { libc::_exit(exit::TIMED_OUT.into()) }
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
    // A panic must not cross into the engine; nothing below has reason to.
    let _ = std::panic::catch_unwind(raise_due);
}

/// Raises the outermost step that is due, in the code that it is meant for. What cannot be raised now comes again when the clock reminds
/// us: another exception is on its way, or the job is in a fiber that is suspended, whose resumer is not to blame. Setting the flag here
/// would bring the engine back at once, without an instruction in between.
fn raise_due() {
    let due: Vec<Arc<JobInterrupt>> =
        ALARMS.with_borrow(|alarms| alarms.iter().filter(|alarm| alarm.due.load(Ordering::Relaxed) != QUIET).cloned().collect());
    let Some(alarm) = due.iter().find(|alarm| !call::has_exception() && alarm.is_beneath()) else { return };
    let step = alarm.due.swap(QUIET, Ordering::SeqCst);
    if step >= ASK {
        alarm.raised.store(true, Ordering::SeqCst);
    }
    match step {
        WARN => exceptions::make(Class::Timeout, "this job's timeout is near".to_owned()).throw(),
        // SAFETY: on PHP's thread, called by the engine where it expects exceptions; none is pending.
        ASK => unsafe { zend_throw_graceful_exit() },
        // SAFETY: as above.
        MAKE => unsafe { zend_throw_unwind_exit() },
        _ => {}
    }
}
