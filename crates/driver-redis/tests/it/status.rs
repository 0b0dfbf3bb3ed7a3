//! Logs of statuses, against a real server. What a status store must do is in the conformance suite.

use std::thread;
use std::time::{Duration, Instant};

use ferry_core::StatusStore;
use ferry_core::job::NewJob;
use ferry_core::status::{Ending, JobRef, State, StatusChange, StatusUpdate};
use ferry_driver_redis::{RedisBroker, Settings};
use ferry_testkit::Link;

use crate::support::{Server, config_for, q};

const LOG: &str = "{ferry}:status-log:a";

fn update(id: &str, change: StatusChange) -> StatusUpdate {
    let job = JobRef { job: "J".into(), queue: "q".into(), connection: "c".into() };
    StatusUpdate { id: id.into(), job, change, ttl: 600 }
}

fn progress(percent: u8, message: &str) -> StatusUpdate {
    update("a", StatusChange::Progress { attempts: 1, percent, message: Some(message.to_owned()) })
}

fn length(server: &Server) -> usize {
    server.inspect().run(&["STRLEN", LOG])
}

/// Milliseconds by the server's clock.
fn server_now(server: &Server) -> i64 {
    let (second, micros): (i64, i64) = server.inspect().run(&["TIME"]);
    second * 1000 + micros / 1000
}

fn push(broker: &RedisBroker, id: &str) {
    let both = broker.update_and_push(&[update(id, StatusChange::Queued)], &q(), &[NewJob::ready(&b"x"[..])]).unwrap();
    assert_eq!((both.updated.is_ok(), both.pushed.unwrap()), (true, 1));
}

#[test]
fn times_are_those_of_the_server_also_where_this_machines_clock_is_not_asked_again() {
    let server = Server::start();
    let (producer, worker) = (server.broker_with(Settings::default()), server.broker_with(Settings::default()));
    let before = server_now(&server);
    push(&producer, "a");
    worker.update(&[update("a", StatusChange::Running { attempts: 1 })]).unwrap();
    let ending = Ending { state: State::Succeeded, error: None, result: None };
    worker.update(&[update("a", StatusChange::ended(1, ending))]).unwrap();
    let after = server_now(&server);
    let status = producer.find("a").unwrap().unwrap();
    assert_eq!((status.state, status.attempts, status.queue.as_str()), (State::Succeeded, 1, "q"));
    let times = [status.queued_at, status.started_at, status.finished_at].map(Option::unwrap);
    assert!(times.is_sorted() && times[2] == status.updated_at, "{times:?}");
    assert!(before - 2 <= times[0] && times[2] <= after + 2, "{before} {times:?} {after}");
}

#[test]
fn a_producer_asks_for_the_time_once_and_then_in_the_writes_of_its_pushes() {
    let server = Server::start();
    let broker = server.broker_with(Settings::default());
    let asked = || server.inspect().calls_of("time");
    let before = asked();
    let begun = Instant::now();
    for number in 0..20 {
        push(&broker, &number.to_string());
    }
    let seconds = begun.elapsed().as_secs();
    assert!((1..=1 + seconds).contains(&(asked() - before)), "{} in {seconds} s", asked() - before);
    let (before, begun) = (asked(), Instant::now());
    while asked() == before {
        assert!(begun.elapsed() < Duration::from_secs(10), "the clock is never read again");
        push(&broker, "later");
    }
}

#[test]
fn a_log_expires_after_its_last_line() {
    let server = Server::start();
    let broker = server.broker_with(Settings::default());
    push(&broker, "a");
    server.inspect().run::<()>(&["PEXPIRE", LOG, "5000"]);
    broker.update(&[update("a", StatusChange::Running { attempts: 1 })]).unwrap();
    let left: i64 = server.inspect().run(&["PTTL", LOG]);
    assert!((500_000..=600_000).contains(&left), "{left} ms");
}

#[test]
fn a_handler_that_reports_a_million_times_leaves_a_short_log_that_expires() {
    let server = Server::start();
    let broker = server.broker_with(Settings::default());
    push(&broker, "a");
    broker.update(&[update("a", StatusChange::Running { attempts: 1 })]).unwrap();
    let message = "m".repeat(200);
    for percent in 0..=100 {
        let lines: Vec<StatusUpdate> = (0..20).map(|_| progress(percent, &message)).collect();
        broker.update(&lines).unwrap();
        assert!(length(&server) < 32 * 1024, "{} bytes", length(&server));
    }
    let status = broker.find("a").unwrap().unwrap();
    assert_eq!((status.state, status.progress, status.message), (State::Running, 100, Some(message)));
    assert!(status.queued_at.unwrap() <= status.started_at.unwrap() && status.started_at.unwrap() <= status.updated_at);
    assert!(server.inspect().run::<i64>(&["PTTL", LOG]) > 0);
}

#[test]
fn a_summary_does_not_replace_what_another_appended_meanwhile() {
    let server = Server::start();
    let brokers = [0, 1].map(|_| server.broker_with(Settings::default()));
    push(&brokers[0], "a");
    brokers[0].update(&[update("a", StatusChange::Running { attempts: 1 })]).unwrap();
    let message = "m".repeat(1000);
    thread::scope(|scope| {
        for broker in &brokers {
            scope.spawn(|| {
                for percent in 0..=100 {
                    broker.update(&[progress(percent, &message)]).unwrap();
                }
            });
        }
    });
    let status = brokers[0].find("a").unwrap().unwrap();
    assert_eq!((status.state, status.progress), (State::Running, 100));
}

#[test]
fn a_status_that_is_taken_back_leaves_no_log() {
    let server = Server::start();
    let broker = server.broker_with(Settings::default());
    push(&broker, "a");
    broker.update(&[update("a", StatusChange::TakenBack)]).unwrap();
    assert_eq!(server.inspect().run::<u32>(&["EXISTS", LOG]), 0);
    // It comes too late for a job that was started.
    push(&broker, "a");
    broker.update(&[update("a", StatusChange::Running { attempts: 1 }), update("a", StatusChange::TakenBack)]).unwrap();
    assert_eq!(broker.find("a").unwrap().unwrap().state, State::Running);
}

#[test]
fn a_full_server_takes_statuses_back() {
    let server = Server::start();
    let broker = server.broker_with(Settings::default());
    push(&broker, "a");
    server.inspect().run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(broker.update(&[update("b", StatusChange::Queued)]).is_err(), "it is full");
    broker.update(&[update("a", StatusChange::TakenBack)]).unwrap();
    assert_eq!(server.inspect().run::<u32>(&["EXISTS", LOG]), 0);
}

#[test]
fn thousands_are_taken_back_in_a_few_round_trips() {
    let server = Server::start();
    let broker = server.broker_with(Settings::default());
    let ids: Vec<String> = (0..1200).map(|number| number.to_string()).collect();
    let all = |change: &StatusChange| ids.iter().map(|id| update(id, change.clone())).collect::<Vec<_>>();
    broker.update(&all(&StatusChange::Queued)).unwrap();
    let reads = || -> u64 {
        let stats: String = server.inspect().run(&["INFO", "stats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
        line.unwrap().parse().unwrap()
    };
    let before = reads();
    broker.update(&all(&StatusChange::TakenBack)).unwrap();
    let reads = reads() - before;
    assert!(reads < 200, "the server read {reads} times");
    assert_eq!(server.inspect().run::<u32>(&["DBSIZE"]), 0);
}

#[test]
fn an_open_connection_to_a_server_that_is_no_primary_any_more_is_replaced_before_it_is_reported() {
    let server = Server::start();
    let link = Link::to(server.port());
    let broker = RedisBroker::new(config_for(link.port()), Settings::default());
    let running = |attempts| update("a", StatusChange::Running { attempts });
    broker.update(&[running(1)]).unwrap();
    let primary = Server::start();
    server.inspect().run::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    link.lead_to(primary.port());
    // The old one refuses it, but answers TIME.
    broker.update(&[running(2)]).unwrap();
    assert_eq!(broker.find("a").unwrap().unwrap().attempts, 2);
}

#[test]
fn the_result_of_a_job_is_read_once_and_not_shortened() {
    let server = Server::start();
    let broker = server.broker_with(Settings::default());
    push(&broker, "a");
    let result = format!("\"{}\"", "r".repeat(40_000));
    let ending = Ending { state: State::Succeeded, error: None, result: Some(result.clone()) };
    broker.update(&[update("a", StatusChange::ended(1, ending))]).unwrap();
    assert_eq!(server.inspect().calls_of("get"), 0);
    assert_eq!(broker.find("a").unwrap().unwrap().result, Some(result));
}

#[test]
fn a_late_update_does_not_make_a_status_last_longer() {
    let server = Server::start();
    let broker = server.broker_with(Settings::default());
    let end = Ending { state: State::Succeeded, error: None, result: None };
    broker.update(&[StatusUpdate { ttl: 1, ..update("a", StatusChange::ended(2, end)) }]).unwrap();
    let give_up = Instant::now() + Duration::from_secs(20);
    while broker.find("a").unwrap().is_some() {
        broker.update(&[update("a", StatusChange::Progress { attempts: 1, percent: 1, message: None })]).unwrap();
        assert!(Instant::now() < give_up, "refused updates keep it");
    }
}

#[test]
fn what_another_program_wrote_in_a_log_is_passed_over() {
    let server = Server::start();
    let broker = server.broker_with(Settings::default());
    server.inspect().run::<()>(&["SET", LOG, "not a log\n"]);
    assert_eq!(broker.find("a").unwrap(), None);
    broker.update(&[update("a", StatusChange::Running { attempts: 2 })]).unwrap();
    assert_eq!(broker.find("a").unwrap().unwrap().attempts, 2);
    server.inspect().run::<()>(&["DEL", LOG]);
    server.inspect().run::<()>(&["RPUSH", LOG, "a list"]);
    assert!(broker.find("a").is_err() && broker.update(&[update("a", StatusChange::Running { attempts: 3 })]).is_err());
}
