//! Jobs in SQL databases, in the tables of think-queue.
//!
//! One file for each trait that the driver carries out (`push`, `reserve`, `settle`, `failed`, `admin`, `control`, `status`,
//! `idempotency`), and one folder for each database with what only it has. `docs/decisions/0012-one-sql-driver.md`
//! says how they fit together. What a method of the contract means, and what becomes of a job, is decided in `ferry-core`; nothing
//! here knows PHP.
//!
//! # One SQLite in the process
//!
//! The driver links the system's libsqlite3 (`rusqlite` without `bundled`), because that is the copy PHP's own PDO uses. POSIX
//! locks belong to the process, not to the file handle: with two copies of the library on one file, closing a handle of one
//! silently drops the locks of the other, and the file is corrupted (sqlite.org, How To Corrupt, 2.2.1). With one copy, PHP code
//! may use PDO on the very same file in the same process. For the same reason nothing here ever opens an existing
//! database file by itself; it only asks for its metadata.
//!
//! # The tables
//!
//! `jobs`: `id, queue, payload, attempts, reserve_time, available_time, create_time`, and `failed_jobs`: `id, connection, queue,
//! payload, exception, fail_time`, as think-queue 3.0.3 has them; before, `reserved_at, available_at, created_at` and `failed_at`,
//! and in v1 and v2 `reserved` beside them. A table of another family than the connection's is an error. In SQLite, missing tables
//! and our index `ferry_<table>_available` are created. A payload is TEXT when it is UTF-8, so that PHP sees a string, and BLOB otherwise.
//! `fail_time` is in the zone given by `SqlBroker::in_zone`, as think-queue writes PHP's local time. Reason and attempts of a failed job are the last line of `exception`,
//! so the table keeps its six columns.

mod admin;
mod broker;
mod connection_slot;
mod control;
mod database;
mod dialect;
mod error;
mod expiring;
mod failed;
pub mod fork_gate;
mod idempotency;
mod mysql;
mod placeholders;
mod polling;
mod postgres;
mod push;
mod receipt;
mod reserve;
mod scan_position;
mod schema;
mod session;
mod settings;
mod settle;
mod sqlite;
mod statements;
mod status;
mod trailer;
mod values;

pub use broker::SqlBroker;
pub use mysql::MysqlBroker;
pub use postgres::PostgresBroker;
pub use settings::Settings;
pub use sqlite::SqliteBroker;
