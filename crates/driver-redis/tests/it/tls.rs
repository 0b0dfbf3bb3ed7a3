//! TLS, against a real server with certificates of our own making.

use std::time::Duration;

use ferry_core::config::{Address, RedisConfig, TlsConfig};
use ferry_core::job::NewJob;
use ferry_core::{Broker, ErrorKind};
use ferry_driver_redis::{RedisBroker, Settings};
use ferry_testkit::{CertificateAuthority, free_port};

use crate::support::{Server, body, config_for, push, q, reserve};

fn trusting(authority: &CertificateAuthority) -> TlsConfig {
    let ca_file = Some(authority.certificate());
    TlsConfig { verify: true, ca_file, cert_file: None, key_file: None, server_name: None }
}

/// A server with a TLS port whose certificate `authority` issued.
fn secured(authority: &CertificateAuthority, wants_client: &str) -> (Server, u16) {
    authority.issue("server");
    let tls_port = free_port();
    let file = |name: &str| authority.path(name).to_str().unwrap().to_owned();
    let server = Server::start_with(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        &file("server.pem"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-ca-cert-file",
        &file("ca.pem"),
        "--tls-auth-clients",
        wants_client,
    ]);
    (server, tls_port)
}

fn broker(port: u16, host: &str, tls: TlsConfig) -> RedisBroker {
    let address = Address::Tcp { host: host.into(), port };
    RedisBroker::new(RedisConfig { address, tls: Some(tls), ..config_for(port) }, Settings::default())
}

fn is_refused(broker: &RedisBroker, kind: ErrorKind, says: &str) {
    let error = broker.push(&q(), NewJob::ready(&b"x"[..])).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn a_certificate_of_a_trusted_authority_opens_and_an_idle_link_stays_usable() {
    let authority = CertificateAuthority::new();
    let (server, port) = secured(&authority, "no");
    let broker = broker(port, "localhost", trusting(&authority));
    push(&broker, &[body("a", 0), "x".repeat(3 << 20)]);
    push(&broker, &[body("b", 0)]);
    assert_eq!(reserve(&broker, 1).len(), 1);
    assert_eq!(reserve(&broker, 1)[0].body.len(), 3 << 20);
    server.inspect().run::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    push(&broker, &[body("c", 0)]);
    assert_eq!(reserve(&broker, 9).len(), 2);
}

#[test]
fn waiting_works_over_tls() {
    let authority = CertificateAuthority::new();
    let (server, port) = secured(&authority, "no");
    let broker = broker(port, "localhost", trusting(&authority));
    crate::support::taken_soon_after_a_push(&server, &broker);
}

#[test]
fn an_unknown_authority_and_a_wrong_host_name_are_refused() {
    let authority = CertificateAuthority::new();
    let (_server, port) = secured(&authority, "no");
    let stranger = CertificateAuthority::new();
    is_refused(&broker(port, "localhost", trusting(&stranger)), ErrorKind::Connection, "certificate");
    is_refused(&broker(port, "127.0.0.1", trusting(&authority)), ErrorKind::Connection, "server_name");
    let renamed = TlsConfig { server_name: Some("other.example".into()), ..trusting(&authority) };
    is_refused(&broker(port, "localhost", renamed), ErrorKind::Connection, "server_name");
    let system = TlsConfig { ca_file: None, ..trusting(&authority) };
    let error = broker(port, "localhost", system).push(&q(), NewJob::ready(&b"x"[..])).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Connection | ErrorKind::Config), "{error}");
}

#[test]
fn the_expected_name_can_be_given_and_checking_switched_off() {
    let authority = CertificateAuthority::new();
    let (_server, port) = secured(&authority, "no");
    let named = TlsConfig { server_name: Some("localhost".into()), ..trusting(&authority) };
    push(&broker(port, "127.0.0.1", named), &[body("a", 0)]);
    let unchecked = TlsConfig { verify: false, ca_file: None, ..trusting(&authority) };
    push(&broker(port, "127.0.0.1", unchecked), &[body("b", 0)]);
}

#[test]
fn a_client_certificate_is_shown_where_one_is_wanted() {
    let authority = CertificateAuthority::new();
    let (_server, port) = secured(&authority, "yes");
    authority.issue("client");
    is_refused(&broker(port, "localhost", trusting(&authority)), ErrorKind::Connection, "client certificate");
    let with = |cert: &str, key: Option<&str>| TlsConfig {
        cert_file: Some(authority.path(cert)),
        key_file: key.map(|key| authority.path(key)),
        ..trusting(&authority)
    };
    push(&broker(port, "localhost", with("client.pem", Some("client.key"))), &[body("a", 0)]);
    is_refused(&broker(port, "localhost", with("client.pem", None)), ErrorKind::Config, "key_file");
    is_refused(&broker(port, "localhost", with("missing.pem", Some("client.key"))), ErrorKind::Config, "missing.pem");
}

#[test]
fn tls_and_plain_ports_that_are_mixed_up_are_found_out_before_anything_is_pushed() {
    let authority = CertificateAuthority::new();
    let (server, port) = secured(&authority, "no");
    // Redis takes the hello for the beginning of a long line and waits for its end.
    let hasty =
        RedisConfig { tls: Some(trusting(&authority)), connect_timeout: Duration::from_millis(300), ..config_for(server.port()) };
    is_refused(&RedisBroker::new(hasty, Settings::default()), ErrorKind::Connection, "whether this port speaks TLS");
    let plain = RedisBroker::new(config_for(port), Settings::default());
    is_refused(&plain, ErrorKind::Connection, "rediss://");
}
