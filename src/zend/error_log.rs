//! PHP's error log: for what must be said, and must not end in an exception of somebody's error handler.

use std::ffi::{CString, c_int};

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
