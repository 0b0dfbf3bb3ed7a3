//! What the tests of several crates need: real servers, proxies that break on demand, temporary folders.
//!
//! It knows no crate of ours, so that each of them can test with it. A server is a process of ours on a free port with a folder of its
//! own: started on demand, ended by its pid, and its files removed when dropped. Another kind of server is another file here.

mod authority;
mod link;
mod mariadb;
mod ports;
mod postgres;
mod rabbitmq;
mod redis;
mod temp_dir;

use std::io::Write;

pub use authority::CertificateAuthority;
pub use link::{Direction, Fault, Link};
pub use mariadb::MariaDb;
pub use ports::free_port;
pub use postgres::{PgBouncer, PostgresDatabase, PostgresServer};
pub use rabbitmq::{AmqpNode, AmqpServer};
pub use redis::{RedisAddress, RedisOptions, RedisServer};
pub use temp_dir::TempDir;

/// Says that something is not tested here. In CI that is a failure.
///
/// It writes past the test harness, which swallows the output of tests that pass.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}: in CI nothing may be skipped");
    let thread = std::thread::current();
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "SKIP {}: {why}", thread.name().unwrap_or("a test"));
}
