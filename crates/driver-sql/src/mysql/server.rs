//! A server as configured, and what its version can do.

use ferry_core::config::{Address, SqlServerConfig, TlsConfig};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::{ConnectOptions, mysql};

use crate::error::SqlError;

/// A MariaDB or MySQL server.
#[derive(Debug, Clone)]
pub struct MysqlServer {
    pub(super) config: SqlServerConfig,
    /// Whether SKIP LOCKED is used where the server knows it.
    pub(super) skip_locked: bool,
}

impl MysqlServer {
    pub(super) fn new(config: SqlServerConfig) -> Self {
        Self { config, skip_locked: true }
    }

    /// Sets neither time zone nor sql_mode: what think-queue writes by way of PDO has to mean the same here.
    pub(super) fn options(&self) -> Result<MySqlConnectOptions, SqlError> {
        let config = &self.config;
        let options = MySqlConnectOptions::new()
            .database(&config.database)
            .timezone(None)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .statement_cache_capacity(100)
            .disable_statement_logging();
        let options = config.username.iter().fold(options, |options, user| options.username(user));
        let options = config.password.iter().fold(options, |options, password| options.password(password.expose()));
        let options = match &config.address {
            Address::Tcp { host, port } => options.host(host).port(*port),
            Address::Unix(path) => options.socket(path),
        };
        match &config.tls {
            Some(tls) => with_tls(options, tls),
            None => Ok(options.ssl_mode(MySqlSslMode::Disabled)),
        }
    }
}

fn with_tls(options: mysql::MySqlConnectOptions, tls: &TlsConfig) -> Result<MySqlConnectOptions, SqlError> {
    if tls.server_name.is_some() {
        return Err(SqlError::Unsuitable(
            "its certificate can only be checked for the host itself: remove `tls.server_name`".into(),
        ));
    }
    let options = options.ssl_mode(if tls.verify { MySqlSslMode::VerifyIdentity } else { MySqlSslMode::Required });
    let options = tls.ca_file.iter().fold(options, |options, file| options.ssl_ca(file));
    let options = tls.cert_file.iter().fold(options, |options, file| options.ssl_client_cert(file));
    Ok(tls.key_file.iter().fold(options, |options, file| options.ssl_client_key(file)))
}

/// What matters about a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    mariadb: bool,
    number: (u32, u32),
}

impl Version {
    /// Reads what VERSION() says: `10.11.6-MariaDB-log`, `8.0.36`, `5.5.5-10.6.1-MariaDB`.
    pub(super) fn read(text: &str) -> Self {
        let mariadb = text.contains("MariaDB");
        let text = if mariadb { text.strip_prefix("5.5.5-").unwrap_or(text) } else { text };
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or_default());
        Self { mariadb, number: (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) }
    }

    pub(super) fn knows_skip_locked(self) -> bool {
        self.number >= if self.mariadb { (10, 6) } else { (8, 0) }
    }

    /// The oldest that have utf8mb4 indexes of 255 characters and `ON DUPLICATE KEY` as it is used here.
    pub(super) fn is_too_old(self) -> bool {
        self.number < if self.mariadb { (10, 2) } else { (5, 7) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_says_what_the_server_can_do() {
        for (text, skip_locked, too_old) in [
            ("10.11.19-MariaDB-0+deb12u1", true, false),
            ("5.5.5-10.6.1-MariaDB", true, false),
            ("10.5.21-MariaDB", false, false),
            ("10.1.48-MariaDB", false, true),
            ("8.0.36", true, false),
            ("9.1.0", true, false),
            ("5.7.44-log", false, false),
            ("5.6.51", false, true),
        ] {
            let version = Version::read(text);
            assert_eq!((version.knows_skip_locked(), version.is_too_old()), (skip_locked, too_old), "{text}");
        }
    }
}
