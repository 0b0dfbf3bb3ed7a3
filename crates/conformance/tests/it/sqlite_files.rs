//! What can happen to a SQLite file that no server can suffer.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use ferry_core::config::{FailedStore, SqliteConfig};
use ferry_core::dialect::Family;
use ferry_core::{Broker, NewJob, QueueName};
use ferry_driver_sql::{Settings, SqliteBroker};
use ferry_testkit::TempDir;

/// A collision lasts less than a millisecond, so it takes many files to meet one.
const FILES: usize = 120;

#[test]
fn two_workers_that_meet_at_a_new_file_both_get_in() {
    let mut refused = Vec::new();
    for _ in 0..FILES {
        let (folder, door) = (TempDir::new(), Barrier::new(2));
        let enter = || {
            let worker = worker_in(&folder);
            door.wait();
            worker.push(&QueueName::default(), NewJob::ready(&b"{}"[..])).err()
        };
        thread::scope(|scope| {
            let threads = [scope.spawn(enter), scope.spawn(enter)];
            refused.extend(threads.into_iter().filter_map(|thread| thread.join().expect("the thread ran through")));
        });
    }
    let first = refused.first().map(ToString::to_string);
    assert!(refused.is_empty(), "{} of {} were refused at {FILES} new files: {first:?}", refused.len(), 2 * FILES);
}

fn worker_in(folder: &TempDir) -> SqliteBroker {
    let config = SqliteConfig {
        path: folder.path().join("queue.db"),
        table: "jobs".into(),
        failed_table: "failed_jobs".into(),
        busy_timeout: Duration::from_secs(10),
    };
    let settings = Settings { family: Family::default(), retry_after: Some(60), failed: FailedStore::Keep, now: None };
    SqliteBroker::new(config, settings)
}
