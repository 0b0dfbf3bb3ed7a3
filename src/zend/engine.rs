//! Declarations of engine symbols that the binding crate does not generate. Keep this list short: one symbol missing in a PHP
//! version stops the whole extension from loading (`scripts/symbols` compares the list in CI).

use std::ffi::{c_char, c_int, c_void};

use ext_php_rs::ffi::{HashTable, zend_class_entry, zend_object, zend_string, zval};

/// `smart_str` of the engine.
#[repr(C)]
pub struct SmartStr {
    /// The string so far, null while empty.
    pub s: *mut zend_string,
    /// Bytes allocated.
    pub a: usize,
}

/// Module globals of ext/json, the same from PHP 8.1 to 8.5.
#[repr(C)]
pub struct JsonGlobals {
    encoder_depth: c_int,
    encode_max_depth: c_int,
    /// The last error, 0 for none.
    pub error_code: c_int,
}

/// The hook that the engine calls for an unknown class.
pub type Autoload = unsafe extern "C" fn(name: *mut zend_string, lc_name: *mut zend_string) -> *mut zend_class_entry;

unsafe extern "C" {
    pub static mut json_globals: JsonGlobals;
    pub static mut zend_autoload: Option<Autoload>;
    pub static mut spl_ce_RuntimeException: *mut zend_class_entry;
    pub static mut spl_ce_InvalidArgumentException: *mut zend_class_entry;

    pub fn object_init_ex(arg: *mut zval, class: *mut zend_class_entry) -> c_int;
    pub fn php_json_encode_ex(buf: *mut SmartStr, val: *mut zval, options: c_int, depth: i64) -> c_int;
    pub fn php_json_decode_ex(retval: *mut zval, text: *const c_char, len: usize, options: i64, depth: i64) -> c_int;
    pub fn php_date_get_interface_ce() -> *mut zend_class_entry;
    pub fn php_date_get_interval_ce() -> *mut zend_class_entry;
    pub fn php_format_date(format: *const c_char, len: usize, ts: i64, localtime: bool) -> *mut zend_string;
    pub fn zend_is_unwind_exit(exception: *const zend_object) -> bool;
    pub fn zend_is_graceful_exit(exception: *const zend_object) -> bool;
    pub fn zend_clear_exception();
    pub fn zend_throw_graceful_exit();
    pub fn zend_throw_unwind_exit();
    pub fn zend_register_class_alias_ex(name: *const c_char, len: usize, ce: *mut zend_class_entry, persistent: bool) -> c_int;
    pub fn zval_try_get_string_func(value: *mut zval) -> *mut zend_string;
    pub fn zend_ini_string_ex(name: *const c_char, len: usize, orig: c_int, exists: *mut bool) -> *mut c_char;
    pub fn display_ini_entries(module: *mut c_void);
    #[cfg(php82)]
    pub fn zend_add_attribute(
        attributes: *mut *mut HashTable,
        name: *mut zend_string,
        argc: u32,
        flags: u32,
        offset: u32,
        line: u32,
    ) -> *mut c_void;
    pub fn php_log_err_with_severity(message: *const c_char, severity: c_int);
    pub fn php_output_get_level() -> c_int;
    pub fn php_output_end() -> c_int;
    pub fn zend_memory_usage(real_usage: bool) -> usize;
}
