//! From PHP arrays and DSNs to a [`Config`]. This file reads the outermost array; `connection` reads what it holds.

use super::coerce::{self, Setting};
use super::connection::{self, FailedSection};
use super::flat;
use super::keys::{self, Group, Holds, KEYS};
use super::lookalike;
use super::words::{error, listed, misspelt, shown};
use super::{Config, ConnectionConfig, FailedStore, Unusable, Value};
use crate::error::{Error, Result};

/// The pairs of an array.
type Pairs = [(String, Value)];

/// The name of a connection that was configured without one: by a DSN or a flat array.
pub const DEFAULT_CONNECTION: &str = "default";

/// Parses a configuration array: think-queue's `config/queue.php`, v3 or the flat one of v1 and v2.
///
/// An error is about the array itself. What is wrong with a connection is an error when it is used: [`Config::find`] says it.
pub fn parse(value: &Value) -> Result<Config> {
    let Value::Map(top) = value else {
        return Err(error(format!("the configuration must be an array, got {}", value.described())));
    };
    if flat::is_flat(top) {
        let mut config = Config { default: DEFAULT_CONNECTION.to_owned(), ..empty() };
        add(&mut config, DEFAULT_CONNECTION, &Value::Map(flat::as_connection(top)), &FailedSection::default())?;
        return Ok(config);
    }
    let mut sections = Sections::default();
    for (name, value) in top {
        sections.take(name, value)?;
    }
    sections.into_config(top)
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
    Config { default: connection.name.clone(), connections: vec![connection], ..empty() }
}

fn empty() -> Config {
    Config { default: String::new(), connections: Vec::new(), unusable: Vec::new(), ignored: Vec::new() }
}

/// The outermost keys.
#[derive(Default)]
struct Sections<'a> {
    default: Option<String>,
    connections: Option<&'a Pairs>,
    failed: FailedSection,
    ignored: Vec<String>,
}

impl<'a> Sections<'a> {
    fn take(&mut self, name: &str, value: &'a Value) -> Result<()> {
        let Some(key) = known(Group::Top, name)? else {
            self.ignored.push(not_read(Group::Top, name));
            return Ok(());
        };
        match (key.name, value) {
            (_, Value::Null) => {}
            _ if key.holds == Holds::WorkerOption => {}
            ("connections", Value::Map(connections)) => self.connections = Some(connections),
            ("failed", Value::Map(failed)) => self.failed = failed_section(failed, &mut self.ignored)?,
            ("default", value) => {
                self.default = Some(coerce::text(value).map_err(|wrong| error(format!("`default` {wrong}")))?);
            }
            (name, other) => return Err(error(format!("`{name}` must be an array, got {}", other.described()))),
        }
        Ok(())
    }

    fn into_config(self, top: &Pairs) -> Result<Config> {
        let connections = self.connections.ok_or_else(|| {
            let example = "write ['default' => 'redis', 'connections' => ['redis' => ['type' => 'redis']]]";
            error("the configuration has no `connections`")
                .with_advice(lookalike::of_whole(top).unwrap_or_else(|| example.to_owned()))
        })?;
        let mut config = Config { ignored: self.ignored, ..empty() };
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
    match connection::from_value(name, value, failed) {
        Ok((connection, ignored)) => {
            config.connections.push(connection);
            config.ignored.extend(ignored);
        }
        Err(why) => config.unusable.push(Unusable { name: name.to_owned(), why: why.to_string() }),
    }
    Ok(())
}

fn default_of(config: &Config, given: Option<String>) -> Result<String> {
    let mut names = config.names();
    match (given.filter(|name| !name.is_empty()), names.next(), names.next()) {
        (Some(given), ..) if config.names().any(|name| name == given) => Ok(given),
        (Some(given), Some(_), _) => Err(config.unknown(&given).within("`default`")),
        (None, Some(only), None) => Ok(only.to_owned()),
        (_, None, _) => Err(error("`connections` is empty").with_advice("configure at least one connection")),
        (None, Some(_), Some(_)) => Err(error("`default` is missing, and there are several connections")
            .with_advice(format!("name one of {}", listed(config.names())))),
    }
}

/// The key called `name`. `None` when it is somebody else's, an error when it is a slip.
fn known(group: Group, name: &str) -> Result<Option<&'static keys::ConfigKey>> {
    if let Some(key) = keys::in_group(group, name) {
        return Ok(Some(key));
    }
    // Three letters are near to too many words: `jobs` is a section of other programs.
    let long = |key: &&keys::ConfigKey| key.group == group && key.name.len() > 3;
    match misspelt(name, KEYS.iter().filter(long).map(|key| key.name)) {
        None => Ok(None),
        Some(near) => Err(error(format!("`{}` is not a key of {}", shown(name), place_of(group)))
            .with_advice(format!("did you mean `{near}`?"))),
    }
}

fn place_of(group: Group) -> &'static str {
    if group == Group::Failed { "the `failed` array" } else { "the configuration" }
}

fn not_read(group: Group, name: &str) -> String {
    format!("`{}` is not read: it is no key of {}", shown(name), place_of(group))
}

fn failed_section(pairs: &Pairs, ignored: &mut Vec<String>) -> Result<FailedSection> {
    let mut section = FailedSection::default();
    for (name, value) in pairs {
        let Some(key) = known(Group::Failed, name)? else {
            ignored.push(not_read(Group::Failed, name));
            continue;
        };
        if key.name == "type" && is_class(value) {
            ignored.push(
                "`failed`: `type` is a class, which only think-queue itself can use: failed jobs are kept where the jobs are"
                    .to_owned(),
            );
            continue;
        }
        let setting = coerce::coerce(key.holds, value).map_err(|wrong| error(format!("`failed`: `{name}` {wrong}")))?;
        match (key.name, setting) {
            ("type", Some(Setting::Text(word))) if word == "discard" => section.store = FailedStore::Discard,
            ("table", Some(Setting::Text(table))) => section.table = Some(table),
            _ => {}
        }
    }
    Ok(section)
}

/// The name of a PHP class with its namespace.
fn is_class(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.contains(&b'\\'))
}
