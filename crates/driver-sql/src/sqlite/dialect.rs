//! SQLite's spelling, and its tables.

use ferry_core::dialect::JobColumns;

use crate::dialect::{DatabaseKind, Dialect, OwnTable};

/// SQLite since 3.24.
pub(super) struct SqliteDialect;

impl Dialect for SqliteDialect {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn creates_tables(&self) -> bool {
        true
    }

    /// A transaction has the write lock of the file from its first step.
    fn row_lock(&self) -> &'static str {
        ""
    }

    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn on_conflict(&self, key: &str) -> String {
        format!("ON CONFLICT ({key}) DO UPDATE SET")
    }

    fn inserted(&self, column: &str) -> String {
        format!("excluded.{column}")
    }

    fn timestamp(&self, parameter: &str) -> String {
        format!("datetime({parameter}, 'unixepoch')")
    }

    fn seconds(&self, column: &str) -> String {
        format!("CAST(strftime('%s', {column}) AS INTEGER)")
    }

    fn columns_of_table(&self) -> &'static str {
        "SELECT lower(name) FROM pragma_table_info(?1)"
    }

    fn index_exists(&self) -> &'static str {
        "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?1"
    }

    /// AUTOINCREMENT, so that a receipt never meets another job under the same id.
    fn create_jobs(&self, table: &str, columns: &JobColumns) -> String {
        let columns: Vec<String> = columns.names().map(|name| format!("{name} INTEGER")).collect();
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, payload TEXT, attempts INTEGER, {})",
            self.quoted(table),
            columns.join(", ")
        )
    }

    fn create_failed(&self, table: &str, failed_at: &str) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id INTEGER PRIMARY KEY AUTOINCREMENT, connection TEXT, queue TEXT, payload TEXT, \
             exception TEXT, {failed_at} TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
            self.quoted(table)
        )
    }

    fn create_index(&self, index: &str, table: &str, columns: &[&str]) -> String {
        format!("CREATE INDEX IF NOT EXISTS {} ON {} ({})", self.quoted(index), self.quoted(table), columns.join(", "))
    }

    fn create_own(&self, table: &OwnTable) -> Vec<String> {
        let columns: Vec<String> = table.columns.iter().map(|(name, kind)| format!("{name} {}", type_of(*kind))).collect();
        let create = format!("CREATE TABLE IF NOT EXISTS {} ({})", table.name, columns.join(", "));
        [Some(create), table.create_expiry_index(self)].into_iter().flatten().collect()
    }
}

fn type_of(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Key => "TEXT PRIMARY KEY",
        DatabaseKind::Int => "INTEGER NOT NULL",
        DatabaseKind::Text => "TEXT NOT NULL",
        DatabaseKind::OptionalText => "TEXT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_name_is_quoted() {
        assert_eq!(SqliteDialect.quoted("a\"b"), "\"a\"\"b\"");
    }
}
