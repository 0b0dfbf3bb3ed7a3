//! What a PHP object holds: a configuration, and the connection it led to in this process.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;

use ferry_core::Result;
use ferry_core::config::ConnectionConfig;

use crate::connection::Connection;
use crate::process::Process;

/// Leads to the connection of a configuration. Used from PHP's thread only; nothing is made before the first [`Handle::get`].
pub struct Handle {
    process: &'static Process,
    config: Arc<ConnectionConfig>,
    cached: RefCell<Option<Cached>>,
}

struct Cached {
    generation: u64,
    connection: Arc<Connection>,
}

impl Handle {
    /// A handle that has not been used.
    pub fn new(config: Arc<ConnectionConfig>) -> Self {
        Self::of(Process::this(), config)
    }

    pub(crate) fn of(process: &'static Process, config: Arc<ConnectionConfig>) -> Self {
        Self { process, config, cached: RefCell::new(None) }
    }

    /// How the connection is configured.
    pub fn config(&self) -> &Arc<ConnectionConfig> {
        &self.config
    }

    /// The connection. On the way of every push: one atomic load and a clone, except the first time in a process.
    pub fn get(&self) -> Result<Arc<Connection>> {
        let generation = self.process.generation();
        if let Some(cached) = &*self.cached.borrow()
            && cached.generation == generation
        {
            return Ok(Arc::clone(&cached.connection));
        }
        self.forget_inherited();
        let connection = self.process.connection(&self.config)?;
        *self.cached.borrow_mut() = Some(Cached { generation, connection: Arc::clone(&connection) });
        Ok(connection)
    }

    /// Gives up what the parent made without dropping it; the registry of [`crate::process`] says why.
    #[expect(clippy::mem_forget, reason = "what a child inherited must not be dropped")]
    fn forget_inherited(&self) {
        let generation = self.process.generation();
        let stale = self.cached.borrow_mut().take_if(|cached| cached.generation != generation);
        mem::forget(stale);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.forget_inherited();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Counted, config};

    fn process() -> &'static Process {
        Box::leak(Box::new(Process::new()))
    }

    #[test]
    fn a_handle_makes_nothing_before_its_first_use_and_then_keeps_it() {
        let process = process();
        let handle = Handle::of(process, config("memory:"));
        let other = Handle::of(process, config("memory:"));
        let connection = handle.get().unwrap();
        assert!(Arc::ptr_eq(&connection, &handle.get().unwrap()));
        assert!(Arc::ptr_eq(&connection, &other.get().unwrap()));
        assert_eq!(handle.config().name, "c");
    }

    #[test]
    fn after_a_fork_a_handle_leads_to_a_new_connection() {
        let process = process();
        let handle = Handle::of(process, config("memory:"));
        let before = handle.get().unwrap();
        process.forked();
        let after = handle.get().unwrap();
        assert!(!Arc::ptr_eq(&before, &after));
        assert!(Arc::ptr_eq(&after, &handle.get().unwrap()));
    }

    #[test]
    fn a_handle_of_the_parent_is_forgotten_when_it_dies_in_the_child() {
        let process = process();
        let counted = Counted::default();
        process.connection_with(&config("memory:"), |_| Ok(counted.broker())).unwrap();
        let handle = Handle::of(process, config("memory:"));
        handle.get().unwrap();
        // Now the handle is the only owner, as when a child inherits it while the parent is shutting down.
        process.shutdown();
        process.forked();
        drop(handle);
        assert_eq!(counted.dropped(), 0);
    }

    #[test]
    fn a_handle_that_dies_in_its_own_process_lets_go() {
        let process = process();
        let counted = Counted::default();
        process.connection_with(&config("memory:"), |_| Ok(counted.broker())).unwrap();
        let handle = Handle::of(process, config("memory:"));
        handle.get().unwrap();
        process.shutdown();
        assert_eq!(counted.dropped(), 0);
        drop(handle);
        assert_eq!(counted.dropped(), 1);
    }
}
