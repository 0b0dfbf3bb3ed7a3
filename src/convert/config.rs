//! From PHP arrays to configuration values.

use std::convert::Infallible;

use ext_php_rs::types::Zval;
use ferry_core::config::Value;

use crate::zend::objects::{self, PropertyKey};

/// How deep configuration may nest; deeper is not configuration, and recursion must end.
const DEPTH: usize = 16;

/// A PHP value without PHP.
pub fn value(zval: &Zval) -> Value {
    nested(zval, DEPTH)
}

fn nested(zval: &Zval, depth: usize) -> Value {
    if let Some(text) = zval.zend_str() {
        return Value::Text(text.as_bytes().to_vec());
    }
    if zval.is_array() {
        if depth == 0 {
            return Value::Other("an array that nests too deep".to_owned());
        }
        let mut entries = Vec::new();
        let walked = objects::each::<Infallible>(zval, |key, entry| {
            let key = match key {
                PropertyKey::Index(index) => index.to_string(),
                PropertyKey::Name(name) => String::from_utf8_lossy(name).into_owned(),
            };
            entries.push((key, nested(entry, depth - 1)));
            Ok(())
        });
        let Ok(()) = walked;
        return Value::Map(entries);
    }
    if let Some(object) = zval.object() {
        return Value::Other(format!("an object of class {}", String::from_utf8_lossy(&objects::class_name(object))));
    }
    match (zval.bool(), zval.long(), zval.double()) {
        (Some(truth), _, _) => Value::Bool(truth),
        (_, Some(number), _) => Value::Int(number),
        (_, _, Some(number)) => Value::Float(number),
        _ if zval.is_null() => Value::Null,
        _ => Value::Other("a resource".to_owned()),
    }
}
