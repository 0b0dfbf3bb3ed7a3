//! DSNs: any text can be read, and neither an error nor the masked form shows a password.

use ferry_core::ErrorKind;
use ferry_core::config::{connection_from_dsn, masked};

use crate::reader::Reader;
use crate::secret;

/// The text as it is, with a password where URLs have it, and with one in the query.
pub fn check(bytes: &[u8]) {
    if secret::is_spoilt(bytes) {
        return;
    }
    read(&String::from_utf8_lossy(bytes));

    let mut reader = Reader::new(bytes);
    let (scheme, user, between) = (reader.text(), reader.text(), reader.text());
    let rest = String::from_utf8_lossy(reader.rest());
    hides(&format!("{scheme}://{user}:{}@{rest}", secret::with(&between)));

    // These would make the second half a key, or the value of a key that is no secret.
    let harmless = |text: &str| !text.contains(['=', '[', '?', '&']);
    if harmless(&scheme) && harmless(&user) && harmless(&between) {
        hides(&format!("{scheme}:{user}?password={}", secret::with(&between)));
    }
}

fn hides(dsn: &str) {
    secret::assert_hidden(&masked(dsn));
    secret::assert_hidden(&read(dsn));
}

/// What reading it says that others may see: an error, or the configuration for a debugger.
fn read(dsn: &str) -> String {
    match connection_from_dsn("fuzz", dsn) {
        Ok(connection) => {
            crate::config::cannot_be_wrong(&connection);
            String::new()
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Config);
            format!("{error} {error:?}")
        }
    }
}
