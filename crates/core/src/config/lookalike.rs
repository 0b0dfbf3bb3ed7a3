//! Arrays of other queue systems, recognised by their keys, so that an error can say what to write instead.

use super::Value;
use super::value::find;
use super::{coerce, words};

/// What the array of a connection without `type` looks like, and what to write. Read from `driver`, which Laravel and RoadRunner
/// have in place of `type`, and which we have beside `type => 'database'`.
pub(super) fn of_connection(pairs: &[(String, Value)]) -> Option<String> {
    let driver = find(pairs, "driver").filter(|value| value.is_set()).and_then(|value| coerce::text(value).ok())?;
    if ["config", "pipelines"].iter().any(|key| matches!(find(pairs, key), Some(Value::Map(_)))) || driver == "roadrunner" {
        return Some(ROAD_RUNNER.to_owned());
    }
    let write = match driver.to_lowercase().as_str() {
        "mysql" | "mariadb" | "pgsql" | "postgres" | "postgresql" | "sqlite" => {
            return Some("add `type` => 'database': `driver` says only which database".to_owned());
        }
        "redis" => {
            "write `type` => 'redis' in place of `driver`, with `host`, `port` and `password` from config/database.php".to_owned()
        }
        "database" => {
            "write `type` => 'database' and `driver` => 'mysql', with `host`, `username`, `password` and `database` from \
                       config/database.php"
                .to_owned()
        }
        "rabbitmq" | "amqp" => {
            "write `type` => 'amqp' in place of `driver`, with `host`, `user`, `password` and `vhost`".to_owned()
        }
        "sync" => "write `type` => 'sync' in place of `driver`".to_owned(),
        other => format!("Ferry has no driver `{}`; write `type`, for example 'redis'", words::shown(other)),
    };
    Some(format!("this looks like Laravel's config/queue.php: {write}"))
}

/// What a text that is no DSN looks like, and what to pass instead.
pub(super) fn of_text(text: &str) -> Option<String> {
    let ends = |ending: &str| !text.contains('\n') && text.to_lowercase().ends_with(ending);
    if ends(".php") {
        return Some("this looks like the name of a PHP file: pass the array that it returns, with `require`".to_owned());
    }
    let is_file = [".toml", ".yaml", ".yml"].into_iter().any(ends);
    let is_content = text.contains('\n') && text.contains("jobs") && text.contains("pipelines");
    (is_file || is_content).then(|| ROAD_RUNNER.to_owned())
}

const ROAD_RUNNER: &str = "this looks like RoadRunner's configuration, whose jobs go over its own server: write `type` and the \
                           address of a broker, for example 'redis' with `host` and `port`";

/// What a whole configuration without `connections` looks like, and what to do.
pub(super) fn of_whole(top: &[(String, Value)]) -> Option<String> {
    let has = |name: &str| top.iter().any(|(key, _)| key == name);
    let inner = |name: &str| matches!(find(top, name), Some(Value::Map(inner)) if find(inner, "connections").is_some());
    if inner("queue") {
        return Some("the array under `queue` has them: pass that one".to_owned());
    }
    if has("pipelines") || has("jobs") || has("rpc") {
        return Some(ROAD_RUNNER.to_owned());
    }
    if has("transports") || has("messenger") {
        return Some(
            "this looks like the configuration of Symfony Messenger, whose format Ferry does not speak: write \
             ['default' => 'redis', 'connections' => ['redis' => ['type' => 'redis']]]"
                .to_owned(),
        );
    }
    if has("driver") {
        return of_connection(top);
    }
    (has("type") || has("url"))
        .then(|| "this is the array of one connection: wrap it as ['connections' => ['NAME' => [...]]]".to_owned())
}
