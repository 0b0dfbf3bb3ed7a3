//! Flags and reports of a fleet, in two tables of our own. They are made when the first flag or report is written, so a database that
//! has neither costs a look into the catalogue and no write.

use ferry_core::broker::WorkerControl;
use ferry_core::control::{ControlCommand, FleetFlags, GONE_AFTER, WorkerReport};
use ferry_core::{QueueName, Result};

use crate::broker::{Role, SqlBroker};
use crate::database::Database;
use crate::error::SqlError;
use crate::session::{Row, Session};
use crate::values::Values;

/// Names and numbers.
const FLAGS: &str = "CREATE TABLE IF NOT EXISTS ferry_flags (name TEXT PRIMARY KEY, value INTEGER NOT NULL)";
/// Reports by the id of the worker.
const WORKERS: &str =
    "CREATE TABLE IF NOT EXISTS ferry_workers (id TEXT PRIMARY KEY, seen INTEGER NOT NULL, report TEXT NOT NULL)";

/// What workers ask every second goes over a connection of its own. An operator's commands go over one whose commits wait for the
/// disk.
impl<D: Database> WorkerControl for SqlBroker<D> {
    fn flags(&self) -> Result<FleetFlags> {
        self.run(Role::Control, |session| {
            if !session.has_table("ferry_flags")? {
                return Ok(FleetFlags::default());
            }
            let rows = session.query("SELECT name, value FROM ferry_flags", Values::new())?;
            Ok(FleetFlags::from_pairs(rows.iter().map(|row| (row.text(0), row.int(1).unwrap_or_default()))))
        })
    }

    fn pause(&self, queue: &QueueName) -> Result<()> {
        let name = FleetFlags::name_of_pause(queue);
        let values = Values::new().text(&name).int(self.settings.now());
        self.run(Role::Query, |session| {
            write(session, FLAGS, "INSERT OR IGNORE INTO ferry_flags (name, value) VALUES (?1, ?2)", values)
        })
    }

    fn resume(&self, queue: &QueueName) -> Result<()> {
        let name = FleetFlags::name_of_pause(queue);
        self.run(Role::Query, |session| {
            write(session, FLAGS, "DELETE FROM ferry_flags WHERE name = ?1", Values::new().text(&name))
        })
    }

    fn command(&self, command: ControlCommand) -> Result<()> {
        let sql = "INSERT INTO ferry_flags (name, value) VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1";
        self.run(Role::Query, |session| write(session, FLAGS, sql, Values::new().text(command.name())))
    }

    fn report(&self, report: &WorkerReport) -> Result<()> {
        let (now, text) = (self.settings.now(), report.to_json());
        let values = Values::new().text(&report.id).int(now).text(&text);
        self.run(Role::Control, |session| {
            session.relax_durability()?;
            session.transaction(|session| {
                session.execute(WORKERS, Values::new())?;
                session.execute("INSERT OR REPLACE INTO ferry_workers (id, seen, report) VALUES (?1, ?2, ?3)", values)?;
                session.execute("DELETE FROM ferry_workers WHERE seen <= ?1", Values::new().int(now - GONE_AFTER))?;
                Ok(())
            })
        })
    }

    fn deregister(&self, id: &str) -> Result<()> {
        self.run(Role::Control, |session| {
            session.relax_durability()?;
            write(session, WORKERS, "DELETE FROM ferry_workers WHERE id = ?1", Values::new().text(id))
        })
    }

    fn workers(&self) -> Result<Vec<WorkerReport>> {
        let since = Values::new().int(self.settings.now() - GONE_AFTER);
        self.run(Role::Query, |session| {
            if !session.has_table("ferry_workers")? {
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

/// One change, and the table for it.
fn write(session: &mut impl Session, table: &'static str, sql: &'static str, values: Values<'_>) -> Result<(), SqlError> {
    session.transaction(|session| {
        session.execute(table, Values::new())?;
        session.execute(sql, values).map(|_| ())
    })
}
