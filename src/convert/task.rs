//! Between `Ferry\Task\TaskMessage` objects and the bytes of a task.

use std::rc::Rc;
use std::sync::Arc;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendClassObject, ZendHashTable, ZendObject, Zval};
use ferry_client::{Handle, tasks};
use ferry_core::config::{self, Value};
use ferry_core::task::{self, DEFAULT_MAX_RETRIES, DEFAULT_PRIORITY, DEFAULT_TTL, Draft, Task, clamp};

use crate::classes::connection::PhpConnection;
use crate::classes::task_message::TaskMessage;
use crate::convert;
use crate::convert::arguments::{integer, textual};
use crate::convert::errors::{exception, invalid, pending};
use crate::request;
use crate::zend::dates;
use crate::zend::json::{self, JsonError};
use crate::zend::objects::{self, PropertyKey, number, text};

/// The properties of a task, and what the wire calls them, in its order.
pub const PROPERTIES: [(&str, &str); 9] = [
    ("taskId", "task_id"),
    ("taskType", "task_type"),
    ("payload", "payload"),
    ("priority", "priority"),
    ("maxRetries", "max_retries"),
    ("currentRetry", "current_retry"),
    ("createdAt", "created_at"),
    ("expireAt", "expire_at"),
    ("metadata", "metadata"),
];

/// What a task holds.
pub struct TaskFields {
    pub id: String,
    pub kind: String,
    pub payload: Zval,
    pub priority: i64,
    pub max_retries: i64,
    pub current_retry: i64,
    pub created_at: i64,
    pub expire_at: i64,
    pub metadata: Zval,
}

impl TaskFields {
    /// Those of a new task.
    pub fn new(kind: Vec<u8>, payload: Zval, priority: i64, max_retries: i64, ttl: i64) -> PhpResult<Self> {
        let now = dates::now();
        let random = ferry_client::random().map_err(|error| exception(&error))?;
        Ok(Self {
            id: task::id(&dates::formatted(b"YmdHis", now), random),
            kind: word(kind, "task type")?,
            payload,
            priority: clamp(priority).into(),
            max_retries,
            current_retry: 0,
            created_at: now,
            expire_at: now.saturating_add(ttl),
            metadata: empty(),
        })
    }

    /// Those of an object, whatever its user wrote into it.
    pub fn read(object: &ZendObject) -> PhpResult<Self> {
        Self::from(|property, _| objects::property(object, property))
    }

    /// Those of an array with the names of the wire.
    pub fn of_array(array: &Zval) -> PhpResult<Self> {
        if !array.is_array() {
            return Err(invalid("a task is made of an array"));
        }
        let mut found: Vec<(Vec<u8>, Zval)> = Vec::new();
        objects::each(array, |key, value| {
            if let PropertyKey::Name(name) = key {
                found.push((name.to_vec(), value.shallow_clone()));
            }
            PhpResult::Ok(())
        })?;
        let get = |name: &str| found.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.shallow_clone());
        Self::from(|_, key| get(key).filter(|value| !value.is_null()))
    }

    fn from(get: impl Fn(&str, &str) -> Option<Zval>) -> PhpResult<Self> {
        let field = |at: usize| get(PROPERTIES[at].0, PROPERTIES[at].1);
        let whole = |at: usize, default: i64| match field(at) {
            None => Ok(default),
            Some(value) => {
                integer(&value).ok_or_else(|| invalid(format!("the task's `{}` is no whole number", PROPERTIES[at].1)))
            }
        };
        let list = |at: usize| match field(at) {
            None => Ok(empty()),
            Some(value) if value.is_array() => Ok(value),
            Some(_) => Err(invalid(format!("the task's `{}` is no array", PROPERTIES[at].1))),
        };
        let name = |at: usize| {
            let value = field(at).ok_or_else(|| invalid(format!("the task has no `{}`", PROPERTIES[at].1)))?;
            word(
                textual(&value).ok_or_else(|| invalid(format!("the task's `{}` is no text", PROPERTIES[at].1)))?,
                PROPERTIES[at].1,
            )
        };
        let created_at = whole(6, dates::now())?;
        Ok(Self {
            id: name(0)?,
            kind: name(1)?,
            payload: list(2)?,
            priority: clamp(whole(3, DEFAULT_PRIORITY)?).into(),
            max_retries: whole(4, DEFAULT_MAX_RETRIES)?,
            current_retry: whole(5, 0)?,
            created_at,
            expire_at: whole(7, created_at.saturating_add(DEFAULT_TTL))?,
            metadata: list(8)?,
        })
    }

    /// Those of a task that came. `body` is the text its ranges point into. `Err` says why PHP cannot read it.
    pub fn of_task(task: &Task, body: &[u8]) -> Result<Self, String> {
        let decoded = |range: &Option<std::ops::Range<usize>>| {
            let Some(range) = range else { return Ok(empty()) };
            let mut text = body[range.clone()].to_vec();
            text.push(0);
            json::decode(&text).map_err(|error| match error {
                JsonError::Said(why) => format!("the body is no task: {why}"),
                JsonError::Threw => "the body is no task".to_owned(),
            })
        };
        Ok(Self {
            id: task.id.clone(),
            kind: task.kind.clone(),
            payload: decoded(&task.payload)?,
            priority: task.priority.into(),
            max_retries: task.max_retries,
            current_retry: task.current_retry,
            created_at: task.created_at,
            expire_at: task.expire_at,
            metadata: decoded(&task.metadata)?,
        })
    }

    fn values(&self) -> [Zval; 9] {
        [
            text(self.id.as_bytes()),
            text(self.kind.as_bytes()),
            self.payload.shallow_clone(),
            number(self.priority),
            number(self.max_retries),
            number(self.current_retry),
            number(self.created_at),
            number(self.expire_at),
            self.metadata.shallow_clone(),
        ]
    }

    /// Writes them into an object.
    pub fn write_to(&self, object: &mut ZendObject) -> PhpResult<()> {
        for ((property, _), value) in PROPERTIES.iter().zip(self.values()) {
            object.set_property(property, value).map_err(|_| pending())?;
        }
        Ok(())
    }

    /// A new object that holds them.
    pub fn to_object(&self) -> PhpResult<ZBox<ZendObject>> {
        let mut object = ZendObject::from_class_object(ZendClassObject::new(TaskMessage));
        self.write_to(&mut object)?;
        Ok(object)
    }

    /// As an array with the names of the wire.
    pub fn to_array(&self) -> PhpResult<ZBox<ZendHashTable>> {
        let mut table = ZendHashTable::new();
        for ((_, key), value) in PROPERTIES.iter().zip(self.values()) {
            table.insert(*key, value)?;
        }
        Ok(table)
    }

    /// The bytes. May run PHP code (JsonSerializable).
    pub fn to_bytes(&self) -> PhpResult<Vec<u8>> {
        let encoded = |value: &Zval, what: &str| {
            json::encode(value).map_err(|error| match error {
                JsonError::Said(why) => invalid(format!("the {what} of task {} cannot be encoded: {why}", self.id)),
                JsonError::Threw => pending(),
            })
        };
        let (payload, metadata) = (encoded(&self.payload, "payload")?, encoded(&self.metadata, "metadata")?);
        let draft = Draft {
            id: &self.id,
            kind: &self.kind,
            payload: &payload,
            priority: self.priority,
            max_retries: self.max_retries,
            current_retry: self.current_retry,
            created_at: self.created_at,
            expire_at: self.expire_at,
            metadata: &metadata,
        };
        Ok(draft.to_bytes())
    }

    /// Whether a handler left everything but the count as it was. Arrays are the same when nobody wrote into them.
    pub fn is_like(&self, other: &TaskFields) -> bool {
        let same = |one: &Zval, two: &Zval| match (one.array(), two.array()) {
            (Some(one), Some(two)) => std::ptr::eq(one, two),
            _ => false,
        };
        let numbers = |fields: &TaskFields| (fields.priority, fields.max_retries, fields.created_at, fields.expire_at);
        self.id == other.id
            && self.kind == other.kind
            && numbers(self) == numbers(other)
            && same(&self.payload, &other.payload)
            && same(&self.metadata, &other.metadata)
    }
}

fn empty() -> Zval {
    let mut value = Zval::new();
    value.set_hashtable(ZendHashTable::new());
    value
}

/// An id or a type: text that AMQP and JSON can carry.
fn word(bytes: Vec<u8>, what: &str) -> PhpResult<String> {
    if bytes.is_empty() || bytes.len() > 255 {
        return Err(invalid(format!("the {what} has {} bytes; 1 to 255 can be carried", bytes.len())));
    }
    String::from_utf8(bytes).map_err(|_| invalid(format!("the {what} is not UTF-8")))
}

/// The connection of a producer or consumer: its name, a DSN, an array, or a `Ferry\Connection`. `class` is who asks.
pub fn connection(value: &Zval, class: &str) -> PhpResult<Rc<Handle>> {
    let handle = if let Some(connection) = value.extract::<&PhpConnection>() {
        connection.handle()
    } else if let Some(object) = value.object() {
        return Err(foreign(object, class));
    } else {
        match convert::config::value(value) {
            Value::Null => request::connection(None),
            Value::Text(words) if is_dsn(&words) => {
                config::connection_from_dsn(config::DEFAULT_CONNECTION, &String::from_utf8_lossy(&words)).map(own)
            }
            Value::Text(name) => request::connection(Some(&String::from_utf8_lossy(&name))),
            Value::Map(entries) => crate::classes::connection::one_of(config::DEFAULT_CONNECTION, entries).map(own),
            _ => return Err(invalid("the connection is a name, a DSN, an array or a Ferry\\Connection")),
        }
        .map_err(|error| exception(&error))?
    };
    tasks::server(handle.config()).map_err(|error| exception(&error))?;
    Ok(handle)
}

fn own(config: config::ConnectionConfig) -> Rc<Handle> {
    Rc::new(Handle::new(Arc::new(config)))
}

fn is_dsn(words: &[u8]) -> bool {
    words.windows(3).any(|three| three == b"://")
}

/// An object that is no connection of ours, most likely one of php-amqplib or of the extension amqp.
fn foreign(object: &ZendObject, class: &str) -> ext_php_rs::exception::PhpException {
    let name = String::from_utf8_lossy(&objects::class_name(object)).into_owned();
    invalid(format!(
        "a {name} cannot be used here: Ferry talks to RabbitMQ itself. Replace it by the name of a connection, or by \
         new \\Ferry\\Task\\{class}('amqp://USER:PASSWORD@HOST:5672/VHOST')"
    ))
}
