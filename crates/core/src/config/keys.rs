//! The one table of configuration keys. The parser knows keys from here and nowhere else, and the tables of
//! `docs/configuration.md` are rendered from it; how a value is read is `coerce`'s business.

/// The kinds of broker a connection can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Jobs run inside push.
    Sync,
    /// Jobs live in this process.
    Memory,
    /// Redis.
    Redis,
    /// SQLite.
    Sqlite,
    /// MySQL or MariaDB.
    Mysql,
    /// PostgreSQL.
    Postgres,
    /// RabbitMQ.
    Amqp,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 7] = [Kind::Sync, Kind::Memory, Kind::Redis, Kind::Sqlite, Kind::Mysql, Kind::Postgres, Kind::Amqp];

    /// Its name in configuration (`type`).
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sync => "sync",
            Kind::Memory => "memory",
            Kind::Redis => "redis",
            Kind::Sqlite => "sqlite",
            Kind::Mysql => "mysql",
            Kind::Postgres => "postgres",
            Kind::Amqp => "amqp",
        }
    }
}

/// The array in which a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// The whole configuration.
    Top,
    /// Its `failed` array.
    Failed,
    /// Every connection.
    Every,
    /// Redis connections.
    Redis,
    /// Connections to any database.
    Sql,
    /// SQLite connections.
    Sqlite,
    /// Connections to a database server.
    SqlServer,
    /// RabbitMQ connections.
    Amqp,
    /// The `tls` array of a connection.
    Tls,
}

impl Group {
    /// All groups, in the order of the docs.
    pub const ALL: [Group; 9] = [
        Group::Top,
        Group::Every,
        Group::Redis,
        Group::Sql,
        Group::Sqlite,
        Group::SqlServer,
        Group::Amqp,
        Group::Tls,
        Group::Failed,
    ];

    /// The drivers whose connections take these keys directly.
    pub fn drivers(self) -> &'static [Kind] {
        match self {
            Group::Top | Group::Failed | Group::Tls => &[],
            Group::Every => &Kind::ALL,
            Group::Redis => &[Kind::Redis],
            Group::Sql => &[Kind::Sqlite, Kind::Mysql, Kind::Postgres],
            Group::Sqlite => &[Kind::Sqlite],
            Group::SqlServer => &[Kind::Mysql, Kind::Postgres],
            Group::Amqp => &[Kind::Amqp],
        }
    }
}

/// What a key holds: how its value is read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Text.
    Text,
    /// Text that is never shown.
    Secret,
    /// A DSN, never shown because it may hold a password.
    Url,
    /// A path.
    Path,
    /// A table name: letters, digits and underscores.
    Identifier,
    /// A queue name.
    Queue,
    /// A host name, IP address, `tls://host` or the path of a socket.
    Host,
    /// Several hosts.
    Hosts,
    /// A whole number from the first to the second.
    Whole(i64, i64),
    /// Seconds, fractions allowed; 0 means the default, as think-queue's 0 means none.
    Seconds,
    /// Whole seconds, or `never`.
    Lease,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A flag or an array of the keys of [`Group::Tls`].
    Tls,
    /// Arguments of an AMQP queue.
    Arguments,
    /// An array that the parser walks itself.
    Section,
    /// What the worker's option of the same name holds: a PHP value, which the extension reads.
    WorkerOption,
    /// Anything: accepted for think-queue's sake and not read.
    Ignored,
}

/// What holds when a key is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing.
    None,
    /// It must be given.
    Required,
    /// This text, read as if it had been given.
    Value(&'static str),
    /// Depends on other keys: in words, English and Chinese.
    Words(&'static str, &'static str),
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct ConfigKey {
    /// Its name.
    pub name: &'static str,
    /// The array in which it stands.
    pub group: Group,
    /// What it holds.
    pub holds: Holds,
    /// What holds when it is not given.
    pub default: Fallback,
    /// The key it is another name for.
    pub alias_of: Option<&'static str>,
    /// Its meaning, in English.
    pub en: &'static str,
    /// Its meaning, in Chinese.
    pub zh: &'static str,
}

/// The key called `name` in `group`, with aliases resolved.
pub(super) fn in_group(group: Group, name: &str) -> Option<&'static ConfigKey> {
    resolve(name, |key| key.group == group)
}

/// The key called `name` that a connection of this kind takes, with aliases resolved.
pub(super) fn of_driver(kind: Kind, name: &str) -> Option<&'static ConfigKey> {
    resolve(name, |key| key.group.drivers().contains(&kind))
}

fn resolve(name: &str, here: impl Fn(&ConfigKey) -> bool) -> Option<&'static ConfigKey> {
    let key = KEYS.iter().find(|key| key.name == name && here(key))?;
    match key.alias_of {
        Some(target) => resolve(target, here),
        None => Some(key),
    }
}

const fn key(group: Group, name: &'static str, holds: Holds, default: Fallback, en: &'static str, zh: &'static str) -> ConfigKey {
    ConfigKey { name, group, holds, default, alias_of: None, en, zh }
}

/// Another name. What it holds is read from its target; see `resolve`.
const fn alias(group: Group, name: &'static str, of: &'static str) -> ConfigKey {
    ConfigKey { name, group, holds: Holds::Ignored, default: Fallback::None, alias_of: Some(of), en: "", zh: "" }
}

const PORT: Holds = Holds::Whole(1, 65_535);
const SETTLE: Holds = Holds::OneOf(&["pipelined", "immediate"]);
const FAMILY: Holds = Holds::OneOf(&["think3", "think3-legacy", "think1", "redis-task"]);
const FAILED: Holds = Holds::OneOf(&["none", "database", "keep", "discard"]);

/// All keys.
#[rustfmt::skip]
pub const KEYS: &[ConfigKey] = &[
    key(Group::Top, "default", Holds::Text, Fallback::Words("the only connection", "唯一的连接"),
        "The connection used when none is named. Needed when there are several.", "未指明连接时使用的连接。有多个连接时必填。"),
    key(Group::Top, "connections", Holds::Section, Fallback::Required,
        "Arrays by name, one for each connection. Names are free text.", "以名称为键的数组，每个连接一个。名称可任意。"),
    key(Group::Top, "failed", Holds::Section, Fallback::None,
        "What becomes of failed jobs, on every connection.", "失败任务的去向，对所有连接有效。"),
    key(Group::Top, "handler", Holds::WorkerOption, Fallback::None,
        "Creates the handlers of workers, of `sync` connections and of `pop()->fire()`.",
        "创建处理类实例，用于 worker、`sync` 连接与 `pop()->fire()`。"),
    key(Group::Top, "container", Holds::WorkerOption, Fallback::None,
        "A PSR-11 container that makes the handlers it has, and what `handle()` of object jobs takes.",
        "PSR-11 容器：创建其中已有的处理类，以及对象任务 `handle()` 的参数。"),
    key(Group::Top, "job", Holds::WorkerOption, Fallback::None,
        "Class or factory of the object that these handlers and the listeners of a worker receive.",
        "这些处理类与 worker 的监听器所收到的任务对象：类名或工厂。"),
    key(Group::Top, "namespace", Holds::WorkerOption, Fallback::None,
        "Namespace for short job names.", "短任务名所在的命名空间。"),

    key(Group::Every, "type", Holds::Text, Fallback::Words("from `url`", "由 `url` 决定"),
        "`redis`, `sqlite`, `mysql`, `postgres`, `amqp`, `sync`, `memory` or think-queue's `database`, in any case.",
        "`redis`、`sqlite`、`mysql`、`postgres`、`amqp`、`sync`、`memory` 或 think-queue 的 `database`，不区分大小写。"),
    key(Group::Every, "url", Holds::Url, Fallback::None,
        "A DSN. What it says wins over the keys beside it.", "DSN。其内容优先于旁边的键。"),
    key(Group::Every, "queue", Holds::Queue, Fallback::Value("default"),
        "The queue used when none is named.", "未指明队列时使用的队列。"),
    key(Group::Every, "retry_after", Holds::Lease, Fallback::Value("60"),
        "How long a reservation lasts before the job becomes available again. `never` keeps it for ever.",
        "任务被取出后多久重新可用。`never` 表示永不。"),
    key(Group::Every, "max_payload", Holds::Whole(1, 536_870_912), Fallback::Value("16777216"),
        "The largest payload in bytes that push accepts.", "push 接受的最大 payload（字节）。"),
    key(Group::Every, "prefetch", Holds::Whole(1, 10_000), Fallback::Value("64"),
        "The most jobs a worker holds at once. 1 for slow jobs.", "一个 worker 同时持有的最多任务数。慢任务用 1。"),
    key(Group::Every, "settle", SETTLE, Fallback::Value("pipelined"),
        "`pipelined`: `delete()` is sent within a millisecond, many in one trip; on Redis that of the last job in hand with the next request, within 200 ms. `immediate`: `delete()` returns after the broker's answer.",
        "`pipelined`：`delete()` 在一毫秒内批量发送；在 Redis 上，手中最后一个任务的删除随下一个请求发出，最多 200 毫秒。`immediate`：收到消息服务响应后 `delete()` 才返回。"),
    key(Group::Every, "family", FAMILY, Fallback::Value("think3"),
        "The think-queue on the other side: v3.0.5 and later is `think3`, v3.0.0 to v3.0.4 `think3-legacy`, v1 and v2 `think1`. On Redis also `redis-task`: plain tasks, see `Ferry\\RedisTask`.",
        "对端的 think-queue：v3.0.5 及以后为 `think3`，v3.0.0 至 v3.0.4 为 `think3-legacy`，v1 与 v2 为 `think1`。Redis 上还可为 `redis-task`：纯 Redis 任务，见 `Ferry\\RedisTask`。"),
    key(Group::Every, "failed", Holds::OneOf(&["keep", "discard"]), Fallback::Words("`failed.type`", "`failed.type`"),
        "Failed jobs of this connection, when it differs from the others.", "本连接失败任务的去向（与其他连接不同时）。"),
    key(Group::Every, "control", Holds::Text, Fallback::Words("the connection itself", "连接自身"),
        "The connection that keeps the flags (pause, restart, stop) and the list of workers. Needed where the broker has no place for them (`amqp`).",
        "保存标志（暂停、重启、停止）与 worker 列表的连接。本身无处保存时（`amqp`）必填。"),
    key(Group::Every, "track", Holds::Flag, Fallback::Value("false"),
        "Keep the status of every job of this connection, for `Ferry\\Status`. Kept where the flags are.",
        "保存本连接每个任务的状态，供 `Ferry\\Status` 查询。与标志保存在同一处。"),
    key(Group::Every, "status_ttl", Holds::Whole(1, 31_536_000), Fallback::Value("86400"),
        "Seconds that a status is kept after the last word about its job.", "任务最后一次状态变化后，状态保留的秒数。"),
    key(Group::Every, "push_buffer", Holds::Whole(0, 100_000), Fallback::Value("0"),
        "How many pushed jobs may wait in the process and be sent together, at `flush()` or at the end of the request. 0: each push stores its job. See [buffered push](buffered-push.md) for what can be lost.",
        "最多有多少任务可在进程内等待，在 `flush()` 或请求结束时一起发送。0：每次 push 立即写入。可能丢失什么，见[缓冲推送](buffered-push.md)。"),
    key(Group::Every, "block_for", Holds::Ignored, Fallback::None,
        "Accepted and not used: Ferry waits natively, on all queues of a worker, without taking.",
        "接受但不使用：Ferry 以原生方式等待 worker 的所有队列，等待时不取任务。"),
    key(Group::Every, "persistent", Holds::Ignored, Fallback::None,
        "Accepted and not used: connections always outlive the request.", "接受但不使用：连接总是跨请求保持。"),

    key(Group::Redis, "host", Holds::Host, Fallback::Value("127.0.0.1"),
        "Host name or IP address; `tls://host` turns TLS on; `/path` or `unix:///path` is a socket.",
        "主机名或 IP；`tls://host` 启用 TLS；`/path` 或 `unix:///path` 为套接字。"),
    key(Group::Redis, "port", PORT, Fallback::Value("6379"), "Port.", "端口。"),
    key(Group::Redis, "socket", Holds::Path, Fallback::None,
        "Path of a Unix socket, instead of `host` and `port`.", "Unix 套接字路径，代替 `host` 与 `port`。"),
    alias(Group::Redis, "unix_socket", "socket"),
    alias(Group::Redis, "path", "socket"),
    key(Group::Redis, "username", Holds::Text, Fallback::None, "ACL user, Redis 6 and up. Needs a password.", "ACL 用户（Redis 6 起），需要密码。"),
    alias(Group::Redis, "user", "username"),
    key(Group::Redis, "password", Holds::Secret, Fallback::None, "Password.", "密码。"),
    key(Group::Redis, "select", Holds::Whole(0, 2_147_483_647), Fallback::Value("0"), "Database number.", "数据库编号。"),
    alias(Group::Redis, "db", "select"),
    alias(Group::Redis, "database", "select"),
    key(Group::Redis, "timeout", Holds::Seconds, Fallback::Value("5"),
        "How long connecting may take, TLS and login included.", "连接（含 TLS 与登录）的最长时间。"),
    key(Group::Redis, "read_timeout", Holds::Seconds, Fallback::Value("10"), "How long an answer may take.", "等待响应的最长时间。"),
    key(Group::Redis, "tls", Holds::Tls, Fallback::Words("off", "关"), "TLS. `rediss://` and `tls://host` turn it on as well.", "TLS。`rediss://` 与 `tls://host` 也会启用。"),

    key(Group::Sql, "driver", Holds::OneOf(&["mysql", "mariadb", "postgres", "postgresql", "pgsql", "sqlite"]), Fallback::None,
        "Which database `type => 'database'` means, when there is no `url`.", "没有 `url` 时，`type => 'database'` 指的数据库。"),
    key(Group::Sql, "table", Holds::Identifier, Fallback::Value("jobs"), "The table of jobs.", "任务表。"),
    key(Group::Sql, "failed_table", Holds::Identifier, Fallback::Words("`failed.table`, else `failed_jobs`", "`failed.table`，否则 `failed_jobs`"),
        "The table of failed jobs.", "失败任务表。"),
    key(Group::Sql, "prefix", Holds::Identifier, Fallback::None,
        "Stands in front of the names of both tables, as in config/database.php.", "两张表表名的前缀，同 config/database.php。"),
    key(Group::Sql, "connection", Holds::Ignored, Fallback::None,
        "Accepted and not used: a name in ThinkPHP's `config/database.php`, which Ferry does not read.",
        "接受但不使用：ThinkPHP `config/database.php` 中的名称，Ferry 不读取该文件。"),
    key(Group::Sql, "dsn", Holds::Ignored, Fallback::None,
        "Accepted and not used: think-queue v1 and v2 have it for `connection`. A DSN goes to `url`.",
        "接受但不使用：think-queue v1、v2 中相当于 `connection`。DSN 请写在 `url`。"),

    key(Group::Sqlite, "path", Holds::Path, Fallback::Required,
        "The file. Created when missing, its folder is not.", "文件。不存在时创建，目录不会创建。"),
    alias(Group::Sqlite, "database", "path"),
    key(Group::Sqlite, "busy_timeout", Holds::Seconds, Fallback::Value("10"),
        "How long a write may wait for other writers.", "写操作等待其他写者的最长时间。"),

    key(Group::SqlServer, "host", Holds::Host, Fallback::Value("127.0.0.1"), "Host name, IP address or path of a socket.", "主机名、IP 或套接字路径。"),
    alias(Group::SqlServer, "hostname", "host"),
    key(Group::SqlServer, "port", PORT, Fallback::Words("3306; PostgreSQL 5432", "3306；PostgreSQL 5432"), "Port.", "端口。"),
    alias(Group::SqlServer, "hostport", "port"),
    key(Group::SqlServer, "username", Holds::Text, Fallback::None, "User.", "用户。"),
    alias(Group::SqlServer, "user", "username"),
    key(Group::SqlServer, "password", Holds::Secret, Fallback::None, "Password.", "密码。"),
    key(Group::SqlServer, "database", Holds::Text, Fallback::Required, "Database.", "数据库。"),
    key(Group::SqlServer, "connection_timeout", Holds::Seconds, Fallback::Value("5"), "How long connecting may take.", "连接的最长时间。"),
    alias(Group::SqlServer, "timeout", "connection_timeout"),
    key(Group::SqlServer, "read_timeout", Holds::Seconds, Fallback::Value("10"), "How long an answer may take.", "等待响应的最长时间。"),
    key(Group::SqlServer, "poll_interval", Holds::Seconds, Fallback::Value("0.25"),
        "The longest pause between two looks of an idle worker. One look serves all its queues.",
        "空闲 worker 两次查询之间的最长间隔。一次查询覆盖其所有队列。"),
    key(Group::SqlServer, "socket", Holds::Path, Fallback::None,
        "Path of a Unix socket, instead of `host` and `port`.", "Unix 套接字路径，代替 `host` 与 `port`。"),
    alias(Group::SqlServer, "unix_socket", "socket"),
    key(Group::SqlServer, "tls", Holds::Tls, Fallback::Words("off", "关"), "TLS.", "TLS。"),
    key(Group::SqlServer, "charset", Holds::Ignored, Fallback::None,
        "Accepted and not used: Ferry speaks UTF-8 and payloads are bytes.", "接受但不使用：Ferry 使用 UTF-8，payload 为字节。"),
    alias(Group::SqlServer, "collation", "charset"),

    key(Group::Amqp, "host", Holds::Host, Fallback::Value("127.0.0.1"), "Host name or IP address.", "主机名或 IP。"),
    key(Group::Amqp, "hosts", Holds::Hosts, Fallback::None,
        "Several servers instead of `host`, tried in order: a list or text with commas, each `host` or `host:port`.",
        "代替 `host` 的多台服务器，依次尝试：列表或逗号分隔的文本，每项 `host` 或 `host:port`。"),
    key(Group::Amqp, "port", PORT, Fallback::Words("5672; with TLS 5671", "5672；TLS 为 5671"), "Port.", "端口。"),
    key(Group::Amqp, "user", Holds::Text, Fallback::Value("guest"), "User.", "用户。"),
    alias(Group::Amqp, "username", "user"),
    key(Group::Amqp, "password", Holds::Secret, Fallback::Value("guest"), "Password.", "密码。"),
    key(Group::Amqp, "vhost", Holds::Text, Fallback::Value("/"), "Virtual host.", "虚拟主机。"),
    key(Group::Amqp, "heartbeat", Holds::Whole(0, 65_535), Fallback::Value("60"), "Seconds between heartbeats; 0 turns them off.", "心跳间隔（秒）；0 为关闭。"),
    key(Group::Amqp, "connection_timeout", Holds::Seconds, Fallback::Value("5"), "How long connecting may take.", "连接的最长时间。"),
    alias(Group::Amqp, "timeout", "connection_timeout"),
    key(Group::Amqp, "read_write_timeout", Holds::Seconds, Fallback::Value("10"), "How long an answer may take.", "等待响应的最长时间。"),
    key(Group::Amqp, "consumer_timeout", Holds::Whole(0, 4_294_967_295), Fallback::Value("1800"),
        "RabbitMQ's `consumer_timeout` in seconds: how long it lets a job run. Ferry warns at 90 % of it; 0 means none.",
        "RabbitMQ 的 `consumer_timeout`（秒）：消息服务允许任务运行的时间。到 90% 时 Ferry 会警告；0 表示没有。"),
    key(Group::Amqp, "tls", Holds::Tls, Fallback::Words("off", "关"), "TLS. `amqps://` turns it on as well.", "TLS。`amqps://` 也会启用。"),
    key(Group::Amqp, "exchange", Holds::Text, Fallback::Words("the default exchange", "默认交换机"), "Exchange to publish to.", "发布到的交换机。"),
    key(Group::Amqp, "exchange_type", Holds::Text, Fallback::Value("direct"), "Its type.", "交换机类型。"),
    key(Group::Amqp, "queue_type", Holds::OneOf(&["quorum", "classic"]), Fallback::Value("quorum"),
        "Type of the queues we declare.", "声明的队列类型。"),
    key(Group::Amqp, "arguments", Holds::Arguments, Fallback::None, "Arguments of the queues we declare, by name.", "声明队列的参数，以名称为键。"),
    key(Group::Amqp, "priority", Holds::Whole(0, 255), Fallback::None,
        "Priority of the jobs pushed by way of this connection, the highest first. Needs queues that know it: `queue_type` `classic` and `x-max-priority` in `arguments`.",
        "经此连接推送的任务的优先级，数值高者先出。需要支持优先级的队列：`queue_type` 为 `classic`，且 `arguments` 含 `x-max-priority`。"),
    key(Group::Amqp, "declare", Holds::OneOf(&["yes", "passive", "no"]), Fallback::Value("yes"),
        "`yes` creates what is missing, `passive` checks that it is there, `no` leaves it alone.",
        "`yes` 创建缺少的，`passive` 只检查是否存在，`no` 不处理。"),

    key(Group::Tls, "verify", Holds::Flag, Fallback::Value("true"), "Check chain and host name.", "校验证书链与主机名。"),
    key(Group::Tls, "ca_file", Holds::Path, Fallback::Words("the system's", "系统自带"), "PEM file with the authorities to trust.", "受信任 CA 的 PEM 文件。"),
    key(Group::Tls, "cert_file", Holds::Path, Fallback::None, "PEM file with our certificate, when the server wants one.", "客户端证书的 PEM 文件（服务器要求时）。"),
    key(Group::Tls, "key_file", Holds::Path, Fallback::None, "PEM file with the key of `cert_file`.", "`cert_file` 的私钥 PEM 文件。"),
    key(Group::Tls, "server_name", Holds::Text, Fallback::Words("the host", "主机名"), "The name the certificate must hold.", "证书必须包含的名称。"),

    key(Group::Failed, "type", FAILED, Fallback::Value("keep"),
        "`keep`: failed jobs are kept where the jobs are; think-queue's `none` and `database` read as this. `discard` loses them.",
        "`keep`：失败任务保留在任务所在之处；think-queue 的 `none` 与 `database` 视同此项。`discard` 将丢弃。"),
    key(Group::Failed, "table", Holds::Identifier, Fallback::Value("failed_jobs"), "The table of failed jobs, on databases.", "数据库中的失败任务表。"),
    key(Group::Failed, "database", Holds::Ignored, Fallback::None,
        "Accepted and not used: failed jobs stay in the database of their connection.", "接受但不使用：失败任务留在其连接的数据库中。"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once_for_each_driver_and_an_alias_leads_to_a_key() {
        for kind in Kind::ALL {
            for key in KEYS.iter().filter(|key| key.group.drivers().contains(&kind)) {
                let same = KEYS.iter().filter(|other| other.name == key.name && other.group.drivers().contains(&kind));
                assert_eq!(same.count(), 1, "{} of {}", key.name, kind.name());
                assert!(of_driver(kind, key.name).unwrap().alias_of.is_none());
            }
        }
    }

    #[test]
    fn every_key_is_explained_in_both_languages() {
        for key in KEYS.iter().filter(|key| key.alias_of.is_none()) {
            assert!(key.en.ends_with('.') && key.zh.ends_with('。'), "{}", key.name);
        }
    }
}
