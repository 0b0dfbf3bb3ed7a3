//! The envelope of core writes every recorded payload byte for byte.

use ferry_conformance::vectors::{Recording, rebuilt};
use ferry_core::dialect::Family;

#[test]
fn every_recorded_push_is_written_again_byte_for_byte() {
    let v3 = Recording::think_queue_v3();
    assert!(rewritten(&v3, &["redis", "redis:v3.0.5", "database:sqlite"], Family::Think3) >= 65);
    assert!(rewritten(&v3, &["redis:v3.0.0", "redis:v3.0.2", "redis:v3.0.4"], Family::Think3Legacy) >= 7);
    for recording in [Recording::think_queue_v1(), Recording::think_queue_v2()] {
        assert!(rewritten(&recording, &["redis", "database:mariadb"], Family::Think1) >= 30);
    }
}

/// How many recorded payloads were written again.
fn rewritten(recording: &Recording, drivers: &[&str], family: Family) -> usize {
    let mut payloads = 0;
    for case in recording.cases(drivers) {
        let pushes = ["push", "pushOn", "later", "laterOn", "bulk"].contains(&case.operation());
        // The one raw push that was recorded as `later` carries no job.
        if !pushes || case.was_refused_unsent() || case.name() == "redis/later-same-payload-twice-collapses" {
            continue;
        }
        for recorded in case.pushed() {
            let ours = rebuilt(recorded, family).unwrap_or_else(|| panic!("{} is a payload of a job", case.name()));
            assert_eq!(String::from_utf8_lossy(&ours), recorded, "{}", case.name());
            payloads += 1;
        }
    }
    payloads
}
