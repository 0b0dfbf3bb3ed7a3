//! Taking jobs, against a real server.

use std::time::Duration;

use ferry_core::batch;
use ferry_core::broker::{Settle, Settlement};
use ferry_core::payload::find_attempts;
use ferry_core::{Broker, Due, ErrorKind, NewJob, QueueName, Reservation};
use ferry_driver_redis::Settings;

use crate::support::{DELAYED, NOW, READY, RESERVED, Server, bodies, body, push, q, queue, reserve};

fn names(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| body(&format!("{n:04}"), 0)).collect()
}

fn due(server: &Server, key: &str, members: &[(String, i64)]) {
    let mut redis = server.inspect();
    for (member, score) in members {
        redis.run::<i64>(&["ZADD", key, &score.to_string(), member]);
    }
}

#[test]
fn a_job_moves_from_ready_to_reserved_with_attempts_raised_in_place() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &[body("a", 0)]);
    let jobs = reserve(&broker, 1);
    assert_eq!(bodies(&jobs), [body("a", 0)]);
    assert_eq!((jobs[0].attempts, jobs[0].reserved_at, jobs[0].number), (Some(1), NOW, None));
    let mut redis = server.inspect();
    assert_eq!(redis.set(RESERVED), [(body("a", 1), NOW + 60)]);
    assert!(redis.list(READY).is_empty());
}

#[test]
fn every_case_of_the_fixture_is_raised_as_in_rust() {
    let server = Server::start();
    let broker = server.broker();
    let text = include_str!("../../../../fixtures/attempts.json");
    let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        agrees(&server, &broker, case["body"].as_str().unwrap());
        let member = server.inspect().set(RESERVED).remove(0).0;
        assert_eq!(member, case["raised"].as_str().unwrap_or(case["body"].as_str().unwrap()));
    }
}

#[test]
fn awkward_bodies_are_read_as_in_rust() {
    let server = Server::start();
    let broker = server.broker();
    for text in [
        r#"{"a":{"b":[1,{"attempts":3}]},"attempts":7 ,"c":"}"}"#,
        r#"}}{"attempts":1,"b":2}"#,
        r#"[{"attempts":1}]"#,
        r#"{"attempts":2,"x":"unterminated"#,
        r#"{"attempts":2,"x":"ends in a backslash\"#,
        r#"{"attempts" 2,"b":1}"#,
        r#"{"attempts":12345678901}"#,
        r#"{"x":1,"attempts":12345678901}"#,
        r#"{"attempts":1,"x":1,"attempts":007}"#,
        r#"{"attempts":}"#,
        r#"{"attempts":5"#,
        r#","attempts":5}"#,
        "{\"attempts\":5\u{b},\"a\":1}",
        "{\"a\":\"\0\",\"attempts\":5,\"b\":\"\0\"}",
        r#"{"attempts":999999999,"a":1}"#,
    ] {
        agrees(&server, &broker, text);
    }
}

/// Reserves `text` from an empty server and compares with what Rust says of it.
fn agrees(server: &Server, broker: &ferry_driver_redis::RedisBroker, text: &str) {
    server.inspect().run::<()>(&["FLUSHALL"]);
    push(broker, &[text.to_owned()]);
    let jobs = reserve(broker, 1);
    assert_eq!(bodies(&jobs), [text]);
    assert_eq!(jobs[0].attempts, find_attempts(text.as_bytes()).map(|at| at.value + 1), "{text}");
}

#[test]
fn a_batch_ends_where_the_rule_in_rust_ends_it() {
    let server = Server::start();
    let broker = server.broker();
    let one_try = |tries: &str| format!(r#"{{"job":"J","maxTries"{tries},"id":"{}","attempts":0}}"#, tries.len());
    let lists = [
        vec![body("a", 0), body("b", 0), body("c", 1), body("d", 0)],
        vec![body("a", 1), body("b", 0)],
        vec![body("a", 0), "poison".to_owned(), body("b", 0)],
        vec!["poison".to_owned(), body("b", 0)],
        vec![body("a", 0), one_try(":1"), body("b", 0)],
        vec![body("a", 0), one_try(" : \"1\" \t"), body("b", 0)],
        vec![body("a", 0), one_try(":\n1"), body("b", 0)],
        vec![one_try(":1"), body("b", 0)],
        vec![body("a", 0), one_try(":10"), one_try(":null"), one_try(": 1.5"), body("b", 0)],
        vec![body("a", 0), r#"{"maxTries":null,"data":{"maxTries":1},"attempts":0}"#.to_owned()],
        vec![body("a", 0), r#"{"attempts":0,"x":"maxTries":1"#.to_owned()],
        names(0, 9),
    ];
    for list in lists {
        server.inspect().run::<()>(&["FLUSHALL"]);
        push(&broker, &list);
        let alone =
            list.iter().map(|body| batch::stands_alone(find_attempts(body.as_bytes()).map_or(1, |at| at.value), body.as_bytes()));
        let expected = batch::take(8, alone);
        assert_eq!(bodies(&reserve(&broker, 8)), list[..expected], "{list:?}");
        assert_eq!(server.inspect().list(READY), list[expected..]);
    }
}

#[test]
fn identical_bytes_wait_until_their_twin_is_settled() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &[body("twin", 0), body("twin", 0), body("a", 0), body("twin", 0), body("b", 0), body("c", 0)]);
    assert_eq!(bodies(&reserve(&broker, 3)), [body("twin", 0), body("a", 0), body("b", 0)]);
    let mut redis = server.inspect();
    assert_eq!(redis.list(READY), [body("twin", 0), body("twin", 0), body("c", 0)]);
    assert_eq!(bodies(&reserve(&broker, 1)), [body("c", 0)]);
    assert!(reserve(&broker, 8).is_empty());
    assert_eq!(redis.list(READY), [body("twin", 0), body("twin", 0)]);
    redis.run::<()>(&["ZREM", RESERVED, &body("twin", 1)]);
    assert_eq!(bodies(&reserve(&broker, 8)), [body("twin", 0)]);
}

#[test]
fn due_jobs_come_before_expired_ones_and_both_behind_ready_ones() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &[body("ready", 0)]);
    due(&server, DELAYED, &[(body("late", 0), NOW), (body("early", 0), NOW - 5), (body("not yet", 0), NOW + 1)]);
    due(&server, RESERVED, &[(body("dead", 1), NOW), (body("alive", 1), NOW + 1)]);
    assert_eq!(bodies(&reserve(&broker, 8)), [body("ready", 0), body("early", 0), body("late", 0)]);
    assert_eq!(bodies(&reserve(&broker, 8)), [body("dead", 1)]);
    assert!(reserve(&broker, 8).is_empty());
    assert_eq!(server.inspect().set(DELAYED), [(body("not yet", 0), NOW + 1)]);
}

#[test]
fn one_call_makes_at_most_five_hundred_of_each_ready() {
    let server = Server::start();
    let broker = server.broker();
    let late = names(0, 600);
    let members: Vec<_> = late.iter().enumerate().map(|(n, body)| (body.clone(), NOW - 1000 + n as i64)).collect();
    due(&server, DELAYED, &members);
    assert_eq!(bodies(&reserve(&broker, 1)), late[..1]);
    let sizes = broker.size(&q()).unwrap();
    assert_eq!((sizes.ready, sizes.delayed, sizes.reserved), (499, 100, 1));
    assert_eq!(bodies(&reserve(&broker, 1000)), late[1..]);
}

#[test]
fn beside_a_long_ready_list_as_many_due_jobs_are_made_ready_as_are_taken() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &names(0, 600));
    due(&server, DELAYED, &names(1000, 1600).into_iter().map(|body| (body, NOW)).collect::<Vec<_>>());
    for call in 1..=3 {
        assert_eq!(bodies(&reserve(&broker, 32)), names(32 * (call - 1), 32 * call));
        let sizes = broker.size(&q()).unwrap();
        assert_eq!((sizes.ready, sizes.delayed), (600, 600 - 32 * call as u64));
    }
    assert_eq!(reserve(&broker, 10_000).len(), 600 + 500);
}

#[test]
fn of_big_jobs_that_are_due_together_one_call_moves_a_few() {
    let server = Server::start();
    let broker = server.broker();
    let big = |n: usize| body(&format!("{n}{}", "x".repeat(100_000)), 0);
    due(&server, DELAYED, &(0..40).map(|n| (big(n), NOW)).collect::<Vec<_>>());
    assert_eq!(reserve(&broker, 1).len(), 1);
    let mut redis = server.inspect();
    let left = redis.run::<usize>(&["ZCARD", DELAYED]);
    assert!((35..40).contains(&left), "{left} are still delayed");
    let mut taken = 1;
    while taken < 40 {
        let batch = reserve(&broker, 64).len();
        assert!((1..=4).contains(&batch), "{batch} jobs of 100 KB in one batch");
        taken += batch;
    }
}

#[test]
fn without_a_lease_reservations_stay_for_ever() {
    let server = Server::start();
    let settings = |now| Settings { now: Some(now), retry_after: None, ..Settings::default() };
    let broker = server.broker_with(settings(NOW));
    push(&broker, &[body("a", 0)]);
    reserve(&broker, 1);
    assert_eq!(server.inspect().set(RESERVED), [(body("a", 1), NOW)]);
    assert!(reserve(&server.broker_with(settings(NOW + 1_000_000)), 1).is_empty());
}

#[test]
fn keys_of_a_wrong_type_lose_nothing() {
    for wrong in [READY, DELAYED, RESERVED] {
        let server = Server::start();
        let broker = server.broker();
        for key in [DELAYED, RESERVED] {
            due(&server, key, &[(body(key, 1), NOW - 1)]);
        }
        push(&broker, &[body("a", 0)]);
        let mut redis = server.inspect();
        redis.run::<()>(&["SET", wrong, "not a queue"]);
        let before = redis.snapshot();
        let error = broker.reserve(&[q()], 8, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("WRONGTYPE"), "{error}");
        assert!(error.to_string().contains(&format!("the key `{wrong}` holds a string")), "{error}");
        assert_eq!(redis.snapshot(), before, "nothing moved with {wrong} broken");
    }
}

#[test]
fn a_full_server_refuses_pushes_and_is_still_drained() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &[body("a", 0)]);
    due(&server, DELAYED, &[(body("b", 0), NOW)]);
    server.inspect().run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = broker.push(&q(), ferry_core::NewJob::ready(&b"x"[..])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("maxmemory"), "{error}");
    assert_eq!(reserve(&broker, 8).len(), 2);
}

#[test]
fn the_first_queue_that_has_jobs_gives_the_whole_batch() {
    let server = Server::start();
    let broker = server.broker();
    broker.push(&queue("low"), ferry_core::NewJob::ready(&b"{\"attempts\":0}"[..])).unwrap();
    push(&broker, &[body("a", 0)]);
    let take = || broker.reserve(&[queue("high"), q(), queue("low")], 8, Duration::ZERO).unwrap();
    assert_eq!(take()[0].claim.queue, q());
    assert_eq!(take()[0].claim.queue, queue("low"));
    assert!(take().is_empty());
}

#[test]
fn a_server_that_forgot_the_scripts_gets_them_again() {
    let server = Server::start();
    let broker = server.broker();
    push(&broker, &[body("a", 0), body("b", 1)]);
    assert_eq!(reserve(&broker, 1).len(), 1);
    server.inspect().run::<()>(&["SCRIPT", "FLUSH"]);
    assert_eq!(reserve(&broker, 1).len(), 1);
}

#[test]
fn copies_of_a_reserved_job_do_not_keep_others_back() {
    for copies in [70, 3000] {
        let server = Server::start();
        let broker = server.broker();
        push(&broker, &vec![body("same", 0); copies]);
        push(&broker, &[body("other", 0)]);
        assert_eq!(bodies(&reserve(&broker, 1)), [body("same", 0)]);
        // A call looks at a thousand jobs.
        let other = (0..=copies / 1000).map(|_| reserve(&broker, 1)).find(|jobs| !jobs.is_empty());
        assert_eq!(bodies(&other.unwrap()), [body("other", 0)]);
        assert_eq!(broker.size(&q()).unwrap().ready as usize, copies - 1, "no copy is lost");
    }
}

#[test]
fn among_thousands_of_queues_the_first_with_a_job_wins() {
    let server = Server::start();
    let broker = server.broker();
    let queues: Vec<_> = (0..2000).map(|number| queue(&format!("q{number}"))).collect();
    let push = |number: usize, due| broker.push(&queues[number], NewJob::due(format!("{number}").into_bytes(), due)).unwrap();
    push(1999, Due::Now);
    push(1400, Due::After(-1));
    push(700, Due::After(60));
    push(3, Due::Now);
    let next = || {
        let jobs = broker.reserve(&queues, 10, Duration::ZERO).unwrap();
        jobs.iter().map(|job| String::from_utf8(job.body.clone()).unwrap()).collect::<String>()
    };
    assert_eq!([next(), next(), next(), next()], ["3", "1400", "1999", ""]);
    let stats: String = server.inspect().run(&["INFO", "commandstats"]);
    let calls =
        stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")?.split(',').next()?.parse::<u32>().ok());
    assert!(calls.unwrap() < 20, "a script call for each queue would be a round trip for each: {stats}");
}

fn many_queues() -> Vec<QueueName> {
    (0..20).map(|number| QueueName::new(format!("many{number}").as_bytes()).unwrap()).collect()
}

fn queues_of(jobs: &[Reservation]) -> Vec<&str> {
    jobs.iter().map(|job| job.claim.queue.as_str()).collect()
}

#[test]
fn a_batch_of_many_queues_has_the_jobs_of_all_in_the_order_of_the_queues() {
    let server = Server::start();
    let (broker, queues) = (server.broker(), many_queues());
    for number in [17, 4, 9] {
        broker
            .push_many(&queues[number], &[NewJob::ready(body("a", 0).into_bytes()), NewJob::ready(body("b", 0).into_bytes())])
            .unwrap();
    }
    let jobs = broker.reserve(&queues, 5, Duration::ZERO).unwrap();
    assert_eq!(queues_of(&jobs), ["many4", "many4", "many9", "many9", "many17"]);
    // What is ready in an earlier queue comes first, whatever was found before.
    broker.push(&queues[2], NewJob::ready(body("c", 0).into_bytes())).unwrap();
    let jobs = broker.reserve(&queues, 5, Duration::ZERO).unwrap();
    assert_eq!(queues_of(&jobs), ["many2", "many17"]);
    assert!(broker.reserve(&queues, 5, Duration::ZERO).unwrap().is_empty());
}

#[test]
fn a_job_that_was_tried_before_is_in_no_batch_of_many_queues() {
    let server = Server::start();
    let (broker, queues) = (server.broker(), many_queues());
    broker.push(&queues[4], NewJob::ready(body("a", 0).into_bytes())).unwrap();
    broker.push(&queues[9], NewJob::ready(body("b", 1).into_bytes())).unwrap();
    broker.push(&queues[17], NewJob::ready(body("c", 0).into_bytes())).unwrap();
    let batches: Vec<_> = (0..3).map(|_| broker.reserve(&queues, 64, Duration::ZERO).unwrap()).collect();
    assert_eq!(batches.iter().map(|jobs| queues_of(jobs)).collect::<Vec<_>>(), [["many4"], ["many9"], ["many17"]]);
    assert_eq!(batches[1][0].attempts, Some(2), "it went back without an attempt used");
}

#[test]
fn an_idle_worker_of_many_queues_asks_for_them_seldom_and_one_that_cannot_wait_always() {
    let server = Server::start();
    let (broker, queues) = (server.broker(), many_queues());
    // The first question of this worker.
    assert!(broker.reserve(&queues, 5, Duration::from_millis(300)).unwrap().is_empty());
    broker.push(&queues[9], NewJob::ready(body("a", 0).into_bytes())).unwrap();
    assert_eq!(broker.reserve(&queues, 5, Duration::ZERO).unwrap().len(), 1);
    broker.push(&queues[9], NewJob::ready(body("b", 0).into_bytes())).unwrap();
    let found = (0..50).any(|_| !broker.reserve(&queues, 5, Duration::from_millis(300)).unwrap().is_empty());
    assert!(found, "it asks again");
}

fn live(server: &Server) -> ferry_driver_redis::RedisBroker {
    server.broker_with(Settings::default())
}

fn second(server: &Server) -> i64 {
    server.inspect().run::<(i64, i64)>(&["TIME"]).0
}

/// What a worker that may wait is given.
fn reserve_or_wait(broker: &ferry_driver_redis::RedisBroker, max: usize) -> Vec<Reservation> {
    broker.reserve(&[q()], max, Duration::from_millis(100)).unwrap()
}

#[test]
fn due_jobs_are_looked_for_once_a_second() {
    let server = Server::start();
    let broker = live(&server);
    push(&broker, &names(0, 40));
    let begun = second(&server);
    for _ in 0..20 {
        assert_eq!(reserve_or_wait(&broker, 1).len(), 1);
    }
    let seconds = u64::try_from(second(&server) - begun + 1).unwrap();
    // In the delayed and in the reserved jobs.
    let looks = server.inspect().calls_of("zrangebyscore");
    assert!(looks <= 2 * seconds, "{looks} looks in {seconds} seconds");
    // A batch as well as single jobs.
    let begun = second(&server);
    assert_eq!(reserve_or_wait(&broker, 30).len(), 20);
    let seconds = u64::try_from(second(&server) - begun).unwrap();
    assert!(server.inspect().calls_of("zrangebyscore") <= looks + 2 * seconds);
}

#[test]
fn a_second_that_a_request_ahead_found_out_is_known_to_the_next() {
    let server = Server::start();
    let broker = std::sync::Arc::new(live(&server));
    push(&broker, &names(0, 300));
    reserve(&broker, 1);
    // The second of that call is over.
    std::thread::sleep(Duration::from_millis(1100));
    let (before, begun) = (server.inspect().calls_of("zrangebyscore"), second(&server));
    for _ in 0..100 {
        let ahead = std::sync::Arc::clone(&broker).reserve_ahead(&q(), 2).expect("there is a connection");
        assert_eq!(ahead.receive().unwrap().len(), 2);
    }
    let seconds = u64::try_from(second(&server) - begun + 1).unwrap();
    let looks = server.inspect().calls_of("zrangebyscore") - before;
    assert!(looks <= 2 * seconds, "{looks} looks in {seconds} seconds");
}

#[test]
fn who_does_not_wait_is_given_what_another_process_makes_due_at_once() {
    let server = Server::start();
    let (broker, other) = (live(&server), live(&server));
    for _ in 0..5 {
        assert!(reserve(&broker, 1).is_empty());
        other.push(&q(), NewJob::due(body("a", 0).into_bytes(), Due::After(0))).unwrap();
        let jobs = reserve(&broker, 1);
        assert_eq!(bodies(&jobs), [body("a", 0)]);
        let deletion = Settle { claim: jobs[0].claim.clone(), settlement: Settlement::Delete };
        broker.settle(&[deletion]).unwrap();
    }
    // Also when it looked in this second and others are ready: the store is as think-queue's pop leaves it.
    push(&broker, &names(0, 8));
    for _ in 0..4 {
        assert_eq!(reserve(&broker, 1).len(), 1);
        other.push(&q(), NewJob::due(body("b", 0).into_bytes(), Due::After(0))).unwrap();
        assert_eq!(reserve(&broker, 1).len(), 1);
        assert!(server.inspect().set(DELAYED).is_empty());
    }
}

#[test]
fn who_does_not_wait_is_given_what_is_due_in_the_first_queue_before_what_is_ready_in_the_second() {
    let server = Server::start();
    let (broker, other, low) = (live(&server), live(&server), queue("low"));
    for _ in 0..5 {
        broker.push(&low, NewJob::ready(body("low", 0).into_bytes())).unwrap();
        push(&broker, &[body("a", 0)]);
        let both = [q(), low.clone()];
        assert_eq!(bodies(&broker.reserve(&both, 1, Duration::ZERO).unwrap()), [body("a", 0)]);
        other.push(&q(), NewJob::due(body("b", 0).into_bytes(), Due::After(0))).unwrap();
        assert_eq!(bodies(&broker.reserve(&both, 1, Duration::ZERO).unwrap()), [body("b", 0)]);
        assert_eq!(bodies(&broker.reserve(&both, 1, Duration::ZERO).unwrap()), [body("low", 0)]);
        server.inspect().run::<()>(&["FLUSHALL"]);
    }
}

#[test]
fn a_job_that_another_process_makes_due_is_found_in_the_next_second() {
    let server = Server::start();
    let (broker, other) = (live(&server), live(&server));
    push(&broker, &names(0, 1));
    assert_eq!(reserve_or_wait(&broker, 1).len(), 1, "it looked in this second");
    other.push(&q(), NewJob::due(body("a", 0).into_bytes(), Due::After(0))).unwrap();
    let begun = std::time::Instant::now();
    let mut pushed = 1;
    while begun.elapsed() < Duration::from_secs(5) {
        // The worker is busy meanwhile.
        push(&broker, &names(pushed, pushed + 1));
        pushed += 1;
        if bodies(&reserve_or_wait(&broker, 1)) == [body("a", 0)] {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("not found in {pushed} calls");
}

#[test]
fn more_due_jobs_than_one_call_makes_ready_become_ready_in_the_same_second() {
    let server = Server::start();
    let broker = live(&server);
    let due_now: Vec<_> = names(0, 1100).into_iter().map(|body| (body, second(&server))).collect();
    due(&server, DELAYED, &due_now);
    let calls = (0..60).take_while(|_| !reserve(&broker, 500).is_empty()).count();
    assert!((3..60).contains(&calls), "{calls}");
    assert!(server.inspect().set(DELAYED).is_empty());
    assert_eq!(server.inspect().set(RESERVED).len(), 1100);
}

#[test]
fn a_lone_job_is_reserved_as_others_are() {
    let server = Server::start();
    let broker = live(&server);
    let tried = body("tried", 3);
    assert!(reserve(&broker, 1).is_empty());
    for (max, first) in [(1, body("a", 0)), (8, body("b", 0)), (1, tried.clone()), (8, "poison".to_owned())] {
        push(&broker, std::slice::from_ref(&first));
        let jobs = reserve(&broker, max);
        assert_eq!(bodies(&jobs), std::slice::from_ref(&first));
        assert_eq!(jobs[0].attempts, find_attempts(first.as_bytes()).map(|at| at.value + 1));
    }
    assert_eq!(server.inspect().set(RESERVED).len(), 4);
    // The same bytes as one that is reserved: it stays until that is gone, and the next is taken.
    push(&broker, &[body("a", 0), body("c", 0)]);
    assert_eq!(bodies(&reserve(&broker, 1)), [body("c", 0)]);
    assert_eq!(server.inspect().list(READY), [body("a", 0)]);
}
