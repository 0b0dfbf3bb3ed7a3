//! The envelope of core writes every recorded payload byte for byte.

use ferry_conformance::vectors::{Recording, rebuilt};

#[test]
fn every_recorded_push_is_written_again_byte_for_byte() {
    let recording = Recording::think_queue_v3();
    let mut payloads = 0;
    for case in recording.cases(&["redis", "redis:v3.0.5", "database:sqlite"]) {
        let pushes = ["push", "pushOn", "later", "laterOn", "bulk"].contains(&case.operation());
        // The one raw push that was recorded as `later` carries no job.
        if !pushes || case.was_refused_unsent() || case.name() == "redis/later-same-payload-twice-collapses" {
            continue;
        }
        for recorded in case.pushed() {
            let ours = rebuilt(recorded).unwrap_or_else(|| panic!("{} is a payload of a job", case.name()));
            assert_eq!(String::from_utf8_lossy(&ours), recorded, "{}", case.name());
            payloads += 1;
        }
    }
    assert!(payloads >= 65, "only {payloads} recorded payloads were found");
}
