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

/// Marks the first argument of a method. The engine has a function for this from PHP 8.3 on only, so it is done by hand.
#[cfg(php82)]
fn mark_first(class: &'static ClassEntry, method: &std::ffi::CStr) {
    use ext_php_rs::ffi::{zend_function, zend_hash_str_find};

    use crate::zend::engine::{zend_add_attribute, zend_ce_sensitive_parameter};

    /// `ZEND_ATTRIBUTE_PERSISTENT`: it belongs to an internal function.
    const PERSISTENT: u32 = 1;
    // SAFETY: the class is ours and internal, so its function table and what it points at live as long as the process. The engine
    // only adds an attribute, before any code of the request runs; offsets of parameters start at 1.
    unsafe {
        let found = zend_hash_str_find(&raw const class.function_table, method.as_ptr(), method.count_bytes());
        let function = found.as_ref().and_then(|entry| entry.ptr::<zend_function>());
        if let Some(function) = function {
            let attributes = (&raw mut (*function).common.attributes).cast();
            zend_add_attribute(attributes, (*zend_ce_sensitive_parameter).name, 0, PERSISTENT, 1, 0);
        }
    }
}

/// PHP 8.1 knows no such mark; `zend.exception_ignore_args` is its way.
#[cfg(not(php82))]
fn mark_first(_class: &'static ClassEntry, _method: &std::ffi::CStr) {}
