//! What a link to Redis may do to a request: swallow it, swallow its answer, fall silent, or be cut. The exam itself only kills idle links.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_conformance::servers::{LinkExt, RedisServerExt};
use ferry_conformance::suite::START;
use ferry_core::broker::{ExtendResult, Settle, SettleResult, Settlement, Sizes};
use ferry_core::failed::{Failure, Reason};
use ferry_core::{Broker, ErrorKind, NewJob, QueueName, Reservation};
use ferry_driver_redis::{RedisBroker, Settings};
use ferry_testkit::{Direction, Fault, Link, RedisOptions, RedisServer};

const JOB: &[u8] = br#"{"job":"J","maxTries":null,"timeout":null,"data":1,"id":"x","attempts":0}"#;
const OTHER_JOB: &[u8] = br#"{"job":"J","maxTries":null,"timeout":null,"data":2,"id":"y","attempts":0}"#;
const BOTH_SIDES: [Fault; 2] = [Fault::BeforeServer, Fault::AfterServer];

/// Longer than a busy machine keeps a server that is there from answering.
const PATIENCE: Duration = Duration::from_secs(1);
/// One call may wait for an old link, a new one and its login, on a busy machine.
const ALL_PATIENCE: Duration = Duration::from_secs(3);
const SILENCES: [&[Direction]; 3] = [&[Direction::Up], &[Direction::Down], &[Direction::Up, Direction::Down]];

/// A server, a worker behind a link that can break, and an observer with a link of its own.
struct Scene {
    server: RedisServer,
    link: Link,
    queue: QueueName,
}

impl Scene {
    fn set() -> Option<Self> {
        let server = RedisServer::start()?;
        let link = Link::to(server.port().expect("the server has a port"));
        Some(Self { server, link, queue: QueueName::default() })
    }

    /// A worker whose links are open and whose scripts are known, so that the next request is one request.
    fn worker(&self) -> Arc<dyn Broker> {
        let config = self.server.config_at(self.link.address());
        let worker = Arc::new(RedisBroker::new(config, Settings { now: Some(START), ..Settings::default() }));
        worker.push(&self.queue, NewJob::ready(JOB)).unwrap();
        for how in [Settlement::GiveBack, Settlement::Delete] {
            let held = self.reserve(&*worker);
            worker.extend(std::slice::from_ref(&held.claim)).unwrap();
            assert_eq!(worker.settle(&[Settle { claim: held.claim, settlement: how }]).unwrap(), [SettleResult::Applied]);
        }
        worker
    }

    /// The same worker, which waits for an answer for [`PATIENCE`] only.
    fn impatient_worker(&self) -> Arc<dyn Broker> {
        let mut config = self.server.config_at(self.link.address());
        (config.io_timeout, config.connect_timeout) = (PATIENCE, PATIENCE);
        let worker = Arc::new(RedisBroker::new(config, Settings { now: Some(START), ..Settings::default() }));
        worker.size(&self.queue).unwrap();
        worker
    }

    fn observer_at(&self, second: i64) -> RedisBroker {
        RedisBroker::new(self.server.config(), Settings { now: Some(second), ..Settings::default() })
    }

    fn reserve(&self, worker: &dyn Broker) -> Reservation {
        worker.reserve(std::slice::from_ref(&self.queue), 1, Duration::ZERO).unwrap().remove(0)
    }

    fn sizes(&self) -> Sizes {
        self.observer_at(START).size(&self.queue).unwrap()
    }

    fn break_next(&self, fault: Fault) {
        self.link.break_next(fault);
    }

    fn assert_it_broke(&self) {
        assert!(!self.link.is_armed(), "the fault never struck");
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
        Settlement::Release { delay: 5 },
        Settlement::GiveBack,
        Settlement::Leave,
        Settlement::Bury(Box::new(failure)),
    ]
}

#[test]
fn a_push_that_broke_is_stored_once_or_not_at_all_and_says_what_is_known() {
    for fault in BOTH_SIDES {
        let Some(scene) = Scene::set() else { return };
        let worker = scene.worker();
        scene.break_next(fault);
        let pushed = worker.push(&scene.queue, NewJob::ready(JOB));
        scene.assert_it_broke();
        let stored = scene.sizes().ready;
        match pushed {
            Ok(_) => assert_eq!(stored, 1, "{fault:?}"),
            Err(error) if error.kind() == ErrorKind::Uncertain => assert!(stored <= 1, "{fault:?}"),
            Err(error) if error.kind() == ErrorKind::Connection => assert_eq!(stored, 0, "{fault:?}"),
            Err(error) => panic!("{fault:?}: {error}"),
        }
    }
}

#[test]
fn a_job_whose_reservation_broke_is_ready_or_comes_back_with_its_lease() {
    for fault in BOTH_SIDES {
        let Some(scene) = Scene::set() else { return };
        let worker = scene.worker();
        worker.push(&scene.queue, NewJob::ready(JOB)).unwrap();
        scene.break_next(fault);
        let answer = worker.reserve(std::slice::from_ref(&scene.queue), 1, Duration::ZERO);
        scene.assert_it_broke();
        assert_eq!(scene.sizes().total(), 1, "{fault:?}: {answer:?}");
        let later = scene.observer_at(START + 60);
        assert_eq!(scene.reserve(&later).claim.queue, scene.queue);
    }
}

#[test]
fn a_settle_that_broke_leaves_the_job_in_one_state() {
    for fault in BOTH_SIDES {
        for number in 0..5 {
            let Some(scene) = Scene::set() else { return };
            let worker = scene.worker();
            worker.push(&scene.queue, NewJob::ready(JOB)).unwrap();
            let held = scene.reserve(&*worker);
            let how = every_way_to_settle(&held)[number].clone();
            scene.break_next(fault);
            let answer = worker.settle(&[Settle { claim: held.claim, settlement: how.clone() }]);
            scene.assert_it_broke();
            let sizes = scene.sizes();
            assert!(sizes.total() + sizes.failed <= 1, "{how:?}, {fault:?}: {sizes:?}");
            assert!(
                sizes.total() + sizes.failed == 1 || matches!(how, Settlement::Delete),
                "{how:?}, {fault:?}: the job is gone"
            );
            if let Err(error) = answer {
                assert!(matches!(error.kind(), ErrorKind::Uncertain | ErrorKind::Connection), "{how:?}, {fault:?}: {error}");
            }
        }
    }
}

#[test]
fn a_settle_whose_answer_broke_is_not_called_lost() {
    let mut wrong = Vec::new();
    for number in 0..5 {
        let Some(scene) = Scene::set() else { return };
        let worker = scene.worker();
        worker.push(&scene.queue, NewJob::ready(JOB)).unwrap();
        let held = scene.reserve(&*worker);
        let how = every_way_to_settle(&held)[number].clone();
        scene.break_next(Fault::AfterServer);
        let answer = worker.settle(&[Settle { claim: held.claim, settlement: how.clone() }]);
        scene.assert_it_broke();
        // It was ours and it was carried out. `Lost` means that it was not ours and that nothing changed.
        if matches!(answer.as_deref(), Ok([SettleResult::Lost])) {
            wrong.push(format!("{how:?} was answered Lost; now {:?}", scene.sizes()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_extension_that_broke_is_kept_or_an_error() {
    for fault in BOTH_SIDES {
        let Some(scene) = Scene::set() else { return };
        let worker = scene.worker();
        worker.push(&scene.queue, NewJob::ready(JOB)).unwrap();
        let held = scene.reserve(&*worker);
        scene.break_next(fault);
        let answer = worker.extend(std::slice::from_ref(&held.claim));
        scene.assert_it_broke();
        assert!(!matches!(answer.as_deref(), Ok([ExtendResult::Lost])), "{fault:?}");
        assert_eq!(scene.sizes(), Sizes { reserved: 1, ..Sizes::default() });
    }
}

/// The words of a worker, by name, on a job that it holds.
fn say(worker: &dyn Broker, word: &str, queue: &QueueName, held: &Reservation) -> ferry_core::Result<()> {
    match word {
        "push" => worker.push(queue, NewJob::ready(OTHER_JOB)).map(drop),
        "reserve" => worker.reserve(std::slice::from_ref(queue), 1, Duration::ZERO).map(drop),
        "reserve and wait" => worker.reserve(std::slice::from_ref(queue), 1, Duration::from_millis(500)).map(drop),
        "settle" => worker.settle(&[Settle { claim: held.claim.clone(), settlement: Settlement::Delete }]).map(drop),
        "extend" => worker.extend(std::slice::from_ref(&held.claim)).map(drop),
        other => panic!("{other}"),
    }
}

const WORDS: [&str; 5] = ["push", "reserve", "reserve and wait", "settle", "extend"];

#[test]
fn a_link_that_falls_silent_is_an_error_in_time_and_works_when_it_is_back() {
    for ways in SILENCES {
        for word in WORDS {
            let Some(scene) = Scene::set() else { return };
            let worker = scene.impatient_worker();
            worker.push(&scene.queue, NewJob::ready(JOB)).unwrap();
            let held = scene.reserve(&*worker);
            worker.extend(std::slice::from_ref(&held.claim)).unwrap();

            scene.link.silence(ways);
            let asked = Instant::now();
            let error = say(&*worker, word, &scene.queue, &held).expect_err("nobody answered");
            assert!(asked.elapsed() < ALL_PATIENCE, "{word}, {ways:?}: {:?}", asked.elapsed());
            assert!(matches!(error.kind(), ErrorKind::Uncertain | ErrorKind::Connection), "{word}, {ways:?}: {error}");

            // Then what was sent before may still arrive, and the caller says it again: nothing is doubled by that but a push.
            scene.link.open();
            say(&*worker, word, &scene.queue, &held).unwrap_or_else(|error| panic!("{word}, {ways:?}: {error}"));
            let sizes = scene.sizes();
            match word {
                "push" => assert!((1..=2).contains(&sizes.ready), "{ways:?}: {sizes:?}"),
                "settle" => assert_eq!(sizes, Sizes::default(), "{ways:?}"),
                _ => assert_eq!(sizes, Sizes { reserved: 1, ..Sizes::default() }, "{word}, {ways:?}"),
            }
        }
    }
}

#[test]
fn a_link_that_was_cut_on_both_sides_is_replaced_without_a_word() {
    let Some(scene) = Scene::set() else { return };
    let worker = scene.worker();
    worker.push(&scene.queue, NewJob::ready(JOB)).unwrap();
    let held = scene.reserve(&*worker);
    for word in ["extend", "push", "reserve", "reserve and wait", "settle"] {
        scene.link.cut();
        say(&*worker, word, &scene.queue, &held).unwrap_or_else(|error| panic!("{word}: {error}"));
    }
    assert_eq!(scene.sizes(), Sizes { reserved: 1, ..Sizes::default() }, "the job that was pushed and reserved");
}

#[test]
fn a_link_to_a_primary_that_was_demoted_is_replaced_without_a_word() {
    for word in WORDS {
        let (Some(scene), Some(second)) = (Scene::set(), RedisServer::start()) else { return };
        let worker = scene.worker();
        worker.push(&scene.queue, NewJob::ready(JOB)).unwrap();
        let held = scene.reserve(&*worker);

        let ports = [&scene.server, &second].map(|server| server.port().expect("the server has a port"));
        let follow = |server: &RedisServer, host: &str, port: &str| {
            let _: () = redis::cmd("REPLICAOF").arg(host).arg(port).query(&mut server.connect()).unwrap();
        };
        // Else a primary waits 5 s for more replicas before it sends its data.
        let at_once = ["CONFIG", "SET", "repl-diskless-sync-delay", "0"];
        let _: () = redis::cmd(at_once[0]).arg(&at_once[1..]).query(&mut scene.server.connect()).unwrap();
        follow(&second, "127.0.0.1", &ports[0].to_string());
        let on_second = RedisBroker::new(second.config(), Settings { now: Some(START), ..Settings::default() });
        until("the replica has the job", || on_second.size(&scene.queue).is_ok_and(|sizes| sizes.reserved == 1));
        // Nobody in between: two servers that follow each other empty each other.
        follow(&scene.server, "127.0.0.1", "1");
        follow(&second, "NO", "ONE");
        scene.link.lead_to(ports[1]);

        say(&*worker, word, &scene.queue, &held).unwrap_or_else(|error| panic!("{word}: {error}"));
        let sizes = on_second.size(&scene.queue).unwrap();
        match word {
            "push" => assert_eq!(sizes, Sizes { ready: 1, reserved: 1, ..Sizes::default() }),
            "settle" => assert_eq!(sizes, Sizes::default()),
            _ => assert_eq!(sizes, Sizes { reserved: 1, ..Sizes::default() }, "{word}"),
        }
    }
}

/// Asks again and again; nobody tells when a replica has caught up.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not in 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_server_that_restarts_is_found_again() {
    let options = RedisOptions { append_only: true, ..Default::default() };
    let Some(mut server) = RedisServer::with(options) else { return };
    let queue = QueueName::default();
    let broker = RedisBroker::new(server.config(), Settings { now: Some(START), ..Settings::default() });
    broker.push(&queue, NewJob::ready(JOB)).unwrap();

    server.stop();
    let refused = broker.push(&queue, NewJob::ready(JOB)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Connection, "{refused}");

    server.restart();
    // The new server knows no script of ours.
    let held = broker.reserve(std::slice::from_ref(&queue), 1, Duration::ZERO).unwrap().remove(0);
    assert_eq!(held.body, JOB);
    assert_eq!(broker.settle(&[Settle { claim: held.claim, settlement: Settlement::Delete }]).unwrap(), [SettleResult::Applied]);
}

#[test]
fn a_password_and_a_unix_socket_are_used() {
    let options = RedisOptions { password: Some("correct horse".into()), unix_socket: true, ..RedisOptions::default() };
    let Some(server) = RedisServer::with(options) else { return };
    let queue = QueueName::default();
    let broker = RedisBroker::new(server.config(), Settings::default());
    broker.push(&queue, NewJob::ready(JOB)).unwrap();
    assert_eq!(broker.size(&queue).unwrap().ready, 1);

    let mut config = server.config();
    config.password = Some(ferry_core::config::Secret::new("wrong horse"));
    let error = RedisBroker::new(config, Settings::default()).push(&queue, NewJob::ready(JOB)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    assert!(!error.to_string().contains("horse"), "no secret shows: {error}");
}
