//! Storing jobs.

use ferry_core::{ErrorKind, NewJob, QueueName, Result};

use crate::broker::{Role, SqlBroker};
use crate::database::Database;
use crate::error::SqlError;
use crate::session::Session;
use crate::settings::Settings;
use crate::statements::{CHUNK, Tables};
use crate::values::SqlValues;

/// Stores one job in one statement, which is a transaction of its own. Returns the id of its row.
pub(crate) fn push(broker: &SqlBroker<impl Database>, queue: &QueueName, job: &NewJob<'_>) -> Result<i64> {
    broker.run(Role::Push, |session| insert(session, &broker.tables, queue, std::slice::from_ref(job), &broker.settings))
}

/// Stores all jobs in one transaction: all or none.
pub(crate) fn push_many(broker: &SqlBroker<impl Database>, queue: &QueueName, jobs: &[NewJob<'_>]) -> Result<u64> {
    if jobs.is_empty() {
        return Ok(0);
    }
    let stored = broker.run(Role::Push, |session| {
        session.transaction(|session| insert_all(session, &broker.tables, queue, jobs, &broker.settings))
    });
    match stored {
        Ok(()) => Ok(jobs.len() as u64),
        Err(error) if error.kind() == ErrorKind::Uncertain => {
            Err(error.within(format!("all or none of {} jobs stored", jobs.len())))
        }
        Err(error) => Err(error.within(format!("0 of {} jobs stored", jobs.len()))),
    }
}

/// Stores jobs inside the caller's transaction.
pub(crate) fn insert_all(
    session: &mut impl Session,
    tables: &Tables,
    queue: &QueueName,
    jobs: &[NewJob<'_>],
    settings: &Settings,
) -> Result<(), SqlError> {
    let mut rest = jobs;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(chunk_len(rest.len()));
        insert(session, tables, queue, chunk, settings)?;
        rest = behind;
    }
    Ok(())
}

/// Stores a job under an id that is free, inside the caller's transaction.
pub(crate) fn insert_as(
    session: &mut impl Session,
    tables: &Tables,
    queue: &QueueName,
    id: i64,
    job: &NewJob<'_>,
    settings: &Settings,
) -> Result<(), SqlError> {
    let values =
        SqlValues::new().text(queue.as_str()).second(settings.now()).bytes(&job.payload).second(settings.due(job.due)).int(id);
    session.execute(tables.insert_as(), values).map(|_| ())
}

/// The size of the next chunk: a power of two, so that few different texts fill the statement cache.
fn chunk_len(rest: usize) -> usize {
    if rest >= CHUNK { CHUNK } else { 1 << rest.ilog2() }
}

fn insert(
    session: &mut impl Session,
    tables: &Tables,
    queue: &QueueName,
    jobs: &[NewJob<'_>],
    settings: &Settings,
) -> Result<i64, SqlError> {
    jobs.iter().try_for_each(|job| tables.limits().check(&job.payload))?;
    let head = SqlValues::new().text(queue.as_str()).second(settings.now());
    let values = jobs.iter().fold(head, |values, job| values.bytes(&job.payload).second(settings.due(job.due)));
    session.insert(tables.insert(jobs.len()), values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_powers_of_two_and_hold_everything() {
        for count in [1, 2, 3, 255, 256, 257, 1000] {
            let mut rest = count;
            while rest > 0 {
                let chunk = chunk_len(rest);
                assert!(chunk.is_power_of_two() && chunk <= rest);
                rest -= chunk;
            }
        }
    }
}
