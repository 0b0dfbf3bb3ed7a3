//! Tests of a connection on the memory broker, and on one like a table.

use ferry_core::broker::{Settle, Settlement};
use ferry_core::clock::HandClock;
use ferry_core::failed::{Failure, Reason};

use super::*;
use crate::testing::{TableBroker, config, connection, queue};

const SPEC: JobSpec<'_> = JobSpec { job: br#""Job1""#, limits: None, data: br#"{"a":1}"# };

fn table() -> Connection {
    Connection::new(config("memory:"), Arc::new(TableBroker::default()))
}

#[test]
fn a_pushed_job_lies_ready_as_recorded_and_its_id_is_returned() {
    let memory = connection("memory:");
    let Some(JobId::Text(id)) = memory.push(&queue(), &SPEC, Due::Now).unwrap() else { panic!("an id") };
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_alphabetic()), "{id}");
    let expected = format!(r#"{{"job":"Job1","maxTries":null,"timeout":null,"data":{{"a":1}},"id":"{id}","attempts":0}}"#);
    assert_eq!(memory.peek(&queue(), State::Ready, 0, 9).unwrap(), [expected.as_bytes()]);
}

#[test]
fn a_table_gets_no_counters_and_gives_its_row_number() {
    let broker = Arc::new(TableBroker::default());
    let table = Connection::new(config("memory:"), broker.clone());
    assert_eq!(table.push(&queue(), &SPEC, Due::Now).unwrap(), Some(JobId::Number(1)));
    assert_eq!(table.push_raw(&queue(), br#"{"id":"X"}"#, Due::Now).unwrap(), Some(JobId::Number(2)));
    assert_eq!(broker.rows()[0], br#"{"job":"Job1","maxTries":null,"timeout":null,"data":{"a":1}}"#);
}

#[test]
fn v1_writes_and_answers_as_it_always_did() {
    let limits = Limits { max_tries: b"5", timeout: b"9", timeout_at: b"null" };
    let spec = JobSpec { limits: Some(limits), ..SPEC };
    let memory = connection("memory:?family=think1");
    let Some(JobId::Text(id)) = memory.push(&queue(), &spec, Due::Now).unwrap() else { panic!("an id") };
    let expected = format!(r#"{{"job":"Job1","data":{{"a":1}},"id":"{id}","attempts":1}}"#);
    assert_eq!(memory.peek(&queue(), State::Ready, 0, 9).unwrap(), [expected.as_bytes()]);
    assert_eq!(memory.push(&queue(), &spec, Due::After(0)).unwrap(), None);
    assert_eq!(memory.reserve_one(&queue()).unwrap().unwrap().attempts, Some(1));
    assert!(memory.recodes_data());

    let broker = Arc::new(TableBroker::default());
    let table = Connection::new(config("memory:?family=think1"), broker.clone());
    for due in [Due::Now, Due::After(5)] {
        assert_eq!(table.push(&queue(), &spec, due).unwrap(), Some(JobId::Number(1)));
    }
    assert_eq!(table.push_raw(&queue(), b"x", Due::Now).unwrap(), Some(JobId::Number(1)));
    assert_eq!(broker.rows()[0], br#"{"job":"Job1","data":{"a":1}}"#);
    assert!(!table.recodes_data());
}

#[test]
fn a_delayed_job_lies_delayed() {
    let memory = connection("memory:");
    memory.push(&queue(), &SPEC, Due::After(60)).unwrap();
    memory.push(&queue(), &SPEC, Due::At(Due::LATEST)).unwrap();
    let sizes = memory.size(&queue()).unwrap();
    assert_eq!((sizes.ready, sizes.delayed, sizes.total()), (0, 2, 2));
}

#[test]
fn many_jobs_keep_their_order_and_none_is_nothing() {
    let memory = connection("memory:");
    let specs: Vec<_> = [&b"1"[..], b"2", b"3"].map(|data| JobSpec { data, ..SPEC }).into();
    assert_eq!(memory.push_many(&queue(), &specs).unwrap(), 3);
    assert_eq!(memory.push_many(&queue(), &[]).unwrap(), 0);
    let stored = memory.peek(&queue(), State::Ready, 0, 9).unwrap();
    for (payload, data) in stored.iter().zip(["1", "2", "3"]) {
        assert!(String::from_utf8_lossy(payload).contains(&format!(r#""data":{data},"#)));
    }
}

#[test]
fn a_raw_payload_is_stored_byte_for_byte_and_answers_with_its_own_id() {
    let memory = connection("memory:");
    assert_eq!(memory.push_raw(&queue(), br#"{"x":1}"#, Due::Now).unwrap(), None);
    assert_eq!(memory.push_raw(&queue(), b"zzz", Due::Now).unwrap(), None);
    assert_eq!(memory.push_raw(&queue(), br#"{"id":"A"}"#, Due::Now).unwrap(), Some(JobId::Text("A".to_owned())));
    let stored = memory.peek(&queue(), State::Ready, 0, 9).unwrap();
    assert_eq!(stored, [&br#"{"x":1}"#[..], b"zzz", br#"{"id":"A"}"#]);
}

#[test]
fn one_job_is_taken_and_an_empty_queue_gives_none_at_once() {
    let memory = connection("memory:");
    assert!(memory.reserve_one(&queue()).unwrap().is_none());
    memory.push(&queue(), &SPEC, Due::Now).unwrap();
    memory.push(&queue(), &SPEC, Due::Now).unwrap();
    assert_eq!(memory.reserve_one(&queue()).unwrap().unwrap().attempts, Some(1));
    assert_eq!(memory.size(&queue()).unwrap().reserved, 1);
}

#[test]
fn failed_jobs_are_listed_and_clearing_leaves_them() {
    let memory = connection("memory:");
    memory.push(&queue(), &SPEC, Due::Now).unwrap();
    let job = memory.reserve_one(&queue()).unwrap().unwrap();
    let failure = Failure {
        connection: "memory".to_owned(),
        payload: job.body,
        reason: Reason::Exception,
        exception: "boom".to_owned(),
        attempts: 1,
    };
    let settlement = Settlement::Bury(Box::new(failure));
    memory.broker().settle(&[Settle { claim: job.claim, settlement }]).unwrap();
    memory.push(&queue(), &SPEC, Due::Now).unwrap();
    assert_eq!(memory.clear(&queue()).unwrap(), 1);
    assert_eq!(memory.failed(&queue(), 0, 9).unwrap()[0].exception, "boom");
}

#[test]
fn a_payload_that_is_too_long_is_refused_with_both_numbers_and_nothing_is_stored() {
    let small = connection("memory:?max_payload=120");
    let data = format!("\"{}\"", "x".repeat(100));
    let long = JobSpec { data: data.as_bytes(), ..SPEC };
    let errors = [
        small.push(&queue(), &long, Due::Now).unwrap_err(),
        small.push_many(&queue(), &[SPEC, long]).unwrap_err(),
        small.push_raw(&queue(), &[b'x'; 121], Due::Now).unwrap_err(),
    ];
    for error in &errors {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().starts_with("push to `mail` on `c`: the payload is "), "{error}");
        assert!(error.to_string().contains("takes 120"), "{error}");
    }
    assert!(errors[2].to_string().contains("is 121 bytes long"));
    assert_eq!(small.size(&queue()).unwrap().total(), 0);
    small.push_raw(&queue(), &[b'x'; 120], Due::Now).unwrap();
}

#[test]
fn due_times_end_with_the_year_9999_and_do_not_overflow() {
    for due in [Due::Now, Due::After(0), Due::After(-5), Due::At(0), Due::At(Due::LATEST), Due::After(Due::LATEST - 1000)] {
        assert!(check_due(due, &HandClock::at(1000)).is_ok(), "{due:?}");
    }
    for due in [Due::At(Due::LATEST + 1), Due::After(Due::LATEST), Due::After(i64::MAX), Due::At(i64::MAX)] {
        assert_eq!(check_due(due, &HandClock::at(1000)).unwrap_err().kind(), ErrorKind::InvalidArgument, "{due:?}");
    }
    assert!(check_due(Due::After(i64::MIN), &HandClock::at(-1000)).is_err());
    let memory = connection("memory:");
    let error = memory.push(&queue(), &SPEC, Due::After(i64::MAX)).unwrap_err();
    assert!(error.to_string().contains("push to `mail` on `c`: a delay of 9223372036854775807 seconds"), "{error}");
    assert!(memory.push_raw(&queue(), b"x", Due::At(i64::MAX)).is_err());
}

#[test]
fn a_sync_connection_builds_payloads_keeps_none_and_has_no_worker() {
    let sync = connection("sync:");
    let built = sync.build(&SPEC).unwrap();
    assert_eq!(built.payload, br#"{"job":"Job1","maxTries":null,"timeout":null,"data":{"a":1}}"#);
    assert_eq!(built.id, None);
    let error = sync.push(&queue(), &SPEC, Due::Now).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Unsupported, "push to `mail` on `c`: sync connections keep no jobs")
    );
    assert_eq!(sync.size(&queue()).unwrap().total(), 0);
    assert_eq!(sync.retry_failed(&queue(), &Filter::all()).unwrap(), 0);
    assert_eq!(sync.broker_for_worker().err().map(|error| error.kind()), Some(ErrorKind::Unsupported));
}

#[test]
fn a_driver_without_admin_operations_says_so() {
    let error = table().clear(&queue()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().starts_with("clear `mail` on `c`: "), "{error}");
}

#[test]
fn a_drivers_error_says_what_was_attempted_and_where() {
    let broken = Connection::new(config("memory:"), Arc::new(TableBroker::refusing()));
    let error = broken.push(&queue(), &SPEC, Due::Now).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Refused, "push to `mail` on `c`: the table is full"));
}

/// Fails jobs: `K` for every third, `J` for the others.
fn with_failed(count: usize) -> Connection {
    let memory = connection("memory:");
    for number in 0..count {
        let class = if number % 3 == 0 { "K" } else { "J" };
        let payload = format!(r#"{{"job":"{class}","data":{number},"id":"id-{number}","attempts":2}}"#);
        memory.push_raw(&queue(), payload.as_bytes(), Due::Now).unwrap();
        bury_one(&memory);
    }
    memory
}

fn bury_one(memory: &Connection) {
    let job = memory.reserve_one(&queue()).unwrap().unwrap();
    let failure =
        Failure { connection: "c".into(), payload: job.body, reason: Reason::Exception, exception: "boom".into(), attempts: 3 };
    memory.broker().settle(&[Settle { claim: job.claim, settlement: Settlement::Bury(Box::new(failure)) }]).unwrap();
}

fn of_class(class: &str) -> Filter {
    Filter { class: Some(class.into()), ..Filter::default() }
}

fn sizes(memory: &Connection) -> (u64, u64) {
    let sizes = memory.size(&queue()).unwrap();
    (sizes.ready, sizes.failed)
}

#[test]
fn all_failed_jobs_are_retried_oldest_first_with_fresh_attempts() {
    let memory = with_failed(450);
    assert_eq!(memory.retry_failed(&queue(), &Filter::all()).unwrap(), 450);
    assert_eq!(sizes(&memory), (450, 0));
    let ready = memory.peek(&queue(), State::Ready, 0, 1000).unwrap();
    assert_eq!(ready[0], br#"{"job":"K","data":0,"id":"id-0","attempts":0}"#);
    assert_eq!(ready[449], br#"{"job":"J","data":449,"id":"id-449","attempts":0}"#);
    assert_eq!(memory.retry_failed(&queue(), &Filter::all()).unwrap(), 0);
}

#[test]
fn those_of_a_class_are_found_among_many_others() {
    let memory = with_failed(900);
    assert_eq!(memory.forget_failed(&queue(), &of_class("k")).unwrap(), 300);
    assert_eq!(sizes(&memory), (0, 600));
    assert_eq!(memory.retry_failed(&queue(), &of_class("K")).unwrap(), 0);
    assert_eq!(memory.retry_failed(&queue(), &of_class("J")).unwrap(), 600);
    assert_eq!(sizes(&memory), (600, 0));
}

#[test]
fn one_job_is_shown_retried_and_forgotten_by_its_id() {
    let memory = with_failed(450);
    let newest = memory.failed(&queue(), 0, 1).unwrap().remove(0);
    let oldest = memory.failed(&queue(), 449, 1).unwrap().remove(0);
    assert_eq!(memory.failed_job(&queue(), &oldest.id).unwrap().unwrap(), oldest);
    assert_eq!(memory.failed_job(&queue(), "none").unwrap(), None);
    assert_eq!(memory.retry_failed(&queue(), &Filter::ids([oldest.id.clone()])).unwrap(), 1);
    assert_eq!(memory.retry_failed(&queue(), &Filter::ids([oldest.id])).unwrap(), 0);
    assert_eq!(memory.forget_failed(&queue(), &Filter::ids([newest.id, "none".into()])).unwrap(), 1);
    assert_eq!(sizes(&memory), (1, 448));
    assert_eq!(memory.forget_failed(&queue(), &Filter::ids([])).unwrap(), 0);
}
