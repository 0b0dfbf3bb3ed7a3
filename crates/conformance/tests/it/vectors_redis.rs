//! think-queue's recorded Redis cases, replayed on our driver.

use ferry_conformance::vectors::{Recording, replay_all};
use ferry_core::dialect::Family;

use crate::redis_recordings::RedisStage;

fn replay(family: Family, recording: &Recording, drivers: &[&str]) {
    if let Some(stage) = RedisStage::of(family) {
        replay_all(&stage, recording, drivers);
    }
}

#[test]
fn every_recorded_redis_case_is_replayed_or_listed_as_a_deviation() {
    // Older tags write other keys; v3.0.5 is where today's began.
    replay(Family::Think3, &Recording::think_queue_v3(), &["redis", "redis:v3.0.5"]);
}

#[test]
fn every_case_of_an_older_tag_of_v3_is_replayed_or_listed_as_a_deviation() {
    replay(Family::Think3Legacy, &Recording::think_queue_v3(), &["redis:v3.0.0", "redis:v3.0.2", "redis:v3.0.4"]);
}

#[test]
fn every_redis_case_of_v1_is_replayed_or_listed_as_a_deviation() {
    replay(Family::Think1, &Recording::think_queue_v1(), &["redis"]);
}

#[test]
fn every_redis_case_of_v2_is_replayed_or_listed_as_a_deviation() {
    replay(Family::Think1, &Recording::think_queue_v2(), &["redis"]);
}
