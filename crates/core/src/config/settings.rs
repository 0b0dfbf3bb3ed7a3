//! The values of one connection, each found in the key table, checked, and stored under its own name. Which of them a driver
//! needs is decided in `connection`. What is not in the table is somebody else's, unless it is a slip.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::coerce::{self, Setting};
use super::host::HostAddress;
use super::keys::{self, Fallback, KEYS, Kind};
use super::words::{connection_place, error, misspelt, nearest, shown, suggestion};
use super::{Secret, TlsConfig, Value};
use crate::error::{Error, Result};
use crate::queue::QueueName;

/// What a setting of one kind holds. The key table fixes the kind, so another kind cannot be there.
macro_rules! holding {
    ($setting:expr, $kind:path) => {
        match $setting {
            Some($kind(value)) => Some(value),
            _ => None,
        }
    };
}

/// Checked values by key.
#[derive(Debug)]
pub(super) struct Settings<'a> {
    connection: &'a str,
    kind: Kind,
    given: HashMap<&'static str, Setting>,
    /// Names that are no keys of this connection, and no slips either.
    foreign: Vec<String>,
}

/// Checked values, and the names that are no keys.
type Checked<'p> = (HashMap<&'static str, Setting>, Vec<&'p str>);

impl<'a> Settings<'a> {
    /// Reads `beside` and `url`, which wins. Slips, wrong types and a key under two of its names are errors, and so is every
    /// unknown key of a DSN, which nobody but us reads.
    pub(super) fn read(connection: &'a str, kind: Kind, beside: &[(String, Value)], url: &[(String, Value)]) -> Result<Self> {
        let mut settings = Self { connection, kind, given: HashMap::new(), foreign: Vec::new() };
        let (from_url, unknown) = settings.checked(url)?;
        if let Some(name) = unknown.first() {
            return Err(settings.unknown(name));
        }
        let (given, unknown) = settings.checked(beside)?;
        if let Some(name) = unknown.iter().find(|name| settings.is_slip(name, beside)) {
            return Err(settings.unknown(name));
        }
        settings.foreign = unknown.into_iter().map(str::to_owned).collect();
        settings.given = given;
        settings.given.extend(from_url);
        Ok(settings)
    }

    /// Whether a name resembles a key that is not given. Beside `host`, `vhost` is a key of RabbitMQ; alone it would leave the
    /// host at its default, which nobody meant.
    fn is_slip(&self, name: &str, pairs: &[(String, Value)]) -> bool {
        let known = |name: &str| keys::of_driver(self.kind, name).map(|key| key.name);
        misspelt(name, self.names()).is_some_and(|near| !pairs.iter().any(|(name, _)| known(name) == known(near)))
    }

    fn checked<'p>(&self, pairs: &'p [(String, Value)]) -> Result<Checked<'p>> {
        let mut checked = HashMap::new();
        let mut unknown = Vec::new();
        for (name, value) in pairs {
            let Some(key) = keys::of_driver(self.kind, name) else {
                unknown.push(name.as_str());
                continue;
            };
            let setting = coerce::coerce(key.holds, value).map_err(|wrong| self.wrong(name, &wrong))?;
            if let Some(setting) = setting
                && checked.insert(key.name, setting).is_some()
            {
                return Err(self.wrong(key.name, "is given twice, under two of its names"));
            }
        }
        Ok((checked, unknown))
    }

    /// The names of all keys that a connection of this kind takes.
    fn names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        let kind = self.kind;
        KEYS.iter().filter(move |key| key.group.drivers().contains(&kind)).map(|key| key.name)
    }

    fn unknown(&self, name: &str) -> Error {
        let context = format!("{}: `{}` is not a key of {}", self.place(), shown(name), self.kind.name());
        let near = misspelt(name, self.names()).or_else(|| nearest(name, self.names()));
        let advice = match (near, self.others(name)) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(others)) => format!("it is one of {others}; {}", suggestion(name, self.names())),
            (None, None) => suggestion(name, self.names()),
        };
        error(context).with_advice(advice)
    }

    /// The other kinds of connections that have a key of this name.
    fn others(&self, name: &str) -> Option<String> {
        let kinds: Vec<_> = Kind::ALL.into_iter().filter(|kind| keys::of_driver(*kind, name).is_some()).map(Kind::name).collect();
        (!kinds.is_empty()).then(|| kinds.join(", "))
    }

    /// What was given and is not read, a sentence each.
    pub(super) fn ignored(&self) -> Vec<String> {
        let notice = |name: &String| {
            let kind = self.kind.name();
            let whose = self.others(name).map_or_else(String::new, |others| format!(", but of {others}"));
            format!("{}: `{}` is not read: it is no key of {kind}{whose}", self.place(), shown(name))
        };
        self.foreign.iter().map(notice).collect()
    }

    /// Where an error of this connection happened.
    pub(super) fn place(&self) -> String {
        connection_place(self.connection)
    }

    /// An error of one key: ``connection `x`: `port` must be ...``.
    pub(super) fn wrong(&self, key: &str, what: &str) -> Error {
        error(format!("{}: `{}` {what}", self.place(), shown(key)))
    }

    /// The value of a key: as given, or its default.
    fn setting(&self, name: &str) -> Option<Setting> {
        let given = self.given.get(name).cloned();
        given.or_else(|| match keys::of_driver(self.kind, name)?.default {
            Fallback::Value(text) => coerce::coerce(keys::of_driver(self.kind, name)?.holds, &text.into()).ok()?,
            Fallback::None | Fallback::Required | Fallback::Words(..) => None,
        })
    }

    /// The value of a key that the table gives a default, or that is required.
    fn must<T>(&self, name: &str, found: Option<T>) -> Result<T> {
        found.ok_or_else(|| error(format!("{}: `{name}` is missing", self.place())).with_advice(format!("add `{name}`")))
    }

    /// Text, when there is any.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        holding!(self.setting(name), Setting::Text)
    }

    /// Text that must be there.
    pub(super) fn required_text(&self, name: &str) -> Result<String> {
        self.must(name, self.text(name))
    }

    /// A secret, when there is one.
    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        holding!(self.setting(name), Setting::Secret)
    }

    /// A path, when there is one.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        holding!(self.setting(name), Setting::Path)
    }

    /// A path that must be there.
    pub(super) fn required_path(&self, name: &str) -> Result<PathBuf> {
        self.must(name, self.path(name))
    }

    /// A queue name that has a default.
    pub(super) fn queue(&self, name: &str) -> Result<QueueName> {
        self.must(name, holding!(self.setting(name), Setting::Queue))
    }

    /// A host that has a default.
    pub(super) fn host(&self, name: &str) -> Result<HostAddress> {
        self.must(name, holding!(self.setting(name), Setting::Host))
    }

    /// Whether a flag is on.
    pub(super) fn flag(&self, name: &str) -> bool {
        holding!(self.setting(name), Setting::Flag).unwrap_or_default()
    }

    /// Several hosts, when given.
    pub(super) fn hosts(&self, name: &str) -> Option<Vec<(String, Option<u16>)>> {
        holding!(self.setting(name), Setting::Hosts)
    }

    /// A number, when there is one. The table's range keeps it within `T`.
    pub(super) fn number<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        holding!(self.setting(name), Setting::Number).and_then(|number| T::try_from(number).ok())
    }

    /// A number that has a default.
    pub(super) fn required_number<T: TryFrom<i64>>(&self, name: &str) -> Result<T> {
        self.must(name, self.number(name))
    }

    /// A time that has a default.
    pub(super) fn seconds(&self, name: &str) -> Result<Duration> {
        self.must(name, holding!(self.setting(name), Setting::Seconds))
    }

    /// A lease: seconds, or `None` for ever.
    pub(super) fn lease(&self, name: &str) -> Result<Option<u32>> {
        self.must(name, holding!(self.setting(name), Setting::Lease))
    }

    /// TLS as configured. The outer `None`: nothing was said; the inner: it was turned off.
    pub(super) fn tls(&self, name: &str) -> Option<Option<TlsConfig>> {
        holding!(self.setting(name), Setting::Tls)
    }

    /// Arguments of a queue.
    pub(super) fn arguments(&self, name: &str) -> Vec<(String, Value)> {
        holding!(self.setting(name), Setting::Arguments).unwrap_or_default()
    }

    /// Whether the key was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }
}
