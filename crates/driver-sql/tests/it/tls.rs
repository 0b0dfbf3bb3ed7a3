//! TLS and logins, against servers with certificates of our own making.

use std::time::Duration;

use ferry_core::broker::Broker;
use ferry_core::config::{Address, FailedStore, Secret, SqlServerConfig, TlsConfig};
use ferry_core::dialect::Family;
use ferry_core::{ErrorKind, NewJob, Result};
use ferry_driver_sql::{MysqlBroker, PostgresBroker, Settings};
use ferry_testkit::{CertificateAuthority, MariaDb, PostgresServer};

use crate::common::queue;

fn settings() -> Settings {
    Settings { family: Family::Think3, retry_after: Some(60), failed: FailedStore::Keep, now: None }
}

fn config(host: &str, port: u16, username: &str, database: &str, tls: Option<TlsConfig>) -> SqlServerConfig {
    SqlServerConfig {
        address: Address::Tcp { host: host.into(), port },
        tls,
        username: Some(username.into()),
        password: Some(Secret::new("secret")),
        database: database.into(),
        table: "jobs".into(),
        failed_table: "failed_jobs".into(),
        connect_timeout: Duration::from_secs(20),
        io_timeout: Duration::from_secs(20),
        poll_interval: Duration::from_millis(250),
    }
}

fn trusting(authority: &CertificateAuthority) -> TlsConfig {
    let ca_file = Some(authority.certificate());
    TlsConfig { verify: true, ca_file, cert_file: None, key_file: None, server_name: None }
}

/// What every driver does with a server whose certificate is for `localhost` and by `authority`, and that wants TLS.
fn verifies_by_default(authority: &CertificateAuthority, connect: impl Fn(&str, Option<TlsConfig>) -> Result<Option<i64>>) {
    let trusted = trusting(authority);
    assert!(connect("localhost", Some(trusted.clone())).unwrap().is_some());

    let (stranger, system) = (CertificateAuthority::new(), TlsConfig { ca_file: None, ..trusted.clone() });
    for (what, host, tls) in [
        ("an unknown authority", "localhost", trusting(&stranger)),
        ("the system's authorities", "localhost", system),
        ("a wrong name", "127.0.0.1", trusted.clone()),
    ] {
        let error = connect(host, Some(tls)).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Connection, "{what}: {text}");
        assert!(text.contains("certificate") && text.contains("tls"), "{what}: {text}");
        assert!(!text.contains("secret"), "{what}: {text}");
    }
    let unchecked = TlsConfig { verify: false, ca_file: None, ..trusted };
    assert!(connect("127.0.0.1", Some(unchecked)).unwrap().is_some());

    let plain = connect("127.0.0.1", None).unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::Connection, "{plain}");
    assert!(plain.to_string().contains("tls"), "{plain}");
}

#[test]
fn mariadbs_certificate_is_verified_by_default() {
    let authority = CertificateAuthority::new();
    let (certificate, key) = authority.issue("server");
    let options = [format!("--ssl-cert={}", certificate.display()), format!("--ssl-key={}", key.display())];
    let Some(server) = MariaDb::start(&[&options[0], &options[1], "--require-secure-transport=ON"]) else { return };
    let database = server.database();
    let broker = |host: &str, tls| MysqlBroker::new(config(host, server.port(), "ferry", &database, tls), settings());
    let schema = broker("localhost", None).admin().unwrap().schema();
    server.sql(&format!("USE {database}; {}", schema.join(";\n")));
    verifies_by_default(&authority, |host, tls| broker(host, tls).push(&queue("mail"), NewJob::ready(&b"{}"[..])));
}

#[test]
fn postgres_certificate_is_verified_by_default_and_scram_logs_in() {
    let authority = CertificateAuthority::new();
    let Some(server) = PostgresServer::with_tls(&authority) else { return };
    let database = server.database();
    let broker = |host: &str, tls| {
        let config = config(host, server.port(), server.username(), database.name(), tls);
        PostgresBroker::new(config, settings())
    };
    database.sql(&broker("localhost", None).admin().unwrap().schema().join(";\n"));
    verifies_by_default(&authority, |host, tls| broker(host, tls).push(&queue("mail"), NewJob::ready(&b"{}"[..])));

    let mut stranger = config("localhost", server.port(), server.username(), database.name(), Some(trusting(&authority)));
    stranger.password = Some(Secret::new("guessed"));
    let error = PostgresBroker::new(stranger, settings()).push(&queue("mail"), NewJob::ready(&b"{}"[..])).unwrap_err();
    assert!(error.to_string().contains("refused the login") && !error.to_string().contains("guessed"), "{error}");
}
