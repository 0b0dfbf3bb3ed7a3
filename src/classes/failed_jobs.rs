//! Failed jobs, for `Ferry\Connection` and `Ferry\Queue`: listed, shown, retried, forgotten.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendHashTable, Zval};
use ferry_core::failed::{FailedJob, Filter};

use crate::classes::connection::{ConnectionHandle, count};
use crate::convert::errors::exception;
use crate::convert::which::{self, Which};
use crate::request;
use crate::zend::dates;
use crate::zend::objects::{self, text};

impl ConnectionHandle {
    /// Failed jobs, newest first.
    pub fn failed(&self, queue: Option<&[u8]>, limit: i64, offset: i64) -> PhpResult<Vec<ZBox<ZendHashTable>>> {
        let queue = self.queue(queue)?;
        let (limit, offset) = (count(limit)?, count(offset)?);
        dates::share_timezone();
        let jobs = self.client()?.failed(&queue, offset, limit).map_err(|error| exception(&error))?;
        jobs.iter().map(record).collect()
    }

    /// The failed job with this id.
    pub fn failed_job(&self, id: &Zval, queue: Option<&[u8]>) -> PhpResult<Option<ZBox<ZendHashTable>>> {
        let (queue, id) = (self.queue(queue)?, which::id(id)?);
        dates::share_timezone();
        let job = self.client()?.failed_job(&queue, &id).map_err(|error| exception(&error))?;
        job.as_ref().map(record).transpose()
    }

    /// Makes failed jobs ready again and answers how many.
    pub fn retry_failed(&self, which: &Which<'_>, queue: Option<&[u8]>) -> PhpResult<i64> {
        let (queue, filter) = (self.queue(queue)?, self.filter(which)?);
        dates::share_timezone();
        let retried = if self.is_tracked() {
            self.retry_tracked(&queue, &filter)?
        } else {
            self.client()?.retry_failed(&queue, &filter).map_err(|error| exception(&error))?
        };
        Ok(i64::try_from(retried).unwrap_or(i64::MAX))
    }

    /// Removes failed jobs for good and answers how many.
    pub fn forget_failed(&self, which: &Which<'_>, queue: Option<&[u8]>) -> PhpResult<i64> {
        let (queue, filter) = (self.queue(queue)?, self.filter(which)?);
        dates::share_timezone();
        let forgotten = self.client()?.forget_failed(&queue, &filter).map_err(|error| exception(&error))?;
        Ok(i64::try_from(forgotten).unwrap_or(i64::MAX))
    }

    /// Records that name another configured connection are left alone, unless they were asked for by that name.
    fn filter(&self, which: &Which<'_>) -> PhpResult<Filter> {
        Ok(which::filter(which)?.sparing(request::others_in_failed_table(self.0.config())))
    }
}

fn record(job: &FailedJob) -> PhpResult<ZBox<ZendHashTable>> {
    let mut table = ZendHashTable::new();
    for (key, value) in [
        ("id", text(job.id.as_bytes())),
        ("job_id", job.job_id.as_ref().map_or_else(Zval::null, |id| text(id.as_bytes()))),
        ("connection", text(job.connection.as_bytes())),
        ("queue", text(job.queue.as_bytes())),
        ("payload", text(&job.payload)),
        ("reason", text(job.reason.as_bytes())),
        ("exception", text(job.exception.as_bytes())),
        ("attempts", job.attempts.map_or_else(Zval::null, |attempts| objects::number(attempts.into()))),
        ("failed_at", objects::number(job.failed_at)),
    ] {
        table.insert(key, value)?;
    }
    Ok(table)
}
