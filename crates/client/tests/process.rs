//! The state of the real process: alone in its own binary, because a fork is seen by every test of a process.

use std::sync::Arc;

use ferry_client::{Handle, JobSpec, process};
use ferry_core::config::connection_from_dsn;
use ferry_core::{Due, QueueName};

#[test]
fn handles_share_their_jobs_until_a_fork_and_a_child_starts_empty() {
    let config = Arc::new(connection_from_dsn("c", "memory:").unwrap());
    let queue = QueueName::default();
    let (first, second) = (Handle::new(Arc::clone(&config)), Handle::new(config));
    let spec = JobSpec { job: b"\"J\"", limits: None, data: b"1" };
    first.get().unwrap().push(&queue, &spec, Due::Now).unwrap();
    assert_eq!(second.get().unwrap().size(&queue).unwrap().ready, 1);

    let before = process::generation();
    process::forked();
    assert_eq!(process::generation(), before + 1);
    assert_eq!(first.get().unwrap().size(&queue).unwrap().ready, 0);
    assert!(Arc::ptr_eq(&first.get().unwrap(), &second.get().unwrap()));
    process::shutdown();
}
