//! The end of a request: buffered jobs are stored, or spooled, or lost with a warning.

use std::path::Path;

use crate::connection::Connection;
use crate::spool;

/// Stores what a connection buffered. What cannot be stored goes to the spool, when there is one; the answer says what became of it.
pub(crate) fn flush(connection: &Connection, spool: Option<&Path>) -> Option<String> {
    let error = connection.flush().err()?;
    let buffer = connection.take_buffered();
    let jobs = buffer.jobs();
    let count = if jobs.len() == 1 { "1 job is".to_owned() } else { format!("{} jobs are", jobs.len()) };
    let fate = match spool.map(|path| (path.display(), spool::append(path, &connection.config().name, &jobs))) {
        Some((path, Ok(()))) => format!("in {path}; run `ferry spool {path}` to store what is there"),
        Some((path, Err(why))) => format!("lost, because ferry.spool ({path}) cannot be written: {why}"),
        None => "lost; set ferry.spool to keep such jobs in a file".to_owned(),
    };
    Some(format!("{error}. The request has ended: {count} {fate}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ferry_core::Due;
    use ferry_testkit::TempDir;

    use super::*;
    use crate::connection::JobSpec;
    use crate::testing::{TableBroker, config, connection, queue};

    fn refusing() -> Connection {
        let connection = Connection::new(config("memory:?push_buffer=9"), Arc::new(TableBroker::refusing()));
        for job in ["\"A\"", "\"B\""] {
            connection.push(&queue(), &JobSpec { job: job.as_bytes(), limits: None, data: b"1" }, Due::Now).unwrap();
        }
        connection
    }

    #[test]
    fn what_can_be_stored_is_stored_without_a_word() {
        let memory = connection("memory:?push_buffer=9");
        memory.push(&queue(), &JobSpec { job: b"\"A\"", limits: None, data: b"1" }, Due::Now).unwrap();
        assert_eq!(flush(&memory, None), None);
        assert_eq!(memory.broker().size(&queue()).unwrap().ready, 1);
    }

    #[test]
    fn what_cannot_be_stored_goes_to_the_spool_and_out_of_the_buffer() {
        let (folder, connection) = (TempDir::new(), refusing());
        let path = folder.path().join("spool");
        let shown = path.display();
        assert_eq!(
            flush(&connection, Some(&path)).unwrap(),
            format!(
                "2 of 2 buffered jobs of `c` were not stored: push to `mail`: the table is full. The request has ended: 2 jobs are in {shown}; \
                 run `ferry spool {shown}` to store what is there"
            )
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert!(!connection.has_buffered());
    }

    #[test]
    fn without_a_usable_spool_the_warning_says_that_jobs_are_lost() {
        let lost = flush(&refusing(), None).unwrap();
        assert!(lost.ends_with("The request has ended: 2 jobs are lost; set ferry.spool to keep such jobs in a file"), "{lost}");
        let lost = flush(&refusing(), Some(Path::new("/nowhere/spool"))).unwrap();
        assert!(lost.contains("2 jobs are lost, because ferry.spool (/nowhere/spool) cannot be written: "), "{lost}");
    }
}
