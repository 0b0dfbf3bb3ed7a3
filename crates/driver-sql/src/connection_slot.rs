//! Holds one connection: made for the first operation, kept between operations, dropped after an error.

use std::sync::Mutex;

use ferry_core::Result;
use ferry_support::sync;

use crate::error::SqlError;
use crate::schema;
use crate::sqlite::error::explain;
use crate::sqlite::file::DatabaseFile;
use crate::sqlite::fork_gate;
use crate::sqlite::session::Session;
use crate::statements::Tables;

/// One connection and what lives and dies with it (`Extra`), behind a lock.
pub(crate) struct ConnectionSlot<Extra = ()>(Mutex<Option<(Session, Extra)>>);

impl<Extra> ConnectionSlot<Extra> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Runs `work` on the connection, which is made now if there is none; `extra` makes what goes with it.
    ///
    /// The connection is out of its slot meanwhile: after an error or a panic it does not come back, and closing it rolls back
    /// what was open.
    pub(crate) fn run<T>(
        &self,
        file: &DatabaseFile,
        tables: &Tables,
        extra: impl FnOnce() -> Extra,
        work: impl FnOnce(&mut Session, &mut Extra) -> Result<T, SqlError>,
    ) -> Result<T> {
        let _no_fork_meanwhile = fork_gate::operation();
        let mut slot = sync::lock(&self.0);
        let opened = slot.take().map_or_else(|| open(file, tables).map(|session| (session, extra())), Ok);
        let (mut session, mut extra) = opened.map_err(|error| explain(error, file))?;
        match session.check().and_then(|()| work(&mut session, &mut extra)) {
            Ok(answer) => {
                *slot = Some((session, extra));
                Ok(answer)
            }
            Err(error) => {
                session.close();
                Err(explain(error, file))
            }
        }
    }

    pub(crate) fn close(&self) {
        if let Some((session, _)) = sync::lock(&self.0).take() {
            session.close();
        }
    }
}

fn open(file: &DatabaseFile, tables: &Tables) -> Result<Session, SqlError> {
    let mut session = Session::open(file)?;
    match schema::ensure(&mut session, tables) {
        Ok(()) => Ok(session),
        Err(error) => {
            session.close();
            Err(error)
        }
    }
}
