//! RabbitMQ behind TLS, with a certificate that we signed ourselves.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ferry_conformance::servers::AmqpNodeExt;
use ferry_core::broker::{Settle, SettleResult, Settlement};
use ferry_core::config::{Address, TlsConfig};
use ferry_core::{Broker, ErrorKind, NewJob, QueueName};
use ferry_driver_amqp::{AmqpBroker, Settings};
use ferry_testkit::{AmqpServer, TempDir};

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A certificate for `localhost` that vouches for itself, and its key.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "key.pem", "-out", "cert.pem"];
    let named =
        ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"];
    openssl(folder, &[new.as_slice(), &named].concat());
    (folder.join("cert.pem"), folder.join("key.pem"))
}

#[test]
fn a_certificate_of_our_own_is_trusted_by_ca_file_and_refused_without() {
    let folder = TempDir::new();
    let (cert, key) = certificate(folder.path());
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let settings = [
        format!("listeners.ssl.default = 127.0.0.1:{port}"),
        format!("ssl_options.certfile = {}", cert.display()),
        format!("ssl_options.keyfile = {}", key.display()),
        format!("ssl_options.cacertfile = {}", cert.display()),
        "ssl_options.verify = verify_none".to_owned(),
    ];
    let Some(node) = AmqpServer::start(&settings.each_ref().map(String::as_str)) else { return };
    let vhost = node.vhost();
    let with = |tls: TlsConfig| {
        let mut config = node.config_at(&vhost, Address::Tcp { host: "localhost".into(), port });
        config.tls = Some(tls);
        AmqpBroker::new(config, Settings::default())
    };
    let trusting = TlsConfig { verify: true, ca_file: Some(cert.clone()), cert_file: None, key_file: None, server_name: None };
    let mail = QueueName::new(b"mail").unwrap();

    let strict = with(TlsConfig { ca_file: None, ..trusting.clone() });
    let error = strict.push(&mail, NewJob::ready(b"{}".as_slice())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.to_string().contains("certificate") && error.to_string().contains("ca_file"), "{error}");

    let other = with(TlsConfig { server_name: Some("elsewhere".into()), ..trusting.clone() });
    assert!(other.push(&mail, NewJob::ready(b"{}".as_slice())).is_err(), "the name is checked too");

    let plain = AmqpBroker::new(node.config_at(&vhost, Address::Tcp { host: "localhost".into(), port }), Settings::default());
    let error = plain.push(&mail, NewJob::ready(b"{}".as_slice())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.to_string().contains("is not AMQP") && error.to_string().contains("`tls`"), "{error}");

    let broker = with(trusting.clone());
    // More than one TLS record, and more than the system takes at once.
    let large = vec![b'x'; 3 << 20];
    assert_eq!(broker.push_many(&mail, &[NewJob::ready(large.as_slice()), NewJob::ready(b"{}".as_slice())]).unwrap(), 2);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        for job in broker.reserve(std::slice::from_ref(&mail), 1, Duration::from_secs(1)).unwrap() {
            assert_eq!(
                broker.settle(&[Settle { claim: job.claim, settlement: Settlement::Delete }]).unwrap(),
                [SettleResult::Applied]
            );
            seen.push(job.body.len());
        }
    }
    assert_eq!(seen, [large.len(), 2]);

    let careless = with(TlsConfig { verify: false, ca_file: None, ..trusting });
    assert!(careless.push(&mail, NewJob::ready(b"{}".as_slice())).is_ok());
    drop(fs::remove_file(key));
}
