//! Storing jobs.

use ferry_core::{NewJob, QueueName};

use super::args::Args;
use super::session::{Fault, Session};
use super::statements::{CHUNK, Tables};

/// Stores one job in one statement, which is a transaction of its own. Returns the id of its row.
pub(super) fn one(session: &mut Session, tables: &Tables, queue: &QueueName, job: &NewJob<'_>, now: i64) -> Result<i64, Fault> {
    insert(session, tables, queue, std::slice::from_ref(job), now)
}

/// Stores all jobs in one transaction: all or none.
pub(super) fn many(
    session: &mut Session,
    tables: &Tables,
    queue: &QueueName,
    jobs: &[NewJob<'_>],
    now: i64,
) -> Result<u64, Fault> {
    session.transaction(|session| insert_all(session, tables, queue, jobs, now))?;
    Ok(jobs.len() as u64)
}

/// Stores jobs inside somebody's transaction.
pub(super) fn insert_all(
    session: &mut Session,
    tables: &Tables,
    queue: &QueueName,
    jobs: &[NewJob<'_>],
    now: i64,
) -> Result<(), Fault> {
    let mut rest = jobs;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(chunk_of(rest.len()));
        insert(session, tables, queue, chunk, now)?;
        rest = behind;
    }
    Ok(())
}

/// The next chunk's size: a power of two, so that few different texts fill the statement cache.
fn chunk_of(rest: usize) -> usize {
    if rest >= CHUNK { CHUNK } else { 1 << rest.ilog2() }
}

fn insert(session: &mut Session, tables: &Tables, queue: &QueueName, jobs: &[NewJob<'_>], now: i64) -> Result<i64, Fault> {
    let head = Args::default().text(queue.as_str())?.int(now)?;
    let args = jobs.iter().try_fold(head, |args, job| args.bytes(&job.payload)?.int(job.due.at(now)))?;
    Ok(session.run(tables.insert(jobs.len()), args)?.last_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_powers_of_two_and_hold_everything() {
        for count in [1, 2, 3, 255, 256, 257, 1000] {
            let mut rest = count;
            while rest > 0 {
                let chunk = chunk_of(rest);
                assert!(chunk.is_power_of_two() && chunk <= rest);
                rest -= chunk;
            }
        }
    }
}
