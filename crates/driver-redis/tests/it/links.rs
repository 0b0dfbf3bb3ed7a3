//! Connecting, logging in, and what is said when a link breaks.

use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::broker::{Settle, SettleResult, Settlement, WaitLimit};
use ferry_core::config::{Address, RedisConfig, Secret};
use ferry_core::idempotency::{ClaimOutcome, ClaimTtl};
use ferry_core::job::{Due, NewJob};
use ferry_core::status::{JobRef, StatusChange, StatusUpdate};
use ferry_core::{Broker, Error, ErrorKind, IdempotencyStore, StatusStore};
use ferry_driver_redis::{RedisBroker, Settings};
use ferry_testkit::{Direction, Fault, Link, free_port};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrLike, bind, getsockname, listen, socket};

use crate::peers::with_fixed_answers;
use crate::support::{READY, Server, body, config_for, push, q, reserve};

fn broker(config: RedisConfig) -> RedisBroker {
    RedisBroker::new(config, Settings::default())
}

fn push_one(broker: &RedisBroker) -> Result<Option<i64>, Error> {
    broker.push(&q(), NewJob::ready(&b"x"[..]))
}

fn refused(config: RedisConfig, kind: ErrorKind, says: &str) {
    let error = push_one(&broker(config)).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
    assert!(!error.to_string().contains("sesame"), "{error}");
}

fn with_password(config: RedisConfig, username: Option<&str>, password: &str) -> RedisConfig {
    RedisConfig { username: username.map(str::to_owned), password: Some(Secret::new(password)), ..config }
}

#[test]
fn a_password_opens_and_a_wrong_or_missing_one_is_explained() {
    let server = Server::start_with(&["--requirepass", "sesame"]);
    push_one(&broker(with_password(server.config(), None, "sesame"))).unwrap();
    refused(with_password(server.config(), None, "sesame seed"), ErrorKind::Connection, "check `username` and `password`");
    refused(server.config(), ErrorKind::Connection, "set `password`");
}

#[test]
fn a_password_where_none_is_wanted_is_explained() {
    let server = Server::start();
    refused(with_password(server.config(), None, "sesame"), ErrorKind::Connection, "remove `password`");
}

#[test]
fn an_acl_user_gets_in_and_learns_what_it_may_not() {
    let server = Server::start();
    let mut redis = server.inspect();
    let grants = ["~{queues:*", "+@list", "+@sortedset", "+@scripting", "+time", "+del"];
    redis.run::<()>(&[&["ACL", "SETUSER", "ferry", "on", ">sesame"], &grants[..]].concat());
    redis.run::<()>(&["ACL", "SETUSER", "reader", "on", ">sesame", "~*", "+llen", "+eval", "+evalsha"]);
    let full = broker(with_password(server.config(), Some("ferry"), "sesame"));
    push(&full, &[body("a", 0)]);
    full.push(&q(), NewJob::due(&b"x"[..], Due::After(5))).unwrap();
    let jobs = full.reserve(&[q()], 1, Duration::from_millis(5)).unwrap();
    full.extend(&[jobs[0].claim.clone()]).unwrap();
    assert_eq!(
        full.settle(&[Settle { claim: jobs[0].claim.clone(), settlement: Settlement::Release { delay: 0 } }]).unwrap(),
        [SettleResult::Applied]
    );
    full.admin().unwrap().clear(&q()).unwrap();

    redis.run::<()>(&["ACL", "SETUSER", "ferry", "~{ferry}:*", "+@string", "+@hash", "+pexpire"]);
    let update = |change| StatusUpdate { id: "a".into(), job: JobRef::default(), change, ttl: 60 };
    full.update_and_push(&[update(StatusChange::Queued)], &q(), &[NewJob::ready(&b"x"[..])]).unwrap().updated.unwrap();
    full.update(&[update(StatusChange::TakenBack)]).unwrap();
    assert_eq!(full.find("a").unwrap(), None);
    assert_eq!(full.claim("work", "token", ClaimTtl { lease: 5, ttl: 5 }).unwrap(), ClaimOutcome::Yours);

    refused(with_password(server.config(), Some("reader"), "sesame"), ErrorKind::Refused, "grant the ACL user");
    let reader = broker(with_password(server.config(), Some("reader"), "sesame"));
    let error = reader.reserve(&[q()], 1, Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("grant the ACL user"), "{error}");
    refused(with_password(server.config(), Some("ferry"), "wrong"), ErrorKind::Connection, "check `username`");
}

#[test]
fn a_database_is_selected_and_one_that_is_not_there_explained() {
    let server = Server::start();
    push_one(&broker(RedisConfig { database: 3, ..server.config() })).unwrap();
    let mut redis = server.inspect();
    redis.run::<()>(&["SELECT", "3"]);
    assert_eq!(redis.list(READY), ["x"]);
    refused(RedisConfig { database: 99, ..server.config() }, ErrorKind::Connection, "set `select`");
}

#[test]
fn a_unix_socket_is_as_good_as_a_port() {
    let server = Server::start_with(&["--unixsocket", "{dir}/redis.sock"]);
    let at = |name: &str| RedisConfig { address: Address::Unix(server.folder().join(name)), ..server.config() };
    let good = broker(at("redis.sock"));
    push(&good, &[body("a", 0)]);
    assert_eq!(reserve(&good, 1).len(), 1);
    refused(at("missing.sock"), ErrorKind::Connection, "unixsocket");
}

#[test]
fn a_host_name_is_resolved_and_an_unknown_one_explained() {
    let server = Server::start();
    let named = |host: &str| RedisConfig { address: Address::Tcp { host: host.into(), port: server.port() }, ..server.config() };
    push_one(&broker(named("localhost"))).unwrap();
    refused(named("no-such-host.invalid"), ErrorKind::Connection, "no-such-host.invalid");
}

#[test]
fn nobody_listening_is_explained() {
    refused(config_for(free_port()), ErrorKind::Connection, "is Redis running there?");
}

#[test]
fn a_host_that_swallows_everything_times_out_when_configured() {
    let (_listener, _first, port) = full_backlog();
    let before = Instant::now();
    refused(RedisConfig { connect_timeout: Duration::from_millis(200), ..config_for(port) }, ErrorKind::Connection, "firewall");
    let took = before.elapsed();
    assert!((Duration::from_millis(190)..Duration::from_secs(2)).contains(&took), "{took:?}");
}

/// A listener that accepts nothing and whose queue is full, so that further connects get no answer.
fn full_backlog() -> (std::os::fd::OwnedFd, Vec<TcpStream>, u16) {
    let listener = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let address: SockaddrIn = getsockname(listener.as_raw_fd()).unwrap();
    assert!(address.len() > 0);
    let target = (Ipv4Addr::LOCALHOST, address.port()).into();
    let fill = || TcpStream::connect_timeout(&target, Duration::from_millis(100));
    let filled = std::iter::from_fn(|| fill().ok()).take(10).collect();
    (listener, filled, address.port())
}

#[test]
fn a_server_that_accepts_and_stays_silent_times_out_when_configured() {
    let port = with_fixed_answers(&[]);
    let before = Instant::now();
    refused(
        RedisConfig { connect_timeout: Duration::from_millis(200), ..config_for(port) },
        ErrorKind::Connection,
        "does not answer",
    );
    assert!(before.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_silent_server_leaves_a_push_in_doubt_after_the_time_allowed() {
    let port = with_fixed_answers(&["+PONG\r\n"]);
    let before = Instant::now();
    let config = RedisConfig { io_timeout: Duration::from_millis(200), ..config_for(port) };
    refused(config, ErrorKind::Uncertain, "the job may or may not be stored");
    assert!(before.elapsed() < Duration::from_secs(2));
}

/// What a worker that stops says of the time that is left, and how often it was asked.
#[derive(Default)]
struct Left(Mutex<Option<Duration>>, AtomicU32);

impl WaitLimit for Left {
    fn left(&self) -> Option<Duration> {
        self.1.fetch_add(1, Ordering::SeqCst);
        *self.0.lock().unwrap()
    }
}

#[test]
fn a_worker_that_stops_ends_the_waits_for_a_silent_server_also_those_under_way() {
    let server = Server::start();
    let link = Link::to(server.port());
    let config = RedisConfig { io_timeout: Duration::from_secs(120), ..config_for(link.port()) };
    let (broker, left) = (broker(config), Arc::new(Left::default()));
    let limit: Arc<dyn WaitLimit> = left.clone();
    broker.limit_waits(Arc::downgrade(&limit));
    broker.reserve(&[q()], 1, Duration::ZERO).unwrap();
    link.silence(&[Direction::Up, Direction::Down]);

    let before = Instant::now();
    thread::scope(|scope| {
        let asked = left.1.load(Ordering::SeqCst);
        let waiting = scope.spawn(|| broker.reserve(&[q()], 1, Duration::ZERO));
        // Who waits asks again and again.
        while left.1.load(Ordering::SeqCst) < asked + 2 {
            thread::yield_now();
        }
        assert!(!waiting.is_finished(), "nobody is in a hurry");
        *left.0.lock().unwrap() = Some(Duration::ZERO);
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Uncertain);
    });
    // A new connection is not waited for either.
    assert_eq!(push_one(&broker).unwrap_err().kind(), ErrorKind::Connection);
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());

    link.open();
    drop(limit);
    drop(left);
    push_one(&broker).unwrap();
}

#[test]
fn something_that_is_not_redis_is_found_out_before_anything_is_pushed() {
    let port = with_fixed_answers(&["HTTP/1.1 400 Bad Request\r\n\r\n"]);
    refused(config_for(port), ErrorKind::Connection, "is this a Redis port?");
}

#[test]
fn garbage_instead_of_an_answer_leaves_a_push_in_doubt() {
    let port = with_fixed_answers(&["+PONG\r\n", "garbage\r\n"]);
    refused(config_for(port), ErrorKind::Uncertain, "not Redis protocol");
}

#[test]
fn refusals_come_with_their_kind() {
    let loading = with_fixed_answers(&["-LOADING Redis is loading the dataset in memory\r\n"]);
    refused(config_for(loading), ErrorKind::Connection, "try again");
    let loading = with_fixed_answers(&["+PONG\r\n", "-LOADING Redis is loading the dataset in memory\r\n"]);
    refused(config_for(loading), ErrorKind::Connection, "try again");
    let full = with_fixed_answers(&["-ERR max number of clients reached\r\n"]);
    refused(config_for(full), ErrorKind::Connection, "maxclients");
    let disk = with_fixed_answers(&["+PONG\r\n", "-MISCONF Redis is configured to save RDB snapshots, but cannot\r\n"]);
    refused(config_for(disk), ErrorKind::Refused, "disk");
    let moved = with_fixed_answers(&["+PONG\r\n", "-MOVED 3999 127.0.0.1:6381\r\n"]);
    refused(config_for(moved), ErrorKind::Refused, "cluster");
}

#[test]
fn a_replica_refuses_and_the_link_is_made_anew_for_the_primary() {
    let server = Server::start();
    let link = Link::to(server.port());
    let broker = broker(config_for(link.port()));
    push_one(&broker).unwrap();
    server.inspect().run::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = push_one(&broker).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("primary"), "{error}");
    let error = broker.reserve(&[q()], 1, Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("primary"), "{error}");
    server.inspect().run::<()>(&["REPLICAOF", "NO", "ONE"]);
    let before = link.connections();
    push_one(&broker).unwrap();
    assert_eq!(link.connections(), before + 1);
}

#[test]
fn a_link_that_was_closed_while_idle_is_replaced_in_silence() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &[body("a", 0)]);
    reserve(&broker, 1);
    let mut redis = server.inspect();
    redis.run::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    push(&broker, &[body("b", 0)]);
    assert_eq!(reserve(&broker, 1).len(), 1);
    assert_eq!(broker.size(&q()).unwrap().total(), 2);
}

#[test]
fn a_lost_answer_leaves_a_push_in_doubt_and_is_never_pushed_twice() {
    let server = Server::start();
    let link = Link::to(server.port());
    let broker = broker(config_for(link.port()));
    push_one(&broker).unwrap();
    link.break_next(Fault::AfterServer);
    let error = push_one(&broker).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Uncertain, "{error}");
    assert!(error.to_string().contains("may or may not be stored"), "{error}");
    assert_eq!(server.inspect().list(READY).len(), 2);
    push_one(&broker).unwrap();
    assert_eq!(server.inspect().list(READY).len(), 3);
}

#[test]
fn a_lost_answer_leaves_a_reservation_in_doubt_and_takes_no_second_batch() {
    let server = Server::start();
    let link = Link::to(server.port());
    let broker = broker(config_for(link.port()));
    push(&broker, &[body("a", 0), body("b", 0)]);
    assert!(broker.reserve(&[crate::support::queue("other")], 1, Duration::ZERO).unwrap().is_empty());
    link.break_next(Fault::AfterServer);
    let error = broker.reserve(&[q()], 1, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Uncertain, "{error}");
    assert_eq!(broker.size(&q()).unwrap().reserved, 1);
}

#[test]
fn words_that_are_safe_to_repeat_are_repeated_after_a_lost_answer() {
    let server = Server::start();
    let link = Link::to(server.port());
    let broker = broker(config_for(link.port()));
    push(&broker, &[body("a", 0), body("b", 0)]);
    let mut claims: Vec<_> = reserve(&broker, 2).into_iter().map(|job| job.claim).collect();
    let claim = claims.remove(0);
    know_the_script(&broker, claims.remove(0), Settlement::Delete);
    link.break_next(Fault::AfterServer);
    assert_eq!(broker.size(&q()).unwrap().reserved, 1);
    link.break_next(Fault::AfterServer);
    broker.extend(std::slice::from_ref(&claim)).unwrap();
}

#[test]
fn a_settle_is_not_repeated_because_it_would_call_lost_what_the_first_try_did() {
    let server = Server::start();
    let link = Link::to(server.port());
    let broker = broker(config_for(link.port()));
    push(&broker, &[body("a", 0), body("b", 0)]);
    let mut claims: Vec<_> = reserve(&broker, 2).into_iter().map(|job| job.claim).collect();
    let batch = [Settle { claim: claims.remove(0), settlement: Settlement::Delete }];
    know_the_script(&broker, claims.remove(0), Settlement::Delete);
    link.break_next(Fault::AfterServer);
    assert_eq!(broker.settle(&batch).unwrap_err().kind(), ErrorKind::Uncertain);
    assert_eq!(broker.settle(&batch).unwrap(), [SettleResult::Lost], "the first try had deleted it");
}

/// Otherwise the answer that is lost would be the one that says it does not know it.
fn know_the_script(broker: &RedisBroker, claim: ferry_core::Claim, settlement: Settlement) {
    assert_eq!(broker.settle(&[Settle { claim, settlement }]).unwrap(), [SettleResult::Applied]);
}

#[test]
fn giving_back_is_not_repeated_because_the_next_holder_has_the_same_bytes() {
    let server = Server::start();
    let link = Link::to(server.port());
    let broker = broker(config_for(link.port()));
    push(&broker, &[body("a", 0), body("b", 0)]);
    let mut claims: Vec<_> = reserve(&broker, 2).into_iter().map(|job| job.claim).collect();
    let claim = claims.remove(0);
    know_the_script(&broker, claims.remove(0), Settlement::Release { delay: 60 });
    link.break_next(Fault::AfterServer);
    let error = broker.settle(&[Settle { claim, settlement: Settlement::GiveBack }]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Uncertain, "{error}");
    assert_eq!(server.inspect().list(READY), [body("a", 0)]);
}

#[test]
fn closing_lets_go_and_the_next_word_connects_again() {
    let server = Server::start();
    let link = Link::to(server.port());
    let broker = broker(config_for(link.port()));
    assert_eq!(link.connections(), 0);
    push_one(&broker).unwrap();
    broker.close();
    push_one(&broker).unwrap();
    assert_eq!(link.connections(), 2);
}
