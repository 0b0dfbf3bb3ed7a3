//! Running a plain Redis task: an object is built from its bytes, and its `handle()` says whether it is done.

use std::cell::RefCell;

use ext_php_rs::flags::ClassFlags;
use ext_php_rs::types::Zval;
use ferry_core::redis_task::counters;
use ferry_worker::{CallEnd, HeldJob};

use crate::classes::plain_task::{self, fill};
use crate::handler::fire::decoded;
use crate::handler::resolver::Resolver;
use crate::zend::call::{self, CallFailure, Called};
use crate::zend::objects;

/// Refuses a class that exists and whose objects are no tasks. Nothing of it is built before.
pub fn check_class(resolver: &Resolver, class: &str) -> Called<()> {
    let Some(entry) = call::class(class)? else { return Ok(()) };
    if !entry.instance_of(plain_task::class()) {
        return Err(CallFailure::Missing(format!("class {class} is no Ferry\\RedisTask\\Task")));
    }
    let is_abstract = entry.flags().intersects(ClassFlags::Abstract | ClassFlags::Interface);
    if is_abstract && resolver.options.factory.is_none() {
        return Err(CallFailure::Missing(format!("class {class} is abstract")));
    }
    Ok(())
}

/// The object of a task, with `attempts` made. The inner error says why its data cannot be read.
pub fn build(resolver: &Resolver, class: &str, body: &[u8], data: Option<&[u8]>, attempts: i64) -> Called<Result<Zval, String>> {
    check_class(resolver, class)?;
    let data = match decoded(Some(data.unwrap_or(b"[]"))) {
        Ok(data) => data,
        Err(why) => return Ok(Err(why)),
    };
    let numbers = match counters(body) {
        Ok(numbers) => ferry_core::redis_task::TaskCounters { attempts, ..numbers },
        Err(error) => return Ok(Err(error.to_string())),
    };
    let id = ferry_core::payload::id_in(body).map(|id| id.to_string());
    let mut task = resolver.handler(class, &data)?;
    let is_task = task.object().is_some_and(|object| object.instance_of(plain_task::class()));
    let Some(object) = task.object_mut().filter(|_| is_task) else {
        return Err(CallFailure::Missing(format!("the factory made no Ferry\\RedisTask\\Task for {class}")));
    };
    fill(object, id.as_deref(), &data, numbers)?;
    Ok(Ok(task))
}

/// Builds the task and runs it. Its object stays in `slot`, for its `failed()`.
pub fn handle(resolver: &Resolver, class: &str, job: &HeldJob, slot: &RefCell<Option<Zval>>) -> Called<CallEnd> {
    let mut task = match build(resolver, class, job.body(), job.data(), i64::from(job.attempts()))? {
        Ok(task) => task,
        Err(why) => return Ok(CallEnd::BadData(why)),
    };
    slot.replace(Some(task.shallow_clone()));
    let Some(object) = task.object_mut() else { return Ok(CallEnd::Refused(format!("{class} is no object"))) };
    let answer = call::method(object, "handle", &mut [])?;
    if answer.bool() != Some(true) {
        return Ok(CallEnd::Threw(format!("{class}::handle() returned false")));
    }
    // What its destructor throws is part of this job.
    drop(slot.take());
    Ok(CallEnd::Returned)
}

/// Asks the task that failed, or one that lies here again after `made` attempts, whether it may be tried again. `None` when there is no task
/// to ask: its constructor threw, or its data cannot be read.
pub fn can_retry(resolver: &Resolver, job: &HeldJob, slot: &RefCell<Option<Zval>>, made: u32) -> Called<Option<bool>> {
    let known = slot.borrow().as_ref().map(Zval::shallow_clone);
    let task = match known {
        Some(task) => Ok(task),
        None if made < job.attempts() => {
            let class = resolver.class(job.payload().target().0)?;
            build(resolver, &class, job.body(), job.data(), i64::from(made))?
        }
        None => return Ok(None),
    };
    let Ok(mut task) = task else { return Ok(None) };
    let Some(object) = task.object_mut() else { return Ok(None) };
    let answer = call::method(object, "canRetry", &mut [])?.bool();
    if answer == Some(true) {
        // It has no `failed()` to come.
        drop(slot.take());
    }
    Ok(answer)
}

/// Calls `failed()` of the task that ran, or of one that was never started. It takes an `Exception`: an `Error` is wrapped in one.
pub fn tell_failed(resolver: &Resolver, job: &HeldJob, slot: &RefCell<Option<Zval>>, exception: &Zval) -> Called<()> {
    let known = slot.take();
    let task = match known {
        Some(task) => Ok(task),
        None => {
            let class = resolver.class(job.payload().target().0)?;
            build(resolver, &class, job.body(), job.data(), i64::from(job.attempts()))?
        }
    };
    let Ok(mut task) = task else { return Ok(()) };
    let argument = as_exception(exception)?;
    match task.object_mut() {
        Some(object) => call::method(object, "failed", &mut [argument]).map(drop),
        None => Ok(()),
    }
}

fn as_exception(thrown: &Zval) -> Called {
    if thrown.object().is_some_and(|object| object.instance_of(ext_php_rs::zend::ce::exception())) {
        return Ok(thrown.shallow_clone());
    }
    let message = match thrown.shallow_clone().object_mut() {
        Some(object) => call::method(object, "getMessage", &mut [])?,
        None => objects::text(b"the task failed"),
    };
    let none = || objects::number(0);
    call::instantiate(ext_php_rs::zend::ce::exception(), &mut [message, none(), thrown.shallow_clone()])
}
