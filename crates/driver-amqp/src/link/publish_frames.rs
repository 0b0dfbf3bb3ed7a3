//! The frames that publish messages. Pure.

use amq_protocol::frame::{GenError, WriteContext};
use amq_protocol::protocol::basic::gen_properties;
use lapin::BasicProperties;

use super::{BODY, FRAME_END, FRAME_HEAD, HEADER, METHOD};
use crate::names::short;

/// Class 85, method 10, and with an answer.
const CONFIRM_SELECT: [u8; 5] = [0, 85, 0, 10, 0];
/// Class 60, method 40, and an argument that is not used.
const BASIC_PUBLISH: [u8; 6] = [0, 60, 0, 40, 0, 0];
/// The flags of `basic.publish`: what no queue takes comes back.
const MANDATORY: u8 = 1;
/// Class 60 and a weight that is not used, of a content header.
const CONTENT: [u8; 4] = [0, 60, 0, 0];

/// Asks for confirms. RabbitMQ needs no pause between this and the first message.
pub fn confirm_select(channel: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    push_frame(&mut frame, METHOD, channel, &[&CONFIRM_SELECT]);
    frame
}

/// Where a message goes.
pub struct Publish<'a> {
    pub channel: u16,
    pub exchange: &'a str,
    pub key: &'a str,
}

/// Adds a message, in frames of at most `frame_max` bytes. Nothing is to be sent when it fails.
pub fn push_message(
    frames: &mut Vec<u8>,
    frame_max: usize,
    publish: &Publish<'_>,
    properties: &BasicProperties,
    body: &[u8],
) -> Result<(), GenError> {
    let channel = publish.channel;
    let (exchange, key) = (short(publish.exchange), short(publish.key));
    let (exchange, key) = (exchange.as_str().as_bytes(), key.as_str().as_bytes());
    let method = [&BASIC_PUBLISH[..], &[exchange.len() as u8], exchange, &[key.len() as u8], key, &[MANDATORY]];
    push_frame(frames, METHOD, channel, &method);
    let (properties, _) = gen_properties(properties)(WriteContext::from(Vec::new()))?.into_inner();
    push_frame(frames, HEADER, channel, &[&CONTENT, &(body.len() as u64).to_be_bytes(), &properties]);
    for part in body.chunks(frame_max - FRAME_HEAD - 1) {
        push_frame(frames, BODY, channel, &[part]);
    }
    Ok(())
}

fn push_frame(frames: &mut Vec<u8>, kind: u8, channel: u16, payload: &[&[u8]]) {
    let size: usize = payload.iter().map(|part| part.len()).sum();
    frames.reserve(FRAME_HEAD + size + 1);
    frames.push(kind);
    frames.extend_from_slice(&channel.to_be_bytes());
    frames.extend_from_slice(&(size as u32).to_be_bytes());
    payload.iter().for_each(|part| frames.extend_from_slice(part));
    frames.push(FRAME_END);
}

#[cfg(test)]
mod tests {
    use amq_protocol::frame::{AMQPFrame, parse_frame};
    use amq_protocol::protocol::{AMQPClass, basic, confirm};
    use lapin::types::{AMQPValue, FieldTable};

    use super::*;

    const TO_KEY: Publish<'_> = Publish { channel: 5, exchange: "", key: "key" };

    fn parse(mut frames: &[u8]) -> Vec<AMQPFrame> {
        let mut all = Vec::new();
        while !frames.is_empty() {
            let (rest, frame) = parse_frame(frames).unwrap();
            all.push(frame);
            frames = rest;
        }
        all
    }

    #[test]
    fn confirms_are_asked_for_with_an_answer() {
        let frames = parse(&confirm_select(300));
        let select = confirm::AMQPMethod::Select(confirm::Select { nowait: false });
        assert_eq!(frames, [AMQPFrame::Method(300, AMQPClass::Confirm(select))]);
    }

    #[test]
    fn a_message_says_where_it_goes_and_what_it_is() {
        let mut headers = FieldTable::default();
        headers.insert("x-ferry-attempts".into(), AMQPValue::LongInt(3));
        let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
        let mut frames = Vec::new();
        push_message(&mut frames, 4096, &Publish { channel: 5, exchange: "to", key: "key" }, &properties, b"body").unwrap();
        let [
            AMQPFrame::Method(5, AMQPClass::Basic(basic::AMQPMethod::Publish(publish))),
            AMQPFrame::Header(5, header),
            AMQPFrame::Body(5, body),
        ] = &parse(&frames)[..]
        else {
            panic!("{:?}", parse(&frames));
        };
        assert_eq!((publish.exchange.as_str(), publish.routing_key.as_str()), ("to", "key"));
        assert!(publish.mandatory && !publish.immediate);
        assert_eq!((header.class_id, header.body_size, &header.properties), (60, 4, &properties));
        assert_eq!(body, b"body");
    }

    #[test]
    fn a_body_is_cut_into_frames_of_the_agreed_size_and_an_empty_one_has_none() {
        let body: Vec<u8> = (0..100).collect();
        for (frame_max, parts) in [(108, 1), (107, 2), (33, 4)] {
            let mut frames = Vec::new();
            push_message(&mut frames, frame_max, &TO_KEY, &BasicProperties::default(), &body).unwrap();
            let parts_seen: Vec<Vec<u8>> = parse(&frames)
                .into_iter()
                .filter_map(|frame| if let AMQPFrame::Body(_, part) = frame { Some(part) } else { None })
                .collect();
            assert_eq!((parts_seen.len(), parts_seen.concat()), (parts, body.clone()));
        }
        let mut frames = Vec::new();
        push_message(&mut frames, 4096, &TO_KEY, &BasicProperties::default(), b"").unwrap();
        assert_eq!(parse(&frames).len(), 2);
    }
}
