//! DSNs: taken apart into the same keys as an array has. Nothing of a DSN is ever repeated in an error.

use percent_encoding::percent_decode_str;
use url::Url;

use super::Value;
use super::keys::Kind;
use super::lookalike;
use super::words::{error, listed, nearest};
use crate::error::{Error, Result};

/// A DSN, taken apart.
pub(super) struct Dsn {
    /// The driver its scheme names.
    pub(super) kind: Kind,
    /// Its scheme asks for TLS.
    pub(super) tls: bool,
    /// Keys and values.
    pub(super) pairs: Vec<(String, Value)>,
}

/// What follows a scheme.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// `//user:password@host:port/name`; the name goes to this key.
    Server(&'static str),
    /// `//user:password@/path`.
    Socket,
    /// A path.
    File,
    /// Nothing.
    Bare,
}

/// Scheme, driver, TLS, shape.
const SCHEMES: &[(&str, Kind, bool, Shape)] = &[
    ("redis", Kind::Redis, false, Shape::Server("select")),
    ("rediss", Kind::Redis, true, Shape::Server("select")),
    ("redis+unix", Kind::Redis, false, Shape::Socket),
    ("amqp", Kind::Amqp, false, Shape::Server("vhost")),
    ("amqps", Kind::Amqp, true, Shape::Server("vhost")),
    ("mysql", Kind::Mysql, false, Shape::Server("database")),
    ("mariadb", Kind::Mysql, false, Shape::Server("database")),
    ("postgres", Kind::Postgres, false, Shape::Server("database")),
    ("postgresql", Kind::Postgres, false, Shape::Server("database")),
    ("pgsql", Kind::Postgres, false, Shape::Server("database")),
    ("sqlite", Kind::Sqlite, false, Shape::File),
    ("sync", Kind::Sync, false, Shape::Bare),
    ("memory", Kind::Memory, false, Shape::Bare),
];

/// Takes a DSN apart.
pub(super) fn take_apart(dsn: &str) -> Result<Dsn> {
    let dsn = dsn.trim();
    let (scheme, rest) = dsn.split_once(':').ok_or_else(|| unknown_scheme(dsn, dsn))?;
    let known = SCHEMES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(scheme));
    let &(scheme, kind, tls, shape) = known.ok_or_else(|| unknown_scheme(dsn, scheme))?;
    let pairs = match shape {
        Shape::Server(name) => server(dsn, rest, name)?,
        Shape::Socket => socket(dsn, rest)?,
        Shape::File => file(rest)?,
        Shape::Bare => bare(scheme, rest)?,
    };
    Ok(Dsn { kind, tls, pairs })
}

/// The DSN without anything that may be secret, for `phpinfo()`: scheme, host and path.
pub fn masked(dsn: &str) -> String {
    let hidden = || "(not shown)".to_owned();
    // What cannot be read may have its password anywhere.
    let Some((scheme, rest)) = dsn.trim().split_once(':').filter(|_| take_apart(dsn).is_ok()) else { return hidden() };
    let plain = rest.split(['?', '#']).next().unwrap_or_default();
    match rest.rsplit_once('@') {
        None => format!("{scheme}:{plain}"),
        Some((_, behind)) => format!("{scheme}://***@{}", behind.split(['?', '#']).next().unwrap_or_default()),
    }
}

/// The scheme is not repeated: in `user:password@host` it would be the user.
fn unknown_scheme(dsn: &str, scheme: &str) -> Error {
    let known = || SCHEMES.iter().map(|(scheme, ..)| *scheme);
    let advice = match (lookalike::of_text(dsn), nearest(scheme, known())) {
        (Some(looks_like), _) => looks_like,
        (None, Some(near)) => format!("did you mean `{near}:`?"),
        (None, None) => format!("known are {}", listed(known())),
    };
    error("the DSN does not begin with a known scheme").with_advice(advice)
}

fn malformed(what: &str, advice: &str) -> Error {
    error(format!("the DSN {what}")).with_advice(advice.to_owned())
}

/// An unencoded `/`, `?` or `#` in a password ends the host early, and the rest of the password would be read, and shown, as
/// something else. The `@` it leaves behind gives it away.
fn refuse_unencoded_credentials(rest: &str) -> Result<()> {
    let authority_ends = rest.strip_prefix("//").and_then(|rest| rest.find(['/', '?', '#']).map(|at| at + 2));
    let behind = authority_ends.map_or("", |at| &rest[at..]);
    if behind.contains('@') {
        return Err(malformed(
            "has an `@` behind its host",
            "percent-encode user and password: `/` is %2F, `?` is %3F, `#` is %23, `@` is %40",
        ));
    }
    if behind.contains('#') {
        return Err(malformed("has a `#`", "percent-encode it as %23"));
    }
    Ok(())
}

fn parsed(dsn: &str, rest: &str) -> Result<Url> {
    if !rest.starts_with("//") {
        return Err(malformed("has no `//` behind its scheme", "write scheme://host"));
    }
    refuse_unencoded_credentials(rest)?;
    Url::parse(dsn).map_err(|e| malformed("cannot be read", "is it scheme://user:password@host:port/name?").with_source(e))
}

fn decoded(text: &str) -> Value {
    Value::Text(percent_decode_str(text).collect())
}

fn credentials(url: &Url, pairs: &mut Vec<(String, Value)>) {
    if !url.username().is_empty() {
        pairs.push(("username".to_owned(), decoded(url.username())));
    }
    if let Some(password) = url.password() {
        pairs.push(("password".to_owned(), decoded(password)));
    }
}

fn server(dsn: &str, rest: &str, name_key: &str) -> Result<Vec<(String, Value)>> {
    let url = parsed(dsn, rest)?;
    let mut pairs = Vec::new();
    credentials(&url, &mut pairs);
    if let Some(host) = url.host_str().filter(|host| !host.is_empty()) {
        pairs.push(("host".to_owned(), decoded(host)));
    }
    if let Some(port) = url.port() {
        pairs.push(("port".to_owned(), Value::Int(port.into())));
    }
    // `/` alone names nothing: RabbitMQ's default vhost is called `/`, and nobody calls one the empty string.
    let name = url.path().strip_prefix('/').unwrap_or_default();
    if name.contains('/') {
        return Err(malformed("has more than one part in its path", "percent-encode a `/` in a name as %2F"));
    }
    pairs.push((name_key.to_owned(), decoded(name)));
    add_query(&mut pairs, url.query())?;
    Ok(pairs)
}

fn socket(dsn: &str, rest: &str) -> Result<Vec<(String, Value)>> {
    // An empty host with credentials is no URL, so the credentials are read beside a host that is then dropped.
    let stand_in = dsn.replacen("@/", "@localhost/", 1);
    let url = parsed(if rest.starts_with("///") { dsn } else { &stand_in }, rest)?;
    if url.host_str().is_some_and(|host| !host.is_empty() && host != "localhost") || url.path().len() < 2 {
        return Err(malformed("has no path", "write redis+unix:///path/to/redis.sock"));
    }
    let mut pairs = Vec::new();
    credentials(&url, &mut pairs);
    let path: Vec<u8> = percent_decode_str(url.path()).collect();
    pairs.push(("host".to_owned(), Value::Text([b"unix://", path.as_slice()].concat())));
    add_query(&mut pairs, url.query())?;
    Ok(pairs)
}

fn file(rest: &str) -> Result<Vec<(String, Value)>> {
    let (path, query) = path_and_query(rest)?;
    let mut pairs = vec![("path".to_owned(), decoded(path.strip_prefix("//").unwrap_or(path)))];
    add_query(&mut pairs, query)?;
    Ok(pairs)
}

fn bare(scheme: &str, rest: &str) -> Result<Vec<(String, Value)>> {
    let (path, query) = path_and_query(rest)?;
    if !path.trim_start_matches('/').is_empty() {
        return Err(malformed("names a place that this driver does not have", &format!("write `{scheme}:`")));
    }
    let mut pairs = Vec::new();
    add_query(&mut pairs, query)?;
    Ok(pairs)
}

/// Splits what follows a scheme without a server. Somebody may write a password there all the same, with a `?` in it.
fn path_and_query(rest: &str) -> Result<(&str, Option<&str>)> {
    match rest.split_once('?') {
        None => Ok((rest, None)),
        Some((_, query)) if query.contains('@') => Err(malformed("has an `@` behind its `?`", "percent-encode it as %40")),
        Some((path, query)) => Ok((path, Some(query))),
    }
}

/// Adds query parameters: `key=value`, and `key[name]=value` for arrays.
fn add_query(pairs: &mut Vec<(String, Value)>, query: Option<&str>) -> Result<()> {
    for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let bytes = |text: &str| percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>();
        let key =
            String::from_utf8(bytes(key)).map_err(|_| malformed("has a key that is not UTF-8", "use the keys of the docs"))?;
        match key.strip_suffix(']').and_then(|key| key.split_once('[')) {
            Some((key, name)) => add_to_array(pairs, key, name, bytes(value))?,
            None if matches!(key.as_str(), "url" | "type" | "driver") => {
                return Err(malformed(&format!("has `{key}` in its query"), "the scheme says it already"));
            }
            None if pairs.iter().any(|(known, value)| *known == key && !is_unset(value)) => return Err(twice()),
            None => pairs.push((key, Value::Text(bytes(value)))),
        }
    }
    Ok(())
}

fn is_unset(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.is_empty())
}

/// The key is not named: in a DSN that went wrong it may be a piece of the password.
fn twice() -> Error {
    malformed("says one key twice", "say it once")
}

fn add_to_array(pairs: &mut Vec<(String, Value)>, key: &str, name: &str, value: Vec<u8>) -> Result<()> {
    // A URL knows text only, but RabbitMQ refuses `x-max-length` as text.
    let number = || std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).map(Value::Int);
    let value = if key == "arguments" { number() } else { None }.unwrap_or(Value::Text(value));
    match pairs.iter_mut().find(|(known, _)| known == key) {
        None => pairs.push((key.to_owned(), Value::Map(vec![(name.to_owned(), value)]))),
        Some((_, Value::Map(fields))) if fields.iter().all(|(known, _)| known != name) => fields.push((name.to_owned(), value)),
        Some(_) => return Err(twice()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_dsn_keeps_host_and_path_and_nothing_secret() {
        for (dsn, shown) in [
            ("redis://user:pw@host:1/2?queue=pw", "redis://***@host:1/2"),
            ("redis://host/2", "redis://host/2"),
            ("sqlite:/a/b?x=pw", "sqlite:/a/b"),
            ("redis://u:pw@pw@host", "redis://***@host"),
            ("redis://u:pw#pw@host", "(not shown)"),
            ("redis://user:pw", "(not shown)"),
            ("sqlite:/a?queue=pw@pw", "(not shown)"),
            ("user:pw", "(not shown)"),
            ("pw", "(not shown)"),
        ] {
            assert_eq!(masked(dsn), shown);
        }
    }
}
