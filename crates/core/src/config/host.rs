//! Reading host names, as phpredis and php-amqplib users write them.

use std::net::Ipv6Addr;
use std::path::PathBuf;

/// A host as one key gives it; the port stands in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostAddress {
    /// Name or IP address; IPv6 without brackets.
    Name {
        /// The name.
        name: String,
        /// It was written `tls://name`.
        tls: bool,
    },
    /// Path of a Unix socket.
    Socket(PathBuf),
}

/// Reads `name`, `tls://name`, `tcp://name`, `/path` or `unix:///path`. The error says what was expected; the text is not
/// repeated, because it may be a DSN with a password in the wrong key.
pub(super) fn host(text: &str) -> Result<HostAddress, String> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if path.starts_with('/') {
        return Ok(HostAddress::Socket(path.into()));
    }
    if let Some(name) = text.strip_prefix("tls://").or_else(|| text.strip_prefix("ssl://")) {
        return Ok(HostAddress::Name { name: name_only(name)?, tls: true });
    }
    Ok(HostAddress::Name { name: name_only(text.strip_prefix("tcp://").unwrap_or(text))?, tls: false })
}

/// Reads `name` or `name:port`, IPv6 in brackets when a port follows.
pub(super) fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let text = text.trim();
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text.to_owned(), None));
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return Err("must end in a port from 1 to 65535 behind the colon".to_owned()),
    };
    Ok((name_only(name)?, port))
}

fn name_only(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if bare.contains("://") || bare.contains('@') {
        return Err("must be a host, not a DSN: a DSN goes to `url`".to_owned());
    }
    if bare.is_empty() || bare.chars().any(|c| c.is_whitespace() || c.is_control() || "/?#,[]".contains(c)) {
        return Err("must be a host name or an IP address".to_owned());
    }
    if bare.contains(':') && bare.split('%').next().is_none_or(|address| address.parse::<Ipv6Addr>().is_err()) {
        return Err("must be a host without a port: the port goes to `port`".to_owned());
    }
    Ok(bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_phpredis_reads_them() {
        let name = |name: &str, tls| Ok(HostAddress::Name { name: name.to_owned(), tls });
        assert_eq!(host("127.0.0.1"), name("127.0.0.1", false));
        assert_eq!(host("::1"), name("::1", false));
        assert_eq!(host("[::1]"), name("::1", false));
        assert_eq!(host("tls://cache.example"), name("cache.example", true));
        assert_eq!(host("tcp://cache"), name("cache", false));
        assert_eq!(host("/run/redis.sock"), Ok(HostAddress::Socket("/run/redis.sock".into())));
        assert_eq!(host("unix:///run/redis.sock"), Ok(HostAddress::Socket("/run/redis.sock".into())));
    }

    #[test]
    fn what_is_no_host_says_where_it_belongs_and_is_not_repeated() {
        for (text, why) in [
            ("localhost:6379", "`port`"),
            ("redis://:pw@h", "`url`"),
            ("user:pw@h", "`url`"),
            ("a b", "host name"),
            ("tls://", "host name"),
            ("a/b", "host name"),
        ] {
            let error = host(text).unwrap_err();
            assert!(error.contains(why) && !error.contains("pw"), "{text}: {error}");
        }
    }

    #[test]
    fn a_list_entry_may_carry_its_port() {
        assert_eq!(host_and_port("a:5673"), Ok(("a".to_owned(), Some(5673))));
        assert_eq!(host_and_port(" a "), Ok(("a".to_owned(), None)));
        assert_eq!(host_and_port("[::1]:5"), Ok(("::1".to_owned(), Some(5))));
        assert_eq!(host_and_port("[::1]"), Ok(("::1".to_owned(), None)));
        assert_eq!(host_and_port("::1"), Ok(("::1".to_owned(), None)));
        for bad in ["a:0", "a:x", "a:99999", ":5", "a:1:2"] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }
}
