//! `Ferry\QueueInterface`: what applications type against, and what a test double implements.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::args::Arg;
use ext_php_rs::builders::{ClassBuilder, FunctionBuilder};
use ext_php_rs::flags::{ClassFlags, DataType, MethodFlags};
use ext_php_rs::zend::{ClassEntry, ce};

/// What the engine points into. Never read here, so the compiler must be told to keep it.
#[used]
static TABLES: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static INTERFACE: AtomicPtr<ClassEntry> = AtomicPtr::new(std::ptr::null_mut());

/// Registers the interface: the methods that an application needs to push and reserve jobs. Those for operators are no part of it.
pub fn register() -> ext_php_rs::error::Result<()> {
    let of_queue =
        |function: FunctionBuilder<'static>| function.arg(Arg::new("queue", DataType::String).allow_null().default("null"));
    let with_data = |function: FunctionBuilder<'static>| {
        of_queue(function.not_required().arg(Arg::new("data", DataType::Mixed).default("''"))).returns(
            DataType::Mixed,
            false,
            false,
        )
    };
    let push = with_data(FunctionBuilder::new_abstract("push").arg(Arg::new("job", DataType::Mixed)));
    let later = with_data(
        FunctionBuilder::new_abstract("later").arg(Arg::new("delay", DataType::Mixed)).arg(Arg::new("job", DataType::Mixed)),
    );
    let bulk = with_data(FunctionBuilder::new_abstract("bulk").arg(Arg::new("jobs", DataType::Mixed)));
    let pop = of_queue(FunctionBuilder::new_abstract("pop").not_required()).returns(DataType::object("Ferry\\Job"), false, true);
    let size = of_queue(FunctionBuilder::new_abstract("size").not_required()).returns(DataType::Long, false, false);
    [push, later, bulk, pop, size]
        .into_iter()
        .fold(ClassBuilder::new("Ferry\\QueueInterface").flags(ClassFlags::Interface), |class, method| {
            class.method(method, MethodFlags::Public | MethodFlags::Abstract)
        })
        .registration(|ce, tables| {
            INTERFACE.store(ce, Ordering::Relaxed);
            // The engine points into them as long as the process lives. Kept where a leak checker finds them.
            TABLES.store(Box::into_raw(Box::new(tables)).cast(), Ordering::Relaxed);
        })
        .register()
}

/// The interface, for the class that implements it.
pub fn interface() -> &'static ClassEntry {
    // SAFETY: set once at module start, before the class is registered; internal classes live as long as the process.
    unsafe { INTERFACE.load(Ordering::Relaxed).as_ref() }.unwrap_or_else(ce::traversable)
}
