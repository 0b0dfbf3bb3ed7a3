//! Storing jobs, against a real server.

use ferry_core::job::{Due, NewJob};
use ferry_core::status::{JobRef, State, StatusChange, StatusUpdate};
use ferry_core::{Broker, ErrorKind, StatusStore};
use ferry_driver_redis::Settings;

use crate::support::{DELAYED, NOW, READY, Server, body, q, queue};

#[test]
fn a_push_appends_the_bytes_as_they_are() {
    let server = Server::start();
    let broker = server.broker();
    for payload in ["first", "", "a\r\nb\0c", "订单"] {
        assert_eq!(broker.push(&q(), NewJob::ready(payload.as_bytes())).unwrap(), None);
    }
    assert_eq!(server.inspect().list(READY), ["first", "", "a\r\nb\0c", "订单"]);
}

#[test]
fn queue_names_go_to_the_wire_verbatim() {
    let server = Server::start();
    server.broker().push(&queue("队 {x}:y"), NewJob::ready(&b"x"[..])).unwrap();
    assert_eq!(server.inspect().list("{queues:队 {x}:y}"), ["x"]);
}

#[test]
fn a_delayed_job_is_due_by_the_clock_of_the_broker() {
    let server = Server::start();
    let broker = server.broker();
    for (payload, due) in [
        ("in five", Due::After(5)),
        ("past", Due::After(-5)),
        ("now", Due::After(0)),
        ("at", Due::At(NOW + 100)),
        ("latest", Due::At(Due::LATEST)),
        ("before 1970", Due::At(-7)),
    ] {
        broker.push(&q(), NewJob::due(payload.as_bytes(), due)).unwrap();
    }
    let expected =
        [("before 1970", -7), ("past", NOW - 5), ("now", NOW), ("in five", NOW + 5), ("at", NOW + 100), ("latest", Due::LATEST)];
    assert_eq!(server.inspect().set(DELAYED), expected.map(|(payload, due)| (payload.to_owned(), due)));
}

#[test]
fn without_a_fixed_clock_the_time_is_the_servers() {
    let server = Server::start();
    let broker = server.broker_with(Settings::default());
    broker.push(&q(), NewJob::due(&b"x"[..], Due::After(100))).unwrap();
    let mut redis = server.inspect();
    let (now, _): (i64, i64) = redis.run(&["TIME"]);
    let due = redis.set(DELAYED)[0].1 - 100;
    assert!((now - 5..=now).contains(&due), "{due} {now}");
}

#[test]
fn many_jobs_are_stored_in_order_whatever_their_kind() {
    let server = Server::start();
    let broker = server.broker();
    let payloads: Vec<_> = (0..2500).map(|n| body(&n.to_string(), 0)).collect();
    let mut jobs: Vec<_> = payloads.iter().map(|payload| NewJob::ready(payload.as_bytes())).collect();
    jobs.insert(1200, NewJob::due(&b"later"[..], Due::After(9)));
    jobs.insert(1201, NewJob::due(&b"at"[..], Due::At(NOW)));
    jobs.push(NewJob::ready(vec![b'x'; 3 << 20]));
    assert_eq!(broker.push_many(&q(), &jobs).unwrap(), 2503);
    let mut redis = server.inspect();
    let stored = redis.list(READY);
    assert_eq!(stored[..2500], payloads);
    assert_eq!(stored[2500].len(), 3 << 20);
    assert_eq!(redis.set(DELAYED), [("at".to_owned(), NOW), ("later".to_owned(), NOW + 9)]);
    assert_eq!(broker.push_many(&q(), &[]).unwrap(), 0);
}

#[test]
fn an_error_in_the_middle_says_how_many_were_stored() {
    let server = Server::start();
    let broker = server.broker();
    server.inspect().run::<()>(&["SET", DELAYED, "not a set"]);
    let jobs =
        [NewJob::ready(&b"a"[..]), NewJob::ready(&b"b"[..]), NewJob::due(&b"c"[..], Due::After(1)), NewJob::ready(&b"d"[..])];
    let error = broker.push_many(&q(), &jobs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("2 of 4 jobs were stored"), "{error}");
    assert_eq!(server.inspect().list(READY), ["a", "b"]);
}

fn queued(id: &str) -> StatusUpdate {
    let job = JobRef { job: "J".into(), queue: "q".into(), connection: "c".into() };
    StatusUpdate { id: id.into(), job, change: StatusChange::Queued, ttl: 60 }
}

#[test]
fn jobs_and_their_statuses_are_stored_in_one_write_for_many() {
    let server = Server::start();
    let broker = server.broker();
    for count in [1_usize, 120] {
        let updates: Vec<StatusUpdate> = (0..count).map(|number| queued(&format!("{count}-{number}"))).collect();
        let jobs: Vec<NewJob<'_>> = (0..count).map(|_| NewJob::ready(&b"x"[..])).collect();
        let calls = || ["set", "rpush", "evalsha", "time"].map(|command| server.inspect().calls_of(command));
        let before = calls();
        let both = broker.update_and_push(&updates, &q(), &jobs).unwrap();
        assert_eq!((both.updated.is_ok(), both.pushed.unwrap()), (true, count as u64));
        let after = calls();
        assert_eq!([0, 1, 2, 3].map(|at| after[at] - before[at]), [count as u64, 1, 0, 0]);
        let last = broker.find(&updates[count - 1].id).unwrap().unwrap();
        assert_eq!((last.state, last.job.as_str(), last.queued_at), (State::Queued, "J", Some(NOW * 1000)));
    }
    assert_eq!(server.inspect().list(READY).len(), 121);
    assert!(broker.update_and_push(&[], &q(), &[NewJob::ready(&b"x"[..])]).is_none(), "one update for each job");
}

#[test]
fn delayed_jobs_have_their_statuses_in_the_same_write_and_an_unknown_script_is_sent_again() {
    let server = Server::start();
    let broker = server.broker();
    for id in ["a", "b"] {
        server.inspect().run::<()>(&["SCRIPT", "FLUSH"]);
        let both = broker.update_and_push(&[queued(id)], &q(), &[NewJob::due(id.as_bytes(), Due::After(5))]).unwrap();
        assert_eq!((both.updated.is_ok(), both.pushed.unwrap()), (true, 1));
        assert_eq!(broker.find(id).unwrap().unwrap().state, State::Queued);
    }
    assert_eq!(server.inspect().set(DELAYED), [("a".to_owned(), NOW + 5), ("b".to_owned(), NOW + 5)]);
}

#[test]
fn a_server_that_refuses_the_job_says_so_beside_the_status() {
    let server = Server::start();
    let broker = server.broker();
    server.inspect().run::<()>(&["SET", READY, "a string"]);
    let both = broker.update_and_push(&[queued("a")], &q(), &[NewJob::ready(&b"x"[..])]).unwrap();
    assert!(both.updated.is_ok());
    assert_eq!(both.pushed.unwrap_err().kind(), ErrorKind::Refused);
    server.inspect().run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let both = broker.update_and_push(&[queued("b")], &queue("other"), &[NewJob::ready(&b"x"[..])]).unwrap();
    assert!(both.updated.is_err() && both.pushed.is_err());
}
