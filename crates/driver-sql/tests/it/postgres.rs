//! What only PostgreSQL has: waiting for notifications, poolers, its errors in words.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::broker::{Broker, Fact, Settlement};
use ferry_core::config::{Address, FailedStore, Secret, SqlServerConfig};
use ferry_core::dialect::Family;
use ferry_core::{Due, ErrorKind, NewJob, QueueName};
use ferry_driver_sql::{PostgresBroker, Settings};
use ferry_testkit::{PgBouncer, PostgresDatabase, PostgresServer};

use crate::common::queue;

fn config(database: &PostgresDatabase<'_>) -> SqlServerConfig {
    config_at(local(database.server().port()), database.name())
}

fn local(port: u16) -> Address {
    Address::Tcp { host: "127.0.0.1".into(), port }
}

fn config_at(address: Address, database: &str) -> SqlServerConfig {
    SqlServerConfig {
        address,
        tls: None,
        username: Some("postgres".into()),
        password: None,
        database: database.into(),
        table: "tp_jobs".into(),
        failed_table: "tp_failed_jobs".into(),
        connect_timeout: Duration::from_secs(20),
        io_timeout: Duration::from_secs(20),
        poll_interval: Duration::from_millis(250),
    }
}

fn settings() -> Settings {
    Settings { family: Family::Think3, retry_after: Some(60), failed: FailedStore::Keep, now: None }
}

fn broker(config: SqlServerConfig) -> PostgresBroker {
    PostgresBroker::new(config, settings())
}

/// A database with the tables that `ferry schema` prints.
fn database(server: &'static PostgresServer) -> PostgresDatabase<'static> {
    let database = server.database();
    database.sql(&broker(config(&database)).admin().unwrap().schema().join(";\n"));
    database
}

fn shared() -> Option<PostgresDatabase<'static>> {
    PostgresServer::shared().map(database)
}

fn push(broker: &PostgresBroker, name: &str, payload: &str) -> i64 {
    broker.push(&queue(name), NewJob::ready(payload.as_bytes())).unwrap().unwrap()
}

/// Reserves one and removes it, within ten seconds.
fn work_one(broker: &PostgresBroker, name: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut jobs = broker.reserve(&[queue(name)], 1, Duration::from_secs(1)).unwrap();
        if let Some(job) = jobs.pop() {
            broker.settle(&[ferry_core::broker::Settle { claim: job.claim, settlement: Settlement::Delete }]).unwrap();
            return String::from_utf8(job.body).unwrap();
        }
        assert!(Instant::now() < deadline, "nothing came");
    }
}

fn fact(broker: &PostgresBroker, name: &str) -> String {
    let facts = broker.admin().unwrap().facts().unwrap();
    match &facts.iter().find(|(known, _)| *known == name).unwrap().1 {
        Fact::Text(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// Waits until so many queues of this database have somebody who waits.
fn wait_for_locks(database: &PostgresDatabase<'_>, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while waiting_sessions(database).len() != count {
        assert!(Instant::now() < deadline, "never {count} locks");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The process of the session that waits, once for each queue.
fn waiting_sessions(database: &PostgresDatabase<'_>) -> Vec<String> {
    let sql = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    database.sql(sql).lines().map(str::to_owned).collect()
}

#[test]
fn a_push_wakes_a_waiting_worker_and_one_of_another_queue_does_not() {
    let Some(database) = shared() else { return };
    let worker = Arc::new(broker(config(&database)));
    let theirs = Arc::clone(&worker);
    let working = thread::spawn(move || (0..21).map(|_| (work_one(&theirs, "mail"), Instant::now())).collect::<Vec<_>>());
    let producer = broker(config(&database));
    wait_for_locks(&database, 1);
    let mut pushed = Vec::new();
    for number in 0..21 {
        push(&producer, "other", "not ours");
        thread::sleep(Duration::from_millis(40));
        pushed.push(Instant::now());
        push(&producer, "mail", &number.to_string());
    }
    let worked = working.join().unwrap();
    let mut waits: Vec<Duration> = worked.iter().zip(&pushed).map(|((_, at), pushed)| at.duration_since(*pushed)).collect();
    waits.sort();
    // 5 ms on a quiet machine; a poll would take a second. Tests share theirs with compilers.
    assert!(waits[10] < Duration::from_millis(100), "{waits:?}");
}

#[test]
fn a_push_is_silent_when_nobody_waits_and_a_busy_worker_no_longer_waits() {
    let Some(database) = shared() else { return };
    let worker = broker(config(&database));
    assert!(worker.reserve(&[queue("mail")], 1, Duration::from_millis(200)).unwrap().is_empty());
    wait_for_locks(&database, 1);
    for number in 0..20 {
        push(&worker, "mail", &number.to_string());
        work_one(&worker, "mail");
    }
    wait_for_locks(&database, 0);
}

#[test]
fn a_delayed_job_comes_when_it_is_due_without_an_announcement() {
    let Some(database) = shared() else { return };
    let worker = broker(config(&database));
    worker.push(&queue("mail"), NewJob::due(b"later".as_slice(), Due::After(1))).unwrap();
    assert_eq!(work_one(&worker, "mail"), "later");
}

#[test]
fn a_listener_that_is_terminated_listens_again() {
    let Some(database) = shared() else { return };
    let worker = broker(config(&database));
    assert!(worker.reserve(&[queue("mail")], 1, Duration::from_millis(200)).unwrap().is_empty());
    wait_for_locks(&database, 1);
    let first = waiting_sessions(&database);
    database.kill_connections();
    let deadline = Instant::now() + Duration::from_secs(20);
    while waiting_sessions(&database).iter().all(|session| first.contains(session)) {
        assert!(Instant::now() < deadline, "it never waited again");
        thread::sleep(Duration::from_millis(10));
    }
    push(&worker, "mail", "1");
    assert_eq!(work_one(&worker, "mail"), "1");
}

#[test]
fn behind_a_pooler_everything_works_by_polling_and_facts_say_so() {
    let Some(database) = shared() else { return };
    for settings in [&[][..], &["ignore_startup_parameters=options"]] {
        let Some(pooler) = PgBouncer::before(database.server(), settings) else { return };
        let worker = broker(config_at(local(pooler.port()), database.name()));
        assert_eq!(fact(&worker, "waiting"), "polling", "{settings:?}");
        assert_eq!(fact(&worker, "pooler"), "Flag(true)");
        let others: Vec<PostgresBroker> = (0..6).map(|_| broker(config_at(local(pooler.port()), database.name()))).collect();
        // Six clients share four sessions: a prepared statement of one would be met by another.
        thread::scope(|scope| {
            for (number, broker) in others.iter().enumerate() {
                scope.spawn(move || {
                    for job in 0..20 {
                        push(broker, "mail", &format!("it's \\{number}-{job}"));
                    }
                });
            }
        });
        let mut seen: Vec<String> = (0..120).map(|_| work_one(&worker, "mail")).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 120);
    }
}

#[test]
fn without_a_pooler_facts_say_listen() {
    let Some(database) = shared() else { return };
    let broker = broker(config(&database));
    assert_eq!((fact(&broker, "waiting"), fact(&broker, "pooler")), ("LISTEN".to_owned(), "Flag(false)".to_owned()));
    assert_eq!(fact(&broker, "channel"), "ferry_tp_jobs");
}

#[test]
fn a_session_keeps_the_time_zone_of_database_and_server() {
    let Some(server) = PostgresServer::with(&["timezone=Asia/Shanghai", "log_timezone=Asia/Shanghai"]) else { return };
    let database = server.database();
    database.sql(&broker(config(&database)).admin().unwrap().schema().join(";\n"));
    assert_eq!(fact(&broker(config(&database)), "time_zone"), "Asia/Shanghai");
    database.sql(&format!("ALTER DATABASE {} SET TimeZone = 'Europe/Berlin'", database.name()));
    assert_eq!(fact(&broker(config(&database)), "time_zone"), "Europe/Berlin");
}

#[test]
fn a_unix_socket_is_reached_by_its_folder_and_by_its_path() {
    let Some(database) = shared() else { return };
    let server = database.server();
    let path = server.socket_folder().join(format!(".s.PGSQL.{}", server.port()));
    let worker = broker(config_at(Address::Unix(path), database.name()));
    push(&worker, "mail", "1");
    database.kill_connections();
    assert_eq!(work_one(&worker, "mail"), "1");
}

#[test]
fn a_default_of_serializable_neither_stops_nor_doubles_workers() {
    let Some(database) = shared() else { return };
    database.sql(&format!("ALTER DATABASE {} SET default_transaction_isolation = 'serializable'", database.name()));
    let producer = broker(config(&database));
    let payloads: Vec<String> = (0..400).map(|number| number.to_string()).collect();
    let jobs: Vec<NewJob<'_>> = payloads.iter().map(|payload| NewJob::ready(payload.as_bytes())).collect();
    producer.push_many(&queue("mail"), &jobs).unwrap();
    let taken: Vec<String> = thread::scope(|scope| {
        let worker = || {
            let worker = broker(config(&database));
            let mut bodies = Vec::new();
            loop {
                let jobs = worker.reserve(&[queue("mail")], 8, Duration::ZERO).unwrap();
                if jobs.is_empty() {
                    return bodies;
                }
                bodies.extend(jobs.into_iter().map(|job| String::from_utf8(job.body).unwrap()));
            }
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let mut seen = taken.clone();
    seen.sort();
    seen.dedup();
    assert_eq!((taken.len(), seen.len()), (400, 400));
}

#[test]
fn a_server_that_is_down_is_told_and_used_again_when_it_is_back() {
    let Some(mut server) = PostgresServer::start() else { return };
    let name = {
        let database = server.database();
        database.sql(&broker(config(&database)).admin().unwrap().schema().join(";\n"));
        database.keep()
    };
    let worker = broker(config_at(local(server.port()), &name));
    push(&worker, "mail", "1");
    server.stop();
    let error = worker.push(&queue("mail"), NewJob::ready(b"2".as_slice())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    server.start_again();
    push(&worker, "mail", "2");
    assert_eq!((work_one(&worker, "mail"), work_one(&worker, "mail")), ("1".to_owned(), "2".to_owned()));
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let Some(database) = shared() else { return };
    let told = |config: SqlServerConfig, family: Family| {
        let broker = PostgresBroker::new(config, Settings { family, ..settings() });
        let error = broker.push(&QueueName::default(), NewJob::ready(b"x".as_slice())).unwrap_err();
        (error.kind(), error.to_string())
    };
    let usual = || config(&database);
    let cases = [
        (SqlServerConfig { database: "nowhere".into(), ..usual() }, Family::Think3, ErrorKind::Config, "check `database`"),
        (
            SqlServerConfig { username: Some("nobody".into()), ..usual() },
            Family::Think3,
            ErrorKind::Connection,
            "refused the login",
        ),
        (SqlServerConfig { table: "none".into(), ..usual() }, Family::Think3, ErrorKind::Config, "ferry schema"),
        (usual(), Family::Think1, ErrorKind::Config, "set `family` to `think3`"),
        (SqlServerConfig { address: local(1), ..usual() }, Family::Think3, ErrorKind::Connection, "cannot be reached"),
    ];
    for (config, family, kind, part) in cases {
        let (found, text) = told(SqlServerConfig { password: Some(Secret::new("geheim-1")), ..config }, family);
        assert_eq!(found, kind, "{text}");
        assert!(text.contains(part), "{text}");
        assert!(!text.contains("geheim"), "{text}");
    }
}

#[test]
fn what_the_column_cannot_hold_is_an_invalid_argument_and_nothing_is_stored() {
    let Some(database) = shared() else { return };
    let broker = broker(config(&database));
    for payload in [&b"a\0b"[..], b"\xff"] {
        let error = broker.push(&queue("mail"), NewJob::ready(payload)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    assert_eq!(broker.size(&queue("mail")).unwrap().ready, 0);
}

#[test]
fn a_read_only_server_says_so_and_is_used_again_when_it_may_be_written() {
    let Some(database) = shared() else { return };
    let worker = broker(config(&database));
    database.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name()));
    let error = worker.push(&queue("mail"), NewJob::ready(b"x".as_slice())).unwrap_err();
    assert!(error.to_string().contains("read only"), "{error}");
    database
        .sql(&format!("SET transaction_read_only = off; ALTER DATABASE {} RESET default_transaction_read_only", database.name()));
    push(&worker, "mail", "x");
}

#[test]
fn the_cost_of_a_reserve_does_not_grow_with_what_waits() {
    let Some(database) = shared() else { return };
    for (first, due) in [(1, "1700000000"), (200_001, "1900000000")] {
        database.sql(&format!(
            "INSERT INTO tp_jobs (queue, payload, attempts, reserve_time, available_time, create_time) \
             SELECT 'mail', 'x', 0, NULL, {due}, 1700000000 FROM generate_series({first}, {first} + 49999)"
        ));
    }
    database.sql("ANALYZE tp_jobs");
    let worker = broker(config(&database));
    let read = || database.sql("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'tp_jobs'").parse::<u64>().unwrap();
    let before = read();
    for _ in 0..20 {
        assert_eq!(worker.reserve(&[queue("mail")], 8, Duration::ZERO).unwrap().len(), 8);
        assert!(worker.reserve(&[queue("other")], 8, Duration::ZERO).unwrap().is_empty());
    }
    worker.close();
    assert_eq!(read(), before, "rows were read without the index");
}

/// Ready jobs, inserted by another program.
fn insert_ready(database: &PostgresDatabase<'_>, queue: &str, count: u32) {
    database.sql(&format!(
        "INSERT INTO tp_jobs (queue, payload, attempts, reserve_time, available_time, create_time) \
         SELECT '{queue}', 'x', 0, NULL, 1700000000, 1700000000 FROM generate_series(1, {count})"
    ));
}

#[test]
fn a_reserve_makes_no_entry_in_an_index() {
    let Some(database) = shared() else { return };
    let worker = broker(config(&database));
    // Three of these lie on half a page, so that the other half has room for each once more, whoever still looks at the old ones.
    database.sql(
        "INSERT INTO tp_jobs (queue, payload, attempts, reserve_time, available_time, create_time) \
         SELECT 'mail', repeat('x', 1000), 0, NULL, 1700000000, 1700000000 FROM generate_series(1, 500)",
    );
    for _ in 0..5 {
        assert_eq!(worker.reserve(&[queue("mail")], 64, Duration::ZERO).unwrap().len(), 64);
    }
    // A session reports what it counted when it ends.
    worker.close();
    let updates = || database.sql("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'tp_jobs'");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !updates().starts_with("320") {
        assert!(Instant::now() < deadline, "updates counted: {}", updates());
        thread::sleep(Duration::from_millis(20));
    }
    let updates = updates();
    let counts: Vec<u32> = updates.split(['|', ' ', '\t']).filter_map(|count| count.trim().parse().ok()).collect();
    assert_eq!(counts, [320, 320], "of all updates those that left the indexes alone");
}

/// Reserves so many jobs and deletes them.
fn work(worker: &PostgresBroker, count: usize) {
    let jobs = worker.reserve(&[queue("mail")], count, Duration::ZERO).unwrap();
    let delete = |job: ferry_core::Reservation| ferry_core::broker::Settle { claim: job.claim, settlement: Settlement::Delete };
    let settled = worker.settle(&jobs.into_iter().map(delete).collect::<Vec<_>>()).unwrap();
    assert_eq!(settled, vec![ferry_core::broker::SettleResult::Applied; count]);
}

#[test]
fn few_rows_are_read_when_many_jobs_come_after_the_server_took_the_table_for_empty() {
    for look in ["VACUUM ANALYZE tp_jobs", "ANALYZE tp_jobs"] {
        let Some(database) = shared() else { return };
        database.sql("ALTER TABLE tp_jobs SET (autovacuum_enabled = off)");
        for _ in 0..3 {
            insert_ready(&database, "old", 10_000);
            database.sql("UPDATE tp_jobs SET reserve_time = 1");
            database.sql("DELETE FROM tp_jobs");
        }
        database.sql(look);
        let worker = broker(config(&database));
        // More often than the server plans anew, of an empty table and of one with a single page.
        for _ in 0..8 {
            assert!(worker.reserve(&[queue("mail")], 8, Duration::ZERO).unwrap().is_empty());
        }
        insert_ready(&database, "mail", 64);
        (0..8).for_each(|_| work(&worker, 8));
        insert_ready(&database, "mail", 50_000);
        let sql = "SELECT seq_tup_read + idx_tup_fetch + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'tp_jobs') \
                   FROM pg_stat_user_tables WHERE relname = 'tp_jobs'";
        let read = || database.sql(sql).parse::<u64>().unwrap();
        let before = read();
        (0..20).for_each(|_| work(&worker, 8));
        // And one whose first plan is made now.
        worker.close();
        (0..20).for_each(|_| work(&worker, 8));
        worker.close();
        let read = read() - before;
        assert!(read < 20_000, "{look}: {read} rows and entries were read for 320 jobs");
    }
}

#[test]
fn a_reserve_that_takes_longer_than_its_answer_is_waited_for_reserves_nothing() {
    let Some(database) = shared() else { return };
    let worker = broker(SqlServerConfig { io_timeout: Duration::from_secs(1), ..config(&database) });
    push(&worker, "mail", "1");
    assert!(worker.reserve(&[queue("other")], 1, Duration::ZERO).unwrap().is_empty());
    database.sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN new; END $$; \
         CREATE TRIGGER slow BEFORE UPDATE ON tp_jobs FOR EACH ROW EXECUTE PROCEDURE slow()",
    );
    let error = worker.reserve(&[queue("mail")], 1, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    // Waits for a statement that goes on. Had it reserved the job, nobody could work it now.
    database.sql("DROP TRIGGER slow ON tp_jobs");
    assert_eq!(work_one(&worker, "mail"), "1");
}

#[test]
fn a_deadlock_with_another_program_is_retried_and_never_told() {
    let Some(database) = shared() else { return };
    // A session that waits looks for a deadlock once, after this time, and who finds one is rolled back. The other side has begun to wait by
    // then, and looks much later.
    database.sql(&format!("ALTER DATABASE {} SET deadlock_timeout = '4s'", database.name()));
    let worker = broker(SqlServerConfig { io_timeout: Duration::from_secs(60), ..config(&database) });
    let (first, second) = (push(&worker, "mail", "1"), push(&worker, "mail", "2"));
    let held = worker.reserve(&[queue("mail")], 2, Duration::ZERO).unwrap();
    let touch = |id: i64| format!("UPDATE tp_jobs SET create_time = create_time + 1 WHERE id = {id}");
    let waits = "(SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database())";
    let others = format!(
        "BEGIN; SET LOCAL deadlock_timeout = '60s'; {}; SELECT pg_advisory_xact_lock(77); \
         DO $$ BEGIN WHILE NOT EXISTS {waits} LOOP PERFORM pg_sleep(0.005); END LOOP; END $$; {}; COMMIT",
        touch(second),
        touch(first)
    );
    let settled = thread::scope(|scope| {
        let other = scope.spawn(|| database.sql(&others));
        while database.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77") != "1" {
            assert!(!other.is_finished(), "the other side did not begin");
        }
        let deletes =
            held.iter().map(|job| ferry_core::broker::Settle { claim: job.claim.clone(), settlement: Settlement::Delete });
        let settled = worker.settle(&deletes.collect::<Vec<_>>()).unwrap();
        other.join().unwrap();
        settled
    });
    assert_eq!(settled, [ferry_core::broker::SettleResult::Applied; 2]);
    // A session reports what it counted when it ends.
    worker.close();
    let deadline = Instant::now() + Duration::from_secs(20);
    while database.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == "0" {
        assert!(Instant::now() < deadline, "there was no deadlock");
        thread::sleep(Duration::from_millis(20));
    }
}
