//! Where the server is, and how a connection to it begins.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ferry_core::config::{Address, Secret, SqlServerConfig, TlsConfig};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Row as _};

use super::error::{is_startup_refused, timed_out};
use crate::error::SqlError;

/// The oldest server that has what the statements need, as `server_version_num`.
const OLDEST: u32 = 100_000;

/// A name of PostgreSQL has so many bytes at most.
const LONGEST_NAME: usize = 63;

/// A setting that only our own session knows. A pooler refuses it at the start or drops it.
const MARK: &str = "ferry.session";

/// Brings the session back to the server's time zone, which the library replaces by UTC at the start, and asks for the mark. A pooler's
/// session is left as it is. Who may not read the configuration finds its zone in `log_timezone`: initdb writes the same into both.
const BEGIN: &str = "SELECT CASE WHEN current_setting('ferry.session', true) = '1' THEN set_config('TimeZone', coalesce(\
    (SELECT substring(setting FROM '=(.*)$') FROM pg_db_role_setting, unnest(setconfig) AS setting \
     WHERE setting ILIKE 'timezone=%' AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) \
     AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user)) ORDER BY setrole DESC, setdatabase DESC LIMIT 1), \
    current_setting('log_timezone')), false) END";

/// A server as configured.
pub struct PostgresServer {
    config: SqlServerConfig,
    channel: String,
    /// Whether the last connection went through a pooler.
    pooled: AtomicBool,
}

impl PostgresServer {
    pub(super) fn new(config: SqlServerConfig) -> Self {
        let mut channel = format!("ferry_{}", config.table);
        // Names of tables are ASCII.
        channel.truncate(LONGEST_NAME);
        Self { config, channel, pooled: AtomicBool::new(false) }
    }

    pub(super) fn config(&self) -> &SqlServerConfig {
        &self.config
    }

    /// Where jobs that are stored are announced to those who listen.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// Whether the last connection went through a pooler. There, nobody can listen.
    pub(super) fn is_pooled(&self) -> bool {
        self.pooled.load(Ordering::Relaxed)
    }

    /// How to connect, for a thread that does it by itself.
    pub(super) fn options(&self) -> Result<PgConnectOptions, SqlError> {
        options(&self.config)
    }

    /// For errors: where it is, without secrets.
    pub(super) fn place(&self) -> String {
        let database = &self.config.database;
        match &self.config.address {
            Address::Tcp { host, port } => format!("PostgreSQL {host}:{port}/{database}"),
            Address::Unix(path) => format!("PostgreSQL {}/{database}", path.display()),
        }
    }

    /// A connection, and whether a pooler may stand between us and the server.
    pub(super) async fn connect(&self) -> Result<(PgConnection, bool), SqlError> {
        let within = self.config.connect_timeout;
        let limited = tokio::time::timeout(within, self.connect_for_ever()).await;
        let (connection, pooled) = limited.unwrap_or_else(|_| Err(SqlError::Database(timed_out())))?;
        self.pooled.store(pooled, Ordering::Relaxed);
        Ok((connection, pooled))
    }

    async fn connect_for_ever(&self) -> Result<(PgConnection, bool), SqlError> {
        let options = options(&self.config)?;
        let marked = options.clone().options([(MARK, "1")]);
        let (mut connection, refused) = match marked.connect().await {
            Ok(connection) => (connection, false),
            Err(error) if is_startup_refused(&error) => (options.connect().await?, true),
            Err(error) => return Err(error.into()),
        };
        check_version(connection.server_version_num())?;
        if refused {
            return Ok((connection, true));
        }
        let zone = sqlx::raw_sql(BEGIN).fetch_one(&mut connection).await?;
        let pooled = zone.try_get_raw(0).is_ok_and(|zone| sqlx::ValueRef::is_null(&zone));
        Ok((connection, pooled))
    }
}

/// A pooler may keep the version to itself.
fn check_version(number: Option<u32>) -> Result<(), SqlError> {
    match number.filter(|number| *number < OLDEST) {
        Some(number) => {
            Err(SqlError::Unsuitable(format!("its version is {}, and 10 is the oldest that can be used", number / 10_000)))
        }
        None => Ok(()),
    }
}

fn options(config: &SqlServerConfig) -> Result<PgConnectOptions, SqlError> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .database(&config.database)
        .application_name("ferry")
        // Numbers with a fraction are never read, and a pooler refuses the setting.
        .extra_float_digits(None)
        .statement_cache_capacity(256)
        .password(config.password.as_ref().map_or("", Secret::expose));
    if let Some(username) = &config.username {
        options = options.username(username);
    }
    let options = match &config.address {
        Address::Tcp { host, port } => options.host(host).port(*port),
        Address::Unix(path) => at_socket(options, path),
    };
    Ok(with_tls(options, config.tls.as_ref())?.disable_statement_logging())
}

/// `path` is the socket or, as PostgreSQL itself has it, the folder of the socket for port 5432.
fn at_socket(options: PgConnectOptions, path: &Path) -> PgConnectOptions {
    let port = path.file_name().and_then(|name| name.to_str()?.strip_prefix(".s.PGSQL.")?.parse().ok());
    match (port, path.parent()) {
        (Some(port), Some(folder)) => options.socket(folder).port(port),
        _ => options.socket(path).port(5432),
    }
}

fn with_tls(options: PgConnectOptions, tls: Option<&TlsConfig>) -> Result<PgConnectOptions, SqlError> {
    let Some(tls) = tls else { return Ok(options.ssl_mode(PgSslMode::Disable)) };
    if tls.server_name.is_some() {
        return Err(SqlError::Unsuitable("`tls.server_name` cannot be given: the name of the host is checked".to_owned()));
    }
    let mut options = options.ssl_mode(if tls.verify { PgSslMode::VerifyFull } else { PgSslMode::Require });
    if let Some(authorities) = &tls.ca_file {
        options = options.ssl_root_cert(authorities);
    }
    if let (Some(certificate), Some(key)) = (&tls.cert_file, &tls.key_file) {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_before_version_10_is_refused() {
        for (number, refused) in [(Some(90_624), true), (Some(100_000), false), (Some(150_008), false), (None, false)] {
            let checked = check_version(number);
            assert_eq!(checked.is_err(), refused, "{number:?}");
            if let Err(SqlError::Unsuitable(why)) = checked {
                assert!(why.contains("version is 9"), "{why}");
            }
        }
    }
}
