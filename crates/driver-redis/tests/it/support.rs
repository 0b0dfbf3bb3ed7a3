//! Brokers on real Redis servers, and what their tests say again and again.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::config::{Address, RedisConfig};
use ferry_core::job::{NewJob, Reservation};
use ferry_core::{Broker, QueueName};
use ferry_driver_redis::{RedisBroker, Settings};
use ferry_testkit::{RedisOptions, RedisServer};

/// The second at which tests stand still.
pub const NOW: i64 = 1_700_000_000;

pub const READY: &str = "{queues:q}";
pub const DELAYED: &str = "{queues:q}:delayed";
pub const RESERVED: &str = "{queues:q}:reserved";
pub const FAILED: &str = "{queues:q}:ferry:failed";

/// A running server, and brokers on it.
pub struct Server(RedisServer);

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more options; `{dir}` in them is the server's folder.
    pub fn start_with(options: &[&str]) -> Self {
        let arguments = options.iter().map(|option| (*option).to_owned()).collect();
        Self(RedisServer::with(RedisOptions { arguments, ..RedisOptions::default() }).expect("these tests need redis-server"))
    }

    pub fn port(&self) -> u16 {
        self.0.port().expect("it was started with one")
    }

    pub fn folder(&self) -> &Path {
        self.0.folder()
    }

    pub fn config(&self) -> RedisConfig {
        config_for(self.port())
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
        let client = redis::Client::open(("127.0.0.1", self.port())).unwrap();
        Inspector(client.get_connection().unwrap())
    }
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
        self.until_clients_are_blocked(1);
    }

    /// How often the server carried out a command.
    pub fn calls_of(&mut self, command: &str) -> u64 {
        let stats: String = self.run(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    /// Waits until so many clients do.
    pub fn until_clients_are_blocked(&mut self, count: usize) {
        let give_up = Instant::now() + Duration::from_secs(5);
        while !self.run::<String>(&["INFO", "clients"]).contains(&format!("blocked_clients:{count}\r")) {
            assert!(Instant::now() < give_up, "not {count} wait");
            thread::yield_now();
        }
    }
}
