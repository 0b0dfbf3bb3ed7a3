//! What only PostgreSQL has: the server, its connection, and waiting for notifications.

mod dialect;
mod error;
mod facts;
mod listener;
mod poll_schedule;
mod server;
mod session;
mod socket;
mod text;

use ferry_core::Error;
use ferry_core::broker::Fact;
use ferry_core::config::SqlServerConfig;

use crate::broker::SqlBroker;
use crate::database::Database;
use crate::dialect::Dialect;
use crate::error::SqlError;
use crate::settings::Settings;
use dialect::PostgresDialect;
use listener::NotificationWaiter;
use server::PostgresServer;
use session::PostgresSession;

/// Jobs in a PostgreSQL database.
pub type PostgresBroker = SqlBroker<PostgresServer>;

impl PostgresBroker {
    /// A broker on the server of `config`. Opens nothing.
    pub fn new(config: SqlServerConfig, settings: Settings) -> Self {
        let (table, failed_table) = (config.table.clone(), config.failed_table.clone());
        Self::on(PostgresServer::new(config), &table, &failed_table, settings)
    }
}

impl Database for PostgresServer {
    type Session = PostgresSession;
    type Waiter = NotificationWaiter;

    fn dialect(&self) -> &'static dyn Dialect {
        &PostgresDialect
    }

    fn open(&self) -> Result<PostgresSession, SqlError> {
        PostgresSession::open(self)
    }

    fn waiter(&self) -> NotificationWaiter {
        NotificationWaiter::new(self)
    }

    fn explain(&self, error: SqlError) -> Error {
        error::explain(error, self)
    }

    fn facts(&self, session: &mut PostgresSession) -> Result<Vec<(&'static str, Fact)>, SqlError> {
        facts::facts(session, self)
    }
}
