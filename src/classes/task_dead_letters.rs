//! `Ferry\Task\DeadLetters`: tasks that failed for good, for operators.

use std::rc::Rc;
use std::sync::Arc;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpResult;
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendHashTable, Zval};
use ferry_client::Handle;
use ferry_client::tasks::{Requeued, StoredDeadLetter, Tasks};
use ferry_core::Error;
use ferry_core::task::{DEAD_QUEUE, LetterSelection, Task};

use crate::classes::connection::{ConnectionHandle, count};
use crate::classes::tracking::tell;
use crate::convert::arguments::{Maybe, Mixed, OptionalText, Text, Whole};
use crate::convert::errors::{exception, invalid};
use crate::convert::task::{TaskFields, connection};
use crate::convert::which;
use crate::zend::dates;
use crate::zend::objects::{self, number, text};

/// The dead letters of a connection.
#[php_class]
#[php(name = "Ferry\\Task\\DeadLetters")]
pub struct DeadLetters {
    handle: Rc<Handle>,
    queue: String,
}

#[php_impl]
impl DeadLetters {
    /// Opens nothing yet.
    pub fn __construct(connection: Mixed<'_>, queue: OptionalText) -> PhpResult<Self> {
        objects::construct(|| {
            let handle = self::connection(connection.0, "DeadLetters")?;
            Ok(Self { handle, queue: queue.text().unwrap_or_else(|| DEAD_QUEUE.to_owned()) })
        })
    }

    /// The oldest ones that meet the conditions.
    #[php(defaults(limit = Whole(100)))]
    pub fn list(&self, limit: Whole, conditions: Maybe<'_>) -> PhpResult<Vec<ZBox<ZendHashTable>>> {
        let limit = usize::try_from(count(limit.0)?).unwrap_or(usize::MAX);
        let selection = match conditions.0.filter(|conditions| !conditions.is_null()) {
            None => LetterSelection::all(),
            Some(conditions) if conditions.is_array() => which::letter_conditions(conditions)?,
            Some(_) => return Err(invalid("the conditions are an array of `type`, `reason`, `before` and `after`")),
        };
        let letters = self.tasks()?.letters(&self.queue, &selection, limit, &dates::stamp).map_err(|error| self.place(error))?;
        letters.iter().map(record).collect()
    }

    /// The one of the task with this id, null when there is none.
    pub fn show(&self, id: Text) -> PhpResult<Option<ZBox<ZendHashTable>>> {
        let id = String::from_utf8_lossy(&id.0).into_owned();
        let letter = self.tasks()?.letter(&self.queue, &id, &dates::stamp).map_err(|error| self.place(error))?;
        letter.as_ref().map(record).transpose()
    }

    /// Publishes tasks again: all, the one with this id, those of this type, those with these ids, or those that meet conditions.
    pub fn requeue(&self, which: Mixed<'_>) -> PhpResult<i64> {
        let selection = which::letters(which.0)?;
        let connection = ConnectionHandle(self.handle.clone());
        let statuses = if connection.is_tracked() { Some(connection.status_broker()?) } else { None };
        let client = self.handle.get().map_err(|error| self.place(error))?;
        let mut note = |tasks: &[&Task]| {
            if let Some(statuses) = &statuses {
                tell(client.note_requeued_tasks(tasks, &**statuses));
            }
        };
        let requeued = self.tasks()?.requeue(&self.queue, &selection, &dates::stamp, &mut note);
        let count = requeued.and_then(Requeued::complete).map_err(|error| self.place(error))?;
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Removes all of them for good.
    pub fn purge(&self) -> PhpResult<i64> {
        let count = self.tasks()?.purge(&self.queue).map_err(|error| self.place(error))?;
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl DeadLetters {
    fn tasks(&self) -> PhpResult<Arc<Tasks>> {
        self.handle.get().and_then(|client| client.tasks()).map_err(|error| self.place(error))
    }

    fn place(&self, error: Error) -> ext_php_rs::exception::PhpException {
        exception(&error.within(format!("dead letters in `{}` on `{}`", self.queue, self.handle.config().name)))
    }
}

/// What there is to say of one.
fn record(letter: &StoredDeadLetter) -> PhpResult<ZBox<ZendHashTable>> {
    let task = letter.letter.task.as_ref();
    let fields = task.and_then(|task| TaskFields::of_task(task, &letter.letter.body).ok());
    let told = if letter.letter.message.is_empty() { &letter.error } else { &letter.letter.message };
    let mut table = ZendHashTable::new();
    let words = |words: &str| text(words.as_bytes());
    let count = |get: fn(&TaskFields) -> i64| fields.as_ref().map_or_else(Zval::null, |fields| number(get(fields)));
    for (key, value) in [
        ("id", words(&letter.id)),
        ("type", task.map_or_else(Zval::null, |task| words(&task.kind))),
        ("reason", words(&letter.reason)),
        ("message", words(told)),
        ("trace", words(&letter.letter.trace)),
        ("failed_at", words(&letter.letter.failed_at)),
        ("priority", count(|fields| fields.priority)),
        ("current_retry", count(|fields| fields.current_retry)),
        ("max_retries", count(|fields| fields.max_retries)),
        ("created_at", count(|fields| fields.created_at)),
        ("expire_at", count(|fields| fields.expire_at)),
        ("payload", fields.as_ref().map_or_else(Zval::null, |fields| fields.payload.shallow_clone())),
        ("body", text(&letter.raw)),
    ] {
        table.insert(key, value)?;
    }
    Ok(table)
}
