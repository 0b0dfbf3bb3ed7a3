//! Logging in by caching_sha2_password, which MariaDB's server does not have: a scripted server stands in for MySQL 8.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use ferry_core::broker::Broker;
use ferry_core::config::{Address, FailedStore, Secret, SqlServerConfig};
use ferry_core::dialect::Family;
use ferry_core::{ErrorKind, NewJob, QueueName};
use ferry_testkit::TempDir;

use super::MysqlBroker;
use crate::settings::Settings;

/// The greeting of a MySQL 8 whose users log in by caching_sha2_password.
const GREETING: &[u8] =
    b"\n8.0.36\0\x01\0\0\0abcdefgh\0\xff\xf7\x21\x02\0\xff\xc7\x15\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0caching_sha2_password\0";

/// A server that says these things in turn, after the greeting each in answer to a packet. Answers with the packets at its end.
fn scripted(answers: Vec<Vec<Vec<u8>>>) -> (SqlServerConfig, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let say = |stream: &mut TcpStream, number: u8, packet: &[u8]| {
        let [low, high, ..] = packet.len().to_le_bytes();
        stream.write_all(&[&[low, high, 0, number], packet].concat()).unwrap();
    };
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        say(&mut stream, 0, GREETING);
        let mut answer = |answer: Vec<Vec<u8>>| {
            let mut head = [0; 4];
            stream.read_exact(&mut head).unwrap();
            let mut asked = vec![0; usize::from(head[0]) + 256 * usize::from(head[1])];
            stream.read_exact(&mut asked).unwrap();
            (head[3] + 1..).zip(answer).for_each(|(number, packet)| say(&mut stream, number, &packet));
            asked
        };
        answers.into_iter().map(&mut answer).collect()
    };
    (config_of_scripted(port), std::thread::spawn(serve))
}

fn config_of_scripted(port: u16) -> SqlServerConfig {
    SqlServerConfig {
        address: Address::Tcp { host: "127.0.0.1".into(), port },
        tls: None,
        username: Some("ferry".into()),
        password: Some(Secret::new("secret")),
        database: "shop".into(),
        table: "jobs".into(),
        failed_table: "failed_jobs".into(),
        connect_timeout: Duration::from_secs(20),
        io_timeout: Duration::from_secs(20),
        poll_interval: Duration::from_millis(250),
    }
}

const LOGGED_IN: &[u8] = b"\0\0\0\x02\0\0\0";
const NO_DATABASE: &[u8] = b"\xff\x19\x04#42000Unknown database";

/// What a push to that server ends with.
fn pushed_to_scripted(config: &SqlServerConfig) -> String {
    let settings = Settings { family: Family::Think3, retry_after: Some(60), failed: FailedStore::Keep, now: None };
    let queue = QueueName::default();
    let error = MysqlBroker::new(config.clone(), settings).push(&queue, NewJob::ready(&b"1"[..])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    error.to_string()
}

#[test]
fn caching_sha2_logs_in_from_the_servers_cache() {
    let cached = vec![vec![b"\x01\x03".to_vec(), LOGGED_IN.to_vec()], vec![NO_DATABASE.to_vec()]];
    let (config, _server) = scripted(cached);
    assert!(pushed_to_scripted(&config).contains("does not exist"));
}

#[test]
fn caching_sha2_without_tls_encrypts_the_password_with_the_servers_key() {
    let dir = TempDir::new();
    let (private, public) = rsa_key(dir.path());
    let key = [b"\x01".as_slice(), &public].concat();
    let (config, server) =
        scripted(vec![vec![b"\x01\x04".to_vec()], vec![key], vec![LOGGED_IN.to_vec()], vec![NO_DATABASE.to_vec()]]);
    assert!(pushed_to_scripted(&config).contains("does not exist"));

    let asked = server.join().unwrap();
    assert_eq!(asked[1], [2], "asks for the key");
    let mixed = decrypted(dir.path(), &private, &asked[2]);
    let password: Vec<u8> = mixed.iter().zip(b"abcdefghabcdefghijkl").map(|(byte, nonce)| byte ^ nonce).collect();
    assert_eq!(password, b"secret\0");
    assert!(asked.iter().all(|packet| !packet.windows(6).any(|bytes| bytes == b"secret")), "never in clear text");
}

/// The file of a private key, and the public one as MySQL sends it.
fn rsa_key(dir: &Path) -> (PathBuf, Vec<u8>) {
    let private = dir.join("private.pem");
    openssl(&["genrsa", "-out", private.to_str().unwrap(), "2048"]);
    let public = openssl(&["rsa", "-in", private.to_str().unwrap(), "-pubout"]);
    (private, public)
}

fn decrypted(dir: &Path, private: &Path, bytes: &[u8]) -> Vec<u8> {
    let file = dir.join("encrypted");
    std::fs::write(&file, bytes).unwrap();
    let padding = ["-pkeyopt", "rsa_padding_mode:oaep"];
    let files = ["-inkey", private.to_str().unwrap(), "-in", file.to_str().unwrap()];
    openssl(&[["pkeyutl", "-decrypt"].as_slice(), &padding, &files].concat())
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
