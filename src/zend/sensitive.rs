//! Keeps passwords out of stack traces: arguments that may hold a DSN are marked as `#[\\SensitiveParameter]` (PHP 8.2).

use std::sync::Once;

use ext_php_rs::zend::ClassEntry;

use crate::classes;

/// Marks the arguments. Called at the start of each request, does its work at the first: classes exist only after module start.
pub fn mark() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (class, method, argument) in classes::with_secrets() {
            mark_argument(class, method, argument);
        }
    });
}

/// Marks an argument of a method, the first is 1.
#[cfg(php82)]
fn mark_argument(class: &'static ClassEntry, method: &str, argument: u32) {
    use crate::zend::engine::zend_add_attribute;
    use ext_php_rs::ffi::{zend_function, zend_hash_str_find};
    use ext_php_rs::types::ZendStr;

    /// `ZEND_ATTRIBUTE_PERSISTENT`: the function outlives the request.
    const PERSISTENT: u32 = 1;
    let table = std::ptr::from_ref(&class.function_table);
    // SAFETY: the class is ours and internal, so its functions live as long as the process; an entry of the table is a function.
    // The engine only adds to the function's list of attributes, before any code of the request runs, and copies the name.
    unsafe {
        let found = zend_hash_str_find(table, method.as_ptr().cast(), method.len()).as_ref();
        if let Some(function) = found.and_then(|entry| entry.ptr::<zend_function>()) {
            let mut name = ZendStr::new("SensitiveParameter", true);
            zend_add_attribute(
                &raw mut (*function).common.attributes,
                std::ptr::from_mut(&mut *name).cast(),
                0,
                PERSISTENT,
                argument,
                0,
            );
        }
    }
}

/// PHP 8.1 knows no such mark; `zend.exception_ignore_args` is its way.
#[cfg(not(php82))]
fn mark_argument(_class: &'static ClassEntry, _method: &str, _argument: u32) {}
