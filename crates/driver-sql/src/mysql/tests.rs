//! On a MariaDB server: plans, what a column cannot count, what the server does to its connections.

use std::time::Duration;

use ferry_core::broker::{Broker, ExtendResult, Settle, SettleResult, Settlement};
use ferry_core::config::{Address, FailedStore, Secret, SqlServerConfig};
use ferry_core::dialect::Family;
use ferry_core::{Admin, ErrorKind, NewJob, QueueName, Reservation};
use ferry_testkit::MariaDb;

use super::MysqlBroker;
use super::session::MysqlSession;
use crate::broker::Role;
use crate::session::{Row, Session};
use crate::settings::Settings;
use crate::values::SqlValues;

const START: i64 = 1_700_000_000;

fn config(server: &MariaDb) -> SqlServerConfig {
    SqlServerConfig {
        address: Address::Tcp { host: "127.0.0.1".into(), port: server.port() },
        tls: None,
        username: Some("ferry".into()),
        password: Some(Secret::new("secret")),
        database: server.database(),
        table: "jobs".into(),
        failed_table: "failed_jobs".into(),
        connect_timeout: Duration::from_secs(20),
        io_timeout: Duration::from_secs(20),
        poll_interval: Duration::from_millis(250),
    }
}

fn at(config: &SqlServerConfig, now: Option<i64>) -> MysqlBroker {
    let settings = Settings { family: Family::Think3, retry_after: Some(60), failed: FailedStore::Keep, now };
    MysqlBroker::new(config.clone(), settings)
}

/// A database with our tables.
fn prepared(server: &MariaDb) -> SqlServerConfig {
    let config = config(server);
    server.sql(&format!("USE {}; {}", config.database, at(&config, None).schema().join("; ")));
    config
}

fn queue() -> QueueName {
    QueueName::default()
}

fn take(broker: &MysqlBroker) -> Option<Reservation> {
    broker.reserve(&[queue()], 1, Duration::ZERO).unwrap().pop()
}

fn delete(broker: &MysqlBroker, job: &Reservation) -> SettleResult {
    broker.settle(&[Settle { claim: job.claim.clone(), settlement: Settlement::Delete }]).unwrap()[0]
}

#[test]
fn a_reserve_reads_the_rows_that_it_locks_and_sorts_nothing() {
    let Some(server) = MariaDb::shared() else { return };
    let config = prepared(server);
    let database = &config.database;
    // think-queue's index answers `queue = ?` as well, and while the table is empty all plans look alike.
    server.sql(&format!("CREATE INDEX queue ON {database}.jobs (queue); ANALYZE TABLE {database}.jobs"));
    let broker = at(&config, None);
    let jobs: Vec<NewJob<'_>> = (0..2000).map(|_| NewJob::ready(&b"{}"[..])).collect();
    broker.push_many(&queue(), &jobs).unwrap();
    let last = server.sql(&format!("SELECT available_time, id FROM {database}.jobs ORDER BY available_time, id LIMIT 999, 1"));
    let last: Vec<i64> = last.split_whitespace().map(|number| number.parse().unwrap()).collect();
    for place in [[i64::MIN, 0], [last[0], last[1]]] {
        let page = || SqlValues::new().ints(&[i64::from(i32::MAX), 0]).text("default").ints(&place).int(64);
        let explained = format!("EXPLAIN {}", broker.tables.candidates());
        let plan = broker.run(Role::Query, |session| session.query(explained, page())).unwrap();
        let (key, extra) = (plan[0].text(5), plan[0].text(9));
        assert!(key == "ferry_jobs_available" && !extra.contains("filesort"), "{place:?}: {key}, {extra}");
        let read = broker.run(Role::Query, |session| {
            let before = rows_read(session)?;
            assert_eq!(session.query(broker.tables.candidates(), page())?.len(), 64);
            Ok(rows_read(session)? - before)
        });
        assert!((64..=66).contains(&read.unwrap()), "{place:?}");
    }
}

/// Rows and entries that this session has read so far.
fn rows_read(session: &mut MysqlSession) -> Result<i64, crate::error::SqlError> {
    let rows = session
        .query("SHOW SESSION STATUS WHERE Variable_name IN ('Handler_read_key', 'Handler_read_next')", SqlValues::new())?;
    Ok(rows.iter().filter_map(|row| row.text(1).parse::<i64>().ok()).sum())
}

#[test]
fn attempts_stay_at_the_end_of_their_column_and_the_fence_still_holds() {
    let Some(server) = MariaDb::shared() else { return };
    let config = prepared(server);
    let database = &config.database;
    server.sql(&format!("ALTER TABLE {database}.jobs MODIFY attempts TINYINT UNSIGNED NOT NULL"));
    let worker = at(&config, Some(START));
    worker.push(&queue(), NewJob::ready(&b"{}"[..])).unwrap();
    server.sql(&format!("UPDATE {database}.jobs SET attempts = 255"));

    let held = take(&worker).expect("it does not stop its queue");
    assert_eq!(held.attempts, Some(256));
    assert_eq!(worker.extend(std::slice::from_ref(&held.claim)).unwrap(), [ExtendResult::Kept]);
    let later = at(&config, Some(START + 61));
    let again = take(&later).expect("its lease ended");
    assert_eq!(delete(&worker, &held), SettleResult::Lost, "both say 255");
    assert_eq!(delete(&later, &again), SettleResult::Applied);
}

#[test]
fn a_restart_and_a_kill_are_not_noticed_by_the_next_push() {
    let Some(server) = MariaDb::start(&[]) else { return };
    let config = prepared(&server);
    let broker = at(&config, None);
    broker.push(&queue(), NewJob::ready(&b"1"[..])).unwrap();
    server.kill_connections(&config.database);
    broker.push(&queue(), NewJob::ready(&b"2"[..])).unwrap();
    server.restart();
    broker.push(&queue(), NewJob::ready(&b"3"[..])).unwrap();
    server.stop();
    let error = broker.push(&queue(), NewJob::ready(&b"4"[..])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
}

#[test]
fn a_server_that_became_read_only_says_so_and_a_missing_table_how_it_is_made() {
    let Some(server) = MariaDb::start(&[]) else { return };
    let config = prepared(&server);
    server.sql("CREATE USER reader@'%' IDENTIFIED BY 'secret'");
    server.sql(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {}.* TO reader@'%'", config.database));
    let broker = at(&SqlServerConfig { username: Some("reader".into()), ..config.clone() }, None);
    broker.push(&queue(), NewJob::ready(&b"1"[..])).unwrap();
    server.sql("SET GLOBAL read_only = 1");
    let error = broker.push(&queue(), NewJob::ready(&b"2"[..])).unwrap_err();
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("is read only"), "{error}");
    server.sql("SET GLOBAL read_only = 0");
    broker.push(&queue(), NewJob::ready(&b"3"[..])).unwrap();
    server.sql(&format!("DROP TABLE {}.jobs", config.database));
    broker.close();
    let error = broker.push(&queue(), NewJob::ready(&b"4"[..])).unwrap_err();
    assert!(error.to_string().contains("has no table `jobs` (`ferry schema` prints"), "{error}");
}

#[test]
fn an_idle_worker_asks_four_times_a_second_for_all_its_queues() {
    let Some(server) = MariaDb::start(&[]) else { return };
    let config = prepared(&server);
    let broker = at(&config, None);
    let queues: Vec<QueueName> = ["high", "mail", "low"].iter().map(|name| QueueName::new(name.as_bytes()).unwrap()).collect();
    let reserve = || assert!(broker.reserve(&queues, 64, Duration::from_secs(1)).unwrap().is_empty());
    reserve();
    let before = executed(&server);
    (0..3).for_each(|_| reserve());
    let looks = executed(&server) - before;
    assert!((9..=13).contains(&looks), "{looks} looks in 3 s");
}

#[test]
fn a_deadlock_with_another_program_is_retried_and_never_told() {
    let Some(server) = &MariaDb::start(&[]) else { return };
    let config = prepared(server);
    let broker = at(&config, None);
    broker.push_many(&queue(), &[NewJob::ready(&b"1"[..]), NewJob::ready(&b"2"[..])]).unwrap();
    let held = broker.reserve(&[queue()], 2, Duration::ZERO).unwrap();
    let (first, second) = (held[0].number.unwrap(), held[1].number.unwrap());
    server.sql(&format!("CREATE TABLE {}.others (number INT PRIMARY KEY) ENGINE=InnoDB", config.database));
    let other = at(&config, None);
    let touch = |id: i64| (format!("UPDATE jobs SET create_time = create_time + 1 WHERE id = {id}"), SqlValues::new());
    let (begun, begins) = std::sync::mpsc::channel();
    let settled = std::thread::scope(|scope| {
        scope.spawn(|| {
            let work = |session: &mut MysqlSession| {
                // Who has changed more rows is not chosen to roll back.
                session.execute("INSERT INTO others SELECT seq FROM seq_1_to_1000", SqlValues::new())?;
                let (sql, none) = touch(second);
                session.execute(sql, none)?;
                begun.send(()).unwrap();
                wait_for_a_lock_wait(server);
                let (sql, none) = touch(first);
                session.execute(sql, none)
            };
            other.run(Role::Query, |session| session.transaction(work)).unwrap();
        });
        begins.recv_timeout(Duration::from_secs(60)).expect("the other side begins");
        let batch: Vec<Settle> =
            held.iter().map(|job| Settle { claim: job.claim.clone(), settlement: Settlement::Delete }).collect();
        broker.settle(&batch).unwrap()
    });
    assert_eq!(settled, [SettleResult::Applied; 2]);
    assert_ne!(server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'").split_whitespace().last(), Some("0"));
}

#[test]
fn a_ready_row_that_is_locked_for_a_moment_is_not_taken_for_an_empty_queue() {
    let Some(server) = &MariaDb::start(&[]) else { return };
    let config = prepared(server);
    let (worker, other) = (at(&config, None), at(&config, None));
    worker.push(&queue(), NewJob::ready(&b"1"[..])).unwrap();
    assert!(worker.reserve(&[QueueName::new(&b"empty"[..]).unwrap()], 1, Duration::ZERO).unwrap().is_empty());
    let (begun, begins) = std::sync::mpsc::channel();
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            let work = |session: &mut MysqlSession| {
                session.query("SELECT id FROM jobs FOR UPDATE", SqlValues::new())?;
                let before = executed(server);
                begun.send(()).unwrap();
                // A look, and a try to lock what it found.
                while executed(server) < before + 2 {}
                Ok(())
            };
            other.run(Role::Query, |session| session.transaction(work)).unwrap();
        });
        begins.recv_timeout(Duration::from_secs(60)).expect("the other side begins");
        take(&worker)
    });
    assert!(found.is_some());
}

/// Statements that all sessions have executed.
fn executed(server: &MariaDb) -> i64 {
    let status = server.sql("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'");
    status.split_whitespace().nth(1).and_then(|count| count.parse().ok()).expect("MariaDB counts that")
}

/// Waits until somebody waits for a row. The server shows what it showed before to those who look again within 100 ms.
fn wait_for_a_lock_wait(server: &MariaDb) {
    for _ in 0..400 {
        if server.sql("SELECT COUNT(*) FROM information_schema.innodb_lock_waits").trim() != "0" {
            return;
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    panic!("nobody waits for a row");
}

#[test]
fn a_full_disk_is_said_and_nothing_is_stored() {
    // A tablespace that may not grow is what a full disk is to a table.
    let Some(server) = MariaDb::start(&["--innodb-data-file-path=ibdata1:12M:autoextend:max:14M", "--innodb-file-per-table=0"])
    else {
        return;
    };
    let config = prepared(&server);
    let broker = at(&config, None);
    let payload = vec![b'x'; 1 << 20];
    let (stored, error) = push_until_refused(&broker, &payload);
    assert!(error.kind() == ErrorKind::Refused && error.to_string().contains("is full"), "{error}");
    assert_eq!(server.sql(&format!("SELECT COUNT(*) FROM {}.jobs", config.database)).trim(), stored.to_string());
}

/// Pushes until the server refuses: how many were stored, and what it said.
fn push_until_refused(broker: &MysqlBroker, payload: &[u8]) -> (u32, ferry_core::Error) {
    for stored in 0..100 {
        if let Err(error) = broker.push(&queue(), NewJob::ready(payload)) {
            return (stored, error);
        }
    }
    panic!("it took a hundred");
}
