//! A place for one connection: made at the first word, kept between words, dropped after an error.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ferry_core::Result;

use super::errors::explain;
use super::fork_gate;
use super::schema;
use super::session::{Fault, Place, Session};
use super::statements::Tables;

/// One connection and what goes with it (`Extra`), behind a lock.
pub(super) struct ConnectionSlot<Extra = ()>(Mutex<Option<(Session, Extra)>>);

/// What a line keeps beside its connection.
pub(super) trait Companion {
    /// Made when the connection is open.
    fn beside(place: &Place) -> Self;
}

impl Companion for () {
    fn beside(_place: &Place) -> Self {}
}

impl<Extra: Companion> ConnectionSlot<Extra> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Runs `work` on the connection, which is made now if there is none.
    ///
    /// The connection is out of its place meanwhile: after an error or a panic it does not come back, and closing it rolls back
    /// what was open.
    pub(super) fn with<T>(
        &self,
        place: &Place,
        tables: &Tables,
        work: impl FnOnce(&mut Session, &mut Extra) -> Result<T, Fault>,
    ) -> Result<T> {
        let _no_fork_meanwhile = fork_gate::operation();
        let mut slot = self.lock();
        let opened = slot.take().map_or_else(|| open(place, tables), Ok);
        let (mut session, mut extra) = opened.map_err(|fault| explain(fault, place))?;
        match session.check_place().and_then(|()| work(&mut session, &mut extra)) {
            Ok(answer) => {
                *slot = Some((session, extra));
                Ok(answer)
            }
            Err(fault) => {
                session.close();
                Err(explain(fault, place))
            }
        }
    }

    pub(super) fn close(&self) {
        if let Some((session, _)) = self.lock().take() {
            session.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Session, Extra)>> {
        // A panic inside took the connection with it; the place itself is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open<Extra: Companion>(place: &Place, tables: &Tables) -> Result<(Session, Extra), Fault> {
    let mut session = Session::open(place)?;
    match schema::ensure(&mut session, tables) {
        Ok(()) => Ok((session, Extra::beside(place))),
        Err(fault) => {
            session.close();
            Err(fault)
        }
    }
}
