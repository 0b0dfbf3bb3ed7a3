//! The parser as its callers see it: good input, bad input, and secrets that never show.

mod application;

use std::time::Duration;

use super::*;

const SECRET: &str = "s3cr3t-Pa55";

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Map(pairs.map(|(key, value)| (key.to_owned(), value)).into())
}

/// A configuration with one connection, called `c`.
fn one<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    map([("connections", map([("c", map(pairs))]))])
}

fn connection<const N: usize>(pairs: [(&str, Value); N]) -> ConnectionConfig {
    parse(&one(pairs)).unwrap().connections.remove(0)
}

/// What is said when the default connection is used.
fn refusal(value: &Value) -> Error {
    used(value).unwrap_err()
}

fn used(value: &Value) -> Result<ConnectionConfig> {
    let config = parse(value)?;
    config.find(&config.default).cloned()
}

fn dsn(dsn: &str) -> ConnectionConfig {
    connection_from_dsn("c", dsn).unwrap()
}

fn redis(connection: &ConnectionConfig) -> &RedisConfig {
    let DriverConfig::Redis(redis) = &connection.driver else { panic!("{:?}", connection.driver) };
    redis
}

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.to_owned(), port }
}

/// `config/queue.php` as think-queue v3 ships it.
fn shipped() -> Value {
    map([
        ("default", "sync".into()),
        (
            "connections",
            map([
                ("sync", map([("type", "sync".into())])),
                (
                    "database",
                    map([
                        ("type", "database".into()),
                        ("queue", "default".into()),
                        ("table", "jobs".into()),
                        ("connection", Value::Null),
                    ]),
                ),
                (
                    "redis",
                    map([
                        ("type", "redis".into()),
                        ("queue", "default".into()),
                        ("host", "127.0.0.1".into()),
                        ("port", Value::Int(6379)),
                        ("password", "".into()),
                        ("select", Value::Int(0)),
                        ("timeout", Value::Int(0)),
                        ("persistent", Value::Bool(false)),
                    ]),
                ),
            ]),
        ),
        ("failed", map([("type", "none".into()), ("table", "failed_jobs".into())])),
    ])
}

#[test]
fn the_file_that_think_queue_ships_works_unchanged() {
    let config = parse(&shipped()).unwrap();
    assert_eq!(config.default, "sync");
    assert_eq!(config.names().collect::<Vec<_>>(), ["sync", "redis", "database"]);
    let connection = config.find("redis").unwrap();
    assert_eq!((connection.queue.as_str(), connection.retry_after, connection.failed), ("default", Some(60), FailedStore::Keep));
    assert_eq!((connection.max_payload, connection.prefetch, connection.settle), (16 << 20, 64, SettleMode::Pipelined));
    let expected = RedisConfig {
        address: tcp("127.0.0.1", 6379),
        tls: None,
        username: None,
        password: None,
        database: 0,
        connect_timeout: Duration::from_secs(5),
        io_timeout: Duration::from_secs(10),
    };
    assert_eq!(redis(connection), &expected);
}

#[test]
fn a_database_connection_without_a_database_is_an_error_only_when_used() {
    let config = parse(&shipped()).unwrap();
    let error = config.find("database").unwrap_err().to_string();
    assert!(error.contains("`url`") && error.contains("`driver`") && error.contains("config/database.php"), "{error}");
    let error = refusal(&one([("type", "database".into())])).to_string();
    assert!(error.starts_with("connection `c`: type `database`"), "{error}");
}

#[test]
fn types_are_read_in_any_case_and_as_connector_classes() {
    for (name, driver) in [
        ("Redis", "redis"),
        ("SYNC", "sync"),
        ("memory", "memory"),
        (r"think\queue\connector\Redis", "redis"),
        (r"\think\queue\connector\Sync", "sync"),
        ("rabbitmq", "amqp"),
    ] {
        assert_eq!(connection([("type", name.into())]).driver.name(), driver, "{name}");
    }
    for (name, driver) in [("mysql", "mysql"), ("MariaDB", "mysql"), ("pgsql", "postgres"), ("postgresql", "postgres")] {
        assert_eq!(connection([("type", name.into()), ("database", "d".into())]).driver.name(), driver);
        let pairs = [("type", "database".into()), ("driver", name.into()), ("database", "d".into())];
        assert_eq!(connection(pairs).driver.name(), driver);
    }
    let by_url = connection([("type", "database".into()), ("url", "sqlite:/tmp/x".into())]);
    assert_eq!(by_url.driver.name(), "sqlite");
}

#[test]
fn values_are_converted_as_weak_mode_would() {
    let connection = connection([
        ("type", "redis".into()),
        ("port", "6380".into()),
        ("select", Value::Bool(true)),
        ("password", Value::Int(1234)),
        ("retry_after", Value::Float(90.0)),
        ("timeout", "2.5".into()),
        ("prefetch", " 8 ".into()),
        ("tls", Value::Int(1)),
    ]);
    let redis = redis(&connection);
    assert_eq!((&redis.address, redis.database), (&tcp("127.0.0.1", 6380), 1));
    assert_eq!(redis.password.as_ref().map(Secret::expose), Some("1234"));
    assert_eq!(redis.connect_timeout, Duration::from_millis(2500));
    assert!(redis.tls.as_ref().is_some_and(|tls| tls.verify));
    assert_eq!((connection.retry_after, connection.prefetch), (Some(90), 8));
}

#[test]
fn a_password_or_url_that_is_false_or_empty_counts_as_not_given() {
    for nothing in [Value::Null, "".into(), Value::Bool(false)] {
        let connection = connection([("type", "redis".into()), ("password", nothing.clone()), ("url", nothing)]);
        assert_eq!(redis(&connection).password, None);
    }
}

#[test]
fn retry_after_null_is_60_never_is_never_and_zero_is_an_error() {
    for (value, seconds) in [(Value::Null, Some(60)), ("never".into(), None), (Value::Int(5), Some(5)), ("Never".into(), None)] {
        assert_eq!(connection([("type", "redis".into()), ("retry_after", value)]).retry_after, seconds);
    }
    for value in [Value::Int(0), Value::Int(-1), "0".into(), Value::Bool(false), "soon".into()] {
        let error = refusal(&one([("type", "redis".into()), ("retry_after", value)])).to_string();
        assert!(error.contains("connection `c`: `retry_after` must be whole seconds from 1"), "{error}");
    }
}

#[test]
fn a_redis_host_may_be_a_socket_or_ask_for_tls() {
    let socket = connection([("type", "redis".into()), ("host", "/run/redis.sock".into())]);
    assert_eq!(redis(&socket).address, Address::Unix("/run/redis.sock".into()));
    let tls = connection([("type", "redis".into()), ("host", "tls://cache".into())]);
    assert!(redis(&tls).tls.is_some());
    assert_eq!(redis(&tls).address, tcp("cache", 6379));
}

#[test]
fn a_socket_of_redis_may_stand_under_its_own_key_beside_a_host() {
    for key in ["socket", "unix_socket", "path"] {
        let named = connection([("type", "redis".into()), ("host", "127.0.0.1".into()), (key, "/run/redis.sock".into())]);
        assert_eq!(redis(&named).address, Address::Unix("/run/redis.sock".into()), "{key}");
    }
    let empty = connection([("type", "redis".into()), ("host", "h".into()), ("socket", "".into())]);
    assert_eq!(redis(&empty).address, tcp("h", 6379));
}

#[test]
fn tls_takes_files_and_names() {
    let tls = map([
        ("verify", Value::Bool(false)),
        ("ca_file", "/ca.pem".into()),
        ("cert_file", "/c.pem".into()),
        ("key_file", "/k.pem".into()),
        ("server_name", "n".into()),
    ]);
    let connection = connection([("type", "redis".into()), ("tls", tls)]);
    let expected = TlsConfig {
        verify: false,
        ca_file: Some("/ca.pem".into()),
        cert_file: Some("/c.pem".into()),
        key_file: Some("/k.pem".into()),
        server_name: Some("n".to_owned()),
    };
    assert_eq!(redis(&connection).tls, Some(expected));
}

#[test]
fn amqp_takes_all_its_keys() {
    let connection = connection([
        ("type", "amqp".into()),
        ("hosts", map([("0", "a:5673".into()), ("1", map([("host", "b".into())]))])),
        ("user", "u".into()),
        ("password", "p".into()),
        ("vhost", "v".into()),
        ("heartbeat", Value::Int(0)),
        ("connection_timeout", Value::Int(3)),
        ("read_write_timeout", Value::Int(4)),
        ("exchange", "x".into()),
        ("exchange_type", "topic".into()),
        ("queue_type", "Classic".into()),
        ("arguments", map([("x-max-priority", Value::Int(5))])),
        ("priority", Value::Int(3)),
        ("declare", "passive".into()),
        ("tls", Value::Bool(true)),
        ("failed", "discard".into()),
    ]);
    assert_eq!(connection.failed, FailedStore::Discard);
    let DriverConfig::Amqp(amqp) = connection.driver else { panic!() };
    assert_eq!(amqp.addresses, [tcp("a", 5673), tcp("b", 5671)]);
    assert_eq!((amqp.username.as_str(), amqp.password.expose(), amqp.vhost.as_str()), ("u", "p", "v"));
    assert_eq!((amqp.heartbeat, amqp.connect_timeout.as_secs(), amqp.io_timeout.as_secs()), (0, 3, 4));
    assert_eq!((amqp.exchange.as_str(), amqp.exchange_type.as_str()), ("x", "topic"));
    assert_eq!((amqp.queue_type, amqp.declare, amqp.priority), (QueueType::Classic, Declare::Passive, Some(3)));
    assert_eq!(amqp.arguments, [("x-max-priority".to_owned(), Value::Int(5))]);
}

#[test]
fn an_empty_amqp_connection_is_a_local_rabbitmq() {
    let DriverConfig::Amqp(amqp) = connection([("type", "amqp".into())]).driver else { panic!() };
    assert_eq!(amqp.addresses, [tcp("127.0.0.1", 5672)]);
    assert_eq!((amqp.username.as_str(), amqp.password.expose(), amqp.vhost.as_str()), ("guest", "guest", "/"));
    assert_eq!((amqp.exchange.as_str(), amqp.queue_type, amqp.declare), ("", QueueType::Quorum, Declare::Yes));
}

#[test]
fn the_failed_array_keeps_unless_discard_is_asked_for() {
    for (word, store) in [("none", FailedStore::Keep), ("database", FailedStore::Keep), ("discard", FailedStore::Discard)] {
        let config = map([
            ("connections", map([("c", map([("type", "sqlite".into()), ("path", "/x".into())]))])),
            ("failed", map([("type", word.into()), ("table", "broken".into()), ("database", "mysql".into())])),
        ]);
        let connection = parse(&config).unwrap().connections.remove(0);
        assert_eq!(connection.failed, store);
        let DriverConfig::Sqlite(sqlite) = connection.driver else { panic!() };
        assert_eq!((sqlite.table.as_str(), sqlite.failed_table.as_str()), ("jobs", "broken"));
    }
}

#[test]
fn the_default_is_the_only_connection_or_must_be_named() {
    let both = || map([("a", map([("type", "sync".into())])), ("b", map([("type", "memory".into())]))]);
    assert_eq!(parse(&one([("type", "sync".into())])).unwrap().default, "c");
    assert_eq!(parse(&map([("default", "b".into()), ("connections", both())])).unwrap().default, "b");
    let error = refusal(&map([("connections", both())])).to_string();
    assert!(error.contains("`default` is missing") && error.contains("`a`, `b`"), "{error}");
    let error = refusal(&map([("default", "z".into()), ("connections", both())])).to_string();
    assert!(error.contains("`z` is not configured") && error.contains("`a`, `b`"), "{error}");
    assert!(refusal(&map([("connections", map([]))])).to_string().contains("empty"));
}

#[test]
fn a_flat_v1_array_is_a_connection_of_think1_unless_it_names_a_family() {
    let flat = |family: Option<&str>| {
        let mut pairs = vec![
            ("connector", r"think\queue\connector\Redis".into()),
            ("expire", Value::Null),
            ("default", "mail".into()),
            ("host", "h".into()),
        ];
        pairs.extend(family.map(|family| ("family", Value::from(family))));
        let config = parse(&Value::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())).unwrap();
        config.find(DEFAULT_CONNECTION).unwrap().clone()
    };
    let connection = flat(None);
    assert_eq!((connection.queue.as_str(), connection.retry_after), ("mail", None));
    assert_eq!((connection.family, connection.family_given), (Family::Think1, true));
    assert_eq!(redis(&connection).address, tcp("h", 6379));
    assert_eq!(flat(Some("think3")).family, Family::Think3);
}

#[test]
fn a_family_is_one_of_four_and_the_default_is_known_to_be_a_guess() {
    for family in Family::ALL {
        let connection = connection([("type", "redis".into()), ("family", family.name().into())]);
        assert_eq!((connection.family, connection.family_given), (family, true));
    }
    let guessed = connection([("type", "redis".into())]);
    assert_eq!((guessed.family, guessed.family_given), (Family::Think3, false));
    assert_eq!(refusal(&one([("type", "redis".into()), ("family", "laravel".into())])).kind(), ErrorKind::Config);
}

#[test]
fn plain_tasks_are_on_redis_and_have_a_default_queue_of_their_own() {
    let family = || ("family", Value::from("redis-task"));
    assert_eq!(connection([("type", "redis".into()), family()]).queue.as_str(), "default_queue");
    assert_eq!(connection([("type", "redis".into()), family(), ("queue", "email".into())]).queue.as_str(), "email");
    for queue in ["email:ferry:reserved", "delayed_queue:email", "failed_queue:email", "{ferry}:flags"] {
        let refused = refusal(&one([("type", "redis".into()), family(), ("queue", queue.into())]));
        assert!(refused.to_string().contains("choose another name"), "{refused}");
    }
    for kind in ["memory", "sync", "amqp"] {
        let refused = refusal(&one([("type", kind.into()), family()]));
        assert!(refused.to_string().contains("use type `redis`"), "{refused}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_connection_and_what_to_do() {
    let deep = || map([("x", Value::Null)]);
    for (pairs, words) in [
        (vec![("type", "redis".into()), ("hots", "h".into())], vec!["connection `c`", "`hots`", "did you mean `host`"]),
        (vec![("type", "redis".into()), ("vhost", "h".into())], vec!["`vhost` is not a key of redis"]),
        (vec![("type", "redis".into()), ("port", Value::Int(0))], vec!["`port` must be a whole number from 1 to 65535"]),
        (vec![("type", "redis".into()), ("port", "x".into())], vec!["`port` must be", "got text"]),
        (vec![("type", "redis".into()), ("port", deep())], vec!["`port` must be", "got an array"]),
        (vec![("type", "redis".into()), ("host", "h:1".into())], vec!["`host` must be", "`port`"]),
        (vec![("type", "redis".into()), ("select", Value::Int(-1))], vec!["`select`"]),
        (vec![("type", "redis".into()), ("queue", "a\nb".into())], vec!["`queue`", "control"]),
        (vec![("type", "redis".into()), ("user", "u".into())], vec!["without a password"]),
        (vec![("type", "redis".into()), ("user", "u".into()), ("username", "u".into())], vec!["given twice"]),
        (vec![("type", "redis".into()), ("settle", "later".into())], vec!["`pipelined`, `immediate`", "got `later`"]),
        (vec![("type", "redis".into()), ("tls", map([("verfy", Value::Null)]))], vec!["`tls`", "did you mean `verify`"]),
        (vec![("type", "redis".into()), ("tls", map([("cert_file", "/x".into())]))], vec!["both `cert_file` and `key_file`"]),
        (vec![("type", "redis".into()), ("tls", "1".into()), ("host", "/s".into())], vec!["Unix socket"]),
        (vec![("type", "redis".into()), ("tls", "off".into()), ("host", "tls://h".into())], vec!["asks for TLS"]),
        (vec![("type", "rediss".into())], vec!["`rediss` is not a known type", "did you mean `redis`", "`amqp`"]),
        (vec![("type", "kafka".into())], vec!["`kafka` is not a known type", "known are `redis`"]),
        (vec![("type", r"app\My".into())], vec!["is not a known type", "connector class of the application"]),
        (vec![("type", "null".into())], vec!["is not a known type"]),
        (vec![("type", "topthink".into())], vec!["undefined getQueue()"]),
        (vec![("type", "database".into()), ("host", "h".into())], vec!["add `driver`"]),
        (vec![("type", "database".into()), ("driver", "oracle".into())], vec!["`driver` must be a database"]),
        (vec![("host", "h".into())], vec!["`type` is missing"]),
        (vec![("type", "mysql".into())], vec!["`database` is missing"]),
        (
            vec![("type", "mysql".into()), ("database", "d".into()), ("prefix", "p".repeat(60).as_str().into())],
            vec!["`prefix` makes the name of a table longer"],
        ),
        (vec![("type", "sqlite".into())], vec!["`path` is missing"]),
        (vec![("type", "sqlite".into()), ("path", ":memory:".into())], vec!["type `memory`"]),
        (vec![("type", "sqlite".into()), ("path", "/x".into()), ("table", "a b".into())], vec!["`table`", "underscores"]),
        (vec![("type", "amqp".into()), ("host", "a".into()), ("hosts", "b".into())], vec!["`hosts` stands beside `host`"]),
        (vec![("type", "amqp".into()), ("hosts", map([]))], vec!["at least one host"]),
        (
            vec![("type", "amqp".into()), ("hosts", map([("host", "a".into()), ("password", SECRET.into())]))],
            vec!["`hosts` must be a list", "`host`", "[['host'"],
        ),
        (vec![("type", "amqp".into()), ("arguments", deep())], vec!["`arguments`", "`x` is null"]),
        (vec![("type", "redis".into()), ("url", "amqp://h".into())], vec!["`type` says redis, `url` says amqp"]),
        (vec![("url", "redsi://h".into())], vec!["`url`", "did you mean `redis:`"]),
    ] {
        let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let error = refusal(&map([("connections", map([("c", Value::Map(pairs))]))])).to_string();
        for word in words {
            assert!(error.contains(word), "{word} in: {error}");
        }
        assert!(error.contains("connection `c`"), "{error}");
    }
}

#[test]
fn what_is_wrong_around_the_connections_is_named() {
    for (value, words) in [
        (Value::Null, "must be an array, got null"),
        (Value::Other("object of class X".to_owned()), "got object of class X"),
        (map([]), "no `connections`"),
        (map([("conections", map([]))]), "did you mean `connections`"),
        (map([("connections", "x".into())]), "`connections` must be an array"),
        (map([("connections", map([("", map([]))]))]), "empty name"),
        (map([("connections", map([("a", "x".into())]))]), "connection `a` must be an array"),
        (map([("defualt", "a".into()), ("connections", map([]))]), "did you mean `default`"),
        (map([("failed", map([("tpye", "none".into())]))]), "did you mean `type`"),
        (map([("failed", map([("type", "redis".into())]))]), "`discard`"),
        (map([("failed", "none".into())]), "`failed` must be an array"),
    ] {
        let error = refusal(&value);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(words), "{words} in: {error}");
    }
    assert!(not_configured().to_string().contains("FERRY_URL"));
}

#[test]
fn redis_dsns_are_taken_apart() {
    let full = dsn("redis://us%65r:p%40%2F%23ss@cache:6380/3?queue=mail&retry_after=90&read_timeout=2&prefetch=1");
    assert_eq!((full.queue.as_str(), full.retry_after, full.prefetch), ("mail", Some(90), 1));
    let server = redis(&full);
    assert_eq!((&server.address, server.database), (&tcp("cache", 6380), 3));
    assert_eq!(server.username.as_deref(), Some("user"));
    assert_eq!(server.password.as_ref().map(Secret::expose), Some("p@/#ss"));
    assert!(server.tls.is_none());

    assert!(redis(&dsn("rediss://cache")).tls.is_some());
    assert_eq!(redis(&dsn("redis://")).address, tcp("127.0.0.1", 6379));
    assert_eq!(redis(&dsn("redis://[::1]:7")).address, tcp("::1", 7));
    assert_eq!(redis(&dsn("REDIS://h/")).database, 0);
    assert_eq!(redis(&dsn("rediss://h?tls[verify]=0&tls[ca_file]=/ca")).tls.as_ref().map(|tls| tls.verify), Some(false));
    let socket = dsn("redis+unix:///run/my%20redis.sock?db=1");
    assert_eq!((&redis(&socket).address, redis(&socket).database), (&Address::Unix("/run/my redis.sock".into()), 1));
    let socket = dsn("redis+unix://:pw@/run/redis.sock");
    assert_eq!(redis(&socket).address, Address::Unix("/run/redis.sock".into()));
    assert_eq!(redis(&socket).password.as_ref().map(Secret::expose), Some("pw"));
}

#[test]
fn amqp_dsns_are_taken_apart() {
    let amqp = |text: &str| match dsn(text).driver {
        DriverConfig::Amqp(amqp) => amqp,
        other => panic!("{other:?}"),
    };
    for (text, vhost) in
        [("amqp://h", "/"), ("amqp://h/", "/"), ("amqp://h/%2F", "/"), ("amqp://h/v", "v"), ("amqp://h?vhost=w", "w")]
    {
        assert_eq!(amqp(text).vhost, vhost, "{text}");
    }
    let full = amqp("amqps://u:p@h/v?arguments[x-max-length]=10&hosts=&declare=no");
    assert_eq!((full.addresses, full.username.as_str()), (vec![tcp("h", 5671)], "u"));
    assert_eq!(full.arguments, [("x-max-length".to_owned(), Value::Int(10))]);
    assert_eq!(amqp("amqp://?hosts=a,b:1").addresses, [tcp("a", 5672), tcp("b", 1)]);
}

#[test]
fn a_database_server_takes_think_phps_keys() {
    let pairs = [
        ("type", "database".into()),
        ("driver", "mysql".into()),
        ("hostname", "db".into()),
        ("hostport", "3307".into()),
        ("username", "u".into()),
        ("password", "p".into()),
        ("database", "shop".into()),
        ("charset", "utf8mb4".into()),
        ("prefix", "tp_".into()),
        ("persistent", Value::Bool(true)),
    ];
    let DriverConfig::Mysql(server) = connection(pairs).driver else { panic!() };
    assert_eq!((server.address, server.database.as_str()), (tcp("db", 3307), "shop"));
    assert_eq!((server.table.as_str(), server.failed_table.as_str()), ("tp_jobs", "tp_failed_jobs"));
    let DriverConfig::Mysql(server) = dsn("mysql://u:p@localhost/d?unix_socket=/run/db.sock&poll_interval=0.1").driver else {
        panic!()
    };
    assert_eq!(server.address, Address::Unix("/run/db.sock".into()));
    assert_eq!(server.poll_interval, Duration::from_millis(100));
}

#[test]
fn database_dsns_are_taken_apart() {
    for (text, port) in
        [("mysql://u:p@h/d", 3306), ("mariadb://u:p@h/d", 3306), ("postgres://u:p@h/d", 5432), ("pgsql://u:p@h:1/d", 1)]
    {
        let (DriverConfig::Mysql(server) | DriverConfig::Postgres(server)) = dsn(text).driver else { panic!() };
        assert_eq!((server.address, server.database.as_str()), (tcp("h", port), "d"));
    }
    for (text, path) in [
        ("sqlite:jobs.db", "jobs.db"),
        ("sqlite:/a/b.db", "/a/b.db"),
        ("sqlite:///a/b.db?table=t", "/a/b.db"),
        ("sqlite:a%20b", "a b"),
        ("sqlite:/a@b", "/a@b"),
    ] {
        let DriverConfig::Sqlite(sqlite) = dsn(text).driver else { panic!() };
        assert_eq!(sqlite.path, PathBuf::from(path));
    }
}

#[test]
fn sync_and_memory_have_dsns_too() {
    assert_eq!(dsn("sync:").driver, DriverConfig::Sync);
    assert_eq!(dsn("memory:").driver, DriverConfig::Memory);
    assert_eq!(dsn("memory://?queue=q").queue.as_str(), "q");
    assert_eq!(config_from_dsn("memory:").unwrap().find(DEFAULT_CONNECTION).unwrap().driver, DriverConfig::Memory);
}

#[test]
fn a_url_wins_over_the_keys_beside_it() {
    let connection = connection([
        ("type", "redis".into()),
        ("host", "127.0.0.1".into()),
        ("port", Value::Int(1)),
        ("db", Value::Int(1)),
        ("url", "redis://cache/2".into()),
    ]);
    let redis = redis(&connection);
    assert_eq!((&redis.address, redis.database), (&tcp("cache", 1), 2));
}

#[test]
fn bad_dsns_say_what_is_wrong() {
    for (text, words) in [
        ("", "known scheme"),
        ("redis", "known scheme"),
        ("kafka://h", "known are"),
        ("redis:h", "`//`"),
        ("redis://h:99999", "cannot be read"),
        ("redis://h/0/1", "more than one part"),
        ("redis://h/x", "`select` must be a whole number"),
        ("redis://h?port=1&port=2", "one key twice"),
        ("redis://h:1?port=2", "one key twice"),
        ("redis://h?nope=1", "`nope` is not a key of redis"),
        ("redis://h?url=redis://h", "`url` in its query"),
        ("redis://user@h", "without a password"),
        ("redis+unix://h/x", "no path"),
        ("redis+unix://", "no path"),
        ("rediss://h?tls=0", "asks for TLS"),
        ("sqlite::memory:", "type `memory`"),
        ("sqlite:", "`path` is missing"),
        ("sync://h", "`sync:`"),
        ("mysql://h", "`database` is missing"),
    ] {
        let error = connection_from_dsn("c", text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(words), "{text}: {error}");
        assert!(error.to_string().contains("connection `c`"), "{text}: {error}");
    }
}

#[test]
fn a_password_in_a_dsn_shows_nowhere_even_when_the_dsn_is_broken() {
    for shape in [
        "redis://user:SECRET@h:99999",
        "redis://user:SECRET@h/x",
        "redis://user:SECRET@h?nope=1",
        "redis://user:SECRET@h?password=SECRET&port=x",
        "redis://user:12/SECRET@h/0",
        "redis://user:12?SECRET@h",
        "redis://user:12?SECRET=1@h",
        "redis://user:12#SECRET@h",
        "redis://user:x/SECRET@h",
        "redis://:SECRET@@h/x",
        "redis://:SECRET@h a",
        "redis://[SECRET",
        "redis://h:SECRET",
        "redis:SECRET@h",
        "user:SECRET@h",
        "SECRET:x@h",
        "SECRET",
        "amqp://u:SECRET@h/a/b",
        "mysql://u:SECRET@h",
        "redis+unix://:SECRET@",
        "redis+unix://u:SECRET@h/p",
        "postgres://u:SECRET@h/d?tabel=x",
        "sync://u:SECRET@h",
        "sqlite://u:12?SECRET&x@h",
        "memory:?queue=x&SECRET&y@h",
    ] {
        let text = shape.replace("SECRET", SECRET);
        let error = connection_from_dsn("c", &text).expect_err(shape);
        let config = one([("type", "redis".into()), ("url", text.as_str().into())]);
        let host = one([("type", "redis".into()), ("host", text.as_str().into())]);
        for said in [
            error.to_string(),
            format!("{error:?}"),
            format!("{:?}", refusal(&config)),
            // Alone it could be a host name.
            if shape == "SECRET" { String::new() } else { format!("{:?}", parse(&host)) },
            // A control character makes it no queue name.
            refusal(&one([("type", "redis".into()), ("queue", format!("{text}@\n").as_str().into())])).to_string(),
            format!("{config:?}"),
            masked(&text),
        ] {
            assert!(!said.contains(SECRET), "{shape}: {said}");
        }
    }
}

#[test]
fn a_password_in_an_array_shows_nowhere_whatever_else_is_wrong() {
    let good = || {
        vec![
            ("username".to_owned(), Value::from("u")),
            ("password".to_owned(), Value::from(SECRET)),
            ("pasword".to_owned(), Value::from(SECRET)),
            ("url".to_owned(), Value::Text(format!("redis://u:{SECRET}@h").into_bytes())),
        ]
    };
    for kind in ["redis", "mysql", "amqp", "database", "topthink", "nope", SECRET_IN_TYPE] {
        for drop in 0..16_usize {
            let mut pairs: Vec<_> =
                good().into_iter().enumerate().filter(|(at, _)| drop & (1 << at) == 0).map(|(_, pair)| pair).collect();
            pairs.push(("type".to_owned(), kind.into()));
            let value = map([("connections", map([("c", Value::Map(pairs))]))]);
            let said = match used(&value) {
                Ok(connection) => format!("{connection:?} {:?}", parse(&value)),
                Err(error) => format!("{error} {error:?} {:?}", parse(&value)),
            };
            assert!(!said.contains(SECRET) && !format!("{value:?}").contains(SECRET), "{said}");
        }
    }
}

const SECRET_IN_TYPE: &str = "redis://:s3cr3t-Pa55@h";

/// A value that a key of this kind takes.
fn example(key: &ConfigKey) -> Value {
    match key.holds {
        Holds::Text | Holds::Secret | Holds::Path | Holds::Identifier | Holds::Queue | Holds::Host => "x".into(),
        Holds::Ignored | Holds::WorkerOption => "x".into(),
        Holds::Hosts => "x:1,y".into(),
        Holds::Url => "".into(),
        Holds::Whole(least, _) => Value::Int(least),
        Holds::Seconds | Holds::Lease => Value::Int(7),
        Holds::Flag | Holds::Tls => Value::Bool(true),
        Holds::OneOf(words) => words[0].into(),
        Holds::Arguments | Holds::Section => map([]),
    }
}

#[test]
fn every_key_of_the_table_is_taken_by_each_driver_it_belongs_to() {
    for key in KEYS.iter().filter(|key| key.name != "type") {
        for kind in key.group.drivers() {
            let target = keys::of_driver(*kind, key.name).unwrap();
            let mut pairs = vec![("type".to_owned(), Value::from(kind.name())), (key.name.to_owned(), example(target))];
            for needed in ["path", "database", "password"] {
                let required =
                    KEYS.iter().any(|key| key.name == needed && key.group.drivers().contains(kind) && key.alias_of.is_none());
                if required && needed != target.name {
                    pairs.push((needed.to_owned(), "x".into()));
                }
            }
            let whole = map([("connections", map([("c", Value::Map(pairs))]))]);
            assert!(used(&whole).is_ok(), "{} of {}: {:?}", key.name, kind.name(), used(&whole));
            assert_eq!(parse(&whole).unwrap().ignored, [""; 0], "{} of {}", key.name, kind.name());
        }
    }
}

/// Numbers that look random and are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn text(&mut self) -> Value {
        const PIECES: &[&str] = &[
            "redis", "://", "amqp", "sqlite:", "@", ":", "/", "?", "#", "%", "%zz", "%00", "[", "]", "h", "0", "-1", "9e99", "=",
            "&", "tls", "memory", "sync", "database", " ", "队", "\0", "\n", "never", "unix://", ",", "mysql", "driver", "::1",
        ];
        let mut bytes: Vec<u8> = (0..self.below(7)).flat_map(|_| self.pick(PIECES).bytes()).collect();
        if self.below(20) == 0 {
            bytes.push(0xff);
        }
        Value::Text(bytes)
    }

    fn scalar(&mut self) -> Value {
        const FLOATS: &[f64] = &[0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, -1e300, 1e-300, 4e9];
        const INTS: &[i64] = &[0, 1, -1, 60, 65_536, i64::MIN, i64::MAX];
        match self.below(6) {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 0),
            2 => Value::Int(INTS[self.below(INTS.len())]),
            3 => Value::Float(FLOATS[self.below(FLOATS.len())]),
            4 => Value::Other("a closure".to_owned()),
            _ => self.text(),
        }
    }

    fn value(&mut self, depth: usize) -> Value {
        if depth == 0 || self.below(3) == 0 {
            return self.scalar();
        }
        let entries = (0..self.below(5)).map(|_| (self.name(), self.value(depth - 1))).collect();
        Value::Map(entries)
    }

    fn name(&mut self) -> String {
        let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        match self.below(8) {
            0 => String::new(),
            1 => "connector".to_owned(),
            2 => "队列".to_owned(),
            _ => self.pick(&names).to_owned(),
        }
    }

    /// A connection that is wrong in few places, so that the deeper code is reached too.
    fn connection(&mut self) -> Value {
        let mut pairs =
            vec![("type".to_owned(), Value::from(self.pick(&["redis", "amqp", "sqlite", "mysql", "database", "sync"])))];
        for _ in 0..self.below(4) {
            let value = if self.below(2) == 0 { self.text() } else { self.value(2) };
            pairs.push((self.name(), value));
        }
        Value::Map(pairs)
    }
}

#[test]
fn no_value_makes_the_parser_panic() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut good = 0;
    for _ in 0..20_000 {
        let _ = parse(&numbers.value(4));
        let connection = map([("c", numbers.connection())]);
        if let Ok(config) = parse(&map([("connections", connection), ("failed", numbers.value(1))])) {
            assert!(config.names().any(|name| name == config.default));
            good += usize::from(config.find(&config.default).is_ok());
        }
        if let Value::Text(text) = numbers.text() {
            let text = String::from_utf8_lossy(&text);
            let _ = connection_from_dsn("c", &text);
            let _ = masked(&text);
        }
    }
    assert!(good > 100, "{good} configurations were good");
}
