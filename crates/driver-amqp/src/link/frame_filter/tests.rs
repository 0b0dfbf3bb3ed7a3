//! Tests of the frame filter: bytes cut in every way, and frames that break the rules.

use super::*;

fn frame(kind: u8, channel: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind, 0, channel], &size[..], payload, &[FRAME_END]].concat()
}

fn short(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// `basic.deliver` of this tag.
fn deliver(channel: u8, tag: &str, number: u8) -> Vec<u8> {
    let fixed = [&BASIC_DELIVER[..], &short(tag), &[0, 0, 0, 0, 0, 0, 0, number, 1], &short(""), &short("q")];
    frame(METHOD, channel, &fixed.concat())
}

/// Persistent, with a body of so many bytes.
fn header(channel: u8, size: u64) -> Vec<u8> {
    frame(HEADER, channel, &[&[0, 60, 0, 0][..], &size.to_be_bytes(), &[0x10, 0, 2]].concat())
}

fn body(channel: u8, text: &str) -> Vec<u8> {
    frame(BODY, channel, text.as_bytes())
}

fn message(channel: u8, tag: &str, number: u8, text: &str) -> Vec<u8> {
    [deliver(channel, tag, number), header(channel, text.len() as u64), body(channel, text)].concat()
}

/// `channel.close-ok`, which is lapin's.
fn close_ok(channel: u8) -> Vec<u8> {
    frame(METHOD, channel, &[0, 20, 0, 41])
}

fn filter() -> FrameFilter {
    let mut filter = FrameFilter::default();
    filter.subscribe(1, "ours");
    filter
}

fn for_lapin(filter: &mut FrameFilter) -> Vec<u8> {
    let mut all = vec![0; 100_000];
    let count = filter.take_for_lapin(&mut all);
    assert!(!filter.has_any_for_lapin());
    all.truncate(count);
    all
}

fn bodies(filter: &mut FrameFilter, tag: &str) -> Vec<String> {
    std::iter::from_fn(|| filter.next(tag)).map(|delivery| String::from_utf8(delivery.data).unwrap()).collect()
}

#[test]
fn deliveries_are_taken_out_and_the_rest_is_lapins_however_the_bytes_are_cut() {
    let long = "x".repeat(300);
    let bytes = [
        frame(HEARTBEAT, 0, b""),
        message(1, "ours", 1, "one"),
        message(1, "theirs", 2, "lapin's"),
        message(2, "ours", 3, "of another channel"),
        [deliver(1, "ours", 4), header(1, 306), close_ok(2), body(1, &long), frame(HEARTBEAT, 0, b""), body(1, "behind")]
            .concat(),
        [deliver(1, "ours", 5), header(1, 0)].concat(),
        close_ok(3),
    ];
    let theirs = [
        frame(HEARTBEAT, 0, b""),
        message(1, "theirs", 2, "lapin's"),
        message(2, "ours", 3, "of another channel"),
        close_ok(2),
        frame(HEARTBEAT, 0, b""),
        close_ok(3),
    ]
    .concat();
    let bytes = bytes.concat();
    for step in [1, 2, 3, 5, 7, 8, 9, 64, 100, bytes.len()] {
        let mut filter = filter();
        bytes.chunks(step).for_each(|part| filter.pass(part));
        assert_eq!(bodies(&mut filter, "ours"), ["one".to_owned(), format!("{long}behind"), String::new()], "by {step}");
        assert_eq!(for_lapin(&mut filter), theirs, "by {step}");
    }
}

#[test]
fn a_delivery_has_what_the_broker_said_of_it() {
    let mut filter = filter();
    filter.pass(&message(1, "ours", 7, "text"));
    let delivery = filter.next("ours").unwrap();
    assert_eq!((delivery.delivery_tag, delivery.redelivered, delivery.routing_key.as_str()), (7, true, "q"));
    assert_eq!(*delivery.properties.delivery_mode(), Some(2));
    assert_eq!(delivery.data, b"text");
}

#[test]
fn the_end_of_a_delivery_goes_where_its_beginning_went() {
    let mut filter = filter();
    let ours = message(1, "ours", 1, "begun before the end");
    filter.pass(&ours[..50]);
    filter.unsubscribe("ours");
    filter.pass(&ours[50..]);
    filter.pass(&message(1, "ours", 2, "after it"));
    assert_eq!(for_lapin(&mut filter), message(1, "ours", 2, "after it"));

    let theirs = [deliver(2, "new", 3), header(2, 2)].concat();
    filter.pass(&theirs);
    filter.subscribe(2, "new");
    filter.pass(&body(2, "ab"));
    assert_eq!(for_lapin(&mut filter), [theirs, body(2, "ab")].concat());
    assert_eq!(bodies(&mut filter, "new"), Vec::<String>::new());
}

#[test]
fn a_method_in_the_middle_of_a_delivery_ends_it() {
    let mut filter = filter();
    filter.pass(&[deliver(1, "ours", 1), header(1, 5), body(1, "ab"), close_ok(1), message(1, "ours", 1, "anew")].concat());
    assert_eq!(for_lapin(&mut filter), close_ok(1));
    assert_eq!(bodies(&mut filter, "ours"), ["anew"]);
}

#[test]
fn what_the_broker_may_not_send_is_left_to_lapin_which_reports_it() {
    let mut with_bad_end = body(1, "ab");
    *with_bad_end.last_mut().unwrap() = 0;
    for (bad, why) in [
        (body(1, "abc"), "longer than the header says"),
        (header(1, 2), "a second header"),
        (with_bad_end, "no end"),
        (frame(HEADER, 1, &[0, 60]), "half a header"),
    ] {
        let mut filter = filter();
        filter.pass(&[deliver(1, "ours", 1), header(1, 2), bad.clone()].concat());
        assert_eq!(for_lapin(&mut filter), bad, "{why}");
        assert_eq!(bodies(&mut filter, "ours"), Vec::<String>::new(), "{why}");
    }
}

#[test]
fn what_is_no_frame_is_passed_on_at_once_with_everything_behind_it() {
    for bad in [&b"HTTP/1.1 400 Bad Request"[..], b"AMQP\0\0\x09\x01", &[METHOD, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]] {
        let mut filter = filter();
        filter.pass(&close_ok(1));
        filter.pass(bad);
        filter.pass(&message(1, "ours", 1, "a"));
        assert_eq!(for_lapin(&mut filter), [&close_ok(1), bad, &message(1, "ours", 1, "a")].concat());
    }
}

#[test]
fn an_announced_size_allocates_nothing() {
    let mut filter = filter();
    filter.pass(&[deliver(1, "ours", 1), header(1, u64::MAX), body(1, "ab")].concat());
    assert!(filter.incomplete[0].delivery.data.capacity() <= MAX_FRAME as usize);
}

#[test]
fn half_a_frame_reaches_lapin_when_nothing_more_comes() {
    let mut filter = filter();
    let frame = close_ok(1);
    filter.pass(&frame[..9]);
    assert_eq!(for_lapin(&mut filter), b"");
    filter.end();
    assert_eq!(for_lapin(&mut filter), frame[..9]);
}

#[test]
fn lapin_takes_its_bytes_in_pieces_and_hears_that_the_broker_is_alive() {
    let mut filter = FrameFilter::transparent();
    filter.pass(b"encrypted");
    filter.pass_heartbeat();
    let mut piece = [0; 4];
    assert_eq!((filter.take_for_lapin(&mut piece), &piece), (4, b"encr"));
    assert_eq!(for_lapin(&mut filter), [b"ypted".as_slice(), &HEARTBEAT_FRAME].concat());
}

fn basic_ack(number: u8, multiple: bool) -> Vec<u8> {
    frame(METHOD, 9, &[0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, number, u8::from(multiple)])
}

/// `basic.return` of a message for a queue that is not there.
fn returned(text: &str) -> Vec<u8> {
    let method = [&[0, 60, 0, 50, 1, 56][..], &short("NO_ROUTE"), &short(""), &short("q")].concat();
    [frame(METHOD, 9, &method), header(9, text.len() as u64), body(9, text)].concat()
}

/// `channel.close` or, on channel 0, `connection.close`.
fn close(channel: u8, class: u8, method: u8) -> Vec<u8> {
    frame(METHOD, channel, &[&[0, class, 0, method, 1, 148][..], &short("gone"), &[0, 60, 0, 40]].concat())
}

/// A filter that takes the confirms of channel 9, and its id.
fn publishing() -> (FrameFilter, u64) {
    let mut filter = FrameFilter::default();
    let id = filter.take_confirms(9);
    (filter, id)
}

#[test]
fn confirms_and_returned_messages_are_taken_out_however_the_bytes_are_cut() {
    let select_ok = frame(METHOD, 9, &[0, 85, 0, 11]);
    let declare_ok = frame(METHOD, 9, &[&[0, 50, 0, 11][..], &short("q"), &[0; 8]].concat());
    let nack = frame(METHOD, 9, &[0, 60, 0, 120, 0, 0, 0, 0, 0, 0, 0, 3, 0]);
    let bytes = [
        [select_ok, basic_ack(1, false), declare_ok.clone(), returned("lost way")].concat(),
        [close_ok(2), basic_ack(2, true), nack].concat(),
    ]
    .concat();
    for step in [1, 2, 3, 7, 8, 64, bytes.len()] {
        let (mut filter, id) = publishing();
        filter.confirms(id).unwrap().publish(4);
        bytes.chunks(step).for_each(|part| filter.pass(part));
        assert_eq!(for_lapin(&mut filter), [declare_ok.clone(), close_ok(2)].concat(), "by {step}");
        let confirms = filter.confirms(id).unwrap();
        let outcomes: Vec<Option<Confirm>> = (1..=4).map(|number| confirms.outcome(number)).collect();
        assert_eq!(outcomes, [Some(Confirm::Ack), Some(Confirm::Ack), Some(Confirm::Nack), None], "by {step}");
        let expected = ReturnedMessage { routing_key: "q".into(), body: b"lost way".to_vec(), text: "NO_ROUTE".into() };
        assert_eq!(confirms.take_returned(), [expected], "by {step}");
    }
}

#[test]
fn a_close_by_the_broker_is_seen_here_and_by_lapin() {
    let (mut filter, id) = publishing();
    let other = filter.take_confirms(8);
    let gone = ChannelEnd::Closed(404, "gone".into());
    filter.pass(&close(9, 20, 40));
    assert_eq!(for_lapin(&mut filter), close(9, 20, 40));
    assert_eq!(filter.confirms(id).unwrap().ended(), Some(&gone));
    assert_eq!(filter.confirms(other).unwrap().ended(), None);
    filter.pass(&close(0, 10, 50));
    assert_eq!(for_lapin(&mut filter), close(0, 10, 50));
    assert_eq!(filter.confirms(other).unwrap().ended(), Some(&ChannelEnd::Lost(Some("gone".into()))));
}

#[test]
fn confirms_are_taken_until_the_channel_is_closed_and_not_from_a_new_one_of_its_number() {
    let (mut filter, id) = publishing();
    filter.leave_confirms(id);
    filter.pass(&[basic_ack(1, false), returned("late")].concat());
    assert_eq!(for_lapin(&mut filter), b"");
    assert!(filter.confirms(id).is_some());
    filter.pass(&[close_ok(9), basic_ack(1, false)].concat());
    assert_eq!(for_lapin(&mut filter), [close_ok(9), basic_ack(1, false)].concat());
    assert!(filter.confirms(id).is_none());

    let (mut filter, id) = publishing();
    filter.pass(&[close(9, 20, 40), basic_ack(1, false)].concat());
    assert_eq!(for_lapin(&mut filter), [close(9, 20, 40), basic_ack(1, false)].concat());
    assert!(filter.confirms(id).is_some(), "somebody may ask why");
    filter.leave_confirms(id);
    assert!(filter.confirms(id).is_none());
}

#[test]
fn what_is_no_method_is_left_to_lapin_which_reports_it() {
    let (mut filter, _) = publishing();
    let bad = [frame(METHOD, 9, &[0, 60, 9, 9]), body(9, "of nothing")].concat();
    filter.pass(&bad);
    assert_eq!(for_lapin(&mut filter), bad);
}
