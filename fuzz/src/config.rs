//! Configuration arrays: any can be read, what is accepted cannot be wrong, and no secret is shown.

use std::path::Path;
use std::time::Duration;

use ferry_core::ErrorKind;
use ferry_core::config::{Address, Config, ConnectionConfig, DriverConfig, KEYS, Kind, Value, parse};

use crate::reader::Reader;
use crate::secret;

/// Builds an array of the bytes and reads it.
pub fn check(bytes: &[u8]) {
    if secret::is_spoilt(bytes) {
        return;
    }
    let mut builder = Builder { reader: Reader::new(bytes), only_where_secrets_belong: true };
    builder.only_where_secrets_belong = builder.reader.flag();
    let array = builder.array();
    match parse(&array) {
        Ok(config) => {
            is_whole(&config);
            if builder.only_where_secrets_belong {
                secret::assert_hidden(&format!("{config:?}"));
            }
            config.notices().for_each(secret::assert_hidden);
            assert_eq!(parse(&array).ok(), Some(config), "the same array means something else the second time");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Config);
            secret::assert_hidden(&format!("{error} {error:?}"));
        }
    }
}

fn is_whole(config: &Config) {
    assert!(config.names().any(|name| name == config.default), "the default connection is not configured");
    for connection in &config.connections {
        assert_eq!(config.connection(&connection.name), Some(connection), "two connections have one name");
        cannot_be_wrong(connection);
    }
}

/// What the fields of an accepted connection promise.
pub fn cannot_be_wrong(connection: &ConnectionConfig) {
    assert!((1..=10_000).contains(&connection.prefetch) && connection.max_payload > 0);
    assert!(connection.retry_after != Some(0));
    match &connection.driver {
        DriverConfig::Sync | DriverConfig::Memory => {}
        DriverConfig::Redis(redis) => {
            is_an_address(&redis.address);
            are_times(&[redis.connect_timeout, redis.io_timeout]);
            assert!(redis.username.is_none() || redis.password.is_some());
        }
        DriverConfig::Sqlite(sqlite) => {
            is_a_path(&sqlite.path);
            are_identifiers(&[&sqlite.table, &sqlite.failed_table]);
            are_times(&[sqlite.busy_timeout]);
        }
        DriverConfig::Mysql(server) | DriverConfig::Postgres(server) => {
            is_an_address(&server.address);
            are_identifiers(&[&server.table, &server.failed_table]);
            are_times(&[server.connect_timeout, server.io_timeout, server.poll_interval]);
            assert!(!server.database.is_empty());
        }
        DriverConfig::Amqp(amqp) => {
            assert!(!amqp.addresses.is_empty());
            amqp.addresses.iter().for_each(is_an_address);
            are_times(&[amqp.connect_timeout, amqp.io_timeout]);
        }
    }
}

fn is_an_address(address: &Address) {
    match address {
        Address::Tcp { host, port } => {
            assert!(!host.is_empty() && *port > 0);
            assert!(!host.contains(['/', '@', '?', '#', '[', ']', ' ', '\0', '\n']), "host {host:?}");
        }
        Address::Unix(path) => is_a_path(path),
    }
}

fn is_a_path(path: &Path) {
    let bytes = path.as_os_str().as_encoded_bytes();
    assert!(!bytes.is_empty() && !bytes.contains(&0), "path {path:?}");
}

fn are_identifiers(names: &[&str]) {
    for name in names {
        assert!((1..=63).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    }
}

fn are_times(times: &[Duration]) {
    assert!(times.iter().all(|time| !time.is_zero() && *time <= Duration::from_secs(3600)));
}

/// Words that a configuration knows beside its keys and types, so that the fuzzer need not spell them.
const WORDS: &[&str] = &[
    "database",
    "topthink",
    "rabbitmq",
    "pgsql",
    "think\\queue\\connector\\Redis",
    "never",
    "think3",
    "think1",
    "discard",
    "keep",
    "none",
    "yes",
    "passive",
    "off",
    "1",
    "0",
    "1.5",
    "6379",
    "tls://host",
    "unix:///run/x.sock",
    "/run/x.sock",
    "[::1]:5672",
    "::1",
    ":memory:",
    "file:x",
    "/tmp/x.sqlite",
    "redis://h:1/2?queue=q",
    "amqps://h",
    "sqlite:/tmp/x",
    "mysql://u@h/d",
];

/// Deeper arrays mean nothing to the parser.
const DEEPEST: usize = 5;
const LONGEST: u8 = 12;

/// Makes arrays of bytes.
struct Builder<'a> {
    reader: Reader<'a>,
    /// Secrets stand under `password` and in the DSN of `url`; otherwise a DSN with a password stands anywhere.
    only_where_secrets_belong: bool,
}

impl Builder<'_> {
    /// The whole configuration: of v3, flat as in v1, or anything.
    fn array(&mut self) -> Value {
        match self.reader.byte() % 4 {
            0 => self.value("", 0),
            1 => {
                let Value::Map(mut fields) = self.connection() else { return Value::Null };
                fields.insert(0, ("connector".to_owned(), self.reader.one_of(&Kind::ALL).name().into()));
                Value::Map(fields)
            }
            _ => {
                let connections = (0..=self.reader.byte() % 3).map(|_| (self.name(), self.connection())).collect();
                let mut fields = vec![("connections".to_owned(), Value::Map(connections))];
                fields.extend(self.fields(0));
                Value::Map(fields)
            }
        }
    }

    /// The array of a connection, mostly of one that exists.
    fn connection(&mut self) -> Value {
        let mut fields = Vec::new();
        if self.reader.byte() & 7 != 0 {
            fields.push(("type".to_owned(), self.reader.one_of(&Kind::ALL).name().into()));
        }
        fields.extend(self.fields(1));
        Value::Map(fields)
    }

    fn fields(&mut self, depth: usize) -> Vec<(String, Value)> {
        let count = self.reader.byte() % LONGEST;
        let mut fields = Vec::new();
        for _ in 0..count {
            if self.reader.is_empty() {
                break;
            }
            let name = self.name();
            let value = self.value(&name, depth + 1);
            fields.push((name, value));
        }
        fields
    }

    /// A known key, a free name, or where it may stand a DSN.
    fn name(&mut self) -> String {
        match self.reader.byte() {
            0..=15 => self.reader.text(),
            16 if !self.only_where_secrets_belong => self.dsn_with_password(),
            index => KEYS[usize::from(index) % KEYS.len()].name.to_owned(),
        }
    }

    fn value(&mut self, name: &str, depth: usize) -> Value {
        match self.reader.byte() % 12 {
            0 => Value::Null,
            1 => Value::Bool(self.reader.flag()),
            2 => Value::Int(self.reader.number()),
            3 => Value::Int(self.reader.byte().into()),
            4 => Value::Float(f64::from_bits(self.reader.number() as u64)),
            5 => Value::Text(self.reader.string().to_vec()),
            6 | 7 => self.reader.one_of(WORDS).into(),
            8 => self.reader.one_of(&Kind::ALL).name().into(),
            9 => self.secret(name),
            10 if depth < DEEPEST => Value::Map(self.fields(depth)),
            _ => Value::Other("object of class X".to_owned()),
        }
    }

    fn secret(&mut self, name: &str) -> Value {
        match name {
            "password" => secret::with(&self.reader.text()).as_str().into(),
            "url" => self.dsn_with_password().as_str().into(),
            _ if self.only_where_secrets_belong => Value::Null,
            _ => self.dsn_with_password().as_str().into(),
        }
    }

    fn dsn_with_password(&mut self) -> String {
        // SQLite has no password: what stands in its place is a path, which may be shown.
        let schemes = ["redis", "rediss", "amqp", "mysql", "pgsql", "redis+unix", "sqlite"];
        let most = schemes.len() - usize::from(self.only_where_secrets_belong);
        let scheme = self.reader.one_of(&schemes[..most]);
        let (before, between, behind) = (self.reader.text(), self.reader.text(), self.reader.text());
        format!("{scheme}://{before}:{}@{behind}", secret::with(&between))
    }
}
