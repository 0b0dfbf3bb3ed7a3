//! One connection: from its array, its DSN or both to a [`ConnectionConfig`].

use super::dsn::{self, Dsn};
use super::host::HostAddress;
use super::keys::Kind;
use super::lookalike;
use super::settings::Settings;
use super::value::find;
use super::words::{connection_place, error, shown, suggestion};
use super::{
    Address, AmqpConfig, ConnectionConfig, Declare, DriverConfig, FailedStore, QueueType, RedisConfig, Secret, SettleMode,
    SqlServerConfig, SqliteConfig, TlsConfig, Value, coerce,
};
use crate::dialect::Family;
use crate::error::{Error, Result};
use crate::queue::QueueName;

/// What the `failed` array says for all connections.
#[derive(Debug, Clone, Default)]
pub(super) struct FailedSection {
    /// Keep or discard.
    pub(super) store: FailedStore,
    /// The table, when named.
    pub(super) table: Option<String>,
}

/// A connection, and the sentences about what is not read.
pub(super) type Parsed = (ConnectionConfig, Vec<String>);

/// The array of one connection.
type Pairs = [(String, Value)];

/// Reads what stands under the name of a connection: an array.
pub(super) fn from_value(name: &str, value: &Value, failed: &FailedSection) -> Result<Parsed> {
    match value {
        Value::Map(pairs) => from_array(name, pairs, failed),
        other => Err(error(format!("{} must be an array, got {}", connection_place(name), other.described()))
            .with_advice("write ['type' => 'redis', ...], or ['url' => 'redis://...']")),
    }
}

fn from_array(name: &str, pairs: &Pairs, failed: &FailedSection) -> Result<Parsed> {
    let url = url_of(name, pairs)?;
    let kind = kind_of(name, pairs, url.as_ref())?;
    build(name, kind, pairs, url, failed)
}

/// Reads a DSN.
pub(super) fn from_dsn(name: &str, dsn: &str, failed: &FailedSection) -> Result<ConnectionConfig> {
    let url = dsn::take_apart(dsn).map_err(|e| e.within(connection_place(name)))?;
    build(name, url.kind, &[], Some(url), failed).map(|(connection, _)| connection)
}

/// What `type` can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Driver(Kind),
    Database,
    Topthink,
}

const TYPES: &[(&str, Type)] = &[
    ("redis", Type::Driver(Kind::Redis)),
    ("sqlite", Type::Driver(Kind::Sqlite)),
    ("mysql", Type::Driver(Kind::Mysql)),
    ("mariadb", Type::Driver(Kind::Mysql)),
    ("postgres", Type::Driver(Kind::Postgres)),
    ("postgresql", Type::Driver(Kind::Postgres)),
    ("pgsql", Type::Driver(Kind::Postgres)),
    ("amqp", Type::Driver(Kind::Amqp)),
    ("rabbitmq", Type::Driver(Kind::Amqp)),
    ("sync", Type::Driver(Kind::Sync)),
    ("memory", Type::Driver(Kind::Memory)),
    ("database", Type::Database),
    ("topthink", Type::Topthink),
];

/// A type by name, in any case; think-queue's own connector classes mean what they are called.
fn type_named(text: &str) -> Option<Type> {
    const CONNECTORS: &str = r"think\queue\connector\";
    let lower = text.trim().to_lowercase();
    let bare = lower.strip_prefix('\\').unwrap_or(&lower);
    let bare = bare.strip_prefix(CONNECTORS).unwrap_or(bare);
    TYPES.iter().find(|(known, _)| *known == bare).map(|(_, meaning)| *meaning)
}

fn url_of(name: &str, pairs: &Pairs) -> Result<Option<Dsn>> {
    let Some(value) = find(pairs, "url").filter(|value| value.is_set()) else { return Ok(None) };
    let text = coerce::text(value).map_err(|wrong| error(format!("{}: `url` {wrong}", connection_place(name))))?;
    dsn::take_apart(&text).map(Some).map_err(|e| e.within(format!("{}: `url`", connection_place(name))))
}

fn kind_of(name: &str, pairs: &Pairs, url: Option<&Dsn>) -> Result<Kind> {
    let place = || connection_place(name);
    let Some(value) = find(pairs, "type").filter(|value| value.is_set()) else {
        return url.map(|url| url.kind).ok_or_else(|| {
            let looks = lookalike::of_connection(pairs);
            let advice = looks.unwrap_or_else(|| "add `type`, for example 'redis', or `url`".to_owned());
            error(format!("{}: `type` is missing", place())).with_advice(advice)
        });
    };
    let text = coerce::text(value).map_err(|wrong| error(format!("{}: `type` {wrong}", place())))?;
    let kind = match type_named(&text) {
        None => return Err(unknown_type(name, &text)),
        Some(Type::Topthink) => return Err(topthink(name)),
        Some(Type::Database) => database_kind(name, pairs, url)?,
        Some(Type::Driver(kind)) => kind,
    };
    match url {
        Some(url) if url.kind != kind => {
            Err(error(format!("{}: `type` says {}, `url` says {}", place(), kind.name(), url.kind.name()))
                .with_advice("drop `type`, or correct one of them"))
        }
        _ => Ok(kind),
    }
}

fn unknown_type(name: &str, text: &str) -> Error {
    if text.contains('\\') {
        return error(format!("{}: `{}` is not a known type", connection_place(name), shown(text)))
            .with_advice("it is a connector class of the application, which only think-queue itself can use");
    }
    let known = TYPES.iter().map(|(name, _)| *name).filter(|name| *name != "topthink");
    let all = super::words::listed(known.clone());
    let advice = match super::words::nearest(text, known) {
        Some(near) => format!("did you mean `{near}`? Known are {all}"),
        None => format!("known are {all}"),
    };
    error(format!("{}: `{}` is not a known type", connection_place(name), shown(text))).with_advice(advice)
}

fn topthink(name: &str) -> Error {
    error(format!(
        "{}: type `topthink` cannot be used: think-queue's released driver cannot push either, it calls its own undefined getQueue()",
        connection_place(name)
    ))
    .with_advice("use redis, amqp or a database")
}

/// Which database `type: database` means.
fn database_kind(name: &str, pairs: &Pairs, url: Option<&Dsn>) -> Result<Kind> {
    if let Some(url) = url {
        return Ok(url.kind);
    }
    let place = connection_place(name);
    const PLACES: [&str; 4] = ["driver", "host", "hostname", "path"];
    if !PLACES.iter().any(|key| find(pairs, key).is_some_and(Value::is_set)) {
        // As think-queue ships it.
        return Err(error(format!("{place}: type `database` does not say which database")).with_advice(
            "add `url` => 'mysql://user:password@host/database', or `driver` => 'mysql' with `host`, `username`, `password`, \
             `database`, as config/database.php has them",
        ));
    }
    let Some(driver) = find(pairs, "driver").filter(|value| value.is_set()) else {
        return Err(error(format!("{place}: type `database` does not say which database"))
            .with_advice("add `driver` => 'mysql', 'postgres' or 'sqlite'"));
    };
    let driver = coerce::text(driver).map_err(|wrong| error(format!("{place}: `driver` {wrong}")))?;
    match type_named(&driver) {
        Some(Type::Driver(kind @ (Kind::Mysql | Kind::Postgres | Kind::Sqlite))) => Ok(kind),
        _ => Err(error(format!("{place}: `driver` must be a database, got `{}`", shown(&driver)))
            .with_advice(suggestion(&driver, ["mysql", "postgres", "sqlite"].into_iter()))),
    }
}

fn build(name: &str, kind: Kind, beside: &Pairs, url: Option<Dsn>, failed: &FailedSection) -> Result<Parsed> {
    let tls_by_scheme = url.as_ref().is_some_and(|url| url.tls);
    let settings = Settings::read(name, kind, beside, url.as_ref().map_or(&[], |url| &url.pairs))?;
    let family = family(&settings, kind)?;
    let connection = ConnectionConfig {
        name: name.to_owned(),
        queue: queue(&settings, family)?,
        retry_after: settings.lease("retry_after")?,
        max_payload: settings.required_number("max_payload")?,
        prefetch: settings.required_number("prefetch")?,
        settle: match settings.required_text("settle")?.as_str() {
            "immediate" => SettleMode::Immediate,
            _ => SettleMode::Pipelined,
        },
        failed: match settings.text("failed").as_deref() {
            None => failed.store,
            Some("discard") => FailedStore::Discard,
            Some(_) => FailedStore::Keep,
        },
        control: settings.text("control"),
        push_buffer: push_buffer(&settings)?,
        track: settings.flag("track"),
        status_ttl: settings.required_number("status_ttl")?,
        family,
        family_given: settings.has("family"),
        driver: driver(kind, &settings, tls_by_scheme, failed)?,
    };
    Ok((connection, settings.ignored()))
}

/// A status would say `queued` of a job that no broker has.
fn push_buffer(settings: &Settings<'_>) -> Result<usize> {
    let jobs = settings.required_number("push_buffer")?;
    if jobs > 0 && settings.flag("track") {
        return Err(settings
            .wrong("push_buffer", "cannot be used with `track`")
            .with_advice("push jobs whose status is kept to a connection without `push_buffer`"));
    }
    Ok(jobs)
}

fn driver(kind: Kind, settings: &Settings<'_>, tls_by_scheme: bool, failed: &FailedSection) -> Result<DriverConfig> {
    Ok(match kind {
        Kind::Sync => DriverConfig::Sync,
        Kind::Memory => DriverConfig::Memory,
        Kind::Redis => DriverConfig::Redis(redis(settings, tls_by_scheme)?),
        Kind::Sqlite => DriverConfig::Sqlite(sqlite(settings, failed)?),
        Kind::Mysql => DriverConfig::Mysql(sql_server(settings, failed, 3306)?),
        Kind::Postgres => DriverConfig::Postgres(sql_server(settings, failed, 5432)?),
        Kind::Amqp => DriverConfig::Amqp(amqp(settings, tls_by_scheme)?),
    })
}

fn family(settings: &Settings<'_>, kind: Kind) -> Result<Family> {
    // The key table lets no other name through.
    let family = Family::named(&settings.required_text("family")?).ok_or_else(|| settings.wrong("family", "is no family"))?;
    if family == Family::RedisTask && kind != Kind::Redis {
        return Err(settings
            .wrong("family", "is `redis-task`, which is a format on Redis")
            .with_advice("use type `redis`, or a family of think-queue"));
    }
    Ok(family)
}

/// The queue as given, or the default one of the family.
fn queue(settings: &Settings<'_>, family: Family) -> Result<QueueName> {
    let queue = if settings.has("queue") { settings.queue("queue")? } else { QueueName::new(family.default_queue().as_bytes())? };
    family.check_queue(&queue).map_err(|e| e.within(settings.place()))?;
    Ok(queue)
}

/// TLS from the key, from the scheme of a DSN, or from a host written `tls://name`.
fn tls(settings: &Settings<'_>, wanted_elsewhere: bool, address: &Address) -> Result<Option<TlsConfig>> {
    let tls = match settings.tls("tls") {
        None => wanted_elsewhere.then(coerce::tls_defaults),
        Some(None) if wanted_elsewhere => {
            return Err(settings.wrong("tls", "is off, but the scheme or the host asks for TLS"));
        }
        Some(given) => given,
    };
    match address {
        Address::Unix(_) if tls.is_some() => Err(settings.wrong("tls", "cannot be used on a Unix socket")),
        _ => Ok(tls),
    }
}

/// Address of `host` and `port`, and whether the host asked for TLS.
fn address(settings: &Settings<'_>, port: u16) -> Result<(Address, bool)> {
    Ok(match settings.host("host")? {
        HostAddress::Name { name, tls } => (Address::Tcp { host: name, port }, tls),
        HostAddress::Socket(path) => (Address::Unix(path), false),
    })
}

/// The address of `socket`, which may stand beside a `host` that every configuration has; otherwise that of `host` and `port`.
fn socket_or_address(settings: &Settings<'_>, port: u16) -> Result<(Address, bool)> {
    settings.path("socket").map_or_else(|| address(settings, port), |path| Ok((Address::Unix(path), false)))
}

fn redis(settings: &Settings<'_>, tls_by_scheme: bool) -> Result<RedisConfig> {
    let (address, tls_by_host) = socket_or_address(settings, settings.required_number("port")?)?;
    let (username, password) = (settings.text("username"), settings.secret("password"));
    if username.is_some() && password.is_none() {
        return Err(settings
            .wrong("username", "is given without a password")
            .with_advice("a DSN with a password only is redis://:password@host"));
    }
    Ok(RedisConfig {
        tls: tls(settings, tls_by_scheme || tls_by_host, &address)?,
        address,
        username,
        password,
        database: settings.required_number("select")?,
        connect_timeout: settings.seconds("timeout")?,
        io_timeout: settings.seconds("read_timeout")?,
    })
}

/// Names of the tables of jobs and of failed jobs.
fn tables(settings: &Settings<'_>, failed: &FailedSection) -> Result<(String, String)> {
    let prefix = settings.text("prefix").unwrap_or_default();
    let failed = settings.text("failed_table").or_else(|| failed.table.clone());
    let named = |table: String| match prefix.len() + table.len() {
        // The longest name of PostgreSQL, one byte less than that of MySQL.
        0..=63 => Ok([prefix.as_str(), &table].concat()),
        _ => Err(settings.wrong("prefix", "makes the name of a table longer than 63 characters")),
    };
    Ok((named(settings.required_text("table")?)?, named(failed.unwrap_or_else(|| "failed_jobs".to_owned()))?))
}

fn sqlite(settings: &Settings<'_>, failed: &FailedSection) -> Result<SqliteConfig> {
    let path = settings.required_path("path")?;
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes == b":memory:" || bytes.starts_with(b"file:") {
        return Err(settings
            .wrong("path", "must be a file on disk: jobs in SQLite's memory would be seen by one connection only")
            .with_advice("for jobs in memory use type `memory`"));
    }
    let (table, failed_table) = tables(settings, failed)?;
    Ok(SqliteConfig { path, table, failed_table, busy_timeout: settings.seconds("busy_timeout")? })
}

fn sql_server(settings: &Settings<'_>, failed: &FailedSection, port: u16) -> Result<SqlServerConfig> {
    let (address, tls_by_host) = socket_or_address(settings, settings.number("port").unwrap_or(port))?;
    let (table, failed_table) = tables(settings, failed)?;
    Ok(SqlServerConfig {
        tls: tls(settings, tls_by_host, &address)?,
        address,
        username: settings.text("username"),
        password: settings.secret("password"),
        database: settings.required_text("database")?,
        table,
        failed_table,
        connect_timeout: settings.seconds("connection_timeout")?,
        io_timeout: settings.seconds("read_timeout")?,
        poll_interval: settings.seconds("poll_interval")?,
    })
}

fn amqp(settings: &Settings<'_>, tls_by_scheme: bool) -> Result<AmqpConfig> {
    if settings.has("host") && settings.has("hosts") {
        return Err(settings.wrong("hosts", "stands beside `host`").with_advice("name one of them"));
    }
    let (first, tls_by_host) = address(settings, 0)?;
    if let Address::Unix(_) = first {
        return Err(settings.wrong("host", "must be a host name or an IP address: RabbitMQ has no Unix socket"));
    }
    let tls = tls(settings, tls_by_scheme || tls_by_host, &first)?;
    let port = settings.number("port").unwrap_or(if tls.is_some() { 5671 } else { 5672 });
    let addresses = match settings.hosts("hosts") {
        Some(hosts) => hosts.into_iter().map(|(host, own)| Address::Tcp { host, port: own.unwrap_or(port) }).collect(),
        None => vec![address(settings, port)?.0],
    };
    Ok(AmqpConfig {
        addresses,
        tls,
        username: settings.required_text("user")?,
        password: settings.secret("password").unwrap_or_else(|| Secret::new("guest")),
        vhost: settings.required_text("vhost")?,
        heartbeat: settings.required_number("heartbeat")?,
        connect_timeout: settings.seconds("connection_timeout")?,
        io_timeout: settings.seconds("read_write_timeout")?,
        consumer_timeout: settings.required_number("consumer_timeout")?,
        exchange: settings.text("exchange").unwrap_or_default(),
        exchange_type: settings.required_text("exchange_type")?,
        queue_type: match settings.required_text("queue_type")?.as_str() {
            "classic" => QueueType::Classic,
            _ => QueueType::Quorum,
        },
        arguments: settings.arguments("arguments"),
        priority: settings.number("priority"),
        declare: match settings.required_text("declare")?.as_str() {
            "passive" => Declare::Passive,
            "no" => Declare::No,
            _ => Declare::Yes,
        },
    })
}
