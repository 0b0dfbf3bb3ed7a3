//! Tries, delays and failed jobs on RabbitMQ: what the suite cannot ask, because there a clock is turned.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferry_conformance::servers::{AmqpNodeExt, LinkExt};
use ferry_core::broker::{Fact, Isolation, Settle, SettleResult, Settlement};
use ferry_core::config::Value;
use ferry_core::failed::{Failure, Reason};
use ferry_core::{Broker, Due, ErrorKind, NewJob, QueueName, Reservation};
use ferry_driver_amqp::{AmqpBroker, Settings};
use ferry_testkit::Fault;

use crate::amqp_stage::Amqp;

const SLICE: Duration = Duration::from_millis(200);

fn queue(name: &str) -> QueueName {
    QueueName::new(name.as_bytes()).unwrap()
}

fn body(number: u32, tries: &str) -> Vec<u8> {
    format!(r#"{{"job":"J","maxTries":{tries},"timeout":null,"data":{number},"id":"i{number}","attempts":0}}"#).into_bytes()
}

fn worker(stage: &Amqp) -> AmqpBroker {
    stage.broker(Settings::default())
}

fn push(broker: &dyn Broker, queue: &QueueName, body: Vec<u8>) {
    broker.push(queue, NewJob::ready(body)).unwrap();
}

/// Reserves as a running worker does, until there is something.
fn next(broker: &dyn Broker, queue: &QueueName, max: usize) -> Vec<Reservation> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let jobs = broker.reserve(std::slice::from_ref(queue), max, SLICE).unwrap();
        if !jobs.is_empty() {
            return jobs;
        }
        assert!(Instant::now() < deadline, "no job of {queue:?} came");
    }
}

fn settle(broker: &dyn Broker, job: &Reservation, settlement: Settlement) -> SettleResult {
    broker.settle(&[Settle { claim: job.claim.clone(), settlement }]).unwrap()[0]
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Lets a worker die: its connections break, and it is never asked again.
fn die(stage: &Amqp, broker: AmqpBroker) {
    stage.link.cut();
    drop(broker);
}

#[test]
fn a_killer_runs_out_of_tries_on_a_classic_queue_and_on_a_quorum_queue() {
    for stage in [Amqp::classic(), Amqp::quorum()] {
        let Some(stage) = stage else { return };
        let mail = queue("mail");
        push(&worker(&stage), &mail, body(1, "null"));
        for attempt in 1..=4 {
            let broker = worker(&stage);
            let jobs = next(&broker, &mail, 8);
            assert_eq!((jobs.len(), jobs[0].attempts), (1, Some(attempt)), "{:?}", stage.queue_type);
            assert_eq!(jobs[0].body, body(1, "null"));
            die(&stage, broker);
        }
    }
}

#[test]
fn neighbours_of_a_killer_lose_one_attempt_at_most_and_then_run_alone() {
    const TRIES: u32 = 3;
    let Some(stage) = Amqp::classic() else { return };
    let mail = queue("mail");
    let jobs: Vec<NewJob<'_>> = (0..40).map(|number| NewJob::ready(body(number, "null"))).collect();
    worker(&stage).push_many(&mail, &jobs).unwrap();
    let (mut attempts, mut kills) = (HashMap::<Vec<u8>, u32>::new(), 0);
    let mut broker = worker(&stage);
    loop {
        let batch = next(&broker, &mail, 16);
        let tried = batch.iter().any(|job| job.attempts > Some(1));
        assert!(!tried || batch.len() == 1, "a tried job comes alone");
        let killer = batch.iter().position(|job| job.body == body(7, "null"));
        for job in &batch[..killer.unwrap_or(batch.len())] {
            attempts.insert(job.body.clone(), job.attempts.unwrap());
            assert_eq!(settle(&broker, job, Settlement::Delete), SettleResult::Applied);
        }
        if let Some(at) = killer {
            assert_eq!(batch[at].attempts, Some(kills + 1), "every death of its worker counts");
            if kills == TRIES {
                assert_eq!(settle(&broker, &batch[at], Settlement::Delete), SettleResult::Applied);
                break;
            }
            kills += 1;
            die(&stage, broker);
            broker = worker(&stage);
        }
    }
    while attempts.len() < 39 {
        for job in next(&broker, &mail, 16) {
            attempts.insert(job.body.clone(), job.attempts.unwrap());
            assert_eq!(settle(&broker, &job, Settlement::Delete), SettleResult::Applied);
        }
    }
    assert!(attempts.values().all(|attempts| *attempts <= 2), "{attempts:?}");
}

#[test]
fn a_job_with_one_try_that_was_never_started_keeps_it_when_its_worker_dies() {
    let Some(stage) = Amqp::classic() else { return };
    let mail = queue("mail");
    let first = worker(&stage);
    push(&first, &mail, body(1, "null"));
    push(&first, &mail, body(2, "1"));
    assert_eq!(next(&first, &mail, 4).len(), 1);
    die(&stage, first);
    let second = worker(&stage);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let job = next(&second, &mail, 4).remove(0);
        settle(&second, &job, Settlement::Delete);
        seen.push((job.body.clone(), job.attempts));
    }
    seen.sort();
    let numbers: Vec<_> = seen.iter().map(|(bytes, attempts)| (*bytes == body(2, "1"), *attempts)).collect();
    assert_eq!(numbers, [(true, Some(1)), (false, Some(2))]);
}

/// What the worker does with a job whose handler class allows one try. The attempt that it then makes, or `None` when the job was moved.
fn isolate(broker: &dyn Broker, job: &Reservation) -> Option<u32> {
    match broker.isolate(std::slice::from_ref(&job.claim)).unwrap()[0] {
        Isolation::Alone { uncounted } => Some(job.attempts.unwrap() - uncounted),
        Isolation::Moved => None,
        Isolation::Lost => panic!("the job was lost"),
    }
}

#[test]
fn jobs_whose_class_allows_one_try_lose_nothing_while_they_were_not_started() {
    for stage in [Amqp::classic(), Amqp::quorum()] {
        let Some(stage) = stage else { return };
        let mail = queue("mail");
        let first = worker(&stage);
        first.push_many(&mail, &(0..40).map(|number| NewJob::ready(body(number, "null"))).collect::<Vec<_>>()).unwrap();
        // Some are in its batch, others in its prefetch.
        next(&first, &mail, 8);
        die(&stage, first);
        let (second, mut started) = (worker(&stage), HashMap::new());
        while started.len() < 40 {
            for job in next(&second, &mail, 8) {
                if let Some(attempt) = isolate(&second, &job) {
                    settle(&second, &job, Settlement::Delete);
                    started.insert(job.body.clone(), attempt);
                }
            }
        }
        assert!(started.values().all(|attempt| *attempt == 1), "{:?}: {started:?}", stage.queue_type);
    }
}

#[test]
fn a_job_whose_class_allows_one_try_is_not_started_again_after_its_worker_died_with_it() {
    let Some(stage) = Amqp::quorum() else { return };
    let (mail, first) = (queue("mail"), worker(&stage));
    push(&first, &mail, body(1, "null"));
    assert_eq!(isolate(&first, &next(&first, &mail, 8)[0]), None, "it is held beside others");
    let job = next(&first, &mail, 8).remove(0);
    assert_eq!((isolate(&first, &job), job.attempts), (Some(1), Some(1)));
    die(&stage, first);
    let second = worker(&stage);
    assert_eq!(isolate(&second, &next(&second, &mail, 8)[0]), Some(2));
}

#[test]
fn an_attempt_that_is_only_presumed_stays_so_when_the_job_is_given_back() {
    let Some(stage) = Amqp::quorum() else { return };
    let (mail, first) = (queue("mail"), worker(&stage));
    push(&first, &mail, body(1, "null"));
    next(&first, &mail, 8);
    die(&stage, first);
    let second = worker(&stage);
    let job = next(&second, &mail, 8).remove(0);
    assert_eq!(job.attempts, Some(2), "for a job with several tries the death counts");
    assert_eq!(settle(&second, &job, Settlement::GiveBack), SettleResult::Applied);
    assert_eq!(isolate(&second, &next(&second, &mail, 8)[0]), Some(1));
}

#[test]
fn a_connection_that_ends_during_reserve_is_replaced_without_an_error() {
    let Some(stage) = Amqp::quorum() else { return };
    let (mail, broker) = (queue("mail"), worker(&stage));
    push(&broker, &mail, body(1, "null"));
    let job = next(&broker, &mail, 8).remove(0);
    settle(&broker, &job, Settlement::Delete);
    let pusher = AmqpBroker::new(
        ferry_core::config::AmqpConfig { queue_type: stage.queue_type, ..stage.node.config(&stage.vhost) },
        Settings::default(),
    );
    for number in 2..5 {
        stage.link.break_next(Fault::BeforeServer);
        // An idle worker polls its retry queue, so there is a request that breaks.
        while stage.link.is_armed() {
            assert!(broker.reserve(std::slice::from_ref(&mail), 8, SLICE).unwrap().is_empty());
        }
        push(&pusher, &mail, body(number, "null"));
        let job = next(&broker, &mail, 8).remove(0);
        assert_eq!(job.body, body(number, "null"));
        settle(&broker, &job, Settlement::Delete);
    }
}

#[test]
fn a_claim_of_a_broken_connection_is_known_to_be_gone_at_once() {
    let Some(stage) = Amqp::quorum() else { return };
    let (mail, broker) = (queue("mail"), worker(&stage));
    push(&broker, &mail, body(1, "null"));
    let job = next(&broker, &mail, 8).remove(0);
    assert!(broker.may_hold(&job.claim));
    stage.link.cut();
    let deadline = Instant::now() + Duration::from_secs(10);
    while broker.may_hold(&job.claim) {
        assert!(Instant::now() < deadline, "a closed socket was never noticed");
        std::thread::yield_now();
    }
}

#[test]
fn a_worker_that_asks_for_one_holds_one_and_leaves_the_rest_to_others() {
    let Some(stage) = Amqp::quorum() else { return };
    let mail = queue("mail");
    let (first, second) = (worker(&stage), worker(&stage));
    first.push_many(&mail, &(0..10).map(|number| NewJob::ready(body(number, "null"))).collect::<Vec<_>>()).unwrap();
    assert_eq!(next(&first, &mail, 1).len(), 1);
    let mut others = 0;
    while others < 9 {
        others += next(&second, &mail, 64).len();
    }
    assert_eq!(others, 9);
}

#[test]
fn what_lies_in_a_buffer_goes_back_untried_when_php_is_busy_and_when_the_broker_is_closed() {
    let Some(stage) = Amqp::quorum() else { return };
    for closes in [false, true] {
        let mail = queue(if closes { "closed" } else { "busy" });
        let (first, second) = (worker(&stage), worker(&stage));
        first.push_many(&mail, &(0..40).map(|number| NewJob::ready(body(number, "null"))).collect::<Vec<_>>()).unwrap();
        // A batch of 8 leaves a prefetch of 16 behind.
        let held = next(&first, &mail, 8);
        if closes {
            for job in &held {
                settle(&first, job, Settlement::Delete);
            }
            first.close();
        }
        let mut seen = held.len();
        while seen < 40 {
            for job in next(&second, &mail, 8) {
                assert_eq!(job.attempts, Some(1), "nobody ran it");
                settle(&second, &job, Settlement::Delete);
                seen += 1;
            }
        }
    }
}

#[test]
fn a_worker_that_rests_gives_its_buffer_back_at_once_keeps_what_it_holds_and_may_go_on() {
    let Some(stage) = Amqp::quorum() else { return };
    let mail = queue("mail");
    let (first, second) = (worker(&stage), worker(&stage));
    first.push_many(&mail, &(0..40).map(|number| NewJob::ready(body(number, "null"))).collect::<Vec<_>>()).unwrap();
    // A batch of 8 leaves a prefetch of 16 behind.
    let held = next(&first, &mail, 8);
    first.release_prefetched();
    assert_eq!(second.size(&mail).unwrap().ready, 40 - held.len() as u64, "nothing lies in a buffer");
    first.release_prefetched();
    for job in &held {
        assert_eq!(settle(&first, job, Settlement::Delete), SettleResult::Applied);
    }
    let again = next(&first, &mail, 8);
    assert!(again.iter().all(|job| job.attempts == Some(1)), "nobody ran them");
}

#[test]
fn an_operator_is_told_where_the_broker_is_and_what_was_agreed() {
    let Some(stage) = Amqp::quorum() else { return };
    let broker = worker(&stage);
    let facts: HashMap<&str, Fact> = broker.admin().unwrap().facts().unwrap().into_iter().collect();
    assert_eq!(facts["driver"], Fact::Text("amqp".into()));
    assert_eq!(facts["host"], Fact::Text(stage.link.address().to_string()));
    assert_eq!(facts["vhost"], Fact::Text(stage.vhost.clone()));
    assert_eq!((&facts["tls"], &facts["blocked"]), (&Fact::Flag(false), &Fact::Flag(false)));
    assert_eq!((&facts["heartbeat"], &facts["consumer_timeout"]), (&Fact::Seconds(60.0), &Fact::Seconds(1800.0)));
    assert!(matches!(facts["rtt"], Fact::Seconds(rtt) if rtt > 0.0));
}

#[test]
fn a_virtual_host_without_permission_says_which_right_is_missing() {
    let Some(stage) = Amqp::quorum() else { return };
    let forbidden = format!("{}-forbidden", stage.vhost);
    let mut config = stage.node.config(&forbidden);
    stage.node.ctl(&["add_vhost", &forbidden]);
    let broker = AmqpBroker::new(config.clone(), Settings::default());
    let error = broker.push(&queue("mail"), NewJob::ready(body(1, "null"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.to_string().contains(&format!("rabbitmqctl set_permissions -p {forbidden} guest")), "{error}");
    config.vhost = "missing".into();
    let broker = AmqpBroker::new(config, Settings::default());
    let error = broker.push(&queue("mail"), NewJob::ready(body(1, "null"))).unwrap_err();
    assert!(error.to_string().contains("rabbitmqctl add_vhost missing"), "{error}");
}

#[test]
fn jobs_of_a_higher_priority_come_first_and_keep_it_when_they_are_released() {
    let Some(stage) = Amqp::classic() else { return };
    let mail = queue("mail");
    let with = |priority| {
        let mut config = stage.node.config_at(&stage.vhost, stage.link.address());
        config.queue_type = stage.queue_type;
        config.arguments = vec![("x-max-priority".into(), Value::Int(9))];
        config.priority = priority;
        AmqpBroker::new(config, Settings::default())
    };
    let (plain, low, high) = (with(None), with(Some(1)), with(Some(9)));
    for (number, broker) in [&plain, &low, &high, &plain, &low, &high].into_iter().enumerate() {
        push(broker, &mail, body(u32::try_from(number).unwrap(), "null"));
    }
    let ordered = |attempt| [2, 5, 1, 4, 0, 3].map(|number| (body(number, "null"), Some(attempt)));
    let fresh = plain.reserve(std::slice::from_ref(&mail), 6, Duration::ZERO).unwrap();
    assert_eq!(fresh.iter().map(|job| (job.body.clone(), job.attempts)).collect::<Vec<_>>(), ordered(1));
    for job in &fresh {
        settle(&plain, job, Settlement::Release { delay: 0 });
    }
    for expected in ordered(2) {
        let job = next(&plain, &mail, 1).remove(0);
        settle(&plain, &job, Settlement::Delete);
        assert_eq!((job.body, job.attempts), expected);
    }
}

#[test]
fn released_and_left_jobs_return_after_their_delay_with_their_attempts() {
    let Some(stage) = Amqp::quorum() else { return };
    let mail = queue("mail");
    let broker = stage.broker(Settings { retry_after: Some(2), ..Settings::default() });
    push(&broker, &mail, body(1, "null"));
    for (attempt, settlement, seconds) in
        [(1, Settlement::Release { delay: 1 }, 1), (2, Settlement::Leave, 2), (3, Settlement::Release { delay: 3 }, 3)]
    {
        let job = next(&broker, &mail, 1).remove(0);
        assert_eq!(job.attempts, Some(attempt));
        let asked = now_ms();
        assert_eq!(settle(&broker, &job, settlement), SettleResult::Applied);
        let back = next(&broker, &mail, 1).remove(0);
        let took = now_ms() - asked;
        assert!(took >= seconds * 1000, "it came back after {took} ms of {seconds} s");
        assert_eq!(back.attempts, Some(attempt + 1));
        assert_eq!(settle(&broker, &back, Settlement::GiveBack), SettleResult::Applied);
    }
    assert_eq!(next(&broker, &mail, 1)[0].attempts, Some(4), "giving back burns nothing");
}

#[test]
fn jobs_tried_before_have_their_turn_while_fresh_ones_never_end() {
    let Some(stage) = Amqp::classic() else { return };
    let mail = queue("mail");
    let broker = worker(&stage);
    let fresh =
        |first: u32| -> Vec<NewJob<'static>> { (first..first + 50).map(|number| NewJob::ready(body(number, "null"))).collect() };
    push(&broker, &mail, body(0, "null"));
    let job = next(&broker, &mail, 1).remove(0);
    assert_eq!(settle(&broker, &job, Settlement::Release { delay: 0 }), SettleResult::Applied);
    let (started, mut number) = (Instant::now(), 1);
    loop {
        if broker.size(&mail).unwrap().ready < 100 {
            broker.push_many(&mail, &fresh(number)).unwrap();
            number += 50;
        }
        let jobs = next(&broker, &mail, 16);
        let found = jobs.iter().any(|job| job.attempts == Some(2));
        for job in &jobs {
            settle(&broker, job, Settlement::Delete);
        }
        if found {
            assert_eq!(jobs.len(), 1);
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "the tried job never had its turn");
    }
}

#[test]
fn lower_queues_are_served_when_higher_ones_are_empty() {
    let Some(stage) = Amqp::quorum() else { return };
    let broker = worker(&stage);
    let queues = ["high", "low"].map(queue);
    broker.push_many(&queues[1], &(0..30).map(|number| NewJob::ready(body(number, "null"))).collect::<Vec<_>>()).unwrap();
    let mut low = 0;
    while low < 30 {
        let jobs = broker.reserve(&queues, 8, SLICE).unwrap();
        assert!(jobs.iter().all(|job| job.claim.queue == queues[1]));
        low += jobs.len();
        for job in &jobs {
            settle(&broker, job, Settlement::Delete);
        }
        if low >= 8 {
            break;
        }
    }
    push(&broker, &queues[0], body(99, "null"));
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let jobs = broker.reserve(&queues, 8, SLICE).unwrap();
        for job in &jobs {
            settle(&broker, job, Settlement::Delete);
        }
        if jobs.iter().any(|job| job.claim.queue == queues[0]) {
            return;
        }
        assert!(Instant::now() < deadline, "the high job never came");
    }
}

#[test]
fn a_hundred_random_delays_are_never_early_and_hardly_late() {
    random_delays_are_kept(100, 9, 1500);
}

/// A minute; nothing else should be busy meanwhile. `cargo test -p ferry-conformance --test it -- amqp_tries --ignored`
#[test]
#[ignore = "takes a minute and a quiet machine"]
fn ten_thousand_random_delays_are_never_early_and_late_by_a_second_at_most() {
    random_delays_are_kept(10_000, 60, 0);
}

/// So many jobs with delays below `longest` seconds. A delay is rounded up to the second, and may then be late by a second, or 2 %, and `grace`
/// milliseconds for a busy machine.
fn random_delays_are_kept(count: u32, longest: u64, grace: i64) {
    let Some(stage) = Amqp::quorum() else { return };
    let mail = queue("a.b");
    let broker = worker(&stage);
    // Whoever took `x.a.b` for `a.b` would give some away.
    let others = [queue("x.a.b"), queue("b"), queue("*")];
    let mut seed = 88_172_645_463_325_252_u64;
    let mut random = move |most: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % most
    };
    for other in &others {
        broker.push(other, NewJob::due(body(0, "null"), Due::After(1))).unwrap();
    }
    let mut due = HashMap::new();
    let jobs: Vec<NewJob<'_>> = (0..count)
        .map(|number| {
            let seconds = i64::try_from(random(longest)).unwrap();
            due.insert(body(number, "null"), seconds);
            NewJob::due(body(number, "null"), Due::After(seconds))
        })
        .collect();
    let pushed = now_ms();
    assert_eq!(broker.push_many(&mail, &jobs).unwrap(), u64::from(count));
    let stored = now_ms();
    while !due.is_empty() {
        let jobs = next(&broker, &mail, 64);
        let now = now_ms();
        for job in &jobs {
            let seconds = due.remove(&job.body).expect("each comes once");
            assert!(now - pushed >= seconds * 1000, "{seconds} s came after {} ms", now - pushed);
            let late = 1000.max(seconds * 20) + grace;
            assert!(now - stored <= seconds * 1000 + 1000 + late, "{seconds} s came after {} ms", now - stored);
            assert_eq!(job.attempts, Some(1));
        }
        let batch: Vec<Settle> =
            jobs.into_iter().map(|job| Settle { claim: job.claim, settlement: Settlement::Delete }).collect();
        broker.settle(&batch).unwrap();
    }
    for other in &others {
        assert_eq!(next(&broker, other, 4).len(), 1, "{other:?}");
    }
}

#[test]
fn delays_of_ninety_days_and_of_centuries_are_taken_and_come_not_yet() {
    let Some(stage) = Amqp::quorum() else { return };
    let (mail, broker) = (queue("mail"), worker(&stage));
    for due in [Due::After(90 * 86_400), Due::After(400 * 86_400), Due::At(Due::LATEST)] {
        broker.push(&mail, NewJob::due(body(1, "null"), due)).unwrap();
    }
    assert!(broker.reserve(std::slice::from_ref(&mail), 4, SLICE).unwrap().is_empty());
    assert_eq!(broker.size(&mail).unwrap().ready, 0);
}

#[test]
fn awkward_arguments_are_refused_with_advice() {
    let Some(stage) = Amqp::quorum() else { return };
    let broker = worker(&stage);
    let long = queue(&"x".repeat(244));
    let error = broker.push(&long, NewJob::ready(body(1, "null"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    let error = broker.push(&queue(&"x".repeat(230)), NewJob::due(body(1, "null"), Due::After(5))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");

    let mut config = stage.node.config(&stage.vhost);
    config.password = ferry_core::config::Secret::new("wrong horse");
    let error =
        AmqpBroker::new(config.clone(), Settings::default()).push(&queue("q"), NewJob::ready(body(1, "null"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.to_string().contains("`password`") && !error.to_string().contains("horse"), "{error}");
    config = stage.node.config("nowhere");
    let error =
        AmqpBroker::new(config.clone(), Settings::default()).push(&queue("q"), NewJob::ready(body(1, "null"))).unwrap_err();
    assert!(error.to_string().contains("add_vhost nowhere"), "{error}");

    config = stage.node.config(&stage.vhost);
    config.declare = ferry_core::config::Declare::Passive;
    let error =
        AmqpBroker::new(config.clone(), Settings::default()).push(&queue("none"), NewJob::ready(body(1, "null"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("no queue 'none'"), "{error}");
    config.declare = ferry_core::config::Declare::No;
    let error =
        AmqpBroker::new(config.clone(), Settings::default()).push(&queue("none"), NewJob::ready(body(1, "null"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("no queue takes the job"), "{error}");
    config.exchange = "missing".into();
    let error = AmqpBroker::new(config, Settings::default()).push(&queue("none"), NewJob::ready(body(1, "null"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("no exchange 'missing'"), "{error}");
}

#[test]
fn a_queue_that_exists_with_other_arguments_says_which_and_what_to_do() {
    let (Some(quorum), Some(mut classic)) = (Amqp::quorum(), Amqp::classic()) else { return };
    classic.vhost = quorum.vhost.clone();
    push(&worker(&quorum), &queue("mail"), body(1, "null"));
    let error = worker(&classic).push(&queue("mail"), NewJob::ready(body(1, "null"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("x-queue-type") && error.to_string().contains("queue_type"), "{error}");
}

#[test]
fn a_full_queue_refuses_and_says_how_many_were_taken() {
    let Some(stage) = Amqp::classic() else { return };
    let mut config = stage.node.config(&stage.vhost);
    config.queue_type = stage.queue_type;
    config.arguments =
        vec![("x-max-length".into(), ferry_core::config::Value::Int(3)), ("x-overflow".into(), "reject-publish".into())];
    let broker = AmqpBroker::new(config, Settings::default());
    push(&broker, &queue("mail"), body(0, "null"));
    let jobs: Vec<NewJob<'_>> = (1..9).map(|number| NewJob::ready(body(number, "null"))).collect();
    let error = broker.push_many(&queue("mail"), &jobs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("of 8 jobs were confirmed"), "{error}");
}

#[test]
fn a_configured_exchange_leads_to_the_queue() {
    let Some(stage) = Amqp::quorum() else { return };
    let mut config = stage.node.config(&stage.vhost);
    config.exchange = "shop".into();
    config.exchange_type = "direct".into();
    let broker = AmqpBroker::new(config, Settings::default());
    push(&broker, &queue("mail"), body(1, "null"));
    let job = next(&broker, &queue("mail"), 1).remove(0);
    assert_eq!(settle(&broker, &job, Settlement::Release { delay: 0 }), SettleResult::Applied);
    assert_eq!(next(&broker, &queue("mail"), 1)[0].attempts, Some(2));
}

#[test]
fn a_burial_with_an_endless_exception_is_kept_shortened() {
    let Some(stage) = Amqp::quorum() else { return };
    let (mail, broker) = (queue("mail"), worker(&stage));
    push(&broker, &mail, body(1, "null"));
    let job = next(&broker, &mail, 1).remove(0);
    let failure = Failure {
        connection: "amqp".into(),
        payload: job.body.clone(),
        reason: Reason::Exception,
        exception: "x".repeat(1 << 20),
        attempts: 1,
    };
    assert_eq!(settle(&broker, &job, Settlement::Bury(Box::new(failure))), SettleResult::Applied);
    let failed = broker.admin().unwrap().failed(&mail, 0, 1).unwrap();
    assert_eq!(failed[0].payload, body(1, "null"));
    assert!(failed[0].exception.ends_with("bytes more)"));
}

#[test]
fn the_next_host_is_tried_when_the_first_does_not_answer() {
    let Some(stage) = Amqp::quorum() else { return };
    let mut config = stage.node.config(&stage.vhost);
    config.addresses.insert(0, ferry_core::config::Address::Tcp { host: "127.0.0.1".into(), port: 1 });
    push(&AmqpBroker::new(config, Settings::default()), &queue("mail"), body(1, "null"));
}

#[test]
fn heartbeats_keep_a_job_whose_worker_is_busy() {
    let Some(stage) = Amqp::quorum() else { return };
    let mut config = stage.node.config(&stage.vhost);
    config.heartbeat = 1;
    let (mail, broker) = (queue("mail"), AmqpBroker::new(config, Settings::default()));
    push(&broker, &mail, body(1, "null"));
    let job = next(&broker, &mail, 1).remove(0);
    // Nothing to wait for: the point is that time passes and nothing happens.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(settle(&broker, &job, Settlement::Delete), SettleResult::Applied);
    assert_eq!(broker.size(&mail).unwrap().ready, 0);
}
