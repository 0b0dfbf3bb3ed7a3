//! Ferry, the PHP extension: the boundary between PHP and the crates.
//!
//! | module | what it is for |
//! |---|---|
//! | `classes/` | the classes PHP sees, one file each |
//! | `convert/` | zvals to plain values and back, in weak mode |
//! | `handler/` | what the worker loop needs from PHP: calling handlers and listeners, log lines |
//! | `request.rs` | what one request configured |
//! | `zend/` | the hand-written FFI that the binding crate lacks |
//!
//! What is exported: `Ferry\Queue`, `Ferry\Connection`, `Ferry\Job`, `Ferry\Worker`, `Ferry\Status`, `Ferry\Guard`, `Ferry\CallQueuedHandler`,
//! `Ferry\QueueInterface`, `Ferry\ShouldQueue`, the tasks under `Ferry\Task`, the exceptions
//! under `Ferry\Exception`, and think-queue's names when Composer has none.
//!
//! This is the only crate that knows PHP, and the only one with `unsafe`. Nothing is decided here.

mod classes;
mod convert;
mod handler;
mod request;
mod zend;

use ext_php_rs::prelude::*;

/// At module start: names and hooks only. Nothing is opened and no thread is started before first use.
extern "C" fn startup(_kind: i32, module_number: i32) -> i32 {
    zend::ini::register(module_number);
    if let Err(error) = classes::register() {
        // There is no console yet; PHP prints what the module says on standard error.
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "ferry: cannot register its classes: {error}");
        return -1;
    }
    classes::show_to_collector();
    zend::autoload::install();
    zend::interrupter::install();
    zend::fork::watch();
    0
}

/// At the start of a request.
extern "C" fn request_startup(_kind: i32, _module_number: i32) -> i32 {
    let _ = std::panic::catch_unwind(zend::sensitive::mark);
    #[cfg(feature = "amqp")]
    let _ = std::panic::catch_unwind(classes::allow_serialization);
    let _ = std::panic::catch_unwind(zend::url_setting::hide);
    zend::call::revive();
    ferry_client::process::begin_request();
    0
}

/// At the end of a request: buffered jobs are stored, its configuration goes, the connections stay.
extern "C" fn request_shutdown(_kind: i32, _module_number: i32) -> i32 {
    let _ = std::panic::catch_unwind(request::store_buffered);
    let _ = std::panic::catch_unwind(request::end);
    let _ = std::panic::catch_unwind(zend::url_setting::end_request);
    0
}

/// At module shutdown: the connections of this process are closed. What a child inherited is left alone.
extern "C" fn shutdown(_kind: i32, _module_number: i32) -> i32 {
    let _ = std::panic::catch_unwind(ferry_client::process::shutdown);
    0
}

/// What PHP asks when it loads the extension.
#[php_module]
pub fn get_module(module: ModuleBuilder) -> ModuleBuilder {
    let module = module
        .name("ferry")
        .version(env!("CARGO_PKG_VERSION"))
        .startup_function(startup)
        .shutdown_function(shutdown)
        .request_startup_function(request_startup)
        .request_shutdown_function(request_shutdown)
        .info_function(zend::ini::info)
        .class::<classes::queue::PhpQueue>()
        .class::<classes::connection::PhpConnection>()
        .class::<classes::job::PhpJob>()
        .class::<classes::worker::PhpWorker>()
        .class::<classes::status::PhpStatus>()
        .class::<classes::guard::PhpGuard>()
        .class::<classes::call_queued_handler::CallQueuedHandler>();
    #[cfg(feature = "amqp")]
    let module = tasks(module);
    module
}

/// The tasks of RabbitMQ, which a build without that driver does not have.
#[cfg(feature = "amqp")]
fn tasks(module: ModuleBuilder) -> ModuleBuilder {
    module
        .class::<classes::task_message::TaskMessage>()
        .class::<classes::task_result::TaskResult>()
        .class::<classes::task_registry::TaskHandlerRegistry>()
        .class::<classes::task_producer::TaskProducer>()
        .class::<classes::task_consumer::TaskConsumer>()
        .class::<classes::task_dead_letters::DeadLetters>()
        .class::<classes::task_schema::Schema>()
        .class::<classes::plain_task::PlainTask>()
        .class::<classes::redis_task_manager::QueueManager>()
        .class::<classes::redis_task_worker::PlainWorker>()
}
