//! The values of one connection, each found in the key table, checked, and stored under its own name. Which of them a driver
//! needs is decided in `connection`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::coerce::{self, Setting};
use super::host::HostAddress;
use super::keys::{self, Fallback, KEYS, Kind};
use super::words::{connection_place, error, nearest, shown, suggestion};
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
}

impl<'a> Settings<'a> {
    /// Reads `beside` and `url`, which wins. Unknown keys, wrong types and a key under two of its names are errors.
    pub(super) fn read(connection: &'a str, kind: Kind, beside: &[(String, Value)], url: &[(String, Value)]) -> Result<Self> {
        let mut settings = Self { connection, kind, given: HashMap::new() };
        let from_url = settings.checked(url)?;
        settings.given = settings.checked(beside)?;
        settings.given.extend(from_url);
        Ok(settings)
    }

    fn checked(&self, pairs: &[(String, Value)]) -> Result<HashMap<&'static str, Setting>> {
        let mut checked = HashMap::new();
        for (name, value) in pairs {
            let key = keys::of_driver(self.kind, name).ok_or_else(|| self.unknown(name))?;
            let setting = coerce::coerce(key.holds, value).map_err(|wrong| self.wrong(name, &wrong))?;
            if let Some(setting) = setting
                && checked.insert(key.name, setting).is_some()
            {
                return Err(self.wrong(key.name, "is given twice, under two of its names"));
            }
        }
        Ok(checked)
    }

    fn unknown(&self, name: &str) -> Error {
        let mine = || KEYS.iter().filter(|key| key.group.drivers().contains(&self.kind)).map(|key| key.name);
        let context = format!("{}: `{}` is not a key of {}", self.place(), shown(name), self.kind.name());
        let others = Kind::ALL.into_iter().filter(|kind| keys::of_driver(*kind, name).is_some());
        let others: Vec<_> = others.map(Kind::name).collect();
        let advice = match nearest(name, mine()) {
            None if !others.is_empty() => format!("it is one of {}; {}", others.join(", "), suggestion(name, mine())),
            _ => suggestion(name, mine()),
        };
        error(context).with_advice(advice)
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

    /// A path that must be there.
    pub(super) fn required_path(&self, name: &str) -> Result<PathBuf> {
        self.must(name, holding!(self.setting(name), Setting::Path))
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
