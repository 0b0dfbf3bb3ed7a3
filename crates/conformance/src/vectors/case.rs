//! One recorded case, read as what a broker is asked and what it should answer.

use std::path::PathBuf;

use ferry_core::{Due, QueueName};
use ferry_testkit::Fault;
use serde_json::{Value, json};

use super::NOW;

/// A file of recorded cases.
#[derive(Debug)]
pub struct Recording {
    age: &'static str,
    file: Value,
}

impl Recording {
    /// think-queue v1.
    pub fn think_queue_v1() -> Self {
        Self::of("v1")
    }

    /// think-queue v2.
    pub fn think_queue_v2() -> Self {
        Self::of("v2")
    }

    /// think-queue v3.
    pub fn think_queue_v3() -> Self {
        Self::of("v3")
    }

    fn of(age: &'static str) -> Self {
        Self { age, file: fixture(&format!("think-queue-{age}.json")) }
    }

    /// All recordings.
    pub fn all() -> [Self; 3] {
        [Self::think_queue_v1(), Self::think_queue_v2(), Self::think_queue_v3()]
    }

    /// Of which think-queue: `v1`, `v2` or `v3`.
    pub fn age(&self) -> &'static str {
        self.age
    }

    fn all_cases(&self) -> impl Iterator<Item = Case<'_>> {
        let all = self.file["cases"].as_array().expect("a recording holds cases");
        all.iter().map(|case| Case { recorded: case, age: self.age })
    }

    /// The cases recorded with one of these drivers.
    pub fn cases(&self, drivers: &[&str]) -> Vec<Case<'_>> {
        self.all_cases().filter(|case| drivers.contains(&case.text("driver"))).collect()
    }

    /// Whether any driver has a case that the table of deviations cites so.
    pub fn has(&self, citation: &str) -> bool {
        self.all_cases().any(|case| case.citation() == citation)
    }
}

/// A file of `fixtures/`, as JSON.
pub fn fixture(file: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(file);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{} is not JSON: {error}", path.display()))
}

/// One recorded call.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    recorded: &'a Value,
    age: &'static str,
}

impl<'a> Case<'a> {
    fn text(self, key: &str) -> &'a str {
        self.recorded[key].as_str().unwrap_or_else(|| panic!("a case has a text `{key}`: {}", self.recorded))
    }

    /// Its name, as decisions cite it.
    pub fn name(self) -> &'a str {
        self.text("name")
    }

    /// Its name in the table of deviations. Other ages than v3 have names in common with it, so theirs is said: `v1:redis/delete`.
    pub fn citation(self) -> String {
        if self.age == "v3" { self.name().to_owned() } else { format!("{}:{}", self.age, self.name()) }
    }

    /// What was called.
    pub fn operation(self) -> &'a str {
        self.text("operation")
    }

    /// The store before the call.
    pub fn before(self) -> &'a Value {
        &self.recorded["before"]
    }

    /// The store after it.
    pub fn after(self) -> &'a Value {
        &self.recorded["after"]
    }

    /// An argument, or a key of its `config`; null when absent.
    pub fn argument(self, key: &str) -> &'a Value {
        let args = &self.recorded["args"];
        if args["config"].get(key).is_some() { &args["config"][key] } else { &args[key] }
    }

    /// The queue that was meant.
    pub fn queue(self) -> QueueName {
        let config = &self.recorded["args"]["config"]["queue"];
        let default =
            config.as_str().map_or_else(QueueName::default, |name| QueueName::new(name.as_bytes()).expect("a plain name"));
        let named = self.recorded["args"]["queue"].as_str();
        QueueName::or_default(named.map(str::as_bytes), &default).expect("recorded names can be carried")
    }

    /// `retry_after` of the connection, `expire` in v1 and v2.
    pub fn retry_after(self) -> Option<u32> {
        let config = &self.recorded["args"]["config"];
        match config.get("retry_after").or_else(|| config.get("expire")) {
            None => Some(60),
            Some(seconds) => seconds.as_u64().map(|seconds| u32::try_from(seconds).expect("a small number of seconds")),
        }
    }

    /// Whether PHP refused the arguments, so that nothing was sent.
    pub fn was_refused_unsent(self) -> bool {
        self.commands().is_empty() && !self.recorded["returns"]["$throws"].is_null()
    }

    /// The recorded commands, each with its arguments.
    pub fn commands(self) -> &'a [Value] {
        self.recorded["commands"].as_array().expect("a case has commands")
    }

    /// The payloads that were pushed: the last argument of every `RPUSH` and `ZADD`, or the rows after the call.
    pub fn pushed(self) -> Vec<&'a str> {
        let rows = ["tp_jobs", "prefix_jobs"].iter().find_map(|table| self.after()[table].as_array());
        if let Some(rows) = rows {
            return rows.iter().map(|row| row["payload"].as_str().expect("a payload is text")).collect();
        }
        let last = |command: &'a Value| command.as_array().and_then(|command| command.last()).and_then(Value::as_str);
        self.commands().iter().map(|command| last(command).expect("the payload stands last")).collect()
    }

    /// When the pushed job is due.
    pub fn due(self) -> Due {
        let delay = &self.recorded["args"]["delay"];
        if !self.operation().starts_with("later") {
            return Due::Now;
        }
        let number = delay.as_f64().or_else(|| delay.as_str().and_then(|text| text.parse().ok()));
        match (number, self.recorded["args"]["php"].as_str()) {
            // v3 cuts fractions; for v1 and v2 our border rounds them up, because they keep them.
            (Some(seconds), _) if self.age == "v3" => Due::After(seconds as i64),
            (Some(seconds), _) => Due::After(seconds.ceil() as i64),
            // An absolute time; everything else PHP knows (intervals, the raw call) is relative.
            (None, Some(php)) if php.contains("new DateTime(") => Due::At(self.recorded_score()),
            (None, _) => Due::After(self.recorded_score() - NOW),
        }
    }

    fn recorded_score(self) -> i64 {
        self.commands()[0][2].as_str().and_then(|score| score.parse().ok()).expect("ZADD key score member")
    }

    /// The fault that was injected into the link, seen from a client that sends one request.
    pub fn fault(self) -> Option<Fault> {
        let fault = self.recorded["injected"][0]["fault"].as_str()?;
        Some(if fault.starts_with("server executed") { Fault::AfterServer } else { Fault::BeforeServer })
    }

    /// What another client did in between.
    pub fn other_clients_commands(self) -> Vec<&'a Value> {
        self.recorded["injected"][0]["commands"].as_array().into_iter().flatten().collect()
    }

    /// What a driver of ours should answer to be equal, in the words of [`super::replay`].
    pub fn expected_answer(self) -> Value {
        let returns = &self.recorded["returns"];
        if let Some(class) = returns["$throws"]["class"].as_str() {
            return json!({ "throws": class });
        }
        match self.operation() {
            "size" => json!({ "size": returns }),
            "pop" | "job.release+pop" if returns.is_null() => json!("nothing"),
            "pop" | "job.release+pop" => {
                json!({ "reserved": { "body": returns["getRawBody"], "attempts": returns["attempts"] } })
            }
            "job.delete" | "job.release" | "job.delete+release" => json!({ "settled": self.expected_settlements() }),
            "bulk" => json!({ "stored": self.pushed().len() }),
            _ => json!("stored"),
        }
    }

    /// On Redis the reply to `ZREM` tells whether the job was still held. A table's recording does not tell: it was, then.
    fn expected_settlements(self) -> Vec<&'static str> {
        let replies = self.recorded["replies"].as_array().into_iter().flatten();
        let removals = self.commands().iter().zip(replies).filter(|(command, _)| command[0] == "ZREM");
        let settled: Vec<_> = removals.map(|(_, reply)| if reply == 1 { "Applied" } else { "Lost" }).collect();
        if settled.is_empty() { vec!["Applied"] } else { settled }
    }
}
