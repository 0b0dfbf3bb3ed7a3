//! Keeps passwords out of stack traces: arguments that may hold a DSN are marked as `#[\\SensitiveParameter]` (PHP 8.2).

use std::sync::Once;

use ext_php_rs::zend::ClassEntry;

use crate::classes;

/// Marks the arguments. Called at the start of each request, does its work at the first: classes exist only after module start.
pub fn mark() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        mark_first(classes::queue_class(), c"configure");
        mark_first(classes::connection_class(), c"__construct");
    });
}

/// Marks the first argument of a method.
#[cfg(php82)]
fn mark_first(class: &'static ClassEntry, method: &std::ffi::CStr) {
    use crate::zend::engine::zend_mark_function_parameter_as_sensitive;
    let table = std::ptr::from_ref(&class.function_table).cast_mut();
    // SAFETY: the class is ours and internal, so its function table lives as long as the process; the engine only adds an
    // attribute, before any code of the request runs.
    unsafe { zend_mark_function_parameter_as_sensitive(table, method.as_ptr(), 0) };
}

/// PHP 8.1 knows no such mark; `zend.exception_ignore_args` is its way.
#[cfg(not(php82))]
fn mark_first(_class: &'static ClassEntry, _method: &std::ffi::CStr) {}
