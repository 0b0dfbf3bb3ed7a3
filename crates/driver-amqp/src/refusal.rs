//! What RabbitMQ means when it says no, and what the reader should do about it.

use ferry_core::config::{Address, AmqpConfig};
use ferry_core::{Error, ErrorKind};
use lapin::protocol::AMQPError;

/// The broker's own words, or those of the network.
pub fn words_of(error: &lapin::Error) -> String {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(told) => told.get_message().to_string(),
        lapin::ErrorKind::IOError(io) => io.to_string(),
        _ => error.to_string(),
    }
}

/// What the broker said, if it was the broker.
pub fn told(error: &lapin::Error) -> Option<&AMQPError> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(told) => Some(told),
        _ => None,
    }
}

/// A connection that did not come about.
pub fn of_login(error: &lapin::Error, config: &AmqpConfig, address: &Address) -> Error {
    let words = without(&words_of(error), config);
    let advice = match told(error).map(AMQPError::get_id) {
        Some(403) => Some(format!("check `user` (`{}`) and `password`", config.username)),
        Some(530) if words.contains("not found") => {
            Some(format!("create it with `rabbitmqctl add_vhost {}`, or correct `vhost`", config.vhost))
        }
        Some(530) => {
            Some(format!("grant it with `rabbitmqctl set_permissions -p {} {} '.*' '.*' '.*'`", config.vhost, config.username))
        }
        _ if words.contains("certificate") => Some("check `tls`: `ca_file`, `server_name`".into()),
        _ => None,
    };
    let failed = Error::new(ErrorKind::Connection, format!("connect to RabbitMQ at {address}")).with_source(words);
    match advice {
        Some(advice) => failed.with_advice(advice),
        None => failed,
    }
}

/// An answer that was an error, to something that stored nothing.
pub fn of_answer(error: &lapin::Error, address: &Address) -> Error {
    let words = words_of(error);
    let Some(told) = told(error) else {
        if let lapin::ErrorKind::InvalidChannel(_) | lapin::ErrorKind::InvalidChannelState(..) = error.kind() {
            let closed = format!("a channel to RabbitMQ at {address} was closed");
            return Error::new(ErrorKind::Connection, closed).with_source(words).with_advice("the next word opens another");
        }
        return Error::new(ErrorKind::Connection, format!("the connection to RabbitMQ at {address} broke")).with_source(words);
    };
    let kind = match told.get_id() {
        404 | 406 => ErrorKind::Config,
        // Connection forced, internal error.
        320 | 541 => ErrorKind::Connection,
        _ => ErrorKind::Refused,
    };
    let refused = Error::new(kind, format!("RabbitMQ at {address} answered")).with_source(words.clone());
    match advice(told.get_id(), &words) {
        Some(advice) => refused.with_advice(advice),
        None => refused,
    }
}

/// What to do about a refusal, by code and words.
pub fn advice(code: u16, words: &str) -> Option<String> {
    Some(match code {
        406 if words.contains("inequivalent arg 'x-queue-type'") => {
            "the queue exists with another type: set `queue_type` to that one, or `declare` => 'passive', or remove it with \
             `rabbitmqctl delete_queue` when it is empty"
                .into()
        }
        406 if words.contains("inequivalent arg") => {
            "it exists with other arguments: write the same ones in `arguments`, or set `declare` => 'passive' and change it with \
             `rabbitmqctl set_policy`, or remove it with `rabbitmqctl delete_queue` when it is empty"
                .into()
        }
        406 if words.contains("timed out") => {
            "the job ran longer than the broker's `consumer_timeout`: raise it in rabbitmq.conf, or let jobs end sooner".into()
        }
        406 if words.contains("larger than") => "raise `max_message_size` in rabbitmq.conf, or push less data".into(),
        404 if words.contains("no exchange") => "create the exchange, correct `exchange`, or set `declare` => 'yes'".into(),
        404 => "create the queue, or set `declare` => 'yes'".into(),
        403 => "grant the user configure, write and read rights with `rabbitmqctl set_permissions`".into(),
        405 => "somebody else holds the queue exclusively".into(),
        _ => return None,
    })
}

/// Text of the server without a password it might repeat.
fn without(words: &str, config: &AmqpConfig) -> String {
    if config.password.expose() == config.username { words.to_owned() } else { config.password.removed_from(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        for (code, words, advised) in [
            (406, "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/'", "queue_type"),
            (406, "inequivalent arg 'x-max-length' for queue 'q'", "arguments"),
            (406, "delivery acknowledgement on channel 1 timed out", "consumer_timeout"),
            (406, "message size 5 is larger than configured max size 4", "max_message_size"),
            (404, "no exchange 'x' in vhost '/'", "exchange"),
            (404, "no queue 'q' in vhost '/'", "declare"),
            (403, "access to queue 'q' refused", "set_permissions"),
        ] {
            assert!(advice(code, words).is_some_and(|text| text.contains(advised)), "{words}");
        }
        assert_eq!(advice(541, "boom"), None);
    }
}
