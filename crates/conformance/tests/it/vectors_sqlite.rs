//! think-queue's recorded cases of a table, replayed on our SQLite driver.

use ferry_conformance::vectors::{Recording, replay_all};
use ferry_core::dialect::Family;

use crate::sqlite_recordings::SqliteStage;

#[test]
fn every_recorded_sqlite_case_is_replayed_or_listed_as_a_deviation() {
    replay_all(&SqliteStage::of(Family::Think3, "tp_"), &Recording::think_queue_v3(), &["database:sqlite"]);
}

#[test]
fn every_recorded_sqlite_case_is_the_same_with_the_columns_before_v3_0_3() {
    replay_all(&SqliteStage::before_v3_0_3("tp_"), &Recording::think_queue_v3(), &["database:sqlite"]);
}

#[test]
fn every_table_case_of_v1_is_replayed_or_listed_as_a_deviation() {
    replay_all(&SqliteStage::of(Family::Think1, "prefix_"), &Recording::think_queue_v1(), &["database:mariadb"]);
}

#[test]
fn every_table_case_of_v2_is_replayed_or_listed_as_a_deviation() {
    replay_all(&SqliteStage::of(Family::Think1, "prefix_"), &Recording::think_queue_v2(), &["database:mariadb"]);
}
