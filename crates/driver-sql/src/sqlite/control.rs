//! Flags and reports of a fleet, in two tables of our own. They are made when the first flag or report is written, so a file that
//! has neither costs a look into the schema and no write.

use ferry_core::QueueName;
use ferry_core::control::{ControlCommand, FleetFlags, GONE_AFTER, WorkerReport};

use super::args::Args;
use super::session::{Fault, Session, exists, relax_durability};

/// Names and numbers.
const FLAGS: &str = "CREATE TABLE IF NOT EXISTS ferry_flags (name TEXT PRIMARY KEY, value INTEGER NOT NULL)";
/// Reports by the id of the worker.
const WORKERS: &str =
    "CREATE TABLE IF NOT EXISTS ferry_workers (id TEXT PRIMARY KEY, seen INTEGER NOT NULL, report TEXT NOT NULL)";

pub(super) fn flags(session: &mut Session) -> Result<FleetFlags, Fault> {
    if !exists(session, "ferry_flags")? {
        return Ok(FleetFlags::default());
    }
    let rows = session.rows("SELECT name, value FROM ferry_flags", Args::default())?;
    Ok(FleetFlags::from_pairs(rows.iter().map(|row| (row.text(0), row.int(1).unwrap_or_default()))))
}

pub(super) fn pause(session: &mut Session, queue: &QueueName, now: i64) -> Result<(), Fault> {
    let args = Args::default().text(&FleetFlags::name_of_pause(queue))?.int(now)?;
    write(session, FLAGS, "INSERT OR IGNORE INTO ferry_flags (name, value) VALUES (?, ?)", args)
}

pub(super) fn resume(session: &mut Session, queue: &QueueName) -> Result<(), Fault> {
    let args = Args::default().text(&FleetFlags::name_of_pause(queue))?;
    write(session, FLAGS, "DELETE FROM ferry_flags WHERE name = ?", args)
}

pub(super) fn command(session: &mut Session, command: ControlCommand) -> Result<(), Fault> {
    let sql = "INSERT INTO ferry_flags (name, value) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1";
    write(session, FLAGS, sql, Args::default().text(command.name())?)
}

pub(super) fn report(session: &mut Session, report: &WorkerReport, now: i64) -> Result<(), Fault> {
    let args = Args::default().text(&report.id)?.int(now)?.text(&report.to_json())?;
    relax_durability(session)?;
    session.transaction(|session| {
        session.run(WORKERS, Args::default())?;
        session.run("INSERT OR REPLACE INTO ferry_workers (id, seen, report) VALUES (?, ?, ?)", args)?;
        session.run("DELETE FROM ferry_workers WHERE seen <= ?", Args::default().int(now - GONE_AFTER)?)?;
        Ok(())
    })
}

pub(super) fn deregister(session: &mut Session, id: &str) -> Result<(), Fault> {
    relax_durability(session)?;
    write(session, WORKERS, "DELETE FROM ferry_workers WHERE id = ?", Args::default().text(id)?)
}

pub(super) fn workers(session: &mut Session, now: i64) -> Result<Vec<WorkerReport>, Fault> {
    if !exists(session, "ferry_workers")? {
        return Ok(Vec::new());
    }
    let since = Args::default().int(now - GONE_AFTER)?;
    let rows = session.rows("SELECT report, seen FROM ferry_workers WHERE seen > ?", since)?;
    let read = |row: &super::session::Fields| WorkerReport::from_json(&row.bytes(0), row.int(1).unwrap_or_default());
    let mut workers: Vec<WorkerReport> = rows.iter().filter_map(read).collect();
    workers.sort_by_key(|report| report.started);
    Ok(workers)
}

/// One change, and the table for it.
fn write(session: &mut Session, table: &'static str, sql: &'static str, args: Args) -> Result<(), Fault> {
    session.transaction(|session| {
        session.run(table, Args::default())?;
        session.run(sql, args).map(|_| ())
    })
}
