//! The TLS client against a server on loopback, with certificates that each test makes itself.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ferry_core::config::{Address, TlsConfig};
use ferry_core::{Error, ErrorKind};
use ferry_support::{net, tls};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConnection, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection, StreamOwned, version};

/// A certificate authority in a directory that goes away with the test.
struct Authority(PathBuf);

impl Authority {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ferry-support-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let authority = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&authority.0).unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        authority.openssl(&format!("req -x509 {key} -days 2 -subj /CN=ferry-test-ca -keyout ca.key -out ca.pem"));
        authority
    }

    /// A certificate `name`.pem with `name`.key, for `localhost`.
    fn issue(&self, name: &str) {
        fs::write(self.path("ext"), "subjectAltName=DNS:localhost\n").unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        self.openssl(&format!("req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        let signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext";
        self.openssl(&format!("x509 -req -in {name}.csr {signed} -out {name}.pem"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn openssl(&self, arguments: &str) {
        let status = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(&self.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("openssl is installed");
        assert!(status.success(), "openssl {arguments}");
    }

    fn trusting(&self) -> TlsConfig {
        TlsConfig { verify: true, ca_file: Some(self.path("ca.pem")), cert_file: None, key_file: None, server_name: None }
    }

    /// Everything it issued, as a server trusts it.
    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        Arc::new(roots)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a server behaves beside having a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    Plain,
    WantsClientCertificate,
    OnlyTls12,
}

/// Serves one connection: sends back four bytes. Answers where, and the TLS version that was agreed on.
fn serve(authority: &Authority, kind: Server) -> (u16, JoinHandle<std::io::Result<ProtocolVersion>>) {
    authority.issue("server");
    let provider = Arc::new(ring::default_provider());
    let versions = if kind == Server::OnlyTls12 { &[&version::TLS12] as &[_] } else { rustls::ALL_VERSIONS };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let builder = if kind == Server::WantsClientCertificate {
        let verifier = WebPkiClientVerifier::builder_with_provider(authority.roots(), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_file(authority.path("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(authority.path("server.key")).unwrap();
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        let (socket, _) = listener.accept()?;
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
        let echoed = echo_once(&mut stream);
        // Closing with bytes unread would reset the connection, and the client could miss the alert that says why.
        let _ = stream.sock.shutdown(Shutdown::Write);
        let _ = std::io::copy(&mut stream.sock, &mut std::io::sink());
        echoed
    });
    (port, thread)
}

fn echo_once(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> std::io::Result<ProtocolVersion> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    stream.write_all(&bytes)?;
    Ok(stream.conn.protocol_version().unwrap())
}

fn at(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.to_owned(), port }
}

/// Shakes hands and has four bytes sent back.
fn echo(client: ClientConnection, address: &Address) -> std::io::Result<[u8; 4]> {
    let fd = net::connect(address, Instant::now() + Duration::from_secs(60), Duration::from_secs(60))?;
    let mut stream = StreamOwned::new(client, TcpStream::from(fd));
    stream.write_all(b"ping")?;
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// What the client says of a server that has a certificate for `localhost` from `authority`.
fn refusal(authority: &Authority, kind: Server, host: &str, config: &TlsConfig) -> String {
    let (port, server) = serve(authority, kind);
    let address = at(host, port);
    let error = echo(tls::client(config, &address).unwrap(), &address).unwrap_err();
    assert!(server.join().unwrap().is_err());
    error.to_string()
}

fn succeeds(authority: &Authority, kind: Server, host: &str, config: &TlsConfig) -> ProtocolVersion {
    let (port, server) = serve(authority, kind);
    let address = at(host, port);
    assert_eq!(echo(tls::client(config, &address).unwrap(), &address).unwrap(), *b"ping");
    server.join().unwrap().unwrap()
}

fn config_error(config: &TlsConfig) -> Error {
    let error = tls::client_config(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    error
}

#[test]
fn a_certificate_of_a_trusted_authority_is_accepted() {
    let authority = Authority::new();
    assert_eq!(succeeds(&authority, Server::Plain, "localhost", &authority.trusting()), ProtocolVersion::TLSv1_3);
    assert_eq!(succeeds(&authority, Server::OnlyTls12, "localhost", &authority.trusting()), ProtocolVersion::TLSv1_2);
}

#[test]
fn a_library_that_makes_the_client_itself_checks_the_same() {
    let authority = Authority::new();
    let (port, server) = serve(&authority, Server::Plain);
    let address = at("localhost", port);
    let (config, tls) = (authority.trusting(), tls::client_config(&authority.trusting()).unwrap());
    let client = ClientConnection::new(tls, tls::server_name(&config, &address).unwrap()).unwrap();
    assert_eq!(echo(client, &address).unwrap(), *b"ping");
    server.join().unwrap().unwrap();
}

#[test]
fn an_authority_that_is_not_trusted_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let says = refusal(&authority, Server::Plain, "localhost", &stranger.trusting());
    assert!(says.contains("invalid peer certificate"), "{says}");
}

#[test]
fn the_authorities_of_the_system_do_not_vouch_for_a_stranger() {
    let authority = Authority::new();
    let system = TlsConfig { ca_file: None, ..authority.trusting() };
    match tls::client_config(&system) {
        // A machine without any.
        Err(error) => assert!(error.to_string().contains("no certificate authority is trusted"), "{error}"),
        Ok(_) => {
            let says = refusal(&authority, Server::Plain, "localhost", &system);
            assert!(says.contains("invalid peer certificate"), "{says}");
        }
    }
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let renamed = TlsConfig { server_name: Some("other.example".to_owned()), ..authority.trusting() };
    for (host, config) in [("127.0.0.1", authority.trusting()), ("localhost", renamed)] {
        let says = refusal(&authority, Server::Plain, host, &config);
        assert!(says.contains("certificate not valid for name"), "{says}");
    }
}

#[test]
fn the_expected_name_can_be_configured() {
    let authority = Authority::new();
    let named = TlsConfig { server_name: Some("localhost".to_owned()), ..authority.trusting() };
    succeeds(&authority, Server::Plain, "127.0.0.1", &named);
}

#[test]
fn without_verification_any_certificate_is_accepted_by_either_version() {
    let authority = Authority::new();
    let unchecked = TlsConfig { verify: false, ca_file: None, ..authority.trusting() };
    assert_eq!(succeeds(&authority, Server::Plain, "127.0.0.1", &unchecked), ProtocolVersion::TLSv1_3);
    assert_eq!(succeeds(&authority, Server::OnlyTls12, "127.0.0.1", &unchecked), ProtocolVersion::TLSv1_2);
}

#[test]
fn a_client_certificate_is_shown_where_one_is_wanted() {
    let authority = Authority::new();
    authority.issue("client");
    let says = refusal(&authority, Server::WantsClientCertificate, "localhost", &authority.trusting());
    assert!(says.to_lowercase().contains("certificaterequired"), "{says}");
    let (cert_file, key_file) = (Some(authority.path("client.pem")), Some(authority.path("client.key")));
    let with = TlsConfig { cert_file, key_file, ..authority.trusting() };
    succeeds(&authority, Server::WantsClientCertificate, "localhost", &with);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    authority.issue("client");
    authority.issue("another");
    fs::write(authority.path("empty.pem"), "").unwrap();
    fs::write(authority.path("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let with = |cert: Option<&str>, key: Option<&str>| TlsConfig {
        cert_file: cert.map(|name| authority.path(name)),
        key_file: key.map(|name| authority.path(name)),
        ..authority.trusting()
    };
    let trusting = |name: &str| TlsConfig { ca_file: Some(authority.path(name)), ..authority.trusting() };
    let table = [
        (with(Some("client.pem"), None), "set `cert_file` and `key_file`"),
        (with(None, Some("client.key")), "set `cert_file` and `key_file`"),
        (with(Some("missing.pem"), Some("client.key")), "missing.pem cannot be read"),
        (with(Some("client.pem"), Some("missing.key")), "missing.key cannot be read"),
        (with(Some("client.pem"), Some("client.pem")), "the private key in"),
        (with(Some("client.pem"), Some("another.key")), "client.pem cannot be used"),
        (trusting("missing.pem"), "missing.pem cannot be read"),
        (trusting("empty.pem"), "empty.pem holds no certificate"),
        (trusting("broken.pem"), "broken.pem holds a certificate that cannot be used"),
    ];
    for (config, says) in table {
        let error = config_error(&config);
        assert!(error.to_string().contains(says), "{error}");
    }
}
