//! From PHP arrays and DSNs to a [`Config`]. This file reads the outermost array; `connection` reads what it holds.

use super::coerce::{self, Setting};
use super::connection::{self, FailedSection};
use super::flat;
use super::keys::{self, Group, KEYS};
use super::words::{error, listed, shown, suggestion};
use super::{Config, ConnectionConfig, FailedStore, Unusable, Value};
use crate::error::{Error, Result};

/// The name of a connection that was configured without one: by a DSN or a flat array.
pub const DEFAULT_CONNECTION: &str = "default";

/// Parses a configuration array: think-queue's `config/queue.php`, v3 or the flat one of v1 and v2.
pub fn parse(value: &Value) -> Result<Config> {
    let Value::Map(top) = value else {
        return Err(error(format!("the configuration must be an array, got {}", value.described())));
    };
    if flat::is_flat(top) {
        let pairs = flat::as_connection(top);
        return Ok(single(connection::from_array(DEFAULT_CONNECTION, &pairs, &FailedSection::default())?));
    }
    let mut sections = Sections::default();
    for (name, value) in top {
        sections.take(name, value)?;
    }
    sections.into_config()
}

/// Parses a DSN into a connection called `name`.
pub fn connection_from_dsn(name: &str, dsn: &str) -> Result<ConnectionConfig> {
    connection::from_dsn(name, dsn, &FailedSection::default())
}

/// A configuration of one connection, called [`DEFAULT_CONNECTION`], from a DSN.
pub fn config_from_dsn(dsn: &str) -> Result<Config> {
    connection_from_dsn(DEFAULT_CONNECTION, dsn).map(single)
}

/// What to say when nothing is configured. There is no silent default: a file in the temp folder would not be safe to share.
pub fn not_configured() -> Error {
    error("no connection is configured").with_advice(
        "call Ferry\\Queue::configure([...]), or set FERRY_URL or the ini ferry.url, for example redis://127.0.0.1:6379",
    )
}

fn single(connection: ConnectionConfig) -> Config {
    Config { default: connection.name.clone(), connections: vec![connection], unusable: Vec::new() }
}

/// The outermost keys.
#[derive(Default)]
struct Sections<'a> {
    default: Option<String>,
    connections: Option<&'a [(String, Value)]>,
    failed: FailedSection,
}

impl<'a> Sections<'a> {
    fn take(&mut self, name: &str, value: &'a Value) -> Result<()> {
        match (known(Group::Top, name)?.name, value) {
            (_, Value::Null) => {}
            ("connections", Value::Map(connections)) => self.connections = Some(connections),
            ("failed", Value::Map(failed)) => self.failed = failed_section(failed)?,
            ("default", value) => {
                self.default = Some(coerce::text(value).map_err(|wrong| error(format!("`default` {wrong}")))?);
            }
            (name, other) => return Err(error(format!("`{name}` must be an array, got {}", other.described()))),
        }
        Ok(())
    }

    fn into_config(self) -> Result<Config> {
        let connections = self.connections.ok_or_else(|| {
            error("the configuration has no `connections`")
                .with_advice("write ['default' => 'redis', 'connections' => ['redis' => ['type' => 'redis']]]")
        })?;
        let mut config = Config { default: String::new(), connections: Vec::new(), unusable: Vec::new() };
        for (name, value) in connections {
            add(&mut config, name, value, &self.failed)?;
        }
        config.default = default_of(&config, self.default)?;
        Ok(config)
    }
}

fn add(config: &mut Config, name: &str, value: &Value, failed: &FailedSection) -> Result<()> {
    if name.is_empty() {
        return Err(error("a connection has an empty name").with_advice("give it a name"));
    }
    if config.names().any(|known| known == name) {
        return Err(error(format!("the connection `{}` is configured twice", shown(name))));
    }
    let Value::Map(pairs) = value else {
        return Err(error(format!("connection `{}` must be an array, got {}", shown(name), value.described()))
            .with_advice("write ['type' => 'redis', ...], or ['url' => 'redis://...']"));
    };
    match connection::needs_database_keys(name, pairs) {
        Some(why) => config.unusable.push(Unusable { name: name.to_owned(), why: why.to_string() }),
        None => config.connections.push(connection::from_array(name, pairs, failed)?),
    }
    Ok(())
}

fn default_of(config: &Config, given: Option<String>) -> Result<String> {
    let mut names = config.names();
    let name = match (given.filter(|name| !name.is_empty()), names.next(), names.next()) {
        (Some(given), ..) => given,
        (None, Some(only), None) => only.to_owned(),
        (None, None, _) => return Err(error("`connections` is empty").with_advice("configure at least one connection")),
        (None, Some(_), Some(_)) => {
            return Err(error("`default` is missing, and there are several connections")
                .with_advice(format!("name one of {}", listed(config.names()))));
        }
    };
    match config.find(&name) {
        Ok(_) => Ok(name),
        Err(why) => Err(why.within("`default`")),
    }
}

fn known(group: Group, name: &str) -> Result<&'static keys::ConfigKey> {
    keys::in_group(group, name).ok_or_else(|| {
        let place = if group == Group::Failed { "the `failed` array" } else { "the configuration" };
        let known = KEYS.iter().filter(|key| key.group == group).map(|key| key.name);
        error(format!("`{}` is not a key of {place}", shown(name))).with_advice(suggestion(name, known))
    })
}

fn failed_section(pairs: &[(String, Value)]) -> Result<FailedSection> {
    let mut section = FailedSection::default();
    for (name, value) in pairs {
        let key = known(Group::Failed, name)?;
        let setting = coerce::coerce(key.holds, value).map_err(|wrong| error(format!("`failed`: `{name}` {wrong}")))?;
        match (key.name, setting) {
            ("type", Some(Setting::Text(word))) if word == "discard" => section.store = FailedStore::Discard,
            ("table", Some(Setting::Text(table))) => section.table = Some(table),
            _ => {}
        }
    }
    Ok(section)
}
