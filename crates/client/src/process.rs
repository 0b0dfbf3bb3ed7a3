//! The connections of this process, and what a fork makes of them.
//!
//! A PHP-FPM child serves many requests; equal configurations share one connection across them. Nothing exists before its first
//! use, so a parent that only forks hands nothing down. When it did use a connection, its child forgets what it inherited.

use std::collections::HashMap;
use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use ferry_core::config::{ConnectionConfig, DriverConfig};
use ferry_core::timezone::SharedTimeZone;
use ferry_core::{Broker, Result};
use ferry_support::sync;
use once_cell::sync::OnceCell;

use crate::buffer::{self, UnbufferedGuard};
use crate::connection::Connection;
use crate::drivers::{self, broker_of};
use crate::request_end;

/// More connections than this are not kept when nobody holds them: an application may configure one for each of its tenants.
const KEPT: usize = 64;

static PROCESS: Process = Process::new();

/// The process is about to be forked. Called from the handler given to `pthread_atfork`, on the thread that forks.
pub fn before_fork() {
    // Before operations are held up. What cannot be stored stays with the parent, whose next flush tells.
    let _ = PROCESS.flush();
    drivers::before_fork();
    PROCESS.before_fork();
}

/// The process was forked, and this is the child. Called from the handler given to `pthread_atfork`, where only
/// async-signal-safe work is allowed: this is two atomic operations and at most a wake-up of nobody.
pub fn forked() {
    PROCESS.forked();
    after_fork();
}

/// The process was forked, or could not be, and this is the parent.
pub fn after_fork() {
    drivers::after_fork();
}

/// How many forks lie between the process that loaded the library and this one.
pub fn generation() -> u64 {
    PROCESS.generation()
}

/// The zone in which other programs write times into tables that they share with us. Set from PHP's thread.
pub fn timezone() -> &'static SharedTimeZone {
    static ZONE: LazyLock<SharedTimeZone> = LazyLock::new(SharedTimeZone::default);
    &ZONE
}

/// Stores what every connection buffered. The first error; the others are flushed all the same.
pub fn flush() -> Result<()> {
    PROCESS.flush()
}

/// A worker begins: stores what was buffered before, and lets pushes of this thread be stored at once while the guard lives.
pub fn begin_worker() -> Result<UnbufferedGuard> {
    PROCESS.flush()?;
    Ok(UnbufferedGuard::begin())
}

/// A request begins: its pushes may be buffered.
pub fn begin_request() {
    buffer::set_in_request(true);
}

/// A request ends: stores what it buffered. Answers a warning for each connection whose jobs could not be stored; they are in the file
/// `spool`, or lost. Later pushes of this request are stored at once.
pub fn end_request(spool: Option<&Path>) -> Vec<String> {
    buffer::set_in_request(false);
    PROCESS.buffering().iter().filter_map(|connection| request_end::flush(connection, spool)).collect()
}

/// Lets go of every connection, at the end of the process. A child that never used one lets go of nothing: they are its parent's.
pub fn shutdown() {
    PROCESS.shutdown();
}

/// The state of a process. There is one; tests make their own.
pub(crate) struct Process {
    generation: AtomicU64,
    /// Locked from PHP's thread only. A fork happens on that thread too, so a child never inherits a locked lock.
    registry: OnceCell<Mutex<Registry>>,
}

#[derive(Default)]
struct Registry {
    generation: u64,
    connections: HashMap<Arc<ConnectionConfig>, Arc<Connection>>,
}

impl Process {
    pub(crate) const fn new() -> Self {
        Self { generation: AtomicU64::new(0), registry: OnceCell::new() }
    }

    /// The one of this process.
    pub(crate) fn this() -> &'static Self {
        &PROCESS
    }

    /// Closes what a child must not inherit; the next operation opens it again.
    pub(crate) fn before_fork(&self) {
        if self.registry.get().is_some() {
            let registry = self.lock();
            registry.connections.values().for_each(|connection| connection.broker().before_fork());
        }
    }

    pub(crate) fn forked(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Relaxed is enough: the number changes only in a fork, and a child starts with a single thread, the one that forked.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The connection of this configuration, made at first use.
    pub(crate) fn connection(&self, config: &Arc<ConnectionConfig>) -> Result<Arc<Connection>> {
        self.connection_with(config, broker_of)
    }

    pub(crate) fn connection_with(
        &self,
        config: &Arc<ConnectionConfig>,
        make: impl FnOnce(&ConnectionConfig) -> Result<Arc<dyn Broker>>,
    ) -> Result<Arc<Connection>> {
        let mut registry = self.lock();
        if let Some(connection) = registry.connections.get(config) {
            return Ok(Arc::clone(connection));
        }
        let connection = Arc::new(Connection::new(Arc::clone(config), make(config)?));
        registry.make_room();
        registry.connections.insert(Arc::clone(config), Arc::clone(&connection));
        Ok(connection)
    }

    /// The connections that hold jobs.
    fn buffering(&self) -> Vec<Arc<Connection>> {
        if self.registry.get().is_none() {
            return Vec::new();
        }
        self.lock().connections.values().filter(|connection| connection.has_buffered()).cloned().collect()
    }

    pub(crate) fn flush(&self) -> Result<()> {
        // All are flushed, whatever becomes of the first.
        let outcomes: Vec<Result<u64>> = self.buffering().iter().map(|connection| connection.flush()).collect();
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))
    }

    pub(crate) fn shutdown(&self) {
        if self.registry.get().is_some() {
            self.lock().connections.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        let registry =
            self.registry.get_or_init(|| Mutex::new(Registry { generation: self.generation(), ..Registry::default() }));
        let mut registry = sync::lock(registry);
        registry.forget_inherited(self.generation());
        registry
    }
}

impl Registry {
    /// After a fork: starts anew, and leaves what the parent made where it is.
    ///
    /// Dropping would be wrong in every way: a driver says goodbye on sockets that the parent still uses, waits for threads that
    /// do not exist here, and takes locks that they held. So the memory is given up; the sockets close when the child ends.
    #[expect(clippy::mem_forget, reason = "what a child inherited must not be dropped")]
    fn forget_inherited(&mut self, generation: u64) {
        if self.generation != generation {
            self.generation = generation;
            mem::forget(mem::take(&mut self.connections));
        }
    }

    /// Lets go of connections that nobody holds, when there are many. Those with jobs in memory stay: they are nowhere else.
    fn make_room(&mut self) {
        if self.connections.len() >= KEPT {
            let used = |connection: &Arc<Connection>| Arc::strong_count(connection) > 1;
            let memory = |config: &ConnectionConfig| matches!(config.driver, DriverConfig::Memory);
            self.connections.retain(|config, connection| used(connection) || memory(config) || connection.has_buffered());
        }
    }
}

#[cfg(test)]
mod tests {
    use ferry_core::config::connection_from_dsn;
    use ferry_core::{Due, Error, ErrorKind};

    use super::*;
    use crate::connection::JobSpec;
    use crate::testing::{Counted, config, queue};

    #[test]
    fn equal_configurations_share_a_connection_and_others_do_not() {
        let process = Process::new();
        let first = process.connection(&config("memory:")).unwrap();
        assert!(Arc::ptr_eq(&first, &process.connection(&config("memory:")).unwrap()));
        assert!(!Arc::ptr_eq(&first, &process.connection(&config("memory:?queue=other")).unwrap()));
    }

    #[test]
    fn a_connection_that_cannot_be_made_is_an_error_each_time_and_breaks_nothing() {
        let process = Process::new();
        for _ in 0..2 {
            let refused = |_: &_| Err(Error::new(ErrorKind::Unsupported, "the driver is not built in"));
            assert!(process.connection_with(&config("memory:"), refused).is_err());
        }
        assert!(process.connection(&config("memory:")).is_ok());
    }

    #[test]
    fn a_child_makes_its_own_connections_and_drops_none_of_its_parents() {
        let process = Process::new();
        let counted = Counted::default();
        let first = process.connection_with(&config("memory:"), |_| Ok(counted.broker())).unwrap();
        let parents = Arc::downgrade(&first);
        drop(first);

        process.forked();
        let second = process.connection_with(&config("memory:"), |_| Ok(counted.broker())).unwrap();
        assert_eq!(counted.dropped(), 0);
        assert!(parents.upgrade().is_some_and(|parents| !Arc::ptr_eq(&parents, &second)));

        drop(second);
        process.shutdown();
        assert_eq!(counted.dropped(), 1, "the child's own is dropped at its end, its parent's is not");
    }

    #[test]
    fn every_broker_prepares_for_a_fork_but_not_those_of_a_parent() {
        let process = Process::new();
        process.before_fork();
        let counted = Counted::default();
        process.connection_with(&config("redis://h"), |_| Ok(counted.broker())).unwrap();
        process.before_fork();
        assert_eq!((counted.prepared(), counted.closed()), (1, 0));

        process.forked();
        process.before_fork();
        assert_eq!(counted.prepared(), 1, "a child that forks leaves its parent's alone");
    }

    #[test]
    fn a_child_that_used_nothing_drops_nothing_at_its_end() {
        let process = Process::new();
        let counted = Counted::default();
        process.connection_with(&config("memory:"), |_| Ok(counted.broker())).unwrap();
        process.forked();
        process.shutdown();
        assert_eq!(counted.dropped(), 0);
    }

    #[test]
    fn a_process_that_used_nothing_has_nothing_to_let_go_of() {
        let process = Process::new();
        process.shutdown();
        assert!(process.registry.get().is_none());
    }

    #[test]
    fn a_connection_with_buffered_jobs_stays_until_they_are_stored_and_a_child_has_none_of_them() {
        let process = Process::new();
        let counted = Counted::default();
        let connection = process.connection_with(&config("redis://h?push_buffer=9"), |_| Ok(counted.broker())).unwrap();
        connection.push(&queue(), &JobSpec { job: b"\"J\"", limits: None, data: b"1" }, Due::Now).unwrap();
        let held = Arc::downgrade(&connection);
        drop(connection);
        for number in 0..KEPT {
            let config = Arc::new(connection_from_dsn("c", &format!("redis://h{number}")).unwrap());
            process.connection_with(&config, |_| Ok(counted.broker())).unwrap();
        }
        assert!(held.upgrade().is_some_and(|held| held.has_buffered()));
        process.flush().unwrap();
        let held = held.upgrade().unwrap();
        assert!(!held.has_buffered());

        held.push(&queue(), &JobSpec { job: b"\"J\"", limits: None, data: b"1" }, Due::Now).unwrap();
        process.forked();
        process.flush().unwrap();
        assert!(held.has_buffered() && process.buffering().is_empty());
    }

    #[test]
    fn many_connections_that_nobody_holds_are_let_go_of_but_memory_stays() {
        let process = Process::new();
        let counted = Counted::default();
        let memory = Arc::downgrade(&process.connection(&config("memory:")).unwrap());
        let mut held = Vec::new();
        for number in 0..KEPT {
            let config = Arc::new(connection_from_dsn("c", &format!("redis://h{number}")).unwrap());
            let connection = process.connection_with(&config, |_| Ok(counted.broker())).unwrap();
            if number == 0 {
                held.push(connection);
            }
        }
        assert_eq!(counted.dropped(), KEPT - 2, "all but the held one and the newest");
        assert!(memory.upgrade().is_some());
    }
}
