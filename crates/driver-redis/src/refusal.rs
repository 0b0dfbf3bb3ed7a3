//! The errors of Redis: their kind, and what the reader should do about them. One table.

use ferry_core::config::RedisConfig;
use ferry_core::{Error, ErrorKind};
use redis::ServerError;

/// One kind of refusal.
struct Refusal {
    /// A code (upper case), found as a word, or a phrase, found anywhere. Before Redis 7 the code of a script's error stands inside
    /// its text.
    sign: &'static str,
    kind: ErrorKind,
    advice: &'static str,
}

const fn row(sign: &'static str, kind: ErrorKind, advice: &'static str) -> Refusal {
    Refusal { sign, kind, advice }
}

use ErrorKind::{Connection, Refused};

/// `Connection` where waiting or a corrected login helps and nothing was carried out, `Refused` for the rest.
const TABLE: &[Refusal] = &[
    row("NOAUTH", Connection, "the server wants a password: set `password`, and `username` if it has ACL users"),
    row("WRONGPASS", Connection, "check `username` and `password`"),
    row("invalid password", Connection, "check `password`"),
    row("without any password configured", Connection, "the server has no password: remove `password`, or set `username`"),
    row("no password is set", Connection, "the server has no password: remove `password`"),
    row("DB index", Connection, "set `select` to a database the server has; 0 always exists"),
    row("SELECT is not allowed", Connection, "a cluster has database 0 only: remove `select`"),
    row("max number of clients", Connection, "raise `maxclients` on the server or run fewer processes"),
    row("LOADING", Connection, "the server is still loading its data: try again in a moment"),
    row("MASTERDOWN", Connection, "this replica has lost its primary: try again, or point the connection at the primary"),
    row("BUSY", Connection, "the server runs a slow script: try again, or end it with SCRIPT KILL"),
    row("READONLY", Refused, "this server is a read-only replica: point the connection at the primary"),
    row("OOM", Refused, "the server has reached `maxmemory`: let workers drain it, free memory or raise the limit"),
    row("MISCONF", Refused, "the server cannot save to disk: check its log and free disk space"),
    row("NOREPLICAS", Refused, "the server has too few replicas to accept writes (`min-replicas-to-write`)"),
    row("WRONGTYPE", Refused, "a key of this queue holds something else: remove that key or choose another queue name"),
    row("NOPERM", Refused, GRANT),
    row("can't run this command", Refused, GRANT),
    row("can't access at least one of the keys", Refused, GRANT),
    row("MOVED", Refused, CLUSTER),
    row("ASK", Refused, CLUSTER),
    row("CROSSSLOT", Refused, CLUSTER),
    row("CLUSTERDOWN", Refused, "the cluster has no owner for this queue: check its nodes"),
    row("TRYAGAIN", Refused, "the cluster is moving this queue: try again in a moment"),
    row("unknown command", Refused, "Redis 5.0 or later is needed, with EVALSHA, EVAL, RPUSH and ZADD not renamed"),
    row("Protocol error", Refused, "the payload is larger than the server takes (`proto-max-bulk-len`)"),
];

const GRANT: &str = "grant the ACL user: ~{queues:* (~queues:* for the older families) ~{ferry}:* +@list +@sortedset +@string +@hash +@scripting +time +del +pexpire +ping";
const CLUSTER: &str = "this node of a cluster does not hold the queue: connect to a single server or through a cluster proxy";

/// The server's answer as an error of ours.
pub fn explain(error: &ServerError, config: &RedisConfig) -> Error {
    let text = without_echo(error, config);
    let known = TABLE.iter().find(|row| contains_sign(&text, row.sign));
    let kind = known.map_or(Refused, |row| row.kind);
    let refused = Error::new(kind, format!("Redis at {} answered", config.address)).with_source(text);
    match known {
        Some(row) => refused.with_advice(row.advice),
        None => refused,
    }
}

/// Whether an answer shows that this connection leads to the wrong server by now (a failover) or has lost its login.
pub fn is_misplaced(error: &ServerError) -> bool {
    let text = full_text(error);
    ["READONLY", "NOAUTH", "MASTERDOWN", "LOADING"].iter().any(|code| contains_sign(&text, code))
}

/// Whether a refusal is about a key that holds something else.
pub fn is_wrong_type(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| contains_sign(&cause.to_string(), "WRONGTYPE"))
}

/// Whether the server does not know the command at all.
pub fn is_unknown_command(error: &ServerError) -> bool {
    full_text(error).contains("unknown command")
}

fn full_text(error: &ServerError) -> String {
    format!("{} {}", error.code(), error.details().unwrap_or_default())
}

/// The text without the arguments of an unknown command, which may be a payload or a password.
fn without_echo(error: &ServerError, config: &RedisConfig) -> String {
    let text = full_text(error);
    let text = text.split(", with args").next().unwrap_or_default().trim_end();
    match config.password.as_ref().map(|password| password.expose()) {
        Some(password) if !password.is_empty() => text.replace(password, "***"),
        _ => text.to_owned(),
    }
}

fn contains_sign(text: &str, sign: &str) -> bool {
    if sign.bytes().all(|byte| byte.is_ascii_uppercase()) {
        text.split_whitespace().any(|word| word.trim_start_matches('-') == sign)
    } else {
        text.contains(sign)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ferry_core::config::{Address, Secret};
    use redis::{Value, parse_redis_value};

    use super::*;

    fn explained(line: &str) -> Error {
        let config = RedisConfig {
            address: Address::Tcp { host: "h".into(), port: 1 },
            tls: None,
            username: None,
            password: Some(Secret::new("hunter2")),
            database: 0,
            connect_timeout: Duration::from_secs(1),
            io_timeout: Duration::from_secs(1),
        };
        let Ok(Value::ServerError(error)) = parse_redis_value(format!("-{line}\r\n").as_bytes()) else {
            panic!("{line} is no error line");
        };
        explain(&error, &config)
    }

    #[test]
    fn every_code_has_its_kind_and_advice() {
        for (line, kind, advice) in [
            ("READONLY You can't write against a read only replica.", Refused, "primary"),
            ("OOM command not allowed when used memory > 'maxmemory'.", Refused, "maxmemory"),
            ("LOADING Redis is loading the dataset in memory", Connection, "again"),
            ("MASTERDOWN Link with MASTER is down", Connection, "primary"),
            ("WRONGTYPE Operation against a key", Refused, "queue name"),
            ("MISCONF Redis is configured to save RDB snapshots", Refused, "disk"),
            ("NOPERM this user has no permissions", Refused, "grant"),
            ("MOVED 3999 127.0.0.1:6381", Refused, "cluster"),
            ("CLUSTERDOWN Hash slot not served", Refused, "cluster"),
            ("NOAUTH Authentication required.", Connection, "password"),
            ("ERR DB index is out of range", Connection, "select"),
            ("ERR max number of clients reached", Connection, "maxclients"),
        ] {
            let error = explained(line);
            assert_eq!(error.kind(), kind, "{line}");
            assert!(error.to_string().contains(advice), "{error}");
        }
    }

    #[test]
    fn a_code_inside_a_script_error_of_an_older_server_is_found() {
        let error = explained("ERR Error running script (call to f_6b): @user_script:1: -OOM command not allowed");
        assert!(error.to_string().contains("maxmemory"), "{error}");
        let error = explained("ERR Error running script (call to f_6b): @user_script: 7: WRONGTYPE Operation against");
        assert!(error.to_string().contains("queue name") && is_wrong_type(&error), "{error}");
        assert!(!is_wrong_type(&explained("OOM command not allowed")));
    }

    #[test]
    fn what_the_server_echoes_is_not_repeated() {
        let error = explained("ERR unknown command 'RPUSH', with args beginning with: 'q' '{\"card\":4111}'");
        assert!(!error.to_string().contains("4111"), "{error}");
        let error = explained("ERR something about hunter2");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
