//! Every driver passes the suite. What a driver cannot do is ignored, with the reason; its capabilities say what that is.

use std::process::ExitCode;

use ferry_conformance::suite::{run, tests_of};
use ferry_core::config::QueueType;
use ferry_core::dialect::Family;

mod amqp;
mod from_one;
mod memory;
mod mysql;
mod postgres;
mod redis;
mod sqlite;

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for (name, family) in [("think3", Family::Think3), ("think3_legacy", Family::Think3Legacy), ("think1", Family::Think1)] {
        tests.extend(tests_of(&format!("redis::{name}"), redis::Redis(family)));
        tests.extend(tests_of(&format!("sqlite::{name}"), sqlite::Sqlite(family)));
    }
    tests.extend(tests_of("redis::plain_tasks", redis::Redis(Family::RedisTask)));
    for (name, family, skip_locked) in
        [("think3", Family::Think3, true), ("think1", Family::Think1, true), ("without_skip_locked", Family::Think3, false)]
    {
        tests.extend(tests_of(&format!("mysql::{name}"), mysql::Mysql { family, skip_locked }));
    }
    for (name, family) in [("think3", Family::Think3), ("think1", Family::Think1)] {
        tests.extend(tests_of(&format!("postgres::{name}"), postgres::Postgres(family)));
        tests.extend(tests_of(&format!("memory::{name}"), memory::Memory(family)));
    }
    for (name, queue_type) in [("quorum", QueueType::Quorum), ("classic", QueueType::Classic)] {
        tests.extend(tests_of(&format!("amqp::{name}"), amqp::Amqp(queue_type)));
    }
    run(tests)
}
