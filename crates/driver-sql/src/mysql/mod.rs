//! What only MySQL and MariaDB have: the connection, its settings, and their errors in words.

mod dialect;
mod error;
mod facts;
mod server;
mod session;

use ferry_core::Error;
use ferry_core::broker::Fact;
use ferry_core::config::SqlServerConfig;

use crate::broker::SqlBroker;
use crate::database::Database;
use crate::dialect::Dialect;
use crate::error::SqlError;
use crate::polling::Polling;
use crate::settings::Settings;
use dialect::MysqlDialect;
use server::MysqlServer;
use session::MysqlSession;

/// Jobs on a MariaDB or MySQL server.
pub type MysqlBroker = SqlBroker<MysqlServer>;

impl MysqlBroker {
    /// A broker on the server of `config`. Connects to nothing.
    pub fn new(config: SqlServerConfig, settings: Settings) -> Self {
        Self::on_server(MysqlServer::new(config), settings)
    }

    /// The same, as on a server that does not know SKIP LOCKED, for tests on one that does.
    pub fn without_skip_locked(config: SqlServerConfig, settings: Settings) -> Self {
        Self::on_server(MysqlServer { skip_locked: false, ..MysqlServer::new(config) }, settings)
    }

    fn on_server(server: MysqlServer, settings: Settings) -> Self {
        let (jobs, failed) = (server.config.table.clone(), server.config.failed_table.clone());
        Self::on(server, &jobs, &failed, settings)
    }
}

impl Database for MysqlServer {
    type Session = MysqlSession;
    type Waiter = Polling;

    fn dialect(&self) -> &'static dyn Dialect {
        &MysqlDialect
    }

    fn open(&self) -> Result<MysqlSession, SqlError> {
        MysqlSession::open(self)
    }

    fn waiter(&self) -> Polling {
        Polling::up_to(self.config.poll_interval)
    }

    fn explain(&self, error: SqlError) -> Error {
        error::explain(error, self)
    }

    fn facts(&self, session: &mut MysqlSession) -> Result<Vec<(&'static str, Fact)>, SqlError> {
        facts::facts(session, self)
    }
}

#[cfg(test)]
mod login_tests;
#[cfg(test)]
mod tests;
