//! Real Redis servers for tests: started on a free port in a folder of their own, stopped when dropped.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod peers;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::config::{Address, RedisConfig};
use ferry_core::job::{NewJob, Reservation};
use ferry_core::{Broker, QueueName};
use ferry_driver_redis::{RedisBroker, Settings};

/// The second at which tests stand still.
pub const NOW: i64 = 1_700_000_000;

pub const READY: &str = "{queues:q}";
pub const DELAYED: &str = "{queues:q}:delayed";
pub const RESERVED: &str = "{queues:q}:reserved";
pub const FAILED: &str = "{queues:q}:ferry:failed";

/// A folder that goes away with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ferry-redis-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server.
pub struct Server {
    child: Child,
    pub port: u16,
    pub folder: Folder,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[], Folder::new())
    }

    /// With more options; `{port}` and `{dir}` in them are replaced.
    pub fn start_with(options: &[&str], folder: Folder) -> Self {
        for _ in 0..5 {
            let port = free_port();
            if let Some(child) = launch(port, options, &folder.0) {
                return Self { child, port, folder };
            }
        }
        panic!("redis-server did not start");
    }

    pub fn config(&self) -> RedisConfig {
        config_for(self.port)
    }

    /// A broker whose clock stands at [`NOW`].
    pub fn broker(&self) -> RedisBroker {
        self.broker_at(NOW)
    }

    pub fn broker_at(&self, now: i64) -> RedisBroker {
        self.broker_with(Settings { now: Some(now), ..Settings::default() })
    }

    pub fn broker_with(&self, settings: Settings) -> RedisBroker {
        RedisBroker::new(self.config(), settings)
    }

    /// A connection to look and to meddle.
    pub fn inspect(&self) -> Inspector {
        let client = redis::Client::open(("127.0.0.1", self.port)).unwrap();
        Inspector(client.get_connection().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(port: u16, options: &[&str], folder: &Path) -> Option<Child> {
    let fill = |option: &&str| option.replace("{port}", &port.to_string()).replace("{dir}", folder.to_str().unwrap());
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"])
        .args(["--dir", folder.to_str().unwrap()])
        .args(options.iter().map(fill))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.any(|line| line.is_ok_and(|line| line.contains("Ready to accept connections")));
    if ready {
        thread::spawn(move || lines.for_each(drop));
        return Some(child);
    }
    let _ = child.wait();
    None
}

pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

pub fn config_for(port: u16) -> RedisConfig {
    RedisConfig {
        address: Address::Tcp { host: "127.0.0.1".into(), port },
        tls: None,
        username: None,
        password: None,
        database: 0,
        connect_timeout: Duration::from_secs(5),
        io_timeout: Duration::from_secs(10),
    }
}

/// Looks at keys and meddles with them, through redis-rs's own connection.
pub struct Inspector(pub redis::Connection);

impl Inspector {
    pub fn run<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut cmd = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            cmd.arg(*word);
        });
        cmd.query(&mut self.0).unwrap()
    }

    pub fn list(&mut self, key: &str) -> Vec<String> {
        self.run(&["LRANGE", key, "0", "-1"])
    }

    pub fn set(&mut self, key: &str) -> Vec<(String, i64)> {
        self.run(&["ZRANGE", key, "0", "-1", "WITHSCORES"])
    }

    /// Every key with its content as Redis dumps it: equal when nothing changed.
    pub fn snapshot(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut keys: Vec<String> = self.run(&["KEYS", "*"]);
        keys.sort();
        keys.into_iter().map(|key| (key.clone(), self.run::<Vec<u8>>(&["DUMP", &key]))).collect()
    }
}

pub fn queue(name: &str) -> QueueName {
    QueueName::new(name.as_bytes()).unwrap()
}

pub fn q() -> QueueName {
    queue("q")
}

/// A payload as think-queue writes it.
pub fn body(name: &str, attempts: u32) -> String {
    format!(r#"{{"job":"J","maxTries":null,"timeout":null,"data":"{name}","id":"{name}","attempts":{attempts}}}"#)
}

pub fn push(broker: &RedisBroker, payloads: &[String]) {
    let jobs: Vec<_> = payloads.iter().map(|payload| NewJob::ready(payload.as_bytes())).collect();
    assert_eq!(broker.push_many(&q(), &jobs).unwrap(), payloads.len() as u64);
}

/// Takes without waiting.
pub fn reserve(broker: &RedisBroker, max: usize) -> Vec<Reservation> {
    broker.reserve(&[q()], max, Duration::ZERO).unwrap()
}

pub fn bodies(jobs: &[Reservation]) -> Vec<String> {
    jobs.iter().map(|job| String::from_utf8(job.body.clone()).unwrap()).collect()
}

/// A reserve that waits takes a job soon after another connection pushed it. The quickest of five counts: a busy machine may be
/// late, a driver that polls slowly always is.
pub fn taken_soon_after_a_push(server: &Server, broker: &RedisBroker) {
    let mut redis = server.inspect();
    let mut waits = Vec::new();
    for round in 0..5 {
        let (jobs, pushed, taken) = thread::scope(|scope| {
            let waiting = scope.spawn(|| (broker.reserve(&[q()], 1, Duration::from_secs(1)).unwrap(), Instant::now()));
            redis.until_a_client_is_blocked();
            let pushed = Instant::now();
            redis.run::<i64>(&["RPUSH", READY, &body(&round.to_string(), 0)]);
            let (jobs, taken) = waiting.join().unwrap();
            (jobs, pushed, taken)
        });
        if !jobs.is_empty() {
            waits.push(taken.saturating_duration_since(pushed));
        }
    }
    let quickest = waits.iter().min().expect("a push was seen");
    assert!(*quickest < Duration::from_millis(10), "{waits:?}");
}

impl Inspector {
    /// Waits until some client blocks in `BLMOVE`.
    pub fn until_a_client_is_blocked(&mut self) {
        let give_up = Instant::now() + Duration::from_secs(5);
        while !self.run::<String>(&["INFO", "clients"]).contains("blocked_clients:1") {
            assert!(Instant::now() < give_up, "nobody waits");
            thread::yield_now();
        }
    }
}
