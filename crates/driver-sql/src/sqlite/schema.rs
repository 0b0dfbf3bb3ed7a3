//! The tables: created when missing, checked when there.

use ferry_core::dialect::Family;

use super::args::Args;
use super::session::{Fault, Session};
use super::statements::{FAILED_COLUMNS, JOB_COLUMNS, Tables};

/// Sees to it that the tables and our index are there, and notes which of the family's columns they have. Takes no lock when they
/// are there.
pub(super) fn ensure(session: &mut Session, tables: &Tables) -> Result<(), Fault> {
    let jobs = state_of_jobs(session, tables)?;
    let failed = match tables.failed_name() {
        Some(name) => state_of_failed(session, tables, name)?,
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

/// Everything that makes a new store, for those who make it themselves.
pub(super) fn statements(tables: &Tables) -> Vec<String> {
    let failed = tables.create_failed();
    [tables.create_jobs(), tables.create_queue_index(), tables.create_due_index()].into_iter().chain(failed).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    There,
    Missing,
}

fn state_of_jobs(session: &mut Session, tables: &Tables) -> Result<State, Fault> {
    let Some(found) = Found::table(session, tables.jobs_name())? else {
        tables.use_job_columns(0);
        return Ok(State::Missing);
    };
    found.must_have(JOB_COLUMNS)?;
    let family = tables.family();
    if let Some(index) = family.job_columns().iter().position(|columns| columns.fit(|name| found.has(name))) {
        tables.use_job_columns(index);
        return Ok(State::There);
    }
    Err(
        match Family::ALL.into_iter().find(|other| other.job_columns().iter().any(|columns| columns.fit(|name| found.has(name))))
        {
            Some(fitting) => Fault::OtherFamily { table: found.table, family, fitting },
            None => found.lacks(family.job_columns()[0].missing_in(|name| found.has(name)).unwrap_or_default()),
        },
    )
}

fn state_of_failed(session: &mut Session, tables: &Tables, name: &str) -> Result<State, Fault> {
    let Some(found) = Found::table(session, name)? else {
        tables.use_failed_at(0);
        return Ok(State::Missing);
    };
    found.must_have(FAILED_COLUMNS)?;
    let names = tables.family().failed_at_columns();
    let index = names.iter().position(|name| found.has(name)).ok_or_else(|| found.lacks(names[0]))?;
    tables.use_failed_at(index);
    Ok(State::There)
}

/// A table that is there.
struct Found {
    table: String,
    /// Lower case.
    columns: Vec<String>,
}

impl Found {
    fn table(session: &mut Session, table: &str) -> Result<Option<Self>, Fault> {
        let rows = session.rows("SELECT lower(name) FROM pragma_table_info(?)", Args::default().text(table)?)?;
        let columns: Vec<String> = rows.iter().map(|row| row.text(0)).collect();
        Ok((!columns.is_empty()).then(|| Self { table: table.to_owned(), columns }))
    }

    fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column == name)
    }

    fn must_have(&self, needed: &[&'static str]) -> Result<(), Fault> {
        needed.iter().find(|needed| !self.has(needed)).map_or(Ok(()), |column| Err(self.lacks(column)))
    }

    fn lacks(&self, column: &'static str) -> Fault {
        Fault::MissingColumn { table: self.table.clone(), column }
    }
}
