//! The one place that calls PHP.
//!
//! A call can end in five ways: a value, an exception, an orderly end of the process (`exit()`, which arrives as a special
//! exception), a fatal error that longjmps, or nothing to call. No lock, guard or borrow of ours may be alive beneath it.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::ptr;

use ext_php_rs::ffi::{executor_globals, zend_call_known_function, zend_function, zend_lookup_class_ex, zend_object};
use ext_php_rs::types::{ZendObject, ZendStr, Zval};
use ext_php_rs::zend::{CatchError, ClassEntry, try_catch};

use crate::convert::errors;
use crate::zend::engine::{
    GC_FLAGS_SHIFT, IS_OBJ_DESTRUCTOR_CALLED, object_init_ex, zend_clear_exception, zend_is_graceful_exit, zend_is_unwind_exit,
};
use crate::zend::objects;

/// How PHP code ended that did not end well.
pub enum CallFailure {
    /// It threw this.
    Threw(Zval),
    /// It ended the process: leave PHP at once; the engine unwinds by a pending exception that must not be cleared.
    Exited,
    /// A fatal error: leave PHP by [`ext_php_rs::zend::bailout`] once everything is settled.
    Died,
    /// There is nothing to call; the text says what.
    Missing(String),
}

/// The value of PHP code, or how it ended.
pub type Called<T = Zval> = Result<T, CallFailure>;

thread_local! {
    /// Whether a fatal error was caught and has not been let go on its way yet.
    static DEAD: Cell<bool> = const { Cell::new(false) };
}

/// Whether a fatal error was caught: PHP is in pieces until [`die`] lets the error go on.
pub fn is_dead() -> bool {
    DEAD.get()
}

/// A request begins: whatever ended the one before is over.
pub fn revive() {
    DEAD.set(false);
}

/// Lets a fatal error that was caught go on its way; answers when there was none. Every method that calls PHP inside [`guarded`] ends
/// with this, so that PHP never goes on after a fatal error, whoever dropped its [`CallFailure`].
pub fn die_if_dead() {
    if is_dead() {
        die();
    }
}

/// Whether an exception is pending. Reads the field directly: the binding crate's guard would hang after a bailout.
pub fn has_exception() -> bool {
    // SAFETY: a plain read on PHP's thread.
    unsafe { !executor_globals.exception.is_null() }
}

/// Takes the pending exception out of the engine, unless it is the one that ends the process.
fn pending() -> Option<CallFailure> {
    // SAFETY: on PHP's thread. A non-null exception is a live object; our value takes its own reference before the engine's is
    // cleared.
    unsafe {
        let exception: *mut zend_object = executor_globals.exception;
        if exception.is_null() {
            return None;
        }
        if zend_is_unwind_exit(exception) || zend_is_graceful_exit(exception) {
            return Some(CallFailure::Exited);
        }
        let thrown = objects::object(&mut *exception.cast::<ZendObject>());
        zend_clear_exception();
        Some(CallFailure::Threw(thrown))
    }
}

/// Puts trouble back where it came from, for a caller that lets it pass: the exception is pending again.
///
/// An exit is pending already. A fatal error goes on at once.
pub fn rethrow(trouble: CallFailure) {
    let missing = match trouble {
        CallFailure::Threw(mut exception) => return throw(&mut exception),
        CallFailure::Exited => return,
        CallFailure::Died => die(),
        CallFailure::Missing(what) => what,
    };
    errors::invalid(missing).throw();
}

/// Lets a fatal error go on its way. The caller's frames are jumped over: whatever they own is settled by now.
pub fn die() -> ! {
    DEAD.set(false);
    // SAFETY: called on PHP's thread, inside a method that the engine called, after `guarded` caught a bailout.
    unsafe { ext_php_rs::zend::bailout() }
}

/// Throws an exception object.
fn throw(exception: &mut Zval) {
    let raw: *mut ext_php_rs::ffi::zval = exception;
    // SAFETY: the engine takes over one reference, so one is added first; the value keeps its own.
    unsafe {
        let mut counted = std::mem::ManuallyDrop::new((*raw).shallow_clone());
        ext_php_rs::ffi::zend_throw_exception_object(&raw mut *counted);
    }
}

/// The status that the process ends with, as PHP code set it so far.
pub fn exit_status() -> i32 {
    // SAFETY: a plain read on PHP's thread.
    unsafe { executor_globals.exit_status }
}

/// Stops the exit that our own clock started, so that the worker goes on. `status` is that of the process before it, which `exit()` in a
/// `finally` block may have changed. `false` when no exit is on its way.
pub fn cancel_exit(status: i32) -> bool {
    // SAFETY: on PHP's thread; a non-null exception is a live object.
    unsafe {
        let exception = executor_globals.exception;
        let exits = !exception.is_null() && (zend_is_unwind_exit(exception) || zend_is_graceful_exit(exception));
        if exits {
            zend_clear_exception();
            executor_globals.exit_status = status;
        }
        exits
    }
}

/// Runs `work`, which calls PHP, and catches whatever it does. `work` must own nothing that has to be dropped.
///
/// After a fatal error nothing is run any more, until [`die`].
pub fn guarded<T>(work: impl FnOnce() -> Called<T>) -> Called<T> {
    if is_dead() {
        return Err(CallFailure::Died);
    }
    let result = match try_catch(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(CatchError::Bailout) => {
            DEAD.set(true);
            return Err(CallFailure::Died);
        }
        Err(CatchError::Panic(message)) => Err(CallFailure::Missing(format!("Rust panic: {message}"))),
        Err(error) => Err(CallFailure::Missing(error.to_string())),
    };
    match (pending(), result) {
        (Some(trouble), _) => Err(trouble),
        (None, result) => result,
    }
}

/// Calls a function the engine resolved. Inside [`guarded`] or where a fatal error may pass through.
fn raw(function: *mut zend_function, object: *mut zend_object, class: &ClassEntry, arguments: &mut [Zval]) -> Called {
    let mut result = Zval::new();
    let count = u32::try_from(arguments.len()).unwrap_or(u32::MAX);
    // SAFETY: `function` was handed out by the engine for this object or class, arguments are live values for the call's
    // length, and `result` is a fresh zval.
    unsafe {
        zend_call_known_function(
            function,
            object,
            ptr::from_ref(class).cast_mut(),
            &raw mut result,
            count,
            arguments.as_mut_ptr(),
            ptr::null_mut(),
        );
    }
    pending().map_or(Ok(result), Err)
}

/// Calls a method of an object, by the object's own rules (`__call`, visibility).
pub fn method(object: &mut ZendObject, name: &str, arguments: &mut [Zval]) -> Called {
    let mut target: *mut zend_object = ptr::from_mut(object);
    let mut name_text = ZendStr::new(name, false);
    // SAFETY: the handler may replace `target`; name and object are live. It answers null when there is no such method (and may
    // have thrown), else a function for one call.
    let function = unsafe {
        let Some(find) = (*(*target).handlers).get_method else {
            return Err(CallFailure::Missing("the object has no methods".to_owned()));
        };
        find(&raw mut target, ptr::from_mut(&mut *name_text).cast(), ptr::null())
    };
    if let Some(trouble) = pending() {
        return Err(trouble);
    }
    let class = object.get_class_entry();
    if function.is_null() {
        let class = class.name().unwrap_or("?");
        return Err(CallFailure::Missing(format!("class {class} has no method {name}()")));
    }
    raw(function, target, class, arguments)
}

/// Calls a function by its lower-case name. `Missing` when it does not exist.
pub fn function(name: &str, arguments: &mut [Zval]) -> Called {
    match find_function(name) {
        Some(function) => call_found(function, arguments),
        None => Err(CallFailure::Missing(format!("there is no function {name}()"))),
    }
}

/// A function of the engine or an extension, for repeated calls. Internal functions live as long as the process.
pub fn find_function(name: &str) -> Option<*mut zend_function> {
    // SAFETY: the function table lives as long as the request; a found entry is a function.
    let found = unsafe { ext_php_rs::ffi::zend_hash_str_find(executor_globals.function_table, name.as_ptr().cast(), name.len()) };
    // SAFETY: entries of the function table are pointers.
    unsafe { found.as_ref() }.and_then(|entry| unsafe { entry.ptr::<zend_function>() })
}

/// Calls what [`find_function`] found.
pub fn call_found(function: *mut zend_function, arguments: &mut [Zval]) -> Called {
    let mut result = Zval::new();
    let count = u32::try_from(arguments.len()).unwrap_or(u32::MAX);
    // SAFETY: as in `raw`, for a plain function: no object and no class.
    unsafe {
        zend_call_known_function(
            function,
            ptr::null_mut(),
            ptr::null_mut(),
            &raw mut result,
            count,
            arguments.as_mut_ptr(),
            ptr::null_mut(),
        );
    }
    pending().map_or(Ok(result), Err)
}

/// Calls anything PHP calls callable.
pub fn callable(callable: &Zval, arguments: &mut [Zval]) -> Called {
    let mut result = Zval::new();
    let count = u32::try_from(arguments.len()).unwrap_or(u32::MAX);
    // SAFETY: the engine checks that the value is callable; arguments are live for the call's length.
    let done = unsafe {
        ext_php_rs::ffi::_call_user_function_impl(
            ptr::null_mut(),
            ptr::from_ref(callable).cast_mut(),
            &raw mut result,
            count,
            arguments.as_mut_ptr(),
            ptr::null_mut(),
        )
    };
    match pending() {
        Some(trouble) => Err(trouble),
        None if done != 0 => Err(CallFailure::Missing("the value is not callable".to_owned())),
        None => Ok(result),
    }
}

/// The class of this name, loaded by the autoloaders if need be.
pub fn class(name: &str) -> Called<Option<&'static ClassEntry>> {
    let name = name.strip_prefix('\\').unwrap_or(name);
    let mut text = ZendStr::new(name, false);
    // SAFETY: the name is live for the call; an answer is a class that lives as long as the request.
    let found = unsafe { zend_lookup_class_ex(ptr::from_mut(&mut *text).cast(), ptr::null_mut(), 0).as_ref() };
    pending().map_or(Ok(found), Err)
}

/// A new object, its constructor called with as many of `arguments` as it takes.
pub fn instantiate(class: &'static ClassEntry, arguments: &mut [Zval]) -> Called {
    let mut value = Zval::new();
    // SAFETY: the engine fills `value` with a fresh object; it throws for abstract classes, interfaces and enums.
    let made = unsafe { object_init_ex(&raw mut value, ptr::from_ref(class).cast_mut()) };
    if let Some(trouble) = pending() {
        return Err(trouble);
    }
    let class_name = || class.name().unwrap_or("?").to_owned();
    let Some(object) = value.object_mut().filter(|_| made == 0) else {
        return Err(CallFailure::Missing(format!("class {} cannot be instantiated", class_name())));
    };
    // SAFETY: every object has handlers with a constructor lookup; it answers null when there is none, and throws when it is
    // not public.
    let constructor = unsafe { (*object.handlers).get_constructor.map_or(ptr::null_mut(), |find| find(ptr::from_mut(object))) };
    if let Some(trouble) = pending() {
        return Err(trouble);
    }
    if !constructor.is_null() {
        // SAFETY: a found constructor is a function whose common head holds the number of arguments.
        let takes = unsafe { (*constructor).common.num_args as usize };
        let given = takes.min(arguments.len());
        let constructed = raw(constructor, object, class, &mut arguments[..given]);
        if constructed.is_err()
            && let Some(object) = value.object_mut()
        {
            // As `new` does it: what was never constructed is not destructed.
            // SAFETY: a live object, of which we hold a reference; the flag is one of its own.
            unsafe { object.gc.u.type_info |= IS_OBJ_DESTRUCTOR_CALLED << GC_FLAGS_SHIFT };
        }
        constructed?;
    }
    Ok(value)
}
