//! What goes wrong between us and RabbitMQ: links cut in every place, a broker that dies, runs out of memory, or loses a queue.
//!
//! One node for all, used by one test at a time: most of them do it harm.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferry_conformance::servers::{AmqpNodeExt, LinkExt};
use ferry_core::broker::{ExtendResult, Fact, Settle, SettleResult, Settlement};
use ferry_core::config::QueueType;
use ferry_core::failed::{Failure, Reason};
use ferry_core::{Broker, Due, ErrorKind, NewJob, QueueName, Reservation};
use ferry_driver_amqp::{AmqpBroker, Settings};
use ferry_testkit::{AmqpServer, Fault, Link};

const SLICE: Duration = Duration::from_millis(200);
const BOTH_SIDES: [Fault; 2] = [Fault::BeforeServer, Fault::AfterServer];

static NODE: LazyLock<Option<Mutex<AmqpServer>>> =
    LazyLock::new(|| AmqpServer::start(&["vm_memory_high_watermark.relative = 0.9"]).map(Mutex::new));

fn node() -> Option<MutexGuard<'static, AmqpServer>> {
    // A test that failed has left a node behind that the next one finds as it is.
    NODE.as_ref().map(|node| node.lock().unwrap_or_else(PoisonError::into_inner))
}

fn mail() -> QueueName {
    QueueName::new(b"mail").unwrap()
}

fn body(number: u32) -> Vec<u8> {
    format!(r#"{{"job":"J","maxTries":null,"timeout":null,"data":{number},"id":"i{number}","attempts":0}}"#).into_bytes()
}

fn broker_at(
    node: &AmqpServer,
    vhost: &str,
    link: Option<&Link>,
    change: impl FnOnce(&mut ferry_core::config::AmqpConfig),
) -> AmqpBroker {
    let mut config = match link {
        Some(link) => node.config_at(vhost, link.address()),
        None => node.config(vhost),
    };
    config.io_timeout = Duration::from_secs(5);
    change(&mut config);
    AmqpBroker::new(config, Settings { retry_after: Some(1), ..Settings::default() })
}

fn broker(node: &AmqpServer, vhost: &str) -> AmqpBroker {
    broker_at(node, vhost, None, |_| {})
}

/// Takes and deletes until all of `wanted` came, at most a minute. Answers how often each came.
fn drain(broker: &dyn Broker, wanted: &HashSet<Vec<u8>>) -> HashMap<Vec<u8>, u32> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut came = HashMap::new();
    while !wanted.iter().all(|body| came.contains_key(body)) {
        assert!(Instant::now() < deadline, "{} of {} jobs came", came.len(), wanted.len());
        let Ok(jobs) = broker.reserve(&[mail()], 64, SLICE) else { continue };
        for job in &jobs {
            *came.entry(job.body.clone()).or_default() += 1;
        }
        let batch: Vec<Settle> =
            jobs.iter().map(|job| Settle { claim: job.claim.clone(), settlement: Settlement::Delete }).collect();
        let _ = broker.settle(&batch);
    }
    came
}

fn next(broker: &dyn Broker) -> Reservation {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = broker.reserve(&[mail()], 1, SLICE);
        match answer {
            Ok(mut jobs) if !jobs.is_empty() => return jobs.remove(0),
            answer => assert!(Instant::now() < deadline, "no job came; the last answer was {answer:?}"),
        }
    }
}

fn every_way_to_settle(job: &Reservation) -> [Settlement; 5] {
    let failure = Failure {
        connection: "exam".into(),
        payload: job.body.clone(),
        reason: Reason::Asked,
        exception: String::new(),
        attempts: 1,
    };
    [
        Settlement::Delete,
        Settlement::Release { delay: 1 },
        Settlement::GiveBack,
        Settlement::Leave,
        Settlement::Bury(Box::new(failure)),
    ]
}

#[test]
fn a_deletion_that_was_sent_without_waiting_is_read_by_the_broker_and_one_of_another_is_not_sent() {
    let Some(node) = node() else { return };
    let vhost = node.vhost();
    let (first, second) = (broker(&node, &vhost), broker(&node, &vhost));
    first.push_many(&mail(), &[NewJob::ready(body(0)), NewJob::ready(body(1))]).unwrap();
    let (done, left) = (next(&first), next(&first));
    assert!(first.send_deletion(&done.claim));
    assert!(!first.send_deletion(&done.claim), "it is settled");
    assert!(!second.send_deletion(&left.claim), "it is another's");
    first.flush_deletions(Duration::from_secs(20)).unwrap();
    // What is not acked is redelivered.
    first.close();
    assert_eq!(next(&second).body, left.body);
    assert_eq!(second.reserve(&[mail()], 1, Duration::ZERO).unwrap().len(), 0);
}

#[test]
fn jobs_larger_than_the_buffers_of_the_socket_arrive_whole_beside_settlements_over_the_same_connection() {
    const LARGE: u32 = 6;
    const SMALL: u32 = 200;
    let Some(node) = node() else { return };
    let vhost = node.vhost();
    let shared = broker(&node, &vhost);
    let large = |number: u32| [body(number), vec![b' '; 9_000_000]].concat();
    let small: Vec<NewJob<'_>> = (LARGE..LARGE + SMALL).map(|number| NewJob::ready(body(number))).collect();
    shared.push_many(&mail(), &small).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| (0..LARGE).for_each(|number| shared.push(&mail(), NewJob::ready(large(number))).map(drop).unwrap()));
        for _ in 0..SMALL / 2 {
            let job = next(&shared);
            let failed = every_way_to_settle(&job)[4].clone();
            let settled = shared.settle(&[Settle { claim: job.claim.clone(), settlement: failed }]);
            assert_eq!(settled.unwrap(), [SettleResult::Applied]);
        }
    });
    let left: HashSet<Vec<u8>> = (0..LARGE).map(large).chain((LARGE + SMALL / 2..LARGE + SMALL).map(body)).collect();
    assert!(drain(&shared, &left).values().all(|times| *times == 1));
}

#[test]
fn what_a_closed_broker_held_is_redelivered_at_once() {
    let Some(node) = node() else { return };
    let vhost = node.vhost();
    let second = broker(&node, &vhost);
    for number in 0..10 {
        let first = broker(&node, &vhost);
        first.push(&mail(), NewJob::ready(body(number))).unwrap();
        let held = next(&first);
        // One more channel, which counts.
        first.size(&mail()).unwrap();
        first.close();
        let closed = Instant::now();
        let again = next(&second);
        assert_eq!(again.body, held.body);
        // A connection that was left open would keep the job until RabbitMQ misses its heartbeats.
        assert!(closed.elapsed() < Duration::from_secs(10), "the job came back after {:?}", closed.elapsed());
        second.settle(&[Settle { claim: again.claim, settlement: Settlement::Delete }]).unwrap();
    }
}

#[test]
fn a_deletion_that_the_broker_does_not_read_is_an_error_and_the_job_runs_again() {
    let Some(node) = node() else { return };
    let (vhost, link) = (node.vhost(), Link::to(node.port()));
    let first = broker_at(&node, &vhost, Some(&link), |_| {});
    first.push(&mail(), NewJob::ready(body(0))).unwrap();
    let job = next(&first);
    link.break_next(Fault::BeforeServer);
    assert!(first.send_deletion(&job.claim));
    let flushed = first.flush_deletions(Duration::from_secs(20));
    // The cut may be noticed before the question: then its channel is gone, and the job with it.
    assert!(flushed.is_err() || !first.may_hold(&job.claim));
    assert_eq!(next(&broker(&node, &vhost)).body, job.body);
}

#[test]
fn a_push_whose_link_breaks_is_stored_once_or_not_at_all_and_says_what_is_known() {
    let Some(node) = node() else { return };
    for fault in BOTH_SIDES {
        let (vhost, link) = (node.vhost(), Link::to(node.port()));
        let pusher = broker_at(&node, &vhost, Some(&link), |_| {});
        pusher.push(&mail(), NewJob::ready(body(0))).unwrap();
        link.break_next(fault);
        let pushed = pusher.push(&mail(), NewJob::ready(body(1)));
        assert!(!link.is_armed(), "the fault never struck");
        let ready = broker(&node, &vhost).size(&mail()).unwrap().ready;
        match pushed {
            Ok(_) => assert_eq!(ready, 2),
            Err(error) if error.kind() == ErrorKind::Uncertain => assert!(ready <= 2, "{error}"),
            Err(error) if error.kind() == ErrorKind::Connection => assert_eq!(ready, 1, "{error}"),
            Err(error) => panic!("{fault:?}: {error}"),
        }
        pusher.push(&mail(), NewJob::ready(body(2))).expect("the next word makes a new connection");
    }
}

#[test]
fn a_lost_confirm_is_an_error_that_says_so() {
    let Some(node) = node() else { return };
    let (vhost, link) = (node.vhost(), Link::to(node.port()));
    let pusher = broker_at(&node, &vhost, Some(&link), |_| {});
    pusher.push(&mail(), NewJob::ready(body(0))).unwrap();
    link.break_next(Fault::AfterServer);
    let error = pusher.push(&mail(), NewJob::ready(body(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Uncertain);
    assert!(error.to_string().contains("its confirm never came"), "{error}");
}

#[test]
fn a_settle_whose_link_breaks_loses_no_job() {
    let Some(node) = node() else { return };
    for fault in BOTH_SIDES {
        for number in 0..5 {
            let (vhost, link) = (node.vhost(), Link::to(node.port()));
            let worker = broker_at(&node, &vhost, Some(&link), |config| config.queue_type = QueueType::Classic);
            worker.push(&mail(), NewJob::ready(body(1))).unwrap();
            let job = next(&worker);
            let how = every_way_to_settle(&job)[number].clone();
            link.break_next(fault);
            let answer = worker.settle(&[Settle { claim: job.claim.clone(), settlement: how.clone() }]);
            link.cut();
            drop(worker);
            let observer = broker_at(&node, &vhost, None, |config| config.queue_type = QueueType::Classic);
            let buried = observer.size(&mail()).unwrap().failed > 0;
            let done = matches!((&how, &answer), (Settlement::Delete, Ok(_) | Err(_)));
            if !buried && !done {
                assert_eq!(next(&observer).body, body(1), "{how:?}, {fault:?}: {answer:?}");
            }
            if let Err(error) = answer {
                assert!(matches!(error.kind(), ErrorKind::Uncertain | ErrorKind::Connection), "{how:?}, {fault:?}: {error}");
            }
        }
    }
}

#[test]
fn claims_of_a_link_that_broke_are_lost_and_nothing_is_changed() {
    let Some(node) = node() else { return };
    let (vhost, link) = (node.vhost(), Link::to(node.port()));
    let worker = broker_at(&node, &vhost, Some(&link), |_| {});
    worker.push(&mail(), NewJob::ready(body(1))).unwrap();
    let job = next(&worker);
    link.cut();
    assert_eq!(worker.extend(std::slice::from_ref(&job.claim)).unwrap(), [ExtendResult::Lost]);
    for how in every_way_to_settle(&job) {
        assert_eq!(worker.settle(&[Settle { claim: job.claim.clone(), settlement: how }]).unwrap(), [SettleResult::Lost]);
    }
    let again = next(&worker);
    assert_eq!((again.body, again.attempts), (body(1), Some(2)));
    assert_eq!(worker.size(&mail()).unwrap().failed, 0);
}

#[test]
fn links_cut_again_and_again_lose_nothing_that_was_confirmed() {
    let Some(node) = node() else { return };
    let (vhost, link) = (node.vhost(), Link::to(node.port()));
    let (stored, over) = (Mutex::new(HashSet::new()), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let pusher = broker_at(&node, &vhost, Some(&link), |_| {});
            for number in 0..300 {
                if pusher.push(&mail(), NewJob::ready(body(number))).is_ok() {
                    stored.lock().unwrap().insert(body(number));
                }
            }
            over.store(true, Ordering::SeqCst);
        });
        let before = || stored.lock().unwrap().len();
        while !over.load(Ordering::SeqCst) {
            let seen = before();
            link.cut();
            while before() < seen + 20 && !over.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        }
    });
    let stored = stored.into_inner().unwrap();
    assert!(stored.len() > 200, "only {} pushes were confirmed", stored.len());
    let came = drain(&broker(&node, &vhost), &stored);
    let twice = came.iter().filter(|(body, times)| stored.contains(*body) && **times > 1).count();
    assert_eq!(twice, 0, "a confirmed job came twice though no worker died");
}

#[test]
fn a_broker_that_dies_under_load_loses_nothing_that_was_confirmed_and_no_delay_comes_early() {
    let Some(mut node) = node() else { return };
    let vhost = node.vhost();
    let pusher = broker(&node, &vhost);
    // RabbitMQ writes down lazily that a quorum queue exists: one that was declared in the second before a power cut comes up without a leader.
    // So all of them are there, and the node was ended in good order, before it is killed.
    pusher.push(&mail(), NewJob::due(body(0), Due::After(25))).unwrap();
    node.stop();
    node.start_again();
    let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let mut due = HashMap::new();
    let delayed: Vec<NewJob<'_>> = (1000..1200)
        .map(|number| {
            let seconds = i64::from(number % 25) + 1;
            due.insert(body(number), now() + seconds * 1000);
            NewJob::due(body(number), Due::After(seconds))
        })
        .collect();
    assert_eq!(pusher.push_many(&mail(), &delayed).unwrap(), 200);
    let mut stored: HashSet<Vec<u8>> = due.keys().cloned().collect();
    let stop = AtomicBool::new(false);
    let pushed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                if pusher.push(&mail(), NewJob::ready(body(number + 10_000))).is_ok() {
                    pushed.lock().unwrap().push(body(number + 10_000));
                }
            }
        });
        while pushed.lock().unwrap().len() < 100 {
            thread::yield_now();
        }
        node.kill();
        node.start_again();
        let before = pushed.lock().unwrap().len();
        while pushed.lock().unwrap().len() < before + 20 {
            thread::yield_now();
        }
        stop.store(true, Ordering::SeqCst);
    });
    stored.extend(pushed.into_inner().unwrap());
    let worker = broker(&node, &vhost);
    let deadline = Instant::now() + Duration::from_secs(90);
    let mut missing = stored;
    while !missing.is_empty() {
        assert!(
            Instant::now() < deadline,
            "{} confirmed jobs are gone, {} of them delayed: {}",
            missing.len(),
            missing.iter().filter(|body| due.contains_key(*body)).count(),
            node.ctl(&["-p", &vhost, "list_queues", "name", "messages", "state"])
        );
        let jobs = worker.reserve(&[mail()], 64, SLICE).unwrap();
        let seen = now();
        for job in &jobs {
            assert!(due.get(&job.body).is_none_or(|due| seen >= *due), "a delayed job came early");
            missing.remove(&job.body);
        }
        let batch: Vec<Settle> =
            jobs.iter().map(|job| Settle { claim: job.claim.clone(), settlement: Settlement::Delete }).collect();
        worker.settle(&batch).unwrap();
    }
}

#[test]
fn a_broker_short_of_memory_refuses_pushes_with_its_reason_and_still_takes_deletions() {
    let Some(node) = node() else { return };
    let vhost = node.vhost();
    let patient = |config: &mut ferry_core::config::AmqpConfig| config.io_timeout = Duration::from_secs(2);
    let (pusher, worker) = (broker_at(&node, &vhost, None, patient), broker_at(&node, &vhost, None, patient));
    pusher.push_many(&mail(), &[NewJob::ready(body(1)), NewJob::ready(body(2))]).unwrap();
    let job = next(&worker);
    node.ctl(&["set_vm_memory_high_watermark", "0"]);
    // The first push after an alarm is what the broker blocks a connection for, so nobody knows what became of it.
    let errors: Vec<_> = (0..2).map(|number| pusher.push(&mail(), NewJob::ready(body(3 + number)))).collect();
    let deleted = worker.settle(&[Settle { claim: job.claim.clone(), settlement: Settlement::Delete }]);
    node.ctl(&["set_vm_memory_high_watermark", "0.9"]);
    for error in errors.into_iter().filter_map(Result::err) {
        assert!(matches!(error.kind(), ErrorKind::Refused | ErrorKind::Uncertain), "{error}");
        assert!(error.to_string().contains("blocks publishers") && error.to_string().contains("memory"), "{error}");
    }
    assert_eq!(deleted.unwrap(), [SettleResult::Applied]);
    pusher.push(&mail(), NewJob::ready(body(9))).expect("the alarm is over");
}

#[test]
fn settlements_that_a_memory_alarm_delays_are_finished_once_when_it_ends() {
    let Some(node) = node() else { return };
    let vhost = node.vhost();
    let impatient = |config: &mut ferry_core::config::AmqpConfig| config.io_timeout = Duration::from_secs(1);
    let worker = broker_at(&node, &vhost, None, impatient);
    worker.push_many(&mail(), &(1..4).map(|number| NewJob::ready(body(number))).collect::<Vec<_>>()).unwrap();
    let jobs: Vec<Reservation> = (0..3).map(|_| next(&worker)).collect();
    let failure = every_way_to_settle(&jobs[2])[4].clone();
    // The connection publishes before, so that the alarm blocks it.
    node.ctl(&["set_vm_memory_high_watermark", "0"]);
    let settlements = [Settlement::Release { delay: 0 }, Settlement::GiveBack, failure];
    for (job, settlement) in jobs.iter().zip(settlements) {
        let answer = worker.settle(&[Settle { claim: job.claim.clone(), settlement }]);
        assert!(answer.is_err(), "RabbitMQ accepts no publishes: {answer:?}");
    }
    node.ctl(&["set_vm_memory_high_watermark", "0.9"]);
    let observer = broker(&node, &vhost);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let sizes = observer.size(&mail()).unwrap();
        let unacked = node.ctl(&["-q", "-p", &vhost, "list_queues", "messages_unacknowledged"]);
        let all_acked = unacked.lines().skip(1).all(|count| count.trim() == "0");
        if (sizes.ready, sizes.failed) == (2, 1) && all_acked {
            break;
        }
        assert!(Instant::now() < deadline, "{sizes:?}, unacked: {unacked}");
    }
    worker.close();
    let mut attempts: Vec<(Vec<u8>, Option<u32>)> = (0..2).map(|_| next(&observer)).map(|job| (job.body, job.attempts)).collect();
    attempts.sort();
    assert_eq!(attempts, [(body(1), Some(2)), (body(2), Some(1))]);
    assert_eq!(observer.size(&mail()).unwrap(), ferry_core::broker::Sizes { failed: 1, ..Default::default() }, "nothing doubled");
}

#[test]
fn a_broker_short_of_disk_refuses_pushes_with_its_reason_while_workers_go_on() {
    let Some(node) = node() else { return };
    let vhost = node.vhost();
    let patient = |config: &mut ferry_core::config::AmqpConfig| config.io_timeout = Duration::from_secs(2);
    let (pusher, worker) = (broker_at(&node, &vhost, None, patient), broker_at(&node, &vhost, None, patient));
    pusher.push_many(&mail(), &[NewJob::ready(body(1)), NewJob::ready(body(2))]).unwrap();
    let job = next(&worker);
    node.ctl(&["set_disk_free_limit", "1000000GB"]);
    // As above: nobody knows what became of the first.
    let errors: Vec<_> = (0..2).map(|number| pusher.push(&mail(), NewJob::ready(body(3 + number)))).collect();
    let deleted = worker.settle(&[Settle { claim: job.claim.clone(), settlement: Settlement::Delete }]);
    let other = next(&worker);
    let done = worker.settle(&[Settle { claim: other.claim.clone(), settlement: Settlement::Delete }]);
    let blocked = pusher.admin().unwrap().facts().unwrap().into_iter().find(|(name, _)| *name == "blocked");
    node.ctl(&["set_disk_free_limit", "50MB"]);
    let last = errors.into_iter().next_back().unwrap().unwrap_err();
    assert_eq!(last.kind(), ErrorKind::Refused, "{last}");
    assert!(last.to_string().contains("blocks publishers") && last.to_string().contains("disk"), "{last}");
    assert_eq!(blocked, Some(("blocked", Fact::Flag(true))));
    assert_eq!((deleted.unwrap(), done.unwrap()), (vec![SettleResult::Applied], vec![SettleResult::Applied]));
    pusher.push(&mail(), NewJob::ready(body(9))).expect("the alarm is over");
}

#[test]
fn a_queue_that_somebody_deleted_is_made_again_and_its_consumer_goes_on() {
    let Some(node) = node() else { return };
    let vhost = node.vhost();
    let worker = broker(&node, &vhost);
    worker.push(&mail(), NewJob::ready(body(1))).unwrap();
    let job = next(&worker);
    assert_eq!(worker.settle(&[Settle { claim: job.claim, settlement: Settlement::Delete }]).unwrap(), [SettleResult::Applied]);
    node.ctl(&["-p", &vhost, "delete_queue", "mail"]);
    worker.push(&mail(), NewJob::ready(body(2))).unwrap();
    assert_eq!(next(&worker).body, body(2));
}

#[test]
fn a_job_that_runs_longer_than_consumer_timeout_is_lost_to_its_worker_and_runs_again() {
    let Some(node) = node() else { return };
    let vhost = node.vhost();
    // New channels look every second for jobs that are held for more than four.
    node.ctl(&[
        "eval",
        "application:set_env(rabbit, consumer_timeout, 4000), application:set_env(rabbit, channel_tick_interval, 1000).",
    ]);
    let worker = broker_at(&node, &vhost, None, |config| config.consumer_timeout = 4);
    worker.push(&mail(), NewJob::ready(body(1))).unwrap();
    let job = next(&worker);
    let deadline = Instant::now() + Duration::from_secs(120);
    while worker.extend(std::slice::from_ref(&job.claim)).unwrap() == [ExtendResult::Kept] {
        assert!(Instant::now() < deadline, "the broker never took the job away");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(worker.settle(&[Settle { claim: job.claim, settlement: Settlement::Delete }]).unwrap(), [SettleResult::Lost]);
    let again = next(&worker);
    node.ctl(&["eval", "application:set_env(rabbit, consumer_timeout, 1800000)."]);
    assert_eq!(again.attempts, Some(2));
}
