//! A message of another program, as a decoder sees it.

use ferry_core::broker::tasks::{ForeignMessage, HeaderValue};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};

use crate::message;

/// What came of `queue`, with its unpacked `body`. `why` it is no task.
pub fn message(delivery: &Delivery, queue: &str, body: Vec<u8>, why: String) -> ForeignMessage {
    let properties = &delivery.properties;
    let mut attributes = attributes(properties);
    for (name, text) in
        [("queue", queue), ("exchange", delivery.exchange.as_str()), ("routing_key", delivery.routing_key.as_str())]
    {
        attributes.push((name, HeaderValue::Text(text.into())));
    }
    ForeignMessage { id: id(properties), body, headers: headers(properties), properties: attributes, why }
}

/// What names a message that is no task; nothing when it has no message id.
pub fn id(properties: &BasicProperties) -> String {
    properties.message_id().as_ref().map_or_else(String::new, |id| id.as_str().to_owned())
}

/// How deep the tables of a header may nest; what is deeper is left out, and recursion must end.
const DEPTH: usize = 16;

fn headers(properties: &BasicProperties) -> Vec<(String, HeaderValue)> {
    properties.headers().as_ref().map_or_else(Vec::new, |headers| table(headers, DEPTH))
}

fn table(table: &FieldTable, depth: usize) -> Vec<(String, HeaderValue)> {
    table.inner().iter().map(|(key, entry)| (key.as_str().to_owned(), value(entry, depth))).collect()
}

fn value(value: &AMQPValue, depth: usize) -> HeaderValue {
    match value {
        AMQPValue::Boolean(truth) => HeaderValue::Bool(*truth),
        AMQPValue::Float(number) => HeaderValue::Float(f64::from(*number)),
        AMQPValue::Double(number) => HeaderValue::Float(*number),
        AMQPValue::LongString(text) => HeaderValue::Text(text.as_bytes().to_vec()),
        AMQPValue::ShortString(text) => HeaderValue::Text(text.as_str().as_bytes().to_vec()),
        AMQPValue::ByteArray(bytes) => HeaderValue::Text(bytes.as_slice().to_vec()),
        AMQPValue::FieldArray(list) if depth > 0 => {
            HeaderValue::List(list.as_slice().iter().map(|entry| self::value(entry, depth - 1)).collect())
        }
        AMQPValue::FieldTable(fields) if depth > 0 => HeaderValue::Table(table(fields, depth - 1)),
        AMQPValue::DecimalValue(_) | AMQPValue::Void | AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) => HeaderValue::Null,
        number => message::whole(number).map_or(HeaderValue::Null, HeaderValue::Int),
    }
}

/// The properties beside the headers that are set, under the names of the AMQP specification.
fn attributes(properties: &BasicProperties) -> Vec<(&'static str, HeaderValue)> {
    let texts = [
        ("content_type", properties.content_type()),
        ("content_encoding", properties.content_encoding()),
        ("correlation_id", properties.correlation_id()),
        ("reply_to", properties.reply_to()),
        ("message_id", properties.message_id()),
        ("type", properties.kind()),
        ("user_id", properties.user_id()),
        ("app_id", properties.app_id()),
    ];
    let numbers = [
        ("priority", properties.priority().map(i64::from)),
        ("timestamp", properties.timestamp().and_then(|second| i64::try_from(second).ok())),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::Text(text.as_ref()?.as_str().into()))));
    let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, HeaderValue::Int(number?))));
    texts.chain(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_their_types_and_what_nests_too_deep_is_left_out() {
        let mut inner = FieldTable::default();
        inner.insert("n".into(), AMQPValue::Double(0.5));
        let mut fields = FieldTable::default();
        fields.insert("a".into(), message::text("x"));
        fields.insert("b".into(), AMQPValue::ShortUInt(7));
        fields.insert("c".into(), AMQPValue::Timestamp(1_700_000_000));
        fields.insert("d".into(), AMQPValue::FieldArray(vec![AMQPValue::Boolean(true), AMQPValue::Void].into()));
        fields.insert("e".into(), AMQPValue::FieldTable(inner));
        let read = headers(&BasicProperties::default().with_headers(fields));
        let expected = [
            ("a", HeaderValue::Text(b"x".to_vec())),
            ("b", HeaderValue::Int(7)),
            ("c", HeaderValue::Int(1_700_000_000)),
            ("d", HeaderValue::List(vec![HeaderValue::Bool(true), HeaderValue::Null])),
            ("e", HeaderValue::Table(vec![("n".to_owned(), HeaderValue::Float(0.5))])),
        ];
        assert_eq!(read, expected.map(|(key, value)| (key.to_owned(), value)));
        let nested = (0..100).fold(AMQPValue::Void, |inner, _| AMQPValue::FieldArray(vec![inner].into()));
        let mut depth = 0;
        let mut read = value(&nested, DEPTH);
        while let HeaderValue::List(mut entries) = read {
            depth += 1;
            read = entries.remove(0);
        }
        assert_eq!((depth, read), (DEPTH, HeaderValue::Null));
    }

    #[test]
    fn only_properties_that_are_set_are_told() {
        let properties = BasicProperties::default().with_message_id("m".into()).with_priority(3);
        let expected = [("message_id", HeaderValue::Text(b"m".to_vec())), ("priority", HeaderValue::Int(3))];
        assert_eq!(attributes(&properties), expected);
    }
}
