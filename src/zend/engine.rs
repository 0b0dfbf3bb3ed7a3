//! Symbols of the engine that the binding crate does not declare. `build.rs` reads this list and takes each declaration from the
//! installed headers. Keep it short: one symbol missing in a PHP version stops the whole extension from loading (`scripts/symbols`
//! compares the list in CI).

/// The declarations, as the headers have them.
#[allow(non_camel_case_types, non_snake_case, non_upper_case_globals, dead_code, clippy::all, clippy::undocumented_unsafe_blocks)]
mod generated {
    use libc::{sigaction, time_t};

    include!(concat!(env!("OUT_DIR"), "/engine.rs"));
}

pub use generated::{
    _ZEND_TYPE_LIST_BIT, GC_FLAGS_SHIFT, IS_OBJ_DESTRUCTOR_CALLED, ZEND_COMPILE_PRELOAD, display_ini_entries, json_globals,
    object_init_ex, php_date_get_interface_ce, php_date_get_interval_ce, php_format_date, php_json_decode_ex, php_json_encode_ex,
    php_log_err_with_severity, php_output_end, php_output_get_level, smart_str, spl_ce_InvalidArgumentException,
    spl_ce_RuntimeException, zend_autoload, zend_clear_exception, zend_get_gc_buffer_create, zend_get_gc_buffer_grow,
    zend_ini_string_ex, zend_is_graceful_exit, zend_is_unwind_exit, zend_memory_usage, zend_register_class_alias_ex,
    zend_throw_graceful_exit, zend_throw_unwind_exit, zend_type_list, zval_try_get_string_func,
};

#[cfg(php82)]
pub use generated::zend_add_attribute;

/// The hook that the engine calls for an unknown class.
pub type Autoload = unsafe extern "C" fn(
    *mut ext_php_rs::ffi::zend_string,
    *mut ext_php_rs::ffi::zend_string,
) -> *mut ext_php_rs::ffi::zend_class_entry;

/// `zend_sigaction`, which says nothing about how it went: who wants to know looks at what it filled in.
pub type ZendSigaction = unsafe extern "C" fn(std::ffi::c_int, *const libc::sigaction, *mut libc::sigaction);

/// Builds without Zend signals have no such function, so it is looked up at run time; here its type is checked.
#[cfg(zend_signals)]
const _: ZendSigaction = generated::zend_sigaction;
