//! Bytes that are no job, and bytes that must not change.

use ferry_core::broker::{SettleResult, Settlement};
use ferry_core::failed::{Failure, Reason};
use ferry_core::{Broker, NewJob};
use serde_json::Value;

use super::tools::*;
use super::{Fixture, START};

fn poisons() -> Vec<Vec<u8>> {
    let mut mebibyte = vec![b'\xfe'; 1 << 20];
    mebibyte[0] = b'{';
    let texts = ["", "0", "not json", "{}", "[]", "null", r#"{"job":"J","data":1}"#, r#"{"job":"J","attempts":"one"}"#];
    let raws = [&b"\xff\xfe"[..], b"\0", b"a\0b\r\n", b"{\"attempts\":-1}", b"\xf0\x9f\x98"];
    texts.iter().map(|text| text.as_bytes().to_vec()).chain(raws.iter().map(|raw| raw.to_vec())).chain([mebibyte]).collect()
}

pub fn poison_is_reserved_without_a_count_and_buried_raw(fixture: &Fixture) {
    let worker = fixture.worker();
    // A table counts beside the payload, so it can count whatever the payload is.
    let attempts = if worker.capabilities().counts_in_payload { None } else { Some(1) };
    for (number, poison) in poisons().into_iter().enumerate() {
        let mail = queue(&format!("mail-{number}"));
        worker.push(&mail, NewJob::ready(&poison)).unwrap();
        let held = take_one(&*worker, &mail);
        assert!(held.body == poison, "poison {number} arrives byte for byte");
        assert_eq!(held.attempts, attempts, "poison {number}");
        let failure = Failure { reason: Reason::Poison, ..failure_of(&held, "") };
        assert_eq!(settle(&*worker, &held, Settlement::Bury(Box::new(failure))), SettleResult::Applied);
        let failed = worker.admin().expect("admin").failed(&mail, 0, 2).unwrap();
        assert_eq!(failed.len(), 1);
        assert!(failed[0].payload == poison, "poison {number} is kept byte for byte");
        assert_sizes!(&*worker, &mail, sizes(0, 0, 0, 1));
    }
}

pub fn poison_comes_back_when_its_worker_dies(fixture: &Fixture) {
    let mail = queue("mail");
    fixture.worker().push(&mail, NewJob::ready(&b"not json"[..])).unwrap();
    for turn in 0..3 {
        assert_eq!(take_one(&*fixture.at(START + 60 * turn), &mail).body, b"not json");
    }
}

pub fn poison_does_not_stop_its_neighbours(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    push(&*worker, &mail, 1);
    worker.push(&mail, NewJob::ready(&b"\xff"[..])).unwrap();
    push(&*worker, &mail, 2);
    let bodies: Vec<Vec<u8>> = drain(&*worker, &mail).into_iter().map(|job| job.body).collect();
    assert_eq!(bodies, [job(1), b"\xff".to_vec(), job(2)]);
}

pub fn a_job_of_a_mebibyte_arrives_whole(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let body = format!(r#"{{"job":"J","data":"{}","id":"x","attempts":0}}"#, "x".repeat(1 << 20)).into_bytes();
    worker.push(&mail, NewJob::ready(&body)).unwrap();
    let held = take_one(&*worker, &mail);
    assert!(held.body == body);
    release(&*worker, &held, 0);
    let again = take_one(&*worker, &mail);
    assert_eq!((again.body.len(), again.attempts), (body.len(), Some(2)));
    delete(&*worker, &again);
}

pub fn raising_attempts_leaves_every_other_byte(fixture: &Fixture) {
    let recorded: Value =
        serde_json::from_str(include_str!("../../../../fixtures/attempts.json")).expect("the recording is JSON");
    let cases = recorded["cases"].as_array().expect("the recording holds cases");
    assert!(cases.len() >= 29);
    let worker = fixture.worker();
    for (number, case) in cases.iter().enumerate() {
        let body = case["body"].as_str().expect("a body is text");
        raised_as(&*worker, number, body, case["raised"].as_str());
    }
}

pub fn awkward_data_survives_every_attempt(fixture: &Fixture) {
    let worker = fixture.worker();
    let awkward = [
        r#"{"o":{},"a":[],"f":1.0,"e":1e2,"big":9223372036854775808,"u":"é/😀","sp": [1, 2]}"#,
        r#"{"0":"a","1":"b"}"#,
        r#""\u00e9\/\ud83d\ude00\b\f""#,
        r#"{"attempts":0,"deep":{"attempts":0}}"#,
        r#"",\"attempts\":7}""#,
        "-0.0",
        "1.0e+25",
    ];
    for (number, data) in (1_000..).zip(awkward) {
        let body = |attempts: u32| {
            format!(r#"{{"job":"J","maxTries":null,"timeout":null,"data":{data},"id":"x","attempts":{attempts}}}"#)
        };
        raised_as(&*worker, number, &body(0), Some(&body(1)));
        raised_as(&*worker, number, &body(9), Some(&body(10)));
    }
}

fn raised_as(worker: &dyn Broker, number: usize, body: &str, raised: Option<&str>) {
    let mail = queue(&format!("mail-{number}"));
    worker.push(&mail, NewJob::ready(body.as_bytes())).unwrap();
    let held = take_one(worker, &mail);
    assert_eq!(String::from_utf8_lossy(&held.body), body);
    release(worker, &held, 0);
    let again = take_one(worker, &mail);
    let in_payload = worker.capabilities().counts_in_payload;
    let expected = if in_payload { raised.unwrap_or(body) } else { body };
    assert_eq!(String::from_utf8_lossy(&again.body), expected);
    match (in_payload, raised) {
        (true, None) => assert_eq!((held.attempts, again.attempts), (None, None), "{body}"),
        (true, Some(_)) => assert_eq!(again.attempts, held.attempts.map(|attempts| attempts + 1), "{body}"),
        (false, _) => assert_eq!((held.attempts, again.attempts), (Some(1), Some(2)), "{body}"),
    }
    delete(worker, &again);
}
