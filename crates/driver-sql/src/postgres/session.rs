//! One connection to the server, with blocking calls.
//!
//! The connection is either our own, with prepared statements and settings, or a pooler's (PgBouncer in transaction mode), which may hand
//! every transaction to another server process: then statements go as text with their values in them, and no setting outlives one.

use std::future::Future;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgConnection, PgTypeInfo, PgValueFormat};
use sqlx::{Arguments, AssertSqlSafe, Connection, Encode, Executor, Postgres, Row as _, Type, ValueRef};
use tokio::runtime::Runtime;

use super::error::{not_utf8, of_sent, timed_out};
use super::listener::{Quiet, announced, silent};
use super::server::PostgresServer;
use super::socket;
use super::text::{inlined, numbered};
use crate::error::SqlError;
use crate::session::{JobWork, Row, Session, repeat_after_conflicts};
use crate::values::{SqlValue, SqlValues};

/// How long the farewell to the server may take.
const CLOSE_WITHIN: Duration = Duration::from_millis(200);

/// An open connection to a server.
pub struct PostgresSession {
    runtime: Runtime,
    connection: PgConnection,
    /// Whether a pooler may stand between us and the server.
    pooled: bool,
    /// Where jobs that are stored are announced.
    channel: String,
    quiet: Quiet,
    in_transaction: bool,
    relaxed: bool,
    tuned: bool,
    io_timeout: Duration,
    /// Our end of the connection, where it can be told from others.
    socket: Option<RawFd>,
}

/// A statement on its way.
enum Statement {
    Prepared(String, PgArguments),
    Text(String),
}

impl PostgresSession {
    pub(super) fn open(server: &PostgresServer) -> Result<Self, SqlError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SqlError::Runtime)?;
        let address = &server.config().address;
        let before = socket::all_to(address);
        let (connection, pooled) = runtime.block_on(server.connect())?;
        let joined = socket::joined(&before, &socket::all_to(address));
        let (channel, io_timeout) = (server.channel().to_owned(), server.config().io_timeout);
        let mut session = Self {
            runtime,
            connection,
            pooled,
            channel,
            quiet: Quiet::default(),
            in_transaction: false,
            relaxed: false,
            tuned: false,
            io_timeout,
            socket: None,
        };
        session.socket = session.own_socket(&joined)?;
        Ok(session)
    }

    /// Which of the sockets that joined is ours. Where several did, the server knows from which port we come.
    fn own_socket(&mut self, joined: &[RawFd]) -> Result<Option<RawFd>, SqlError> {
        if joined.len() < 2 || self.pooled {
            return Ok(joined.first().copied().filter(|_| joined.len() == 1));
        }
        let rows = self.query("SELECT inet_client_port()", SqlValues::new())?;
        let port = rows.first().and_then(|row| row.int(0));
        Ok(port.and_then(|port| joined.iter().copied().find(|socket| socket::has_port(*socket, port))))
    }

    /// Whether nothing outlives a transaction here: no prepared statement, no setting, no LISTEN.
    pub(super) fn is_pooled(&self) -> bool {
        self.pooled
    }

    /// Runs a statement of ours that has no parameters.
    fn command(&mut self, sql: &'static str) -> Result<(), SqlError> {
        let run = self.connection.execute(sqlx::raw_sql(sql));
        answer(&self.runtime, self.io_timeout, run).map(|_| ())
    }

    fn statement(&self, sql: &str, values: &[SqlValue<'_>]) -> Result<Statement, SqlError> {
        if self.pooled {
            return inlined(sql, values).map(Statement::Text).ok_or_else(not_utf8);
        }
        Ok(Statement::Prepared(numbered(sql, values), arguments(values)?))
    }

    fn rows(&mut self, sql: &str, values: &[SqlValue<'_>]) -> Result<Vec<PostgresRow>, SqlError> {
        let rows = match self.statement(sql, values)? {
            Statement::Prepared(sql, arguments) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
                answer(&self.runtime, self.io_timeout, self.connection.fetch_all(query))
            }
            Statement::Text(sql) => {
                answer(&self.runtime, self.io_timeout, self.connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))))
            }
        };
        Ok(rows?.into_iter().map(PostgresRow).collect())
    }

    fn changed(&mut self, sql: &str, values: &[SqlValue<'_>]) -> Result<u64, SqlError> {
        let result = match self.statement(sql, values)? {
            Statement::Prepared(sql, arguments) => {
                let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
                answer(&self.runtime, self.io_timeout, self.connection.execute(query))
            }
            Statement::Text(sql) => {
                answer(&self.runtime, self.io_timeout, self.connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))))
            }
        };
        Ok(result?.rows_affected())
    }

    /// A statement alone is a transaction of its own.
    fn repeating<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        if self.in_transaction { work(self) } else { repeat_after_conflicts(self, work) }
    }

    fn one_transaction<T>(&mut self, work: &mut impl FnMut(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        // Whatever the server's default is: under a stricter level workers would have to yield to each other.
        self.command("BEGIN ISOLATION LEVEL READ COMMITTED")?;
        self.in_transaction = true;
        let result = work(self).and_then(|result| self.command("COMMIT").map(|()| result));
        self.in_transaction = false;
        match result {
            Err(error) if error.is_conflict() => self.command("ROLLBACK").and(Err(error)),
            result => result,
        }
    }
}

impl Session for PostgresSession {
    type Row = PostgresRow;

    fn query(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<Vec<PostgresRow>, SqlError> {
        let (sql, values): (String, Vec<_>) = (sql.into(), values.into_iter().collect());
        self.repeating(|session| session.rows(&sql, &values))
    }

    fn execute(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<u64, SqlError> {
        let (sql, values): (String, Vec<_>) = (sql.into(), values.into_iter().collect());
        self.repeating(|session| session.changed(&sql, &values))
    }

    /// Announces the insert to the workers that wait for its queue, which is the first value.
    fn insert(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<i64, SqlError> {
        let (insert, values): (String, Vec<_>) = (sql.into(), values.into_iter().collect());
        let (queue, now) = (queue_of(&values), Instant::now());
        let is_quiet = self.quiet.holds(queue, now);
        let sql = if is_quiet { silent(&insert) } else { announced(&insert, &self.channel) };
        let rows = self.repeating(|session| session.rows(&sql, &values))?;
        if !is_quiet {
            self.quiet.note(queue, rows.first().is_some_and(|row| row.bytes(1) == b"true"), now);
        }
        Ok(rows.iter().filter_map(|row| row.int(0)).max().unwrap_or_default())
    }

    fn transaction<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        repeat_after_conflicts(self, |session| session.one_transaction(&mut work))
    }

    fn now_ms(&mut self) -> Result<i64, SqlError> {
        let rows = self.query("SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)", SqlValues::new())?;
        Ok(rows.first().and_then(|row| row.int(0)).unwrap_or_default())
    }

    /// Behind a pooler the setting would go on to somebody else's transactions.
    fn relax_durability(&mut self) -> Result<(), SqlError> {
        if !self.relaxed && !self.pooled {
            self.command("SET synchronous_commit = off")?;
            self.relaxed = true;
        }
        Ok(())
    }

    /// Behind a pooler each statement is planned by itself, and settings would go on to others.
    fn tune(&mut self, work: JobWork) -> Result<(), SqlError> {
        if !self.tuned && !self.pooled {
            self.query(tuning(work, self.io_timeout), SqlValues::new())?;
            self.tuned = true;
        }
        Ok(())
    }

    /// A server that ends a session (restart, pg_terminate_backend, idle_session_timeout) has written why and closed its end by now.
    fn is_alive(&self) -> bool {
        self.socket.is_none_or(socket::is_silent)
    }

    fn close(self) {
        // There is nothing to do about a close that fails: the socket is gone either way.
        let _ = answer(&self.runtime, CLOSE_WITHIN, self.connection.close());
    }
}

/// Sets what the server knows of these, which came with different versions: plans without scans and sorts, and for a reserve the time
/// it may take. A shorter limit of the administrator stays.
fn tuning(work: JobWork, io_timeout: Duration) -> String {
    // The answer must be under way before nobody waits for it any more.
    let most = (io_timeout * 9 / 10).as_millis().max(1);
    let limit = if work == JobWork::Reserve { "statement_timeout" } else { "" };
    format!(
        "SELECT set_config(name, CASE WHEN name <> 'statement_timeout' THEN 'off' \
         WHEN CAST(setting AS bigint) BETWEEN 1 AND {most} THEN setting ELSE '{most}' END, false) FROM pg_settings \
         WHERE name IN ('enable_seqscan', 'enable_bitmapscan', 'enable_sort', 'jit', '{limit}')"
    )
}

/// The queue of an insert.
fn queue_of<'a>(values: &[SqlValue<'a>]) -> &'a str {
    match values.first() {
        Some(SqlValue::Text(queue)) => queue,
        _ => "",
    }
}

fn answer<T>(runtime: &Runtime, most: Duration, future: impl Future<Output = sqlx::Result<T>>) -> Result<T, SqlError> {
    let limited = runtime.block_on(async { tokio::time::timeout(most, future).await });
    limited.unwrap_or_else(|_| Err(timed_out())).map_err(of_sent)
}

fn arguments(values: &[SqlValue<'_>]) -> Result<PgArguments, SqlError> {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match value {
            SqlValue::Null => arguments.add(None::<&str>),
            SqlValue::Int(number) | SqlValue::Now(number) => arguments.add(number),
            SqlValue::Text(text) => arguments.add(text),
            SqlValue::Bytes(bytes) => arguments.add(TextBytes(bytes)),
        };
        added.map_err(|error| SqlError::Database(sqlx::Error::Encode(error)))?;
    }
    Ok(arguments)
}

/// Text as it is. The server checks it: what its encoding cannot hold, it refuses.
struct TextBytes<'a>(&'a [u8]);

impl Type<Postgres> for TextBytes<'_> {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for TextBytes<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend(self.0);
        Ok(IsNull::No)
    }
}

/// One row of an answer.
pub struct PostgresRow(sqlx::postgres::PgRow);

impl Row for PostgresRow {
    /// A number of any width, as the table has it.
    fn int(&self, column: usize) -> Option<i64> {
        let value = self.0.try_get_raw(column).ok().filter(|value| !value.is_null())?;
        let (format, bytes) = (value.format(), value.as_bytes().ok()?);
        match (format, bytes.len()) {
            (PgValueFormat::Text, _) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            (PgValueFormat::Binary, 2) => Some(i64::from(i16::from_be_bytes(bytes.try_into().ok()?))),
            (PgValueFormat::Binary, 4) => Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
            (PgValueFormat::Binary, _) => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
        }
    }

    fn bytes(&self, column: usize) -> Vec<u8> {
        let value = self.0.try_get_raw(column).ok().filter(|value| !value.is_null());
        value.and_then(|value| value.as_bytes().ok().map(<[u8]>::to_vec)).unwrap_or_default()
    }
}
