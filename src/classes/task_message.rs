//! `Ferry\Task\TaskMessage`: a task as PHP code sees it. What it holds are plain public properties, so any code may change them.

// PHP callers name arguments.
#![allow(non_snake_case)]

use std::cell::RefCell;
use std::rc::Rc;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::builders::{ClassBuilder, ClassProperty};
use ext_php_rs::class::RegisteredClass;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::flags::PropertyFlags;
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendHashTable, ZendObject, Zval};
use ext_php_rs::zend::ClassEntry;
use ferry_client::process;
use ferry_core::task::{DEFAULT_MAX_RETRIES, DEFAULT_PRIORITY, DEFAULT_TTL};
use ferry_worker::TaskStatus;

use crate::convert::arguments::{List, Number, OptionalText, Text, Whole};
use crate::convert::errors::{invalid, pending};
use crate::convert::task::{PROPERTIES, TaskFields};
use crate::zend::unserialize::PlainObject;
use crate::zend::{dates, objects};

/// A task.
#[php_class]
#[php(name = "Ferry\\Task\\TaskMessage")]
#[php(modifier = "with_properties")]
#[derive(Clone)]
pub struct TaskMessage;

impl PlainObject for TaskMessage {
    const VALUE: Self = Self;
}

thread_local! {
    /// The tasks whose handlers run, with the statuses that they report to: more than one where a handler runs a consumer.
    static RUNNING: RefCell<Vec<RunningTask>> = const { RefCell::new(Vec::new()) };
}

struct RunningTask {
    id: String,
    status: Rc<TaskStatus>,
    /// The process that runs it: in a forked child nobody writes statuses.
    generation: u64,
}

/// Lets a task report its progress until the guard is dropped.
pub fn track(id: &str, status: Option<&Rc<TaskStatus>>) -> Option<TrackedTask> {
    let status = status?;
    let task = RunningTask { id: id.to_owned(), status: Rc::clone(status), generation: process::generation() };
    RUNNING.with_borrow_mut(|running| running.push(task));
    Some(TrackedTask)
}

/// The innermost task that runs can report its progress.
pub struct TrackedTask;

impl Drop for TrackedTask {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(Vec::pop);
    }
}

fn running(id: &str) -> Option<Rc<TaskStatus>> {
    let is_it = |task: &&RunningTask| task.id == id && task.generation == process::generation();
    RUNNING.with_borrow(|running| running.iter().rev().find(is_it).map(|task| Rc::clone(&task.status)))
}

fn with_properties(builder: ClassBuilder) -> ClassBuilder {
    PROPERTIES.iter().fold(builder, |builder, (property, _)| {
        builder.property(ClassProperty {
            name: (*property).to_owned(),
            flags: PropertyFlags::Public,
            default: None,
            docs: &[],
            ty: None,
            nullable: true,
            readonly: false,
            default_stub: None,
        })
    })
}

/// The class itself.
pub fn class() -> &'static ClassEntry {
    TaskMessage::get_metadata().ce()
}

fn this() -> PhpResult<&'static mut ZendObject> {
    objects::this().ok_or_else(|| invalid("a task's method was called without a task"))
}

#[php_impl]
impl TaskMessage {
    /// A new task, with an id of its own.
    #[php(defaults(priority = Whole(DEFAULT_PRIORITY), maxRetries = Whole(DEFAULT_MAX_RETRIES), ttl = Whole(DEFAULT_TTL)))]
    pub fn __construct(taskType: Text, payload: List<'_>, priority: Whole, maxRetries: Whole, ttl: Whole) -> PhpResult<Self> {
        let object = this()?;
        // Every object has its Rust value from the beginning; this one tells whether it holds a task.
        if objects::property(object, "createdAt").is_some() {
            return Err(objects::constructed_already::<Self>());
        }
        TaskFields::new(taskType.0, payload.0.shallow_clone(), priority.0, maxRetries.0, ttl.0)?.write_to(object)?;
        Ok(Self)
    }

    /// Counts a failed execution, and answers the task itself.
    pub fn increment_retry(&self) -> PhpResult<Zval> {
        let object = this()?;
        let count = TaskFields::read(object)?.current_retry.saturating_add(1);
        object.set_property("currentRetry", count).map_err(|_| pending())?;
        Ok(objects::object(object))
    }

    /// Says how far its handler is, for its status. Nothing while it does not run, or where statuses are not kept.
    pub fn progress(&self, percent: Number, message: OptionalText) -> PhpResult<()> {
        let id = TaskFields::read(this()?)?.id;
        let percent = u8::try_from(percent.0.clamp(0, 100)).unwrap_or(100);
        if let Some(status) = running(&id) {
            status.progress(percent, message.text());
        }
        Ok(())
    }

    /// Whether it may be executed again.
    pub fn can_retry(&self) -> PhpResult<bool> {
        let fields = TaskFields::read(this()?)?;
        Ok(fields.current_retry < fields.max_retries)
    }

    /// Whether its time is over.
    pub fn is_expired(&self) -> PhpResult<bool> {
        Ok(TaskFields::read(this()?)?.expire_at < dates::now())
    }

    /// The fields under the names that the wire has.
    pub fn to_array(&self) -> PhpResult<ZBox<ZendHashTable>> {
        TaskFields::read(this()?)?.to_array()
    }

    /// A task from such an array.
    pub fn from_array(data: List<'_>) -> PhpResult<ZBox<ZendObject>> {
        TaskFields::of_array(data.0)?.to_object()
    }
}
