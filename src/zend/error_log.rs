//! PHP's error log and warnings: for what must be said, and must not end in an exception of somebody's error handler.

use std::ffi::{CString, c_int};
use std::mem::MaybeUninit;
use std::ptr;

use ext_php_rs::error::php_error;
use ext_php_rs::ffi::{core_globals, executor_globals};
use ext_php_rs::flags::ErrorType;
use ext_php_rs::types::Zval;
use ferry_core::display::one_line;

use crate::zend::engine::php_log_err_with_severity;

/// `LOG_WARNING` of syslog, on Linux.
const WARNING: c_int = 4;

/// Writes a line where the ini setting `error_log` points; without it where the server wants it, standard error on the command line.
pub fn warn(text: &str) {
    let line = format!("ferry: {}", one_line(text));
    if let Ok(line) = CString::new(line) {
        // SAFETY: on PHP's thread; the text is live for the call and ends with its NUL. The engine copies it.
        unsafe { php_log_err_with_severity(line.as_ptr(), WARNING) };
    }
}

/// Raises an `E_WARNING` at the end of a request. A handler of `set_error_handler()` is not asked: PHP code must not run there any more. Where
/// PHP's settings log no warnings, this one is logged all the same.
pub fn raise_warning(text: &str) {
    let line = format!("ferry: {}", one_line(text));
    let warnings = c_int::try_from(ErrorType::Warning.bits()).unwrap_or_default();
    // SAFETY: plain reads of settings on PHP's thread.
    let is_logged = unsafe { core_globals.log_errors && executor_globals.error_reporting & warnings != 0 };
    // SAFETY: on PHP's thread. A handler that is undefined is none. Its bits are moved out and back, so no reference is counted.
    unsafe {
        let handler: *mut Zval = &raw mut executor_globals.user_error_handler;
        let mut hidden = MaybeUninit::<Zval>::zeroed();
        ptr::swap(handler, hidden.as_mut_ptr());
        php_error(&ErrorType::Warning, &line);
        ptr::swap(handler, hidden.as_mut_ptr());
    }
    if !is_logged {
        warn(text);
    }
}
