//! Random ids for jobs. The system is asked for 4 KiB at a time: a call for every id would cost as much as the push.

use std::sync::Mutex;

use ferry_core::{Error, ErrorKind, Result, id};
use ferry_support::sync;

const POOL: usize = 4096;

/// Random bytes not yet used. Each connection has its own, and a forked child makes new connections, so parent and child never
/// draw from the same bytes.
pub(crate) struct Ids(Mutex<Pool>);

struct Pool {
    bytes: Box<[u8; POOL]>,
    /// How many are used.
    used: usize,
}

/// Random bytes for the id of a task.
pub fn random() -> Result<[u8; 8]> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Refused, "draw random bytes for an id").with_source(error.to_string()))?;
    Ok(bytes)
}

impl Ids {
    /// An empty pool: nothing is drawn before the first id.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Pool { bytes: Box::new([0; POOL]), used: POOL }))
    }

    /// A new id.
    pub(crate) fn mint(&self) -> Result<[u8; id::LENGTH]> {
        let mut pool = sync::lock(&self.0);
        id::mint(|out| pool.draw(out)).map_err(|e| {
            // As text: the type has no source to offer.
            Error::new(ErrorKind::Connection, "the system gave no random bytes for an id").with_source(e.to_string())
        })
    }
}

impl Pool {
    fn draw(&mut self, out: &mut [u8]) -> std::result::Result<(), getrandom::Error> {
        if self.used + out.len() > POOL {
            getrandom::fill(&mut *self.bytes)?;
            self.used = 0;
        }
        let start = self.used;
        self.used += out.len();
        out.copy_from_slice(&self.bytes[start..self.used]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_letters_and_never_repeat_across_refills() {
        let ids = Ids::new();
        let minted: HashSet<_> = (0..1000).map(|_| ids.mint().unwrap()).collect();
        assert_eq!(minted.len(), 1000);
        assert!(minted.iter().flatten().all(u8::is_ascii_alphabetic));
    }
}
