//! Plain Redis tasks: every recorded case (`fixtures/redis-task.json`) on a server, equal or in `fixtures/deviations.json`. The bytes
//! themselves are tested in `ferry_core::redis_task`.

use std::collections::BTreeMap;
use std::time::Duration;

use ferry_core::broker::{Settle, SettleResult, Settlement, State};
use ferry_core::dialect::Family;
use ferry_core::failed::{Failure, Filter, Reason};
use ferry_core::job::{Due, NewJob, Reservation};
use ferry_core::{Admin, Broker, QueueName};
use ferry_driver_redis::{RedisBroker, Settings};
use serde_json::{Value, json};

use crate::support::{Inspector, NOW, Server};

fn recorded() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../../../fixtures/redis-task.json")).unwrap();
    file["cases"].as_array().unwrap().clone()
}

/// The rows of the table for these cases: `after` is what we leave on the server.
fn listed() -> BTreeMap<String, Value> {
    let file: Value = serde_json::from_str(include_str!("../../../../fixtures/deviations.json")).unwrap();
    let rows = file["deviations"].as_array().unwrap().iter();
    let of_tasks = |row: &Value| Some((row["case"].as_str()?.strip_prefix("redis-task/")?.to_owned(), row["after"].clone()));
    rows.filter_map(of_tasks).collect()
}

fn broker(server: &Server, now: i64) -> RedisBroker {
    server.broker_with(Settings { family: Family::RedisTask, now: Some(now), ..Settings::default() })
}

fn queue(name: &str) -> QueueName {
    QueueName::new(name.as_bytes()).unwrap()
}

fn reserve(broker: &RedisBroker, queue: &QueueName, max: usize) -> Vec<Reservation> {
    broker.reserve(std::slice::from_ref(queue), max, Duration::ZERO).unwrap()
}

fn settle(broker: &RedisBroker, job: &Reservation, settlement: Settlement) {
    let batch = [Settle { claim: job.claim.clone(), settlement }];
    assert_eq!(broker.settle(&batch).unwrap(), [SettleResult::Applied]);
}

fn failure(job: &Reservation, exception: &str, reason: Reason) -> Settlement {
    let attempts = job.attempts.unwrap_or(1);
    let (connection, payload, exception) = ("tasks".to_owned(), job.body.clone(), exception.to_owned());
    Settlement::Bury(Box::new(Failure { connection, payload, reason, exception, attempts }))
}

fn fill(look: &mut Inspector, state: &Value) {
    for (key, content) in state.as_object().unwrap() {
        for entry in content["value"].as_array().unwrap() {
            let _: i64 = match entry.as_str() {
                Some(body) => look.run(&["RPUSH", key, body]),
                None => look.run(&["ZADD", key, entry[1].as_str().unwrap(), entry[0].as_str().unwrap()]),
            };
        }
    }
}

/// Everything on the server, as the recordings write it.
fn dump(look: &mut Inspector) -> Value {
    let mut all = BTreeMap::new();
    for key in look.run::<Vec<String>>(&["KEYS", "*"]) {
        let kind: String = look.run(&["TYPE", &key]);
        let value = if kind == "list" {
            json!(look.run::<Vec<String>>(&["LRANGE", &key, "0", "-1"]))
        } else {
            let flat: Vec<String> = look.run(&["ZRANGE", &key, "0", "-1", "WITHSCORES"]);
            json!(flat.chunks(2).collect::<Vec<_>>())
        };
        all.insert(key, json!({ "type": kind, "value": value }));
    }
    json!(all)
}

/// Does what the case records, as our client and worker do it, and leaves the store as they do.
fn play(case: &Value, server: &Server) {
    let (name, broker) = (case["name"].as_str().unwrap(), broker(server, NOW));
    let queue = queue(case["args"]["queue"].as_str().unwrap_or("default_queue"));
    let mut look = server.inspect();
    match name {
        "push" | "push-namespaced-class" | "push-json-flavour" => {
            let body = case["commands"][0][2].as_str().unwrap().as_bytes();
            broker.push(&queue, NewJob::ready(body)).unwrap();
        }
        // Task::serialize() throws: php-tests/redis-tasks.
        "push-invalid-utf8" => {}
        "pop-moves-due-race-DUPLICATES" => {
            for command in case["injected"][0]["commands"].as_array().unwrap() {
                let words: Vec<&str> = command.as_array().unwrap().iter().filter_map(Value::as_str).collect();
                let _: i64 = look.run(&words);
            }
            settle(&broker, &reserve(&broker, &queue, 1)[0], Settlement::Delete);
        }
        "pop-crash-LOSES-TASK" => drop(reserve(&broker, &queue, 1)),
        "pop-bad-json-LOSES-TASK" => {
            let job = reserve(&broker, &queue, 1).remove(0);
            settle(&broker, &job, failure(&job, "the task is not a JSON object", Reason::Poison));
        }
        "pop-unknown-class-LOSES-TASK" => settle(&broker, &reserve(&broker, &queue, 1)[0], Settlement::Release { delay: 1 }),
        "pop-arbitrary-class" => {
            let job = reserve(&broker, &queue, 1).remove(0);
            settle(&broker, &job, failure(&job, "ArrayObject is no task", Reason::NoHandler));
        }
        "work-false-retry-2" => settle(&broker, &reserve(&broker, &queue, 1)[0], Settlement::Release { delay: 120 }),
        "work-throws-Error" => settle(&broker, &reserve(&broker, &queue, 1)[0], Settlement::Release { delay: 60 }),
        "work-throws-final-named-queue" => {
            let job = reserve(&broker, &queue, 1).remove(0);
            settle(&broker, &job, failure(&job, "smtp down", Reason::Exception));
        }
        "stats" => {
            let sizes = broker.size(&queue).unwrap();
            let stats = json!({ "pending": sizes.ready, "delayed": sizes.delayed, "failed": sizes.failed });
            assert_eq!(stats, case["returns"]);
        }
        "retry-script-lrem-with-array" => {
            let queue = QueueName::new(b"email").unwrap();
            assert_eq!(broker.retry(&queue, &Filter::all(), &mut |_| ()).unwrap(), 1);
        }
        _ => {
            for job in reserve(&broker, &queue, 1) {
                assert_eq!(id_of(&job.body), case["returns"]["id"].as_str().unwrap_or("task_6553f100a1b2c3.12345678"));
                settle(&broker, &job, Settlement::Delete);
            }
        }
    }
}

fn id_of(body: &[u8]) -> String {
    Family::RedisTask.decode(body).unwrap().id.unwrap()
}

#[test]
fn every_recorded_case_is_equal_or_a_listed_deviation() {
    let (server, listed) = (Server::start(), listed());
    let mut equal = 0;
    for case in recorded() {
        let mut look = server.inspect();
        let _: String = look.run(&["FLUSHALL"]);
        fill(&mut look, &case["before"]);
        play(&case, &server);
        let (name, after) = (case["name"].as_str().unwrap(), dump(&mut look));
        let deviation = listed.get(name);
        assert_eq!(&after, deviation.unwrap_or(&case["after"]), "{name}");
        assert_ne!(deviation, Some(&case["after"]), "{name} is listed, yet we do what the original does");
        equal += usize::from(deviation.is_none());
    }
    assert_eq!((equal, listed.len()), (9, 9), "of the {} cases", recorded().len());
}

fn body(id: &str, attempts: u32, most: u32) -> Vec<u8> {
    format!(r#"{{"id":"{id}","class":"C","data":{{"a":[1,"]}}"]}},"attempts":{attempts},"max_attempts":{most},"delay":0,"created_at":1}}"#)
        .into_bytes()
}

#[test]
fn a_taken_task_is_ours_for_retry_after_and_comes_back_with_its_attempt_counted() {
    let server = Server::start();
    let (broker_now, email) = (broker(&server, NOW), queue("email"));
    broker_now.push(&email, NewJob::ready(body("a", 0, 3))).unwrap();
    let job = reserve(&broker_now, &email, 1).remove(0);
    assert_eq!((job.body, job.attempts), (body("a", 0, 3), Some(1)));
    let mut look = server.inspect();
    assert_eq!(look.run::<Vec<Vec<u8>>>(&["ZRANGE", "email:ferry:reserved", "0", "-1"]), [body("a", 1, 3)]);
    assert!(reserve(&broker(&server, NOW + 59), &email, 1).is_empty());
    let again = reserve(&broker(&server, NOW + 60), &email, 1).remove(0);
    assert_eq!((again.body, again.attempts), (body("a", 1, 3), Some(2)));
}

#[test]
fn a_task_with_one_attempt_is_taken_alone() {
    let server = Server::start();
    let (broker, email) = (broker(&server, NOW), queue("email"));
    for (id, most) in [("a", 3), ("b", 10), ("c", 1), ("d", 3)] {
        broker.push(&email, NewJob::ready(body(id, 0, most))).unwrap();
    }
    let batches: Vec<Vec<String>> =
        (0..3).map(|_| reserve(&broker, &email, 64).iter().map(|job| id_of(&job.body)).collect()).collect();
    assert_eq!(batches, [vec!["a", "b"], vec!["c"], vec!["d"]]);
}

#[test]
fn a_due_task_is_moved_once_however_many_workers_look() {
    let server = Server::start();
    let email = queue("email");
    let jobs: Vec<NewJob<'_>> = (0..50).map(|id| NewJob::due(body(&id.to_string(), 0, 3), Due::After(5))).collect();
    assert_eq!(broker(&server, NOW).push_many(&email, &jobs).unwrap(), 50);
    assert!(reserve(&broker(&server, NOW + 4), &email, 64).is_empty());
    let taken: usize = std::thread::scope(|scope| {
        let look = || reserve(&broker(&server, NOW + 5), &email, 64).len();
        let workers: Vec<_> = (0..8).map(|_| scope.spawn(look)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(taken, 50);
}

#[test]
fn peeking_shows_the_task_that_comes_next_first() {
    let server = Server::start();
    let (broker, email) = (broker(&server, NOW), queue("email"));
    let jobs: Vec<NewJob<'_>> = ["a", "b", "c"].into_iter().map(|id| NewJob::ready(body(id, 0, 3))).collect();
    broker.push_many(&email, &jobs).unwrap();
    let peek = |offset, limit| -> Vec<String> {
        broker.peek(&email, State::Ready, offset, limit).unwrap().iter().map(|body| id_of(body)).collect()
    };
    assert_eq!((peek(0, 10), peek(1, 1), peek(3, 5)), (vec!["a".into(), "b".into(), "c".into()], vec!["b".into()], Vec::new()));
}

#[test]
fn equal_records_of_other_programs_are_each_retried() {
    let server = Server::start();
    let (broker, email) = (broker(&server, NOW), queue("email"));
    let task = String::from_utf8(body("a", 2, 2)).unwrap();
    let record = json!({ "task": task, "error": "x", "failed_at": "2023-11-14 22:13:20", "attempts": 2 }).to_string();
    let mut look = server.inspect();
    for _ in 0..3 {
        let _: i64 = look.run(&["LPUSH", "failed_queue:email", &record]);
    }
    assert_eq!(broker.retry(&email, &Filter::all(), &mut |_| ()).unwrap(), 3);
    assert_eq!(look.run::<Vec<Vec<u8>>>(&["LRANGE", "email", "0", "-1"]), vec![body("a", 0, 2); 3]);
    assert_eq!(broker.size(&email).unwrap().failed, 0);
}

#[test]
fn a_record_that_is_none_is_listed_and_can_be_forgotten() {
    let server = Server::start();
    let (broker, email) = (broker(&server, NOW), queue("email"));
    let _: i64 = server.inspect().run(&["LPUSH", "failed_queue:email", "zzz"]);
    let failed = broker.failed(&email, 0, 10).unwrap();
    assert_eq!((failed.len(), failed[0].payload.as_slice()), (1, &b"zzz"[..]));
    assert_eq!(broker.forget(&email, &Filter::ids([failed[0].id.clone()])).unwrap(), 1);
}

#[test]
fn a_task_that_its_program_gave_up_lies_among_the_failed_ones() {
    let server = Server::start();
    let (broker, email) = (broker(&server, NOW), queue("email"));
    let failure = Failure {
        connection: "tasks".into(),
        payload: body("a", 2, 2),
        reason: Reason::Asked,
        exception: "smtp down".into(),
        attempts: 2,
    };
    broker.add_failed(&email, &failure).unwrap();
    let failed = broker.failed_job(&email, "a").unwrap().unwrap();
    assert_eq!((failed.exception.as_str(), failed.attempts, failed.failed_at), ("smtp down", Some(2), NOW));
}

#[test]
fn a_key_of_a_wrong_type_is_named_whatever_is_asked_of_its_queue_and_nothing_is_lost() {
    let server = Server::start();
    let (broker, email) = (broker(&server, NOW), queue("email"));
    let job = |id: &str| NewJob::ready(body(id, 0, 3));
    broker.push(&email, job("a")).unwrap();
    let held = reserve(&broker, &email, 1).remove(0);
    for key in ["email", "delayed_queue:email", "email:ferry:reserved", "failed_queue:email"] {
        let mut look = server.inspect();
        look.run::<()>(&["COPY", "email:ferry:reserved", "kept"]);
        look.run::<()>(&["DEL", key]);
        look.run::<()>(&["SET", key, "not a queue"]);
        let release = [Settle { claim: held.claim.clone(), settlement: Settlement::Release { delay: 9 } }];
        let bury = [Settle { claim: held.claim.clone(), settlement: failure(&held, "x", Reason::Exception) }];
        let late = NewJob::due(body("b", 0, 3), Due::After(5));
        let tried = [
            broker.push(&email, job("b")).err(),
            broker.push(&email, late).err(),
            broker.reserve(std::slice::from_ref(&email), 1, Duration::ZERO).err(),
            broker.settle(&release).err(),
            broker.settle(&bury).err(),
            broker.extend(std::slice::from_ref(&held.claim)).err(),
            broker.size(&email).err(),
            broker.failed(&email, 0, 9).err(),
            broker.peek(&email, State::Ready, 0, 9).err(),
        ];
        let errors: Vec<String> = tried.into_iter().flatten().map(|error| error.to_string()).collect();
        assert!(errors.len() >= 2, "{key}: {errors:?}");
        for error in errors {
            let (named, advised) =
                (format!("the key `{key}` holds a string, where the queue needs a "), "rename or remove that key");
            assert!(error.starts_with(&named) && error.contains(advised), "{error}");
        }
        for word in [
            &["DEL", "email", "delayed_queue:email", "failed_queue:email", "email:ferry:reserved"][..],
            &["RENAME", "kept", "email:ferry:reserved"],
        ] {
            look.run::<()>(word);
        }
    }
    settle(&broker, &held, Settlement::Delete);
}
