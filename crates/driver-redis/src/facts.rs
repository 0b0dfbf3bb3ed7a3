//! `Admin::facts`: version, role, limits, memory and clock skew of the server.

use std::collections::HashMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ferry_core::Result;
use ferry_core::broker::Fact;
use redis::{Cmd, Value, cmd};

use crate::RedisBroker;
use crate::link::{Effect, RedisRequest};
use crate::reply::{bulks, pairs, text};

/// Whatever the server's rules let this user see; what is refused is left out.
pub fn facts(broker: &RedisBroker) -> Result<Vec<(&'static str, Fact)>> {
    let mut facts = vec![("driver", Fact::Text("redis".to_owned()))];
    facts.extend(clock(broker)?);
    let commands =
        [cmd("INFO"), cmd("CONFIG").arg("GET").arg("save").clone(), cmd("CONFIG").arg("GET").arg("maxclients").clone()];
    let mut answers = tolerant(broker, &commands)?.into_iter();
    facts.extend(answers.next().and_then(info).map(|info| from_info(&info)).unwrap_or_default());
    let mut setting = || Some(text(pairs(answers.next()?)?.pop()?.1));
    facts.extend(setting().map(|save| ("rdb", Fact::Flag(!save.is_empty()))));
    facts.extend(setting().and_then(|most| most.parse().ok()).map(|most| ("maxclients", Fact::Number(most))));
    Ok(facts)
}

/// Round trip, and how far the server's clock is ahead of ours when the trip took as long in both directions.
fn clock(broker: &RedisBroker) -> Result<Vec<(&'static str, Fact)>> {
    // The first exchange may have to connect; the second is what counts.
    tolerant(broker, &[cmd("PING")])?;
    let begun = Instant::now();
    let answer = tolerant(broker, &[cmd("TIME")])?.pop().and_then(bulks);
    let trip = begun.elapsed().as_secs_f64();
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() - trip / 2.0;
    let parts = answer.unwrap_or_default();
    let part = |at: usize| parts.get(at).and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok());
    let skew = part(0).zip(part(1)).map(|(second, micros): (f64, f64)| second + micros / 1e6 - ours);
    Ok([Some(("rtt", Fact::Seconds(trip))), skew.map(|skew| ("clock_skew", Fact::Seconds(skew)))].into_iter().flatten().collect())
}

/// Answers as they come, refusals among them.
fn tolerant(broker: &RedisBroker, commands: &[Cmd]) -> Result<Vec<Value>> {
    let bytes: Vec<u8> = commands.iter().flat_map(Cmd::get_packed_command).collect();
    broker.settle.exchange(&RedisRequest { bytes: &bytes, replies: commands.len(), effect: Effect::Reads, doubt: "" })
}

/// The lines `name:value` of INFO.
fn info(answer: Value) -> Option<HashMap<String, String>> {
    let text = match answer {
        Value::BulkString(bytes) => text(bytes),
        Value::VerbatimString { text, .. } => text,
        _ => return None,
    };
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    Some(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

fn from_info(info: &HashMap<String, String>) -> Vec<(&'static str, Fact)> {
    let words = |name: &'static str, key: &str| info.get(key).map(|value| (name, Fact::Text(value.clone())));
    let number = |name: &'static str, key: &str| info.get(key)?.parse().ok().map(|value| (name, Fact::Number(value)));
    let flag = |name: &'static str, key: &str| info.get(key).map(|value| (name, Fact::Flag(value == "1")));
    let facts = [
        words("version", "redis_version"),
        words("role", "role"),
        number("maxmemory", "maxmemory"),
        words("maxmemory_policy", "maxmemory_policy"),
        number("used_memory", "used_memory"),
        flag("aof", "aof_enabled"),
        flag("cluster", "cluster_enabled"),
        number("connected_clients", "connected_clients"),
    ];
    facts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_info_become_facts_and_absent_lines_are_left_out() {
        let answer =
            Value::BulkString(b"# Server\r\nredis_version:7.0.15\r\nrole:master\r\naof_enabled:0\r\nmaxmemory:10\r\n".to_vec());
        let facts = from_info(&info(answer).unwrap());
        let expected = [
            ("version", Fact::Text("7.0.15".into())),
            ("role", Fact::Text("master".into())),
            ("maxmemory", Fact::Number(10)),
            ("aof", Fact::Flag(false)),
        ];
        assert_eq!(facts, expected);
    }
}
