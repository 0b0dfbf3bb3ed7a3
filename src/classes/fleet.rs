//! What operators ask of the workers of a connection, and of its server.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendHashTable, Zval};
use ferry_core::Result;
use ferry_core::broker::Fact;
use ferry_core::control::{ControlCommand, WorkerControl, WorkerReport};

use crate::classes::connection::ConnectionHandle;
use crate::convert::control::{self, Control};
use crate::convert::errors::exception;
use crate::zend::objects::{float, number, text, truth};

impl ConnectionHandle {
    /// Asks workers to leave a queue alone.
    pub fn pause(&self, queue: Option<&[u8]>) -> PhpResult<()> {
        let queue = self.queue(queue)?;
        self.with_control(|fleet| fleet.pause(&queue))
    }

    /// Lets workers take from a queue again.
    pub fn resume(&self, queue: Option<&[u8]>) -> PhpResult<()> {
        let queue = self.queue(queue)?;
        self.with_control(|fleet| fleet.resume(&queue))
    }

    /// Asks all workers to leave.
    pub fn command(&self, command: ControlCommand) -> PhpResult<()> {
        self.with_control(|fleet| fleet.command(command))
    }

    /// What the fleet is asked for.
    pub fn flags(&self) -> PhpResult<ZBox<ZendHashTable>> {
        let flags = self.with_control(|fleet| fleet.flags())?;
        let mut paused = ZendHashTable::new();
        for (queue, since) in flags.paused {
            paused.insert(queue.as_str(), number(since))?;
        }
        let mut table = ZendHashTable::new();
        table.insert("restart", number(flags.restart))?;
        table.insert("stop", number(flags.stop))?;
        table.insert("paused", paused)?;
        Ok(table)
    }

    /// Who works.
    pub fn workers(&self) -> PhpResult<Vec<ZBox<ZendHashTable>>> {
        self.with_control(|fleet| fleet.workers())?.iter().map(worker).collect()
    }

    /// What the server says of itself.
    pub fn facts(&self) -> PhpResult<ZBox<ZendHashTable>> {
        let facts = self.client()?.facts().map_err(|error| exception(&error))?;
        let config = self.0.config();
        let mut table = ZendHashTable::new();
        for (name, fact) in facts {
            table.insert(name, shown(fact))?;
        }
        table.insert("queue", text(config.queue.as_str().as_bytes()))?;
        table.insert("retry_after", config.retry_after.map_or_else(Zval::null, |seconds| number(seconds.into())))?;
        Ok(table)
    }

    /// The statements that make the tables.
    pub fn schema(&self) -> PhpResult<Vec<String>> {
        self.client()?.schema().map_err(|error| exception(&error))
    }

    fn with_control<T>(&self, ask: impl FnOnce(&dyn WorkerControl) -> Result<T>) -> PhpResult<T> {
        let control = Control::of(self.0.config())?;
        let client = self.client()?;
        let asked =
            || -> Result<T> { ask(control.required(&client)?.control().ok_or_else(|| control::nowhere(client.config()))?) };
        asked().map_err(|error| exception(&error))
    }
}

fn worker(report: &WorkerReport) -> PhpResult<ZBox<ZendHashTable>> {
    let count = |value: u64| number(i64::try_from(value).unwrap_or(i64::MAX));
    let mut table = ZendHashTable::new();
    for (key, value) in [
        ("id", text(report.id.as_bytes())),
        ("host", text(report.host.as_bytes())),
        ("pid", number(report.pid.into())),
        ("started", number(report.started)),
        ("seen", number(report.seen)),
        ("processed", count(report.processed)),
        ("failed", count(report.failed)),
        ("memory", count(report.memory)),
        ("state", text(report.state.name().as_bytes())),
    ] {
        table.insert(key, value)?;
    }
    table.insert("queues", report.queues.clone())?;
    table.insert("job", report.job.as_deref().map_or_else(Zval::null, |job| text(job.as_bytes())))?;
    Ok(table)
}

fn shown(fact: Fact) -> Zval {
    match fact {
        Fact::Text(words) => text(words.as_bytes()),
        Fact::Number(count) => number(count),
        Fact::Seconds(seconds) => float(seconds),
        Fact::Flag(flag) => truth(flag),
    }
}
