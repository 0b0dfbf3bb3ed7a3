//! What is decided here, against every recorded case. `crates/driver-redis/tests/it/redis_task.rs` replays them on a server.

use serde_json::Value;

use super::*;
use crate::backoff::Backoff;
use crate::broker::Settlement;
use crate::failed::{Failure, Reason};
use crate::payload::{Payload, find_attempts, with_attempts, with_fresh_attempts};
use crate::policy::{Outcome, RetryPolicy, Tries, decide};
use crate::timezone::TimeZone;

const NOW: i64 = 1_700_000_000;

fn recording() -> Value {
    serde_json::from_str(include_str!("../../../../fixtures/redis-task.json")).unwrap()
}

fn case(name: &str) -> Value {
    let recording = recording();
    recording["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap().clone()
}

/// Argument number `at` of a recorded command.
fn argument(case: &Value, command: usize, at: usize) -> Vec<u8> {
    case["commands"][command][at].as_str().unwrap().as_bytes().to_vec()
}

fn body_with(fields: &str) -> String {
    format!(r#"{{"id":"a","class":"C","data":[],"attempts":0{fields}}}"#)
}

fn failure(exception: &str, payload: &[u8], reason: Reason) -> Failure {
    Failure { connection: "tasks".into(), payload: payload.to_vec(), reason, exception: exception.into(), attempts: 2 }
}

#[test]
fn every_recorded_body_is_written_byte_for_byte() {
    let number = |body: &[u8], key: &str| serde_json::from_slice::<Value>(body).unwrap()[key].as_i64().unwrap();
    for name in ["push", "push-namespaced-class", "push-json-flavour"] {
        let recorded = argument(&case(name), 0, 2);
        let Payload { job, data, id, .. } = decode(&recorded).unwrap();
        let written = TaskBody {
            id: &id.unwrap(),
            class: &job,
            data: &recorded[data.unwrap()],
            attempts: number(&recorded, "attempts"),
            max_attempts: number(&recorded, "max_attempts"),
            delay: number(&recorded, "delay"),
            created_at: number(&recorded, "created_at"),
        };
        assert_eq!(String::from_utf8_lossy(&written.to_bytes()), String::from_utf8_lossy(&recorded), "{name}");
    }
}

#[test]
fn an_id_has_the_recorded_shape_and_says_when() {
    let is_right = |id: &str| {
        let (head, tail) = (id.get(..18).unwrap_or_default(), id.get(18..).unwrap_or_default());
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        head.starts_with("task_")
            && head[5..].bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && matches!(tail.split_once('.'), Some((one, eight)) if one.len() == 1 && eight.len() == 8 && digits(one) && digits(eight))
    };
    assert!(is_right(recording()["id_shape"]["example"].as_str().unwrap()));
    for (micros, random) in [(0, 0.0), (1_700_000_000_123_456, 0.5), (u64::MAX, 1.0), (7, f64::NAN)] {
        assert!(is_right(&task_id(micros, random)), "{}", task_id(micros, random));
    }
    assert!(task_id(1_700_000_000_123_456, 0.5).starts_with("task_6553f1001e240"));
}

#[test]
fn recorded_bodies_that_were_lost_there_are_poison_here() {
    let body = case("pop-bad-json-LOSES-TASK")["before"]["default_queue"]["value"][0].as_str().unwrap().to_owned();
    assert!(decode(body.as_bytes()).is_err());
    assert!(decode(b"").is_err(), "push-invalid-utf8 queues this");
}

#[test]
fn a_body_of_a_class_is_read_whoever_has_the_class() {
    for (name, class) in [("pop-unknown-class-LOSES-TASK", "Nope"), ("pop-arbitrary-class", "ArrayObject")] {
        let body = case(name)["before"]["default_queue"]["value"][0].as_str().unwrap().to_owned();
        assert_eq!(decode(body.as_bytes()).unwrap().target(), (class, "fire"), "{name}");
    }
}

#[test]
fn a_field_of_the_wrong_type_is_poison_and_a_missing_one_has_its_default() {
    for wrong in [
        "5",
        "[]",
        "{}",
        r#"{"class":5}"#,
        r#"{"class":""}"#,
        r#"{"class":null}"#,
        r#"{"class":"C","data":"x"}"#,
        r#"{"class":"C","data":7}"#,
        r#"{"class":"C","id":[]}"#,
        r#"{"class":"C","delay":[]}"#,
        r#"{"class":"C","created_at":"soon"}"#,
        r#"{"class":"C","max_attempts":"many"}"#,
        r#"{"class":"C"} x"#,
    ] {
        assert_eq!(decode(wrong.as_bytes()).unwrap_err().kind(), ErrorKind::Poison, "{wrong}");
    }
    assert_eq!(decode(b"{\"class\":\"\xff\"}").unwrap_err().kind(), ErrorKind::Poison);
    for (fields, tries) in [
        ("", 3),
        (r#","max_attempts":null"#, 3),
        (r#","max_attempts":5"#, 5),
        (r#","max_attempts":"5""#, 5),
        (r#","max_attempts":0"#, 1),
    ] {
        assert_eq!(decode(body_with(fields).as_bytes()).unwrap().tries, Some(Tries::Limit(tries)), "{fields}");
    }
    assert_eq!(decode(br#"{"class":"C"}"#).unwrap().data, None);
}

#[test]
fn a_failed_attempt_is_released_with_the_recorded_bytes_and_due_time() {
    let case = case("work-false-retry-2");
    let before = case["before"]["default_queue"]["value"][0].as_str().unwrap().as_bytes().to_vec();
    let at = find_attempts(&before).unwrap();
    let policy =
        RetryPolicy { tries: decode(&before).unwrap().tries.unwrap(), backoff: Backoff::REDIS_TASK, ..RetryPolicy::default() };
    let ended = decide(Outcome::Failed, at.value + 1, &policy, NOW, 1.0, || failure("", &before, Reason::Exception));
    let Settlement::Release { delay } = ended else { panic!("{ended:?}") };
    assert_eq!((NOW + delay).to_string().as_bytes(), argument(&case, 2, 2));
    assert_eq!(*with_delay(&with_attempts(&before, at, at.value + 1), delay), argument(&case, 2, 3));
}

#[test]
fn a_delay_is_written_where_it_stands_and_bounded() {
    for (delay, written) in [(0, "0"), (-7, "0"), (240, "240"), (i64::MAX, "315360000")] {
        let body = body_with(r#","delay":60,"x":{"delay":5}"#);
        let expected = body_with(&format!(r#","delay":{written},"x":{{"delay":5}}"#));
        assert_eq!(*with_delay(body.as_bytes(), delay), *expected.as_bytes());
    }
    for body in [body_with(""), body_with(r#","delay":-1"#), "not json".to_owned()] {
        assert_eq!(*with_delay(body.as_bytes(), 60), *body.as_bytes());
    }
}

#[test]
fn a_failure_begins_with_the_recorded_record_under_the_key_of_its_own_queue() {
    let case = case("work-throws-final-named-queue");
    let recorded = argument(&case, 2, 2);
    let task = serde_json::from_slice::<Value>(&recorded).unwrap()["task"].as_str().unwrap().as_bytes().to_vec();
    let thrown = failure("Exception: smtp down in /app/Mail.php:9\nStack trace:\n#0 {main}", b"", Reason::Exception);
    let written = FailedRecord { task: &task, failure: &thrown, now: NOW }.to_json(&TimeZone::default());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (written, recorded) = (text(&written), text(&recorded));
    assert!(written.starts_with(&recorded[..recorded.len() - 1]), "{written}\n{recorded}");
    assert_eq!(keys(&QueueName::new(b"email").unwrap()).failed, "failed_queue:email");
}

#[test]
fn a_record_is_read_whoever_wrote_it_and_its_task_is_what_lay_ready() {
    let shanghai = TimeZone::sampled(0, 1, |_| 8 * 3600);
    let popped = body_with(r#","delay":60"#).into_bytes();
    let raised = with_attempts(&popped, find_attempts(&popped).unwrap(), 1);
    let exception = "订单\n#0 {main}";
    let record =
        FailedRecord { task: &raised, failure: &failure(exception, &popped, Reason::Timeout), now: NOW }.to_json(&shanghai);
    assert!(String::from_utf8_lossy(&record).contains("\"failed_at\":\"2023-11-15 06:13:20\""));
    let read = read_failed(&record, "email", &shanghai);
    assert_eq!((read.payload, read.failed_at, read.attempts), (popped, NOW, Some(2)));
    assert_eq!(
        (read.id.as_str(), read.reason.as_str(), read.connection.as_str(), read.queue.as_str()),
        ("a", "timeout", "tasks", "email")
    );
    assert_eq!(read.exception, exception);

    let recorded = case("retry-script-lrem-with-array")["before"]["failed_queue:email"]["value"][0].as_str().unwrap().to_owned();
    let read = read_failed(recorded.as_bytes(), "email", &TimeZone::default());
    assert_eq!((read.id.as_str(), read.exception.as_str(), read.failed_at), ("task_6553f100a1b2c3.12345678", "x", NOW));
    // The next attempt is the first one, at once.
    let again = with_delay(&with_fresh_attempts(&read.payload, 0), 0).into_owned();
    let again: Value = serde_json::from_slice(&again).unwrap();
    assert_eq!((again["attempts"].as_i64(), again["delay"].as_i64()), (Some(0), Some(0)));
}

#[test]
fn what_is_not_utf_8_is_kept_beside_an_empty_task() {
    let bytes = b"{\"class\":\"\xff\"}";
    let record =
        FailedRecord { task: bytes, failure: &failure("bad", bytes, Reason::Poison), now: NOW }.to_json(&TimeZone::default());
    let value: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(
        (value["task"].as_str(), value["error"].as_str(), value["reason"].as_str()),
        (Some(""), Some("bad"), Some("poison"))
    );
    assert_eq!(read_failed(&record, "q", &TimeZone::default()).payload, bytes);
}

#[test]
fn what_is_no_record_is_listed_with_its_bytes() {
    for foreign in [&b"zzz"[..], b"7", b"{}", b"\xff", b""] {
        let read = read_failed(foreign, "q", &TimeZone::default());
        assert_eq!((read.payload.as_slice(), read.id.as_str()), (foreign, ""));
        assert!(read.exception.contains("no record"));
    }
}

#[test]
fn the_error_is_the_message_of_what_was_thrown_last() {
    let record = |exception: &str| {
        let json = FailedRecord { task: b"x", failure: &failure(exception, b"", Reason::Exception), now: 0 }
            .to_json(&TimeZone::default());
        let value: Value = serde_json::from_slice(&json).unwrap();
        (value["error"].as_str().unwrap().to_owned(), value["exception"].as_str().map(str::to_owned))
    };
    let chain =
        "A: first in /a.php:1\nStack trace:\n#0 {main}\n\nNext App\\B: second in time in /a.php:2\nStack trace:\n#0 {main}";
    assert_eq!(record(chain), ("second in time".to_owned(), Some(chain.to_owned())));
    let silent = "RuntimeException in /a.php:1\nStack trace:\n#0 {main}";
    assert_eq!(record(silent), (String::new(), Some(silent.to_owned())));
    assert_eq!(record("handle() returned false"), ("handle() returned false".to_owned(), None));
}

#[test]
fn the_keys_are_the_recorded_ones() {
    let keys = keys(&QueueName::new(b"email").unwrap());
    let recorded = case("stats");
    let key = |at: usize| recorded["commands"][at][1].as_str().unwrap().to_owned();
    assert_eq!([keys.ready, keys.delayed, keys.failed], [key(0), key(1), key(2)]);
    assert_eq!(keys.reserved, "email:ferry:reserved");
}
