//! Every SQL text, in one place. `fixtures/think-queue-v3.json`, `sqlite/*`, shows the originals.
//!
//! Two indexes serve them. `<table>_queue` on (queue) is think-queue's own; it walks a queue in the order of ids. Ours,
//! `ferry_<table>_due` on (queue, reserve_time, available_time), finds due and expired rows without touching others. Measured
//! with 100,000 rows: walking finds the head of a long backlog at once but needs 14 ms past as many delayed rows; sorting what
//! is due costs 0.1 us a row. So [`Tables::look`] counts the due rows first, up to [`FEW`], and the cheaper way is taken.
//!
//! A list of ids is padded to a power of two, so that few different texts fill the statement cache.

/// Columns of the table of jobs.
pub(super) const JOB_COLUMNS: &[&str] = &["id", "queue", "payload", "attempts", "reserve_time", "available_time", "create_time"];

/// Columns of the table of failed jobs.
pub(super) const FAILED_COLUMNS: &[&str] = &["id", "connection", "queue", "payload", "exception", "fail_time"];

/// Up to so many due rows are sorted; more are found by walking.
pub(super) const FEW: i64 = 1024;

/// The most ids or rows in one statement. Old libraries know 999 parameters.
pub(super) const CHUNK: usize = 256;

/// The names of the tables.
#[derive(Debug)]
pub(super) struct Tables {
    jobs: String,
    failed: Option<String>,
}

impl Tables {
    /// `failed` is `None` when failed jobs are discarded.
    pub(super) fn new(jobs: &str, failed: Option<&str>) -> Self {
        Self { jobs: jobs.to_owned(), failed: failed.map(str::to_owned) }
    }

    pub(super) fn jobs_name(&self) -> &str {
        &self.jobs
    }

    pub(super) fn failed_name(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    pub(super) fn due_index(&self) -> String {
        format!("ferry_{}_due", self.jobs)
    }

    fn jobs(&self) -> String {
        quoted(&self.jobs)
    }

    // Creation. AUTOINCREMENT, so that a receipt never meets another job under the same id.

    pub(super) fn create_jobs(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, payload TEXT, attempts INTEGER, \
             reserve_time INTEGER, available_time INTEGER, create_time INTEGER)",
            self.jobs()
        )
    }

    pub(super) fn create_queue_index(&self) -> String {
        format!("CREATE INDEX IF NOT EXISTS {} ON {} (queue)", quoted(&format!("{}_queue", self.jobs)), self.jobs())
    }

    pub(super) fn create_due_index(&self) -> String {
        let index = quoted(&self.due_index());
        format!("CREATE INDEX IF NOT EXISTS {index} ON {} (queue, reserve_time, available_time)", self.jobs())
    }

    pub(super) fn create_failed(&self) -> Option<String> {
        let failed = quoted(self.failed.as_deref()?);
        Some(format!(
            "CREATE TABLE IF NOT EXISTS {failed} (id INTEGER PRIMARY KEY AUTOINCREMENT, connection TEXT, queue TEXT, payload TEXT, \
             exception TEXT, fail_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"
        ))
    }

    // Push.

    /// Parameters: queue, now, then payload and due second of each row.
    pub(super) fn insert(&self, rows: usize) -> String {
        let values: Vec<String> = (0..rows).map(|row| format!("(?1,?{},0,NULL,?{},?2)", 3 + 2 * row, 4 + 2 * row)).collect();
        format!(
            "INSERT INTO {} (queue, payload, attempts, reserve_time, available_time, create_time) VALUES {}",
            self.jobs(),
            values.join(",")
        )
    }

    // Reserve. Parameters of the first four: queue, now, and the second before which reservations have expired (NULL: never).

    /// Answers how many rows are due, [`FEW`] + 1 at most, and whether any reservation has expired. Takes no write lock.
    pub(super) fn look(&self) -> String {
        let jobs = self.jobs();
        format!(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM {jobs} WHERE {READY} LIMIT {})), \
             EXISTS (SELECT 1 FROM {jobs} WHERE {EXPIRED})",
            FEW + 1
        )
    }

    /// Id and attempts of the first `?4` rows to take. `walk`: by id, for many due rows; otherwise by sorting the due ones.
    pub(super) fn candidates(&self, walk: bool) -> String {
        let jobs = self.jobs();
        let ready = if walk {
            // The plus signs keep the planner off the index on due times; the result is the same.
            format!("{jobs} WHERE queue = ?1 AND +reserve_time IS NULL AND +available_time <= ?2 ORDER BY id LIMIT ?4")
        } else {
            format!("{jobs} WHERE {READY} ORDER BY +id LIMIT ?4")
        };
        format!(
            "SELECT id, attempts FROM {jobs} WHERE id IN (SELECT id FROM (SELECT id FROM {ready}) UNION ALL \
             SELECT id FROM (SELECT id FROM {jobs} WHERE {EXPIRED} ORDER BY +id LIMIT ?4)) ORDER BY id LIMIT ?4"
        )
    }

    /// Id and payload.
    pub(super) fn payloads(&self, ids: usize) -> String {
        format!("SELECT id, payload FROM {} WHERE id IN ({}) ORDER BY id", self.jobs(), marks(ids))
    }

    /// Parameters: now, ids.
    pub(super) fn hold(&self, ids: usize) -> String {
        format!("UPDATE {} SET reserve_time = ?, attempts = coalesce(attempts, 0) + 1 WHERE id IN ({})", self.jobs(), marks(ids))
    }

    // Settle and extend, by id, inside a transaction that has looked at the fence.

    /// The fence: id and attempts of those that are reserved.
    pub(super) fn reserved(&self, ids: usize) -> String {
        format!("SELECT id, attempts FROM {} WHERE id IN ({}) AND reserve_time IS NOT NULL", self.jobs(), marks(ids))
    }

    pub(super) fn delete(&self, ids: usize) -> String {
        format!("DELETE FROM {} WHERE id IN ({})", self.jobs(), marks(ids))
    }

    /// The released job under a new id. Parameters: due second, now, id of the old row.
    ///
    /// Copied before the old row goes, so that the new id differs in a table without AUTOINCREMENT too.
    pub(super) fn copy_for_release(&self) -> String {
        let jobs = self.jobs();
        format!(
            "INSERT INTO {jobs} (queue, payload, attempts, reserve_time, available_time, create_time) \
             SELECT queue, payload, attempts, NULL, ?, ? FROM {jobs} WHERE id = ?"
        )
    }

    /// Parameters: now, ids. The due second is lowered to now: a row can have been taken before it (`sqlite/pop-reserve_time-0`).
    pub(super) fn give_back(&self, ids: usize) -> String {
        format!(
            "UPDATE {} SET reserve_time = NULL, attempts = attempts - 1, available_time = min(available_time, ?) WHERE id IN ({})",
            self.jobs(),
            marks(ids)
        )
    }

    /// Parameters: now, ids.
    pub(super) fn extend(&self, ids: usize) -> String {
        format!("UPDATE {} SET reserve_time = ? WHERE id IN ({})", self.jobs(), marks(ids))
    }

    /// Parameters: connection, queue, payload, exception, now. `None` when failed jobs are discarded.
    pub(super) fn bury(&self) -> Option<String> {
        let failed = quoted(self.failed.as_deref()?);
        Some(format!(
            "INSERT INTO {failed} (connection, queue, payload, exception, fail_time) VALUES (?, ?, ?, ?, datetime(?, 'unixepoch'))"
        ))
    }

    // The operator's words. Parameters: queue, and now where a due time matters.

    /// Ready, delayed, reserved.
    pub(super) fn size(&self) -> String {
        format!(
            "SELECT total(reserve_time IS NULL AND available_time <= ?2), \
             total(reserve_time IS NULL AND (available_time > ?2 OR available_time IS NULL)), \
             total(reserve_time IS NOT NULL) FROM {} WHERE queue = ?1",
            self.jobs()
        )
    }

    pub(super) fn failed_size(&self) -> Option<String> {
        Some(format!("SELECT count(*) FROM {} WHERE queue = ?", quoted(self.failed.as_deref()?)))
    }

    /// Parameters: queue, limit, offset.
    pub(super) fn failed(&self) -> Option<String> {
        let failed = quoted(self.failed.as_deref()?);
        Some(format!(
            "SELECT id, connection, queue, payload, exception, CAST(strftime('%s', fail_time) AS INTEGER) \
             FROM {failed} WHERE queue = ? ORDER BY id DESC LIMIT ? OFFSET ?"
        ))
    }

    /// Payloads. Parameters: queue, now, limit, offset.
    pub(super) fn peek(&self, state: ferry_core::broker::State) -> String {
        use ferry_core::broker::State;
        let which = match state {
            State::Ready => "reserve_time IS NULL AND available_time <= ?2 ORDER BY id",
            State::Delayed => {
                "reserve_time IS NULL AND (available_time > ?2 OR available_time IS NULL) ORDER BY available_time, id"
            }
            State::Reserved => "reserve_time IS NOT NULL ORDER BY reserve_time, id",
        };
        format!("SELECT payload FROM {} WHERE queue = ?1 AND {which} LIMIT ?3 OFFSET ?4", self.jobs())
    }

    pub(super) fn clear(&self) -> String {
        format!("DELETE FROM {} WHERE queue = ?", self.jobs())
    }
}

const READY: &str = "queue = ?1 AND reserve_time IS NULL AND available_time <= ?2";
const EXPIRED: &str = "queue = ?1 AND reserve_time <= ?3";

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn marks(count: usize) -> String {
    vec!["?"; count].join(",")
}

/// Lists of ids for single statements, each padded to a power of two by repeating its last.
pub(super) fn padded(ids: &[i64]) -> impl Iterator<Item = Vec<i64>> {
    ids.chunks(CHUNK).map(|chunk| {
        let mut ids = chunk.to_vec();
        ids.resize(chunk.len().next_power_of_two(), chunk[chunk.len() - 1]);
        ids
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_ids_is_padded_without_naming_another_row() {
        assert_eq!(padded(&[]).count(), 0);
        assert_eq!(padded(&[1, 2, 3]).collect::<Vec<_>>(), [vec![1, 2, 3, 3]]);
        let many: Vec<i64> = (0..300).collect();
        assert_eq!(padded(&many).map(|ids| ids.len()).collect::<Vec<_>>(), [256, 64]);
    }

    #[test]
    fn a_table_name_is_quoted() {
        assert!(Tables::new("a\"b", None).clear().contains("\"a\"\"b\""));
    }
}
