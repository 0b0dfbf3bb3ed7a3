//! Waiting without taking, against a real server and its real clock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::broker::{Settle, Settlement};
use ferry_core::job::{Due, NewJob};
use ferry_core::{Broker, ErrorKind};
use ferry_driver_redis::{RedisBroker, Settings};

use crate::support::{Inspector, READY, Server, body, q, queue, taken_soon_after_a_push};

const HANDOVERS: &str = "{queues:q}:ferry:handover";
const LAST_HANDOVER: &str = "{queues:q}:ferry:last-handover";

fn live(server: &Server) -> RedisBroker {
    server.broker_with(Settings::default())
}

#[test]
fn a_push_wakes_a_waiting_reserve_at_once() {
    let server = Server::start();
    taken_soon_after_a_push(&server, &live(&server));
}

#[test]
fn a_wait_ends_when_it_should_and_changes_nothing() {
    let server = Server::start();
    let broker = live(&server);
    for (wait, least, most) in [(0, 0, 800), (50, 50, 800), (300, 300, 900), (30_000, 1000, 2000)] {
        let before = Instant::now();
        assert!(broker.reserve(&[q()], 8, Duration::from_millis(wait)).unwrap().is_empty());
        let took = before.elapsed().as_millis();
        assert!((least..most).contains(&took), "waited {took} ms instead of {wait}");
    }
    assert!(server.inspect().snapshot().is_empty());
}

#[test]
fn an_idle_worker_asks_once_a_second_however_short_its_waits_are() {
    for queues in [vec![q()], vec![queue("a"), queue("b"), q()]] {
        let server = Server::start();
        let broker = live(&server);
        let (mut redis, begun) = (server.inspect(), Instant::now());
        while begun.elapsed() < Duration::from_secs(2) {
            assert!(broker.reserve(&queues, 8, Duration::from_millis(50)).unwrap().is_empty());
        }
        // The first call, one behind each second, and one that the end of the time may cut.
        let (asked, seconds) = (redis.calls_of("evalsha"), begun.elapsed().as_secs() + 2);
        assert!(asked <= seconds * queues.len() as u64, "{asked} calls in {seconds} s with {queues:?}");
        let (waits, blocks) = (redis.calls_of("blmove"), begun.elapsed().as_secs() / 3 + 1);
        assert!(waits <= blocks * queues.len() as u64, "{waits} waits with {queues:?}");
    }
}

#[test]
fn what_an_idle_worker_itself_makes_due_is_reserved_at_once() {
    let server = Server::start();
    let broker = live(&server);
    let soon = || {
        let begun = Instant::now();
        let jobs = until_some(|| broker.reserve(&[q()], 1, Duration::from_millis(50)).unwrap());
        (jobs, begun.elapsed())
    };
    // The quickest of three: a second may end in between, and a busy machine may be late.
    let quickest = (0..3).map(|_| {
        assert!(broker.reserve(&[q()], 1, Duration::from_millis(50)).unwrap().is_empty());
        broker.push(&q(), NewJob::due(body("a", 0).into_bytes(), Due::After(0))).unwrap();
        let (jobs, pushed) = soon();
        let release = Settle { claim: jobs[0].claim.clone(), settlement: Settlement::Release { delay: 0 } };
        broker.settle(&[release]).unwrap();
        let (jobs, released) = soon();
        broker.settle(&[Settle { claim: jobs[0].claim.clone(), settlement: Settlement::Delete }]).unwrap();
        pushed.max(released)
    });
    let quickest = quickest.min().unwrap();
    assert!(quickest < Duration::from_millis(40), "{quickest:?}");
}

#[test]
fn a_delayed_job_is_taken_just_after_its_second() {
    let server = Server::start();
    for queues in [vec![q()], vec![queue("other"), q()]] {
        // The quickest of five: a busy machine may be late, a driver that sleeps past the second always is.
        let late = (0..5).map(|_| lateness(&server, &queues)).min().unwrap();
        assert!((0..20_000).contains(&late), "{late} us late with {queues:?}");
    }
}

/// Microseconds from a delayed job's second until a waiting reserve has it.
fn lateness(server: &Server, queues: &[ferry_core::QueueName]) -> i64 {
    let broker = live(server);
    broker.push(&q(), NewJob::due(body("a", 0).into_bytes(), Due::After(1))).unwrap();
    let mut redis = server.inspect();
    let due = redis.set(crate::support::DELAYED)[0].1;
    let jobs = until_some(|| broker.reserve(queues, 1, Duration::from_secs(1)).unwrap());
    let (second, micros): (i64, i64) = redis.run(&["TIME"]);
    assert_eq!(jobs.len(), 1);
    redis.run::<()>(&["FLUSHALL"]);
    (second - due) * 1_000_000 + micros
}

fn until_some<T>(mut take: impl FnMut() -> Vec<T>) -> Vec<T> {
    (0..5).map(|_| take()).find(|jobs| !jobs.is_empty()).unwrap_or_default()
}

#[test]
fn a_push_to_any_of_several_queues_wakes_a_waiting_reserve() {
    let server = Server::start();
    let broker = live(&server);
    let mut redis = server.inspect();
    let four = [queue("a"), queue("b"), queue("c"), q()];
    for queues in [&four[2..], &four[..]] {
        thread::scope(|scope| {
            let waiting = scope.spawn(|| until_some(|| broker.reserve(queues, 1, Duration::from_secs(1)).unwrap()));
            redis.until_clients_are_blocked(queues.len());
            let asked = redis.calls_of("evalsha");
            redis.run::<i64>(&["RPUSH", READY, &body("a", 0)]);
            let jobs = waiting.join().unwrap();
            assert_eq!(jobs.len(), 1);
            broker.settle(&[Settle { claim: jobs[0].claim.clone(), settlement: Settlement::Delete }]).unwrap();
            // Behind a second it is asked too, so one more round may be among them.
            assert!(redis.calls_of("evalsha") - asked <= 2 * queues.len() as u64);
        });
    }
}

#[test]
fn more_queues_than_are_watched_are_polled() {
    let server = Server::start();
    let broker = live(&server);
    let mut redis = server.inspect();
    let five = [queue("a"), queue("b"), queue("c"), queue("d"), q()];
    thread::scope(|scope| {
        let waiting = scope.spawn(|| until_some(|| broker.reserve(&five, 1, Duration::from_secs(1)).unwrap()));
        let give_up = Instant::now() + Duration::from_secs(5);
        while redis.calls_of("evalsha") < 2 {
            assert!(Instant::now() < give_up);
        }
        redis.run::<i64>(&["RPUSH", READY, &body("a", 0)]);
        assert_eq!(waiting.join().unwrap().len(), 1);
        assert_eq!(redis.calls_of("blmove"), 0);
    });
}

#[test]
fn of_a_crowd_that_one_push_wakes_one_takes_the_job_and_the_others_wait_on() {
    let server = Server::start();
    let brokers: Vec<_> = (0..8).map(|_| live(&server)).collect();
    let mut redis = server.inspect();
    let taken: usize = thread::scope(|scope| {
        let waiting: Vec<_> = brokers
            .iter()
            .map(|broker| scope.spawn(|| broker.reserve(&[q()], 1, Duration::from_millis(700)).unwrap().len()))
            .collect();
        let give_up = Instant::now() + Duration::from_secs(5);
        while !redis.run::<String>(&["INFO", "clients"]).contains("blocked_clients:8") {
            assert!(Instant::now() < give_up, "not everybody waits");
        }
        redis.run::<i64>(&["RPUSH", READY, &body("a", 0)]);
        waiting.into_iter().map(|waiting| waiting.join().unwrap()).sum()
    });
    assert_eq!(taken, 1);
}

/// Workers that reserve and delete jobs until they are told to stop, each with a broker of its own.
struct Crowd<'a> {
    server: &'a Server,
    stopping: AtomicBool,
    taken: AtomicU64,
}

impl<'a> Crowd<'a> {
    fn of(server: &'a Server) -> Self {
        Self { server, stopping: AtomicBool::new(false), taken: AtomicU64::new(0) }
    }

    fn work(&self) {
        let broker = live(self.server);
        while !self.stopping.load(Ordering::SeqCst) {
            for job in broker.reserve(&[q()], 8, Duration::from_millis(100)).unwrap() {
                broker.settle(&[Settle { claim: job.claim, settlement: Settlement::Delete }]).unwrap();
                self.taken.fetch_add(1, Ordering::SeqCst);
            }
        }
        broker.release_prefetched();
    }

    /// Pushes a job and waits until it is deleted.
    fn push(&self, redis: &mut Inspector) -> Duration {
        let (before, begun) = (self.taken.load(Ordering::SeqCst), Instant::now());
        redis.run::<i64>(&["RPUSH", READY, &body("a", 0)]);
        while self.taken.load(Ordering::SeqCst) == before {
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody took the job");
            thread::yield_now();
        }
        begun.elapsed()
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }
}

/// Stops a crowd also when an assertion fails.
struct StopAtEnd<'a>(&'a Crowd<'a>);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[test]
fn a_push_wakes_about_one_of_many_waiting_workers() {
    let server = Server::start();
    let (mut redis, crowd) = (server.inspect(), Crowd::of(&server));
    thread::scope(|scope| {
        let _stop = StopAtEnd(&crowd);
        (0..16).for_each(|_| drop(scope.spawn(|| crowd.work())));
        redis.until_clients_are_blocked(16);
        // The first one wakes everybody.
        crowd.push(&mut redis);
        redis.until_clients_are_blocked(16);
        let before = redis.calls_of("evalsha") + redis.calls_of("blmove") + redis.calls_of("blpop");
        let begun = Instant::now();
        for _ in 0..200 {
            crowd.push(&mut redis);
        }
        let after = redis.calls_of("evalsha") + redis.calls_of("blmove") + redis.calls_of("blpop");
        // Besides, everybody looks once a second at most, and is blocked for three at most.
        let idle = 16 * 3 * (begun.elapsed().as_secs() + 1);
        assert!(after - before <= 200 * 4 + idle, "{} commands for 200 jobs", after - before);
    });
    let give_up = Instant::now() + Duration::from_secs(10);
    while !redis.run::<Vec<String>>(&["KEYS", "*"]).is_empty() {
        assert!(Instant::now() < give_up, "a handover stays behind");
        thread::yield_now();
    }
}

#[test]
fn a_job_that_another_program_takes_leaves_the_waiting_worker_awake() {
    let server = Server::start();
    let (mut redis, crowd) = (server.inspect(), Crowd::of(&server));
    thread::scope(|scope| {
        let _stop = StopAtEnd(&crowd);
        scope.spawn(|| crowd.work());
        redis.until_a_client_is_blocked();
        crowd.push(&mut redis);
        let quickest = (0..5).map(|_| {
            redis.until_a_client_is_blocked();
            // The server wakes the worker, which waited first, and then gives the job to the other.
            let mut other = server.inspect();
            let other = scope.spawn(move || other.run::<(String, String)>(&["BLPOP", READY, "5"]));
            redis.until_clients_are_blocked(2);
            redis.run::<i64>(&["RPUSH", READY, "x"]);
            assert_eq!(other.join().unwrap().1, "x");
            crowd.push(&mut redis)
        });
        let quickest = quickest.min().unwrap();
        assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    });
}

#[test]
fn a_worker_that_vanishes_while_the_others_rely_on_it_is_replaced() {
    let server = Server::start();
    let (mut redis, crowd) = (server.inspect(), Crowd::of(&server));
    thread::scope(|scope| {
        let _stop = StopAtEnd(&crowd);
        (0..3).for_each(|_| drop(scope.spawn(|| crowd.work())));
        redis.until_clients_are_blocked(3);
        for _ in 0..20 {
            crowd.push(&mut redis);
        }
        redis.until_clients_are_blocked(3);
        // As if the one that waits for pushes had been killed with the handover it had.
        redis.run::<i64>(&["EVAL", "return redis.call('DEL', unpack(KEYS))", "2", HANDOVERS, LAST_HANDOVER]);
        redis.run::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        crowd.push(&mut redis);
        redis.until_clients_are_blocked(3);
        let quickest = (0..5).map(|_| crowd.push(&mut redis)).min().unwrap();
        assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    });
}

#[test]
fn where_handovers_are_refused_everybody_waits_for_pushes() {
    let server = Server::start();
    let (mut redis, crowd) = (server.inspect(), Crowd::of(&server));
    redis.run::<()>(&["SET", LAST_HANDOVER, "of another type"]);
    thread::scope(|scope| {
        let _stop = StopAtEnd(&crowd);
        (0..2).for_each(|_| drop(scope.spawn(|| crowd.work())));
        let quickest = (0..5).map(|_| {
            redis.until_clients_are_blocked(2);
            crowd.push(&mut redis)
        });
        let quickest = quickest.min().unwrap();
        assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    });
}

#[test]
fn a_waiting_reserve_delays_nobody() {
    let server = Server::start();
    let broker = live(&server);
    let mut redis = server.inspect();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| broker.reserve(&[q()], 1, Duration::from_secs(1)).unwrap());
        redis.until_a_client_is_blocked();
        let before = Instant::now();
        broker.push(&queue("other"), NewJob::ready(&b"{\"attempts\":0}"[..])).unwrap();
        let jobs = broker.reserve(&[queue("other")], 1, Duration::ZERO).unwrap();
        broker.extend(&[jobs[0].claim.clone()]).unwrap();
        broker.size(&q()).unwrap();
        assert!(before.elapsed() < Duration::from_millis(500));
        assert!(waiting.join().unwrap().is_empty());
    });
}

#[test]
fn two_threads_may_wait_on_one_broker() {
    let server = Server::start();
    let broker = live(&server);
    thread::scope(|scope| {
        let wait = || scope.spawn(|| broker.reserve(&[q()], 1, Duration::from_millis(400)).unwrap().len());
        let (one, two) = (wait(), wait());
        assert_eq!(one.join().unwrap() + two.join().unwrap(), 0);
    });
}

#[test]
fn a_server_without_blmove_is_polled() {
    let server = Server::start_with(&["--rename-command", "BLMOVE", ""]);
    let broker = live(&server);
    let mut redis = server.inspect();
    let before = Instant::now();
    assert!(broker.reserve(&[q()], 1, Duration::from_millis(200)).unwrap().is_empty());
    assert!(before.elapsed() >= Duration::from_millis(200));
    assert!((3..=15).contains(&redis.calls_of("evalsha")), "{}", redis.calls_of("evalsha"));
    broker.push(&q(), NewJob::ready(&b"{\"attempts\":0}"[..])).unwrap();
    assert_eq!(broker.reserve(&[q()], 1, Duration::from_millis(200)).unwrap().len(), 1);
}

#[test]
fn a_replica_is_polled_and_looked_at_without_an_error_while_it_is_empty() {
    let server = Server::start();
    let broker = live(&server);
    server.inspect().run::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    assert!(broker.reserve(&[q()], 1, Duration::from_millis(100)).unwrap().is_empty());
}

#[test]
fn a_waiting_link_that_breaks_is_replaced_and_no_error() {
    let server = Server::start();
    let broker = live(&server);
    let mut redis = server.inspect();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| broker.reserve(&[q()], 1, Duration::from_secs(1)).unwrap());
        redis.until_a_client_is_blocked();
        redis.run::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        redis.until_a_client_is_blocked();
        redis.run::<i64>(&["RPUSH", READY, &body("a", 0)]);
        let jobs = waiting.join().unwrap();
        assert_eq!(jobs.len(), 1);
    });
}

#[test]
fn a_server_that_went_away_is_an_error_of_connection() {
    let server = Server::start();
    let broker = live(&server);
    broker.reserve(&[q()], 1, Duration::from_millis(20)).unwrap();
    drop(server);
    let error = broker.reserve(&[q()], 1, Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
}
