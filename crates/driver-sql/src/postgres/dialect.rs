//! PostgreSQL's spelling, and its tables.

use ferry_core::dialect::JobColumns;

use crate::dialect::{DatabaseKind, Dialect, OwnTable, at_places};

/// PostgreSQL since 10.
pub(super) struct PostgresDialect;

impl Dialect for PostgresDialect {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn creates_tables(&self) -> bool {
        false
    }

    fn row_lock(&self) -> &'static str {
        " FOR UPDATE"
    }

    fn row_lock_skipping(&self) -> &'static str {
        " FOR UPDATE SKIP LOCKED"
    }

    fn indexed_key(&self) -> Option<&'static str> {
        Some("id")
    }

    /// The rule of `ferry_core::batch`.
    fn says_one_try(&self, column: &str) -> Option<String> {
        Some(format!("{column} ~ '\"maxTries\"[[:space:]\":]*1[[:space:]\"]*([,}}]|$)'"))
    }

    fn answers_deletes(&self) -> bool {
        true
    }

    /// `ORDER BY` leaves the primary key, where nothing may be sorted; then the places leave no other index. While statistics say that
    /// the table is empty, a walk through all of `ferry_<table>_available`, whose last column is the id, is taken to be as good as a look.
    fn rows_by_id(&self, table: &str, ids: &str) -> (String, String) {
        let held = format!("WITH held AS (SELECT ctid AS place, id FROM {table} WHERE id IN ({ids}) ORDER BY id) ");
        (held, at_places("held"))
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

    /// A column with a time zone takes it as a time in the zone of the session, which is the server's, as from think-queue.
    fn timestamp(&self, parameter: &str) -> String {
        format!("(timestamp '1970-01-01' + {parameter} * interval '1 second')")
    }

    fn seconds(&self, column: &str) -> String {
        format!("CAST(floor(extract(epoch FROM CAST({column} AS timestamp))) AS bigint)")
    }

    /// Found as the statements find it, on the search path.
    fn columns_of_table(&self) -> &'static str {
        "SELECT lower(attname), CAST(NULL AS bigint), CASE WHEN atttypid = CAST('bytea' AS regtype) THEN 0 ELSE 1 END, \
         format_type(atttypid, atttypmod) FROM pg_attribute \
         WHERE attrelid = to_regclass(quote_ident(?1)) AND attnum > 0 AND NOT attisdropped"
    }

    fn index_exists(&self) -> &'static str {
        "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(quote_ident(?1)) AND indisvalid"
    }

    /// Half of each page stays free, so that the new version of a row that is reserved stands beside the old one and no index hears of it.
    fn create_jobs(&self, table: &str, columns: &JobColumns) -> String {
        let columns: Vec<String> = columns.names().map(|name| format!("{name} {}", type_of_job_column(columns, name))).collect();
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id bigserial PRIMARY KEY, queue varchar(255) NOT NULL, payload text NOT NULL, \
             attempts integer NOT NULL, {}) WITH (fillfactor = 50)",
            self.quoted(table),
            columns.join(", ")
        )
    }

    fn create_failed(&self, table: &str, failed_at: &str) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id bigserial PRIMARY KEY, connection text NOT NULL, queue text NOT NULL, \
             payload text NOT NULL, exception text NOT NULL, {failed_at} timestamp(0) NOT NULL DEFAULT CURRENT_TIMESTAMP)",
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

fn type_of_job_column(columns: &JobColumns, name: &str) -> &'static str {
    if columns.reserved == Some(name) {
        "smallint NOT NULL DEFAULT 0"
    } else if name == columns.reserved_at {
        "bigint"
    } else {
        "bigint NOT NULL"
    }
}

fn type_of(kind: DatabaseKind) -> &'static str {
    match kind {
        // Compared byte for byte, whatever the collation of the database.
        DatabaseKind::Key => "text COLLATE \"C\" PRIMARY KEY",
        DatabaseKind::Int => "bigint NOT NULL",
        DatabaseKind::Text => "text NOT NULL",
        DatabaseKind::OptionalText => "text",
    }
}
