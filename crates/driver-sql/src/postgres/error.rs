//! Errors in words: what, on which server, what to do. The library's error ends here; only its text goes on.

use std::io;

use ferry_core::{Error, ErrorKind};

use super::server::PostgresServer;
use crate::error::{SqlError, is_of_tls};

/// The error for the caller.
pub(super) fn explain(error: SqlError, server: &PostgresServer) -> Error {
    let place = server.place();
    match error {
        SqlError::Database(error) => of_database(error, server, &place),
        SqlError::Uncertain(error) => {
            Error::new(ErrorKind::Uncertain, format!("{place}: the connection broke before the answer"))
                .with_source(text_of(&error, server))
        }
        SqlError::Runtime(error) => Error::new(ErrorKind::Connection, format!("connect to {place}")).with_source(error),
        SqlError::Sqlite(error) => Error::new(ErrorKind::Refused, place).with_source(error.to_string()),
        SqlError::Replaced => Error::new(ErrorKind::Refused, format!("{place} was replaced")),
        SqlError::Unsuitable(why) => Error::new(ErrorKind::Config, format!("{place} cannot be used: {why}")),
        SqlError::TooLarge { bytes, limit, holder } => {
            Error::new(ErrorKind::InvalidArgument, format!("{place}: {bytes} bytes are more than the {limit} of {holder}"))
                .with_advice("store the data elsewhere and push where it is")
        }
        SqlError::NotText => Error::new(ErrorKind::InvalidArgument, format!("{place} cannot store the payload: it is not UTF-8"))
            .with_advice("PostgreSQL stores text: encode the data"),
        SqlError::MissingTable(table) => Error::new(ErrorKind::Config, format!("{place} has no table `{table}`"))
            .with_advice("create it with the output of `ferry schema`, or check `table` and the user's search_path"),
        SqlError::MissingColumn { table, column } => {
            Error::new(ErrorKind::Config, format!("{place}: table `{table}` has no column `{column}`"))
                .with_advice("it is not a table of think-queue: migrate it, or name another table")
        }
        SqlError::OtherFamily { table, family, fitting } => {
            let (fitting, family) = (fitting.name(), family.name());
            let context = format!(
                "{place}: table `{table}` has the columns of the family `{fitting}`, and this connection is of `{family}`"
            );
            Error::new(ErrorKind::Config, context).with_advice(format!("set `family` to `{fitting}`, or name another table"))
        }
    }
}

fn of_database(error: sqlx::Error, server: &PostgresServer, place: &str) -> Error {
    if let Some(state) = state_of(&error) {
        let Meaning { kind, what, advice } = meaning(&state);
        return put(Error::new(kind, format!("{place} {what}")), advice, text_of(&error, server));
    }
    let (kind, what, advice) = match &error {
        sqlx::Error::Encode(_) => {
            (ErrorKind::InvalidArgument, "cannot store the value", "PostgreSQL stores text: encode the data as UTF-8")
        }
        _ if is_of_tls(&error) => (ErrorKind::Connection, "cannot be reached", "check `tls` and the server's certificate"),
        _ => (ErrorKind::Connection, "cannot be reached", "check host, port and that the server runs"),
    };
    put(Error::new(kind, format!("{place} {what}")), advice, text_of(&error, server))
}

fn put(error: Error, advice: &str, text: String) -> Error {
    let error = error.with_source(text);
    if advice.is_empty() { error } else { error.with_advice(advice) }
}

/// What the server or the library said, without the password.
fn text_of(error: &sqlx::Error, server: &PostgresServer) -> String {
    let text = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    server.config().password.as_ref().map_or_else(|| text.clone(), |password| password.removed_from(&text))
}

/// PostgreSQL's SQLSTATE (appendix A of its manual).
fn state_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

/// Whether a pooler does not know a setting of the start. PostgreSQL itself takes it.
pub(super) fn is_startup_refused(error: &sqlx::Error) -> bool {
    state_of(error).is_some_and(|state| state == "08P01")
}

pub(super) fn not_utf8() -> SqlError {
    SqlError::Database(sqlx::Error::Encode("the bytes are no UTF-8".into()))
}

/// An error of a statement that was sent: where the connection broke, nobody knows what became of it.
pub(super) fn of_sent(error: sqlx::Error) -> SqlError {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => SqlError::Uncertain(error),
        other => SqlError::Database(other),
    }
}

pub(super) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time"))
}

struct Meaning {
    kind: ErrorKind,
    what: &'static str,
    advice: &'static str,
}

fn meaning(state: &str) -> Meaning {
    let means = |kind, what, advice| Meaning { kind, what, advice };
    match state {
        "28000" | "28P01" => means(
            ErrorKind::Connection,
            "refused the login",
            "check `username` and `password`, and pg_hba.conf on the server; it may want `tls`",
        ),
        "3D000" => means(ErrorKind::Config, "has no such database", "check `database`"),
        "53300" => means(ErrorKind::Connection, "has no free connection", "raise max_connections, or run fewer workers"),
        "57P01" | "57P02" | "57P03" | "57P05" => {
            means(ErrorKind::Connection, "ended the session or is starting", "nothing was changed; repeating is safe")
        }
        "08P01" => means(ErrorKind::Connection, "or a pooler before it refused the connection", "read its log"),
        "42P01" => means(ErrorKind::Config, "has no such table", "create it with the output of `ferry schema`"),
        "42703" => means(ErrorKind::Config, "has no such column", "compare the table with the output of `ferry schema`"),
        "42501" => {
            means(ErrorKind::Refused, "denies the user a permission", "GRANT SELECT, INSERT, UPDATE, DELETE on the tables")
        }
        "25006" => means(ErrorKind::Refused, "is read only", "it may be a standby: connect to the primary"),
        "53100" => means(ErrorKind::Refused, "has no space left", "free space on its disk"),
        "53200" => means(ErrorKind::Refused, "is out of memory", "give it more, or push smaller batches"),
        "22021" | "22P05" => means(
            ErrorKind::InvalidArgument,
            "cannot store the text",
            "PostgreSQL stores neither NUL nor what is no UTF-8: encode the data",
        ),
        "22001" => means(ErrorKind::InvalidArgument, "has too short a column for the value", "widen the column, or push less"),
        "22003" => means(ErrorKind::InvalidArgument, "has too small a column for the number", "change the column to bigint"),
        "42804" => means(ErrorKind::Config, "has a column of another type", "compare the table with `ferry schema`"),
        "40001" | "40P01" => {
            means(ErrorKind::Refused, "rolled the transaction back again and again", "look for long transactions")
        }
        "57014" => means(ErrorKind::Refused, "cancelled the statement", "raise statement_timeout for this user"),
        "55P03" => means(ErrorKind::Refused, "holds a lock that did not become free", "look for long transactions"),
        _ => means(ErrorKind::Refused, "refused the statement", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_a_user_meets_says_what_to_do() {
        for (state, kind) in [
            ("28P01", ErrorKind::Connection),
            ("3D000", ErrorKind::Config),
            ("53300", ErrorKind::Connection),
            ("42P01", ErrorKind::Config),
            ("25006", ErrorKind::Refused),
            ("53100", ErrorKind::Refused),
            ("22021", ErrorKind::InvalidArgument),
            ("57P01", ErrorKind::Connection),
        ] {
            let meaning = meaning(state);
            assert_eq!(meaning.kind, kind, "{state}");
            assert!(!meaning.advice.is_empty(), "{state}");
        }
    }
}
