//! Ending reservations, against a real server. Every fence is tried with a claim that somebody else took over.

use std::time::{Duration, Instant};

use ferry_core::broker::{ExtendResult, SentDeletion, Settle, SettleResult, Settlement, State};
use ferry_core::config::FailedStore;
use ferry_core::failed::{Failure, Reason};
use ferry_core::job::{Claim, NewJob, Receipt, Reservation};
use ferry_core::{Broker, ErrorKind};
use ferry_driver_redis::{RedisBroker, Settings};

use crate::support::{DELAYED, FAILED, NOW, READY, RESERVED, Server, bodies, body, push, queue, reserve};

fn failure(job: &Reservation) -> Failure {
    Failure {
        connection: "redis".into(),
        payload: job.body.clone(),
        reason: Reason::Exception,
        exception: "E: \"failed_at\":0,\"failed_at\":0 订单".into(),
        attempts: job.attempts.unwrap_or(0),
    }
}

fn settle(broker: &RedisBroker, jobs: &[Reservation], settlement: impl Fn(&Reservation) -> Settlement) -> Vec<SettleResult> {
    let batch: Vec<_> = jobs.iter().map(|job| Settle { claim: job.claim.clone(), settlement: settlement(job) }).collect();
    broker.settle(&batch).unwrap()
}

fn bury(job: &Reservation) -> Settlement {
    Settlement::Bury(Box::new(failure(job)))
}

#[test]
fn each_way_leaves_the_keys_as_it_should() {
    let server = Server::start();
    let broker = server.broker();
    let names = ["deleted", "released", "past", "buried", "given", "left"];
    push(&broker, &names.map(|name| body(name, 0)));
    let jobs = reserve(&broker, 6);
    let ways = [
        Settlement::Delete,
        Settlement::Release { delay: 7 },
        Settlement::Release { delay: -3 },
        bury(&jobs[3]),
        Settlement::GiveBack,
        Settlement::Leave,
    ];
    let batch: Vec<_> = jobs.iter().zip(ways).map(|(job, settlement)| Settle { claim: job.claim.clone(), settlement }).collect();
    assert_eq!(broker.settle(&batch).unwrap(), [SettleResult::Applied; 6]);

    let mut redis = server.inspect();
    assert_eq!(redis.list(READY), [body("given", 0)]);
    assert_eq!(redis.set(DELAYED), [(body("past", 1), NOW - 3), (body("released", 1), NOW + 7)]);
    assert_eq!(redis.set(RESERVED), [(body("left", 1), NOW + 60)]);
    let failed = broker.admin().unwrap().failed(&queue("q"), 0, 10).unwrap();
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].payload.as_slice(), failed[0].failed_at), (body("buried", 0).as_bytes(), NOW));
    assert_eq!((failed[0].queue.as_str(), failed[0].attempts, failed[0].id.as_str()), ("q", Some(1), "buried"));
    assert_eq!(failed[0].exception, failure(&jobs[3]).exception);
}

#[test]
fn a_claim_that_somebody_took_over_settles_nothing() {
    let ways: [fn(&Reservation) -> Settlement; 5] =
        [|_| Settlement::Delete, |_| Settlement::Release { delay: 0 }, bury, |_| Settlement::GiveBack, |_| Settlement::Leave];
    for settlement in ways {
        let server = Server::start();
        let broker = server.broker();
        push(&broker, &[body("a", 0)]);
        let mine = reserve(&broker, 1);
        let theirs = reserve(&server.broker_at(NOW + 60), 1);
        assert_eq!(theirs[0].attempts, Some(2));
        let before = server.inspect().snapshot();
        assert_eq!(settle(&broker, &mine, settlement), [SettleResult::Lost]);
        assert_eq!(broker.extend(&[mine[0].claim.clone()]).unwrap(), [ExtendResult::Lost]);
        assert_eq!(server.inspect().snapshot(), before);
        assert_eq!(settle(&broker, &theirs, settlement), [SettleResult::Applied]);
    }
}

#[test]
fn given_back_jobs_stand_at_the_head_in_their_order_with_their_bytes() {
    let server = Server::start();
    let broker = server.broker();
    let all: Vec<_> = (0..70).map(|n| body(&format!("{n:02}"), 0)).collect();
    push(&broker, &all);
    let jobs = reserve(&broker, 64);
    assert_eq!(settle(&broker, &jobs[..1], |_| Settlement::Delete), [SettleResult::Applied]);
    assert_eq!(settle(&broker, &jobs[1..], |_| Settlement::GiveBack), [SettleResult::Applied; 63]);
    assert_eq!(server.inspect().list(READY), all[1..]);
    assert_eq!(reserve(&broker, 1)[0].attempts, Some(1));
}

#[test]
fn a_count_that_grew_a_digit_is_given_back_as_it_was() {
    let server = Server::start();
    let broker = server.broker();
    for original in [body("a", 9), r#"{"attempts":99,"job":"J"}"#.to_owned(), "poison".to_owned(), String::new()] {
        push(&broker, std::slice::from_ref(&original));
        let jobs = reserve(&broker, 1);
        assert_eq!(settle(&broker, &jobs, |_| Settlement::GiveBack), [SettleResult::Applied]);
        assert_eq!(server.inspect().list(READY), [original]);
        server.inspect().run::<()>(&["FLUSHALL"]);
    }
}

#[test]
fn a_batch_over_queues_and_ways_is_answered_in_its_order() {
    let server = Server::start();
    let broker = server.broker();
    let mut jobs = Vec::new();
    for name in ["x", "y", "z"] {
        for n in 0..2 {
            broker.push(&queue(name), NewJob::ready(body(&format!("{name}{n}"), 0).into_bytes())).unwrap();
        }
        jobs.extend(broker.reserve(&[queue(name)], 2, std::time::Duration::ZERO).unwrap());
    }
    assert_eq!(settle(&broker, &jobs[3..4], |_| Settlement::Delete), [SettleResult::Applied]);
    let mut index = 0;
    let batch: Vec<_> = jobs
        .iter()
        .map(|job| {
            index += 1;
            let settlement = if index % 2 == 0 { Settlement::Delete } else { Settlement::Release { delay: 1 } };
            Settle { claim: job.claim.clone(), settlement }
        })
        .collect();
    use SettleResult::{Applied, Lost};
    assert_eq!(broker.settle(&batch).unwrap(), [Applied, Applied, Applied, Lost, Applied, Applied]);
    assert_eq!(broker.settle(&batch).unwrap(), [Lost; 6]);
    assert_eq!(broker.settle(&[]).unwrap(), []);
}

#[test]
fn a_failed_store_that_refuses_leaves_the_job_reserved() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &[body("a", 0)]);
    let jobs = reserve(&broker, 1);
    let mut redis = server.inspect();
    redis.run::<()>(&["SET", FAILED, "not a list"]);
    let before = redis.snapshot();
    let batch = [Settle { claim: jobs[0].claim.clone(), settlement: bury(&jobs[0]) }];
    let error = broker.settle(&batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(redis.snapshot(), before);
}

#[test]
fn a_release_that_is_refused_leaves_the_job_reserved() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &[body("a", 0)]);
    let jobs = reserve(&broker, 1);
    let mut redis = server.inspect();
    redis.run::<()>(&["SET", DELAYED, "not a set"]);
    let before = redis.snapshot();
    let batch = [Settle { claim: jobs[0].claim.clone(), settlement: Settlement::Release { delay: 1 } }];
    assert_eq!(broker.settle(&batch).unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(redis.snapshot(), before);
}

#[test]
fn a_full_server_still_settles_in_every_way() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &["a", "b", "c", "d"].map(|name| body(name, 0)));
    let jobs = reserve(&broker, 4);
    server.inspect().run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(broker.extend(&[jobs[0].claim.clone()]).unwrap(), [ExtendResult::Kept]);
    assert_eq!(settle(&broker, &jobs[..1], |_| Settlement::Release { delay: 1 }), [SettleResult::Applied]);
    assert_eq!(settle(&broker, &jobs[1..2], |_| Settlement::GiveBack), [SettleResult::Applied]);
    assert_eq!(settle(&broker, &jobs[2..3], bury), [SettleResult::Applied]);
    assert_eq!(settle(&broker, &jobs[3..], |_| Settlement::Delete), [SettleResult::Applied]);
}

#[test]
fn discarded_failures_are_deleted() {
    let server = Server::start();
    let broker = server.broker_with(Settings { now: Some(NOW), failed: FailedStore::Discard, ..Settings::default() });
    push(&broker, &[body("a", 0)]);
    assert_eq!(settle(&broker, &reserve(&broker, 1), bury), [SettleResult::Applied]);
    assert!(server.inspect().snapshot().is_empty());
}

#[test]
fn extending_runs_the_lease_from_now_and_only_ours() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &[body("a", 0), body("b", 0)]);
    let jobs = reserve(&broker, 2);
    let claims: Vec<_> = jobs.iter().map(|job| job.claim.clone()).collect();
    settle(&broker, &jobs[1..], |_| Settlement::Delete);
    let later = server.broker_at(NOW + 30);
    assert_eq!(later.extend(&claims).unwrap(), [ExtendResult::Kept, ExtendResult::Lost]);
    assert_eq!(server.inspect().set(RESERVED), [(body("a", 1), NOW + 90)]);
    let for_ever = server.broker_with(Settings { now: Some(NOW + 40), retry_after: None, ..Settings::default() });
    assert_eq!(for_ever.extend(&claims).unwrap(), [ExtendResult::Kept, ExtendResult::Lost]);
    assert_eq!(server.inspect().set(RESERVED), [(body("a", 1), NOW + 90)]);
}

#[test]
fn a_receipt_of_another_driver_is_an_error() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &[body("a", 0)]);
    let mut claim = reserve(&broker, 1)[0].claim.clone();
    claim.receipt = Receipt(b"17".to_vec());
    assert_eq!(broker.extend(&[claim]).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn an_operator_sees_pages_and_counts_and_clears_everything_but_failed_jobs() {
    let server = Server::start();
    let broker = server.broker();
    let admin = broker.admin().unwrap();
    push(&broker, &["a", "b", "c", "d"].map(|name| body(name, 0)));
    let jobs = reserve(&broker, 3);
    settle(&broker, &jobs[..1], bury);
    settle(&broker, &jobs[1..2], bury);
    broker.push(&queue("q"), NewJob::due(&b"later"[..], ferry_core::Due::After(5))).unwrap();
    let sizes = broker.size(&queue("q")).unwrap();
    assert_eq!((sizes.ready, sizes.delayed, sizes.reserved, sizes.failed), (1, 1, 1, 2));
    let newest = admin.failed(&queue("q"), 0, 1).unwrap();
    assert_eq!(newest[0].payload, jobs[1].body);
    assert_eq!(admin.failed(&queue("q"), 1, 9).unwrap()[0].payload, jobs[0].body);
    assert_eq!(admin.peek(&queue("q"), State::Ready, 0, 9).unwrap(), [body("d", 0).into_bytes()]);
    assert_eq!(admin.peek(&queue("q"), State::Delayed, 0, 9).unwrap(), [b"later"]);
    assert_eq!(admin.peek(&queue("q"), State::Reserved, 0, u64::MAX).unwrap(), [body("c", 1).into_bytes()]);
    assert!(admin.peek(&queue("q"), State::Ready, 0, 0).unwrap().is_empty());
    assert_eq!(admin.clear(&queue("q")).unwrap(), 3);
    assert_eq!(broker.size(&queue("q")).unwrap().failed, 2);
    assert!(bodies(&reserve(&broker, 1)).is_empty());
}

/// A broker with the real clock that holds the job `a`, and has `b` to reserve.
fn one_in_flight(server: &Server) -> (RedisBroker, Claim) {
    let broker = server.broker_with(Settings::default());
    push(&broker, &[body("a", 0), body("b", 0)]);
    let claim = reserve(&broker, 1).remove(0).claim;
    (broker, claim)
}

#[test]
fn a_deletion_that_is_sent_without_waiting_is_answered_with_the_next_reserve() {
    let server = Server::start();
    let (broker, claim) = one_in_flight(&server);
    assert!(broker.send_deletion(&claim));
    assert_eq!(broker.sent_deletion(), SentDeletion::Unread);
    assert!(!broker.send_deletion(&claim), "one at a time");
    let next = reserve(&broker, 1);
    assert_eq!(bodies(&next), [body("b", 0)]);
    assert_eq!(broker.sent_deletion(), SentDeletion::Settled(SettleResult::Applied));
    let mut redis = server.inspect();
    assert_eq!(redis.set(RESERVED).len(), 1);
    // It came too late.
    redis.run::<i64>(&["DEL", RESERVED]);
    assert!(broker.send_deletion(&next[0].claim));
    assert!(reserve(&broker, 1).is_empty());
    assert_eq!(broker.sent_deletion(), SentDeletion::Settled(SettleResult::Lost));
}

#[test]
fn a_deletion_that_is_sent_without_waiting_leaves_also_without_another_request() {
    let server = Server::start();
    let (broker, claim) = one_in_flight(&server);
    assert!(broker.send_deletion(&claim));
    let mut redis = server.inspect();
    let give_up = Instant::now() + Duration::from_secs(10);
    while !redis.set(RESERVED).is_empty() {
        assert!(Instant::now() < give_up);
    }
    let begun = Instant::now();
    broker.flush_deletions(Duration::from_secs(10)).unwrap();
    assert_eq!(broker.sent_deletion(), SentDeletion::Settled(SettleResult::Applied));
    // And at once when it is asked for, or when the process ends.
    let second = reserve(&broker, 1).remove(0).claim;
    assert!(broker.send_deletion(&second));
    broker.flush_deletions(Duration::from_secs(10)).unwrap();
    assert!(redis.set(RESERVED).is_empty());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_deletion_whose_answer_is_lost_is_in_doubt() {
    let server = Server::start();
    let (broker, claim) = one_in_flight(&server);
    assert!(broker.send_deletion(&claim));
    server.inspect().run::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    assert_eq!(bodies(&reserve(&broker, 1)), [body("b", 0)]);
    assert_eq!(broker.sent_deletion(), SentDeletion::InDoubt);
}
