//! The text of every statement on think-queue's tables, in one place. `fixtures/think-queue-v3.json`, `sqlite/*`, shows the
//! originals, and `fixtures/think-queue-v1.json`, `mariadb/*`, those of v1 and v2. Which columns there are and when attempts rise is
//! decided by the family; what databases spell differently, by the dialect; here both become SQL.
//!
//! Jobs are reserved by due second and id, the order of one index of ours, `ferry_<table>_available` on (queue, available_time) and the id, so
//! the cost of a reserve does not grow with what waits, neither ready nor delayed. No column of it changes when a row is reserved. The
//! rows that are reserved were the first ones then, so a scan meets them, expired or not, at its beginning, and
//! [`crate::scan_position`] keeps it from meeting them each time. think-queue's order by id alone walks past every delayed row: 14 ms
//! past 100,000.
//!
//! Lists of ids are padded to powers of two by repeating their last, so that few different texts fill the statement cache.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use ferry_core::QueueName;
use ferry_core::broker::{JobRow, RowValue, State};
use ferry_core::dialect::{Counting, Family, JobColumns};

use crate::dialect::{Dialect, at_places, marks};
use crate::error::SqlError;

/// Columns that every table of jobs has.
pub(crate) const JOB_COLUMNS: &[&str] = &["id", "queue", "payload", "attempts"];

/// Columns that every table of failed jobs has.
pub(crate) const FAILED_COLUMNS: &[&str] = &["id", "connection", "queue", "payload", "exception"];

/// The most ids or rows in one statement. Old libraries know 999 parameters.
pub(crate) const CHUNK: usize = 256;

/// The names of the tables and their columns.
pub(crate) struct Tables {
    dialect: &'static dyn Dialect,
    family: Family,
    jobs: String,
    failed: Option<String>,
    /// Which of the family's columns were found. Looked at whenever a connection is made, so that a migrated table is noticed.
    job_columns: AtomicUsize,
    failed_at: AtomicUsize,
    limits: ColumnLimits,
    /// Whether our index was there when the last connection was made.
    has_due_index: AtomicBool,
    /// Whether the table of failed jobs was there when the last connection was made.
    has_failed: AtomicBool,
}

/// What the columns of jobs can hold, where the database says so.
pub(crate) struct ColumnLimits {
    payload: AtomicU64,
    payload_is_text: AtomicBool,
    attempts: AtomicI64,
}

impl Default for ColumnLimits {
    fn default() -> Self {
        Self { payload: AtomicU64::new(u64::MAX), payload_is_text: AtomicBool::new(false), attempts: AtomicI64::new(i64::MAX) }
    }
}

impl ColumnLimits {
    /// `payload` is the most bytes, `attempts` the largest number.
    pub(crate) fn set(&self, payload: Option<u64>, payload_is_text: bool, attempts: i64) {
        self.payload.store(payload.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.payload_is_text.store(payload_is_text, Ordering::Relaxed);
        self.attempts.store(attempts, Ordering::Relaxed);
    }

    /// The largest number of attempts, where it is so small that a job may reach it.
    fn attempts(&self) -> Option<i64> {
        Some(self.attempts.load(Ordering::Relaxed)).filter(|limit| *limit < i64::from(i32::MAX))
    }

    /// Refuses a payload that its column would cut off, as servers that are not strict do.
    pub(crate) fn check(&self, payload: &[u8]) -> Result<(), SqlError> {
        let limit = self.payload.load(Ordering::Relaxed);
        if payload.len() as u64 > limit {
            return Err(SqlError::TooLarge { bytes: payload.len(), limit, holder: "the column `payload`" });
        }
        if self.payload_is_text.load(Ordering::Relaxed) && std::str::from_utf8(payload).is_err() {
            return Err(SqlError::NotText);
        }
        Ok(())
    }
}

impl Tables {
    /// What the columns of jobs can hold.
    pub(crate) fn limits(&self) -> &ColumnLimits {
        &self.limits
    }

    /// `failed` is `None` when failed jobs are discarded.
    pub(crate) fn new(dialect: &'static dyn Dialect, family: Family, jobs: &str, failed: Option<&str>) -> Self {
        let failed = failed.map(str::to_owned);
        Self {
            dialect,
            family,
            jobs: jobs.to_owned(),
            failed,
            job_columns: AtomicUsize::new(0),
            failed_at: AtomicUsize::new(0),
            limits: ColumnLimits::default(),
            has_due_index: AtomicBool::new(false),
            has_failed: AtomicBool::new(true),
        }
    }

    pub(crate) fn dialect(&self) -> &'static dyn Dialect {
        self.dialect
    }

    pub(crate) fn family(&self) -> Family {
        self.family
    }

    pub(crate) fn jobs_name(&self) -> &str {
        &self.jobs
    }

    pub(crate) fn failed_name(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    pub(crate) fn due_index(&self) -> String {
        due_index(&self.jobs)
    }

    /// Settles for the family's columns number `index`.
    pub(crate) fn use_job_columns(&self, index: usize) {
        self.job_columns.store(index, Ordering::Relaxed);
    }

    /// Settles for the family's name number `index` of the time of a failed job.
    pub(crate) fn use_failed_at(&self, index: usize) {
        self.failed_at.store(index, Ordering::Relaxed);
    }

    /// Remembers whether our index is there.
    pub(crate) fn note_due_index(&self, present: bool) {
        self.has_due_index.store(present, Ordering::Relaxed);
    }

    /// Remembers whether there is a table of failed jobs.
    pub(crate) fn note_failed(&self, present: bool) {
        self.has_failed.store(present, Ordering::Relaxed);
    }

    fn columns(&self) -> &'static JobColumns {
        let all = self.family.job_columns();
        all.get(self.job_columns.load(Ordering::Relaxed)).unwrap_or(&all[0])
    }

    fn failed_at(&self) -> &'static str {
        let all = self.family.failed_at_columns();
        all.get(self.failed_at.load(Ordering::Relaxed)).unwrap_or(&all[0])
    }

    /// The table of failed jobs, for those who read it. `None` when there is none.
    fn failed(&self) -> Option<String> {
        let name = self.failed.as_deref().filter(|_| self.has_failed.load(Ordering::Relaxed))?;
        Some(self.dialect.quoted(name))
    }

    fn jobs(&self) -> String {
        self.dialect.quoted(&self.jobs)
    }

    /// The columns of a new row behind `queue, payload`, and the values of one that is not reserved.
    fn new_row(&self) -> (String, &'static str) {
        let JobColumns { reserved, reserved_at, available_at, created_at } = self.columns();
        match reserved {
            Some(reserved) => (format!("attempts, {reserved}, {reserved_at}, {available_at}, {created_at}"), "0,NULL"),
            None => (format!("attempts, {reserved_at}, {available_at}, {created_at}"), "NULL"),
        }
    }

    fn is_free(&self) -> String {
        match self.columns().reserved {
            Some(reserved) => format!("{reserved} = 0"),
            None => format!("{} IS NULL", self.columns().reserved_at),
        }
    }

    fn is_reserved(&self) -> String {
        match self.columns().reserved {
            Some(reserved) => format!("{reserved} = 1"),
            None => format!("{} IS NOT NULL", self.columns().reserved_at),
        }
    }

    fn is_ready(&self) -> String {
        format!("{} AND {} <= ?2", self.is_free(), self.columns().available_at)
    }

    fn is_delayed(&self) -> String {
        let available_at = self.columns().available_at;
        format!("{} AND ({available_at} > ?2 OR {available_at} IS NULL)", self.is_free())
    }

    /// Those that can be reserved, behind a place in the order. Parameter 1 is now, 2 the second before which reservations have expired;
    /// the others are numbered from `first` on: queue, due second and id of the place.
    fn is_reservable(&self, first: usize) -> String {
        let JobColumns { reserved, reserved_at, available_at, .. } = self.columns();
        let expired = match reserved {
            Some(reserved) => format!("({reserved} = 1 AND {reserved_at} <= ?2)"),
            None => format!("{reserved_at} <= ?2"),
        };
        let behind = self.dialect.is_behind([available_at, "id"], [&format!("?{}", first + 1), &format!("?{}", first + 2)]);
        format!("queue = ?{first} AND {available_at} <= ?1 AND {behind} AND ({} OR {expired})", self.is_free())
    }

    /// How often a row that can be reserved was tried. In v1 an expired reservation is counted only now, when it returns.
    fn tried(&self) -> String {
        match (self.family.counting(), self.columns().reserved) {
            (Counting::AtReturn, Some(reserved)) => format!("coalesce(attempts, 0) + CASE WHEN {reserved} = 1 THEN 1 ELSE 0 END"),
            (Counting::AtReturn | Counting::AtReserve, _) => "coalesce(attempts, 0)".to_owned(),
        }
    }

    /// A new number of attempts, or the largest that the column can hold: think-queue's TINYINT ends at 255, and a row that could
    /// not be reserved for that would stop its queue.
    fn within_limit(&self, attempts: String) -> String {
        match self.limits.attempts() {
            Some(limit) => format!("CASE WHEN {attempts} > {limit} THEN {limit} ELSE {attempts} END"),
            None => attempts,
        }
    }

    /// Whether a row with so many attempts is not told from its next reservation by them.
    pub(crate) fn is_at_limit(&self, attempts: i64) -> bool {
        self.limits.attempts().is_some_and(|limit| attempts >= limit)
    }

    /// What becomes of a row's attempts when it is reserved, out of how often it was tried.
    pub(crate) fn attempts_held(&self, tried: i64) -> i64 {
        let held = match self.family.counting() {
            Counting::AtReserve => tried + 1,
            Counting::AtReturn => tried,
        };
        self.limits.attempts().map_or(held, |limit| held.min(limit))
    }

    // Creation.

    pub(crate) fn create_jobs(&self) -> String {
        self.dialect.create_jobs(&self.jobs, self.columns())
    }

    pub(crate) fn create_due_index(&self) -> String {
        let columns: Vec<&str> = ["queue", self.columns().available_at].into_iter().chain(self.dialect.indexed_key()).collect();
        self.dialect.create_index(&self.due_index(), &self.jobs, &columns)
    }

    /// Drops the index that an earlier version made in its place.
    pub(crate) fn drop_former_index(&self) -> String {
        format!("DROP INDEX IF EXISTS {}", self.dialect.quoted(&format!("ferry_{}_due", self.jobs)))
    }

    pub(crate) fn create_failed(&self) -> Option<String> {
        Some(self.dialect.create_failed(self.failed.as_deref()?, self.failed_at()))
    }

    // Push.

    /// Parameters: queue, now, then payload and due second of each row.
    pub(crate) fn insert(&self, rows: usize) -> String {
        let (columns, free) = self.new_row();
        let values: Vec<String> = (0..rows).map(|row| format!("(?1,?{},0,{free},?{},?2)", 3 + 2 * row, 4 + 2 * row)).collect();
        format!("INSERT INTO {} (queue, payload, {columns}) VALUES {}", self.jobs(), values.join(","))
    }

    /// One row under an id. Parameters: queue, now, payload, due second, id.
    pub(crate) fn insert_as(&self) -> String {
        let (columns, free) = self.new_row();
        format!("INSERT INTO {} (id, queue, payload, {columns}) VALUES (?5,?1,?3,0,{free},?4,?2)", self.jobs())
    }

    /// The row that [`Tables::insert`] inserts.
    pub(crate) fn row(&self, queue: &QueueName, payload: &[u8], now: i64, due: i64) -> JobRow {
        let JobColumns { reserved, reserved_at, available_at, created_at } = *self.columns();
        let common = [
            ("queue", RowValue::Bytes(queue.as_str().as_bytes().to_vec())),
            ("payload", RowValue::Bytes(payload.to_vec())),
            ("attempts", RowValue::Int(0)),
        ];
        let times = [(reserved_at, RowValue::Null), (available_at, RowValue::Int(due)), (created_at, RowValue::Int(now))];
        let reserved = reserved.map(|reserved| (reserved, RowValue::Int(0)));
        JobRow { table: self.jobs.clone(), values: common.into_iter().chain(reserved).chain(times).collect() }
    }

    // Reserve.

    /// For each queue whether any row can be reserved: 1 or 0. Takes no lock. Parameters: now, the second before which reservations have
    /// expired; of each queue its name, and due second and id of the place to begin behind.
    pub(crate) fn any_due(&self, queues: usize) -> String {
        let (jobs, order) = (self.jobs_by_index(), self.order());
        // The order keeps PostgreSQL to the index: for a bare EXISTS it takes a scan of the table to be as good.
        let of_queue = |number: usize| {
            let condition = self.is_reservable(3 + 3 * number);
            format!("CASE WHEN (SELECT 1 FROM {jobs} WHERE {condition} ORDER BY {order} LIMIT 1) IS NULL THEN 0 ELSE 1 END")
        };
        format!("SELECT {}", (0..queues).map(of_queue).collect::<Vec<_>>().join(", "))
    }

    /// Id, tries so far, due second, of jobs that were never tried payload, and now, of the first rows that can be reserved, locked.
    /// Parameters: now, the second before which reservations have expired, queue, due second and id of the place to begin behind, limit.
    pub(crate) fn candidates(&self) -> String {
        let (jobs, tried, available_at) = (self.jobs_by_index(), self.tried(), self.columns().available_at);
        let payload = format!("CASE WHEN {tried} > 0 THEN NULL ELSE payload END");
        format!(
            "SELECT id, {tried}, {available_at}, {payload}, ?1 FROM {jobs} WHERE {} ORDER BY {} LIMIT ?6{}",
            self.is_reservable(3),
            self.order(),
            self.dialect.row_lock_skipping()
        )
    }

    /// Whether a reserve is a single statement.
    pub(crate) fn reserves_at_once(&self) -> bool {
        self.dialect.says_one_try("payload").is_some()
    }

    /// Reserves the first `most` rows at once, where the dialect can, and only the first where the first stands alone. Answers with id,
    /// tries so far, due second, payload and now. Parameters: as those of [`Tables::candidates`], without the limit.
    ///
    /// The rows that were locked are marked by their places (`ctid`): no plan for that reads other rows, while a join by id was carried out
    /// as 64 walks through the table or an index after a plan for an empty table. A row that was changed in between has another place,
    /// and is left to the next reserve.
    pub(crate) fn reserve_at_once(&self, most: usize) -> Option<String> {
        let one_try = self.dialect.says_one_try("payload")?;
        let JobColumns { reserved, reserved_at, available_at, .. } = self.columns();
        let (jobs, tried) = (self.jobs(), self.tried());
        let first = format!(
            "SELECT ctid AS place, id, {tried} AS tried, {available_at} AS due, payload FROM {jobs} WHERE {} ORDER BY {} LIMIT {most}{}",
            self.is_reservable(3),
            self.order(),
            self.dialect.row_lock_skipping()
        );
        let reserved = reserved.map(|reserved| format!(", {reserved} = 1")).unwrap_or_default();
        let raise = self.attempts_held(0);
        let attempts = self.within_limit(format!("{tried} + {raise}"));
        let rows = at_places("taken");
        Some(format!(
            "WITH first AS ({first}), \
             found AS (SELECT place, id, tried, due, CASE WHEN tried > 0 THEN true ELSE {one_try} END AS alone FROM first), \
             ranked AS (SELECT place, id, tried, due, row_number() OVER line AS rank, bool_or(alone) OVER line AS ends \
             FROM found WINDOW line AS (ORDER BY due, id)), \
             taken AS (SELECT place, id FROM ranked WHERE rank = 1 OR (rank <= {most} AND NOT ends)) \
             UPDATE {jobs} SET {reserved_at} = ?1, attempts = {attempts}{reserved} WHERE {rows} \
             RETURNING id, attempts - {raise}, {available_at}, payload, {reserved_at}"
        ))
    }

    /// The table for those who read it by our index.
    fn jobs_by_index(&self) -> String {
        let hint = match self.has_due_index.load(Ordering::Relaxed) {
            true => self.dialect.index_hint(&self.due_index()),
            false => String::new(),
        };
        format!("{}{hint}", self.jobs())
    }

    /// The order in which jobs are reserved, that of our index.
    fn order(&self) -> String {
        format!("{}, id", self.columns().available_at)
    }

    /// Id and payload.
    pub(crate) fn payloads(&self, ids: usize) -> String {
        format!("SELECT id, payload FROM {} WHERE id IN ({})", self.jobs(), marks(1, ids))
    }

    /// Parameters: now, ids.
    pub(crate) fn mark_reserved(&self, ids: usize) -> String {
        let JobColumns { reserved, reserved_at, .. } = self.columns();
        let reserved = reserved.map(|reserved| format!(", {reserved} = 1")).unwrap_or_default();
        let attempts = self.within_limit(format!("{} + {}", self.tried(), self.attempts_held(0)));
        format!("UPDATE {} SET {reserved_at} = ?1, attempts = {attempts}{reserved} WHERE id IN ({})", self.jobs(), marks(2, ids))
    }

    // Settle and extend, by id, inside a transaction that has looked at the fence.

    /// The fence: id, attempts and second of reserve of those that are reserved.
    pub(crate) fn reserved(&self, ids: usize) -> String {
        let (jobs, marks, reserved) = (self.jobs(), marks(1, ids), self.is_reserved());
        let reserved_at = self.columns().reserved_at;
        format!(
            "SELECT id, attempts, {reserved_at} FROM {jobs} WHERE id IN ({marks}) AND {reserved} ORDER BY id{}",
            self.dialect.row_lock()
        )
    }

    /// Removes those that are still reserved with these attempts and answers with their ids. Parameters: attempts, ids.
    pub(crate) fn delete_reserved(&self, ids: usize) -> String {
        let (held, rows) = self.rows(2, ids);
        // No index answers this: one on reserved rows would be worse than the ids.
        let fence = format!("CASE WHEN {} THEN attempts END = ?1", self.is_reserved());
        format!("{held}DELETE FROM {} WHERE {rows} AND {fence} RETURNING id", self.jobs())
    }

    pub(crate) fn delete(&self, ids: usize) -> String {
        let (held, rows) = self.rows(1, ids);
        format!("{held}DELETE FROM {} WHERE {rows}", self.jobs())
    }

    /// Parameters: due second, ids.
    pub(crate) fn release(&self, ids: usize) -> String {
        let JobColumns { reserved, reserved_at, available_at, .. } = self.columns();
        let reserved = reserved.map(|reserved| format!(", {reserved} = 0")).unwrap_or_default();
        // Tried once more, whenever the family counts it.
        let attempts = self.within_limit(format!("attempts + {}", 1 - self.attempts_held(0)));
        let (held, rows) = self.rows(2, ids);
        format!(
            "{held}UPDATE {} SET {reserved_at} = NULL, attempts = {attempts}, {available_at} = ?1{reserved} WHERE {rows}",
            self.jobs()
        )
    }

    /// Parameters: now, ids. The due second is lowered to now: another program may have taken
    /// the row before it (`sqlite/pop-reserve_time-0`).
    pub(crate) fn give_back(&self, ids: usize) -> String {
        let JobColumns { reserved, reserved_at, available_at, .. } = self.columns();
        let reserved = reserved.map(|reserved| format!(", {reserved} = 0")).unwrap_or_default();
        let raise = self.attempts_held(0);
        let (held, rows) = self.rows(2, ids);
        format!(
            "{held}UPDATE {} SET {reserved_at} = NULL, attempts = attempts - {raise}, \
             {available_at} = CASE WHEN {available_at} > ?1 THEN ?1 ELSE {available_at} END{reserved} WHERE {rows}",
            self.jobs()
        )
    }

    /// Parameters: now, ids.
    pub(crate) fn extend(&self, ids: usize) -> String {
        let (held, rows) = self.rows(2, ids);
        format!("{held}UPDATE {} SET {} = ?1 WHERE {rows}", self.jobs(), self.columns().reserved_at)
    }

    /// The rows whose ids are the parameters from number `first` on.
    fn rows(&self, first: usize, ids: usize) -> (String, String) {
        self.dialect.rows_by_id(&self.jobs(), &marks(first, ids))
    }

    /// Parameters: connection, queue, payload, exception, the local second. `None` when failed jobs are discarded.
    pub(crate) fn bury(&self) -> Option<String> {
        // Not only where it is there: a failed job must not be lost because its table is missing.
        let failed = self.dialect.quoted(self.failed.as_deref()?);
        Some(format!(
            "INSERT INTO {failed} (connection, queue, payload, exception, {}) VALUES (?1, ?2, ?3, ?4, {})",
            self.failed_at(),
            self.dialect.timestamp("?5")
        ))
    }

    // For operators. Parameters: queue, and now where a due time matters.

    /// Ready, delayed, reserved. No index answers this; counting in one for what is delayed and by rows for the others took
    /// longer on servers.
    pub(crate) fn size(&self) -> String {
        format!(
            "SELECT {}, {}, {} FROM {} WHERE queue = ?1",
            count_if(&self.is_ready()),
            count_if(&self.is_delayed()),
            count_if(&self.is_reserved()),
            self.jobs()
        )
    }

    pub(crate) fn failed_size(&self) -> Option<String> {
        Some(format!("SELECT count(*) FROM {} WHERE queue = ?1", self.failed()?))
    }

    /// Parameters: queue, limit, offset.
    pub(crate) fn newest_failed(&self) -> Option<String> {
        Some(format!("{} WHERE queue = ?1 ORDER BY id DESC LIMIT ?2 OFFSET ?3", self.select_failed()?))
    }

    /// Parameters: queue, id of the row behind which to begin, limit.
    pub(crate) fn oldest_failed(&self) -> Option<String> {
        Some(format!("{} WHERE queue = ?1 AND id > ?2 ORDER BY id LIMIT ?3", self.select_failed()?))
    }

    fn select_failed(&self) -> Option<String> {
        let failed = self.failed()?;
        let failed_at = self.dialect.seconds(self.failed_at());
        Some(format!("SELECT id, connection, queue, payload, exception, {failed_at} FROM {failed}"))
    }

    /// Payload and exception of those that are there, in the order of their ids, for this transaction alone. Parameters: queue, ids.
    pub(crate) fn failed_rows(&self, ids: usize) -> Option<String> {
        let failed = self.failed()?;
        let (marks, lock) = (marks(2, ids), self.dialect.row_lock());
        Some(format!("SELECT payload, exception FROM {failed} WHERE queue = ?1 AND id IN ({marks}) ORDER BY id{lock}"))
    }

    /// Parameters: queue, ids.
    pub(crate) fn forget(&self, ids: usize) -> Option<String> {
        let failed = self.failed()?;
        Some(format!("DELETE FROM {failed} WHERE queue = ?1 AND id IN ({})", marks(2, ids)))
    }

    /// Payloads. Parameters: queue, now, limit, offset.
    pub(crate) fn peek(&self, state: State) -> String {
        let JobColumns { reserved_at, available_at, .. } = self.columns();
        let which = match state {
            State::Ready => format!("{} ORDER BY {}", self.is_ready(), self.order()),
            State::Delayed => format!("{} ORDER BY {available_at}, id", self.is_delayed()),
            State::Reserved => format!("{} ORDER BY {reserved_at}, id", self.is_reserved()),
        };
        format!("SELECT payload FROM {} WHERE queue = ?1 AND {which} LIMIT ?3 OFFSET ?4", self.jobs())
    }

    pub(crate) fn clear(&self) -> String {
        format!("DELETE FROM {} WHERE queue = ?1", self.jobs())
    }
}

/// The name of our index on a table of jobs.
pub(crate) fn due_index(jobs: &str) -> String {
    format!("ferry_{jobs}_available")
}

/// Counts the rows that meet a condition.
fn count_if(condition: &str) -> String {
    format!("count(CASE WHEN {condition} THEN 1 END)")
}

/// Lists of ids for single statements, each padded to a power of two by repeating its last.
pub(crate) fn padded(ids: &[i64]) -> impl Iterator<Item = Vec<i64>> {
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
}
