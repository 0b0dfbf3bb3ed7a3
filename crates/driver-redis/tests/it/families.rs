//! The older families: keys without braces and, for v1 and v2, attempts that rise when a job comes back.

use std::time::Duration;

use ferry_core::broker::{Settle, SettleResult, Settlement};
use ferry_core::dialect::Family;
use ferry_core::job::{NewJob, Reservation};
use ferry_core::payload::find_attempts;
use ferry_core::{Broker, Due, ErrorKind};
use ferry_driver_redis::{RedisBroker, Settings};

use crate::support::{NOW, Server, bodies, body as body3, push, q, reserve};

const READY: &str = "queues:q";
const DELAYED: &str = "queues:q:delayed";
const RESERVED: &str = "queues:q:reserved";
const FAILED: &str = "queues:q:ferry:failed";

fn body(name: &str, attempts: u32) -> String {
    format!(r#"{{"job":"J","data":"{name}","id":"{name}","attempts":{attempts}}}"#)
}

fn broker_at(server: &Server, now: i64) -> RedisBroker {
    server.broker_with(Settings { family: Family::Think1, now: Some(now), ..Settings::default() })
}

fn broker(server: &Server) -> RedisBroker {
    broker_at(server, NOW)
}

fn settle(broker: &RedisBroker, job: &Reservation, settlement: Settlement) -> SettleResult {
    broker.settle(&[Settle { claim: job.claim.clone(), settlement }]).unwrap()[0]
}

#[test]
fn a_job_of_v1_is_reserved_with_the_bytes_that_lay_ready() {
    let server = Server::start();
    let broker = broker(&server);
    push(&broker, &[body("a", 1)]);
    let jobs = reserve(&broker, 1);
    assert_eq!((bodies(&jobs), jobs[0].attempts), (vec![body("a", 1)], Some(1)));
    assert_eq!(server.inspect().set(RESERVED), [(body("a", 1), NOW + 60)]);
}

#[test]
fn release_and_expiry_raise_attempts_and_nothing_else_does() {
    let server = Server::start();
    let holder = broker(&server);
    push(&holder, &["released", "expired", "given", "left"].map(|name| body(name, 1)));
    holder.push(&q(), NewJob::due(body("delayed", 1).into_bytes(), Due::After(60))).unwrap();
    let jobs = reserve(&holder, 4);
    assert_eq!(settle(&holder, &jobs[0], Settlement::Release { delay: 7 }), SettleResult::Applied);
    assert_eq!(settle(&holder, &jobs[2], Settlement::GiveBack), SettleResult::Applied);
    assert_eq!(settle(&holder, &jobs[3], Settlement::Leave), SettleResult::Applied);
    let mut redis = server.inspect();
    assert_eq!(redis.set(DELAYED), [(body("released", 2), NOW + 7), (body("delayed", 1), NOW + 60)]);
    assert_eq!(redis.list(READY), [body("given", 1)]);

    let later = broker_at(&server, NOW + 60);
    let mut seen = Vec::new();
    while let Some(job) = reserve(&later, 9).first() {
        seen.push(String::from_utf8(job.body.clone()).unwrap());
        assert_eq!(settle(&later, job, Settlement::Delete), SettleResult::Applied);
    }
    assert_eq!(seen, [body("given", 1), body("released", 2), body("delayed", 1), body("expired", 2), body("left", 2)]);
}

#[test]
fn a_claim_of_v1_that_somebody_took_over_settles_nothing() {
    for settlement in [Settlement::Delete, Settlement::Release { delay: 0 }, Settlement::GiveBack, Settlement::Leave] {
        let server = Server::start();
        let slow = broker(&server);
        push(&slow, &[body("a", 1)]);
        let stale = reserve(&slow, 1);
        let quick = broker_at(&server, NOW + 60);
        let held = reserve(&quick, 1);
        assert_eq!(held[0].attempts, Some(2));
        let before = server.inspect().snapshot();
        assert_eq!(settle(&slow, &stale[0], settlement.clone()), SettleResult::Lost);
        assert_eq!(server.inspect().snapshot(), before);
        assert_eq!(settle(&quick, &held[0], settlement), SettleResult::Applied);
    }
}

#[test]
fn every_case_of_the_fixture_is_raised_when_it_comes_back() {
    let server = Server::start();
    let fixture: serde_json::Value = serde_json::from_str(include_str!("../../../../fixtures/attempts.json")).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let text = case["body"].as_str().unwrap();
        let raised = case["raised"].as_str().unwrap_or(text);
        for expires in [false, true] {
            server.inspect().run::<()>(&["FLUSHALL"]);
            let (holder, later) = (broker(&server), broker_at(&server, NOW + 60));
            push(&holder, &[text.to_owned()]);
            let job = reserve(&holder, 1).remove(0);
            assert_eq!(job.attempts, find_attempts(text.as_bytes()).map(|at| at.value), "{text}");
            if !expires {
                assert_eq!(settle(&holder, &job, Settlement::Release { delay: 0 }), SettleResult::Applied);
            }
            assert_eq!(bodies(&reserve(&later, 1)), [raised]);
        }
    }
}

#[test]
fn in_v1_a_fresh_job_says_one_and_shares_a_batch_and_one_that_was_tried_stands_alone() {
    let server = Server::start();
    let broker = broker(&server);
    push(&broker, &[body("a", 1), body("b", 1), body3("of-v3", 0), body("tried", 2), body("c", 1)]);
    assert_eq!(reserve(&broker, 9).len(), 3);
    assert_eq!(bodies(&reserve(&broker, 9)), [body("tried", 2)]);
    assert_eq!(bodies(&reserve(&broker, 9)), [body("c", 1)]);
}

#[test]
fn poison_among_the_expired_does_not_block_the_others() {
    let server = Server::start();
    let mut redis = server.inspect();
    for member in ["not json".to_owned(), body("a", 1), r#"{"job":"J","data":1}"#.to_owned()] {
        redis.run::<i64>(&["ZADD", RESERVED, &(NOW - 1).to_string(), &member]);
    }
    let broker = broker(&server);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let job = reserve(&broker, 9).remove(0);
        seen.push((String::from_utf8(job.body.clone()).unwrap(), job.attempts));
    }
    seen.sort();
    let expected = [("not json".to_owned(), None), (body("a", 2), Some(2)), (r#"{"job":"J","data":1}"#.to_owned(), None)];
    assert_eq!(seen, expected);
}

#[test]
fn twins_released_in_the_same_second_stay_two() {
    for (family, twin) in [(Family::Think3, body3("twin", 0)), (Family::Think1, body("twin", 1))] {
        for retry_after in [Some(60), None] {
            let server = Server::start();
            let settings = Settings { family, retry_after, now: Some(NOW), ..Settings::default() };
            let broker = server.broker_with(settings.clone());
            push(&broker, &[twin.clone(), twin.clone()]);
            for _ in 0..2 {
                let job = reserve(&broker, 1).remove(0);
                assert_eq!(
                    (job.attempts, settle(&broker, &job, Settlement::Release { delay: 5 })),
                    (Some(1), SettleResult::Applied)
                );
            }
            assert_eq!(broker.size(&q()).unwrap().total(), 2);
            let later = server.broker_with(Settings { now: Some(NOW + 5), ..settings });
            for _ in 0..2 {
                let job = reserve(&later, 1).remove(0);
                assert_eq!((job.attempts, settle(&later, &job, Settlement::Delete)), (Some(2), SettleResult::Applied));
            }
            assert_eq!(later.size(&q()).unwrap().total(), 0);
        }
    }
}

#[test]
fn v3_before_3_0_5_counts_as_v3_under_the_keys_of_v1() {
    let server = Server::start();
    let broker = server.broker_with(Settings { family: Family::Think3Legacy, now: Some(NOW), ..Settings::default() });
    push(&broker, &[body3("a", 0)]);
    assert_eq!(reserve(&broker, 1)[0].attempts, Some(1));
    assert_eq!(server.inspect().set(RESERVED), [(body3("a", 1), NOW + 60)]);
}

#[test]
fn a_buried_job_lies_beside_its_queue() {
    let server = Server::start();
    let broker = broker(&server);
    push(&broker, &[body("a", 1)]);
    let job = reserve(&broker, 1).remove(0);
    let failure = ferry_core::failed::Failure {
        connection: "redis".into(),
        payload: job.body.clone(),
        reason: ferry_core::failed::Reason::Exception,
        exception: "boom".into(),
        attempts: 1,
    };
    assert_eq!(settle(&broker, &job, Settlement::Bury(Box::new(failure))), SettleResult::Applied);
    assert_eq!(server.inspect().run::<i64>(&["LLEN", FAILED]), 1);
    assert_eq!(server.inspect().run::<i64>(&["DBSIZE"]), 1);
}

fn guessing(server: &Server) -> RedisBroker {
    server.broker_with(Settings { family_is_a_guess: true, now: Some(NOW), ..Settings::default() })
}

#[test]
fn a_guessed_family_that_does_not_fit_is_an_error_that_names_the_one_that_does() {
    for (family, payload) in [("think1", body("a", 1)), ("think3-legacy", body3("a", 0))] {
        let server = Server::start();
        let broker = guessing(&server);
        server.inspect().run::<i64>(&["RPUSH", READY, &payload]);
        let error = broker.reserve(&[q()], 1, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(&format!("set `family` to `{family}`")), "{error}");
        assert_eq!(server.inspect().list(READY), [payload], "nothing was taken");

        server.inspect().run::<i64>(&["DEL", READY]);
        server.inspect().run::<i64>(&["ZADD", DELAYED, "1700000999", &body("later", 1)]);
        assert!(broker.reserve(&[q()], 1, Duration::ZERO).unwrap_err().to_string().contains("think1"));
    }
}

#[test]
fn a_family_is_not_doubted_when_it_was_configured_or_when_its_own_keys_are_in_use() {
    let server = Server::start();
    server.inspect().run::<i64>(&["RPUSH", READY, &body("a", 1)]);
    assert!(reserve(&server.broker(), 1).is_empty(), "configured");

    let broker = guessing(&server);
    server.inspect().run::<i64>(&["RPUSH", crate::support::READY, &body3("ours", 0)]);
    assert_eq!(reserve(&broker, 1).len(), 1);
    server.inspect().run::<i64>(&["DEL", crate::support::RESERVED]);
    assert!(reserve(&broker, 1).is_empty(), "it was right once");

    server.inspect().run::<i64>(&["RPUSH", crate::support::FAILED, "x"]);
    assert!(reserve(&guessing(&server), 1).is_empty(), "something of ours is there");
}

#[test]
fn what_is_no_queue_under_the_older_name_raises_no_doubt() {
    let server = Server::start();
    server.inspect().run::<()>(&["SET", READY, "x"]);
    assert!(reserve(&guessing(&server), 1).is_empty());
    let empty = Server::start();
    assert!(reserve(&guessing(&empty), 1).is_empty());
}
