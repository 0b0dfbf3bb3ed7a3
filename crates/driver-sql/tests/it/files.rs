//! Files that cannot be used, and what is said about them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferry_core::broker::Broker;
use ferry_core::config::SqliteConfig;
use ferry_core::{Error, ErrorKind, NewJob, QueueName};
use ferry_driver_sql::SqliteBroker;

use crate::common::*;

fn push_error(path: &Path) -> Error {
    broker(path).push(&QueueName::default(), NewJob::ready(&b"x"[..])).unwrap_err()
}

fn assert_says(error: &Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "`{word}` is missing in: {error}");
    }
}

#[test]
fn a_new_broker_touches_nothing() {
    let folder = Folder::new();
    let broker = broker(&folder.file());
    broker.close();
    drop(broker);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_folder_is_named() {
    let folder = Folder::new();
    let path = folder.path().join("no/such/queue.db");
    assert_says(&push_error(&path), ErrorKind::Connection, &[path.to_str().unwrap(), "no/such does not exist", "create it"]);
}

#[test]
fn a_folder_is_no_file() {
    let folder = Folder::new();
    assert_says(&push_error(folder.path()), ErrorKind::Connection, &["it is a folder"]);
}

#[test]
fn a_file_of_another_kind_is_left_alone() {
    let folder = Folder::new();
    let text = "this is not a database, and long enough to hold a header that says otherwise. ".repeat(20);
    std::fs::write(folder.file(), &text).unwrap();
    assert_says(&push_error(&folder.file()), ErrorKind::Refused, &["is not a SQLite database", "nothing was changed"]);
    assert_eq!(std::fs::read_to_string(folder.file()).unwrap(), text);
}

#[test]
fn a_new_file_belongs_to_its_owner_alone_and_an_existing_one_keeps_its_mode() {
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for (before, expected) in [(None, 0o600), (Some(0o664), 0o664)] {
        let folder = Folder::new();
        if let Some(before) = before {
            std::fs::write(folder.file(), b"").unwrap();
            std::fs::set_permissions(folder.file(), Permissions::from_mode(before)).unwrap();
        }
        let broker = broker(&folder.file());
        push(&broker, "x");
        let files: Vec<PathBuf> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 3, "the file, its -wal and its -shm: {files:?}");
        for file in files {
            assert_eq!(mode(&file), expected, "{}", file.display());
        }
    }
}

#[test]
fn a_path_that_looks_like_a_uri_or_a_memory_database_is_a_file() {
    let folder = Folder::new();
    for name in [":memory:", "file:x.db?mode=memory"] {
        let path = folder.path().join(name);
        push(&broker(&path), "x");
        assert!(path.exists(), "{name}");
    }
}

#[test]
fn a_table_without_a_column_we_need_is_refused_by_name() {
    let folder = Folder::new();
    sql(&folder.file(), "CREATE TABLE tp_jobs (id INTEGER PRIMARY KEY, queue, payload, attempts, available_time, create_time)");
    assert_says(&push_error(&folder.file()), ErrorKind::Config, &["`tp_jobs`", "`reserve_time`", "not a table of think-queue"]);
    let folder = Folder::new();
    sql(&folder.file(), "CREATE TABLE tp_failed_jobs (id INTEGER PRIMARY KEY, connection, queue, payload, exception, failed_at)");
    assert_says(&push_error(&folder.file()), ErrorKind::Config, &["`tp_failed_jobs`", "`fail_time`"]);
}

#[test]
fn a_file_that_cannot_be_written_is_read_only() {
    // Even root cannot write here.
    let error = push_error(Path::new("/proc/version"));
    assert!(matches!(error.kind(), ErrorKind::Refused | ErrorKind::Connection), "{error}");
    assert!(error.to_string().contains("/proc/version"), "{error}");
}

#[test]
fn a_text_encoding_that_would_change_payloads_is_refused() {
    let folder = Folder::new();
    sql(&folder.file(), "PRAGMA encoding = 'UTF-16'; CREATE TABLE x (y)");
    assert_says(&push_error(&folder.file()), ErrorKind::Refused, &["UTF-16"]);
}

#[test]
fn a_file_deleted_in_use_is_reported_before_anything_is_written_to_nowhere() {
    let folder = Folder::new();
    let broker = broker(&folder.file());
    push(&broker, "a");
    for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let error = broker.push(&QueueName::default(), NewJob::ready(&b"b"[..])).unwrap_err();
    assert_says(&error, ErrorKind::Refused, &["deleted or replaced", "nothing was written"]);
    push(&broker, "c");
    assert_eq!(bodies(&reserve(&broker, 9)), ["c"]);
}

#[test]
fn a_table_dropped_in_use_is_made_again() {
    let folder = Folder::new();
    let broker = broker(&folder.file());
    push(&broker, "a");
    sql(&folder.file(), "DROP TABLE tp_jobs");
    let error = broker.push(&QueueName::default(), NewJob::ready(&b"b"[..])).unwrap_err();
    assert_says(&error, ErrorKind::Refused, &["no such table"]);
    push(&broker, "c");
}

#[test]
fn a_corrupt_file_says_so() {
    let folder = Folder::new();
    {
        let broker = broker(&folder.file());
        let jobs = vec![NewJob::ready(vec![b'x'; 500]); 500];
        broker.push_many(&QueueName::default(), &jobs).unwrap();
        broker.close();
    }
    let mut bytes = std::fs::read(folder.file()).unwrap();
    let length = bytes.len();
    bytes[4096..length].fill(0xA5);
    std::fs::write(folder.file(), bytes).unwrap();
    assert_says(&push_error(&folder.file()), ErrorKind::Refused, &["is corrupt", "integrity_check"]);
}

#[test]
fn a_lock_that_outlasts_the_timeout_is_refused_with_its_likely_cause() {
    let folder = Folder::new();
    let broker =
        SqliteBroker::new(SqliteConfig { busy_timeout: Duration::from_millis(50), ..config(&folder.file()) }, settings());
    push(&broker, "a");
    let writer = Writer::begin(&folder.file());
    let begun = Instant::now();
    let error = broker.push(&QueueName::default(), NewJob::ready(&b"b"[..])).unwrap_err();
    assert_says(&error, ErrorKind::Refused, &["is locked", "PDO", "commit"]);
    assert!(begun.elapsed() >= Duration::from_millis(50));
    assert_eq!(broker.size(&QueueName::default()).unwrap().ready, 1, "reading goes on");
    writer.end();
    push(&broker, "c");
    // The uncommitted one was due long before.
    assert_eq!(bodies(&reserve(&broker, 9)), ["uncommitted", "a", "c"]);
}

#[test]
fn an_idle_reserve_neither_blocks_nor_fails_beside_an_open_write_transaction() {
    let folder = Folder::new();
    let broker = broker(&folder.file());
    assert!(reserve(&broker, 1).is_empty());
    let writer = Writer::begin(&folder.file());
    let begun = Instant::now();
    assert!(reserve(&broker, 1).is_empty(), "what is not committed is not seen");
    assert!(begun.elapsed() < Duration::from_secs(5));
    // A connection that is made while the lock is held does not need it either.
    assert!(reserve(&crate::common::broker(&folder.file()), 1).is_empty());
    writer.end();
    assert_eq!(bodies(&broker.reserve(&[QueueName::default()], 1, Duration::from_secs(1)).unwrap()), ["uncommitted"]);
}

/// Another process that holds the write lock, with a job not yet committed.
struct Writer(std::process::Child);

impl Writer {
    fn begin(path: &Path) -> Self {
        use std::io::{BufRead, BufReader, Write};
        use std::process::{Command, Stdio};
        let mut child = Command::new("sqlite3").arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let begin = "BEGIN IMMEDIATE;\nINSERT INTO tp_jobs (queue, payload, attempts, available_time, create_time) \
                     VALUES ('default', 'uncommitted', 0, 1, 1);\nSELECT 'held';\n";
        child.stdin.as_mut().unwrap().write_all(begin.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "held");
        Self(child)
    }

    /// Commits and waits for the process to end.
    fn end(mut self) {
        use std::io::Write;
        self.0.stdin.take().unwrap().write_all(b"COMMIT;\n.quit\n").unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}
