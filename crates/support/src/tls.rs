//! The TLS client: who is trusted, and which name the certificate must hold. The socket beneath it is the driver's.
//!
//! The provider (ring) is named wherever rustls asks: the process default panics when two are compiled in.

use std::path::Path;
use std::sync::Arc;

use ferry_core::config::{Address, TlsConfig};
use ferry_core::{Error, ErrorKind, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// A client for the server at `address` that has not shaken hands yet.
pub fn client(tls: &TlsConfig, address: &Address) -> Result<ClientConnection> {
    let name = server_name(tls, address)?;
    ClientConnection::new(client_config(tls)?, name).map_err(not_set_up)
}

/// What the handshake checks and shows, for libraries that make the client themselves. They need [`server_name`] too.
pub fn client_config(tls: &TlsConfig) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().map_err(not_set_up)?;
    let builder = if tls.verify {
        builder.with_root_certificates(roots(tls.ca_file.as_deref())?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate(provider)))
    };
    let config = match (&tls.cert_file, &tls.key_file) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|e| wrong(format!("the client certificate {} cannot be used", cert.display())).with_source(e))?,
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(wrong("a client certificate needs both files").with_advice("set `cert_file` and `key_file`")),
    };
    Ok(Arc::new(config))
}

/// The name that the certificate must hold: `server_name`, else the host of `address`.
pub fn server_name(tls: &TlsConfig, address: &Address) -> Result<ServerName<'static>> {
    let name = match (&tls.server_name, address) {
        (Some(name), _) => name.clone(),
        (None, Address::Tcp { host, .. }) => host.clone(),
        (None, Address::Unix(_)) => {
            return Err(wrong("TLS over a unix socket has no host name").with_advice("set `server_name`"));
        }
    };
    ServerName::try_from(name.clone()).map_err(|e| wrong(format!("`{name}` is no name for a certificate")).with_source(e))
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, what)
}

fn not_set_up(error: rustls::Error) -> Error {
    wrong("TLS cannot be set up").with_source(error)
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let unusable = |e| wrong(format!("{} holds a certificate that cannot be used", path.display())).with_source(e);
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(unusable)?;
            }
        }
        // The system's store may hold oddities beside good ones; those are skipped, as other programs do.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(wrong("no certificate authority is trusted").with_advice("install ca-certificates or set `ca_file`"));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable =
        |e: pem::Error| wrong(format!("the certificates in {} cannot be read", path.display())).with_source(e.to_string());
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect::<std::result::Result<_, _>>().map_err(unreadable)?;
    if found.is_empty() {
        return Err(wrong(format!("{} holds no certificate", path.display())).with_advice("it must be a PEM file"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|e| wrong(format!("the private key in {} cannot be read", path.display())).with_source(e.to_string()))
}

/// What `verify: false` asks for: any certificate will do. The handshake itself is still checked.
#[derive(Debug)]
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(server_name: Option<&str>) -> TlsConfig {
        let server_name = server_name.map(str::to_owned);
        TlsConfig { verify: true, ca_file: None, cert_file: None, key_file: None, server_name }
    }

    fn at(host: &str) -> Address {
        Address::Tcp { host: host.to_owned(), port: 6379 }
    }

    #[test]
    fn the_name_in_the_certificate_is_the_host_unless_another_is_configured() {
        let socket = Address::Unix("/run/redis.sock".into());
        let table = [
            (None, at("mq.example"), "mq.example"),
            (None, at("127.0.0.1"), "127.0.0.1"),
            (None, at("::1"), "::1"),
            (Some("other.example"), at("mq.example"), "other.example"),
            (Some("other.example"), socket, "other.example"),
        ];
        for (configured, address, expected) in table {
            assert_eq!(server_name(&tls(configured), &address).unwrap().to_str(), expected);
        }
    }

    #[test]
    fn what_cannot_be_the_name_in_a_certificate_is_a_wrong_configuration() {
        let table = [
            (None, Address::Unix("/run/redis.sock".into()), "set `server_name`"),
            (None, at("two words"), "`two words` is no name for a certificate"),
            (Some(""), at("mq.example"), "`` is no name for a certificate"),
        ];
        for (configured, address, says) in table {
            let error = client(&tls(configured), &address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
