//! Errors in words: what, on which server, what to do. The library's error ends here; only its text goes on.

use ferry_core::{Error, ErrorKind};
use sqlx::mysql::MySqlDatabaseError;

use super::server::MysqlServer;
use crate::error::{SqlError, is_of_tls};

/// The error for the caller.
pub(super) fn explain(error: SqlError, server: &MysqlServer) -> Error {
    let place = format!("database `{}` on {}", server.config.database, server.config.address);
    match error {
        SqlError::Database(error) => of_server(error, &place),
        SqlError::Uncertain(error) => {
            Error::new(ErrorKind::Uncertain, format!("{place}: the connection broke before the answer came"))
                .with_source(error.to_string())
        }
        SqlError::Runtime(error) => Error::new(ErrorKind::Connection, format!("connect to {place}")).with_source(error),
        SqlError::Sqlite(error) => Error::new(ErrorKind::Refused, place).with_source(error.to_string()),
        SqlError::Replaced => Error::new(ErrorKind::Connection, format!("{place} was replaced")),
        SqlError::Unsuitable(why) => Error::new(ErrorKind::Config, format!("{place} cannot be used: {why}")),
        SqlError::TooLarge { bytes, limit, holder } => {
            Error::new(ErrorKind::Refused, format!("{place}: {bytes} bytes are more than the {limit} of {holder}"))
                .with_advice("nothing was stored; raise that limit, or push less data")
        }
        SqlError::NotText => {
            Error::new(ErrorKind::Refused, format!("{place}: the payload is not UTF-8, and its column is a text"))
                .with_advice("nothing was stored; push UTF-8, or make the column `payload` a LONGBLOB")
        }
        SqlError::MissingTable(table) => Error::new(ErrorKind::Config, format!("{place} has no table `{table}`"))
            .with_advice("`ferry schema` prints the statements that create it"),
        SqlError::MissingColumn { table, column } => {
            Error::new(ErrorKind::Config, format!("{place}: table `{table}` has no column `{column}`"))
                .with_advice("it is not a table of think-queue: migrate it, or name another table")
        }
        SqlError::OtherFamily { table, family, fitting } => Error::new(
            ErrorKind::Config,
            format!(
                "{place}: table `{table}` has the columns of the family `{}`, and this connection is of `{}`",
                fitting.name(),
                family.name()
            ),
        )
        .with_advice(format!("set `family` to `{}`, or name another table", fitting.name())),
    }
}

fn of_server(error: sqlx::Error, place: &str) -> Error {
    let Some(number) = number(&error) else {
        let (what, advice) = match &error {
            sqlx::Error::Configuration(_) => ("cannot be reached", "check the files that `tls` names"),
            _ if is_of_tls(&error) => ("cannot be reached", "check `tls` and the server's certificate"),
            _ => ("cannot be reached", "check host, port and whether the server runs"),
        };
        return Error::new(ErrorKind::Connection, format!("{place} {what}")).with_advice(advice).with_source(error.to_string());
    };
    let (kind, what, advice) = meaning(number);
    let text = error.as_database_error().map_or_else(|| error.to_string(), ToString::to_string);
    let error = Error::new(kind, format!("{place} {what}")).with_source(text);
    if advice.is_empty() { error } else { error.with_advice(advice) }
}

/// Whether the server ended the connection and said so. It had not begun what was asked of it.
pub(super) fn is_ended_by_server(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1053 | 1152 | 1158..=1161 | 1184 | 1927 | 4031))
}

fn number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

/// By the server's error number: what the caller can do, what is wrong, what to do.
fn meaning(number: u16) -> (ErrorKind, &'static str, &'static str) {
    use ErrorKind::{Config, Connection, Refused};
    match number {
        1044 | 1045 | 1698 => {
            (Connection, "refused the login", "check `username`, `password` and the rights of that user; it may want `tls`")
        }
        1049 => (Connection, "does not exist", "check `database`, or create it"),
        1040 | 1203 | 1226 => (Connection, "has no connection left", "raise `max_connections`, or run fewer workers"),
        3159 => (Connection, "takes connections with TLS only", "set `tls`"),
        1129 | 1130 => (Connection, "does not let this host in", "grant the user access from this host"),
        1053 | 1152 | 1158..=1161 | 1184 | 1927 | 4031 => (Connection, "ended the connection", ""),
        1054 => (Config, "lacks a column", "migrate the table, or name another one"),
        1142 | 1143 | 1227 => {
            (Refused, "does not allow this user to do that", "grant SELECT, INSERT, UPDATE and DELETE on the tables")
        }
        1146 => (Config, "lacks a table", "`ferry schema` prints the statements that create it"),
        1290 | 1792 | 1836 => (Refused, "is read only", "connect to the primary server; nothing was changed"),
        1021 | 1114 => (Refused, "is full", "free space on its disk; nothing was changed"),
        1030 => (Refused, "had an error of its storage", "look into the log of the server"),
        1153 | 1301 => (Refused, "refused a statement that is too large", "raise `max_allowed_packet`, or push less data"),
        1264 => (Refused, "refused a number that its column cannot hold", "a due time of think-queue's table ends in 2106"),
        1366 => (Refused, "refused text that its column cannot hold", "make the column utf8mb4"),
        1406 => (Refused, "refused a value that is too long for its column", "make the column a LONGTEXT, or push less data"),
        1205 => (Refused, "did not release a lock in time", "look for a long transaction in SHOW PROCESSLIST"),
        1213 => (Refused, "ended in deadlocks again and again", "look into SHOW ENGINE INNODB STATUS; nothing was changed"),
        1665 => (Refused, "writes its log by statement", "set `binlog_format` to ROW or MIXED"),
        _ => (Refused, "refused the statement", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_a_user_meets_says_what_to_do() {
        for (number, kind) in [
            (1045, ErrorKind::Connection),
            (1049, ErrorKind::Connection),
            (1040, ErrorKind::Connection),
            (1146, ErrorKind::Config),
            (1290, ErrorKind::Refused),
            (1114, ErrorKind::Refused),
            (1406, ErrorKind::Refused),
        ] {
            let (found, _, advice) = meaning(number);
            assert_eq!(found, kind, "{number}");
            assert!(!advice.is_empty(), "{number}");
        }
    }
}
