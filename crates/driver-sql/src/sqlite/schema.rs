//! The tables: created when missing, checked when there.

use super::args::Args;
use super::session::{Fault, Session};
use super::statements::{FAILED_COLUMNS, JOB_COLUMNS, Tables};

/// Sees to it that the tables and our index are there. Takes no lock when they are.
pub(super) fn ensure(session: &mut Session, tables: &Tables) -> Result<(), Fault> {
    let jobs = state_of(session, tables.jobs_name(), JOB_COLUMNS)?;
    let failed = match tables.failed_name() {
        Some(name) => state_of(session, name, FAILED_COLUMNS)?,
        None => State::There,
    };
    let indexed = session
        .rows("SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?", Args::default().text(&tables.due_index())?)?;
    if jobs == State::There && failed == State::There && !indexed.is_empty() {
        return Ok(());
    }
    session.transaction(|session| {
        let wanted = [
            (jobs == State::Missing).then(|| tables.create_jobs()),
            (jobs == State::Missing).then(|| tables.create_queue_index()),
            (failed == State::Missing).then(|| tables.create_failed()).flatten(),
            Some(tables.create_due_index()),
        ];
        wanted.into_iter().flatten().try_for_each(|sql| session.run(sql, Args::default()).map(|_| ()))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    There,
    Missing,
}

fn state_of(session: &mut Session, table: &str, needed: &[&'static str]) -> Result<State, Fault> {
    let rows = session.rows("SELECT lower(name) FROM pragma_table_info(?)", Args::default().text(table)?)?;
    if rows.is_empty() {
        return Ok(State::Missing);
    }
    let columns: Vec<String> = rows.iter().map(|row| row.text(0)).collect();
    match needed.iter().find(|needed| !columns.iter().any(|column| column == *needed)) {
        None => Ok(State::There),
        Some(column) => Err(Fault::MissingColumn { table: table.to_owned(), column }),
    }
}
