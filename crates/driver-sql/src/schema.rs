//! The tables: created when missing, in a database of our own; checked when present.

use ferry_core::dialect::Family;

use crate::dialect::{Dialect, OwnTable};
use crate::error::SqlError;
use crate::session::{Row, Session};
use crate::statements::{ColumnLimits, FAILED_COLUMNS, JOB_COLUMNS, Tables};
use crate::values::SqlValues;
use crate::{control, idempotency, status};

/// Makes sure that the tables and our index exist, and remembers which of the family's columns they have. Takes no lock when they
/// exist.
pub(crate) fn ensure(session: &mut impl Session, tables: &Tables) -> Result<(), SqlError> {
    let jobs = state_of_jobs(session, tables)?;
    let failed = match tables.failed_name() {
        Some(name) => state_of_failed(session, tables, name)?,
        None => TableState::Present,
    };
    tables.note_failed(failed == TableState::Present);
    let indexed = !session.query(tables.dialect().index_exists(), SqlValues::new().text(&tables.due_index()))?.is_empty();
    tables.note_due_index(indexed);
    if jobs == TableState::Present && failed == TableState::Present && indexed {
        return Ok(());
    }
    if !tables.dialect().creates_tables() {
        // What is missing beside the jobs is missed when it is needed: a failed job stays where it is until then.
        return match jobs {
            TableState::Present => Ok(()),
            TableState::Missing => Err(SqlError::MissingTable(tables.jobs_name().to_owned())),
        };
    }
    session.transaction(|session| {
        tables.note_failed(true);
        let statements = [
            (jobs == TableState::Missing).then(|| tables.create_jobs()),
            (failed == TableState::Missing).then(|| tables.create_failed()).flatten(),
            Some(tables.create_due_index()),
            Some(tables.drop_former_index()),
        ];
        statements.into_iter().flatten().try_for_each(|sql| session.execute(sql, SqlValues::new()).map(|_| ()))
    })
}

/// The statements that make a new store, for those who run them themselves: on a server, all tables. The index of the jobs is last: MySQL
/// refuses to make it again, and a client that stops there has missed nothing.
pub(crate) fn statements(tables: &Tables) -> Vec<String> {
    let of_think_queue = [Some(tables.create_jobs()), tables.create_failed()].into_iter().flatten();
    let own: &[&OwnTable] = if tables.dialect().creates_tables() { &[] } else { &OWN_TABLES };
    let own = own.iter().flat_map(|table| tables.dialect().create_own(table));
    of_think_queue.chain(own).chain([tables.create_due_index()]).collect()
}

/// The tables of our own.
const OWN_TABLES: [&OwnTable; 4] = [&control::FLAGS, &control::WORKERS, &status::TABLE, &idempotency::TABLE];

/// Before a write to a table of our own: makes it where it is missing.
pub(crate) fn ensure_own(session: &mut impl Session, dialect: &dyn Dialect, table: &OwnTable) -> Result<(), SqlError> {
    if table_exists(session, dialect, table.name)? {
        return Ok(());
    }
    if !dialect.creates_tables() {
        return Err(SqlError::MissingTable(table.name.to_owned()));
    }
    dialect.create_own(table).into_iter().try_for_each(|sql| session.execute(sql, SqlValues::new()).map(|_| ()))
}

/// Whether there is such a table.
pub(crate) fn table_exists(session: &mut impl Session, dialect: &dyn Dialect, table: &str) -> Result<bool, SqlError> {
    Ok(!session.query(dialect.columns_of_table(), SqlValues::new().text(table))?.is_empty())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TableState {
    Present,
    Missing,
}

fn state_of_jobs(session: &mut impl Session, tables: &Tables) -> Result<TableState, SqlError> {
    let Some(found) = FoundTable::read(session, tables.dialect(), tables.jobs_name())? else {
        tables.use_job_columns(0);
        return Ok(TableState::Missing);
    };
    found.must_have(JOB_COLUMNS)?;
    found.note_limits(tables.limits());
    let family = tables.family();
    if let Some(index) = family.job_columns().iter().position(|columns| columns.fit(|name| found.has(name))) {
        tables.use_job_columns(index);
        return Ok(TableState::Present);
    }
    Err(
        match Family::ALL.into_iter().find(|other| other.job_columns().iter().any(|columns| columns.fit(|name| found.has(name))))
        {
            Some(fitting) => SqlError::OtherFamily { table: found.table, family, fitting },
            None => found.lacks(family.job_columns()[0].missing_in(|name| found.has(name)).unwrap_or_default()),
        },
    )
}

fn state_of_failed(session: &mut impl Session, tables: &Tables, name: &str) -> Result<TableState, SqlError> {
    let Some(found) = FoundTable::read(session, tables.dialect(), name)? else {
        tables.use_failed_at(0);
        return Ok(TableState::Missing);
    };
    found.must_have(FAILED_COLUMNS)?;
    let names = tables.family().failed_at_columns();
    let index = names.iter().position(|name| found.has(name)).ok_or_else(|| found.lacks(names[0]))?;
    tables.use_failed_at(index);
    Ok(TableState::Present)
}

/// A table that exists.
struct FoundTable {
    table: String,
    columns: Vec<FoundColumn>,
}

struct FoundColumn {
    /// Lower case.
    name: String,
    /// The most bytes of a text.
    bytes: Option<u64>,
    is_text: bool,
    /// The type as the database writes it; empty where it does not matter.
    kind: String,
}

impl FoundColumn {
    fn read(row: &impl Row) -> Self {
        let bytes = row.int(1).and_then(|bytes| u64::try_from(bytes).ok());
        Self { name: row.text(0), bytes, is_text: row.int(2) == Some(1), kind: row.text(3) }
    }

    /// The largest number of a column for whole numbers.
    fn largest(&self) -> i64 {
        match (self.kind.split(['(', ' ']).next().unwrap_or_default(), self.kind.contains("unsigned")) {
            ("tinyint", true) => i64::from(u8::MAX),
            ("tinyint", false) => i64::from(i8::MAX),
            ("smallint", true) => i64::from(u16::MAX),
            ("smallint", false) => i64::from(i16::MAX),
            _ => i64::from(i32::MAX),
        }
    }
}

impl FoundTable {
    fn read(session: &mut impl Session, dialect: &dyn Dialect, table: &str) -> Result<Option<Self>, SqlError> {
        let rows = session.query(dialect.columns_of_table(), SqlValues::new().text(table))?;
        let columns: Vec<FoundColumn> = rows.iter().map(FoundColumn::read).collect();
        Ok((!columns.is_empty()).then(|| Self { table: table.to_owned(), columns }))
    }

    fn has(&self, name: &str) -> bool {
        self.column(name).is_some()
    }

    fn column(&self, name: &str) -> Option<&FoundColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    fn note_limits(&self, limits: &ColumnLimits) {
        let (payload, attempts) = (self.column("payload"), self.column("attempts"));
        limits.set(
            payload.and_then(|column| column.bytes),
            payload.is_some_and(|column| column.is_text),
            attempts.map_or(i64::MAX, FoundColumn::largest),
        );
    }

    fn must_have(&self, needed: &[&'static str]) -> Result<(), SqlError> {
        needed.iter().find(|needed| !self.has(needed)).map_or(Ok(()), |column| Err(self.lacks(column)))
    }

    fn lacks(&self, column: &'static str) -> SqlError {
        SqlError::MissingColumn { table: self.table.clone(), column }
    }
}
