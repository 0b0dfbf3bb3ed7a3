//! Counting, showing and clearing jobs, and facts for an operator. Failed jobs are in `failed`.

use ferry_core::broker::{Admin, Fact, JobRow, Sizes, State};
use ferry_core::failed::{FailedJob, Filter};
use ferry_core::{NewJob, QueueName, Result};

use crate::broker::{Role, SqlBroker};
use crate::database::Database;
use crate::error::SqlError;
use crate::failed;
use crate::schema;
use crate::session::{Row, Session};
use crate::statements::Tables;
use crate::values::SqlValues;

impl<D: Database> Admin for SqlBroker<D> {
    fn failed(&self, queue: &QueueName, offset: u64, limit: u64) -> Result<Vec<FailedJob>> {
        failed::failed(self, queue, offset, limit)
    }

    fn failed_job(&self, queue: &QueueName, id: &str) -> Result<Option<FailedJob>> {
        failed::failed_job(self, queue, id)
    }

    fn retry(&self, queue: &QueueName, which: &Filter, before: &mut dyn FnMut(&[FailedJob])) -> Result<u64> {
        failed::retry(self, queue, which, before)
    }

    fn forget(&self, queue: &QueueName, which: &Filter) -> Result<u64> {
        failed::forget(self, queue, which)
    }

    fn peek(&self, queue: &QueueName, state: State, offset: u64, limit: u64) -> Result<Vec<Vec<u8>>> {
        let page = SqlValues::new().text(queue.as_str()).second(self.settings.now()).int(clamped(limit)).int(clamped(offset));
        self.run(Role::Query, |session| {
            let rows = session.query(self.tables.peek(state), page)?;
            Ok(rows.iter().map(|row| row.bytes(0)).collect())
        })
    }

    fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.run(Role::Query, |session| session.execute(self.tables.clear(), SqlValues::new().text(queue.as_str())))
    }

    fn facts(&self) -> Result<Vec<(&'static str, Fact)>> {
        self.run(Role::Query, |session| self.database.facts(session))
    }

    fn schema(&self) -> Vec<String> {
        schema::statements(&self.tables)
    }

    fn row(&self, queue: &QueueName, job: &NewJob<'_>) -> Result<Option<JobRow>> {
        self.run(Role::Push, |session| {
            self.tables.limits().check(&job.payload)?;
            let now = self.settings.now_ms(session)?.div_euclid(1000);
            Ok(Some(self.tables.row(queue, &job.payload, now, job.due.at(now))))
        })
    }
}

/// Jobs of a queue by state. A reservation counts as reserved until another worker takes it over.
pub(crate) fn size(broker: &SqlBroker<impl Database>, queue: &QueueName) -> Result<Sizes> {
    broker.run(Role::Query, |session| {
        let rows = session.query(broker.tables.size(), SqlValues::new().text(queue.as_str()).second(broker.settings.now()))?;
        let count = |column| rows.first().map_or(0, |row| counted(row, column));
        let (ready, delayed, reserved) = (count(0), count(1), count(2));
        Ok(Sizes { ready, delayed, reserved, failed: failed_size(session, &broker.tables, queue)? })
    })
}

fn failed_size(session: &mut impl Session, tables: &Tables, queue: &QueueName) -> Result<u64, SqlError> {
    let Some(sql) = tables.failed_size() else { return Ok(0) };
    let rows = session.query(sql, SqlValues::new().text(queue.as_str()))?;
    Ok(rows.first().map_or(0, |row| counted(row, 0)))
}

fn counted(row: &impl Row, column: usize) -> u64 {
    row.int(column).and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
}

/// An offset or a limit that a statement can take.
pub(crate) fn clamped(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
