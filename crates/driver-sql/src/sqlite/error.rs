//! Errors in words: what, on which file, what to do. The library's error ends here; only its text goes on.

use std::path::Path;

use ferry_core::{Error, ErrorKind};

use super::file::DatabaseFile;
use crate::error::SqlError;

/// The error for the caller.
pub(super) fn explain(error: SqlError, location: &DatabaseFile) -> Error {
    let file = format!("SQLite file {}", location.path.display());
    match error {
        SqlError::Sqlite(error) => of_sqlite(&error, location, &file),
        SqlError::Database(error) | SqlError::Uncertain(error) => {
            Error::new(ErrorKind::Uncertain, file).with_source(error.to_string())
        }
        SqlError::Runtime(error) => Error::new(ErrorKind::Connection, format!("open {file}")).with_source(error),
        SqlError::Replaced => Error::new(ErrorKind::Refused, format!("{file} was deleted or replaced while it was in use"))
            .with_advice(
                "nothing was written; the next call opens what is there now. Stop all workers before replacing the file",
            ),
        SqlError::TooLarge { bytes, limit, holder } => {
            Error::new(ErrorKind::Refused, format!("{file}: {bytes} bytes are more than the {limit} of {holder}"))
        }
        SqlError::NotText => Error::new(ErrorKind::Refused, format!("{file}: the payload is not UTF-8")),
        // They are created when the connection is made.
        SqlError::MissingTable(table) => Error::new(ErrorKind::Refused, format!("{file} has no table `{table}` any more"))
            .with_advice("the next call creates it again"),
        SqlError::Unsuitable(why) => {
            Error::new(ErrorKind::Refused, format!("{file} cannot be used: {why}")).with_advice("use a new file on a local disk")
        }
        SqlError::MissingColumn { table, column } => {
            Error::new(ErrorKind::Config, format!("{file}: table `{table}` has no column `{column}`"))
                .with_advice("it is not a table of think-queue: migrate it, or name another table")
        }
        SqlError::OtherFamily { table, family, fitting } => Error::new(
            ErrorKind::Config,
            format!(
                "{file}: table `{table}` has the columns of the family `{}`, and this connection is of `{}`",
                fitting.name(),
                family.name()
            ),
        )
        .with_advice(format!("set `family` to `{}`, or name another table", fitting.name())),
    }
}

fn of_sqlite(error: &rusqlite::Error, location: &DatabaseFile, file: &str) -> Error {
    let Some(code) = result_code(error) else {
        // The path cannot be handed over.
        return Error::new(ErrorKind::Connection, format!("{file} cannot be opened")).with_source(error.to_string());
    };
    let meaning = meaning(code, location);
    let error = Error::new(meaning.kind, format!("{file} {}", meaning.what)).with_source(error.to_string());
    if meaning.advice.is_empty() { error } else { error.with_advice(meaning.advice) }
}

/// Whether another connection holds a lock.
pub(super) fn is_busy(error: &SqlError) -> bool {
    matches!(error, SqlError::Sqlite(error) if result_code(error) == Some(5))
}

/// SQLite's primary result code (sqlite.org/rescode.html).
fn result_code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code & 0xff)
}

struct Meaning {
    kind: ErrorKind,
    what: &'static str,
    advice: String,
}

fn meaning(code: i32, location: &DatabaseFile) -> Meaning {
    let means = |kind, what, advice: &str| Meaning { kind, what, advice: advice.to_owned() };
    match code {
        5 | 6 => Meaning {
            kind: ErrorKind::Refused,
            what: "is locked",
            advice: format!(
                "another connection has held a transaction open for {} s; if it is PDO in this very process, commit it before using the queue",
                location.busy_timeout.as_secs_f32()
            ),
        },
        // Whether the commit survives is not known.
        10 => means(ErrorKind::Uncertain, "had an I/O error", "check the disk"),
        8 => means(ErrorKind::Refused, "is read only", "let this user write to the file and to its folder"),
        11 => means(ErrorKind::Refused, "is corrupt", "stop all workers and run `PRAGMA integrity_check` in the sqlite3 shell"),
        13 => means(ErrorKind::Refused, "is full", "free space on the disk, or raise its limit"),
        14 => Meaning { kind: ErrorKind::Connection, what: "cannot be opened", advice: why_not_opened(&location.path) },
        26 => means(ErrorKind::Refused, "is not a SQLite database", "name another path; nothing was changed"),
        _ => means(ErrorKind::Refused, "refused the statement", ""),
    }
}

/// SQLite says the same for all of these.
fn why_not_opened(path: &Path) -> String {
    let folder = path.parent().unwrap_or(path);
    if path.is_dir() {
        return "it is a folder: name a file in it".to_owned();
    }
    if !folder.exists() {
        return format!("the folder {} does not exist: create it", folder.display());
    }
    if !folder.is_dir() {
        return format!("{} is not a folder", folder.display());
    }
    "let this user read and write the file and its folder".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_code_a_user_meets_says_what_to_do() {
        let location = DatabaseFile::new(Path::new("/nowhere/x.db"), Duration::from_secs(10));
        for (code, kind) in [
            (5, ErrorKind::Refused),
            (8, ErrorKind::Refused),
            (10, ErrorKind::Uncertain),
            (11, ErrorKind::Refused),
            (13, ErrorKind::Refused),
            (14, ErrorKind::Connection),
            (26, ErrorKind::Refused),
        ] {
            let meaning = meaning(code, &location);
            assert_eq!(meaning.kind, kind, "{code}");
            assert!(!meaning.advice.is_empty(), "{code}");
        }
    }
}
