//! The spelling of MySQL and MariaDB, and their tables.

use ferry_core::dialect::JobColumns;

use crate::dialect::{DatabaseKind, Dialect, OwnTable};

/// The one that compares bytes.
const TEXT: &str = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// MySQL since 5.7, MariaDB since 10.2.
pub(super) struct MysqlDialect;

impl Dialect for MysqlDialect {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn creates_tables(&self) -> bool {
        false
    }

    fn row_lock(&self) -> &'static str {
        " FOR UPDATE"
    }

    /// The session takes the last two words away where the server does not know them.
    fn row_lock_skipping(&self) -> &'static str {
        " FOR UPDATE SKIP LOCKED"
    }

    fn index_hint(&self, index: &str) -> String {
        format!(" FORCE INDEX ({})", self.quoted(index))
    }

    /// It finds no range in a comparison of pairs.
    fn is_behind(&self, [first, second]: [&str; 2], [most, then]: [&str; 2]) -> String {
        format!("({first} > {most} OR ({first} = {most} AND {second} > {then}))")
    }

    fn quoted(&self, name: &str) -> String {
        format!("`{}`", name.replace('`', "``"))
    }

    fn on_conflict(&self, _key: &str) -> String {
        "ON DUPLICATE KEY UPDATE".to_owned()
    }

    fn inserted(&self, column: &str) -> String {
        format!("VALUES({column})")
    }

    /// Whatever the time zone of the session: the second is local already, as think-queue writes it.
    fn timestamp(&self, parameter: &str) -> String {
        format!("DATE_ADD('1970-01-01 00:00:00', INTERVAL {parameter} SECOND)")
    }

    fn seconds(&self, column: &str) -> String {
        format!("TIMESTAMPDIFF(SECOND, '1970-01-01 00:00:00', {column})")
    }

    /// With the names come the most bytes that a text may have, whether it must be UTF-8, and the type.
    fn columns_of_table(&self) -> &'static str {
        "SELECT lower(column_name), CAST(character_octet_length AS SIGNED), \
         CASE WHEN character_set_name IS NULL THEN 0 ELSE 1 END, lower(column_type) \
         FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?1"
    }

    fn index_exists(&self) -> &'static str {
        // A table that was copied or renamed keeps an index that is named after another one.
        "SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name = ?1 \
         AND ?1 = CONCAT('ferry_', table_name, '_available') LIMIT 1"
    }

    /// think-queue's columns. Not its types for names of queues, which a collation would mix when they differ in case or in a space at
    /// the end; for payloads, which are bytes; for attempts, whose TINYINT ends at 255; for times, whose INT ends in 2106.
    fn create_jobs(&self, table: &str, columns: &JobColumns) -> String {
        let column = |name: &str| match name {
            _ if Some(name) == columns.reserved => format!("{name} TINYINT UNSIGNED NOT NULL DEFAULT 0"),
            _ if name == columns.reserved_at => format!("{name} BIGINT NULL"),
            _ => format!("{name} BIGINT NOT NULL"),
        };
        let columns: Vec<String> = columns.names().map(column).collect();
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \
             queue VARBINARY(255) NOT NULL, payload LONGBLOB NOT NULL, attempts INT UNSIGNED NOT NULL DEFAULT 0, {}) \
             ENGINE=InnoDB",
            self.quoted(table),
            columns.join(", ")
        )
    }

    fn create_failed(&self, table: &str, failed_at: &str) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, connection TEXT {TEXT} NOT NULL, \
             queue VARBINARY(255) NOT NULL, payload LONGBLOB NOT NULL, exception LONGTEXT {TEXT} NOT NULL, \
             {failed_at} DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP) ENGINE=InnoDB",
            self.quoted(table)
        )
    }

    /// MySQL has no IF NOT EXISTS for indexes.
    fn create_index(&self, index: &str, table: &str, columns: &[&str]) -> String {
        format!("CREATE INDEX {} ON {} ({})", self.quoted(index), self.quoted(table), columns.join(", "))
    }

    /// With its index inside, so that the statement can be run again.
    fn create_own(&self, table: &OwnTable) -> Vec<String> {
        let columns = table.columns.iter().map(|(name, kind)| format!("{name} {}", type_of(*kind)));
        let index = table.expiry_index().map(|index| format!("INDEX {} (expires)", self.quoted(&index)));
        let parts: Vec<String> = columns.chain(index).collect();
        vec![format!("CREATE TABLE IF NOT EXISTS {} ({}) ENGINE=InnoDB", table.name, parts.join(", "))]
    }
}

fn type_of(kind: DatabaseKind) -> String {
    match kind {
        DatabaseKind::Key => "VARBINARY(512) NOT NULL PRIMARY KEY".to_owned(),
        DatabaseKind::Int => "BIGINT NOT NULL".to_owned(),
        DatabaseKind::Text => format!("LONGTEXT {TEXT} NOT NULL"),
        DatabaseKind::OptionalText => format!("LONGTEXT {TEXT} NULL"),
    }
}
