//! The exception tree. `Ferry\Exception` is the interface that all of them implement, so one `catch` covers Ferry; each extends
//! the SPL class that PHP callers would expect. `docs/errors.md` is the page for users.

use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::builders::ClassBuilder;
use ext_php_rs::exception::PhpException;
use ext_php_rs::flags::ClassFlags;
use ext_php_rs::types::Zval;
use ext_php_rs::zend::{ClassEntry, ce};

use crate::zend::engine::{spl_ce_InvalidArgumentException, spl_ce_RuntimeException};

/// Our exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Class {
    /// An argument cannot be carried.
    InvalidArgument,
    /// The configuration is wrong.
    Config,
    /// The broker was not reached.
    Connection,
    /// A job may or may not be stored.
    Uncertain,
    /// The broker said no.
    Broker,
    /// The job is somebody else's now.
    LostReservation,
    /// The payload cannot be understood.
    Poison,
    /// There is no such handler.
    HandlerNotFound,
    /// The job was attempted too often.
    MaxAttemptsExceeded,
    /// The job ran too long, or is about to.
    Timeout,
    /// Somebody else is at the work.
    Busy,
}

const COUNT: usize = 11;
static ENTRIES: [AtomicPtr<ClassEntry>; COUNT] = [const { AtomicPtr::new(std::ptr::null_mut()) }; COUNT];
static INTERFACE: AtomicPtr<ClassEntry> = AtomicPtr::new(std::ptr::null_mut());

fn entry(class: Class) -> &'static ClassEntry {
    let entry = ENTRIES[class as usize].load(Ordering::Relaxed);
    // SAFETY: set once at module start, before any code of ours runs; internal classes live as long as the process.
    unsafe { entry.as_ref() }.unwrap_or_else(ce::exception)
}

fn interface() -> &'static ClassEntry {
    // SAFETY: as above.
    unsafe { INTERFACE.load(Ordering::Relaxed).as_ref() }.unwrap_or_else(ce::throwable)
}

/// The class of exceptions that are not ours.
pub fn runtime_exception() -> &'static ClassEntry {
    // SAFETY: SPL is part of every PHP and starts before us.
    unsafe { &*spl_ce_RuntimeException.cast::<ClassEntry>() }
}

fn invalid_argument_exception() -> &'static ClassEntry {
    // SAFETY: as above.
    unsafe { &*spl_ce_InvalidArgumentException.cast::<ClassEntry>() }
}

/// An exception to be thrown.
pub fn make(class: Class, message: String) -> PhpException {
    // The engine takes messages as C strings.
    PhpException::new(message.replace('\0', "\\0"), 0, entry(class))
}

/// The class itself, to make an object that is not thrown.
pub fn class(class: Class) -> &'static ClassEntry {
    entry(class)
}

/// Whether a value is an exception of this class.
pub fn is(value: &Zval, class: Class) -> bool {
    value.object().is_some_and(|object| object.instance_of(entry(class)))
}

type Result<T = ()> = ext_php_rs::error::Result<T>;

/// Registers them. Called at module start, where the binding crate's own class macros come too late for exceptions.
pub fn register() -> Result {
    ClassBuilder::new("Ferry\\Exception")
        .flags(ClassFlags::Interface)
        .implements((ce::throwable, "\\Throwable"))
        .registration(|ce, tables| {
            INTERFACE.store(ce, Ordering::Relaxed);
            std::mem::forget(tables);
        })
        .register()?;

    macro_rules! exception {
        ($name:literal, $class:expr, $parent:expr, $parent_name:literal) => {
            ClassBuilder::new($name)
                .extends(($parent, $parent_name))
                .implements((interface, "Ferry\\Exception"))
                .registration(|ce, tables| {
                    ENTRIES[$class as usize].store(ce, Ordering::Relaxed);
                    std::mem::forget(tables);
                })
                .register()?;
        };
    }
    exception!(
        "Ferry\\InvalidArgumentException",
        Class::InvalidArgument,
        invalid_argument_exception,
        "\\InvalidArgumentException"
    );
    exception!("Ferry\\ConfigException", Class::Config, || entry(Class::InvalidArgument), "Ferry\\InvalidArgumentException");
    exception!("Ferry\\BrokerException", Class::Broker, runtime_exception, "\\RuntimeException");
    exception!("Ferry\\ConnectionException", Class::Connection, || entry(Class::Broker), "Ferry\\BrokerException");
    exception!("Ferry\\UncertainException", Class::Uncertain, || entry(Class::Broker), "Ferry\\BrokerException");
    exception!("Ferry\\LostReservation", Class::LostReservation, runtime_exception, "\\RuntimeException");
    exception!("Ferry\\PoisonException", Class::Poison, runtime_exception, "\\RuntimeException");
    exception!("Ferry\\HandlerNotFoundException", Class::HandlerNotFound, runtime_exception, "\\RuntimeException");
    exception!("Ferry\\MaxAttemptsExceededException", Class::MaxAttemptsExceeded, runtime_exception, "\\RuntimeException");
    exception!("Ferry\\TimeoutException", Class::Timeout, runtime_exception, "\\RuntimeException");
    exception!("Ferry\\BusyException", Class::Busy, runtime_exception, "\\RuntimeException");
    Ok(())
}
