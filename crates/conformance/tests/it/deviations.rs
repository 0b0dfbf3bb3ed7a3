//! The table of deviations names real cases, each once. Whether it tells the truth is tested where the cases are replayed.

use std::collections::BTreeSet;

use ferry_conformance::vectors::{Deviations, Recording, fixture};

#[test]
fn every_deviation_names_one_recorded_case() {
    let (recordings, deviations) = (Recording::all(), Deviations::read());
    let (tasks, plain) = (fixture("task-message.json"), fixture("redis-task.json"));
    let [tasks, plain]: [BTreeSet<&str>; 2] = [&tasks, &plain]
        .map(|file| file["cases"].as_array().expect("it has cases").iter().filter_map(|case| case["name"].as_str()).collect());
    let mut seen = BTreeSet::new();
    for case in deviations.cases() {
        // Those of tasks are asserted in php-tests/tasks, those of plain ones in crates/driver-redis.
        let is_recorded = match (case.strip_prefix("tasks/"), case.strip_prefix("redis-task/")) {
            (Some(task), _) => tasks.contains(task),
            (_, Some(task)) => plain.contains(task),
            (None, None) => recordings.iter().any(|recording| recording.has(case)),
        };
        assert!(is_recorded, "`{case}` was never recorded");
        assert!(seen.insert(case), "`{case}` is listed twice");
    }
}
