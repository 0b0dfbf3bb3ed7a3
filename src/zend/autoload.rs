//! The names of think-queue, for code that uses them without Composer's package.
//!
//! The engine asks a hook for unknown classes. We ask the former hook first, which is Composer's way in; only when nobody else
//! has the class do we make an alias of ours. An alias lives for one request.

use std::ffi::c_char;
use std::sync::OnceLock;

use ext_php_rs::ffi::{compiler_globals, zend_class_entry, zend_string};
use ext_php_rs::zend::ClassEntry;

use crate::classes;
use crate::zend::call;
use crate::zend::engine::{Autoload, ZEND_COMPILE_PRELOAD, zend_autoload, zend_register_class_alias_ex};
use crate::zend::ini;

static FORMER: OnceLock<Option<Autoload>> = OnceLock::new();

/// Their name in lower case, and our class.
fn ours(name: &[u8]) -> Option<&'static ClassEntry> {
    match name {
        b"think\\queue" | b"think\\facade\\queue" => Some(classes::queue_class()),
        b"think\\queue\\job" => Some(classes::job_class()),
        b"think\\queue\\callqueuedhandler" => Some(classes::call_queued_handler_class()),
        b"think\\queue\\shouldqueue" => Some(classes::should_queue()),
        _ => None,
    }
}

/// Chains the hook. Called at module start; the names can be turned off by `ferry.think_names = 0`.
pub fn install() {
    // SAFETY: module start runs on one thread before any request; the former hook is kept for ever.
    unsafe {
        FORMER.get_or_init(|| zend_autoload);
        zend_autoload = Some(load);
    }
}

/// Whether `opcache.preload` runs: what is in the class table then is kept for all requests, which an alias of an internal class must not
/// be. Classes that extend one of the names are linked at their first use instead.
fn is_preloading() -> bool {
    // SAFETY: a plain read on PHP's thread.
    unsafe { compiler_globals.compiler_options & ZEND_COMPILE_PRELOAD != 0 }
}

unsafe extern "C" fn load(name: *mut zend_string, lower: *mut zend_string) -> *mut zend_class_entry {
    if let Some(Some(former)) = FORMER.get() {
        // SAFETY: the engine's own arguments, passed on.
        let found = unsafe { former(name, lower) };
        if !found.is_null() || call::has_exception() {
            return found;
        }
    }
    // SAFETY: the engine gives a live, lower-case name.
    let wanted = unsafe { std::slice::from_raw_parts((*lower).val.as_ptr().cast::<u8>(), (*lower).len) };
    // A panic must not cross into the engine; what can go wrong here is a class that was never registered.
    let class = std::panic::catch_unwind(|| if ini::think_names() && !is_preloading() { ours(wanted) } else { None });
    let Ok(Some(class)) = class else { return std::ptr::null_mut() };
    let class = std::ptr::from_ref(class).cast_mut();
    // SAFETY: a live name with its length and a class that outlives the request; the alias is dropped at the request's end.
    unsafe { zend_register_class_alias_ex(wanted.as_ptr().cast::<c_char>(), wanted.len(), class, false) };
    class
}
