//! From a PHP value to what a key holds, as PHP's weak mode would convert it. Errors say what was expected and never repeat
//! what a string held.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use super::host::{self, HostAddress};
use super::keys::{self, Group, Holds, KEYS};
use super::words::{listed, may_hold_password, nearest, shown};
use super::{Secret, TlsConfig, Value};
use crate::queue::QueueName;

/// A value that was read and checked.
#[derive(Debug, Clone)]
pub(super) enum Setting {
    Text(String),
    Secret(Secret),
    Path(PathBuf),
    Queue(QueueName),
    Host(HostAddress),
    Hosts(Vec<(String, Option<u16>)>),
    Number(i64),
    Seconds(Duration),
    Lease(Option<u32>),
    Flag(bool),
    Tls(Option<TlsConfig>),
    Arguments(Vec<(String, Value)>),
}

/// What is wrong with a value, to be put behind the key's name: `must be ...`.
type Wrong = String;

/// Reads a value. `None` means that it counts as not given: null, the empty string, a timeout of 0.
pub(super) fn coerce(holds: Holds, value: &Value) -> Result<Option<Setting>, Wrong> {
    if matches!(value, Value::Null) || is_empty_text(value) {
        return Ok(None);
    }
    let setting = match holds {
        Holds::Ignored | Holds::Section | Holds::WorkerOption => return Ok(None),
        Holds::Text => return Ok(non_empty(text(value)?).map(Setting::Text)),
        Holds::Secret | Holds::Url => return Ok(non_empty(text(value)?).map(|text| Setting::Secret(Secret::new(text)))),
        Holds::Path => Setting::Path(path(value)?),
        Holds::Identifier => Setting::Text(identifier(text(value)?)?),
        Holds::Queue => Setting::Queue(queue(&text(value)?)?),
        Holds::Host => Setting::Host(host::host(&text(value)?)?),
        Holds::Hosts => Setting::Hosts(hosts(value)?),
        Holds::Whole(least, most) => Setting::Number(whole(value, least, most)?),
        Holds::Seconds => return Ok(seconds(value)?.map(Setting::Seconds)),
        Holds::Lease => Setting::Lease(lease(value)?),
        Holds::Flag => Setting::Flag(flag(value)?),
        Holds::OneOf(words) => Setting::Text(one_of(words, &text(value)?)?),
        Holds::Tls => Setting::Tls(tls(value)?),
        Holds::Arguments => Setting::Arguments(arguments(value)?),
    };
    Ok(Some(setting))
}

fn is_empty_text(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.is_empty())
}

fn got(expected: &str, value: &Value) -> Wrong {
    format!("must be {expected}, got {}", value.described())
}

/// A string, or a scalar as PHP writes it.
pub(super) fn text(value: &Value) -> Result<String, Wrong> {
    let text = match value {
        Value::Text(bytes) => String::from_utf8(bytes.clone()).map_err(|_| "must be UTF-8 text".to_owned())?,
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(true) => "1".to_owned(),
        Value::Bool(false) => String::new(),
        other => return Err(got("text", other)),
    };
    if text.contains('\0') { Err("must be text without a NUL byte".to_owned()) } else { Ok(text) }
}

/// PHP's false becomes the empty string, which counts as not given.
fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn path(value: &Value) -> Result<PathBuf, Wrong> {
    match value {
        Value::Text(bytes) if !bytes.contains(&0) => Ok(OsString::from_vec(bytes.clone()).into()),
        Value::Text(_) => Err("must be a path without a NUL byte".to_owned()),
        other => Err(got("a path", other)),
    }
}

fn identifier(text: String) -> Result<String, Wrong> {
    let good = (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if good { Ok(text) } else { Err("must be 1 to 63 letters, digits and underscores".to_owned()) }
}

fn queue(text: &str) -> Result<QueueName, Wrong> {
    QueueName::new(text.as_bytes()).map_err(|e| match may_hold_password(text) {
        true => "must be a queue name, not a DSN: a DSN goes to `url`".to_owned(),
        false => format!("must be a queue name: {e}"),
    })
}

fn one_of(words: &[&str], text: &str) -> Result<String, Wrong> {
    match words.iter().find(|word| word.eq_ignore_ascii_case(text.trim())) {
        Some(word) => Ok((*word).to_owned()),
        None => Err(format!("must be one of {}, got `{}`", listed(words.iter().copied()), shown(text))),
    }
}

/// A number, or text that PHP calls numeric.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Text(bytes) => {
            let text = std::str::from_utf8(bytes).ok()?.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
            // Rust would also read `inf` and `nan`.
            let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
            if numeric { text.parse().ok() } else { None }
        }
        Value::Null | Value::Map(_) | Value::Other(_) => None,
    }
}

fn whole(value: &Value, least: i64, most: i64) -> Result<i64, Wrong> {
    let expected = || got(&format!("a whole number from {least} to {most}"), value);
    let number = number(value).filter(|number| number.fract() == 0.0).ok_or_else(expected)?;
    // Every range of the table lies within what a float holds exactly.
    if (least as f64..=most as f64).contains(&number) { Ok(number as i64) } else { Err(expected()) }
}

const LONGEST_TIMEOUT: f64 = 3600.0;

fn seconds(value: &Value) -> Result<Option<Duration>, Wrong> {
    match number(value) {
        Some(0.0) => Ok(None),
        Some(seconds) if (0.001..=LONGEST_TIMEOUT).contains(&seconds) => Ok(Some(Duration::from_secs_f64(seconds))),
        _ => Err(got("seconds from 0.001 to 3600, or 0 for the default", value)),
    }
}

fn lease(value: &Value) -> Result<Option<u32>, Wrong> {
    if matches!(value, Value::Text(text) if text.eq_ignore_ascii_case(b"never")) {
        return Ok(None);
    }
    let most = i64::from(u32::MAX);
    let seconds = whole(value, 1, most).map_err(|_| got(&format!("whole seconds from 1 to {most}, or `never`"), value))?;
    Ok(Some(seconds as u32))
}

/// PHP's 0 and 1, and the words that environment variables use.
fn flag(value: &Value) -> Result<bool, Wrong> {
    let word = text(value).map_err(|_| got("true or false", value))?;
    match word.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" => Ok(true),
        "0" | "" | "false" | "off" | "no" => Ok(false),
        _ => Err(got("true or false", value)),
    }
}

fn hosts(value: &Value) -> Result<Vec<(String, Option<u16>)>, Wrong> {
    let hosts = match value {
        Value::Map(entries) => entries.iter().map(|(index, entry)| host_of_list(index, entry)).collect::<Result<Vec<_>, _>>()?,
        other => text(other)?.split(',').map(host::host_and_port).collect::<Result<Vec<_>, _>>()?,
    };
    if hosts.is_empty() { Err("must name at least one host".to_owned()) } else { Ok(hosts) }
}

/// An entry of a list. One server's own array in its place would make a host of each field, of the password too.
fn host_of_list(index: &str, entry: &Value) -> Result<(String, Option<u16>), Wrong> {
    match index.parse::<i64>() {
        Ok(_) => host_entry(entry),
        Err(_) => Err(format!("must be a list, and has the key `{}`: write [['host' => ..., 'port' => ...]]", shown(index))),
    }
}

/// `'host:port'` or php-amqplib's `['host' => .., 'port' => ..]`.
fn host_entry(entry: &Value) -> Result<(String, Option<u16>), Wrong> {
    let Value::Map(fields) = entry else {
        return host::host_and_port(&text(entry)?);
    };
    let mut found = None;
    let mut port = None;
    for (key, value) in fields {
        match key.as_str() {
            "host" => found = Some(host::host_and_port(&text(value)?)?.0),
            "port" => port = Some(whole(value, 1, 65_535)? as u16),
            other => return Err(format!("must list arrays of `host` and `port` only, got `{}`", shown(other))),
        }
    }
    Ok((found.ok_or("must name a `host` in every array")?, port))
}

fn tls(value: &Value) -> Result<Option<TlsConfig>, Wrong> {
    let Value::Map(fields) = value else {
        let on = flag(value).map_err(|_| got("true, false or an array", value))?;
        return Ok(on.then(tls_defaults));
    };
    let mut tls = tls_defaults();
    for (name, value) in fields {
        let key = keys::in_group(Group::Tls, name).ok_or_else(|| unknown_tls_key(name))?;
        let setting = coerce(key.holds, value).map_err(|wrong| format!("has a bad value: `{}` {wrong}", key.name))?;
        match (key.name, setting) {
            ("verify", Some(Setting::Flag(verify))) => tls.verify = verify,
            ("ca_file", Some(Setting::Path(path))) => tls.ca_file = Some(path),
            ("cert_file", Some(Setting::Path(path))) => tls.cert_file = Some(path),
            ("key_file", Some(Setting::Path(path))) => tls.key_file = Some(path),
            ("server_name", Some(Setting::Text(name))) => tls.server_name = Some(name),
            _ => {}
        }
    }
    if tls.cert_file.is_some() != tls.key_file.is_some() {
        return Err("must have both `cert_file` and `key_file`, or neither".to_owned());
    }
    Ok(Some(tls))
}

/// TLS with the system's authorities and full checks.
pub(super) fn tls_defaults() -> TlsConfig {
    TlsConfig { verify: true, ca_file: None, cert_file: None, key_file: None, server_name: None }
}

fn unknown_tls_key(name: &str) -> Wrong {
    let known = || KEYS.iter().filter(|key| key.group == Group::Tls).map(|key| key.name);
    match nearest(name, known()) {
        Some(near) => format!("has an unknown key `{}`: did you mean `{near}`?", shown(name)),
        None => format!("has an unknown key `{}`: known are {}", shown(name), listed(known())),
    }
}

fn arguments(value: &Value) -> Result<Vec<(String, Value)>, Wrong> {
    let Value::Map(fields) = value else { return Err(got("an array", value)) };
    match fields.iter().find(|(_, value)| !can_be_argument(value)) {
        None => Ok(fields.clone()),
        Some((name, value)) => {
            Err(format!("must hold numbers, text, booleans and arrays of them; `{}` is {}", shown(name), value.described()))
        }
    }
}

fn can_be_argument(value: &Value) -> bool {
    match value {
        Value::Bool(_) | Value::Int(_) | Value::Text(_) => true,
        Value::Float(number) => number.is_finite(),
        Value::Map(fields) => fields.iter().all(|(_, value)| can_be_argument(value)),
        Value::Null | Value::Other(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_whole(value: Value) -> Option<i64> {
        match coerce(Holds::Whole(0, 100), &value) {
            Ok(Some(Setting::Number(number))) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn whole_numbers_are_read_as_weak_mode_reads_them() {
        for (value, number) in [
            (Value::Int(5), 5),
            (Value::Float(5.0), 5),
            ("5".into(), 5),
            (" 5 ".into(), 5),
            ("5.0".into(), 5),
            ("1e2".into(), 100),
            (Value::Bool(true), 1),
            (Value::Bool(false), 0),
        ] {
            assert_eq!(read_whole(value.clone()), Some(number), "{value:?}");
        }
        for bad in ["5x", "x", "5.5", "inf", "nan", "0x5", "-1", "101", "1e400", "-"] {
            assert_eq!(read_whole(bad.into()), None, "{bad}");
        }
        for bad in [Value::Float(f64::NAN), Value::Float(0.5), Value::Map(vec![]), Value::Int(i64::MIN)] {
            assert_eq!(read_whole(bad), None);
        }
    }

    #[test]
    fn flags_take_php_and_environment_words_and_nothing_else() {
        for (word, on) in
            [("1", true), ("true", true), ("Yes", true), ("on", true), ("0", false), ("FALSE", false), ("off", false)]
        {
            assert_eq!(flag(&word.into()), Ok(on), "{word}");
        }
        assert!(flag(&"maybe".into()).is_err());
        assert!(flag(&Value::Int(2)).is_err());
    }

    #[test]
    fn a_timeout_of_zero_is_the_default_and_a_negative_one_an_error() {
        assert_eq!(seconds(&Value::Int(0)), Ok(None));
        assert_eq!(seconds(&Value::Float(-0.0)), Ok(None));
        assert_eq!(seconds(&"1.5".into()), Ok(Some(Duration::from_millis(1500))));
        for bad in [Value::Int(-1), Value::Float(f64::NAN), Value::Float(f64::INFINITY), Value::Float(1e-9), Value::Int(3601)] {
            assert!(seconds(&bad).is_err());
        }
    }

    #[test]
    fn null_and_the_empty_string_count_as_not_given() {
        for key in KEYS {
            assert!(matches!(coerce(key.holds, &Value::Null), Ok(None)), "{}", key.name);
            assert!(matches!(coerce(key.holds, &"".into()), Ok(None)), "{}", key.name);
        }
    }

    #[test]
    fn every_default_of_the_table_can_be_read() {
        for key in KEYS {
            if let keys::Fallback::Value(text) = key.default {
                assert!(matches!(coerce(key.holds, &text.into()), Ok(Some(_))), "{}", key.name);
            }
        }
    }
}
