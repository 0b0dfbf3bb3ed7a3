//! What databases spell differently. Statements are written once, in `statements` and beside the tables of our own, and ask here.

use std::fmt::Write;

use ferry_core::dialect::JobColumns;

use crate::error::SqlError;
use crate::session::Session;
use crate::values::SqlValues;

/// The spelling of one database.
pub trait Dialect: Sync {
    /// The name of the database, as `type` has it.
    fn name(&self) -> &'static str;

    /// Whether missing tables are created. On a server that is its administrator's to do: `ferry schema` prints the statements.
    fn creates_tables(&self) -> bool;

    /// What follows a SELECT to keep the rows from being changed or locked until the transaction ends. Nothing where a transaction
    /// locks the whole database.
    fn row_lock(&self) -> &'static str;

    /// The same, without the rows that others have locked.
    fn row_lock_skipping(&self) -> &'static str {
        self.row_lock()
    }

    /// The key of a table, where an index has to name it to be in its order. Elsewhere every index ends with it.
    fn indexed_key(&self) -> Option<&'static str> {
        None
    }

    /// What follows the name of a table in a SELECT to have it read by this index, where the server would often choose another one.
    fn index_hint(&self, _index: &str) -> String {
        String::new()
    }

    /// Whether these columns, which an index ends with, are behind these values in its order, such that a scan begins there.
    fn is_behind(&self, [first, second]: [&str; 2], [most, then]: [&str; 2]) -> String {
        format!("({first}, {second}) > ({most}, {then})")
    }

    /// Whether the payload in a column allows one try only; it may err on the safe side. `None` where a statement cannot both change rows
    /// and answer with them, so that a reserve takes several.
    fn says_one_try(&self, _column: &str) -> Option<String> {
        None
    }

    /// Whether a DELETE can answer with what it removed (`RETURNING`), and locks no other row meanwhile.
    fn answers_deletes(&self) -> bool {
        false
    }

    /// The rows with ids out of a list, as a condition of an UPDATE or a DELETE, and what stands in front of that statement.
    fn rows_by_id(&self, _table: &str, ids: &str) -> (String, String) {
        (String::new(), format!("id IN ({ids})"))
    }

    /// A name as an identifier.
    fn quoted(&self, name: &str) -> String;

    /// What follows an INSERT to change the row that has the same `key` instead. Assignments follow.
    fn on_conflict(&self, key: &str) -> String;

    /// In such an assignment, the value that could not be inserted.
    fn inserted(&self, column: &str) -> String;

    /// A time stamp out of a parameter that is a unix second.
    fn timestamp(&self, parameter: &str) -> String;

    /// The unix second of a column that is a time stamp.
    fn seconds(&self, column: &str) -> String;

    /// Asks for the names of a table's columns in lower case; no rows when there is no such table. Parameter: the table.
    fn columns_of_table(&self) -> &'static str;

    /// Asks for a row when there is an index. Parameter: its name.
    fn index_exists(&self) -> &'static str;

    /// Creates a table of jobs.
    fn create_jobs(&self, table: &str, columns: &JobColumns) -> String;

    /// Creates a table of failed jobs.
    fn create_failed(&self, table: &str, failed_at: &str) -> String;

    /// Creates an index, unless there is one of this name.
    fn create_index(&self, index: &str, table: &str, columns: &[&str]) -> String;

    /// Creates a table of our own and its index, unless they are there.
    fn create_own(&self, table: &OwnTable) -> Vec<String>;
}

/// A table of our own. Its first column is the key.
#[derive(Debug)]
pub struct OwnTable {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [(&'static str, DatabaseKind)],
}

/// What a column of such a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// A short text that is compared byte for byte.
    Key,
    /// A whole number.
    Int,
    /// A text.
    Text,
    /// A text or NULL.
    OptionalText,
}

impl DatabaseKind {
    fn filler(self) -> &'static str {
        match self {
            DatabaseKind::Key | DatabaseKind::Text => "''",
            DatabaseKind::Int => "0",
            DatabaseKind::OptionalText => "NULL",
        }
    }
}

impl OwnTable {
    pub(crate) fn key(&self) -> &'static str {
        self.columns[0].0
    }

    /// Inserts a row, or gives the one with the same key these values. Parameters: the columns in order.
    pub(crate) fn upsert(&self, dialect: &dyn Dialect) -> String {
        let names = self.column_names();
        let changed: Vec<String> = names[1..].iter().map(|name| format!("{name} = {}", dialect.inserted(name))).collect();
        format!(
            "INSERT INTO {} ({}) VALUES ({}) {} {}",
            self.name,
            names.join(", "),
            marks(1, names.len()),
            dialect.on_conflict(self.key()),
            changed.join(", ")
        )
    }

    /// Keeps everybody else from the row with this key until the transaction ends, whether there is one or not. One that is made for
    /// that has expired long ago, so nobody takes it for an entry.
    pub(crate) fn lock_row(&self, session: &mut impl Session, dialect: &dyn Dialect, key: &str) -> Result<(), SqlError> {
        if dialect.row_lock().is_empty() {
            return Ok(());
        }
        let fillers: Vec<&str> = self.columns[1..].iter().map(|(_, kind)| kind.filler()).collect();
        let (names, own) = (self.column_names().join(", "), self.key());
        let sql = format!(
            "INSERT INTO {} ({names}) VALUES (?1, {}) {} {own} = {}",
            self.name,
            fillers.join(", "),
            dialect.on_conflict(own),
            dialect.inserted(own)
        );
        session.execute(sql, SqlValues::new().text(key)).map(|_| ())
    }

    fn column_names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// The name of its index on `expires`, when its rows expire.
    pub(crate) fn expiry_index(&self) -> Option<String> {
        let expires = self.columns.iter().any(|(name, _)| *name == "expires");
        expires.then(|| format!("{}_expires", self.name))
    }

    /// Creates the index on `expires`, in a statement of its own.
    pub(crate) fn create_expiry_index(&self, dialect: &dyn Dialect) -> Option<String> {
        self.expiry_index().map(|index| dialect.create_index(&index, self.name, &["expires"]))
    }

    /// Parameter: the key.
    pub(crate) fn delete(&self) -> String {
        format!("DELETE FROM {} WHERE {} = ?1", self.name, self.key())
    }
}

/// PostgreSQL: the rows at the places (`ctid`) that an expression names. Partitions number their places each for itself, so the id is
/// compared too, in a way that asks for no index.
pub(crate) fn at_places(expression: &str) -> String {
    format!("ctid = ANY (ARRAY(SELECT place FROM {expression})) AND id + 0 = ANY (ARRAY(SELECT id FROM {expression}))")
}

/// `count` parameters from number `first` on.
pub(crate) fn marks(first: usize, count: usize) -> String {
    let mut marks = String::with_capacity(count * 5);
    for number in first..first + count {
        let comma = if number == first { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(marks, "{comma}?{number}");
    }
    marks
}
