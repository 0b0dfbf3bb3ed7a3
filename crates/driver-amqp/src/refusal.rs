//! Errors of lapin and refusals of RabbitMQ as our errors, with advice.

use ferry_core::config::{Address, AmqpConfig};
use ferry_core::{Error, ErrorKind};
use lapin::protocol::AMQPError;

/// The reply code of a connection that an operator or a shutdown closed.
pub const CONNECTION_FORCED: u16 = 320;
/// The reply code of something that is not permitted, or not at present.
const ACCESS_REFUSED: u16 = 403;
/// The reply code of something that does not exist.
pub const NOT_FOUND: u16 = 404;
/// The reply code of a failure inside the broker. It closes the connection.
pub const INTERNAL_ERROR: u16 = 541;

/// The text of the broker, or of the network.
pub fn text_of(error: &lapin::Error) -> String {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(refusal) => refusal.get_message().to_string(),
        lapin::ErrorKind::IOError(io) => io.to_string(),
        lapin::ErrorKind::ParsingError(_) => "what it sent is not AMQP".to_owned(),
        _ => error.to_string(),
    }
}

/// The broker's refusal, if the error came from the broker.
pub fn refusal_of(error: &lapin::Error) -> Option<&AMQPError> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(refusal) => Some(refusal),
        _ => None,
    }
}

/// Whether the broker says that something does not exist.
pub fn is_not_found(error: &lapin::Error) -> bool {
    refusal_of(error).is_some_and(|refusal| refusal.get_id() == NOT_FOUND)
}

/// The error of a connection that could not be opened.
pub fn of_login(error: &lapin::Error, config: &AmqpConfig, address: &Address) -> Error {
    let text = without_password(&text_of(error), config);
    let advice = match refusal_of(error).map(AMQPError::get_id) {
        Some(403) => Some(format!("check `user` (`{}`) and `password`", config.username)),
        Some(530) if text.contains("not found") => {
            Some(format!("create it with `rabbitmqctl add_vhost {}`, or correct `vhost`", config.vhost))
        }
        Some(530) => {
            Some(format!("grant it with `rabbitmqctl set_permissions -p {} {} '.*' '.*' '.*'`", config.vhost, config.username))
        }
        None if matches!(error.kind(), lapin::ErrorKind::ParsingError(_)) && config.tls.is_none() => {
            Some("is this its AMQP port? A port for TLS needs the key `tls`, or amqps://".into())
        }
        None if matches!(error.kind(), lapin::ErrorKind::ParsingError(_)) => Some("is this its AMQP port?".into()),
        _ if text.contains("certificate") => Some("check `tls`: `ca_file`, `server_name`".into()),
        _ => None,
    };
    let failed = Error::new(ErrorKind::Connection, format!("connect to RabbitMQ at {address}")).with_source(text);
    match advice {
        Some(advice) => failed.with_advice(advice),
        None => failed,
    }
}

/// The error of a request that stored nothing.
pub fn of_answer(error: &lapin::Error, address: &Address) -> Error {
    let text = text_of(error);
    let Some(refusal) = refusal_of(error) else {
        if let lapin::ErrorKind::InvalidChannel(_) | lapin::ErrorKind::InvalidChannelState(..) = error.kind() {
            let closed = format!("a channel to RabbitMQ at {address} was closed");
            return Error::new(ErrorKind::Connection, closed).with_source(text).with_advice("the next call opens a new one");
        }
        return Error::new(ErrorKind::Connection, format!("the connection to RabbitMQ at {address} broke")).with_source(text);
    };
    let kind = kind_of(refusal.get_id(), &text);
    let refused = Error::new(kind, format!("RabbitMQ at {address} answered")).with_source(text.clone());
    match advice(refusal.get_id(), &text) {
        Some(advice) => refused.with_advice(advice),
        None => refused,
    }
}

/// What a caller can do about a refusal, by reply code and text.
pub fn kind_of(code: u16, text: &str) -> ErrorKind {
    match code {
        // The queue is there, but has no leader at present.
        NOT_FOUND if text.contains("due to timeout") => ErrorKind::Connection,
        NOT_FOUND | 406 => ErrorKind::Config,
        CONNECTION_FORCED | INTERNAL_ERROR => ErrorKind::Connection,
        // A queue that another connection uses exclusively has the same code, and that one ends.
        ACCESS_REFUSED if text.contains("refused for user") => ErrorKind::Denied,
        _ => ErrorKind::Refused,
    }
}

/// Advice for a refusal, by reply code and text.
pub fn advice(code: u16, text: &str) -> Option<String> {
    Some(match code {
        406 if text.contains("inequivalent arg 'x-queue-type'") => {
            "the queue exists with another type: set `queue_type` to that one, or `declare` => 'passive', or remove it with \
             `rabbitmqctl delete_queue` when it is empty"
                .into()
        }
        406 if text.contains("inequivalent arg") => {
            "it exists with other arguments: write the same ones in `arguments`, or set `declare` => 'passive' and change it with \
             `rabbitmqctl set_policy`, or remove it with `rabbitmqctl delete_queue` when it is empty"
                .into()
        }
        406 if text.contains("timed out") => {
            "the job ran longer than the broker's `consumer_timeout`: raise it in rabbitmq.conf, or make jobs shorter".into()
        }
        406 if text.contains("larger than") => "raise `max_message_size` in rabbitmq.conf, or push less data".into(),
        NOT_FOUND if text.contains("no exchange") => "create the exchange, correct `exchange`, or set `declare` => 'yes'".into(),
        NOT_FOUND if text.contains("due to timeout") => return None,
        NOT_FOUND => "create the queue, or set `declare` => 'yes'".into(),
        ACCESS_REFUSED if text.contains("'task.") => {
            "tasks need the rights `rabbitmqctl set_permissions -p VHOST USER '^task\\.' '^task\\.' '^task\\.'`".into()
        }
        ACCESS_REFUSED => "grant the user configure, write and read rights with `rabbitmqctl set_permissions`".into(),
        405 => "another connection holds the queue exclusively".into(),
        _ => return None,
    })
}

/// Text of the server without the password, should it repeat it.
fn without_password(text: &str, config: &AmqpConfig) -> String {
    if config.password.expose() == config.username { text.to_owned() } else { config.password.removed_from(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        for (code, text, advised) in [
            (406, "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/'", "queue_type"),
            (406, "inequivalent arg 'x-max-length' for queue 'q'", "arguments"),
            (406, "delivery acknowledgement on channel 1 timed out", "consumer_timeout"),
            (406, "message size 5 is larger than configured max size 4", "max_message_size"),
            (404, "no exchange 'x' in vhost '/'", "exchange"),
            (404, "no queue 'q' in vhost '/'", "declare"),
            (403, "access to queue 'q' refused", "set_permissions"),
            (403, "ACCESS_REFUSED - access to exchange 'task.dlx' in vhost '/' refused for user 'u'", r"'^task\.'"),
        ] {
            assert!(advice(code, text).is_some_and(|advice| advice.contains(advised)), "{text}");
        }
        assert_eq!(advice(541, "boom"), None);
    }

    #[test]
    fn a_missing_right_is_told_from_a_queue_in_exclusive_use() {
        let of = |text| kind_of(403, text);
        assert_eq!(of("ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for user 'u'"), ErrorKind::Denied);
        assert_eq!(of("ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"), ErrorKind::Refused);
        assert_eq!((kind_of(404, ""), kind_of(320, "")), (ErrorKind::Config, ErrorKind::Connection));
        let busy = "NOT_FOUND - failed to perform operation on queue 'q' in vhost '/' due to timeout";
        assert_eq!((kind_of(404, busy), advice(404, busy)), (ErrorKind::Connection, None));
    }
}
