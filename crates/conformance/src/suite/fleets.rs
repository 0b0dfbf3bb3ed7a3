//! Flags and reports of a fleet, on brokers that have a place for them.

use ferry_core::Broker;
use ferry_core::control::{ControlCommand, FleetFlags, GONE_AFTER, WorkerControl, WorkerReport, WorkerState};

use super::tools::*;
use super::{Fixture, START};

/// The flags and reports of a broker that has a place for them.
fn fleet(worker: &dyn Broker) -> &dyn WorkerControl {
    worker.control().expect("a driver without is not asked")
}

fn report(id: &str, started: i64) -> WorkerReport {
    WorkerReport {
        id: id.to_owned(),
        host: "host".to_owned(),
        pid: 7,
        queues: vec!["mail".to_owned(), "a:b".to_owned()],
        started,
        seen: 0,
        processed: 3,
        failed: 1,
        memory: 1 << 20,
        state: WorkerState::Working,
        job: Some("app\\Mail".to_owned()),
    }
}

pub fn a_fleet_that_nobody_asked_for_anything_has_no_flags(fixture: &Fixture) {
    let worker = fixture.worker();
    let fleet = fleet(&*worker);
    assert_eq!(fleet.flags().unwrap(), FleetFlags::default());
    assert!(fleet.workers().unwrap().is_empty());
    fleet.resume(&queue("mail")).unwrap();
    fleet.deregister("nobody").unwrap();
    assert_eq!(fleet.flags().unwrap(), FleetFlags::default());
}

pub fn a_paused_queue_is_flagged_until_it_is_resumed(fixture: &Fixture) {
    let worker = fixture.worker();
    let fleet = fleet(&*worker);
    fleet.pause(&queue("mail")).unwrap();
    // Time passes by asking for a later worker.
    let other = fixture.at(START + 5);
    let seen = other.control().expect("a fleet");
    seen.pause(&queue("mail")).unwrap();
    seen.pause(&queue("a:b")).unwrap();
    let paused = [("mail".to_owned(), START), ("a:b".to_owned(), START + 5)];
    assert_eq!(seen.flags().unwrap().paused, paused.into(), "pausing again changes nothing");
    seen.resume(&queue("mail")).unwrap();
    let flags = fleet.flags().unwrap();
    assert!(flags.is_paused(&queue("a:b")) && !flags.is_paused(&queue("mail")));
}

pub fn an_order_is_seen_by_every_worker_and_counts_up(fixture: &Fixture) {
    let (worker, other) = (fixture.worker(), fixture.worker());
    let (fleet, seen) = (fleet(&*worker), fleet(&*other));
    let before = seen.flags().unwrap();
    fleet.command(ControlCommand::Restart).unwrap();
    let after = seen.flags().unwrap();
    assert!(after.asks_to_leave(&before));
    fleet.command(ControlCommand::Restart).unwrap();
    fleet.command(ControlCommand::Stop).unwrap();
    let last = seen.flags().unwrap();
    assert_eq!((last.restart, last.stop), (2, 1));
    assert!(last.asks_to_leave(&after));
}

pub fn workers_are_listed_while_they_report(fixture: &Fixture) {
    let worker = fixture.worker();
    let early = fleet(&*worker);
    early.report(&report("b", 20)).unwrap();
    early.report(&report("a", 10)).unwrap();
    let again = WorkerReport { processed: 9, ..report("a", 10) };
    early.report(&again).unwrap();
    let listed = early.workers().unwrap();
    let expected = [WorkerReport { seen: START, ..again }, WorkerReport { seen: START, ..report("b", 20) }];
    assert_eq!(listed, expected, "longest at work first, each with its last word");
    early.deregister("b").unwrap();
    assert_eq!(early.workers().unwrap().len(), 1);

    let later = fixture.at(START + GONE_AFTER);
    let later = later.control().expect("a fleet");
    assert!(later.workers().unwrap().is_empty(), "it has not reported for a while");
    later.report(&report("c", 30)).unwrap();
    assert_eq!(later.workers().unwrap().len(), 1);
}

pub fn flags_are_no_jobs(fixture: &Fixture) {
    let (worker, mail) = (fixture.worker(), queue("mail"));
    let fleet = fleet(&*worker);
    fleet.pause(&mail).unwrap();
    fleet.command(ControlCommand::Restart).unwrap();
    fleet.report(&report("a", 1)).unwrap();
    push(&*worker, &mail, 1);
    let held = take_one(&*worker, &mail);
    assert_eq!(number(&held.body), 1, "a pause is the worker's to keep, not the broker's");
    assert_eq!(worker.admin().expect("admin").clear(&mail).unwrap(), 1);
    assert!(fleet.flags().unwrap().is_paused(&mail), "clearing a queue leaves the flags alone");
}
