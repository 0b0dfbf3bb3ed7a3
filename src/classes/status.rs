//! `Ferry\Status`: what became of a job.

use std::cell::RefCell;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::flags::ClassFlags;
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendHashTable, Zval};
use ferry_core::status::{self, StatusUpdate};

use crate::classes::connection::ConnectionHandle;
use crate::convert::arguments::{Maybe, Text};
use crate::convert::errors::exception;
use crate::zend::json;
use crate::zend::objects::{float, number, text};

/// What is known of one job, as it was read.
#[php_class]
#[php(name = "Ferry\\Status", flags = ClassFlags::Final)]
pub struct PhpStatus {
    link: ConnectionHandle,
    known: RefCell<status::Status>,
}

impl PhpStatus {
    /// Reads what is known of the job with this id.
    pub fn look(link: ConnectionHandle, id: &[u8]) -> PhpResult<Option<Self>> {
        let Some(id) = std::str::from_utf8(id).ok().filter(|id| StatusUpdate::can_be_about(id)) else { return Ok(None) };
        Ok(read(&link, id)?.map(|known| Self { link, known: RefCell::new(known) }))
    }

    fn known<T>(&self, read: impl FnOnce(&status::Status) -> T) -> T {
        read(&self.known.borrow())
    }

    fn result_value(&self) -> Zval {
        // The copy ends with the NUL byte that the engine's scanner reads.
        let json = self.known(|known| known.result.as_ref().map(|json| [json.as_bytes(), b"\0"].concat()));
        json.and_then(|json| json::decode(&json).ok()).unwrap_or_else(Zval::null)
    }
}

fn read(link: &ConnectionHandle, id: &str) -> PhpResult<Option<status::Status>> {
    let broker = link.status_broker()?;
    // A broker without a status store is refused before.
    let known = broker.status().map_or(Ok(None), |statuses| statuses.find(id));
    known.map_err(|error| exception(&error.within(format!("status of job {id} on `{}`", link.0.config().name))))
}

/// Milliseconds as the seconds that PHP uses.
fn seconds(milliseconds: Option<i64>) -> Zval {
    milliseconds.map_or_else(Zval::null, |time| float(time as f64 / 1000.0))
}

fn words(words: Option<&String>) -> Zval {
    words.map_or_else(Zval::null, |words| text(words.as_bytes()))
}

#[php_impl]
impl PhpStatus {
    /// It waits for a worker, or for its due time.
    pub const QUEUED: &'static str = "queued";
    /// Its handler runs.
    pub const RUNNING: &'static str = "running";
    /// An attempt failed or released it.
    pub const RETRYING: &'static str = "retrying";
    /// It is done.
    pub const SUCCEEDED: &'static str = "succeeded";
    /// It failed for good.
    pub const FAILED: &'static str = "failed";
    /// Its tries or its deadline were over before it could start.
    pub const EXPIRED: &'static str = "expired";

    /// What is known of a job.
    pub fn find(id: Text, connection: Maybe<'_>) -> PhpResult<Option<PhpStatus>> {
        Self::look(ConnectionHandle::named(connection.0)?, &id.0)
    }

    /// Reads it anew. False when nothing is known any more.
    pub fn refresh(&self) -> PhpResult<bool> {
        let id = self.known(|known| known.id.clone());
        let Some(known) = read(&self.link, &id)? else { return Ok(false) };
        self.known.replace(known);
        Ok(true)
    }

    /// Whether nothing more will happen by itself.
    pub fn is_finished(&self) -> bool {
        self.known(|known| known.state.is_finished())
    }

    /// Everything, by name.
    pub fn to_array(&self) -> PhpResult<ZBox<ZendHashTable>> {
        let mut table = ZendHashTable::new();
        for (name, value) in [
            ("id", self.get_id()),
            ("state", self.get_state()),
            ("job", self.get_job()),
            ("queue", self.get_queue()),
            ("connection", self.get_connection()),
            ("attempts", self.get_attempts()),
            ("progress", self.get_progress()),
            ("message", self.get_message()),
            ("result", self.get_result()),
            ("error", self.get_error()),
            ("queued_at", self.get_queued_at()),
            ("started_at", self.get_started_at()),
            ("finished_at", self.get_finished_at()),
            ("updated_at", self.get_updated_at()),
        ] {
            table.insert(name, value)?;
        }
        Ok(table)
    }

    /// The id.
    #[php(getter, name = "id")]
    pub fn get_id(&self) -> Zval {
        self.known(|known| text(known.id.as_bytes()))
    }

    /// The state.
    #[php(getter, name = "state")]
    pub fn get_state(&self) -> Zval {
        self.known(|known| text(known.state.name().as_bytes()))
    }

    /// The name of the job.
    #[php(getter, name = "job")]
    pub fn get_job(&self) -> Zval {
        self.known(|known| text(known.job.as_bytes()))
    }

    /// Its queue.
    #[php(getter, name = "queue")]
    pub fn get_queue(&self) -> Zval {
        self.known(|known| text(known.queue.as_bytes()))
    }

    /// Its connection.
    #[php(getter, name = "connection")]
    pub fn get_connection(&self) -> Zval {
        self.known(|known| text(known.connection.as_bytes()))
    }

    /// The last attempt.
    #[php(getter, name = "attempts")]
    pub fn get_attempts(&self) -> Zval {
        self.known(|known| number(known.attempts.into()))
    }

    /// Percent.
    #[php(getter, name = "progress")]
    pub fn get_progress(&self) -> Zval {
        self.known(|known| number(known.progress.into()))
    }

    /// What was said to it.
    #[php(getter, name = "message")]
    pub fn get_message(&self) -> Zval {
        self.known(|known| words(known.message.as_ref()))
    }

    /// The result.
    #[php(getter, name = "result")]
    pub fn get_result(&self) -> Zval {
        self.result_value()
    }

    /// Why the last attempt failed.
    #[php(getter, name = "error")]
    pub fn get_error(&self) -> Zval {
        self.known(|known| words(known.error.as_ref()))
    }

    /// When it was pushed.
    #[php(getter, name = "queuedAt")]
    pub fn get_queued_at(&self) -> Zval {
        self.known(|known| seconds(known.queued_at))
    }

    /// When its last attempt began.
    #[php(getter, name = "startedAt")]
    pub fn get_started_at(&self) -> Zval {
        self.known(|known| seconds(known.started_at))
    }

    /// When it was over.
    #[php(getter, name = "finishedAt")]
    pub fn get_finished_at(&self) -> Zval {
        self.known(|known| seconds(known.finished_at))
    }

    /// When something was last said of it.
    #[php(getter, name = "updatedAt")]
    pub fn get_updated_at(&self) -> Zval {
        self.known(|known| seconds(Some(known.updated_at)))
    }
}
