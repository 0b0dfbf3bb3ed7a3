//! Flags and reports of a fleet, in two tables of our own. They are made when the first flag or report is written, so a database that
//! has neither costs a look into the catalogue and no write.

use std::sync::atomic::Ordering;

use ferry_core::broker::WorkerControl;
use ferry_core::control::{ControlCommand, FleetFlags, GONE_AFTER, WorkerReport};
use ferry_core::{QueueName, Result};

use crate::broker::{Role, SqlBroker};
use crate::database::Database;
use crate::dialect::{DatabaseKind, Dialect, OwnTable};
use crate::error::SqlError;
use crate::schema::{self, table_exists};
use crate::session::{Row, Session};
use crate::values::SqlValues;

/// Names and numbers.
pub(crate) const FLAGS: OwnTable =
    OwnTable { name: "ferry_flags", columns: &[("name", DatabaseKind::Key), ("value", DatabaseKind::Int)] };
/// Reports by the id of the worker.
pub(crate) const WORKERS: OwnTable = OwnTable {
    name: "ferry_workers",
    columns: &[("id", DatabaseKind::Key), ("seen", DatabaseKind::Int), ("report", DatabaseKind::Text)],
};

/// What workers ask every second goes over a connection of its own. An operator's commands go over one whose commits wait for the
/// disk.
impl<D: Database> WorkerControl for SqlBroker<D> {
    fn flags(&self) -> Result<FleetFlags> {
        self.run(Role::Control, |session| {
            // Asked every second: once it was there, one statement is enough.
            if !self.has_flags.load(Ordering::Relaxed) && !table_exists(session, self.database.dialect(), FLAGS.name)? {
                return Ok(FleetFlags::default());
            }
            let rows = session.query("SELECT name, value FROM ferry_flags", SqlValues::new());
            // After an error that question comes first again.
            self.has_flags.store(rows.is_ok(), Ordering::Relaxed);
            let rows = rows?;
            Ok(FleetFlags::from_pairs(rows.iter().map(|row| (row.text(0), row.int(1).unwrap_or_default()))))
        })
    }

    fn pause(&self, queue: &QueueName) -> Result<()> {
        let name = FleetFlags::name_of_pause(queue);
        let values = SqlValues::new().text(&name).second(self.settings.now());
        let sql = write_flag(self.database.dialect(), "value = ferry_flags.value");
        self.run(Role::Query, |session| self.write(session, &FLAGS, sql, values))
    }

    fn resume(&self, queue: &QueueName) -> Result<()> {
        let name = FleetFlags::name_of_pause(queue);
        self.run(Role::Query, |session| self.write(session, &FLAGS, FLAGS.delete(), SqlValues::new().text(&name)))
    }

    fn command(&self, command: ControlCommand) -> Result<()> {
        let sql = write_flag(self.database.dialect(), "value = ferry_flags.value + 1");
        self.run(Role::Query, |session| self.write(session, &FLAGS, sql, SqlValues::new().text(command.name()).int(1)))
    }

    fn report(&self, report: &WorkerReport) -> Result<()> {
        let text = report.to_json();
        let dialect = self.database.dialect();
        self.run(Role::Control, |session| {
            session.relax_durability()?;
            session.transaction(|session| {
                schema::ensure_own(session, dialect, &WORKERS)?;
                session.execute(
                    WORKERS.upsert(dialect),
                    SqlValues::new().text(&report.id).second(self.settings.now()).text(&text),
                )?;
                session.execute(
                    "DELETE FROM ferry_workers WHERE seen <= ?1",
                    SqlValues::new().second(self.settings.later(-GONE_AFTER)),
                )?;
                Ok(())
            })
        })
    }

    fn deregister(&self, id: &str) -> Result<()> {
        self.run(Role::Control, |session| {
            session.relax_durability()?;
            self.write(session, &WORKERS, WORKERS.delete(), SqlValues::new().text(id))
        })
    }

    fn workers(&self) -> Result<Vec<WorkerReport>> {
        let since = SqlValues::new().second(self.settings.later(-GONE_AFTER));
        self.run(Role::Query, |session| {
            if !table_exists(session, self.database.dialect(), WORKERS.name)? {
                return Ok(Vec::new());
            }
            let rows = session.query("SELECT report, seen FROM ferry_workers WHERE seen > ?1", since)?;
            let mut workers: Vec<WorkerReport> = rows.iter().filter_map(read_report).collect();
            workers.sort_by_key(|report| report.started);
            Ok(workers)
        })
    }
}

fn read_report(row: &impl Row) -> Option<WorkerReport> {
    WorkerReport::from_json(&row.bytes(0), row.int(1).unwrap_or_default())
}

/// Inserts a flag, or changes its value as the assignment says. Parameters: name, value.
fn write_flag(dialect: &dyn Dialect, assignment: &str) -> String {
    format!("INSERT INTO ferry_flags (name, value) VALUES (?1, ?2) {} {assignment}", dialect.on_conflict("name"))
}

impl<D: Database> SqlBroker<D> {
    /// One change, and the table for it.
    fn write(&self, session: &mut D::Session, table: &OwnTable, sql: String, values: SqlValues<'_>) -> Result<(), SqlError> {
        session.transaction(|session| {
            schema::ensure_own(session, self.database.dialect(), table)?;
            session.execute(sql.as_str(), values.clone()).map(|_| ())
        })
    }
}
