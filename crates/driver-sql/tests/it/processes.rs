//! Several processes on one file: ours, and PHP's PDO.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferry_core::broker::{Broker, Settle, SettleResult, Settlement};
use ferry_core::{NewJob, QueueName};

use crate::common::*;

const WORKERS: usize = 4;
const PRODUCERS: usize = 2;
const JOBS_EACH: usize = 10_000;
const SINGLE_PUSHES: usize = 1_000;

/// Runs an ignored test of this binary as another process.
fn spawn(role: &str, folder: &Path, number: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("processes::{role}"), "--ignored", "--nocapture"])
        .env("FERRY_SQL_FOLDER", folder)
        .env("FERRY_SQL_NUMBER", number.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn role() -> Option<(std::path::PathBuf, usize)> {
    let folder = std::env::var_os("FERRY_SQL_FOLDER")?;
    Some((folder.into(), std::env::var("FERRY_SQL_NUMBER").ok()?.parse().ok()?))
}

#[test]
#[ignore = "a role of the test below"]
fn produce() {
    let Some((folder, number)) = role() else { return };
    let broker = broker(&folder.join("queue.db"));
    let payloads: Vec<String> = (0..JOBS_EACH).map(|n| format!("{number}-{n}")).collect();
    let (single, many) = payloads.split_at(SINGLE_PUSHES);
    single.iter().for_each(|payload| assert!(push(&broker, payload) > 0));
    for chunk in many.chunks(100) {
        let jobs: Vec<NewJob<'_>> = chunk.iter().map(|payload| NewJob::ready(payload.as_bytes())).collect();
        assert_eq!(broker.push_many(&QueueName::default(), &jobs).unwrap(), chunk.len() as u64);
    }
}

#[test]
#[ignore = "a role of the test below"]
fn work() {
    let Some((folder, number)) = role() else { return };
    let broker = broker(&folder.join("queue.db"));
    let mut taken = std::fs::File::create(folder.join(format!("taken-{number}"))).unwrap();
    loop {
        // Asked before the look: nothing is pushed after the mark is there.
        let all_pushed = folder.join("all-pushed").exists();
        let jobs = broker.reserve(&[QueueName::default()], 64, Duration::from_secs(1)).unwrap();
        if jobs.is_empty() && all_pushed {
            return;
        }
        let batch: Vec<Settle> =
            jobs.iter().map(|job| Settle { claim: job.claim.clone(), settlement: Settlement::Delete }).collect();
        assert!(broker.settle(&batch).unwrap().iter().all(|settled| *settled == SettleResult::Applied));
        jobs.iter().for_each(|job| taken.write_all(&[&job.body[..], b"\n"].concat()).unwrap());
    }
}

#[test]
fn four_workers_and_two_producers_carry_every_job_exactly_once() {
    let folder = Folder::new();
    let workers: Vec<Child> = (0..WORKERS).map(|number| spawn("work", folder.path(), number)).collect();
    let producers: Vec<Child> = (0..PRODUCERS).map(|number| spawn("produce", folder.path(), number)).collect();
    for mut producer in producers {
        assert!(producer.wait().unwrap().success(), "a producer met an error");
    }
    std::fs::write(folder.path().join("all-pushed"), "").unwrap();
    for mut worker in workers {
        assert!(worker.wait().unwrap().success(), "a worker met an error");
    }
    let taken: Vec<String> = (0..WORKERS)
        .flat_map(|number| {
            let text = std::fs::read_to_string(folder.path().join(format!("taken-{number}"))).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(taken.len(), PRODUCERS * JOBS_EACH);
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), PRODUCERS * JOBS_EACH);
    assert_eq!(rows(&folder.file(), "SELECT count(*) AS n FROM tp_jobs")[0]["n"], 0);
    assert_intact(&folder.file());
}

#[test]
fn threads_that_share_one_broker_carry_every_job_exactly_once() {
    let folder = Folder::new();
    let broker = broker(&folder.file());
    let payloads: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
    let jobs: Vec<NewJob<'_>> = payloads.iter().map(|payload| NewJob::ready(payload.as_bytes())).collect();
    broker.push_many(&QueueName::default(), &jobs).unwrap();
    let drain = || {
        let mut ids = Vec::new();
        loop {
            let jobs = reserve(&broker, 16);
            if jobs.is_empty() {
                return ids;
            }
            ids.extend(jobs.iter().filter_map(|job| job.number));
            let batch: Vec<Settle> =
                jobs.iter().map(|job| Settle { claim: job.claim.clone(), settlement: Settlement::Delete }).collect();
            assert!(broker.settle(&batch).unwrap().iter().all(|settled| *settled == SettleResult::Applied));
        }
    };
    let ids: Vec<i64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(drain)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 2_000);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 2_000);
}

#[test]
fn a_waiting_reserve_delays_no_other_word() {
    let folder = Folder::new();
    let broker = broker(&folder.file());
    push(&broker, "held");
    let held = reserve(&broker, 1).remove(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| broker.reserve(&[queue("empty")], 1, Duration::from_secs(1)).unwrap());
        broker.extend(std::slice::from_ref(&held.claim)).unwrap();
        assert_eq!(settle(&broker, &held, Settlement::Delete), SettleResult::Applied);
        push(&broker, "x");
        broker.size(&QueueName::default()).unwrap();
        assert!(!waiting.is_finished());
        assert!(waiting.join().unwrap().is_empty());
    });
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_job_that_falls_due_ends_the_wait() {
    let folder = Folder::new();
    let broker = broker(&folder.file());
    later(&broker, "due", 1);
    let jobs = broker.reserve(&[QueueName::default()], 1, Duration::from_secs(1)).unwrap();
    let past = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_millis();
    // Pushed at the very end of a second, it may be due only after the wait; then the next call has it.
    let jobs = if jobs.is_empty() { broker.reserve(&[QueueName::default()], 1, Duration::from_secs(1)).unwrap() } else { jobs };
    assert_eq!(bodies(&jobs), ["due"]);
    assert!(past < 900, "taken {past} ms after its second began");
}

/// A PHP process that obeys one word a line.
struct Php(Child);

impl Php {
    /// `$db` is a PDO on the file; `$line` is what [`Php::tell`] sent.
    fn start(file: &Path, on_line: &str) -> Option<Self> {
        let has_pdo = Command::new("php").args(["-r", "exit(extension_loaded('pdo_sqlite') ? 0 : 1);"]).status();
        if !has_pdo.is_ok_and(|status| status.success()) {
            assert!(std::env::var_os("CI").is_none(), "php with pdo_sqlite is missing");
            let _ = writeln!(std::io::stderr(), "SKIPPED: php with pdo_sqlite is missing");
            return None;
        }
        let script = format!(
            "$db = new PDO('sqlite:{}'); $db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION); \
             $db->setAttribute(PDO::ATTR_TIMEOUT, 10); \
             $insert = $db->prepare('INSERT INTO tp_jobs (queue, payload, attempts, available_time, create_time) VALUES (?, ?, 0, ?, ?)'); \
             while (($line = fgets(STDIN)) !== false) {{ $line = trim($line); {on_line} echo \"done\\n\"; }}",
            file.display()
        );
        let child = Command::new("php").args(["-r", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Some(Self(child))
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn wait(&mut self) {
        let mut answer = String::new();
        BufReader::with_capacity(1, self.0.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
        assert_eq!(answer.trim(), "done");
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

#[test]
fn php_writes_to_the_same_file_in_between() {
    let folder = Folder::new();
    let broker = broker(&folder.file());
    push(&broker, "ours-0");
    let on_line = "$db->beginTransaction(); $insert->execute(['default', $line, time(), time()]); \
                   $seen = $db->query(\"SELECT count(*) FROM tp_jobs WHERE typeof(payload) = 'text'\")->fetchColumn(); \
                   $db->commit(); if ($seen < 2) exit(3);";
    let Some(mut php) = Php::start(&folder.file(), on_line) else { return };
    for n in 0..50 {
        php.tell(&format!("php-{n}"));
        push(&broker, &format!("ours-{}", n + 1));
        php.wait();
    }
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < 101 {
        let jobs = reserve(&broker, 10);
        assert!(!jobs.is_empty());
        seen.extend(bodies(&jobs).iter().map(|body| (*body).to_owned()));
        let batch: Vec<Settle> =
            jobs.iter().map(|job| Settle { claim: job.claim.clone(), settlement: Settlement::Delete }).collect();
        broker.settle(&batch).unwrap();
    }
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 101);
    php.end();
    assert_intact(&folder.file());
}

#[test]
fn a_push_from_another_process_ends_the_wait_at_once() {
    let folder = Folder::new();
    let broker = broker(&folder.file());
    assert!(reserve(&broker, 1).is_empty());
    // PHP pauses so that we have long begun to wait when it pushes; the payload says when that was.
    let on_line =
        "usleep(200000 + random_int(0, 150000)); $insert->execute(['default', sprintf('%.6F', microtime(true)), 1, 1]);";
    let Some(mut php) = Php::start(&folder.file(), on_line) else { return };
    let mut latencies = Vec::new();
    for _ in 0..15 {
        php.tell("push");
        let job = loop {
            let mut jobs = broker.reserve(&[QueueName::default()], 1, Duration::from_secs(1)).unwrap();
            if let Some(job) = jobs.pop() {
                break job;
            }
        };
        let taken = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        latencies.push(taken - bodies(std::slice::from_ref(&job))[0].parse::<f64>().unwrap());
        php.wait();
        assert_eq!(settle(&broker, &job, Settlement::Delete), SettleResult::Applied);
    }
    php.end();
    latencies.sort_by(f64::total_cmp);
    let millis: Vec<String> = latencies.iter().map(|seconds| format!("{:.2}", seconds * 1000.0)).collect();
    writeln!(std::io::stderr(), "push to reserved, both commits included, ms: {}", millis.join(" ")).unwrap();
    // Unheard, a push waits for the next whole second: half a second on average. Heard, it takes two commits, milliseconds on a
    // quiet disk.
    assert!(latencies[latencies.len() / 2] < 0.2, "{millis:?}");
}
