//! Failed jobs, against a real server: shown, made ready again, forgotten. Whatever is refused leaves them where they are.

use std::thread;

use ferry_core::broker::{Admin, Settle, Settlement};
use ferry_core::config::{RedisConfig, Secret};
use ferry_core::dialect::Family;
use ferry_core::failed::{FailedJob, Failure, Filter, Reason};
use ferry_core::job::NewJob;
use ferry_core::{Broker, ErrorKind, Result};
use ferry_driver_redis::{RedisBroker, Settings};
use ferry_testkit::{Fault, Link};

use crate::support::{FAILED, NOW, READY, Server, body, config_for, q, reserve};

/// Pushes, reserves and buries one job after the other.
fn fail(broker: &RedisBroker, payloads: &[&[u8]]) {
    for payload in payloads {
        broker.push(&q(), NewJob::ready(payload.to_vec())).unwrap();
        let job = reserve(broker, 1).remove(0);
        let failure = Failure {
            connection: "redis".into(),
            payload: job.body,
            reason: Reason::Exception,
            exception: "boom \"failed_at\":0 订单".into(),
            attempts: job.attempts.unwrap_or(0),
        };
        broker.settle(&[Settle { claim: job.claim, settlement: Settlement::Bury(Box::new(failure)) }]).unwrap();
    }
}

fn fail_many(broker: &RedisBroker, count: usize) {
    let bodies: Vec<String> = (0..count).map(|number| body(&number.to_string(), 1)).collect();
    fail(broker, &bodies.iter().map(String::as_bytes).collect::<Vec<_>>());
}

fn oldest(broker: &RedisBroker, limit: u64) -> Vec<FailedJob> {
    let mut jobs = broker.failed(&q(), 0, u64::MAX).unwrap();
    jobs.reverse();
    jobs.truncate(usize::try_from(limit).unwrap());
    jobs
}

/// Makes these jobs ready again.
fn retry(broker: &RedisBroker, jobs: &[FailedJob]) -> Result<u64> {
    broker.retry(&q(), &these(jobs), &mut |_| ())
}

/// Removes these jobs for good.
fn forget(broker: &RedisBroker, jobs: &[FailedJob]) -> Result<u64> {
    broker.forget(&q(), &these(jobs))
}

fn these(jobs: &[FailedJob]) -> Filter {
    Filter::ids(jobs.iter().map(|job| job.id.clone()))
}

fn payloads(jobs: &[FailedJob]) -> Vec<&[u8]> {
    jobs.iter().map(|job| &job.payload[..]).collect()
}

#[test]
fn failed_jobs_are_listed_in_pages_newest_first() {
    let server = Server::start();
    let broker = server.broker();
    fail(&broker, &[b"a", b"b", b"c", b"d", b"e"]);
    let newest = |offset, limit| payloads(&broker.failed(&q(), offset, limit).unwrap()).concat();
    assert_eq!((newest(0, 9), newest(1, 2), newest(4, 9)), (b"edcba".to_vec(), b"dc".to_vec(), b"a".to_vec()));
    assert_eq!((newest(5, 9), newest(0, 0)), (vec![], vec![]));
    assert_eq!((newest(0, 0), newest(u64::MAX, 1), newest(u64::MAX, u64::MAX)), (vec![], vec![], vec![]));
}

#[test]
fn a_retried_job_is_ready_with_fresh_attempts_and_no_other_byte_changed() {
    let server = Server::start();
    let broker = server.broker();
    let tried = br#"{"job":"J","data":{"o":{},"f":1.0,"u":"\u00e9\/"},"id":"raw","attempts":2}"#;
    fail(&broker, &[tried, b"garbage \xff\x00\r\n", br#"{"job":"J","data":1}"#, b""]);
    assert_eq!(retry(&broker, &oldest(&broker, 9)).unwrap(), 4);
    let ready: Vec<Vec<u8>> = server.inspect().run(&["LRANGE", READY, "0", "-1"]);
    let fresh = br#"{"job":"J","data":{"o":{},"f":1.0,"u":"\u00e9\/"},"id":"raw","attempts":0}"#;
    assert_eq!(ready, [&fresh[..], b"garbage \xff\x00\r\n", br#"{"job":"J","data":1}"#, b""]);
    assert_eq!(server.inspect().run::<i64>(&["EXISTS", FAILED]), 0);
}

#[test]
fn a_retried_job_goes_behind_the_ready_ones_and_can_be_worked() {
    let server = Server::start();
    let broker = server.broker();
    fail(&broker, &[body("failed", 4).as_bytes()]);
    broker.push(&q(), NewJob::ready(body("ready", 0).into_bytes())).unwrap();
    retry(&broker, &oldest(&broker, 1)).unwrap();
    assert_eq!(server.inspect().list(READY), [body("ready", 0), body("failed", 0)]);
    assert_eq!(reserve(&broker, 2).last().unwrap().attempts, Some(1));
}

#[test]
fn the_older_family_counts_from_one_and_has_its_own_keys() {
    let server = Server::start();
    let broker = server.broker_with(Settings { family: Family::Think1, now: Some(NOW), ..Settings::default() });
    fail(&broker, &[body("a", 3).as_bytes()]);
    assert_eq!(retry(&broker, &oldest(&broker, 1)).unwrap(), 1);
    assert_eq!(server.inspect().list("queues:q"), [body("a", 1)]);
}

#[test]
fn what_is_no_longer_there_is_neither_retried_nor_forgotten() {
    let server = Server::start();
    let broker = server.broker();
    fail_many(&broker, 3);
    let jobs = oldest(&broker, 3);
    assert_eq!(forget(&broker, &jobs[1..2]).unwrap(), 1);
    assert_eq!(retry(&broker, &jobs).unwrap(), 2);
    assert_eq!(server.inspect().list(READY), [body("0", 0), body("2", 0)]);
    let before = server.inspect().snapshot();
    assert_eq!((retry(&broker, &jobs).unwrap(), forget(&broker, &jobs).unwrap()), (0, 0));
    assert_eq!(server.inspect().snapshot(), before);
    assert_eq!((retry(&broker, &[]).unwrap(), forget(&broker, &[]).unwrap()), (0, 0));
}

#[test]
fn a_job_that_is_named_twice_is_retried_once() {
    let server = Server::start();
    let broker = server.broker();
    fail_many(&broker, 2);
    let job = oldest(&broker, 1).remove(0);
    assert_eq!(retry(&broker, &[job.clone(), job]).unwrap(), 1);
    assert_eq!(server.inspect().list(READY), [body("0", 0)]);
}

#[test]
fn a_forgotten_job_is_gone_and_its_neighbours_stay() {
    let server = Server::start();
    let broker = server.broker();
    fail(&broker, &[b"a", b"\xff", b"c"]);
    assert_eq!(forget(&broker, &oldest(&broker, 3)[1..2]).unwrap(), 1);
    assert_eq!(payloads(&oldest(&broker, 9)), [b"a", b"c"]);
    assert_eq!(broker.size(&q()).unwrap().ready, 0);
}

/// Everything stays as it is, and the error is a refusal that says `advice`.
fn is_refused(server: &Server, broker: &RedisBroker, jobs: &[FailedJob], advice: &str) {
    let before = server.inspect().snapshot();
    let error = retry(broker, jobs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains(advice), "{error}");
    assert_eq!(server.inspect().snapshot(), before);
}

#[test]
fn a_job_stays_failed_when_the_ready_key_is_no_list() {
    let server = Server::start();
    let broker = server.broker();
    fail_many(&broker, 2);
    server.inspect().run::<()>(&["SET", READY, "x"]);
    is_refused(&server, &broker, &oldest(&broker, 2), "another queue name");
}

#[test]
fn nothing_becomes_ready_when_the_failed_key_is_no_list() {
    let server = Server::start();
    let broker = server.broker();
    fail_many(&broker, 1);
    let jobs = oldest(&broker, 1);
    let mut redis = server.inspect();
    redis.run::<()>(&["DEL", FAILED]);
    redis.run::<()>(&["SET", FAILED, "x"]);
    is_refused(&server, &broker, &jobs, "another queue name");
}

#[test]
fn what_is_half_done_is_put_back_when_a_command_is_forbidden() {
    for forbidden in ["-ltrim", "-lrange", "-rpush", "-lset", "-lrem"] {
        let server = Server::start();
        let broker = server.broker();
        fail_many(&broker, 3);
        server.inspect().run::<()>(&["ACL", "SETUSER", "half", "on", "nopass", "~*", "+@all", forbidden]);
        let config = RedisConfig { username: Some("half".into()), password: Some(Secret::new("any")), ..server.config() };
        let half = RedisBroker::new(config, Settings { now: Some(NOW), ..Settings::default() });
        is_refused(&server, &half, &oldest(&broker, 2), "grant");
    }
}

#[test]
fn a_replica_refuses_and_changes_nothing() {
    let server = Server::start();
    let broker = server.broker();
    fail_many(&broker, 2);
    let jobs = oldest(&broker, 2);
    server.inspect().run::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    is_refused(&server, &broker, &jobs, "primary");
}

#[test]
fn a_full_server_lets_jobs_be_retried_and_forgotten() {
    let server = Server::start();
    let broker = server.broker();
    fail_many(&broker, 3);
    let jobs = oldest(&broker, 3);
    server.inspect().run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(broker.push(&q(), NewJob::ready(&b"x"[..])).unwrap_err().kind(), ErrorKind::Refused, "it is full");
    assert_eq!((retry(&broker, &jobs[..2]).unwrap(), forget(&broker, &jobs[2..]).unwrap()), (2, 1));
    assert_eq!(server.inspect().list(READY), [body("0", 0), body("1", 0)]);
}

#[test]
fn of_several_who_retry_at_once_one_gets_each_job() {
    let server = Server::start();
    fail_many(&server.broker(), 1000);
    let retried: u64 = thread::scope(|scope| {
        let retriers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let broker = server.broker();
                    let mut retried = 0;
                    loop {
                        let jobs = oldest(&broker, 7);
                        if jobs.is_empty() {
                            return retried;
                        }
                        retried += retry(&broker, &jobs).unwrap();
                    }
                })
            })
            .collect();
        retriers.into_iter().map(|retrier| retrier.join().unwrap()).sum()
    });
    assert_eq!(retried, 1000);
    let mut ready = server.inspect().list(READY);
    ready.sort();
    let mut all: Vec<String> = (0..1000).map(|number| body(&number.to_string(), 0)).collect();
    all.sort();
    assert_eq!(ready, all);
    assert_eq!(server.broker().size(&q()).unwrap().failed, 0);
}

#[test]
fn jobs_are_found_from_both_ends_and_where_they_moved_to() {
    let server = Server::start();
    let broker = server.broker();
    fail_many(&broker, 1000);
    let all = broker.failed(&q(), 0, 1000).unwrap();
    let number = |at: usize| String::from_utf8(all[at].payload.clone()).unwrap();
    assert_eq!(number(0), body("999", 1));
    // In any order, from all over the list.
    let some: Vec<_> = [500, 3, 999, 501, 0, 998].map(|at| all[at].clone()).into();
    assert_eq!(retry(&broker, &some).unwrap(), 6);
    // 190 older ones go; the others are found nevertheless.
    assert_eq!(forget(&broker, &all[800..990]).unwrap(), 190);
    assert_eq!(forget(&broker, &all[100..300]).unwrap(), 200);
    assert_eq!(broker.size(&q()).unwrap().failed, 1000 - 6 - 190 - 200);
    // All of them in one call, though it takes many.
    let rest = broker.failed(&q(), 0, 1000).unwrap();
    assert_eq!(retry(&broker, &rest).unwrap(), 604);
    assert_eq!(broker.size(&q()).unwrap().failed, 0);
}

#[test]
fn large_jobs_are_retried_in_calls_of_their_own() {
    let server = Server::start();
    let broker = server.broker();
    let large = [vec![b'x'; 3 << 20], vec![b'\xfe'; 3 << 20], vec![b'y'; 10]];
    fail(&broker, &large.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(retry(&broker, &oldest(&broker, 3)).unwrap(), 3);
    assert_eq!(server.inspect().run::<Vec<Vec<u8>>>(&["LRANGE", READY, "0", "-1"]), large);
}

#[test]
fn a_lost_answer_is_uncertain_and_asking_again_retries_nothing_twice() {
    let server = Server::start();
    fail_many(&server.broker(), 3);
    let link = Link::to(server.port());
    let broker = RedisBroker::new(config_for(link.port()), Settings { now: Some(NOW), ..Settings::default() });
    let jobs = oldest(&broker, 3);
    // The script is known to the server from here on, so that the lost answer is that of the retry.
    assert_eq!(retry(&broker, &jobs[..1]).unwrap(), 1);
    let error = broker.retry(&q(), &these(&jobs[1..]), &mut |_| link.break_next(Fault::AfterServer)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Uncertain, "{error}");
    assert_eq!(retry(&broker, &jobs).unwrap(), 0);
    assert_eq!(server.inspect().list(READY), [body("0", 0), body("1", 0), body("2", 0)]);
}

fn fixture(text: &str, cases: &str, name: &str) -> serde_json::Value {
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let key = if cases == "deviations" { "case" } else { "name" };
    file[cases].as_array().unwrap().iter().find(|case| case[key] == name).unwrap_or_else(|| panic!("no case {name}")).clone()
}

#[test]
fn jobs_are_retried_as_recorded_or_as_the_deviations_say() {
    let recorded = |name| fixture(include_str!("../../../../fixtures/think-queue-v3.json"), "cases", name);
    let ours = |name| fixture(include_str!("../../../../fixtures/deviations.json"), "deviations", name);
    let tried = |id: &str| {
        format!(r#"{{"job":"Job1","maxTries":null,"timeout":null,"data":{{"act":"delete"}},"id":"{id}","attempts":2}}"#)
    };
    for (case, failed) in [
        (recorded("command/retry-payload-without-attempts"), vec![r#"{"job":"Job1","data":1,"id":"x"}"#.to_owned()]),
        (recorded("command/retry-several"), vec![tried("A"), tried("B")]),
        (ours("command/retry-all"), vec![tried("A"), tried("B"), tried("C")]),
        (ours("command/retry-garbage-payload"), vec!["garbage".to_owned()]),
        (
            ours("command/retry-payload-reencoded"),
            vec![r#"{"job":"Job1","data":{"o":{},"u":"é/","f":1.0},"id":"raw","attempts":0}"#.to_owned()],
        ),
    ] {
        let server = Server::start();
        let broker = server.broker();
        fail(&broker, &failed.iter().map(String::as_bytes).collect::<Vec<_>>());
        assert_eq!(retry(&broker, &oldest(&broker, 9)).unwrap(), failed.len() as u64);
        let after: Vec<&str> =
            case["after"]["{queues:order}"]["value"].as_array().unwrap().iter().filter_map(|value| value.as_str()).collect();
        assert_eq!(server.inspect().list(READY), after, "{case}");
    }
}
