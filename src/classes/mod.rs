//! The classes PHP sees, one file each. They convert arguments, call one Rust function and convert the answer.

pub mod call_queued_handler;
pub mod connection;
pub mod exceptions;
mod failed_jobs;
mod fleet;
pub mod guard;
pub mod job;
pub mod plain_task;
pub mod queue;
mod queue_interface;
mod queue_methods;
pub mod redis_task_manager;
pub mod redis_task_worker;
pub mod status;
#[cfg(feature = "amqp")]
pub mod task_consumer;
#[cfg(feature = "amqp")]
pub mod task_dead_letters;
#[cfg(feature = "amqp")]
pub mod task_handler;
#[cfg(feature = "amqp")]
pub mod task_message;
#[cfg(feature = "amqp")]
pub mod task_producer;
#[cfg(feature = "amqp")]
pub mod task_registry;
#[cfg(feature = "amqp")]
pub mod task_result;
#[cfg(feature = "amqp")]
pub mod task_schema;
mod tracking;
pub mod worker;

use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::builders::ClassBuilder;
use ext_php_rs::class::RegisteredClass;
use ext_php_rs::flags::ClassFlags;
use ext_php_rs::zend::{ClassEntry, ce};

use crate::zend::gc;
#[cfg(feature = "amqp")]
use crate::zend::unserialize;

static SHOULD_QUEUE: AtomicPtr<ClassEntry> = AtomicPtr::new(std::ptr::null_mut());

/// Registers what the class macros cannot express: the exceptions and the interfaces.
pub fn register() -> ext_php_rs::error::Result<()> {
    exceptions::register()?;
    queue_interface::register()?;
    #[cfg(feature = "amqp")]
    task_handler::register()?;
    ClassBuilder::new("Ferry\\ShouldQueue")
        .flags(ClassFlags::Interface)
        .registration(|ce, tables| {
            SHOULD_QUEUE.store(ce, Ordering::Relaxed);
            std::mem::forget(tables);
        })
        .register()
}

/// Lets PHP's cycle collector see the values in our objects. A class that comes to hold any belongs here.
pub fn show_to_collector() {
    gc::show::<worker::PhpWorker>();
    gc::show::<job::PhpJob>();
    gc::show::<call_queued_handler::CallQueuedHandler>();
    gc::show::<redis_task_worker::PlainWorker>();
    #[cfg(feature = "amqp")]
    {
        gc::show::<task_consumer::TaskConsumer>();
        gc::show::<task_registry::TaskHandlerRegistry>();
        gc::show::<task_result::TaskResult>();
    }
}

/// Lets PHP serialize the objects that hold nothing but their properties.
#[cfg(feature = "amqp")]
pub fn allow_serialization() {
    unserialize::allow::<task_message::TaskMessage>();
}

/// `Ferry\Queue`.
pub fn queue_class() -> &'static ClassEntry {
    queue::PhpQueue::get_metadata().ce()
}

/// The arguments that may hold a DSN with its password, also by mistake: class, method in lower case, and which argument from 1 on.
pub fn with_secrets() -> Vec<(&'static ClassEntry, &'static str, u32)> {
    [
        (queue_class(), "configure", 1),
        (queue_class(), "connection", 1),
        (connection::PhpConnection::get_metadata().ce(), "__construct", 1),
        (worker::PhpWorker::get_metadata().ce(), "__construct", 1),
        (guard::PhpGuard::get_metadata().ce(), "__construct", 1),
        (status::PhpStatus::get_metadata().ce(), "find", 2),
        #[cfg(feature = "amqp")]
        (task_producer::TaskProducer::get_metadata().ce(), "__construct", 1),
        #[cfg(feature = "amqp")]
        (task_consumer::TaskConsumer::get_metadata().ce(), "__construct", 1),
        #[cfg(feature = "amqp")]
        (task_dead_letters::DeadLetters::get_metadata().ce(), "__construct", 1),
        #[cfg(feature = "amqp")]
        (task_schema::Schema::get_metadata().ce(), "declare", 1),
    ]
    .to_vec()
}

/// `Ferry\Job`.
pub fn job_class() -> &'static ClassEntry {
    job::PhpJob::get_metadata().ce()
}

/// `Ferry\CallQueuedHandler`.
pub fn call_queued_handler_class() -> &'static ClassEntry {
    call_queued_handler::CallQueuedHandler::get_metadata().ce()
}

/// `Ferry\ShouldQueue`.
pub fn should_queue() -> &'static ClassEntry {
    // SAFETY: set once at module start; internal classes live as long as the process.
    unsafe { SHOULD_QUEUE.load(Ordering::Relaxed).as_ref() }.unwrap_or_else(ce::traversable)
}
