//! Flags and reports of a fleet, on brokers that have a place for them.

use ferry_core::Broker;
use ferry_core::control::{ControlCommand, FleetFlags, GONE_AFTER, WorkerControl, WorkerReport, WorkerState};

use super::tools::*;
use super::{Exam, START};

/// `None`: this broker keeps no flags; another connection does it for it.
fn fleet(worker: &dyn Broker) -> Option<&dyn WorkerControl> {
    worker.control()
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

pub fn a_fleet_that_nobody_asked_for_anything_has_no_flags(exam: &dyn Exam) {
    let worker = exam.worker();
    let Some(fleet) = fleet(&*worker) else { return };
    assert_eq!(fleet.flags().unwrap(), FleetFlags::default());
    assert!(fleet.workers().unwrap().is_empty());
    fleet.resume(&queue("mail")).unwrap();
    fleet.deregister("nobody").unwrap();
    assert_eq!(fleet.flags().unwrap(), FleetFlags::default());
}

pub fn a_paused_queue_is_flagged_until_it_is_resumed(exam: &dyn Exam) {
    let worker = exam.worker();
    let Some(fleet) = fleet(&*worker) else { return };
    fleet.pause(&queue("mail")).unwrap();
    // Time passes by asking for a later worker.
    let other = exam.at(START + 5);
    let seen = other.control().expect("a fleet");
    seen.pause(&queue("mail")).unwrap();
    seen.pause(&queue("a:b")).unwrap();
    let paused = [("mail".to_owned(), START), ("a:b".to_owned(), START + 5)];
    assert_eq!(seen.flags().unwrap().paused, paused.into(), "pausing again changes nothing");
    seen.resume(&queue("mail")).unwrap();
    let flags = fleet.flags().unwrap();
    assert!(flags.is_paused(&queue("a:b")) && !flags.is_paused(&queue("mail")));
}

pub fn an_order_is_seen_by_every_worker_and_counts_up(exam: &dyn Exam) {
    let (worker, other) = (exam.worker(), exam.worker());
    let (Some(fleet), Some(seen)) = (fleet(&*worker), fleet(&*other)) else { return };
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

pub fn workers_are_listed_while_they_report(exam: &dyn Exam) {
    let worker = exam.worker();
    let Some(early) = fleet(&*worker) else { return };
    early.report(&report("b", 20)).unwrap();
    early.report(&report("a", 10)).unwrap();
    let again = WorkerReport { processed: 9, ..report("a", 10) };
    early.report(&again).unwrap();
    let listed = early.workers().unwrap();
    let expected = [WorkerReport { seen: START, ..again }, WorkerReport { seen: START, ..report("b", 20) }];
    assert_eq!(listed, expected, "longest at work first, each with its last word");
    early.deregister("b").unwrap();
    assert_eq!(early.workers().unwrap().len(), 1);

    let later = exam.at(START + GONE_AFTER);
    let later = later.control().expect("a fleet");
    assert!(later.workers().unwrap().is_empty(), "it has not reported for a while");
    later.report(&report("c", 30)).unwrap();
    assert_eq!(later.workers().unwrap().len(), 1);
}

pub fn flags_are_no_jobs(exam: &dyn Exam) {
    let (worker, mail) = (exam.worker(), queue("mail"));
    let Some(fleet) = fleet(&*worker) else { return };
    fleet.pause(&mail).unwrap();
    fleet.command(ControlCommand::Restart).unwrap();
    fleet.report(&report("a", 1)).unwrap();
    push(&*worker, &mail, 1);
    let held = take_one(&*worker, &mail);
    assert_eq!(number(&held.body), 1, "a pause is the worker's to keep, not the broker's");
    assert_eq!(worker.admin().expect("admin").clear(&mail).unwrap(), 1);
    assert!(fleet.flags().unwrap().is_paused(&mail), "clearing a queue leaves the flags alone");
}
