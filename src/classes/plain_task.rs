//! `Ferry\RedisTask\Task`: a plain Redis task. It knows its bytes, and `handle()` runs it.

use ext_php_rs::args::Arg;
use ext_php_rs::builders::{ClassBuilder, ClassProperty, FunctionBuilder};
use ext_php_rs::class::RegisteredClass;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::flags::{DataType, MethodFlags, PropertyFlags};
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendObject, Zval};
use ext_php_rs::zend::{ClassEntry, ExecuteData};
use ferry_core::redis_task::{DEFAULT_MAX_ATTEMPTS, TaskBody, TaskCounters, decode, task_id};

use crate::convert::arguments::{Maybe, Mixed, Text, integer};
use crate::convert::errors::{exception, invalid, pending};
use crate::handler::Resolver;
use crate::handler::plain_task::build;
use crate::zend::call::{self, CallFailure, Called};
use crate::zend::json::{self, JsonError};
use crate::zend::{dates, objects};

/// A task.
#[php_class]
#[php(name = "Ferry\\RedisTask\\Task")]
#[php(modifier = "shape")]
pub struct PlainTask;

/// What a task holds. Protected, so that a subclass may declare them protected or public; from outside they are reached through `__get` and
/// `__set`.
const PROPERTIES: [(&str, Option<i64>); 6] = [
    ("id", None),
    ("data", None),
    ("attempts", Some(0)),
    ("maxAttempts", Some(DEFAULT_MAX_ATTEMPTS)),
    ("delay", Some(0)),
    ("createdAt", None),
];

fn shape(builder: ClassBuilder) -> ClassBuilder {
    let handle = FunctionBuilder::new_abstract("handle").returns(DataType::Bool, false, false);
    // Written by hand: without a return type any `failed()` of a subclass fits.
    let failed = FunctionBuilder::new("failed", nothing).arg(Arg::new("exception", DataType::object("Exception")));
    let builder = builder.method(handle, MethodFlags::Public | MethodFlags::Abstract).method(failed, MethodFlags::Public);
    PROPERTIES.iter().fold(builder, |builder, (name, default)| {
        let default = *default;
        builder.property(ClassProperty {
            name: (*name).to_owned(),
            flags: PropertyFlags::Protected,
            default: default.map(|number| -> Box<dyn FnOnce() -> _> { Box::new(move || Ok(objects::number(number))) }),
            docs: &[],
            ty: None,
            nullable: true,
            readonly: false,
            default_stub: None,
        })
    })
}

extern "C" fn nothing(_: &mut ExecuteData, _: &mut Zval) {}

/// The class itself.
pub fn class() -> &'static ClassEntry {
    PlainTask::get_metadata().ce()
}

fn this() -> PhpResult<&'static mut ZendObject> {
    objects::this().ok_or_else(|| invalid("a task's method was called without a task"))
}

fn number(object: &ZendObject, name: &str) -> i64 {
    objects::property(object, name).as_ref().and_then(integer).unwrap_or_default()
}

fn set(object: &mut ZendObject, name: &str, value: Zval) -> PhpResult<()> {
    object.set_property(name, value).map_err(|_| pending())
}

fn is_known(name: &[u8]) -> bool {
    PROPERTIES.iter().any(|(known, _)| known.as_bytes() == name)
}

/// Gives a fresh object what its body says.
pub fn fill(object: &mut ZendObject, id: Option<&str>, data: &Zval, numbers: TaskCounters) -> Called<()> {
    let TaskCounters { attempts, max_attempts, delay, created_at } = numbers;
    let mut fields = vec![
        ("data", data.shallow_clone()),
        ("attempts", objects::number(attempts)),
        ("maxAttempts", objects::number(max_attempts)),
        ("delay", objects::number(delay)),
        ("createdAt", objects::number(created_at)),
    ];
    fields.extend(id.map(|id| ("id", objects::text(id.as_bytes()))));
    for (name, value) in fields {
        object.set_property(name, value).map_err(|_| CallFailure::Missing(format!("the task takes no `{name}`")))?;
    }
    Ok(())
}

/// The bytes of a task: what its `serialize()` returns, checked.
pub fn bytes(task: &mut ZendObject) -> PhpResult<Vec<u8>> {
    let written = call::guarded(|| call::method(task, "serialize", &mut [])).map_err(|trouble| {
        call::rethrow(trouble);
        pending()
    })?;
    let body = objects::to_bytes(&written).ok_or_else(pending)?;
    decode(&body).map_err(|error| invalid(format!("serialize() of the task returned what cannot be run: {error}")))?;
    Ok(body)
}

/// Seconds from now at which it is due.
pub fn delay(task: &ZendObject) -> i64 {
    number(task, "delay")
}

fn new_id() -> PhpResult<String> {
    let random = u64::from_ne_bytes(ferry_client::random().map_err(|error| exception(&error))?);
    Ok(task_id(dates::microseconds(), random as f64 / u64::MAX as f64))
}

#[php_impl]
impl PlainTask {
    /// A new task, with an id of its own.
    pub fn __construct(data: Maybe<'_>) -> PhpResult<Self> {
        objects::construct(|| {
            let object = this()?;
            let data = match data.0 {
                Some(data) if data.is_array() => data.shallow_clone(),
                None => objects::list(),
                Some(data) if data.is_null() => objects::list(),
                Some(_) => return Err(invalid("the data of a task is an array")),
            };
            set(object, "id", objects::text(new_id()?.as_bytes()))?;
            set(object, "data", data)?;
            set(object, "createdAt", objects::number(dates::now()))?;
            Ok(Self)
        })
    }

    /// The bytes of the task.
    pub fn serialize(&self) -> PhpResult<Zval> {
        let object = this()?;
        let data = objects::property(object, "data").unwrap_or_else(objects::list);
        let data = json::encode_unescaped(&data).map_err(|error| match error {
            JsonError::Said(why) => invalid(format!("the data of the task cannot be encoded: {why}")),
            JsonError::Threw => pending(),
        })?;
        let id = objects::property(object, "id").and_then(|id| objects::to_bytes(&id)).unwrap_or_default();
        let (id, class) = (String::from_utf8(id), String::from_utf8(objects::class_name(object)));
        let (Ok(id), Ok(class)) = (id, class) else { return Err(invalid("the id and the class of a task must be UTF-8")) };
        let body = TaskBody {
            id: &id,
            class: &class,
            data: &data,
            attempts: number(object, "attempts"),
            max_attempts: number(object, "maxAttempts"),
            delay: number(object, "delay"),
            created_at: number(object, "createdAt"),
        };
        Ok(objects::text(&body.to_bytes()))
    }

    /// The task of such bytes. Only subclasses of this class are built.
    pub fn unserialize(data: Text) -> PhpResult<Zval> {
        let payload = decode(&data.0).map_err(|error| exception(&error))?;
        let attempts = ferry_core::redis_task::counters(&data.0).map_err(|error| exception(&error))?.attempts;
        let json = payload.data.clone().and_then(|range| data.0.get(range));
        let resolver = Resolver { family: ferry_core::dialect::Family::RedisTask, ..Resolver::default() };
        match call::guarded(|| build(&resolver, payload.target().0, &data.0, json, attempts)) {
            Ok(Ok(task)) => Ok(task),
            Ok(Err(why)) => Err(invalid(why)),
            Err(trouble) => {
                call::rethrow(trouble);
                Err(pending())
            }
        }
    }

    /// Its id.
    pub fn get_id(&self) -> PhpResult<Zval> {
        Ok(objects::property(this()?, "id").unwrap_or_else(|| objects::text(b"")))
    }

    /// Attempts made; inside `handle()` this one included.
    pub fn get_attempts(&self) -> PhpResult<i64> {
        Ok(number(this()?, "attempts"))
    }

    /// Counts an attempt.
    pub fn increment_attempts(&self) -> PhpResult<()> {
        let object = this()?;
        let attempts = number(object, "attempts").saturating_add(1);
        set(object, "attempts", objects::number(attempts))
    }

    /// Whether it may be tried again.
    pub fn can_retry(&self) -> PhpResult<bool> {
        let object = this()?;
        Ok(number(object, "attempts") < number(object, "maxAttempts"))
    }

    /// A property of a task, from outside.
    pub fn __get(&self, name: Text) -> PhpResult<Zval> {
        if !is_known(&name.0) {
            return Err(invalid(format!("a task has no property `{}`", String::from_utf8_lossy(&name.0))));
        }
        Ok(objects::property(this()?, &String::from_utf8_lossy(&name.0)).unwrap_or_else(Zval::null))
    }

    /// Sets one, from outside.
    pub fn __set(&self, name: Text, value: Mixed<'_>) -> PhpResult<()> {
        if !is_known(&name.0) {
            return Err(invalid(format!(
                "a task has no property `{}`; declare it in its class",
                String::from_utf8_lossy(&name.0)
            )));
        }
        set(this()?, &String::from_utf8_lossy(&name.0), value.0.shallow_clone())
    }
}
