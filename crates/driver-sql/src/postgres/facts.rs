//! What an operator should know of the server.

use ferry_core::broker::Fact;
use ferry_core::clock::{Clock, SystemClock};

use super::dialect::PostgresDialect;
use super::server::PostgresServer;
use super::session::PostgresSession;
use crate::dialect::Dialect;
use crate::error::SqlError;
use crate::session::{Row, Session};
use crate::statements::due_index;
use crate::values::SqlValues;

pub(super) fn facts(session: &mut PostgresSession, server: &PostgresServer) -> Result<Vec<(&'static str, Fact)>, SqlError> {
    let skew = (session.now_ms()? - SystemClock.now_ms()) as f64 / 1000.0;
    let mut facts = vec![
        ("driver", Fact::Text("postgres".to_owned())),
        ("version", Fact::Text(text(session, "SHOW server_version")?)),
        ("database", Fact::Text(text(session, "SELECT current_database()")?)),
        ("schema", Fact::Text(text(session, "SELECT current_schema()")?)),
        ("time_zone", Fact::Text(text(session, "SHOW TimeZone")?)),
        ("encoding", Fact::Text(text(session, "SHOW server_encoding")?)),
        ("isolation", Fact::Text(text(session, "SHOW default_transaction_isolation")?)),
        ("synchronous_commit", Fact::Text(text(session, "SHOW synchronous_commit")?)),
        ("clock_skew", Fact::Seconds(skew)),
    ];
    // Behind one, waiting workers poll, and statements are not prepared.
    facts.push(("pooler", Fact::Flag(session.is_pooled())));
    let waiting = if session.is_pooled() { "polling" } else { "LISTEN" };
    facts.push(("waiting", Fact::Text(waiting.to_owned())));
    facts.push(("channel", Fact::Text(server.channel().to_owned())));
    let index = due_index(&server.config().table);
    let found = session.query(PostgresDialect.index_exists(), SqlValues::new().text(&index))?;
    facts.push(("due_index", Fact::Text(if found.is_empty() { "missing" } else { "present" }.to_owned())));
    for (name, sql) in [
        ("max_connections", "SELECT CAST(current_setting('max_connections') AS bigint)"),
        ("connections", "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"),
    ] {
        facts.push((name, Fact::Number(number(session, sql)?)));
    }
    let read_only = "SELECT CASE WHEN pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' THEN 1 ELSE 0 END";
    facts.push(("read_only", Fact::Flag(number(session, read_only)? == 1)));
    Ok(facts)
}

fn text(session: &mut PostgresSession, sql: &'static str) -> Result<String, SqlError> {
    Ok(session.query(sql, SqlValues::new())?.first().map_or_else(String::new, |row| row.text(0)))
}

fn number(session: &mut PostgresSession, sql: &'static str) -> Result<i64, SqlError> {
    Ok(session.query(sql, SqlValues::new())?.first().and_then(|row| row.int(0)).unwrap_or_default())
}
