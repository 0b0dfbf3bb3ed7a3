//! Knowing that the process forks.

use std::sync::Once;

use ferry_client::process;

use crate::zend::signals;

/// Closes what cannot be forked. Runs where `fork` was called, before anything of the fork has happened, so it may do what any code may.
unsafe extern "C" fn before() {
    let _ = std::panic::catch_unwind(process::before_fork);
}

/// Lets our other threads go on.
unsafe extern "C" fn in_parent() {
    process::after_fork();
}

/// Counts the generation up in every forked child. `vfork` and `posix_spawn` (shell_exec, popen) do not come here.
unsafe extern "C" fn in_child() {
    process::forked();
    signals::forked();
}

/// Asks libc to tell us. Once per process: libc keeps the handler for ever, and so does this library (`-z nodelete`).
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: both stay mapped. The first catches panics and runs before the fork; the others do nothing but
        // atomic operations, which are safe in a child.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    });
}
