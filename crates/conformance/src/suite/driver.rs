//! The drivers under test, and what makes tests of behaviours: one that a driver cannot show is ignored, with the reason, and costs no
//! server.

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use ferry_core::Broker;
use ferry_core::config::FailedStore;
use libtest_mimic::{Arguments, Completion, Trial};

use super::{BEHAVIOURS, RETRY_AFTER, START};

/// What a behaviour asks of a driver beyond the usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Reservations expire by themselves.
    Leases,
    /// Delayed and reserved jobs can be seen.
    AllStates,
    /// What is given back goes ahead of the ready jobs.
    HeadOfQueue,
    /// Flags and reports of workers have a place.
    Control,
    /// Statuses of jobs and claims of work have a place.
    Statuses,
    /// Time passes by asking for a later worker.
    Clock,
    /// Failed jobs need not be kept.
    Discard,
    /// Any bytes can be a payload. Where payloads are text, what is none never gets in.
    AnyBytes,
    /// The keys of a queue cannot be taken for the name of another one.
    EndMarks,
    /// A payload says under `maxTries` how often it may be tried.
    MaxTries,
}

/// One sentence about brokers, and how it is tested.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    /// `module::sentence`.
    pub name: &'static str,
    /// What a driver has to have.
    pub needs: &'static [Need],
    /// Fails when the sentence is not true.
    pub run: fn(&Fixture),
}

/// What a worker asks of its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What the broker's clock shows; `None` is its own clock.
    pub now: Option<i64>,
    /// Seconds a reservation lasts.
    pub retry_after: Option<u32>,
    /// Whether failed jobs are kept.
    pub failed: FailedStore,
}

impl Terms {
    /// The usual terms in this second.
    pub fn at(second: i64) -> Self {
        Self { now: Some(second), retry_after: Some(RETRY_AFTER), failed: FailedStore::Keep }
    }
}

/// A driver under test. What its brokers do not say of themselves is said here.
pub trait Driver: Send + Sync {
    /// A broker that is never connected: only its capabilities are read.
    fn unconnected(&self) -> Arc<dyn Broker>;

    /// A new, empty store. `None` when its server is not installed here.
    fn store(&self) -> Option<Box<dyn Store>>;

    /// Whether a queue can be called like a part of another one, as with keys that no brace closes.
    fn names_can_collide(&self) -> bool {
        false
    }

    /// Whether it reads `maxTries` in payloads.
    fn reads_max_tries(&self) -> bool {
        true
    }

    /// Whether time passes by asking for a later worker. Where delays are the server's own, nobody can turn its clock.
    fn time_can_be_turned(&self) -> bool {
        true
    }

    /// Whether it can be told to keep no failed jobs.
    fn can_discard_failed_jobs(&self) -> bool {
        true
    }

    /// Whether any bytes can be a payload.
    fn stores_any_bytes(&self) -> bool {
        true
    }

    /// The longest name of a queue that jobs are pushed to, in bytes.
    fn longest_name(&self) -> usize {
        ferry_core::QueueName::MAX_BYTES
    }

    /// Whether a job that stands alone is taken in its place among the others; otherwise it may come behind them.
    fn lone_jobs_keep_their_place(&self) -> bool {
        true
    }
}

/// One empty store of a driver. Every test gets its own.
pub trait Store: Sync {
    /// Another worker on this store, as a process of its own would be. All workers of one behaviour have the same `retry_after` and
    /// `failed`.
    fn worker_with(&self, terms: Terms) -> Arc<dyn Broker>;

    /// Breaks every connection between workers and store, without a word to the workers.
    fn kill_connections(&self);
}

/// What a behaviour is tested on.
pub struct Fixture<'a> {
    driver: &'a dyn Driver,
    store: Box<dyn Store>,
}

impl Fixture<'_> {
    /// Another worker.
    pub fn worker_with(&self, terms: Terms) -> Arc<dyn Broker> {
        self.store.worker_with(terms)
    }

    /// Another worker in this second.
    pub fn at(&self, second: i64) -> Arc<dyn Broker> {
        self.worker_with(Terms::at(second))
    }

    /// Another worker at [`START`].
    pub fn worker(&self) -> Arc<dyn Broker> {
        self.at(START)
    }

    /// Breaks every connection between workers and store.
    pub fn kill_connections(&self) {
        self.store.kill_connections();
    }

    /// Whether time passes by asking for a later worker.
    pub fn time_can_be_turned(&self) -> bool {
        self.driver.time_can_be_turned()
    }

    /// Whether reservations expire by themselves.
    pub fn has_leases(&self) -> bool {
        self.driver.unconnected().capabilities().leases
    }

    /// The longest name of a queue, in bytes.
    pub fn longest_name(&self) -> usize {
        self.driver.longest_name()
    }

    /// Whether a job that stands alone is taken in its place among the others.
    pub fn lone_jobs_keep_their_place(&self) -> bool {
        self.driver.lone_jobs_keep_their_place()
    }
}

/// Why this driver cannot show what needs `need`; `None` when it can.
fn lacks(driver: &dyn Driver, need: Need) -> Option<&'static str> {
    let broker = driver.unconnected();
    let can = broker.capabilities();
    let (has, reason) = match need {
        Need::Leases => (can.leases, "its reservations do not expire"),
        Need::AllStates => (can.sees_all_states, "it does not see delayed and reserved jobs"),
        Need::HeadOfQueue => (can.gives_back_to_head, "it gives back to the tail"),
        Need::Control => (broker.control().is_some(), "it has no place for flags of workers"),
        Need::Statuses => {
            (broker.status().is_some() && broker.idempotency().is_some(), "it has no place for statuses and claims")
        }
        Need::Clock => (driver.time_can_be_turned(), "nobody can turn its clock"),
        Need::Discard => (driver.can_discard_failed_jobs(), "it always keeps failed jobs"),
        Need::AnyBytes => (driver.stores_any_bytes(), "its payloads are text"),
        Need::EndMarks => (!driver.names_can_collide(), "its keys have no end mark"),
        Need::MaxTries => (driver.reads_max_tries(), "its payloads name their tries otherwise"),
    };
    (!has).then_some(reason)
}

/// A test for each behaviour, called `name::module::sentence`.
pub fn tests_of(name: &str, driver: impl Driver + 'static) -> Vec<Trial> {
    let driver: Arc<dyn Driver> = Arc::new(driver);
    let test = |behaviour: &'static Behaviour| {
        let driver = Arc::clone(&driver);
        Trial::ignorable_test(format!("{name}::{}", behaviour.name), move || Ok(examine(&*driver, behaviour)))
    };
    BEHAVIOURS.iter().map(test).collect()
}

fn examine(driver: &dyn Driver, behaviour: &Behaviour) -> Completion {
    if let Some(reason) = behaviour.needs.iter().find_map(|need| lacks(driver, *need)) {
        return Completion::ignored_with(reason);
    }
    let Some(store) = driver.store() else { return Completion::ignored_with("its server is not installed here") };
    (behaviour.run)(&Fixture { driver, store });
    Completion::Completed
}

/// Runs tests as `cargo test` runs those of the standard library, with its arguments and its `RUST_TEST_THREADS`.
pub fn run(tests: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    let threads = || env::var("RUST_TEST_THREADS").ok()?.parse().ok();
    arguments.test_threads = arguments.test_threads.or_else(threads);
    libtest_mimic::run(&arguments, tests).exit_code()
}
