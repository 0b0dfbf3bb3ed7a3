//! Certificates of our own making, for servers with TLS.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::TempDir;

/// Issues certificates. Its files go with it.
#[derive(Debug)]
pub struct CertificateAuthority(TempDir);

impl CertificateAuthority {
    /// A new one that nobody knows.
    pub fn new() -> Self {
        let authority = Self(TempDir::new());
        authority.openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ferry-test-ca -keyout ca.key -out ca.pem");
        authority
    }

    /// A certificate for the host `localhost`, and its key: `<name>.pem` and `<name>.key`.
    pub fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        std::fs::write(self.path("ext"), "subjectAltName=DNS:localhost\n").expect("the folder is ours");
        self.openssl(&format!("req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out {name}.pem"
        ));
        (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }

    /// Its own certificate, for those who trust it.
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// One of its files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(self.0.path());
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("openssl is installed");
        assert!(status.success(), "openssl {arguments}");
    }
}

impl Default for CertificateAuthority {
    fn default() -> Self {
        Self::new()
    }
}
