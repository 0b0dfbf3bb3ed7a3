//! Asks the decode callback of a consumer what task a message of another program stands for.

use ext_php_rs::types::{ZendHashTable, Zval};
use ferry_core::broker::tasks::{ForeignMessage, HeaderValue};
use ferry_worker::Decoded;

use super::tasks::{class_or_type, described};
use crate::classes::task_message;
use crate::convert::task::TaskFields;
use crate::zend::call::{self, CallFailure, Called, guarded};
use crate::zend::objects;

/// Asks it. What it throws, and how else it ends PHP, is the caller's to judge.
pub fn decode(callback: &Zval, message: &ForeignMessage) -> Called<Decoded> {
    let answer = guarded(|| {
        let headers = array(message.headers.iter().map(|(key, value)| (key.as_str(), value)));
        let properties = array(message.properties.iter().map(|(key, value)| (*key, value)));
        call::callable(callback, &mut [objects::text(&message.body), headers, properties])
    })?;
    if answer.is_null() {
        return Ok(Decoded::Unknown);
    }
    let Some(object) = answer.object().filter(|object| object.instance_of(task_message::class())) else {
        let what = class_or_type(&answer);
        return Ok(Decoded::Failed(format!("the decode callback returned {what}, not a Ferry\\Task\\TaskMessage or null")));
    };
    // Runs PHP code where the task holds objects.
    let encoded = guarded(|| {
        TaskFields::read(object).and_then(|fields| fields.to_bytes()).map_err(|error| {
            error.throw();
            CallFailure::Missing("the task cannot be encoded".to_owned())
        })
    });
    match encoded {
        Ok(bytes) => Ok(Decoded::Task(bytes)),
        Err(CallFailure::Threw(thrown)) => {
            Ok(Decoded::Failed(format!("the task that the decode callback returned cannot be run: {}", described(&thrown).0)))
        }
        Err(trouble) => Err(trouble),
    }
}

fn array<'a>(entries: impl Iterator<Item = (&'a str, &'a HeaderValue)>) -> Zval {
    let mut table = ZendHashTable::new();
    for (key, value) in entries {
        // Inserting a value of ours into a fresh array cannot fail.
        let _ = table.insert(key, zval(value));
    }
    let mut array = Zval::new();
    array.set_hashtable(table);
    array
}

fn zval(value: &HeaderValue) -> Zval {
    match value {
        HeaderValue::Null => Zval::null(),
        HeaderValue::Bool(truth) => objects::truth(*truth),
        HeaderValue::Int(number) => objects::number(*number),
        HeaderValue::Float(number) => objects::float(*number),
        HeaderValue::Text(bytes) => objects::text(bytes),
        HeaderValue::Table(entries) => array(entries.iter().map(|(key, value)| (key.as_str(), value))),
        HeaderValue::List(values) => {
            let mut table = ZendHashTable::new();
            for value in values {
                let _ = table.push(zval(value));
            }
            let mut list = Zval::new();
            list.set_hashtable(table);
            list
        }
    }
}
