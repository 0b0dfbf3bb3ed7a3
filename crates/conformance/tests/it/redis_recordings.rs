//! Recorded Redis cases on our Redis driver.

use std::sync::Arc;
use std::time::Duration;

use ferry_conformance::servers::{LinkExt, RedisServerExt};
use ferry_conformance::vectors::{Case, Held, NOW, Stage};
use ferry_core::broker::{Settle, Settlement};
use ferry_core::dialect::{Counting, Family};
use ferry_core::payload::{find_attempts, with_attempts};
use ferry_core::{Broker, Due, NewJob, QueueName};
use ferry_driver_redis::{RedisBroker, Settings};
use ferry_testkit::{Link, RedisServer};
use serde_json::{Map, Value, json};

/// A server, and a link to it that can be broken.
pub struct RedisStage {
    server: RedisServer,
    link: Link,
    family: Family,
}

impl RedisStage {
    /// `None` when there is no server here, which has been said then.
    pub fn of(family: Family) -> Option<Self> {
        let server = RedisServer::start()?;
        let link = Link::to(server.port().expect("the server has a port"));
        Some(Self { server, link, family })
    }

    fn query<T: redis::FromRedisValue>(&self, name: &str, arguments: &[&str]) -> T {
        redis::cmd(name).arg(arguments).query(&mut self.server.connect()).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn load_key(&self, key: &str, held: &Value) {
        let items = || held["value"].as_array().expect("lists and sets hold items");
        let text = |value: &Value| value.as_str().expect("recorded values are text").to_owned();
        match held["type"].as_str() {
            Some("string") => self.query::<()>("SET", &[key, &text(&held["value"])]),
            Some("list") => items().iter().for_each(|item| self.query("RPUSH", &[key, &text(item)])),
            Some("zset") => items().iter().for_each(|item| self.query("ZADD", &[key, &text(&item[1]), &text(&item[0])])),
            other => panic!("{key} is a {other:?}"),
        }
    }

    fn read_key(&self, key: &str) -> Value {
        let kind: String = self.query("TYPE", &[key]);
        let value = match kind.as_str() {
            "string" => json!(self.query::<String>("GET", &[key])),
            "list" => json!(self.query::<Vec<String>>("LRANGE", &[key, "0", "-1"])),
            "zset" => {
                let flat: Vec<String> = self.query("ZRANGE", &[key, "0", "-1", "WITHSCORES"]);
                json!(flat.chunks(2).collect::<Vec<_>>())
            }
            other => panic!("{key} is a {other}"),
        };
        json!({ "type": kind, "value": value })
    }
}

impl Stage for RedisStage {
    fn load(&self, state: &Value) {
        self.query::<()>("FLUSHALL", &[]);
        state.as_object().expect("a state maps keys").iter().for_each(|(key, held)| self.load_key(key, held));
    }

    fn state(&self) -> Value {
        let keys: Vec<String> = self.query("KEYS", &["*"]);
        Value::Object(keys.into_iter().map(|key| (key.clone(), self.read_key(&key))).collect::<Map<_, _>>())
    }

    fn worker(&self, now: i64, retry_after: Option<u32>) -> Arc<dyn Broker> {
        let settings = Settings { family: self.family, now: Some(now), retry_after, ..Settings::default() };
        let worker = RedisBroker::new(self.server.config_at(self.link.address()), settings);
        warm_up(&worker);
        Arc::new(worker)
    }

    fn run(&self, command: &Value) {
        let words: Vec<&str> = command.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        self.query::<Whatever>(words[0], &words[1..]);
    }

    fn break_link(&self, case: Case<'_>) {
        if let Some(fault) = case.fault() {
            self.link.break_next(fault);
        }
    }

    fn is_link_armed(&self) -> bool {
        self.link.is_armed()
    }

    fn hold(&self, case: Case<'_>) -> Held {
        let worker = self.worker(NOW, case.retry_after());
        let (keys, queue) = (case.before().as_object().expect("a state maps keys"), case.queue());
        let held = keys.values().next().expect("a job that is settled lies somewhere");
        let member = held["value"][0].as_str().or_else(|| held["value"][0][0].as_str()).expect("a member is text");
        let ready = self.family.redis_keys(&queue).ready;
        self.load(&json!({ ready: { "type": "list", "value": [before_it_was_reserved(member, self.family)] } }));
        let job = worker.reserve(&[queue], 1, Duration::ZERO).unwrap().remove(0);
        if self.state() != *case.before() {
            // The recorded job had expired and lay ready again.
            self.load(case.before());
        }
        Held { worker, claim: job.claim }
    }
}

/// Any reply.
struct Whatever;

impl redis::FromRedisValue for Whatever {
    fn from_redis_value(_: redis::Value) -> Result<Self, redis::ParsingError> {
        Ok(Self)
    }
}

fn before_it_was_reserved(member: &str, family: Family) -> String {
    if family.counting() == Counting::AtReturn {
        return member.to_owned();
    }
    let at = find_attempts(member.as_bytes()).expect("a reserved member has a count");
    String::from_utf8(with_attempts(member.as_bytes(), at, at.value - 1)).expect("digits are text")
}

/// Opens every link and makes every script known, so that a fault strikes the word that is examined. Leaves nothing behind.
fn warm_up(worker: &dyn Broker) {
    let queue = QueueName::new(b"warm").expect("a plain name");
    let body = &br#"{"job":"J","attempts":0}"#[..];
    worker.push(&queue, NewJob::due(body, Due::After(0))).unwrap();
    for how in [Settlement::GiveBack, Settlement::Release { delay: 0 }, Settlement::Delete] {
        let job = worker.reserve(std::slice::from_ref(&queue), 1, Duration::ZERO).unwrap().remove(0);
        worker.settle(&[Settle { claim: job.claim, settlement: how }]).unwrap();
    }
    worker.size(&queue).unwrap();
}
