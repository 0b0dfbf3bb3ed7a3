//! Knowing that the process was forked.

use std::sync::Once;

use ferry_client::process;

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> std::ffi::c_int;
}

/// Counts the generation up in every forked child. `vfork` and `posix_spawn` (shell_exec, proc_open) do not come here.
unsafe extern "C" fn in_child() {
    process::forked();
}

/// Asks libc to tell us. Once per process: libc keeps the handler for ever, and so does this library (`-z nodelete`).
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler stays mapped and does nothing but one atomic addition, which is safe in a fork handler.
        unsafe { pthread_atfork(None, None, Some(in_child)) };
    });
}
