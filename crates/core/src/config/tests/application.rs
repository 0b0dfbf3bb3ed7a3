//! The configuration of a whole application: what is not ours stops nothing, is listed, and is recognised where it can be.

use super::*;

/// `config/queue.php` of an application that has grown: other connectors, own keys, mistakes in connections that nobody uses.
fn grown() -> Value {
    map([
        ("default", "redis".into()),
        ("prefix", "app_".into()),
        (
            "connections",
            map([
                (
                    "redis",
                    map([
                        ("type", "redis".into()),
                        ("expire", Value::Int(60)),
                        ("prefix", "app_".into()),
                        ("auth", Value::Null),
                        ("options", map([("cluster", "redis".into())])),
                        ("table", "jobs".into()),
                        ("heartbeat", Value::Int(1)),
                    ]),
                ),
                ("kafka", map([("type", r"app\queue\Kafka".into()), ("brokers", "k:9092".into())])),
                ("push", map([("type", "topthink".into()), ("token", "t".into())])),
                ("none", map([("type", "null".into())])),
                ("text", "redis".into()),
                ("port", map([("type", "redis".into()), ("port", Value::Int(0))])),
                ("slip", map([("type", "redis".into()), ("pasword", SECRET.into())])),
            ]),
        ),
        ("failed", map([("type", r"app\queue\Failer".into()), ("max_rows", Value::Int(5))])),
    ])
}

#[test]
fn what_is_not_ours_in_the_configuration_of_an_application_stops_nothing() {
    let config = parse(&grown()).unwrap();
    let connection = config.find("redis").unwrap();
    assert_eq!((connection.retry_after, connection.failed), (Some(60), FailedStore::Keep));
    assert_eq!(redis(connection).address, tcp("127.0.0.1", 6379));
    for (name, words) in [
        ("kafka", "connector class of the application"),
        ("push", "topthink"),
        ("none", "`null` is not a known type"),
        ("text", "must be an array, got text"),
        ("port", "`port` must be"),
        ("slip", "did you mean `password`"),
    ] {
        let error = config.find(name).unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains(words), "{name}: {error}");
        assert!(error.to_string().contains(&format!("connection `{name}`")), "{error}");
    }
}

#[test]
fn what_is_said_of_handlers_is_left_to_the_extension_in_either_array() {
    let ours = |name: &str| (name.to_owned(), Value::Other("an object of class Closure".to_owned()));
    for array in [shipped(), map([("connector", "Sync".into())])] {
        let Value::Map(pairs) = array else { panic!("a map") };
        let with_handlers = pairs.into_iter().chain([ours("handler"), ours("job"), ours("namespace")]);
        let config = parse(&Value::Map(with_handlers.collect())).unwrap();
        assert!(config.find(&config.default).is_ok() && config.ignored.is_empty(), "{:?}", config.ignored);
    }
    let slip = parse(&map([("connections", map([])), ("namespaces", "app".into())])).unwrap_err();
    assert!(slip.to_string().contains("did you mean `namespace`"), "{slip}");
}

#[test]
fn what_is_not_read_is_listed_with_its_place_and_without_its_value() {
    let notices = parse(&grown()).unwrap().ignored;
    for (at, words) in [
        "`prefix` is not read: it is no key of the configuration",
        "connection `redis`: `expire` is not read: it is no key of redis",
        "connection `redis`: `prefix`",
        "connection `redis`: `auth`",
        "connection `redis`: `options`",
        "connection `redis`: `table` is not read: it is no key of redis, but of sqlite, mysql, postgres",
        "connection `redis`: `heartbeat` is not read: it is no key of redis, but of amqp",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(notices.iter().any(|notice| notice.starts_with(words)), "{at} {words} in {notices:?}");
    }
    assert!(notices.iter().any(|notice| notice.starts_with("`failed`: `type` is a class")), "{notices:?}");
    assert!(
        notices.iter().any(|notice| notice.contains("`max_rows` is not read: it is no key of the `failed` array")),
        "{notices:?}"
    );
    assert_eq!(notices.len(), 9, "{notices:?}");
    assert_eq!(parse(&shipped()).unwrap().ignored, [""; 0]);
}

#[test]
fn the_notices_name_what_is_not_read_and_every_connection_that_cannot_be_used() {
    let config = parse(&grown()).unwrap();
    assert_eq!(config.notices().count(), 9 + 6);
    for piece in ["`prefix` is not read", "connection `kafka`", "connection `slip`: `pasword`"] {
        assert!(config.notices().any(|notice| notice.contains(piece)), "{piece}");
    }
    assert!(config.notices().all(|notice| !notice.contains(SECRET)));
    let shipped = parse(&shipped()).unwrap();
    assert!(shipped.notices().eq([shipped.find("database").unwrap_err().to_string()]));
}

#[test]
fn a_flat_array_may_hold_the_keys_of_every_connector() {
    let flat = map([
        ("connector", "Redis".into()),
        ("expire", Value::Int(60)),
        ("default", "mail".into()),
        ("host", "h".into()),
        ("table", "jobs".into()),
        ("dsn", map([])),
        ("token", "".into()),
        ("project_id", "".into()),
        ("max_retries", Value::Int(3)),
    ]);
    let config = parse(&flat).unwrap();
    assert_eq!(config.find(DEFAULT_CONNECTION).unwrap().queue.as_str(), "mail");
    assert_eq!(config.ignored.len(), 5, "{:?}", config.ignored);
    let class = map([("connector", r"app\My".into())]);
    assert!(refusal(&class).to_string().contains("connector class of the application"));
}

#[test]
fn a_name_near_a_missing_key_is_a_slip_and_beside_that_key_somebody_elses() {
    for (key, near) in
        [("hosts", "host"), ("vhost", "host"), ("Port", "port"), ("readTimeout", "read_timeout"), ("familly", "family")]
    {
        let error = refusal(&one([("type", "redis".into()), (key, "x".into())])).to_string();
        assert!(error.contains(&format!("did you mean `{near}`?")), "{key}: {error}");
    }
    let both = connection([("type", "redis".into()), ("host", "h".into()), ("vhost", "x".into())]);
    assert_eq!(redis(&both).address, tcp("h", 6379));
    // Nobody but us reads a DSN.
    assert!(connection_from_dsn("c", "redis://h?prefix=x").unwrap_err().to_string().contains("`prefix` is not a key of redis"));
}

#[test]
fn arrays_of_other_queue_systems_are_recognised() {
    let of = |value: Value, words: &str| {
        let error = refusal(&value).to_string();
        assert!(error.contains(words), "{words} in: {error}");
    };
    for (driver, words) in [
        ("redis", "Laravel's config/queue.php: write `type` => 'redis'"),
        ("Redis", "Laravel"),
        ("database", "write `type` => 'database'"),
        ("rabbitmq", "write `type` => 'amqp'"),
        ("sync", "write `type` => 'sync'"),
        ("sqs", "Ferry has no driver `sqs`"),
        ("roadrunner", "RoadRunner"),
        ("mysql", "add `type` => 'database'"),
    ] {
        of(one([("driver", driver.into()), ("connection", "default".into()), ("after_commit", Value::Bool(false))]), words);
    }
    of(one([("driver", "amqp".into()), ("config", map([("queue", "q".into())]))]), "RoadRunner");
    of(map([("rpc", map([])), ("jobs", map([("pipelines", map([]))]))]), "RoadRunner");
    of(map([("transports", map([("async", "amqp://h".into())]))]), "Symfony Messenger");
    of(map([("driver", "redis".into())]), "Laravel");
    of(map([("type", "redis".into())]), "array of one connection");
    of(map([("queue", shipped()), ("app", map([]))]), "under `queue`");
    // Texts in place of a DSN.
    for (text, words) in [
        ("config/queue.php", "name of a PHP file"),
        ("/etc/app/.rr.toml", "RoadRunner"),
        ("C:\\app\\rr.YAML", "RoadRunner"),
        ("[jobs]\nconsume = [\"mail\"]\n[jobs.pipelines.mail]\ndriver = \"redis\"\n", "RoadRunner"),
        ("jobs:\n  pipelines:\n    mail: { driver: memory }\n", "RoadRunner"),
        ("redsi://h", "did you mean `redis:`"),
        ("kafka://h", "known are"),
    ] {
        let error = connection_from_dsn("c", text).unwrap_err().to_string();
        assert!(error.contains(words), "{words} in: {error}");
    }
    // Laravel's whole file: said when a connection is used.
    let laravel = map([
        ("default", "redis".into()),
        ("connections", map([("redis", map([("driver", "redis".into())])), ("sqs", map([("driver", "sqs".into())]))])),
        ("batching", map([("database", "mysql".into())])),
        ("failed", map([("driver", "database-uuids".into()), ("database", "mysql".into()), ("table", "failed_jobs".into())])),
    ]);
    of(laravel, "Laravel");
}
