//! Jobs that are asked for ahead: a request whose answer is received later.

use std::sync::Arc;
use std::time::Duration;

use ferry_core::broker::{PendingReserve, Settle, Settlement};
use ferry_core::{Broker, ErrorKind};
use ferry_driver_redis::{RedisBroker, Settings};
use ferry_testkit::{Fault, Link};

use crate::support::{NOW, READY, RESERVED, Server, bodies, body, config_for, push, q, queue, reserve};

/// A broker that has a connection to ask over.
fn connected(server: &Server) -> Arc<RedisBroker> {
    let broker = Arc::new(server.broker());
    reserve(&broker, 1);
    broker
}

fn ahead(broker: &Arc<RedisBroker>, max: usize) -> Option<Box<dyn PendingReserve>> {
    broker.clone().reserve_ahead(&q(), max)
}

#[test]
fn jobs_asked_for_ahead_are_reserved_at_once_and_received_later() {
    let server = Server::start();
    let broker = connected(&server);
    push(&broker, &[body("a", 0), body("b", 0), body("c", 0)]);
    let pending = ahead(&broker, 2).unwrap();
    // Another operation on the same broker meanwhile has a connection of its own.
    assert_eq!(bodies(&reserve(&broker, 9)), [body("c", 0)]);
    assert_eq!(broker.size(&q()).unwrap().reserved, 3);
    let jobs = pending.receive().unwrap();
    assert_eq!(bodies(&jobs), [body("a", 0), body("b", 0)]);
    assert!(jobs.iter().all(|job| job.attempts == Some(1) && job.reserved_at == NOW));

    let back: Vec<_> = jobs.into_iter().map(|job| Settle { claim: job.claim, settlement: Settlement::GiveBack }).collect();
    broker.settle(&back).unwrap();
    assert_eq!(server.inspect().list(READY), [body("a", 0), body("b", 0)], "the original bytes, in order");
    let again = ahead(&broker, 1).unwrap().receive().unwrap();
    assert_eq!(bodies(&again), [body("a", 0)]);
}

#[test]
fn a_job_that_stands_alone_is_never_reserved_ahead() {
    let server = Server::start();
    let broker = connected(&server);
    let one_try = body("once", 0).replace(r#""maxTries":null"#, r#""maxTries":1"#);
    for alone in [body("tried", 1), one_try, "poison".to_owned()] {
        let mut redis = server.inspect();
        redis.run::<()>(&["DEL", READY, RESERVED]);
        push(&broker, &[body("a", 0), body("b", 0), alone.clone(), body("c", 0)]);
        assert_eq!(bodies(&ahead(&broker, 9).unwrap().receive().unwrap()), [body("a", 0), body("b", 0)]);
        assert!(ahead(&broker, 9).unwrap().receive().unwrap().is_empty());
        assert_eq!(redis.list(READY), [alone.clone(), body("c", 0)]);
        assert_eq!(bodies(&reserve(&broker, 9)), [alone]);
    }
}

#[test]
fn nothing_is_asked_for_over_a_connection_that_is_not_there() {
    let server = Server::start();
    let broker = Arc::new(server.broker());
    assert!(ahead(&broker, 1).is_none(), "it never connected");
    reserve(&broker, 1);
    let pending = ahead(&broker, 1).unwrap();
    assert!(ahead(&broker, 1).is_none(), "its connection waits for an answer");
    pending.receive().unwrap();
    broker.close();
    assert!(ahead(&broker, 1).is_none(), "it was closed");
}

#[test]
fn a_server_that_forgot_the_scripts_gives_nothing_ahead_and_loses_nothing() {
    let server = Server::start();
    let broker = connected(&server);
    push(&broker, &[body("a", 0)]);
    let mut redis = server.inspect();
    redis.run::<()>(&["SCRIPT", "FLUSH"]);
    assert!(ahead(&broker, 1).unwrap().receive().unwrap().is_empty());
    assert_eq!(redis.list(READY), [body("a", 0)]);
    assert_eq!(bodies(&reserve(&broker, 1)), [body("a", 0)]);
    redis.run::<()>(&["DEL", READY]);
    redis.run::<()>(&["SET", READY, "of another type"]);
    assert!(ahead(&broker, 1).unwrap().receive().unwrap().is_empty(), "the next reserve meets the refusal");
    assert!(broker.reserve(&[q()], 1, Duration::ZERO).is_err());
}

#[test]
fn jobs_of_a_worker_that_died_before_it_received_them_come_back_by_their_leases() {
    let server = Server::start();
    let broker = connected(&server);
    push(&broker, &[body("a", 0), body("b", 0)]);
    drop(ahead(&broker, 2));
    let mut redis = server.inspect();
    while !redis.list(READY).is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(redis.set(RESERVED), [(body("a", 1), NOW + 60), (body("b", 1), NOW + 60)]);
    let later = server.broker_at(NOW + 60);
    assert_eq!(bodies(&reserve(&later, 9)), [body("a", 1)], "an attempt was counted, and no more");
}

#[test]
fn a_lost_answer_leaves_jobs_asked_for_ahead_in_doubt() {
    let server = Server::start();
    let link = Link::to(server.port());
    let broker = Arc::new(RedisBroker::new(config_for(link.port()), Settings::default()));
    push(&broker, &[body("a", 0), body("b", 0)]);
    assert!(broker.reserve(&[queue("other")], 1, Duration::ZERO).unwrap().is_empty());
    link.break_next(Fault::AfterServer);
    let error = ahead(&broker, 1).unwrap().receive().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Uncertain, "{error}");
    assert!(error.to_string().contains("retry_after"), "{error}");
    assert_eq!(broker.size(&q()).unwrap().reserved, 1);
    assert_eq!(bodies(&reserve(&broker, 1)), [body("b", 0)]);
}
