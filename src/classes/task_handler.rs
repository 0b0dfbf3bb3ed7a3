//! `Ferry\Task\TaskHandlerInterface`: what a handler of tasks has.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::args::Arg;
use ext_php_rs::builders::{ClassBuilder, FunctionBuilder};
use ext_php_rs::flags::{ClassFlags, DataType, MethodFlags};
use ext_php_rs::types::Zval;
use ext_php_rs::zend::ClassEntry;

/// What the engine points into. Never read here, so the compiler must be told to keep it.
#[used]
static TABLES: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static INTERFACE: AtomicPtr<ClassEntry> = AtomicPtr::new(std::ptr::null_mut());

/// Registers the interface. `getSupportedTypes()` is optional, so it is no part of it.
pub fn register() -> ext_php_rs::error::Result<()> {
    let handle = FunctionBuilder::new_abstract("handle")
        .arg(Arg::new("task", DataType::object("Ferry\\Task\\TaskMessage")))
        .returns(DataType::object("Ferry\\Task\\TaskResult"), false, false);
    let supports = FunctionBuilder::new_abstract("supports").arg(Arg::new("taskType", DataType::String)).returns(
        DataType::Bool,
        false,
        false,
    );
    ClassBuilder::new("Ferry\\Task\\TaskHandlerInterface")
        .flags(ClassFlags::Interface)
        .method(handle, MethodFlags::Public | MethodFlags::Abstract)
        .method(supports, MethodFlags::Public | MethodFlags::Abstract)
        .registration(|ce, tables| {
            INTERFACE.store(ce, Ordering::Relaxed);
            // The engine points into them as long as the process lives. Kept where a leak checker finds them.
            TABLES.store(Box::into_raw(Box::new(tables)).cast(), Ordering::Relaxed);
        })
        .register()
}

/// Whether a value is a handler.
pub fn is_handler(value: &Zval) -> bool {
    // SAFETY: set once at module start; internal classes live as long as the process.
    let interface = unsafe { INTERFACE.load(Ordering::Relaxed).as_ref() };
    value.object().zip(interface).is_some_and(|(object, interface)| object.instance_of(interface))
}
