//! Holds one connection: made for the first operation, kept between operations, dropped after an error.

use std::sync::Mutex;

use ferry_core::Result;
use ferry_support::sync;

use crate::database::Database;
use crate::error::SqlError;
use crate::fork_gate;
use crate::schema;
use crate::session::Session;
use crate::statements::Tables;

/// One connection and what lives and dies with it (`Extra`), behind a lock.
pub(crate) struct ConnectionSlot<S, Extra = ()>(Mutex<Option<(S, Extra)>>);

impl<S: Session, Extra> ConnectionSlot<S, Extra> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Runs `work` on the connection, which is made now if there is none; `extra` makes what goes with it.
    ///
    /// The connection is out of its slot meanwhile: after an error or a panic it does not come back, and closing it rolls back
    /// what was open.
    pub(crate) fn run<T>(
        &self,
        database: &impl Database<Session = S>,
        tables: &Tables,
        extra: impl FnOnce() -> Extra,
        work: impl FnOnce(&mut S, &mut Extra) -> Result<T, SqlError>,
    ) -> Result<T> {
        let _guard = fork_gate::operation();
        let mut slot = sync::lock(&self.0);
        let kept = slot.take().filter(|(session, _)| session.is_alive());
        let opened = kept.map_or_else(|| open(database, tables).map(|session| (session, extra())), Ok);
        let (mut session, mut extra) = opened.map_err(|error| database.explain(error))?;
        match session.check().and_then(|()| work(&mut session, &mut extra)) {
            Ok(answer) => {
                *slot = Some((session, extra));
                Ok(answer)
            }
            Err(error) => {
                session.close();
                Err(database.explain(error))
            }
        }
    }

    pub(crate) fn close(&self) {
        if let Some((session, _)) = sync::lock(&self.0).take() {
            session.close();
        }
    }
}

fn open<D: Database>(database: &D, tables: &Tables) -> Result<D::Session, SqlError> {
    let mut session = database.open()?;
    match schema::ensure(&mut session, tables) {
        Ok(()) => Ok(session),
        Err(error) => {
            session.close();
            Err(error)
        }
    }
}
