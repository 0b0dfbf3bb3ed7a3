//! The TLS client: who is trusted, and which name the certificate must hold.
//!
//! The provider (ring) is named wherever rustls asks: the process default panics when two are compiled in.

use std::path::Path;
use std::sync::Arc;

use ferry_core::config::TlsConfig;
use ferry_core::{Error, ErrorKind, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// What the handshake checks.
pub fn client(tls: &TlsConfig) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong("TLS cannot be set up").with_source(e))?;
    let builder = if tls.verify {
        builder.with_root_certificates(roots(tls.ca_file.as_deref())?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAnybody(provider)))
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

/// The name that the certificate must hold.
pub fn server_name(tls: &TlsConfig, host: &str) -> Result<String> {
    let name = tls.server_name.clone().unwrap_or_else(|| host.to_owned());
    match ServerName::try_from(name.as_str()) {
        Ok(_) => Ok(name),
        Err(e) => Err(wrong(format!("`{name}` is no name for a certificate")).with_source(e)),
    }
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, what)
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in certificates(path)? {
                let unusable = |e| wrong(format!("{} holds a certificate that cannot be used", path.display())).with_source(e);
                roots.add(certificate).map_err(unusable)?;
            }
        }
        // The system's store may hold oddities beside good ones; those are skipped, as other programs do.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() {
        return Err(wrong("no certificate authority is trusted").with_advice("install ca-certificates or set `ca_file`"));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable =
        |e: rustls::pki_types::pem::Error| wrong(format!("the certificates in {} cannot be read", path.display())).with_source(e.to_string());
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
struct TrustAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnybody {
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
