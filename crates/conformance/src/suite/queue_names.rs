//! Names go to the wire verbatim, and no two queues meet.

use ferry_core::NewJob;
use ferry_core::broker::{SettleResult, Settlement};

use super::tools::*;
use super::{Fixture, START};

pub fn awkward_queue_names_carry_jobs(fixture: &Fixture) {
    let worker = fixture.worker();
    let names = [
        "a:b",
        "with space",
        " ",
        "队列",
        "😀",
        "{x}",
        "a,b",
        "}",
        "{",
        "a'b",
        "a\"b",
        "a\\b",
        "a;--",
        "%s",
        "*",
        "a/b",
        "é",
        "e\u{301}",
        "MAIL",
        "mail ",
    ];
    for (number, name) in (0..).zip(names) {
        push(&*worker, &queue(name), number);
    }
    let long = "x".repeat(fixture.longest_name());
    push(&*worker, &queue(&long), 99);
    for (number, name) in (0..).zip(names) {
        let name = queue(name);
        assert_sizes!(&*worker, &name, sizes(1, 0, 0, 0), "{name:?}");
        let held = take(&*worker, &name, 10);
        assert_eq!(numbers(&held), [number], "{name:?}");
        assert_eq!(held[0].claim.queue, name);
        assert_eq!(settle(&*worker, &held[0], bury(&held[0])), SettleResult::Applied);
        assert_eq!(worker.admin().expect("admin").failed(&name, 0, 5).unwrap().len(), 1, "{name:?}");
    }
    assert_eq!(numbers(&drain(&*worker, &queue(&long))), [99]);
}

pub fn names_shaped_like_our_keys_do_not_mix(fixture: &Fixture) {
    let worker = fixture.worker();
    let names = ["a", "a:delayed", "a:reserved", "a:ferry:failed", "a}:delayed", "{queues:a}", "A", "a "].map(queue);
    for (number, name) in (0..).map(|n| n * 4).zip(&names) {
        push_all(&*worker, name, number..number + 3);
        worker.push(name, NewJob::due(job(number + 3), ferry_core::Due::After(50))).unwrap();
    }
    for (number, name) in (0..).map(|n| n * 4).zip(&names) {
        let held = take(&*worker, name, 2);
        assert_eq!(numbers(&held), [number, number + 1], "{name:?}");
        assert_eq!(settle(&*worker, &held[0], Settlement::Delete), SettleResult::Applied);
        assert_sizes!(&*worker, name, sizes(1, 1, 1, 0), "{name:?}");
    }
    for (number, name) in (0..).map(|n| n * 4).zip(&names) {
        if fixture.time_can_be_turned() {
            let mut rest = numbers(&drain(&*fixture.at(START + 60), name));
            rest.sort_unstable();
            assert_eq!(rest, [number + 1, number + 2, number + 3], "{name:?}");
        } else {
            assert_eq!(numbers(&drain(&*worker, name)), [number + 2], "{name:?}");
        }
    }
}

pub fn a_claim_settles_in_its_own_queue_only(fixture: &Fixture) {
    let worker = fixture.worker();
    let [a, b] = ["a", "b"].map(queue);
    worker.push(&a, NewJob::ready(job(1))).unwrap();
    worker.push(&b, NewJob::ready(job(1))).unwrap();
    let (held_a, held_b) = (take_one(&*worker, &a), take_one(&*worker, &b));
    delete(&*worker, &held_a);
    assert_total!(&*worker, &a, 0);
    assert_total!(&*worker, &b, 1);
    delete(&*worker, &held_b);
}
