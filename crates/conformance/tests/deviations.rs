//! The table of deviations names real cases, each once. Whether it tells the truth is tested where the cases are replayed.

use std::collections::BTreeSet;

use ferry_conformance::vectors::{Deviations, Recording};

#[test]
fn every_deviation_names_one_recorded_case() {
    let (recordings, deviations) = (Recording::all(), Deviations::read());
    let mut seen = BTreeSet::new();
    for case in deviations.cases() {
        assert!(recordings.iter().any(|recording| recording.has(case)), "`{case}` was never recorded");
        assert!(seen.insert(case), "`{case}` is listed twice");
    }
}
