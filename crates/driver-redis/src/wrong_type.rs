//! A key that holds something else than its queue needs. Redis does not say which one; the operator has to know.

use ferry_core::{Error, QueueName};
use redis::{Value, cmd};

use crate::{RedisBroker, refusal};

/// So many queues are looked at in one read.
const CHUNK: usize = 100;

/// The error with the name of the key that it is about, when it is about a key of the wrong type.
pub fn named(broker: &RedisBroker, queues: &[&QueueName], error: Error) -> Error {
    if !refusal::is_wrong_type(&error) {
        return error;
    }
    match queues.chunks(CHUNK).find_map(|queues| find(broker, queues)) {
        Some(wrong) => error.within(wrong).with_advice("rename or remove that key, or choose another queue name"),
        None => error,
    }
}

/// The first key of these queues whose type is wrong, in words. `None` when there is none, or when nobody may look.
fn find(broker: &RedisBroker, queues: &[&QueueName]) -> Option<String> {
    let keys: Vec<(String, &str)> = queues
        .iter()
        .flat_map(|queue| {
            let keys = broker.keys(queue);
            [(keys.ready, "list"), (keys.delayed, "zset"), (keys.reserved, "zset"), (keys.failed, "list")]
        })
        .collect();
    let commands: Vec<_> = keys.iter().map(|(key, _)| cmd("TYPE").arg(key).clone()).collect();
    let found = broker.settle.read(&commands).ok()?;
    keys.iter().zip(found).find_map(|((key, wanted), found)| match found {
        Value::SimpleString(found) if found != *wanted && found != "none" => {
            Some(format!("the key `{key}` holds a {found}, where the queue needs a {wanted}"))
        }
        _ => None,
    })
}
