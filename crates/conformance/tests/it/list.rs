//! The list of behaviours is whole, and it does not shrink.

use std::collections::BTreeSet;

use ferry_conformance::suite::BEHAVIOURS;

/// The number reached. Raise it with every behaviour that is added.
const FLOOR: usize = 132;

#[test]
fn the_suite_does_not_shrink() {
    assert!(BEHAVIOURS.len() >= FLOOR, "{} behaviours are left of {FLOOR}", BEHAVIOURS.len());
}

#[test]
fn every_behaviour_that_is_written_is_listed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/suite");
    let mut written = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let name = line.strip_prefix("pub fn ").and_then(|rest| rest.strip_suffix("(fixture: &Fixture) {"));
            written.extend(name.map(|name| format!("{module}::{name}")));
        }
    }
    let listed: BTreeSet<String> = BEHAVIOURS.iter().map(|behaviour| behaviour.name.to_owned()).collect();
    assert_eq!(listed.len(), BEHAVIOURS.len(), "a name is listed twice");
    assert_eq!(written, listed);
}
