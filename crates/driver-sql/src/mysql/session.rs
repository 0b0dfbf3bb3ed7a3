//! One connection to a server, with blocking calls and a limit to how long an answer may take.

use std::future::Future;
use std::os::fd::RawFd;
use std::time::Duration;

use ferry_core::config::Address;
use ferry_support::threads::with_signals_blocked;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, getpeername, getsockname, recv};
use sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlQueryResult};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Row as _, TypeInfo, ValueRef};
use tokio::runtime::Runtime;

use super::error::is_ended_by_server;
use super::server::{MysqlServer, Version};
use crate::error::SqlError;
use crate::placeholders::translate;
use crate::session::{Row, Session, repeat_after_conflicts};
use crate::values::{SqlValue, SqlValues};

/// How long the farewell to the server may take.
const CLOSE_WITHIN: Duration = Duration::from_millis(200);
/// Bytes of a statement beside its values, rounded up.
const STATEMENT_BYTES: usize = 16_384;
/// The name of the lock under which rows are chosen where the server cannot skip locked ones.
const RESERVE_LOCK: &str = "ferry_reserve";

/// An open connection to a server.
pub struct MysqlSession {
    runtime: Runtime,
    connection: MySqlConnection,
    io_timeout: Duration,
    in_transaction: bool,
    skip_locked: bool,
    /// The most bytes of one statement.
    max_packet: usize,
    /// Our end of the connection, where it can be told from others.
    socket: Option<RawFd>,
}

impl MysqlSession {
    pub(super) fn open(server: &MysqlServer) -> Result<Self, SqlError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SqlError::Runtime)?;
        let options = server.options()?;
        let limit = server.config.connect_timeout;
        // A thread that looks up the host's name inherits the block.
        let connect = async { tokio::time::timeout(limit, options.connect()).await };
        let connection = with_signals_blocked(|| runtime.block_on(connect));
        let connection = connection.map_err(|_| timed_out("connecting", limit))??;
        let mut session = Self {
            runtime,
            connection,
            io_timeout: server.config.io_timeout,
            in_transaction: false,
            skip_locked: server.skip_locked,
            max_packet: usize::MAX,
            socket: None,
        };
        session.introduce(server)?;
        Ok(session)
    }

    /// Asks what the server is, and asks it to be as the driver needs it. Without READ COMMITTED, the locks of a reserve would
    /// reach into the gaps between rows and stop those who push.
    fn introduce(&mut self, server: &MysqlServer) -> Result<(), SqlError> {
        self.plain("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")?;
        let rows = self.query(
            "SELECT VERSION(), @@max_allowed_packet, \
             (SELECT host FROM information_schema.processlist WHERE id = CONNECTION_ID()), \
             (SELECT min(engine) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?1)",
            SqlValues::new().text(&server.config.table),
        )?;
        let Some(row) = rows.first() else { return Ok(()) };
        let version = Version::read(&row.text(0));
        if version.is_too_old() {
            return Err(SqlError::Unsuitable(format!("version {} is too old; MySQL 5.7 or MariaDB 10.2 is needed", row.text(0))));
        }
        let engine = row.text(3);
        if !engine.is_empty() && !engine.eq_ignore_ascii_case("InnoDB") {
            return Err(SqlError::Unsuitable(format!(
                "table `{0}` is of engine {engine}, which has no transactions: ALTER TABLE `{0}` ENGINE=InnoDB",
                server.config.table
            )));
        }
        self.skip_locked &= version.knows_skip_locked();
        self.max_packet = row.int(1).and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        self.socket = match &server.config.address {
            Address::Tcp { port, .. } => own_socket(&row.text(2), *port),
            Address::Unix(_) => None,
        };
        Ok(())
    }

    /// Runs a future of the connection, as long as an answer may take.
    fn run<T>(runtime: &Runtime, limit: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, SqlError> {
        match runtime.block_on(async { tokio::time::timeout(limit, work).await }) {
            Ok(result) => Ok(result?),
            Err(_) => Err(timed_out("its answer", limit)),
        }
    }

    /// A statement without values, by the protocol for plain texts: some are not known to the other one.
    fn plain(&mut self, sql: &'static str) -> Result<(), SqlError> {
        Self::run(&self.runtime, self.io_timeout, sqlx::raw_sql(sql).execute(&mut self.connection)).map(|_| ())
    }

    fn change(&mut self, sql: String, values: SqlValues<'_>) -> Result<MySqlQueryResult, SqlError> {
        if self.in_transaction {
            return self.change_once(&sql, &values);
        }
        // Alone it is a transaction of its own.
        repeat_after_conflicts(self, |session| session.change_once(&sql, &values).map_err(uncertain_when_broken))
    }

    fn change_once(&mut self, sql: &str, values: &SqlValues<'_>) -> Result<MySqlQueryResult, SqlError> {
        let (sql, arguments) = self.prepare(sql, values)?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        Self::run(&self.runtime, self.io_timeout, query.execute(&mut self.connection))
    }

    /// The statement with plain parameters, and its values in the order in which they stand.
    fn prepare(&self, sql: &str, values: &SqlValues<'_>) -> Result<(String, MySqlArguments), SqlError> {
        let values: Vec<SqlValue<'_>> = values.clone().into_iter().collect();
        let mut order = Vec::with_capacity(values.len());
        let mut sql = translate(sql, |out, number| {
            let value = values.get(number.wrapping_sub(1)).copied().unwrap_or(SqlValue::Null);
            match value {
                SqlValue::Now(0) => out.push_str("UNIX_TIMESTAMP()"),
                SqlValue::Now(_) => out.push_str("CAST(UNIX_TIMESTAMP() + ? AS SIGNED)"),
                _ => out.push('?'),
            }
            order.push(value);
        });
        if !self.skip_locked {
            sql = sql.replace(" SKIP LOCKED", "");
        }
        let mut arguments = MySqlArguments::default();
        let mut bytes = sql.len();
        for value in order {
            bytes += add(&mut arguments, value).map_err(|error| SqlError::Database(sqlx::Error::Encode(error)))?;
        }
        if bytes.saturating_add(STATEMENT_BYTES) > self.max_packet && bytes > STATEMENT_BYTES {
            return Err(SqlError::TooLarge { bytes, limit: self.max_packet as u64, holder: "max_allowed_packet of the server" });
        }
        Ok((sql, arguments))
    }

    fn one_transaction<T>(&mut self, work: &mut impl FnMut(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.plain("START TRANSACTION")?;
        self.in_transaction = true;
        let result = work(self);
        self.in_transaction = false;
        match result {
            Ok(answer) => self.plain("COMMIT").map_err(uncertain_when_broken).map(|()| answer),
            Err(error) => {
                if !error.is_disconnection() {
                    // When this fails the connection is closed, which rolls back as well.
                    let _ = self.plain("ROLLBACK");
                }
                Err(error)
            }
        }
    }
}

/// A change whose answer did not come may have been carried out.
fn uncertain_when_broken(error: SqlError) -> SqlError {
    match error {
        SqlError::Database(error) if !matches!(error, sqlx::Error::Database(_)) => SqlError::Uncertain(error),
        SqlError::Database(error) if is_ended_by_server(&error) => SqlError::Uncertain(error),
        error => error,
    }
}

fn timed_out(what: &str, limit: Duration) -> SqlError {
    let text = format!("{what} took longer than {} s", limit.as_secs_f32());
    SqlError::Database(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text)))
}

/// Adds a value and returns its size.
fn add(arguments: &mut MySqlArguments, value: SqlValue<'_>) -> Result<usize, sqlx::error::BoxDynError> {
    match value {
        SqlValue::Null => arguments.add(None::<i64>).map(|()| 1),
        SqlValue::Int(number) => arguments.add(number).map(|()| 8),
        SqlValue::Now(0) => Ok(0),
        SqlValue::Now(later) => arguments.add(later).map(|()| 8),
        SqlValue::Text(text) => arguments.add(text).map(|()| text.len()),
        SqlValue::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => arguments.add(text).map(|()| text.len()),
            Err(_) => arguments.add(bytes).map(|()| bytes.len()),
        },
    }
}

/// The socket of ours whose other end is that port and which the server sees as `client`, its address and port. `None` where
/// something between us and the server shows it another address.
fn own_socket(client: &str, server_port: u16) -> Option<RawFd> {
    let client_port: u16 = client.rsplit_once(':')?.1.parse().ok()?;
    let port = |address: SockaddrStorage| {
        address.as_sockaddr_in().map(|v4| v4.port()).or_else(|| address.as_sockaddr_in6().map(|v6| v6.port()))
    };
    let is_ours = |fd: &RawFd| {
        getsockname(*fd).ok().and_then(port) == Some(client_port) && getpeername(*fd).ok().and_then(port) == Some(server_port)
    };
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    files.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok()).find(is_ours)
}

impl Session for MysqlSession {
    type Row = MysqlRow;

    fn skips_locked(&self) -> bool {
        self.skip_locked
    }

    fn query(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<Vec<MysqlRow>, SqlError> {
        let (sql, arguments) = self.prepare(&sql.into(), &values)?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        let rows = Self::run(&self.runtime, self.io_timeout, query.fetch_all(&mut self.connection))?;
        Ok(rows.into_iter().map(MysqlRow).collect())
    }

    fn execute(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<u64, SqlError> {
        self.change(sql.into(), values).map(|change| change.rows_affected())
    }

    fn insert(&mut self, sql: impl Into<String>, values: SqlValues<'_>) -> Result<i64, SqlError> {
        let change = self.change(sql.into(), values)?;
        // An id beyond that is no id of PHP either.
        Ok(i64::try_from(change.last_insert_id()).unwrap_or(i64::MAX))
    }

    fn transaction<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        repeat_after_conflicts(self, |session| session.one_transaction(&mut work))
    }

    /// Without SKIP LOCKED, one worker at a time chooses rows; the others wait for its few statements instead of its rows
    /// (docs/decisions/0013).
    fn reserve_transaction<T>(&mut self, work: impl FnMut(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        if self.skip_locked {
            return self.transaction(work);
        }
        let lock = || SqlValues::new().text(RESERVE_LOCK);
        self.query("SELECT GET_LOCK(CONCAT(DATABASE(), '.', ?1), 1)", lock())?;
        // After an error the connection is closed, and the lock goes with it.
        let result = self.transaction(work)?;
        self.query("SELECT RELEASE_LOCK(CONCAT(DATABASE(), '.', ?1))", lock())?;
        Ok(result)
    }

    fn now_ms(&mut self) -> Result<i64, SqlError> {
        let rows = self.query("SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)", SqlValues::new())?;
        Ok(rows.first().and_then(|row| row.int(0)).unwrap_or_default())
    }

    /// Whether a commit waits for the disk is the server's to say.
    fn relax_durability(&mut self) -> Result<(), SqlError> {
        Ok(())
    }

    /// A server that ends a connection (restart, KILL, `wait_timeout`) has closed its end by now, or has written why.
    fn is_alive(&self) -> bool {
        let Some(socket) = self.socket else { return true };
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(socket, &mut [0], flags) == Err(Errno::EAGAIN)
    }

    fn close(self) {
        let Self { runtime, connection, .. } = self;
        // There is nothing to do about a farewell that fails: the server ends the session with the connection.
        let _ = runtime.block_on(async { tokio::time::timeout(CLOSE_WITHIN, connection.close()).await });
    }
}

/// One row of an answer.
pub struct MysqlRow(sqlx::mysql::MySqlRow);

impl Row for MysqlRow {
    fn int(&self, column: usize) -> Option<i64> {
        let value = self.0.try_get_raw(column).ok()?;
        match value.type_info().name() {
            // What `coalesce(unsigned, 0)` is.
            "DECIMAL" => self.text(column).parse().ok(),
            kind if kind.ends_with("UNSIGNED") => {
                let number: Option<u64> = self.0.try_get_unchecked(column).ok()?;
                i64::try_from(number?).ok()
            }
            _ => self.0.try_get_unchecked(column).ok().flatten(),
        }
    }

    fn bytes(&self, column: usize) -> Vec<u8> {
        self.0.try_get_unchecked::<Option<Vec<u8>>, _>(column).ok().flatten().unwrap_or_default()
    }
}
