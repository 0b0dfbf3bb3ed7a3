//! Real servers for tests: started on demand, gone when dropped.

mod amqp;
mod link;
mod redis;
mod temp_dir;

use std::io::Write;

pub use amqp::AmqpServer;
pub use link::{Fault, Link, Way};
pub use redis::{RedisOptions, RedisServer};
pub use temp_dir::TempDir;

/// Says that something is not tested here. In CI that is a failure.
///
/// It writes past the test harness, which swallows the output of tests that pass.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}: in CI nothing may be skipped");
    say_skipped(why);
}

/// Says that a behaviour does not apply to a driver. That is no failure anywhere.
pub fn say_skipped(why: &str) {
    let thread = std::thread::current();
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "SKIP {}: {why}", thread.name().unwrap_or("a test"));
}
