//! The first request of a connection: `AUTH`, `SELECT`, `PING`, in one write.
//!
//! The `PING` makes every refusal of the login (no password given, loading, too many clients, not Redis at all) come now,
//! when nothing was pushed yet, and not as the uncertain end of a first push.

use std::time::Instant;

use ferry_core::config::RedisConfig;
use ferry_core::{Error, ErrorKind, Result};
use redis::{Value, cmd};

use super::{Broken, RedisSocket};
use crate::refusal;

/// Logs in and checks that the server is willing.
pub fn log_in(socket: &mut RedisSocket, config: &RedisConfig, deadline: Instant) -> Result<()> {
    let (request, replies) = login_request(config);
    let answers = socket.exchange_before(deadline, &request, replies).map_err(|broken| not_logged_in(&broken, config))?;
    for answer in answers {
        if let Value::ServerError(error) = answer {
            // A user without `+ping` is logged in all the same.
            if error.code() != "NOPERM" {
                return Err(refusal::explain(&error, config).into_kind(ErrorKind::Connection));
            }
        }
    }
    Ok(())
}

fn login_request(config: &RedisConfig) -> (Vec<u8>, usize) {
    let mut commands = Vec::new();
    if let Some(password) = &config.password {
        let mut auth = cmd("AUTH");
        if let Some(username) = &config.username {
            auth.arg(username);
        }
        auth.arg(password.expose());
        commands.push(auth);
    }
    if config.database != 0 {
        commands.push(cmd("SELECT").arg(config.database).clone());
    }
    commands.push(cmd("PING"));
    (commands.iter().flat_map(redis::Cmd::get_packed_command).collect(), commands.len())
}

fn not_logged_in(broken: &Broken, config: &RedisConfig) -> Error {
    let advice = if broken.timed_out {
        "the server accepts connections but does not answer: is it busy or stopped?"
    } else if config.tls.is_none() {
        "is this a Redis port? if it speaks TLS, use `rediss://` or set `tls`"
    } else {
        "is this a Redis port, and does the server want a client certificate (`cert_file`, `key_file`)?"
    };
    Error::new(ErrorKind::Connection, format!("log in to Redis at {}", config.address))
        .with_source(broken.cause.clone())
        .with_advice(advice)
}
