//! What an operator should know of the server.

use ferry_core::broker::Fact;

use super::server::MysqlServer;
use super::session::MysqlSession;
use crate::error::SqlError;
use crate::session::{Row, Session};
use crate::statements::due_index;
use crate::values::SqlValues;

/// Parameters: our own clock, the table of jobs, its index, the table of failed jobs.
const FACTS: &str = "SELECT VERSION(), @@max_connections, @@max_allowed_packet, @@innodb_flush_log_at_trx_commit, @@read_only, \
                     @@time_zone, @@sql_mode, UNIX_TIMESTAMP() - ?1, \
                     (SELECT collation_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?2 \
                     AND column_name = 'queue'), \
                     (SELECT count(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ?2 \
                     AND index_name = ?3), \
                     (SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?4), \
                     (SELECT count(*) FROM information_schema.processlist)";

pub(super) fn facts(session: &mut MysqlSession, server: &MysqlServer) -> Result<Vec<(&'static str, Fact)>, SqlError> {
    let own = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let own = i64::try_from(own).unwrap_or(i64::MAX);
    let table = server.config.table.as_str();
    let index = due_index(table);
    let rows = session.query(FACTS, SqlValues::new().int(own).text(table).text(&index).text(&server.config.failed_table))?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let (text, number) = (|column| Fact::Text(row.text(column)), |column| Fact::Number(row.int(column).unwrap_or_default()));
    Ok(vec![
        ("driver", Fact::Text("mysql".to_owned())),
        ("address", Fact::Text(server.config.address.to_string())),
        ("database", Fact::Text(server.config.database.clone())),
        ("version", text(0)),
        ("max_connections", number(1)),
        ("max_allowed_packet", number(2)),
        ("flush_per_commit", Fact::Flag(row.int(3) == Some(1))),
        ("read_only", Fact::Flag(row.int(4) == Some(1))),
        ("time_zone", text(5)),
        ("sql_mode", text(6)),
        ("clock_skew", Fact::Seconds(row.int(7).unwrap_or_default() as f64)),
        ("queue_collation", text(8)),
        ("index", Fact::Flag(row.int(9).is_some_and(|count| count > 0))),
        ("failed_table", Fact::Flag(row.int(10).is_some_and(|count| count > 0))),
        // Those of other users are shown to administrators only.
        ("connections", number(11)),
        ("skip_locked", Fact::Flag(session.skips_locked())),
    ])
}
